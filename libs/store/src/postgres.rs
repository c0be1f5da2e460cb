//! Opening PostgreSQL: one schema per service, one pool.

use std::str::FromStr;
use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use crate::{DatabaseConfig, StoreError};

const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// A connection that rested longer is tried before use: the server may have been restarted meanwhile.
const TRUSTED_REST: Duration = Duration::from_secs(15);

#[derive(Clone)]
pub(crate) struct PgService {
    pub(crate) pool: PgPool,
    options: PgConnectOptions,
    schema: String,
}

/// Prepares the pool without connecting; [`PgService::maintenance`] is the first to reach the server.
pub(crate) fn open(config: &DatabaseConfig, service: &str) -> Result<PgService, StoreError> {
    let schema = config.schema_for(service)?;
    let url = config.url.as_ref().map_or("", |url| url.expose_secret());
    // The parser's own text is dropped: it could quote the address.
    let options = PgConnectOptions::from_str(url)
        .map_err(|_| StoreError::Config { reason: "url is not a PostgreSQL address".to_owned() })?
        .application_name(&format!("copydesk-{service}"));
    let searched = schema.clone();
    let pool = PgPoolOptions::new()
        .max_connections(config.max_connections)
        .acquire_timeout(CONNECT_WAIT)
        .test_before_acquire(false)
        .before_acquire(|connection, rest| {
            Box::pin(async move {
                if rest.idle_for > TRUSTED_REST {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(move |connection, _| {
            let schema = searched.clone();
            Box::pin(async move { search_only(connection, schema).await })
        })
        .connect_lazy_with(options.clone());
    Ok(PgService { pool, options, schema })
}

impl PgService {
    /// A connection of its own, in the service's schema and holding its migration lock. Closing it, or losing
    /// it in any other way, releases the lock; a pooled connection would carry the lock on after a failure.
    pub(crate) async fn maintenance(&self) -> Result<PgConnection, StoreError> {
        let mut connection = tokio::time::timeout(CONNECT_WAIT, self.options.connect())
            .await
            .map_err(StoreError::unavailable)??;
        sqlx::query("SELECT pg_advisory_lock(hashtextextended('copydesk schema ' || $1, 0))")
            .bind(&self.schema)
            .execute(&mut connection)
            .await?;
        // The name was checked against [a-z_][a-z0-9_]*. Asking first: creating needs a right on the database
        // that an operator who prepared the schema need not grant.
        let present: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1)")
                .bind(&self.schema)
                .fetch_one(&mut connection)
                .await?;
        if !present {
            let create = format!("CREATE SCHEMA IF NOT EXISTS \"{}\"", self.schema);
            connection.execute(AssertSqlSafe(create)).await?;
        }
        search_only(&mut connection, self.schema.clone()).await?;
        Ok(connection)
    }
}

async fn search_only(connection: &mut PgConnection, schema: String) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT set_config('search_path', $1, false)").bind(schema).execute(connection).await?;
    Ok(())
}
