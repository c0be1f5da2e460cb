//! Opening SQLite: one writer, a few readers.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection, Executor};

use crate::{DatabaseConfig, StoreError};

/// How long a call waits for the writer, and SQLite for a lock that another process holds.
const WRITER_WAIT: Duration = Duration::from_secs(30);
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const READERS: u32 = 4;

#[derive(Clone)]
pub(crate) struct SqlitePools {
    /// A pool of exactly one: its queue is fair, and a transaction that is dropped is rolled back before the
    /// connection is handed on, however far its future had come.
    pub(crate) writer: SqlitePool,
    /// Read-only connections; in memory, the writer itself.
    pub(crate) readers: SqlitePool,
}

pub(crate) async fn open(config: &DatabaseConfig) -> Result<SqlitePools, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(&config.path)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .collation("C", |left: &str, right: &str| left.cmp(right));
    let in_memory = config.is_memory();
    if !in_memory {
        make_folder(&config.path).await?;
    }

    let for_writing = options
        .clone()
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .optimize_on_close(true, 400);
    let writer = writer_pool().connect_with(for_writing).await?;
    let readers = if in_memory {
        writer.clone()
    } else {
        let pool = SqlitePoolOptions::new().max_connections(READERS).test_before_acquire(false);
        pool.connect_lazy_with(options.read_only(true))
    };
    Ok(SqlitePools { writer, readers })
}

/// Readers go first: only the last connection that may write can fold the log back into the file.
pub(crate) async fn close(pools: &SqlitePools) {
    pools.readers.close().await;
    pools.writer.close().await;
}

fn writer_pool() -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(1)
        .min_connections(1)
        // A private in-memory database lives and dies with its connection.
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(WRITER_WAIT)
        .test_before_acquire(false)
        .after_release(|connection, _| {
            Box::pin(async move {
                // Usually the transaction ended by commit or rollback and there is nothing to wait for.
                if !connection.is_in_transaction() {
                    return Ok(true);
                }
                // A dropped one has queued its ROLLBACK; an answered ping means that it has run. It fails when
                // SQLite had already rolled back by itself (disk full, OR ROLLBACK); sqlx then believes in an
                // open transaction for ever, so that connection is closed and the pool opens another.
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        })
        .after_connect(|connection, _| {
            Box::pin(async move {
                // Bounds the log that a crash leaves behind.
                connection.execute("PRAGMA journal_size_limit = 67108864").await?;
                Ok(())
            })
        })
}

async fn make_folder(file: &Path) -> Result<(), StoreError> {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => {
            tokio::fs::create_dir_all(folder).await.map_err(StoreError::unavailable)
        }
        _ => Ok(()),
    }
}
