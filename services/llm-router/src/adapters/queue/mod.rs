//! The queue in front of the ledger: files to which records are appended, and from which they go into the database.
//!
//! A record is appended with one write, so it is in the system's page cache when `append` returns: the death of the
//! process does not lose it. [`Queue::sync`] brings it to the disk, so that the death of the machine loses no more than
//! what came since. What is done is remembered in a small file; forgetting that only means that records are written
//! to the database again, where they already are.
mod frame;
mod segment;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::Entry;
use frame::{Found, HEADER, LONGEST};
use segment::Segment;

/// How large a file grows before the next is begun.
const SEGMENT: u64 = 4 << 20;

/// The part of the queue that only calls already under way may fill.
const RESERVE: u64 = 16;

/// The part of the queue that may fill before it is emptied at once.
const FILLING: u64 = 8;

/// Why records were not taken.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The queue is as long as it may be.
    #[error("the queue in front of the ledger is full")]
    Full,
    /// The disk refused.
    #[error("the queue in front of the ledger cannot be written")]
    Io(#[from] io::Error),
}

/// Records in the order in which they came.
pub struct Queue {
    dir: PathBuf,
    most: u64,
    done: File,
    state: Mutex<State>,
}

struct State {
    segments: VecDeque<Segment>,
    /// How far the records are in the database.
    drained: u64,
    /// How far they are on the disk.
    synced: u64,
}

/// Some records of the queue.
#[derive(Debug, Default)]
pub struct Batch {
    /// The records, oldest first.
    pub entries: Vec<Entry>,
    /// How far the queue is done when they are.
    pub end: u64,
    /// Places in which something was that is no record.
    pub damaged: usize,
}

