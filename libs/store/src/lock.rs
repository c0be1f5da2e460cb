//! One process per data folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// An exclusive, advisory lock on a file, held until it is dropped or the process ends in whatever way. The
/// file stays: removing it would let two processes lock two files of the same name.
#[derive(Debug)]
pub struct FileLock {
    file: File,
    path: PathBuf,
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process, or another lock in this one, holds it.
    #[error("{} is locked by {}", path.display(), holder(*pid))]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The process id its holder wrote into it, if that can be read.
        pid: Option<u32>,
    },
    /// The file cannot be made, locked or written.
    #[error("cannot lock {}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FileLock {
    /// Takes the lock without waiting, making the file and its folders if they are missing.
    ///
    /// # Errors
    /// [`LockError::Held`] when someone else has it, [`LockError::Io`] when the file cannot be used.
    pub fn acquire(path: impl Into<PathBuf>) -> Result<Self, LockError> {
        let path = path.into();
        match Self::try_acquire(&path) {
            Ok(file) => Ok(Self { file, path }),
            Err(TryLockError::WouldBlock) => Err(LockError::Held { pid: read_pid(&path), path }),
            Err(TryLockError::Error(source)) => Err(LockError::Io { path, source }),
        }
    }

    /// The file that is locked.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn try_acquire(path: &Path) -> Result<File, TryLockError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(TryLockError::Error)?;
        }
        // Not truncated here: until the lock is ours, the text belongs to its holder.
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(TryLockError::Error)?;
        file.try_lock()?;
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(TryLockError::Error)?;
        Ok(file)
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // The pid goes first, so that it never names one that has let go.
        let _ = self.file.set_len(0);
        // Closing the file is not enough: a child process that another thread is just starting has a copy of it
        // until it runs its own program, and would keep the lock for that moment.
        let _ = self.file.unlock();
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

fn read_pid(path: &Path) -> Option<u32> {
    let mut text = String::new();
    File::open(path).ok()?.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clone shares the open file as the copy in a starting child process does.
    #[test]
    fn a_copy_of_the_open_file_does_not_keep_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let lock = FileLock::acquire(&path).unwrap();
        let _copy = lock.file.try_clone().unwrap();
        assert!(matches!(FileLock::acquire(&path), Err(LockError::Held { .. })));
        drop(lock);
        FileLock::acquire(&path).unwrap();
    }
}
