//! Opening SQLite: one writer, a few readers.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection, Executor};

use crate::{DatabaseConfig, StoreError};

/// How long a call waits for the writer, and SQLite for a lock that another process holds.
const WRITER_WAIT: Duration = Duration::from_secs(30);
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const RETRY_WAIT: Duration = Duration::from_millis(20);
const READERS: u32 = 4;
/// Rows that a reader's own thread may be ahead of who takes them: at each stop both threads wait for each other.
const AHEAD: usize = 1024;

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
    let writer = connect_writer(for_writing).await?;
    let readers = if in_memory {
        writer.clone()
    } else {
        let pool = SqlitePoolOptions::new().max_connections(READERS).test_before_acquire(false);
        pool.connect_lazy_with(options.read_only(true).row_buffer_size(AHEAD))
    };
    Ok(SqlitePools { writer, readers })
}

/// Opens the writer. Turning a new file's log on needs the file alone, and SQLite does not wait for that by its busy
/// timeout: openers at the same moment are told "locked" at once, so the wait is made here.
async fn connect_writer(options: SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    let began = Instant::now();
    loop {
        match writer_pool().connect_with(options.clone()).await {
            Err(error) if is_busy(&error) && began.elapsed() < BUSY_TIMEOUT => {
                tokio::time::sleep(RETRY_WAIT).await
            }
            opened => return opened,
        }
    }
}

/// SQLITE_BUSY in any of its forms: they share the lower eight bits.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| code & 0xff == 5)
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
