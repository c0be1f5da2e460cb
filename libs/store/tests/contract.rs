//! What the crate promises on both databases, one case at a time.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

use std::collections::BTreeSet;

use copydesk_store::{
    Database, DatabaseConfig, Migrator, Row, Sql, StoreError, params, placeholders, testing,
};
use futures_util::FutureExt;
use futures_util::future::join_all;

static MIGRATIONS: Migrator = sqlx::migrate!("tests/migrations");

/// Runs the same case on every database that is at hand, naming it when the case fails.
macro_rules! on_both {
    ($($name:ident => $case:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            for (name, database) in testing::both(&MIGRATIONS).await {
                println!("on {name}");
                $case(database.clone()).await;
                database.close().await;
            }
        }
    )*};
}

on_both! {
    every_kind_of_value_comes_back_as_it_went_in => values_round_trip;
    a_taken_key_is_named_alike => conflicts;
    broken_rules_are_told_apart => rules;
    what_one_database_cannot_keep_is_refused_by_both => refused_values;
    many_rows_go_in_at_once => many_rows;
    a_dropped_transaction_leaves_nothing => dropped_transaction;
    a_cancelled_transaction_frees_the_writer => cancelled_transaction;
    a_failed_statement_ends_the_transaction => failed_statement;
    readers_do_not_wait_for_a_writer => concurrent_readers;
    no_write_of_64_concurrent_writers_is_lost => concurrent_writers;
    migrations_go_down_and_up_again => migrations;
    lists_order_and_the_clock_are_portable => portable_words;
    changed_rows_can_be_returned_and_locked => returning;
    after_closing_calls_are_unavailable => closed;
}

/// Services run these calls in tasks of their own.
#[tokio::test]
async fn every_call_can_be_spawned() {
    fn spawnable<T: Send + 'static>(_: &T) {}
    spawnable(&async {
        let database = Database::open(&DatabaseConfig::memory(), "test", &MIGRATIONS).await?;
        database.query(String::from("SELECT 1 AS one"), &params![]).await?;
        let mut tx = database.begin().await?;
        tx.query_opt("SELECT $1 AS one", &params![1]).await?;
        tx.commit().await?;
        database.migrate_down_to(0).await?;
        database.close().await;
        Ok::<(), StoreError>(())
    });
    let opened = tokio::spawn(async { Database::open(&DatabaseConfig::memory(), "test", &MIGRATIONS).await });
    opened.await.unwrap().unwrap().ping().await.unwrap();
}

async fn add_author(database: &Database, id: i64, name: &str) -> Result<u64, StoreError> {
    database
        .execute("INSERT INTO author (id, tenant, name) VALUES ($1, $2, $3)", &params![id, "acme", name])
        .await
}

async fn count(database: &Database, sql: &'static str) -> i64 {
    database.query_opt(sql, &[]).await.unwrap().unwrap().get("n").unwrap()
}

async fn authors(database: &Database) -> i64 {
    count(database, "SELECT COUNT(*) AS n FROM author").await
}

async fn values_round_trip(database: Database) {
    const INSERT: &str = "INSERT INTO note (id, author_id, score, body, digest) VALUES ($1, $2, $3, $4, $5)";
    let text = "naïve \u{1F980}\n';-- \u{FEFF}";
    add_author(&database, i64::MIN, "a").await.unwrap();
    let full = params![i64::MAX, i64::MIN, -0.1_f64, text, [0_u8, 255, 0]];
    assert_eq!(database.execute(INSERT, &full).await.unwrap(), 1);
    let absent = params![0, None::<i64>, None::<f64>, None::<&str>, None::<Vec<u8>>];
    database.execute(INSERT, &absent).await.unwrap();
    database.execute(INSERT, &params![1, None::<i64>, 3.0_f64, "", b""]).await.unwrap();

    let rows = database.query("SELECT * FROM note ORDER BY id DESC", &[]).await.unwrap();
    let [full, empty, absent] = <[Row; 3]>::try_from(rows).unwrap();
    assert_eq!(full.get::<i64>("id").unwrap(), i64::MAX);
    assert_eq!(full.get::<i64>("author_id").unwrap(), i64::MIN);
    assert_eq!(full.get::<f64>("score").unwrap(), -0.1);
    assert_eq!(full.get::<String>("body").unwrap(), text);
    assert_eq!(full.get::<Vec<u8>>("digest").unwrap(), [0, 255, 0]);
    assert_eq!(empty.get::<f64>("score").unwrap(), 3.0);
    assert_eq!(empty.get::<Option<String>>("body").unwrap().as_deref(), Some(""));
    assert_eq!(empty.get::<Option<Vec<u8>>>("digest").unwrap(), Some(Vec::new()));
    assert_eq!(absent.get::<Option<i64>>("author_id").unwrap(), None);
    assert_eq!(absent.get::<Option<f64>>("score").unwrap(), None);
    assert_eq!(absent.get::<Option<String>>("body").unwrap(), None);
    assert_eq!(absent.get::<Option<Vec<u8>>>("digest").unwrap(), None);

    let author = database.query_opt("SELECT name, active FROM author", &[]).await.unwrap().unwrap();
    assert!(author.get::<bool>("active").unwrap());
    assert_eq!(author.get::<i64>("name").unwrap_err().to_string().split(':').next(), Some("column name"));
    assert!(database.query_opt("SELECT id FROM note WHERE id = $1", &params![77]).await.unwrap().is_none());
}

