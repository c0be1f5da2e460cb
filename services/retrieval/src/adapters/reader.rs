//! Reads documents: text in this process, whatever can hang or swell in a process of its own.
//!
//! The other process is this program again, asked to read one document: bytes in by its standard input, text out by its
//! standard output. It limits its own memory and processor time before it looks at the first byte, and is killed when
//! its time is over or nobody waits for it any more. So the worst document costs one process, and its owner is told which
//! limit it broke.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::domain::reading::{ReadFailure, ReadLimits, Reading};
use crate::domain::records::reason;
use crate::domain::source::Format;
use crate::parsers;
use crate::ports::Reader;

/// The argument that makes the program a reader of one document.
pub const ARGUMENT: &str = "parse-child";

/// What a child's stack and the buffers of its streams may take beside the memory that reading may.
const ROOM: u64 = 32 << 20;
/// What a child may say of itself; more is not read.
const SAID: u64 = 16 * 1024;
/// Longest head of an answer.
const HEAD: usize = 64 << 20;

/// How the program's allocator takes its memory in a child: in small steps. It would set a gigabyte of addresses aside
/// before the limit of memory is set, and nothing below that would be a limit.
const ALLOCATOR: (&str, &str) = ("MIMALLOC_ARENA_RESERVE", "32MiB");

/// The reader.
pub struct ProcessReader {
    program: Option<PathBuf>,
    turns: Arc<Semaphore>,
}

impl ProcessReader {
    /// `program` reads with the argument [`ARGUMENT`]; absent: the program that this is. At most one child a processor.
    pub fn new(program: Option<PathBuf>) -> Self {
        let turns = std::thread::available_parallelism().map_or(1, usize::from);
        Self { program: program.or_else(own_program), turns: Arc::new(Semaphore::new(turns)) }
    }

    async fn read_apart(&self, ask: Ask, bytes: Bytes) -> Result<Reading, ReadFailure> {
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| ours("the reader is closed"))?;
        let program = self.program.clone().ok_or_else(|| ours("the program does not know its own path"))?;
        let (sender, heard) = mpsc::channel();
        // Dropped with this future: the child is killed at once when a job is cancelled.
        let _leash = Leash(sender.clone());
        let work = tokio::task::spawn_blocking(move || {
            // A turn ends with its child, not with the one who waited for it.
            let _turn = turn;
            read_in_child(&program, &ask, bytes, sender, &heard)
        });
        work.await.unwrap_or_else(|_| Err(ours("the work was lost")))
    }
}

/// The running program, also after its file was replaced by a newer one or deleted.
fn own_program() -> Option<PathBuf> {
    let own = Path::new("/proc/self/exe");
    if own.exists() { Some(own.to_owned()) } else { std::env::current_exe().ok() }
}

#[async_trait]
impl Reader for ProcessReader {
    async fn read(&self, format: Format, bytes: Bytes, limits: ReadLimits) -> Result<Reading, ReadFailure> {
        if parsers::apart(format) {
            return self.read_apart(Ask { format: format.word().to_owned(), limits }, bytes).await;
        }
        let read = tokio::task::spawn_blocking(move || parsers::parse(format, &bytes, &limits));
        read.await.unwrap_or_else(|_| Err(ours("the work was lost")))
    }
}

/// What a child is asked, before the bytes.
#[derive(Debug, Serialize, Deserialize)]
struct Ask {
    format: String,
    limits: ReadLimits,
}

/// What a child answers, before the bytes of text and pictures.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Read {
        /// The reading without its text; pictures without their bytes.
        reading: Reading,
        text: usize,
        pictures: Vec<usize>,
    },
    Failed(ReadFailure),
}

fn ours(message: &str) -> ReadFailure {
    ReadFailure::new(reason::INTERNAL, message)
}

fn timeout(limits: &ReadLimits) -> ReadFailure {
    ReadFailure::new(reason::TIMEOUT, format!("reading it takes more than {} ms", limits.millis))
}

fn memory(limits: &ReadLimits) -> ReadFailure {
    let most = limits.memory_bytes >> 20;
    ReadFailure::new(reason::MEMORY, format!("reading it takes more than {most} MiB of memory"))
}

/// What comes of a child.
enum Heard {
    /// Its whole answer.
    Answered(Result<Reading, ReadFailure>),
    /// Its streams ended before that; what it said of itself.
    Ended(Vec<u8>),
    /// Nobody waits for it any more.
    Unwanted,
}

