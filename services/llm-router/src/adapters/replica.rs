//! Which replica of the router this is.
use std::io;
use std::path::Path;

use copydesk_store::{FileLock, LockError};
use copydesk_types::UsageId;

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// Another process uses it.
    #[error("the data folder of the router belongs to another process")]
    Lock(#[from] LockError),
    /// It cannot be read or written.
    #[error("the data folder of the router cannot be used")]
    Io(#[from] io::Error),
}

/// A replica of the router: what owns a data folder. The folder is locked for as long as this lives.
#[derive(Debug)]
pub struct Replica {
    id: String,
    run: String,
    _lock: FileLock,
}

impl Replica {
    /// The replica of a data folder. Its id is kept in the folder, so a folder must not be copied to a second replica.
    ///
    /// # Errors
    /// Another process has the folder, or it cannot be used.
    pub fn open(dir: &Path) -> Result<Self, ReplicaError> {
        let lock = FileLock::acquire(dir.join("replica-lock"))?;
        let path = dir.join("replica-id");
        let known = std::fs::read_to_string(&path).ok().filter(|text| is_id(text));
        let id = match known {
            Some(id) => id,
            None => {
                let id = fresh();
                let new = dir.join("replica-id.new");
                std::fs::write(&new, &id)?;
                std::fs::rename(new, path)?;
                id
            }
        };
        let run = format!("{id}.{}", fresh());
        Ok(Self { id, run, _lock: lock })
    }

    /// Its name, the same after a restart: 32 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name of this run of it: the id, a dot, and 32 hexadecimal digits.
    pub fn run(&self) -> &str {
        &self.run
    }
}

fn fresh() -> String {
    format!("{:032x}", UsageId::generate().as_u128())
}

fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_replica_and_every_start_a_new_run() {
        let dir = tempfile::tempdir().unwrap();
        let first = Replica::open(dir.path()).unwrap();
        let (id, run) = (first.id().to_owned(), first.run().to_owned());
        assert!(matches!(Replica::open(dir.path()), Err(ReplicaError::Lock(_))));
        drop(first);
        let again = Replica::open(dir.path()).unwrap();
        assert_eq!(again.id(), id);
        assert!(again.run() != run && again.run().starts_with(&id));
        drop(again);
        std::fs::write(dir.path().join("replica-id"), "torn").unwrap();
        assert_ne!(Replica::open(dir.path()).unwrap().id(), id);
    }
}
