//! Bringing a service's tables to a version, up and down, under a lock and as a whole.

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::{Connection, PgConnection};

use crate::database::Pools;
use crate::{Sql, StoreError, driver};

/// sqlx's own name for its table.
const TABLE: &str = "_sqlx_migrations";

/// Where to go.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    Newest,
    DownTo(i64),
}

pub(crate) async fn migrate(
    pools: &Pools,
    migrations: &'static Migrator,
    target: Target,
) -> Result<(), StoreError> {
    // Our own locks: sqlx's is one for all schemas of a database, and stays held in the pool after a failure.
    let mut steps = Migrator::with_migrations(migrations.iter().cloned().collect());
    steps.set_locking(false);
    match pools {
        Pools::Sqlite(pools) => {
            // The steps nest as savepoints, so another process sees all of them or none.
            let mut tx = pools.writer.begin_with("BEGIN IMMEDIATE").await?;
            run(&steps, &mut *tx, target).await?;
            tx.commit().await?;
        }
        Pools::Postgres(service) => {
            let mut connection = service.maintenance().await?;
            let outcome = run(&steps, &mut connection, target).await;
            release(connection).await;
            outcome?;
        }
    }
    Ok(())
}

/// The newest version that was applied; 0 before the first.
pub(crate) async fn version(pools: &Pools) -> Result<i64, StoreError> {
    let sql = Sql::from("SELECT COALESCE(MAX(version), 0) AS version FROM _sqlx_migrations");
    let row = match pools {
        Pools::Sqlite(pools) => driver::fetch_optional(&pools.readers, sql, &[]).await?,
        Pools::Postgres(service) => driver::fetch_optional(&service.pool, sql, &[]).await?,
    };
    row.map_or(Ok(0), |row| row.get("version"))
}

/// Over `Migrate` rather than sqlx's `run` and `undo`: what those ask of the connection makes a future that
/// cannot be spawned.
async fn run<C: Migrate>(steps: &Migrator, connection: &mut C, target: Target) -> Result<(), MigrateError> {
    match target {
        Target::Newest => steps.run_direct(None, connection, false).await,
        Target::DownTo(version) => undo(steps, connection, version).await,
    }
}

async fn undo<C: Migrate>(steps: &Migrator, connection: &mut C, target: i64) -> Result<(), MigrateError> {
    connection.ensure_migrations_table(TABLE).await?;
    let applied = connection.list_applied_migrations(TABLE).await?;
    for done in applied.iter().rev().filter(|done| done.version > target) {
        let way_back =
            steps.iter().find(|step| step.version == done.version && step.migration_type.is_down_migration());
        let step = way_back.ok_or(MigrateError::VersionMissing(done.version))?;
        connection.revert(TABLE, step).await?;
    }
    Ok(())
}

async fn release(connection: PgConnection) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "migration connection did not close cleanly");
    }
}
