//! One file of the queue.
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::frame::{self, Found};

/// One file of the queue. Its bytes are at `base` and after, counted over all files.
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) base: u64,
    pub(super) length: u64,
    pub(super) file: File,
    path: PathBuf,
}

impl Segment {
    /// A new, empty file.
    pub(super) fn create(dir: &Path, number: u64, base: u64) -> io::Result<Self> {
        let path = dir.join(format!("{number:016x}.log"));
        let file = OpenOptions::new().read(true).append(true).create_new(true).open(&path)?;
        Ok(Self { number, base, length: 0, file, path })
    }

    /// A file that an earlier process left behind.
    pub(super) fn open(dir: &Path, number: u64, base: u64) -> io::Result<Self> {
        let path = dir.join(format!("{number:016x}.log"));
        let file = OpenOptions::new().read(true).append(true).open(&path)?;
        let length = file.metadata()?.len();
        Ok(Self { number, base, length, file, path })
    }

    /// The numbers of the files in a folder, in order.
    pub(super) fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".log"));
            numbers.extend(number.and_then(|digits| u64::from_str_radix(digits, 16).ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Appends with one write. After a failure the file is as it was before, as far as that can be done; what cannot
    /// be undone is damage that the reader passes over.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(bytes) {
            if self.file.set_len(self.length).is_err() {
                self.length = self.file.metadata().map_or(self.length, |metadata| metadata.len());
            }
            return Err(error);
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Cuts off a last record that was not written to its end; how many bytes went.
    pub(super) fn cut_torn(&mut self, from: u64) -> io::Result<u64> {
        let (mut at, bytes) = (0, self.read(from, usize::MAX)?);
        while at < bytes.len() {
            match frame::next(&bytes[at..]) {
                Found::Record(_, length) | Found::Damage(length) => at += length,
                Found::Cut => {
                    let torn = (bytes.len() - at) as u64;
                    self.length -= torn;
                    self.file.set_len(self.length)?;
                    return Ok(torn);
                }
            }
        }
        Ok(0)
    }

    /// At most so many bytes from an offset on.
    pub(super) fn read(&self, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        read(&self.file, offset, self.length, most)
    }

    /// Where the next file's bytes begin.
    pub(super) fn end(&self) -> u64 {
        self.base + self.length
    }

    /// Deletes the file.
    pub(super) fn delete(self) -> io::Result<()> {
        std::fs::remove_file(self.path)
    }
}

/// At most `most` bytes of a file from `offset` to before `end`.
pub(super) fn read(file: &File, offset: u64, end: u64, most: usize) -> io::Result<Vec<u8>> {
    let left = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; left.min(most)];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}