async fn conflicts(database: Database) {
    add_author(&database, 1, "private name").await.unwrap();
    for (id, name, key) in [(1, "other", "author.id"), (2, "private name", "author.tenant, author.name")] {
        let error = add_author(&database, id, name).await.unwrap_err();
        let StoreError::Conflict { constraint, .. } = &error else { panic!("{error:?}") };
        assert_eq!(constraint, key);
        assert!(!error.is_retryable());
        assert!(!format!("{error} {error:?}").contains("private"), "{error:?}");
    }
    const SCORED: &str = "INSERT INTO note (id, author_id, score) VALUES ($1, 1, $2)";
    database.execute(SCORED, &params![1, 101.0]).await.unwrap();
    database.execute(SCORED, &params![2, 1.0]).await.unwrap();
    let error = database.execute(SCORED, &params![3, 102.0]).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Conflict { constraint, .. } if constraint == "note.author_id"),
        "{error:?}"
    );

    const UPSERT: &str =
        "INSERT INTO author (id, tenant, name) VALUES ($1, $2, $3) ON CONFLICT (tenant, name) DO NOTHING";
    let again = params![9, "acme", "private name"];
    assert_eq!(database.execute(UPSERT, &again).await.unwrap(), 0);
}

async fn many_rows(database: Database) {
    add_author(&database, 1, "x").await.unwrap();
    let row = |id: i64, body: String| params![id, 1, body].to_vec();
    let mut tx = database.begin().await.unwrap();
    for (from, until) in [(0, 0), (0, 1), (1, 18), (18, 400)] {
        let rows = (from..until).map(|id| row(id, format!("note {id}"))).collect();
        let inserted = tx.insert_rows("note (id, author_id, body)", rows, "").await.unwrap();
        assert_eq!(inserted as i64, until - from);
    }
    let again = (399..401).map(|id| row(id, "again".into())).collect();
    let inserted = tx.insert_rows("note (id, author_id, body)", again, "ON CONFLICT (id) DO NOTHING").await;
    assert_eq!(inserted.unwrap(), 1);
    tx.commit().await.unwrap();
    let found = database.query("SELECT id, body FROM note ORDER BY id", &[]).await.unwrap();
    assert_eq!(found.len(), 401);
    for (id, row) in found.iter().enumerate() {
        let body: String = row.get("body").unwrap();
        assert_eq!(body, if id == 400 { "again".to_owned() } else { format!("note {id}") });
    }
    let mut tx = database.begin().await.unwrap();
    let taken = tx.insert_rows("note (id, author_id, body)", vec![row(7, "taken".into())], "").await;
    assert!(matches!(taken, Err(StoreError::Conflict { .. })), "{taken:?}");
}

async fn rules(database: Database) {
    let orphan = database.execute("INSERT INTO note (id, author_id) VALUES (1, 404)", &[]).await;
    assert!(matches!(orphan, Err(StoreError::ForeignKey { .. })), "{orphan:?}");
    let rule =
        database.execute("INSERT INTO author (id, tenant, name, active) VALUES (1, 'a', 'b', 2)", &[]).await;
    assert!(matches!(rule, Err(StoreError::Invalid { source: Some(_), .. })), "{rule:?}");
    let absent =
        database.execute("INSERT INTO author (id, tenant) VALUES (1, $1)", &params![None::<String>]).await;
    assert!(matches!(absent, Err(StoreError::Invalid { source: Some(_), .. })), "{absent:?}");
    let nonsense = database.query("SELECT nothing FROM nowhere", &[]).await;
    assert!(matches!(nonsense, Err(StoreError::Other { .. })), "{nonsense:?}");
    assert_eq!(authors(&database).await, 0);
}

