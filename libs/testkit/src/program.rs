//! The real program as a child process: started on free ports, killed or ended, never left behind.
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tempfile::NamedTempFile;

use crate::client::Client;

const START_LIMIT: Duration = Duration::from_secs(60);
const END_LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A command of the program in an environment in which no model provider and no setting of the developer is known.
pub fn command(binary: &str, args: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command.args(args).env_clear().env("COPYDESK__LLM_ROUTER__DISCOVERY", "false").stdin(Stdio::null());
    for name in ["PATH", "HOME", "TMPDIR", "LLVM_PROFILE_FILE"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command
}

/// What a command came to.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs a command to its end. For commands that end by themselves; one that hangs is killed after a minute.
///
/// # Errors
/// When it cannot be started or does not end.
pub fn run(binary: &str, args: &[&str]) -> anyhow::Result<Ended> {
    let mut program = Spawned::new(command(binary, args))?;
    let Some(status) = program.wait(END_LIMIT)? else { bail!("`{}` did not end", args.join(" ")) };
    program.ended(status)
}

/// A child and the files that hold what it says.
struct Spawned {
    child: Child,
    stdout: NamedTempFile,
    stderr: NamedTempFile,
}

impl Spawned {
    fn new(mut command: Command) -> anyhow::Result<Self> {
        // Files, not pipes: nobody has to read while the child writes.
        let (stdout, stderr) = (NamedTempFile::new()?, NamedTempFile::new()?);
        let child = command.stdout(stdout.reopen()?).stderr(stderr.reopen()?).spawn();
        Ok(Self { child: child.context("cannot start the program")?, stdout, stderr })
    }

    fn wait(&mut self, limit: Duration) -> anyhow::Result<Option<ExitStatus>> {
        let began = Instant::now();
        loop {
            match self.child.try_wait()? {
                None if began.elapsed() < limit => std::thread::sleep(LOOK_EVERY),
                status => return Ok(status),
            }
        }
    }

    fn ended(&self, status: ExitStatus) -> anyhow::Result<Ended> {
        Ok(Ended { code: status.code(), stdout: read(&self.stdout)?, stderr: read(&self.stderr)? })
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        // By the id of the process that we started; one that has ended is not signalled again.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn read(file: &NamedTempFile) -> anyhow::Result<String> {
    Ok(String::from_utf8_lossy(&std::fs::read(file.path())?).into_owned())
}

/// A running `up` or `serve`. Dropping it kills it.
pub struct Program {
    child: Spawned,
    /// Where gRPC is served, `host:port`.
    pub address: String,
    /// Where metrics and health are served, `host:port`.
    pub admin: String,
    /// Its data folder.
    pub data: PathBuf,
}

impl Program {
    /// Starts the whole mesh on a data folder, on free ports, and returns when it answers. `more` are further
    /// arguments.
    ///
    /// # Errors
    /// When it ends instead; the error holds what it said.
    pub async fn up(binary: &str, data: &Path, more: &[&str]) -> anyhow::Result<Self> {
        Self::start(binary, &["up"], data, &data.join("endpoints.json"), "gateway", "127.0.0.1:0", more).await
    }

    /// Starts one service on a data folder. `listen` is `127.0.0.1:0` for a free port, or where it stood before.
    ///
    /// # Errors
    /// When it ends instead; the error holds what it said.
    pub async fn serve(
        binary: &str,
        service: &str,
        data: &Path,
        listen: &str,
        more: &[&str],
    ) -> anyhow::Result<Self> {
        let endpoints = match service {
            "gateway" => data.join("endpoints.json"),
            _ => data.join(service).join("endpoints.json"),
        };
        Self::start(binary, &["serve", service], data, &endpoints, service, listen, more).await
    }

    async fn start(
        binary: &str,
        words: &[&str],
        data: &Path,
        endpoints: &Path,
        key: &str,
        listen: &str,
        more: &[&str],
    ) -> anyhow::Result<Self> {
        // What an earlier process wrote there is no sign of this one.
        match std::fs::remove_file(endpoints) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut command = command(binary, words);
        command.arg("--data").arg(data).args(["--listen", listen, "--admin", "127.0.0.1:0"]).args(more);
        let mut child = Spawned::new(command)?;
        let began = Instant::now();
        let found = loop {
            if let Some(status) = child.child.try_wait()? {
                let ended = child.ended(status)?;
                bail!("the program ended with {:?}: {}{}", ended.code, ended.stdout, ended.stderr);
            }
            if let Ok(text) = std::fs::read_to_string(endpoints) {
                break serde_json::from_str::<serde_json::Value>(&text)?;
            }
            if began.elapsed() > START_LIMIT {
                bail!("the program did not start: {}", read(&child.stderr)?);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        let place =
            |key: &str| found[key].as_str().map(str::to_owned).context("endpoints.json lacks an address");
        Ok(Self { address: place(key)?, admin: place("admin")?, data: data.to_path_buf(), child })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.child.id()
    }

    /// The development key of the data folder.
    ///
    /// # Errors
    /// When there is none: only the gateway writes it.
    pub fn dev_key(&self) -> anyhow::Result<String> {
        let path = self.data.join("dev-key");
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// A client with the development key.
    ///
    /// # Errors
    /// When there is no such key.
    pub fn client(&self) -> anyhow::Result<Client> {
        Client::new(&self.address, Some(&self.dev_key()?))
    }

    /// What it has written to standard error so far.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn log(&self) -> anyhow::Result<String> {
        read(&self.child.stderr)
    }

    /// Ends it as a power cut would: nothing is flushed, nobody is told.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill9(mut self) -> anyhow::Result<()> {
        self.child.child.kill()?;
        self.child.child.wait()?;
        Ok(())
    }

    /// Sends SIGTERM.
    ///
    /// # Errors
    /// When `kill` cannot be run.
    pub fn ask_to_end(&self) -> anyhow::Result<()> {
        self.signal("TERM")
    }

    /// Sends SIGHUP: the program reads its configuration anew.
    ///
    /// # Errors
    /// When `kill` cannot be run.
    pub fn hang_up(&self) -> anyhow::Result<()> {
        self.signal("HUP")
    }

    fn signal(&self, name: &str) -> anyhow::Result<()> {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status()?;
        if !status.success() {
            bail!("kill -{name} failed");
        }
        Ok(())
    }

    /// Waits for its end after [`Program::ask_to_end`].
    ///
    /// # Errors
    /// When it has not ended within `limit`.
    pub fn wait(&mut self, limit: Duration) -> anyhow::Result<Ended> {
        let Some(status) = self.child.wait(limit)? else { bail!("the program did not end within {limit:?}") };
        self.child.ended(status)
    }

    /// Ends it as an operator would, and waits for it.
    ///
    /// # Errors
    /// When it does not end.
    pub fn terminate(mut self) -> anyhow::Result<Ended> {
        self.ask_to_end()?;
        self.wait(END_LIMIT)
    }

    /// A figure of `/proc/<pid>/status` in kilobytes: `VmRSS` is its memory now, `VmHWM` the most it ever was.
    ///
    /// # Errors
    /// When the system has no such file.
    pub fn memory_kb(&self, figure: &str) -> anyhow::Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'));
        let words = line.with_context(|| format!("there is no {figure}"))?;
        Ok(words.trim().trim_end_matches("kB").trim().parse()?)
    }
}
