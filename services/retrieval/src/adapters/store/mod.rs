//! The rows, on SQLite and PostgreSQL alike. The transactions are the promise: a document's old rows go and its new
//! ones come in one, together with the counters and the version that tell others of it.

mod documents;
mod ends;
mod index_source;
mod ingestions;
mod items;
mod jobs;
mod knowledge;
mod objects;
mod pages;
mod reembeddings;
mod rows;
mod snapshots;
mod sources;
mod terms;
mod usage;
mod vectors;

use copydesk_store::{Database, Migrator, StoreError, Tx, params};
use copydesk_types::TenantId;

use crate::ports::RequestKey;

/// The tables of this service.
pub static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// The store over a database.
#[derive(Debug, Clone)]
pub struct DatabaseStore {
    database: Database,
}

impl DatabaseStore {
    /// A store over a migrated database.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.database.ping().await
    }
}

/// The calls whose request ids are kept.
mod method {
    pub(super) const CREATE_KNOWLEDGE_BASE: &str = "CreateKnowledgeBase";
    pub(super) const INGEST: &str = "Ingest";
    pub(super) const REEMBED: &str = "ReembedKnowledgeBase";
    pub(super) const RESTORE_SNAPSHOT: &str = "RestoreSnapshot";
    pub(super) const RETRY_INGESTION: &str = "RetryIngestion";
}

/// Takes a request id for a new resource. `None` when it was free; else what it stands for: the body's fingerprint and
/// the resource. On PostgreSQL a concurrent holder is waited for.
async fn take_request(
    tx: &mut Tx,
    tenant: TenantId,
    method: &'static str,
    request: &RequestKey,
    resource: &str,
) -> Result<Option<(String, String)>, StoreError> {
    let insert = "INSERT INTO request (tenant, method, request_id, fingerprint, resource_id)
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant, method, request_id) DO NOTHING";
    let values = params![tenant.to_string(), method, &request.id, &request.fingerprint, resource];
    if tx.execute(insert, &values).await? == 1 {
        return Ok(None);
    }
    let select = "SELECT fingerprint, resource_id FROM request
        WHERE tenant = $1 AND method = $2 AND request_id = $3";
    let row = tx.query_opt(select, &params![tenant.to_string(), method, &request.id]).await?;
    row.map(|row| Ok((row.get("fingerprint")?, row.get("resource_id")?))).transpose()
}
