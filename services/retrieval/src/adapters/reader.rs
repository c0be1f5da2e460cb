//! Reads documents: text in this process, whatever can hang or swell in a process of its own.
//!
//! The other process is this program again, asked to read one document: bytes in by its standard input, text out by its
//! standard output. It limits its own memory and processor time before it looks at the first byte, and is killed when
//! its time is over. So the worst document costs one process, and its owner is told which limit it broke.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
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

/// What a child's own code, stacks and libraries may take beside the memory that reading may.
const BASE: u64 = 256 << 20;
/// What a child may say of itself; more is not read.
const SAID: u64 = 16 * 1024;
/// Longest head of an answer.
const HEAD: usize = 64 << 20;

/// The reader.
pub struct ProcessReader {
    program: Option<PathBuf>,
    turns: Semaphore,
}

impl ProcessReader {
    /// `program` reads with the argument [`ARGUMENT`]; absent: the program that this is. At most one child a processor.
    pub fn new(program: Option<PathBuf>) -> Self {
        let turns = std::thread::available_parallelism().map_or(1, usize::from);
        Self { program: program.or_else(|| std::env::current_exe().ok()), turns: Semaphore::new(turns) }
    }

    async fn read_apart(&self, ask: Ask, bytes: Bytes) -> Result<Reading, ReadFailure> {
        let _turn = self.turns.acquire().await.map_err(|_| ours("the reader is closed"))?;
        let program = self.program.clone().ok_or_else(|| ours("the program does not know its own path"))?;
        // Whoever waits may go; the child still ends within its time, and its turn with it.
        let work = tokio::task::spawn_blocking(move || read_in_child(&program, &ask, bytes));
        work.await.unwrap_or_else(|_| Err(ours("the work was lost")))
    }
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

/// Reads a document in a child. Blocks for as long as that takes.
fn read_in_child(program: &Path, ask: &Ask, bytes: Bytes) -> Result<Reading, ReadFailure> {
    let head = serde_json::to_vec(ask).map_err(|_| ours("a question cannot be written"))?;
    let mut child = Command::new(program)
        .arg(ARGUMENT)
        // Nothing of the environment: keys and addresses are no business of a reader of hostile bytes.
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|_| ours("a process for reading cannot be started"))?;
    let answered = listen(&mut child, head, bytes, ask.limits);
    let answer = answered.recv_timeout(Duration::from_millis(ask.limits.millis));
    // Killing one that has ended does nothing; killing one that has not closes its streams, which ends the threads.
    if answer.is_err() {
        let _ = child.kill();
    }
    let ended = child.wait().map_err(|_| ours("a process for reading was lost"))?;
    match answer {
        Err(_) => Err(timeout(&ask.limits)),
        Ok((Some(answer), _)) if ended.success() => answer,
        Ok((_, said)) => Err(end(ended, &said, &ask.limits)),
    }
}

/// What a child answered, if it was whole, and what it said of itself.
type Answered = (Option<Result<Reading, ReadFailure>>, Vec<u8>);

/// Talks to a child on threads of their own: a child that does not read, or writes without end, holds up only these.
fn listen(child: &mut Child, head: Vec<u8>, bytes: Bytes, limits: ReadLimits) -> mpsc::Receiver<Answered> {
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (answered, receiver) = mpsc::channel();
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
        let said = if answer.is_some() { Vec::new() } else { said.join().unwrap_or_default() };
        let _ = answered.send((answer, said));
    });
    receiver
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
            reading.text = String::from_utf8(exactly(output, text)?).ok()?;
            for (picture, size) in reading.pictures.iter_mut().zip(pictures) {
                picture.bytes = exactly(output, size.min(limits.memory_bytes as usize))?;
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
    if said.contains("memory allocation of") || said.contains("capacity overflow") {
        let most = limits.memory_bytes >> 20;
        return ReadFailure::new(reason::MEMORY, format!("reading it takes more than {most} MiB of memory"));
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
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let Some(ask) = asked(&mut input) else { return false };
    if !confine(&ask.limits) {
        return false;
    }
    let mut bytes = Vec::new();
    if input.read_to_end(&mut bytes).is_err() {
        return false;
    }
    let read = match Format::from_word(&ask.format) {
        Some(format) => parsers::parse(format, &bytes, &ask.limits),
        None => Err(ours("a process for reading is of another build")),
    };
    write_answer(&mut output, read).is_ok()
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
    setrlimit(Resource::Cpu, limit(seconds)).is_ok()
        && setrlimit(Resource::Core, limit(0)).is_ok()
        && setrlimit(Resource::As, limit(limits.memory_bytes.saturating_add(BASE))).is_ok()
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
