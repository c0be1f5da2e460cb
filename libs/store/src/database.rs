//! A service's database, whichever it is.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use sqlx::migrate::Migrator;

use crate::migrate::{Target, migrate, version};
use crate::postgres::PgService;
use crate::sqlite::SqlitePools;
use crate::{DatabaseConfig, Dialect, Row, Sql, StoreError, Tx, Value, driver, postgres, sqlite};

/// A service's database: cheap to clone, safe to share.
///
/// Reads outside a transaction see everything that was committed before they started. On SQLite they run on
/// read-only connections and never wait for the writer.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    pools: Pools,
    migrations: &'static Migrator,
    /// Dropped after the pools: a test's temporary folder.
    _kept: Option<Box<dyn Any + Send + Sync>>,
}

pub(crate) enum Pools {
    Sqlite(SqlitePools),
    Postgres(Box<PgService>),
}

impl Database {
    /// Opens the database that `config` describes, creating it if need be, and migrates it up to the newest
    /// version. `service` names the PostgreSQL schema and the connections.
    ///
    /// # Errors
    /// [`StoreError::Config`] for unusable settings, [`StoreError::Unavailable`] when it cannot be reached,
    /// [`StoreError::Corrupt`] for a damaged file, [`StoreError::Migration`] when a migration fails or the
    /// database was made by a newer build.
    pub async fn open(
        config: &DatabaseConfig,
        service: &'static str,
        migrations: &'static Migrator,
    ) -> Result<Self, StoreError> {
        Self::open_keeping(config, service, migrations, None).await
    }

    /// Like [`open`](Self::open); `kept` lives as long as the last clone.
    pub(crate) async fn open_keeping(
        config: &DatabaseConfig,
        service: &'static str,
        migrations: &'static Migrator,
        kept: Option<Box<dyn Any + Send + Sync>>,
    ) -> Result<Self, StoreError> {
        let faults = config.faults();
        if !faults.is_empty() {
            return Err(StoreError::Config { reason: faults.join("; ") });
        }
        let pools = match config.dialect() {
            Dialect::Sqlite => Pools::Sqlite(sqlite::open(config).await?),
            Dialect::Postgres => Pools::Postgres(Box::new(postgres::open(config, service)?)),
        };
        migrate(&pools, migrations, Target::Newest).await?;
        let database = Self { inner: Arc::new(Inner { pools, migrations, _kept: kept }) };
        tracing::debug!(service, db.system.name = database.dialect().as_str(), "database is open");
        Ok(database)
    }

    /// Which database this is.
    pub fn dialect(&self) -> Dialect {
        match self.inner.pools {
            Pools::Sqlite(_) => Dialect::Sqlite,
            Pools::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Starts a transaction; see [`Tx`] for what it promises.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when no connection came free in time or the server is gone.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(match &self.inner.pools {
            Pools::Sqlite(pools) => Tx::sqlite(pools.writer.begin_with("BEGIN IMMEDIATE").await?),
            // Said outright, because the server's default is the operator's to change.
            Pools::Postgres(service) => {
                Tx::postgres(service.pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?)
            }
        })
    }

    /// All rows of a statement that only reads. What writes, `RETURNING` included, belongs into a [`Tx`].
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn query(&self, sql: impl Into<Sql>, params: &[Value]) -> Result<Vec<Row>, StoreError> {
        let sql = sql.into();
        match &self.inner.pools {
            Pools::Sqlite(pools) => driver::fetch_all(&pools.readers, sql, params).await,
            Pools::Postgres(service) => driver::fetch_all(&service.pool, sql, params).await,
        }
    }

    /// The first row of a statement that only reads, if it has one.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn query_opt(&self, sql: impl Into<Sql>, params: &[Value]) -> Result<Option<Row>, StoreError> {
        let sql = sql.into();
        match &self.inner.pools {
            Pools::Sqlite(pools) => driver::fetch_optional(&pools.readers, sql, params).await,
            Pools::Postgres(service) => driver::fetch_optional(&service.pool, sql, params).await,
        }
    }

    /// Runs one statement as a transaction of its own and returns how many rows it inserted, changed or deleted.
    ///
    /// # Errors
    /// Any [`StoreError`]; nothing is stored then.
    pub async fn execute(&self, sql: impl Into<Sql>, params: &[Value]) -> Result<u64, StoreError> {
        let sql = sql.into();
        match &self.inner.pools {
            Pools::Sqlite(pools) => driver::execute(&pools.writer, sql, params).await,
            Pools::Postgres(service) => driver::execute(&service.pool, sql, params).await,
        }
    }

    /// Applies every migration that is still missing.
    ///
    /// # Errors
    /// [`StoreError::Migration`] when one fails.
    pub async fn migrate_up(&self) -> Result<(), StoreError> {
        migrate(&self.inner.pools, self.inner.migrations, Target::Newest).await
    }

    /// Takes back, newest first, every migration above `version`; 0 takes all back. The data in the dropped
    /// tables is lost. Meant for an operator's command while the service is stopped.
    ///
    /// # Errors
    /// [`StoreError::Migration`] when one fails.
    pub async fn migrate_down_to(&self, version: i64) -> Result<(), StoreError> {
        migrate(&self.inner.pools, self.inner.migrations, Target::DownTo(version)).await
    }

    /// The newest migration that was applied; 0 before the first.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database cannot be reached.
    pub async fn version(&self) -> Result<i64, StoreError> {
        version(&self.inner.pools).await
    }

    /// Asks the database for an answer, for health checks.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it gives none.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.query_opt("SELECT 1 AS one", &[]).await.map(|_| ())
    }

    /// Waits for running calls, then closes every connection; SQLite refreshes its planner statistics and folds
    /// its log into the file. Later calls of any clone answer [`StoreError::Unavailable`].
    pub async fn close(&self) {
        match &self.inner.pools {
            Pools::Sqlite(pools) => sqlite::close(pools).await,
            Pools::Postgres(service) => service.pool.close().await,
        }
    }
}

/// Whether the PostgreSQL of these settings answers; nothing is created or migrated. SQLite always does.
///
/// # Errors
/// [`StoreError::Config`] for unusable settings, [`StoreError::Unavailable`] when it does not answer.
pub async fn probe(config: &DatabaseConfig) -> Result<(), StoreError> {
    if config.dialect() == Dialect::Sqlite {
        return Ok(());
    }
    let service = postgres::open(config, "doctor")?;
    let answer = driver::fetch_optional(&service.pool, Sql::from("SELECT 1 AS one"), &[]).await;
    service.pool.close().await;
    answer.map(|_| ())
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("dialect", &self.dialect()).finish_non_exhaustive()
    }
}
