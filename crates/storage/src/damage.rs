/// What is wrong with a file whose content is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The header has no valid checksum or is of another kind of file.
    #[error("the header is damaged, or this is another kind of file")]
    Header,
    /// The header is valid but belongs to a file of another name.
    #[error("the header belongs to a file of another name")]
    Name,
    /// The file was cut or has grown.
    #[error("the file is {found} bytes long instead of {expected}")]
    Size {
        /// Bytes that are there.
        found: u64,
        /// Bytes that its header tells.
        expected: u64,
    },
    /// A frame of the journal that was acknowledged as durable is not valid.
    #[error("a frame that was acknowledged is not valid")]
    Frame,
    /// A frame's checksum is right but its records do not fill it.
    #[error("the records of the frame do not fill it")]
    Records,
    /// The header blob or a chunk of a snapshot is cut off or has a wrong checksum.
    #[error("the chunk is cut off or has a wrong checksum")]
    Chunk,
    /// A snapshot's digest over everything does not match, or bytes follow it.
    #[error("the digest over the whole file does not match")]
    Digest,
}
