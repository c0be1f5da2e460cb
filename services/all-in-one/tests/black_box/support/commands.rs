//! Commands of the real program, and what they say.
use copydesk_testkit::program::{self, Ended};
use tempfile::TempDir;

use super::PROGRAM;

/// The settings with which ports are never taken.
pub const FREE_PORTS: [&str; 4] = ["--set", "server.listen=127.0.0.1:0", "--set", "server.admin=127.0.0.1:0"];

/// Runs the program to its end.
pub fn run(args: &[&str]) -> Ended {
    program::run(PROGRAM, args).expect("it ends")
}

/// What a command that succeeds says.
pub fn good(args: &[&str]) -> String {
    let ended = run(args);
    assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    ended.stdout
}

/// What a command that fails says; it says nothing on standard output and does not panic.
pub fn bad(args: &[&str]) -> String {
    let ended = run(args);
    assert!(matches!(ended.code, Some(1 | 2)), "{args:?}: {ended:?}");
    assert!(!ended.stderr.contains("panicked") && !ended.stderr.is_empty(), "{args:?}: {}", ended.stderr);
    ended.stderr
}

/// A folder that goes with the test, and its path.
pub fn folder() -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().to_str().expect("UTF-8").to_owned();
    (folder, path)
}