async fn refused_values(database: Database) {
    let text = add_author(&database, 1, "a\0b").await;
    assert!(matches!(text, Err(StoreError::Invalid { source: None, .. })), "{text:?}");
    let number = database.execute("INSERT INTO note (id, score) VALUES (1, $1)", &params![f64::NAN]).await;
    assert!(matches!(number, Err(StoreError::Invalid { source: None, .. })), "{number:?}");
    assert_eq!(authors(&database).await, 0);
}

async fn dropped_transaction(database: Database) {
    let mut tx = database.begin().await.unwrap();
    tx.execute("INSERT INTO author (id, tenant, name) VALUES (1, 'a', 'b')", &[]).await.unwrap();
    drop(tx);
    let mut tx = database.begin().await.unwrap();
    assert_eq!(tx.query("SELECT id FROM author", &[]).await.unwrap().len(), 0);
    tx.execute("INSERT INTO author (id, tenant, name) VALUES (2, 'a', 'b')", &[]).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(authors(&database).await, 0);
    let mut tx = database.begin().await.unwrap();
    assert_eq!(tx.dialect(), database.dialect());
    tx.execute("INSERT INTO author (id, tenant, name) VALUES (3, 'a', 'b')", &[]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(authors(&database).await, 1, "a read after the commit sees it");
}

/// Drops a transaction's future after each possible number of polls: at whatever point that cuts it, the next
/// transaction must start, and the row is there as a whole or not at all.
async fn cancelled_transaction(database: Database) {
    let write = async |id: i64| {
        let mut tx = database.begin().await?;
        tx.execute(
            "INSERT INTO author (id, tenant, name) VALUES ($1, $2, $3)",
            &params![id, "a", format!("n{id}")],
        )
        .await?;
        tx.execute("INSERT INTO note (id, author_id) VALUES ($1, $1)", &params![id]).await?;
        tx.commit().await
    };
    let mut finished = 0;
    for polls in 0..60 {
        let mut future = Box::pin(write(polls));
        for _ in 0..polls {
            if let Some(outcome) = (&mut future).now_or_never() {
                outcome.unwrap();
                finished += 1;
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(future);
        write(1000 + polls).await.unwrap();
    }
    assert!(finished < 60, "some were cut short");
    let halves = "SELECT COUNT(*) AS n FROM author WHERE id NOT IN (SELECT author_id FROM note)";
    assert_eq!(count(&database, halves).await, 0);
    assert_eq!(count(&database, "SELECT COUNT(*) AS n FROM author WHERE id >= 1000").await, 60);
    assert!(count(&database, "SELECT COUNT(*) AS n FROM author WHERE id < 1000").await >= finished);
}

async fn failed_statement(database: Database) {
    const INSERT: &str = "INSERT INTO author (id, tenant, name) VALUES (1, 'a', 'b')";
    let mut tx = database.begin().await.unwrap();
    tx.execute(INSERT, &[]).await.unwrap();
    assert!(matches!(tx.execute(INSERT, &[]).await, Err(StoreError::Conflict { .. })));
    assert!(matches!(tx.query("SELECT 1 AS one", &[]).await, Err(StoreError::Aborted)));
    assert!(matches!(tx.commit().await, Err(StoreError::Aborted)));
    assert_eq!(authors(&database).await, 0);

    // Long enough that one poll does not see its end; should one do so all the same, the next try counts.
    const LONG: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
        SELECT COUNT(*) AS n FROM n";
    for tries in 0.. {
        assert!(tries < 20, "the statement was never cut short");
        let mut tx = database.begin().await.unwrap();
        if tx.query(LONG, &[]).now_or_never().is_none() {
            assert!(matches!(tx.commit().await, Err(StoreError::Aborted)));
            break;
        }
    }
    add_author(&database, 1, "after").await.unwrap();
}

async fn concurrent_readers(database: Database) {
    add_author(&database, 1, "before").await.unwrap();
    let mut tx = database.begin().await.unwrap();
    tx.execute("UPDATE author SET name = 'during'", &[]).await.unwrap();
    let reads = join_all((0..16).map(|_| database.query_opt("SELECT name FROM author", &[]))).await;
    for read in reads {
        assert_eq!(read.unwrap().unwrap().get::<String>("name").unwrap(), "before");
    }
    tx.commit().await.unwrap();
    let row = database.query_opt("SELECT name FROM author", &[]).await.unwrap().unwrap();
    assert_eq!(row.get::<String>("name").unwrap(), "during");
}

async fn concurrent_writers(database: Database) {
    add_author(&database, 0, "0").await.unwrap();
    let increment = async |database: Database| {
        let mut tx = database.begin().await?;
        let lock = tx.dialect().for_update();
        let row = tx.query_opt(format!("SELECT name FROM author WHERE id = 0{lock}"), &[]).await?;
        let seen: i64 = row.unwrap().get::<String>("name")?.parse().unwrap();
        tx.execute("UPDATE author SET name = $1 WHERE id = 0", &params![(seen + 1).to_string()]).await?;
        tx.commit().await
    };
    let tasks = (0..64).map(|_| tokio::spawn(increment(database.clone())));
    for outcome in join_all(tasks).await {
        outcome.unwrap().unwrap();
    }
    let row = database.query_opt("SELECT name FROM author", &[]).await.unwrap().unwrap();
    assert_eq!(row.get::<String>("name").unwrap(), "64");
}

async fn migrations(database: Database) {
    assert_eq!(database.version().await.unwrap(), 2);
    add_author(&database, 1, "gone with the table").await.unwrap();
    database.migrate_down_to(1).await.unwrap();
    assert_eq!(database.version().await.unwrap(), 1);
    assert_eq!(authors(&database).await, 1);
    assert!(database.query("SELECT word FROM tag", &[]).await.is_err());
    database.migrate_down_to(0).await.unwrap();
    assert_eq!(database.version().await.unwrap(), 0);
    database.migrate_up().await.unwrap();
    database.migrate_up().await.unwrap();
    assert_eq!(database.version().await.unwrap(), 2);
    assert_eq!(authors(&database).await, 0);
    assert_eq!(count(&database, "SELECT COUNT(*) AS n FROM tag").await, 0);
}

async fn portable_words(database: Database) {
    for (id, name) in [(1, "b"), (2, "B"), (3, "a"), (4, "é")] {
        add_author(&database, id, name).await.unwrap();
    }
    let sql = format!("SELECT id FROM author WHERE tenant = $1 AND id IN ({})", placeholders(2, 3));
    let found = database.query(Sql::once(sql), &params!["acme", 1, 4, 9]).await.unwrap();
    let ids: BTreeSet<i64> = found.iter().map(|row| row.get("id").unwrap()).collect();
    assert_eq!(ids, [1, 4].into());
    let none =
        database.query(format!("SELECT id FROM author WHERE id IN ({})", placeholders(1, 0)), &[]).await;
    assert!(none.unwrap().is_empty());

    let sorted = database.query("SELECT name FROM author ORDER BY name COLLATE \"C\"", &[]).await.unwrap();
    let names: Vec<String> = sorted.iter().map(|row| row.get("name").unwrap()).collect();
    assert_eq!(names, ["B", "a", "b", "é"]);

    let now =
        database.query_opt(format!("SELECT {} AS now", database.dialect().now_ms()), &[]).await.unwrap();
    let here = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let there = now.unwrap().get::<u64>("now").unwrap();
    assert!(u128::from(there).abs_diff(here) < 60_000, "{there} against {here}");
    database.ping().await.unwrap();
}

async fn returning(database: Database) {
    for id in 1..=3 {
        add_author(&database, id, &format!("n{id}")).await.unwrap();
    }
    let mut tx = database.begin().await.unwrap();
    let locked = tx
        .query(format!("SELECT id FROM author WHERE id = 1{}", tx.dialect().for_update_skip_locked()), &[])
        .await
        .unwrap();
    assert_eq!(locked.len(), 1);
    let changed =
        tx.query("UPDATE author SET active = 0 WHERE id > $1 RETURNING id", &params![1]).await.unwrap();
    assert_eq!(changed.len(), 2);
    let first = tx.query_opt("DELETE FROM author RETURNING id", &[]).await.unwrap();
    assert!(first.is_some());
    tx.commit().await.unwrap();
    assert_eq!(authors(&database).await, 0, "query_opt takes one row but the statement does all its work");
}

async fn closed(database: Database) {
    database.close().await;
    for outcome in [database.ping().await, database.begin().await.map(drop)] {
        assert!(outcome.as_ref().is_err_and(StoreError::is_retryable), "{outcome:?}");
    }
}
