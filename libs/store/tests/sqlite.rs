//! What is particular to SQLite files.

use copydesk_store::{Database, DatabaseConfig, Dialect, Migrator, StoreError, params, testing};

static MIGRATIONS: Migrator = sqlx::migrate!("tests/migrations");

const INSERT: &str = "INSERT INTO author (id, tenant, name) VALUES ($1, 'acme', $2)";

async fn open(path: &std::path::Path) -> Result<Database, StoreError> {
    Database::open(&DatabaseConfig::file(path), "test", &MIGRATIONS).await
}

/// Asks the writer, because readers have settings of their own.
async fn pragma(database: &Database, sql: &'static str, column: &str) -> Result<String, StoreError> {
    let row = database.begin().await?.query_opt(sql, &[]).await?;
    let row = row.ok_or_else(|| StoreError::Config { reason: "no such setting".to_owned() })?;
    row.get::<String>(column).or_else(|_| row.get::<i64>(column).map(|n| n.to_string()))
}

#[tokio::test]
async fn the_writer_is_durable_and_checks_references() {
    let database = testing::sqlite(&MIGRATIONS).await;
    assert_eq!(database.dialect(), Dialect::Sqlite);
    assert_eq!(pragma(&database, "PRAGMA journal_mode", "journal_mode").await.unwrap(), "wal");
    assert_eq!(pragma(&database, "PRAGMA synchronous", "synchronous").await.unwrap(), "2", "2 is FULL");
    assert_eq!(pragma(&database, "PRAGMA foreign_keys", "foreign_keys").await.unwrap(), "1");
    assert_eq!(pragma(&database, "PRAGMA busy_timeout", "timeout").await.unwrap(), "10000");
    database.close().await;
}

#[tokio::test]
async fn reads_outside_a_transaction_cannot_write() {
    let database = testing::sqlite(&MIGRATIONS).await;
    assert!(database.query(INSERT, &params![1, "a"]).await.is_err());
    assert!(database.query("SELECT id FROM author", &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_file_in_a_missing_folder_is_made_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/store.sqlite3");
    let database = open(&path).await.unwrap();
    database.execute(INSERT, &params![1, "kept"]).await.unwrap();
    database.close().await;
    assert!(!path.with_extension("sqlite3-wal").exists(), "closing folds the log into the file");

    let database = open(&path).await.unwrap();
    let row = database.query_opt("SELECT name FROM author", &[]).await.unwrap().unwrap();
    assert_eq!(row.get::<String>("name").unwrap(), "kept");
    database.close().await;
}

#[tokio::test]
async fn a_transaction_that_sqlite_itself_rolled_back_does_not_block_the_writer() {
    let database = testing::sqlite(&MIGRATIONS).await;
    database.execute(INSERT, &params![1, "a"]).await.unwrap();
    for ending in ["drop", "commit", "rollback"] {
        let mut tx = database.begin().await.unwrap();
        tx.execute(INSERT, &params![2, "b"]).await.unwrap();
        let refused =
            tx.execute("INSERT OR ROLLBACK INTO author (id, tenant, name) VALUES (1, 'x', 'y')", &[]).await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
        match ending {
            "commit" => assert!(matches!(tx.commit().await, Err(StoreError::Aborted))),
            "rollback" => tx.rollback().await.unwrap(),
            _ => drop(tx),
        }
        let mut tx = database.begin().await.unwrap();
        tx.execute("UPDATE author SET name = name", &[]).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(database.query("SELECT id FROM author", &[]).await.unwrap().len(), 1);
}

/// A new file, then one that lacks the newest step: the second is where each reads before it writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn openers_at_the_same_time_migrate_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite3");
    for _ in 0..2 {
        let openers = (0..16).map(|_| {
            let path = path.clone();
            tokio::spawn(async move { open(&path).await })
        });
        for opened in futures_util::future::join_all(openers).await {
            let database = opened.unwrap().unwrap();
            assert_eq!(database.version().await.unwrap(), 2);
            database.close().await;
        }
        let database = open(&path).await.unwrap();
        database.migrate_down_to(1).await.unwrap();
        database.close().await;
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_called_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite3");
    std::fs::write(&path, "this is a text file, long enough to be taken for a database header. ".repeat(20))
        .unwrap();
    let error = open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    let error = open(folder.path()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "a folder is not a file: {error:?}");
}

#[tokio::test]
async fn memory_is_private_and_shares_one_connection() {
    let first = testing::memory(&MIGRATIONS).await;
    let second = testing::memory(&MIGRATIONS).await;
    first.execute(INSERT, &params![1, "mine"]).await.unwrap();
    assert_eq!(first.query("SELECT id FROM author", &[]).await.unwrap().len(), 1);
    assert!(second.query("SELECT id FROM author", &[]).await.unwrap().is_empty());
    let tx = first.begin().await.unwrap();
    drop(tx);
    assert_eq!(first.query("SELECT id FROM author", &[]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_temporary_database_goes_with_its_last_clone() {
    let database = testing::sqlite(&MIGRATIONS).await;
    let row = database.query_opt("PRAGMA database_list", &[]).await.unwrap().unwrap();
    let file = std::path::PathBuf::from(row.get::<String>("file").unwrap());
    assert!(file.exists());
    database.close().await;
    let clone = database.clone();
    drop(database);
    assert!(file.exists());
    drop(clone);
    assert!(!file.exists());
}

#[tokio::test]
async fn unusable_settings_are_refused_before_anything_is_opened() {
    let config = DatabaseConfig { max_connections: 0, ..DatabaseConfig::memory() };
    let error = Database::open(&config, "test", &MIGRATIONS).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Config { reason } if reason.contains("max_connections")),
        "{error:?}"
    );
}
