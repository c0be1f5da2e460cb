//! The parts as processes of their own, each on a core of its own where that can be had.
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};

/// Of the clock in which the system counts processor time; the same on every Linux.
const TICKS_PER_SECOND: u64 = 100;

/// A part of the bench. It ends when this is dropped.
pub struct Process {
    child: Child,
    /// Its end tells the part to end.
    _stdin: ChildStdin,
    /// Where it listens.
    pub address: String,
    /// What else it said.
    pub words: Vec<String>,
}

impl Process {
    /// Starts this program again with these arguments, on this core, and waits until it listens.
    pub fn start(core: usize, arguments: &[&str]) -> anyhow::Result<Self> {
        let program = std::env::current_exe()?;
        let mut command = if can_pin() {
            let mut command = Command::new("taskset");
            command.arg("-c").arg(core.to_string()).arg(program);
            command
        } else {
            Command::new(program)
        };
        let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let stdin = child.stdin.take().context("no way in")?;
        let stdout = child.stdout.take().context("no way out")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let mut words = line.split_whitespace().map(str::to_owned);
        let address = words.next().with_context(|| format!("{arguments:?} did not start"))?;
        Ok(Self { child, _stdin: stdin, address, words: words.collect() })
    }

    /// Processor time used so far.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name in brackets may hold anything; after it user and system time are the 12th and 13th.
        let (_, rest) = stat.rsplit_once(')').context("no name in it")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        ensure!(fields.len() > 12, "too few fields");
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
    }

    /// Processor time used until nothing is left to do.
    pub async fn cpu_at_rest(&self) -> anyhow::Result<Duration> {
        let mut before = self.cpu()?;
        loop {
            tokio::time::sleep(Duration::from_millis(250)).await;
            let now = self.cpu()?;
            if now - before <= Duration::from_millis(1_000 / TICKS_PER_SECOND) {
                return Ok(now);
            }
            before = now;
        }
    }

    /// Resident memory in MiB: now, and the most there has been.
    pub fn memory(&self) -> anyhow::Result<(f64, f64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let mib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
            let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
            anyhow::Ok(kib / 1_024.0)
        };
        Ok((mib("VmRSS:")?, mib("VmHWM:")?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether processes can be kept on a core.
pub fn can_pin() -> bool {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores > 1 && Command::new("taskset").arg("-V").stdout(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Keeps this process on a core. To be called while it has one thread.
pub fn pin_self(core: usize) -> anyhow::Result<()> {
    let own = std::process::id().to_string();
    let mut taskset = Command::new("taskset");
    let pinned = taskset.args(["-p", "-c", &core.to_string(), &own]).stdout(Stdio::null()).status()?;
    ensure!(pinned.success(), "taskset failed");
    Ok(())
}

/// Tells the parent where this process listens, and ends it with its parent.
pub fn ready(address: &str, words: &[String]) {
    let line = format!("{address} {}\n", words.join(" "));
    // A parent that has gone ends this process below.
    let _ = std::io::stdout().write_all(line.as_bytes());
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
}
