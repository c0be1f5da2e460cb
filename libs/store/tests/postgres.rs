//! What is particular to PostgreSQL. Skipped when no server is named, like every test of its kind.

use copydesk_store::{Database, DatabaseConfig, Migrator, StoreError, params, testing};
use futures_util::future::join_all;

static MIGRATIONS: Migrator = sqlx::migrate!("tests/migrations");

#[tokio::test]
async fn services_share_a_server_and_see_only_their_own_tables() {
    let (Some(first), Some(second)) =
        (testing::postgres(&MIGRATIONS).await, testing::postgres(&MIGRATIONS).await)
    else {
        return;
    };
    first.execute("INSERT INTO author (id, tenant, name) VALUES (1, 'a', 'b')", &[]).await.unwrap();
    assert!(second.query("SELECT id FROM author", &[]).await.unwrap().is_empty());
    // The setting belongs to every connection of the pool, not to the one that ran the migrations.
    let reads = join_all((0..8).map(|_| first.query("SELECT id FROM author", &[]))).await;
    assert!(reads.into_iter().all(|rows| rows.unwrap().len() == 1));
    second.migrate_down_to(0).await.unwrap();
    assert_eq!((first.version().await.unwrap(), second.version().await.unwrap()), (2, 0));
}

#[tokio::test]
async fn replicas_that_start_together_migrate_once() {
    let Some(config) = testing::postgres_config() else { return };
    let opened = join_all((0..4).map(|_| Database::open(&config, "test", &MIGRATIONS))).await;
    for database in opened {
        let database = database.unwrap();
        assert_eq!(database.version().await.unwrap(), 2);
        database.close().await;
    }
}

#[tokio::test]
async fn a_failed_migration_leaves_no_lock_behind() {
    static BROKEN: Migrator = sqlx::migrate!("tests/broken");
    let Some(config) = testing::postgres_config() else { return };
    for _ in 0..2 {
        let error = Database::open(&config, "test", &BROKEN).await.unwrap_err();
        assert!(matches!(error, StoreError::Migration { .. }), "{error:?}");
    }
    let database = Database::open(&config, "test", &MIGRATIONS).await.unwrap();
    assert_eq!(database.version().await.unwrap(), 2);
}

#[tokio::test]
async fn a_deadlock_may_be_tried_again() {
    let Some(database) = testing::postgres(&MIGRATIONS).await else { return };
    for id in [1, 2] {
        database
            .execute(
                "INSERT INTO author (id, tenant, name) VALUES ($1, 'a', $2)",
                &params![id, id.to_string()],
            )
            .await
            .unwrap();
    }
    const TOUCH: &str = "UPDATE author SET active = 1 WHERE id = $1";
    let (mut first, mut second) = (database.begin().await.unwrap(), database.begin().await.unwrap());
    first.execute(TOUCH, &params![1]).await.unwrap();
    second.execute(TOUCH, &params![2]).await.unwrap();
    let (first_params, second_params) = (params![2], params![1]);
    let crossed = tokio::join!(async { (first.execute(TOUCH, &first_params).await, drop(first)).0 }, async {
        (second.execute(TOUCH, &second_params).await, drop(second)).0
    },);
    let outcomes = [crossed.0, crossed.1];
    let broken: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert_eq!(broken.len(), 1, "{outcomes:?}");
    assert!(broken[0].is_retryable(), "{broken:?}");
}

#[tokio::test]
async fn a_sum_of_whole_numbers_asks_for_a_cast() {
    let Some(database) = testing::postgres(&MIGRATIONS).await else { return };
    let error =
        database.query("SELECT SUM(id) AS total FROM (VALUES (1::BIGINT)) AS t (id)", &[]).await.unwrap_err();
    assert!(matches!(&error, StoreError::Decode { column, .. } if column == "total"), "{error:?}");
    assert!(error.to_string().contains("cast"), "{error}");
}

#[tokio::test]
async fn an_unreachable_server_is_unavailable_and_its_address_unsaid() {
    // Port 1 of the loopback address is reserved and nothing listens there.
    let config = DatabaseConfig::postgres("postgres://desk:hunter2@127.0.0.1:1/desk");
    let error = Database::open(&config, "test", &MIGRATIONS).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    let config = DatabaseConfig::postgres("postgres://desk:hunter2@127.0.0.1:port/desk");
    let error = Database::open(&config, "test", &MIGRATIONS).await.unwrap_err();
    assert!(matches!(error, StoreError::Config { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
}
