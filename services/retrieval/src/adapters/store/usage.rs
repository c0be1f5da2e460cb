//! What tenants have stored. A tenant's row is the last that a transaction locks.

use copydesk_store::{Database, StoreError, Tx, params};
use copydesk_types::TenantId;

use super::rows;
use crate::domain::stages::{Allowance, Measure, OverQuota, Usage};
use crate::ports::NewIngestion;

/// What a transaction adds; negative where it takes away.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Growth {
    pub documents: i64,
    pub chunks: i64,
    pub bytes: i64,
}

/// Counts what a transaction stores. Whether that exceeds what the tenant may store is the caller's to act on.
pub(super) async fn add(
    tx: &mut Tx,
    tenant: &str,
    growth: Growth,
    allowance: &Allowance,
) -> Result<Option<OverQuota>, StoreError> {
    let sql = "INSERT INTO tenant_usage (tenant, documents, chunks, bytes) VALUES ($1, $2, $3, $4)
        ON CONFLICT (tenant) DO UPDATE SET documents = tenant_usage.documents + excluded.documents,
          chunks = tenant_usage.chunks + excluded.chunks, bytes = tenant_usage.bytes + excluded.bytes
        RETURNING documents, chunks, bytes";
    let Growth { documents, chunks, bytes } = growth;
    let row = tx.query_opt(sql, &params![tenant, documents, chunks, bytes]).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(allowance.exceeded([
        (Measure::Documents, documents, row.get("documents")?),
        (Measure::Chunks, chunks, row.get("chunks")?),
        (Measure::Bytes, bytes, row.get("bytes")?),
    ]))
}

/// Takes back what a knowledge base holds, before its rows go.
pub(super) async fn take_back(tx: &mut Tx, tenant: &str, knowledge_base: &str) -> Result<(), StoreError> {
    let sql = "SELECT COUNT(*) AS documents, CAST(COALESCE(SUM(chunk_count), 0) AS BIGINT) AS chunks,
          CAST(COALESCE(SUM(upload_bytes), 0) AS BIGINT) AS bytes
        FROM document WHERE tenant = $1 AND knowledge_base_id = $2";
    let Some(row) = tx.query_opt(sql, &params![tenant, knowledge_base]).await? else { return Ok(()) };
    let less = |column: &str| row.get::<i64>(column).map(|n| -n);
    let growth = Growth { documents: less("documents")?, chunks: less("chunks")?, bytes: less("bytes")? };
    add(tx, tenant, growth, &Allowance::default()).await.map(|_| ())
}

pub(super) async fn of(database: &Database, tenant: TenantId) -> Result<Usage, StoreError> {
    let tenant = tenant.to_string();
    let stored = "SELECT documents, chunks, bytes FROM tenant_usage WHERE tenant = $1";
    let mut usage = Usage::default();
    if let Some(row) = database.query_opt(stored, &params![&tenant]).await? {
        usage.documents = rows::unsigned(&row, "documents")?;
        usage.chunks = rows::unsigned(&row, "chunks")?;
        usage.bytes = rows::unsigned(&row, "bytes")?;
    }
    if let Some(row) = database.query_opt(WAITING, &params![&tenant]).await? {
        usage.open_ingestions = rows::unsigned(&row, "open_ingestions")?;
        usage.waiting_bytes = rows::unsigned(&row, "waiting_bytes")?;
    }
    Ok(usage)
}

/// Whether an upload that is staged would exceed what its tenant may store, staged bytes included. What it replaces is
/// counted once.
pub(super) async fn check(
    tx: &mut Tx,
    tenant: TenantId,
    new: &NewIngestion,
    allowance: &Allowance,
) -> Result<Option<OverQuota>, StoreError> {
    if allowance.is_unlimited() {
        return Ok(None);
    }
    let tenant = tenant.to_string();
    // Holds the row to the end: two uploads at once are checked one after the other.
    add(tx, &tenant, Growth::default(), allowance).await?;
    let (stored, waiting, growth) = (
        one(tx, "SELECT documents, bytes FROM tenant_usage WHERE tenant = $1", &tenant).await?,
        one(tx, WAITING, &tenant).await?,
        growth(tx, &tenant, new).await?,
    );
    let open = waiting.get::<i64>("open_ingestions")? + 1;
    let bytes = stored.get::<i64>("bytes")? + waiting.get::<i64>("waiting_bytes")? - growth.replaced;
    Ok(allowance.exceeded([
        (Measure::OpenIngestions, 1, open),
        (Measure::Documents, growth.documents, stored.get::<i64>("documents")? + growth.documents),
        (Measure::Bytes, rows::int(new.bytes) - growth.replaced, bytes),
    ]))
}

struct Staged {
    /// Documents whose keys are new.
    documents: i64,
    /// Bytes of the documents that it replaces.
    replaced: i64,
}

async fn growth(tx: &mut Tx, tenant: &str, new: &NewIngestion) -> Result<Staged, StoreError> {
    let sql = "SELECT COUNT(*) - COUNT(d.document_id) AS documents,
          CAST(COALESCE(SUM(d.upload_bytes), 0) AS BIGINT) AS replaced
        FROM ingestion_item i LEFT JOIN document d
          ON d.tenant = i.tenant AND d.knowledge_base_id = $3 AND d.key = i.key
        WHERE i.tenant = $1 AND i.ingestion_id = $2";
    let values = params![tenant, new.id.to_string(), new.knowledge_base.to_string()];
    match tx.query_opt(sql, &values).await? {
        Some(row) => Ok(Staged { documents: row.get("documents")?, replaced: row.get("replaced")? }),
        None => Ok(Staged { documents: 0, replaced: 0 }),
    }
}

async fn one(tx: &mut Tx, sql: &'static str, tenant: &str) -> Result<copydesk_store::Row, StoreError> {
    let row = tx.query_opt(sql, &params![tenant]).await?;
    row.ok_or_else(|| StoreError::Decode { column: "tenant".to_owned(), reason: "has no row".to_owned() })
}

const WAITING: &str = "SELECT
      (SELECT COUNT(*) FROM ingestion WHERE tenant = $1 AND finish_time IS NULL) AS open_ingestions,
      (SELECT CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) FROM ingestion_item
        WHERE tenant = $1 AND content IS NOT NULL) AS waiting_bytes";
