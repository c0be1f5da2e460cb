//! Databases for tests: one of each kind, empty but for the migrations, private to the caller.
//!
//! PostgreSQL is the server that `COPYDESK_TEST_POSTGRES_URL` names (`deploy/postgres-for-tests.sh` starts one);
//! each database is a schema of its own there, left behind for the throwaway server to take with it. Without the
//! variable those tests are skipped, unless `COPYDESK_REQUIRE_POSTGRES=1` turns the skip into a failure.

#![allow(
    clippy::panic,
    clippy::print_stderr,
    clippy::expect_used,
    reason = "a failed set-up must stop the test"
)]

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;

use sqlx::migrate::Migrator;

use crate::{Database, DatabaseConfig};

const URL: &str = "COPYDESK_TEST_POSTGRES_URL";
const REQUIRED: &str = "COPYDESK_REQUIRE_POSTGRES";
const SERVICE: &str = "test";
/// Enough for tests of concurrency, few enough for many tests at once on one server.
const CONNECTIONS: u32 = 8;

/// One database of each kind with its name, for a contract suite to loop over.
pub async fn both(migrations: &'static Migrator) -> Vec<(&'static str, Database)> {
    let mut databases = vec![("sqlite", sqlite(migrations).await)];
    databases.extend(postgres(migrations).await.map(|database| ("postgres", database)));
    databases
}

/// A SQLite database in a temporary folder that goes with the last clone of the database.
pub async fn sqlite(migrations: &'static Migrator) -> Database {
    let folder = Folder::new();
    let config = DatabaseConfig::file(folder.0.join("test.sqlite3"));
    Database::open_keeping(&config, SERVICE, migrations, Some(Box::new(folder)))
        .await
        .expect("a temporary SQLite database opens")
}

/// A SQLite database in memory: faster, but with one connection for reads and writes.
pub async fn memory(migrations: &'static Migrator) -> Database {
    Database::open(&DatabaseConfig::memory(), SERVICE, migrations).await.expect("SQLite opens in memory")
}

/// A PostgreSQL database in a fresh schema; `None` when no server is named.
pub async fn postgres(migrations: &'static Migrator) -> Option<Database> {
    let config = postgres_config()?;
    let opened = Database::open(&config, SERVICE, migrations).await;
    Some(opened.unwrap_or_else(|error| panic!("the server that {URL} names: {error:?}")))
}

/// Settings for a fresh schema on the test server; `None` when no server is named.
pub fn postgres_config() -> Option<DatabaseConfig> {
    match std::env::var(URL) {
        Ok(url) if !url.is_empty() => Some(DatabaseConfig {
            schema: Some(unique("t")),
            max_connections: CONNECTIONS,
            ..DatabaseConfig::postgres(url)
        }),
        _ if std::env::var(REQUIRED).is_ok_and(|value| value == "1") => {
            panic!("{REQUIRED} is set, but {URL} names no server")
        }
        _ => {
            eprintln!("skipped: no PostgreSQL");
            None
        }
    }
}

/// The standard hasher is seeded by the system for every process and counted up within it.
fn unique(prefix: &str) -> String {
    format!("{prefix}_{:x}_{:016x}", std::process::id(), RandomState::new().hash_one(prefix))
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(unique("copydesk_store"));
        std::fs::create_dir(&path).expect("the temporary folder can be written");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
