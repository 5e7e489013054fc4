use pbft_message::StatePart;

/// What was wrong with an answer in state transfer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Poison {
    /// The outline is not of the certified state.
    #[error("the outline is not the state that the certificate names")]
    Outline,
    /// The list of chunks is not the certified one.
    #[error("the digests of the {0:?} part's chunks do not give the certified root")]
    Leaves(StatePart),
    /// A piece does not fit its chunk, or the chunk exceeds the limit.
    #[error("a piece of chunk {index} of the {part:?} part does not fit a chunk of the size it claims, or that is over the limit")]
    Piece {
        /// The part.
        part: StatePart,
        /// The chunk.
        index: u32,
    },
    /// A chunk is not the certified one.
    #[error("chunk {index} of the {part:?} part is not the certified one")]
    Chunk {
        /// The part.
        part: StatePart,
        /// The chunk.
        index: u32,
    },
}
