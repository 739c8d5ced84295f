//! A key-encryption key in a file or an environment variable: 32 random bytes, as base64.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use penstock_broker::Broker;
use rand::TryRngCore;
use rand::rngs::OsRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{KekError, KeyEncryptionKey};
use crate::cipher::SealingKey;

const EXPECTED: &str =
    "expected 32 random bytes as base64, as `openssl rand -base64 32` prints them";

/// A key-encryption key that this process holds itself. It wraps with AES-256-GCM-SIV and a random
/// nonce, the context being associated data. Its id is `local:` and the start of a hash of the key.
pub struct LocalKek {
    id: String,
    key: SealingKey,
}

impl LocalKek {
    /// Reads the key from a file that its owner alone may read.
    pub fn from_file(path: &Path) -> Result<Self, KekError> {
        Self::read(path)?.ok_or_else(|| KekError::Missing {
            path: path.to_owned(),
            reason: "put the key that the workers share there".to_owned(),
        })
    }

    /// Reads the key from an environment variable.
    pub fn from_env(variable: &str) -> Result<Self, KekError> {
        let malformed = |reason: &str| KekError::Malformed {
            place: format!("environment variable {variable}"),
            reason: reason.to_owned(),
        };
        let text = std::env::var(variable)
            .map(Zeroizing::new)
            .map_err(|_| malformed("it is not set"))?;
        Self::from_base64(&text).ok_or_else(|| malformed(EXPECTED))
    }

    /// Reads the key file. If there is none, and `broker` is an embedded one whose `topic` holds no
    /// record yet, makes it with a new random key, for its owner alone.
    pub fn for_broker(path: &Path, broker: &dyn Broker, topic: &str) -> Result<Self, KekError> {
        if let Some(key) = Self::read(path)? {
            return Ok(key);
        }
        let missing = |reason: String| KekError::Missing {
            path: path.to_owned(),
            reason,
        };
        if broker.kind() != "embedded" {
            return Err(missing(format!(
                "the workers of a {} broker share one; put it there, or name it by environment",
                broker.kind()
            )));
        }
        if has_records(broker, topic).map_err(KekError::Broker)? {
            return Err(missing(format!(
                "topic {topic:?} holds keys already, which a new one could not unwrap; put the file back"
            )));
        }
        Self::create(path).map_err(|source| KekError::File {
            path: path.to_owned(),
            doing: "written",
            source,
        })
    }

    /// A key from the 32 bytes of its material.
    pub fn from_bytes(material: &[u8; 32]) -> Self {
        let hash = Sha256::new()
            .chain_update(b"penstock key-encryption key id")
            .chain_update(material)
            .finalize();
        let id = hash[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>();
        Self {
            id: format!("local:{id}"),
            key: SealingKey::new(material),
        }
    }

    fn from_base64(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(STANDARD.decode(text.trim()).ok()?);
        let material: &[u8; 32] = bytes.as_slice().try_into().ok()?;
        Some(Self::from_bytes(material))
    }

    fn read(path: &Path) -> Result<Option<Self>, KekError> {
        let failed = |source| KekError::File {
            path: path.to_owned(),
            doing: "read",
            source,
        };
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(e)),
        };
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KekError::Exposed {
                path: path.to_owned(),
                mode,
            });
        }
        let mut text = Zeroizing::new(String::with_capacity(64));
        let read = (&mut file).take(1024).read_to_string(&mut text);
        let malformed = || KekError::Malformed {
            place: path.display().to_string(),
            reason: EXPECTED.to_owned(),
        };
        match read {
            Ok(_) => Self::from_base64(&text).map(Some).ok_or_else(malformed),
            Err(e) if e.kind() == io::ErrorKind::InvalidData => Err(malformed()),
            Err(e) => Err(failed(e)),
        }
    }

    /// Writes a new key beside `path` and moves it there once it is durable, so that a crash leaves
    /// no half of a key.
    fn create(path: &Path) -> io::Result<Self> {
        let mut material = Zeroizing::new([0u8; 32]);
        OsRng
            .try_fill_bytes(material.as_mut())
            .map_err(io::Error::other)?;
        let text = Zeroizing::new(format!("{}\n", *Zeroizing::new(STANDARD.encode(*material))));
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(directory)?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let temporary = directory.join(name);
        match std::fs::remove_file(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        File::open(directory)?.sync_all()?;
        Ok(Self::from_bytes(&material))
    }
}

fn has_records(broker: &dyn Broker, topic: &str) -> penstock_broker::Result<bool> {
    let Some(info) = broker.topic(topic)? else {
        return Ok(false);
    };
    for partition in 0..info.partitions {
        if broker.watermarks(topic, partition)?.1 > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

impl KeyEncryptionKey for LocalKek {
    fn id(&self) -> &str {
        &self.id
    }

    fn wrap(&self, plaintext: &[u8], context: &[u8]) -> Result<Vec<u8>, KekError> {
        let mut wrapped = Vec::with_capacity(plaintext.len() + SealingKey::OVERHEAD);
        self.key.seal(plaintext, context, &mut wrapped);
        Ok(wrapped)
    }

    fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<Zeroizing<Vec<u8>>, KekError> {
        let mut plaintext = Zeroizing::new(Vec::with_capacity(wrapped.len()));
        self.key
            .open(wrapped, context, &mut plaintext)
            .map_err(|_| KekError::Unwrap {
                id: self.id.clone(),
            })?;
        Ok(plaintext)
    }
}

impl fmt::Debug for LocalKek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKek")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
