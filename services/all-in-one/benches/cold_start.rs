//! How soon `copydesk up` serves after its process was started, and what the idle mesh holds in memory.
//!
//! `cargo bench -p copydesk-all-in-one --bench cold_start`, which builds the release binary; `COPYDESK_BIN` names another.
//!
//! How to read it:
//! - The time runs from just before the process is made to the first SERVING that the gateway answers for `readiness`
//!   over gRPC: every service of the mesh is built, its database migrated and asked. The port is tried every millisecond,
//!   and the connection is in the time too.
//! - `first start` has an empty data folder: databases and keys are made. `later start` finds them, after a clean end.
//! - Memory is `VmRSS` of the process 3 s after that answer, nothing having been asked of it; `peak` is `VmHWM`. The
//!   pages of the binary that were touched are in it.
//! - Settings are the defaults, `copydesk up` looks for models as always. The files are warm in the page cache after the
//!   first run: this is the start of a program, not of a machine.
#![allow(clippy::print_stdout, reason = "the figures are its purpose")]

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::time::sleep;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

const STARTS: usize = 10;
const TRY_EVERY: Duration = Duration::from_millis(1);
const START_LIMIT: Duration = Duration::from_secs(30);
const END_LIMIT: Duration = Duration::from_secs(20);
const IDLE: Duration = Duration::from_secs(3);

fn main() -> anyhow::Result<()> {
    // `cargo test --all-targets` starts benches too, and must not wait for one.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("nothing measured: run it with `cargo bench`");
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run())
}

async fn run() -> anyhow::Result<()> {
    let binary = match std::env::var_os("COPYDESK_BIN") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env!("CARGO_BIN_EXE_copydesk")),
    };
    let (mut first, mut later) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let folder = tempfile::tempdir()?;
        first.push(start(&binary, folder.path()).await?);
        later.push(start(&binary, folder.path()).await?);
    }
    println!("copydesk up, median of {STARTS} (least to most)");
    print("first start, to SERVING", "ms", &first, |start| start.ready.as_secs_f64() * 1e3);
    print("later start, to SERVING", "ms", &later, |start| start.ready.as_secs_f64() * 1e3);
    print("memory, idle for 3 s", "MB", &later, |start| start.idle_bytes as f64 / 1e6);
    print("memory, peak by then", "MB", &later, |start| start.peak_bytes as f64 / 1e6);
    Ok(())
}

/// What one start took.
struct Start {
    ready: Duration,
    idle_bytes: u64,
    peak_bytes: u64,
}

fn print(what: &str, unit: &str, starts: &[Start], figure: impl Fn(&Start) -> f64) {
    let mut figures: Vec<f64> = starts.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    let at = |index: usize| figures.get(index).copied().unwrap_or(f64::NAN);
    let median = (at((figures.len() - 1) / 2) + at(figures.len() / 2)) / 2.0;
    println!("  {what:<26} {median:>7.1} {unit} ({:.1} to {:.1})", at(0), at(figures.len() - 1));
}

async fn start(binary: &Path, data: &Path) -> anyhow::Result<Start> {
    let [listen, admin] = free_ports()?;
    let mut command = Command::new(binary);
    command.arg("up").arg("--data").arg(data);
    command.args(["--listen", &listen.to_string(), "--admin", &admin.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let child = command.spawn().with_context(|| format!("cannot start {}", binary.display()))?;
    let mut running = Running(child);
    while !serves(listen).await {
        if let Some(status) = running.0.try_wait()? {
            bail!("copydesk ended with {status} before it served; start it by hand to see why");
        }
        if began.elapsed() > START_LIMIT {
            bail!("copydesk did not serve within {} s", START_LIMIT.as_secs());
        }
        sleep(TRY_EVERY).await;
    }
    let ready = began.elapsed();
    sleep(IDLE).await;
    let status = format!("/proc/{}/status", running.0.id());
    let status = std::fs::read_to_string(&status).with_context(|| format!("cannot read {status}"))?;
    let (idle_bytes, peak_bytes) = (bytes(&status, "VmRSS:")?, bytes(&status, "VmHWM:")?);
    running.end().await?;
    Ok(Start { ready, idle_bytes, peak_bytes })
}

/// Two ports that were free a moment ago: the first answer must not wait for a file that tells the port.
fn free_ports() -> anyhow::Result<[SocketAddr; 2]> {
    let held = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    Ok([held[0].local_addr()?, held[1].local_addr()?])
}

async fn serves(address: SocketAddr) -> bool {
    let Ok(endpoint) = Endpoint::from_shared(format!("http://{address}")) else { return false };
    let Ok(channel) = endpoint.connect().await else { return false };
    let request = HealthCheckRequest { service: copydesk_runtime::health::READINESS.to_owned() };
    let answer = HealthClient::new(channel).check(request).await;
    answer.is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving)
}

/// A size of `/proc/<pid>/status`, which are all in KiB.
fn bytes(status: &str, key: &str) -> anyhow::Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key)).with_context(|| format!("no {key}"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1_024)
}

/// Ends with the bench, whatever happens.
struct Running(Child);

impl Running {
    /// Asks it to end, as an operator would, and waits.
    async fn end(&mut self) -> anyhow::Result<()> {
        let asked = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status()?;
        if !asked.success() {
            bail!("kill: {asked}");
        }
        let began = Instant::now();
        while self.0.try_wait()?.is_none() {
            if began.elapsed() > END_LIMIT {
                bail!("copydesk did not end within {} s of being asked", END_LIMIT.as_secs());
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when it has ended, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