/// Whoever drops this wants no answer any more.
struct Leash(mpsc::Sender<Heard>);

impl Drop for Leash {
    fn drop(&mut self) {
        let _ = self.0.send(Heard::Unwanted);
    }
}

/// Reads a document in a child. Blocks for as long as that takes, or until the other end of `heard` says that nobody waits.
fn read_in_child(
    program: &Path,
    ask: &Ask,
    bytes: Bytes,
    sender: mpsc::Sender<Heard>,
    heard: &mpsc::Receiver<Heard>,
) -> Result<Reading, ReadFailure> {
    let head = serde_json::to_vec(ask).map_err(|_| ours("a question cannot be written"))?;
    let mut child = Command::new(program)
        .arg(ARGUMENT)
        // Nothing of the environment: keys and addresses are no business of a reader of hostile bytes.
        .env_clear()
        .env(ALLOCATOR.0, ALLOCATOR.1)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|_| ours("a process for reading cannot be started"))?;
    listen(&mut child, head, bytes, ask.limits, sender);
    let heard = heard.recv_timeout(Duration::from_millis(ask.limits.millis));
    // Nothing more is wanted of one that has answered, one that is late, or one that nobody waits for. One whose streams
    // ended is at its end: how it ends says why. Killing closes the streams, which ends the threads.
    if !matches!(heard, Ok(Heard::Ended(_))) {
        let _ = child.kill();
    }
    let ended = child.wait().map_err(|_| ours("a process for reading was lost"))?;
    match heard {
        Ok(Heard::Answered(answer)) => answer,
        Ok(Heard::Ended(said)) => Err(end(ended, &said, &ask.limits)),
        Ok(Heard::Unwanted) => Err(ours("nobody waits for it any more")),
        Err(_) => Err(timeout(&ask.limits)),
    }
}

/// Talks to a child on threads of their own: a child that does not read, or writes without end, holds up only these.
fn listen(child: &mut Child, head: Vec<u8>, bytes: Bytes, limits: ReadLimits, heard: mpsc::Sender<Heard>) {
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::spawn(move || {
        let Some(mut input) = input else { return };
        // A child that ends early breaks this stream; what it says of its end counts.
        let _ = input.write_all(&(head.len() as u32).to_le_bytes());
        let _ = input.write_all(&head);
        let _ = input.write_all(&bytes);
    });
    let said = thread::spawn(move || {
        let mut said = Vec::new();
        if let Some(errors) = errors {
            let _ = errors.take(SAID).read_to_end(&mut said);
        }
        said
    });
    thread::spawn(move || {
        let answer = output.and_then(|mut output| answer(&mut output, &limits));
        let ended = || Heard::Ended(said.join().unwrap_or_default());
        let _ = heard.send(answer.map_or_else(ended, Heard::Answered));
    });
}

/// The child's answer; `None` when it is not whole.
fn answer(output: &mut impl Read, limits: &ReadLimits) -> Option<Result<Reading, ReadFailure>> {
    let mut length = [0; 4];
    output.read_exact(&mut length).ok()?;
    let head = exactly(output, (u32::from_le_bytes(length) as usize).min(HEAD))?;
    match serde_json::from_slice(&head).ok()? {
        Answer::Failed(failure) => Some(Err(failure)),
        Answer::Read { mut reading, text, pictures } => {
            if text as u64 > limits.unpacked_bytes.saturating_mul(2) {
                return Some(Err(ReadFailure::too_large(limits.unpacked_bytes)));
            }
            if pictures.iter().fold(0u64, |sum, size| sum.saturating_add(*size as u64)) > limits.memory_bytes
            {
                return Some(Err(memory(limits)));
            }
            reading.text = String::from_utf8(exactly(output, text)?).ok()?;
            for (picture, size) in reading.pictures.iter_mut().zip(pictures) {
                picture.bytes = exactly(output, size)?;
            }
            Some(Ok(reading))
        }
    }
}

/// So many bytes; memory is taken as they come, not as they are promised.
fn exactly(output: &mut impl Read, size: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    output.take(size as u64).read_to_end(&mut bytes).ok()?;
    (bytes.len() == size).then_some(bytes)
}

