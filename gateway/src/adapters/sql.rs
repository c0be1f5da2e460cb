//! Tenants and keys in SQLite or PostgreSQL: one text of SQL for both.
use async_trait::async_trait;
use copydesk_store::{Database, DatabaseConfig, Migrator, Row, StoreError, params};
use copydesk_types::{KeyId, Scopes, TenantId};

use crate::ports::{KeyRecord, Store, TenantRecord};

/// The gateway's tables.
pub static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// Sorts after every id: the start of a list that is read newest first.
const BEYOND: &str = "~";
const ADD_KEY: &str =
    "INSERT INTO api_key (id, tenant, name, scopes, secret_hash, created_ms) VALUES ($1, $2, $3, $4, $5, $6)";

/// The store over either database.
#[derive(Clone)]
pub struct SqlStore(Database);

impl SqlStore {
    /// Opens the database and brings its tables up to date.
    ///
    /// # Errors
    /// When it cannot be opened or migrated.
    pub async fn open(config: &DatabaseConfig) -> Result<Self, StoreError> {
        Ok(Self(Database::open(config, crate::NAME, &MIGRATOR).await?))
    }

    /// Uses an open database.
    pub fn new(database: Database) -> Self {
        Self(database)
    }
}

fn id<T: std::str::FromStr>(row: &Row, column: &'static str) -> Result<T, StoreError> {
    let text: String = row.get(column)?;
    text.parse()
        .map_err(|_| StoreError::Decode { column: column.to_owned(), reason: "holds no id".to_owned() })
}

fn tenant(row: &Row) -> Result<TenantRecord, StoreError> {
    Ok(TenantRecord { id: id(row, "id")?, name: row.get("name")?, created_ms: row.get("created_ms")? })
}

fn key(row: &Row) -> Result<KeyRecord, StoreError> {
    let scopes: String = row.get("scopes")?;
    Ok(KeyRecord {
        id: id(row, "id")?,
        tenant: id(row, "tenant")?,
        name: row.get("name")?,
        scopes: scopes.split_whitespace().collect::<Scopes>(),
        created_ms: row.get("created_ms")?,
        revoked_ms: row.get("revoked_ms")?,
    })
}

fn key_params(key: &KeyRecord, secret_hash: &[u8]) -> [copydesk_store::Value; 6] {
    let (id, tenant) = (key.id.to_string(), key.tenant.to_string());
    params![id, tenant, &key.name, key.scopes.to_string(), secret_hash, key.created_ms]
}

#[async_trait]
impl Store for SqlStore {
    async fn add_tenant(
        &self,
        tenant: &TenantRecord,
        key: &KeyRecord,
        secret_hash: &[u8],
    ) -> Result<(), StoreError> {
        let mut tx = self.0.begin().await?;
        let sql = "INSERT INTO tenant (id, name, created_ms) VALUES ($1, $2, $3)";
        tx.execute(sql, &params![tenant.id.to_string(), &tenant.name, tenant.created_ms]).await?;
        tx.execute(ADD_KEY, &key_params(key, secret_hash)).await?;
        tx.commit().await
    }

    async fn tenant(&self, id: TenantId) -> Result<Option<TenantRecord>, StoreError> {
        let sql = "SELECT id, name, created_ms FROM tenant WHERE id = $1";
        self.0.query_opt(sql, &params![id.to_string()]).await?.as_ref().map(tenant).transpose()
    }

    async fn tenant_by_name(&self, name: &str) -> Result<Option<TenantRecord>, StoreError> {
        let sql = "SELECT id, name, created_ms FROM tenant WHERE name = $1";
        self.0.query_opt(sql, &params![name]).await?.as_ref().map(tenant).transpose()
    }

    async fn tenants(&self, before: Option<&str>, limit: u32) -> Result<Vec<TenantRecord>, StoreError> {
        let sql = "SELECT id, name, created_ms FROM tenant WHERE id COLLATE \"C\" < $1 ORDER BY id COLLATE \"C\" DESC LIMIT $2";
        let rows = self.0.query(sql, &params![before.unwrap_or(BEYOND), limit]).await?;
        rows.iter().map(tenant).collect()
    }

    async fn add_key(&self, key: &KeyRecord, secret_hash: &[u8]) -> Result<(), StoreError> {
        self.0.execute(ADD_KEY, &key_params(key, secret_hash)).await.map(drop)
    }

    async fn key_by_secret(&self, secret_hash: &[u8]) -> Result<Option<KeyRecord>, StoreError> {
        let sql =
            "SELECT id, tenant, name, scopes, created_ms, revoked_ms FROM api_key WHERE secret_hash = $1";
        self.0.query_opt(sql, &params![secret_hash]).await?.as_ref().map(key).transpose()
    }

    async fn keys(
        &self,
        tenant: TenantId,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<KeyRecord>, StoreError> {
        // Ids sort by their bytes; the server's own order may be linguistic.
        let sql = "SELECT id, tenant, name, scopes, created_ms, revoked_ms FROM api_key \
                   WHERE tenant = $1 AND id COLLATE \"C\" < $2 ORDER BY id COLLATE \"C\" DESC LIMIT $3";
        let rows = self.0.query(sql, &params![tenant.to_string(), before.unwrap_or(BEYOND), limit]).await?;
        rows.iter().map(key).collect()
    }

    async fn revoke_key(
        &self,
        tenant: TenantId,
        id: KeyId,
        now_ms: i64,
    ) -> Result<Option<KeyRecord>, StoreError> {
        let mut tx = self.0.begin().await?;
        let sql = "UPDATE api_key SET revoked_ms = COALESCE(revoked_ms, $3) WHERE tenant = $1 AND id = $2 \
                   RETURNING id, tenant, name, scopes, created_ms, revoked_ms";
        let row = tx.query_opt(sql, &params![tenant.to_string(), id.to_string(), now_ms]).await?;
        tx.commit().await?;
        row.as_ref().map(key).transpose()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.0.ping().await
    }
}