impl Queue {
    /// The queue in a folder, made if it is not there, with what an earlier process left in it. `most` bytes may wait.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub fn open(dir: &Path, most: u64) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let done =
            File::options().read(true).write(true).create(true).truncate(false).open(dir.join("done"))?;
        let mark = read_mark(&done);
        let mut segments: VecDeque<Segment> = VecDeque::new();
        let mut drained = 0;
        for number in Segment::numbers(dir)? {
            let base = segments.back().map_or(0, Segment::end);
            let segment = Segment::open(dir, number, base)?;
            match mark {
                Some((done, _)) if number < done => segment.delete()?,
                mark => {
                    if let Some((done, offset)) = mark
                        && done == number
                    {
                        drained = base + offset.min(segment.length);
                    }
                    segments.push_back(segment);
                }
            }
        }
        let mut torn = 0;
        if let Some(last) = segments.back_mut() {
            torn = last.cut_torn(drained.saturating_sub(last.base))?;
        }
        if torn > 0 {
            tracing::warn!(bytes = torn, "the last record of the ledger's queue was not written to its end");
        }
        // A file of an earlier process is not written on: what a failed disk left at its end stays at its end.
        if segments.back().is_none_or(|last| last.length > 0) {
            let (number, base) = segments.back().map_or((1, 0), |last| (last.number + 1, last.end()));
            segments.push_back(Segment::create(dir, number, base)?);
        }
        Ok(Self {
            dir: dir.to_owned(),
            most,
            done,
            state: Mutex::new(State { segments, drained, synced: 0 }),
        })
    }

    /// Appends records of one call; where they end.
    ///
    /// # Errors
    /// The queue is full, or the disk refuses; then nothing was appended.
    pub fn append(&self, entry: &Entry) -> Result<u64, QueueError> {
        let payload = serde_json::to_vec(entry).map_err(io::Error::other)?;
        if payload.len() > LONGEST {
            return self.append_halves(entry);
        }
        let bytes = frame::frame(&payload);
        let mut state = self.lock();
        if state.used() + bytes.len() as u64 > self.most {
            return Err(QueueError::Full);
        }
        state.writable(&self.dir)?.append(&bytes)?;
        Ok(state.end())
    }

    /// A call has a handful of records; should they ever be too long for one frame, they go into two.
    fn append_halves(&self, entry: &Entry) -> Result<u64, QueueError> {
        let (one, two) = entry.rows.split_at(entry.rows.len() / 2);
        if one.is_empty() {
            return Err(io::Error::other("a record is longer than a frame").into());
        }
        self.append(&Entry { rows: one.to_vec(), ..entry.clone() })?;
        self.append(&Entry { rows: two.to_vec(), ..entry.clone() })
    }

    /// False when new calls should be refused, so that those under way still find room.
    pub fn has_room(&self) -> bool {
        self.lock().used() + self.most / RESERVE < self.most
    }

    /// True when it should be emptied soon.
    pub fn is_filling(&self) -> bool {
        self.lock().used() > self.most / FILLING
    }

    /// Where the last record ends.
    pub fn end(&self) -> u64 {
        self.lock().end()
    }

    /// How far the records are in the database.
    pub fn drained(&self) -> u64 {
        self.lock().drained
    }

    /// Some of the oldest records; [`None`] when there are none. Blocks on the disk.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn read(&self) -> io::Result<Option<Batch>> {
        let (file, offset, length, base, last) = {
            let state = self.lock();
            let at = state.drained;
            let Some(segment) = state.segments.iter().find(|segment| at < segment.end()) else {
                return Ok(None);
            };
            let last = state.segments.back().is_some_and(|last| last.number == segment.number);
            (segment.file.try_clone()?, at - segment.base, segment.length, segment.base, last)
        };
        let bytes = segment::read(&file, offset, length, HEADER + LONGEST)?;
        let whole = offset + bytes.len() as u64 == length;
        let mut batch = Batch::default();
        let mut at = 0;
        while at < bytes.len() {
            match frame::next(&bytes[at..]) {
                Found::Record(payload, length) => {
                    match serde_json::from_slice(payload) {
                        Ok(entry) => batch.entries.push(entry),
                        Err(_) => batch.damaged += 1,
                    }
                    at += length;
                }
                Found::Damage(length) => {
                    batch.damaged += 1;
                    at += length;
                }
                Found::Cut if whole && !last => {
                    batch.damaged += 1;
                    at = bytes.len();
                }
                // The rest of the record comes with the next read, or not at all: then it was never acknowledged.
                Found::Cut if at > 0 => break,
                Found::Cut => {
                    batch.damaged += 1;
                    at = bytes.len();
                }
            }
        }
        batch.end = base + offset + at as u64;
        Ok(Some(batch))
    }

    /// Remembers that everything before `end` is in the database, and deletes the files that are done.
    ///
    /// # Errors
    /// The disk refuses; what is done is then done again after a restart.
    pub fn done(&self, end: u64) -> io::Result<()> {
        let mut state = self.lock();
        state.drained = state.drained.max(end);
        while state.segments.len() > 1 && state.segments.front().is_some_and(|first| first.end() <= end) {
            if let Some(first) = state.segments.pop_front() {
                first.delete()?;
            }
        }
        let Some(first) = state.segments.front() else { return Ok(()) };
        write_mark(&self.done, first.number, end.saturating_sub(first.base))
    }

    /// Brings to the disk what was appended. Blocks on the disk.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn sync(&self) -> io::Result<()> {
        let (end, born, files) = {
            let state = self.lock();
            let behind = || state.segments.iter().filter(|segment| segment.end() > state.synced);
            let born = behind().any(|segment| segment.base >= state.synced);
            let files = behind().map(|segment| segment.file.try_clone()).collect::<io::Result<Vec<_>>>()?;
            (state.end(), born, files)
        };
        for file in files {
            file.sync_data()?;
        }
        if born {
            // A new file is only there after a crash when its name is.
            File::open(&self.dir)?.sync_all()?;
        }
        self.lock().synced = end;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole after every operation, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end(&self) -> u64 {
        self.segments.back().map_or(0, Segment::end)
    }

    fn used(&self) -> u64 {
        self.end().saturating_sub(self.drained)
    }

    /// The file to append to; a new one when the last is long enough.
    fn writable(&mut self, dir: &Path) -> io::Result<&mut Segment> {
        let next = match self.segments.back() {
            Some(last) if last.length < SEGMENT => None,
            Some(last) => Some((last.number + 1, last.end())),
            None => Some((1, 0)),
        };
        if let Some((number, base)) = next {
            self.segments.push_back(Segment::create(dir, number, base)?);
        }
        self.segments.back_mut().ok_or_else(|| io::Error::other("the queue has no file"))
    }
}

/// The file's number and the offset in it, and a checksum: a mark that was torn counts as none.
fn read_mark(file: &File) -> Option<(u64, u64)> {
    let mut bytes = [0; 24];
    file.read_exact_at(&mut bytes, 0).ok()?;
    let number = |at: usize| bytes[at..at + 8].try_into().map(u64::from_le_bytes).ok();
    let (segment, offset, check) = (number(0)?, number(8)?, number(16)?);
    (check == mark_check(segment, offset)).then_some((segment, offset))
}

fn write_mark(file: &File, segment: u64, offset: u64) -> io::Result<()> {
    let numbers = [segment, offset, mark_check(segment, offset)];
    file.write_all_at(&numbers.map(u64::to_le_bytes).concat(), 0)
}

fn mark_check(segment: u64, offset: u64) -> u64 {
    (segment.rotate_left(32) ^ offset ^ 0x5a5a_0f0f_3c3c_9696).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