/// Why a child ended without an answer. Its words are looked through for those of the runtime and never kept: they may
/// be the document's.
fn end(ended: ExitStatus, said: &[u8], limits: &ReadLimits) -> ReadFailure {
    let said = String::from_utf8_lossy(said);
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&ended);
    #[cfg(not(unix))]
    let signal: Option<i32> = None;
    /// The processor time is over.
    const SIGXCPU: i32 = 24;
    if signal == Some(SIGXCPU) {
        return timeout(limits);
    }
    if said.contains("memory allocation of") {
        return memory(limits);
    }
    if said.contains("overflowed its stack") {
        return ReadFailure::unreadable("is nested too deeply");
    }
    ReadFailure::unreadable("its reader gave up on it")
}

/// The child: reads one question from standard input, answers on standard output, and ends. To be called first of all
/// in a program that got [`ARGUMENT`]; gives whether it could answer.
pub fn run_child() -> bool {
    // What a library says as it gives up may quote the document.
    std::panic::set_hook(Box::new(|_| ()));
    let mut input = std::io::stdin().lock();
    let Some(mut output) = own_output() else { return false };
    let Some(ask) = asked(&mut input) else { return false };
    if !confine(&ask.limits) {
        return false;
    }
    let mut bytes = Vec::new();
    let read = match (input.read_to_end(&mut bytes), Format::from_word(&ask.format)) {
        (Ok(_), Some(format)) => parsers::parse(format, &bytes, &ask.limits),
        (Ok(_), None) => Err(ours("a process for reading is of another build")),
        (Err(error), _) if error.kind() == ErrorKind::OutOfMemory => Err(memory(&ask.limits)),
        (Err(_), _) => return false,
    };
    write_answer(&mut output, read).is_ok()
}

/// Standard output as a stream of its own; what a library prints goes where errors go, not into the answer.
fn own_output() -> Option<File> {
    let own = rustix::io::fcntl_dupfd_cloexec(std::io::stdout(), 3).ok()?;
    rustix::stdio::dup2_stdout(std::io::stderr()).ok()?;
    Some(File::from(own))
}

fn asked(input: &mut impl Read) -> Option<Ask> {
    let mut length = [0; 4];
    input.read_exact(&mut length).ok()?;
    let mut head = vec![0; (u32::from_le_bytes(length) as usize).min(HEAD)];
    input.read_exact(&mut head).ok()?;
    serde_json::from_slice(&head).ok()
}

/// Limits this process. Its parent's clock is the limit of time; that of processor time holds when the parent is gone.
fn confine(limits: &ReadLimits) -> bool {
    let limit = |most: u64| Rlimit { current: Some(most), maximum: Some(most) };
    let seconds = limits.millis.div_ceil(1000).max(1);
    // A second between the two: what is over its hard limit is killed without a word of why.
    let processor = Rlimit { current: Some(seconds), maximum: Some(seconds + 1) };
    // Whoever searches meanwhile goes first; where that cannot be had, reading goes on all the same.
    let _ = rustix::process::nice(5);
    setrlimit(Resource::Cpu, processor).is_ok()
        && setrlimit(Resource::Core, limit(0)).is_ok()
        && setrlimit(Resource::Fsize, limit(0)).is_ok()
        // Where nothing tells how many addresses a program has at its start, no limit would be the right one.
        && taken().is_none_or(|taken| {
            let most = taken.saturating_add(ROOM).saturating_add(limits.memory_bytes);
            setrlimit(Resource::As, limit(most)).is_ok()
        })
}

/// Bytes of addresses that this process has already: its code, its libraries, its allocator. Linux only.
fn taken() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"))?;
    size.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn write_answer(output: &mut impl Write, read: Result<Reading, ReadFailure>) -> std::io::Result<()> {
    let (answer, text, pictures) = match read {
        Err(failure) => (Answer::Failed(failure), String::new(), Vec::new()),
        Ok(mut reading) => {
            let text = std::mem::take(&mut reading.text);
            let bytes: Vec<Vec<u8>> =
                reading.pictures.iter_mut().map(|picture| std::mem::take(&mut picture.bytes)).collect();
            let pictures = bytes.iter().map(Vec::len).collect();
            (Answer::Read { reading, text: text.len(), pictures }, text, bytes)
        }
    };
    let head = serde_json::to_vec(&answer).map_err(std::io::Error::other)?;
    output.write_all(&(head.len() as u32).to_le_bytes())?;
    output.write_all(&head)?;
    output.write_all(text.as_bytes())?;
    pictures.iter().try_for_each(|picture| output.write_all(picture))?;
    output.flush()
}
