//! The file lock between processes: the second one is this test program started again.

use std::process::{Command, Output};

use copydesk_store::{FileLock, LockError};

const PATH: &str = "COPYDESK_TEST_LOCK_PATH";

/// Runs `child` below in a process of its own.
fn in_another_process(path: &std::path::Path) -> std::io::Result<Output> {
    Command::new(std::env::current_exe()?)
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(PATH, path)
        .output()
}

/// The second process of the other tests; in the first it has nothing to do.
#[test]
fn child() {
    let Ok(path) = std::env::var(PATH) else { return };
    match FileLock::acquire(path) {
        // Ends like a crash: nothing is dropped, nothing is unlocked.
        Ok(_lock) => {
            println!("taken by {}", std::process::id());
            std::process::abort();
        }
        Err(error) => println!("refused: {error}"),
    }
}

#[test]
fn a_second_process_is_refused_and_told_who_holds_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/lock");
    let lock = FileLock::acquire(&path).unwrap();
    assert_eq!(lock.path(), path);
    let output = String::from_utf8(in_another_process(&path).unwrap().stdout).unwrap();
    assert!(output.contains(&format!("is locked by process {}", std::process::id())), "{output}");
}

#[test]
fn a_process_that_crashed_holds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let crashed = in_another_process(&path).unwrap();
    assert!(!crashed.status.success());
    let output = String::from_utf8(crashed.stdout).unwrap();
    assert!(output.contains("taken by"), "{output}");
    assert!(!std::fs::read_to_string(&path).unwrap().is_empty(), "its pid is still there");
    let lock = FileLock::acquire(&path).unwrap();
    assert_eq!(std::fs::read_to_string(lock.path()).unwrap().trim(), std::process::id().to_string());
}

#[test]
fn a_lock_is_exclusive_within_a_process_and_free_after_drop() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let lock = FileLock::acquire(&path).unwrap();
    let refused = FileLock::acquire(&path);
    assert!(
        matches!(&refused, Err(LockError::Held { pid: Some(pid), .. }) if *pid == std::process::id()),
        "{refused:?}"
    );
    drop(lock);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
    FileLock::acquire(&path).unwrap();
}

#[test]
fn a_folder_cannot_be_locked() {
    let folder = tempfile::tempdir().unwrap();
    let refused = FileLock::acquire(folder.path());
    assert!(matches!(refused, Err(LockError::Io { .. })), "{refused:?}");
}
