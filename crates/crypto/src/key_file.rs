use crate::SecretKey;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const PREFIX: &str = "ed25519-secret:";

/// Why a key file was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file is missing, unreadable, or already there when one is to be written.
    #[error("key file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than the owner may read or write the file.
    #[error("key file {path} has mode {mode:04o}: only its owner may read it; run: chmod 600 {path}")]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The content is not one line `ed25519-secret:` and 64 hexadecimal digits.
    #[error("key file {path} is malformed: expected one line, ed25519-secret: and 64 hexadecimal digits")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

/// Writes a new secret key file with mode 0600; an existing file is never overwritten.
pub fn write_secret_key(path: &Path, key: &SecretKey) -> Result<(), KeyFileError> {
    let io_error = |source| KeyFileError::Io { path: path.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io_error)?;
    let line = Zeroizing::new(format!("{PREFIX}{}\n", *Zeroizing::new(hex::encode(key.seed().as_ref()))));
    file.write_all(line.as_bytes()).and_then(|()| file.sync_all()).map_err(io_error)
}

/// Reads a secret key file; refuses one that others than its owner may read or write.
pub fn read_secret_key(path: &Path) -> Result<SecretKey, KeyFileError> {
    let io_error = |source| KeyFileError::Io { path: path.to_owned(), source };
    let mode = fs::metadata(path).map_err(io_error)?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::TooOpen { path: path.to_owned(), mode });
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(io_error)?);
    let malformed = || KeyFileError::Malformed { path: path.to_owned() };
    let digits = text.trim().strip_prefix(PREFIX).ok_or_else(malformed)?;
    let mut seed = Zeroizing::new([0; 32]);
    hex::decode_to_slice(digits, seed.as_mut()).map_err(|_| malformed())?;
    Ok(SecretKey::from_seed(&seed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_file_reads_back_is_never_overwritten_and_must_be_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing.key");
        let key = SecretKey::from_seed(&[7; 32]);
        write_secret_key(&path, &key).unwrap();
        assert_eq!(read_secret_key(&path).unwrap(), key);
        assert!(matches!(write_secret_key(&path, &key), Err(KeyFileError::Io { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read_secret_key(&path), Err(KeyFileError::TooOpen { mode: 0o640, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "secret").unwrap();
        assert!(matches!(read_secret_key(&path), Err(KeyFileError::Malformed { .. })));
    }
}
