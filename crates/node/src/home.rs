use crate::{ExitCode, ReplicaConfig};
use pbft_crypto::{Digest, KeyFileError, PublicKey, SecretKey, read_secret_key};
use pbft_message::{Genesis, GenesisError, ReplicaId};
use pbft_storage::{CreateError, FileDisk, Identity, Journal, LockError, SEGMENT_SIZE, is_segment};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A replica's folder, read and checked: `config.toml`, `genesis.toml`, `keys/signing.key`, `keys/transport.key`, `data/`.
#[derive(Debug)]
pub struct Home {
    /// The folder.
    pub path: PathBuf,
    /// Its configuration.
    pub config: ReplicaConfig,
    /// The cluster.
    pub genesis: Arc<Genesis>,
    /// Signs votes.
    pub signing_key: SecretKey,
    /// Authenticates connections.
    pub transport_key: SecretKey,
}

/// Why a home is not usable.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// A file is missing or unreadable.
    #[error("cannot read {path}: {source}{}", advice(source))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is no valid TOML of its kind; the text names the line.
    #[error("{path} is not valid: {reason}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        reason: String,
    },
    /// The genesis describes no cluster.
    #[error("{path}: {source}")]
    Genesis {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: GenesisError,
    },
    /// A key file is unusable.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The configuration contradicts itself or the genesis.
    #[error("{path}: {reason}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The key is not the one that the genesis names.
    #[error("{path} is not the key that the genesis names for replica {replica}: use the home that was made for it")]
    WrongKey {
        /// The key file.
        path: PathBuf,
        /// The replica.
        replica: ReplicaId,
    },
    /// A published development key in a cluster that is not for tests.
    #[error("{path} is a published development key, and this genesis is no test network: make keys of your own (pbft keygen)")]
    DevelopmentKey {
        /// The key file.
        path: PathBuf,
    },
    /// There is no journal.
    #[error(
        "{path} holds no journal. A key without its journal must not vote (R16). Is this the right home? \
         If its disk is lost, start it with --rejoin: it then follows, and never votes. A new replica's key and journal are made \
         together by pbft keygen --replica"
    )]
    NoJournal {
        /// The data directory.
        path: PathBuf,
    },
    /// The data directory could not be made.
    #[error("cannot initialise {path}: {source}")]
    CreateData {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The data directory is in use or not accessible.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A journal is there already, or cannot be written.
    #[error(transparent)]
    CreateJournal(#[from] CreateError),
}

/// What to do about a file that does not open.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; give it to the user that the replica runs as (chown)",
        io::ErrorKind::NotFound => "; is this a replica's home? pbftd keeps config.toml, genesis.toml, keys/ and data/ there",
        _ => "",
    }
}

impl HomeError {
    /// The process's exit code for this error.
    pub const fn exit_code(&self) -> ExitCode {
        match self {
            Self::CreateData { .. } | Self::Lock(_) | Self::CreateJournal(_) => ExitCode::Io,
            _ => ExitCode::Configuration,
        }
    }
}

impl Home {
    /// Reads and checks a home. Nothing is changed and nothing is started.
    pub fn load(path: &Path) -> Result<Self, HomeError> {
        let genesis_path = path.join("genesis.toml");
        let genesis: Genesis = read_toml(&genesis_path)?;
        genesis.check().map_err(|source| HomeError::Genesis { path: genesis_path, source })?;
        let config_path = path.join("config.toml");
        if !read_toml::<toml::Table>(&config_path)?.contains_key("listen") {
            let reason = "it has no listen: this may be a client's folder; give the home of a replica".to_owned();
            return Err(HomeError::Config { path: config_path, reason });
        }
        let config: ReplicaConfig = read_toml(&config_path)?;
        if let Some(reason) = config.problem(&genesis) {
            return Err(HomeError::Config { path: config_path, reason });
        }
        let named = genesis.replica(config.replica).map(|entry| (entry.signing_key, entry.transport_key));
        let signing_key = read_key(path, "signing.key", named.map(|keys| keys.0), &genesis, config.replica)?;
        let transport_key = read_key(path, "transport.key", named.map(|keys| keys.1), &genesis, config.replica)?;
        Ok(Self { path: path.to_owned(), config, genesis: Arc::new(genesis), signing_key, transport_key })
    }

    /// Where the journal and the snapshots are.
    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Whether there is a journal at all. Whose it is, and whether it is sound, is seen when it is opened.
    pub fn check_data(&self) -> Result<(), HomeError> {
        let path = self.data();
        let unreadable = |path: &Path, source| HomeError::Read { path: path.to_owned(), source };
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(HomeError::NoJournal { path }),
            entries => entries.map_err(|error| unreadable(&path, error))?,
        };
        let mut found = false;
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&path, error))?;
            if is_segment(&entry.file_name().to_string_lossy()) {
                found = true;
                let file = fs::OpenOptions::new().read(true).write(true).open(entry.path());
                file.map_err(|error| unreadable(&entry.path(), error))?;
            }
        }
        if found { Ok(()) } else { Err(HomeError::NoJournal { path }) }
    }

    /// Whose promises the journal holds.
    pub(crate) fn identity(&self) -> Identity {
        Identity { cluster: self.genesis.cluster_id(), owner: self.signing_key.public() }
    }
}

/// Makes `data/` with an empty journal for a new replica. One command makes a key and its journal together: a key whose
/// journal is lost must not vote again (R16). A `cluster` that is not known yet is `Digest::ZERO`: the first start binds it.
pub fn initialise_data(home: &Path, cluster: Digest, owner: PublicKey) -> Result<(), HomeError> {
    let path = home.join("data");
    let io_error = |source| HomeError::CreateData { path: path.clone(), source };
    fs::create_dir_all(&path).map_err(io_error)?;
    let secret = random_secret().map_err(io_error)?;
    let disk = FileDisk::open(&path)?;
    Journal::create(disk, &Identity { cluster, owner }, &secret, SEGMENT_SIZE)?;
    Ok(())
}

/// Marks a journal's frames.
pub(crate) fn random_secret() -> io::Result<[u8; 32]> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(secret)
}

/// Whether a key is one of the published development keys: they are made from seeds that anyone can guess.
pub fn is_development_key(key: &SecretKey) -> bool {
    let seed = key.seed();
    let (text, number) = seed.split_at(24);
    text == b"insecure development key" && number.len() == 8
}

fn read_key(
    home: &Path,
    name: &str,
    named: Option<PublicKey>,
    genesis: &Genesis,
    replica: ReplicaId,
) -> Result<SecretKey, HomeError> {
    let path = home.join("keys").join(name);
    let key = read_secret_key(&path)?;
    if is_development_key(&key) && !genesis.test_network {
        return Err(HomeError::DevelopmentKey { path });
    }
    if Some(key.public()) != named {
        return Err(HomeError::WrongKey { path, replica });
    }
    Ok(key)
}

fn read_toml<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, HomeError> {
    let text = fs::read_to_string(path).map_err(|source| HomeError::Read { path: path.to_owned(), source })?;
    toml::from_str(&text).map_err(|error| HomeError::Syntax { path: path.to_owned(), reason: toml_mistake(&text, &error) })
}

/// A mistake in a TOML file in one line: its place, and what is wrong there.
pub fn toml_mistake(text: &str, error: &toml::de::Error) -> String {
    let what = error.message().lines().collect::<Vec<_>>().join(" ");
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else { return what };
    let line = before.matches('\n').count().saturating_add(1);
    let column = before.chars().rev().take_while(|char| *char != '\n').count().saturating_add(1);
    format!("line {line}, column {column}: {what}")
}
