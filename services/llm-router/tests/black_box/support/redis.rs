//! Redis for tests: the server that `COPYDESK_TEST_REDIS_URL` names (`deploy/redis-for-tests.sh` starts one), and
//! servers of the test's own that it may kill. Without them those tests are skipped, unless `COPYDESK_REQUIRE_REDIS=1`
//! turns the skip into a failure.
#![allow(clippy::print_stderr, reason = "a skip is said aloud")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

const URL: &str = "COPYDESK_TEST_REDIS_URL";
const REQUIRED: &str = "COPYDESK_REQUIRE_REDIS";

/// The address of the test server, if there is one.
pub fn url() -> Option<String> {
    let url = std::env::var(URL).ok().filter(|url| !url.is_empty());
    url.or_else(|| skip(&format!("{URL} names no server")))
}

fn skip<T>(why: &str) -> Option<T> {
    let required = std::env::var(REQUIRED).is_ok_and(|value| value == "1");
    assert!(!required, "{REQUIRED} is set, but {why}");
    eprintln!("skipped: {why}");
    None
}

/// A server of this test alone; killed with it.
pub struct Redis {
    child: Child,
    pub port: u16,
}

impl Redis {
    /// Starts a server at a port that was free; `None` where none is installed.
    pub fn start() -> Option<Self> {
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // Somebody may take the port before the server does.
        let started = (0..20).find_map(|_| Self::start_at(free()).transpose());
        match started {
            Some(Ok(redis)) => Some(redis),
            Some(Err(_)) => skip("redis-server is not installed"),
            None => panic!("the server found no free port"),
        }
    }

    /// Starts a server at this port; `None` when the port is taken.
    pub fn start_at(port: u16) -> std::io::Result<Option<Self>> {
        let port_text = port.to_string();
        let mut child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port_text, "--save", "", "--appendonly", "no"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.map_while(Result::ok).any(|line| line.contains("Ready to accept connections"));
        let redis = Self { child, port };
        Ok(ready.then_some(redis))
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Stops it without ending it: connections stay, and nobody answers.
    pub fn freeze(&self) {
        self.signal("-STOP");
        while !self.state().starts_with('T') {
            std::thread::yield_now();
        }
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success(), "kill {signal}");
    }

    fn state(&self) -> String {
        let listed = Command::new("ps").args(["-o", "state=", "-p", &self.child.id().to_string()]).output();
        String::from_utf8(listed.unwrap().stdout).unwrap().trim().to_owned()
    }

    /// Kills it; what it held is gone.
    pub fn kill(mut self) -> u16 {
        self.end();
        self.port
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.end();
    }
}
