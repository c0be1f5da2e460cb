//! The documents of an upload as rows: how one changes its state, how its ingestion counts it, and lists of them.

use std::ops::RangeInclusive;

use copydesk_store::{Database, StoreError, Tx, params};
use copydesk_types::{IngestionId, TenantId};

use super::rows;
use crate::domain::stages::{IngestionDocument, Stage};

/// A change of an item's state.
pub(super) struct Close<'a> {
    pub tenant: &'a str,
    pub id: &'a str,
    pub ordinal: u32,
    /// The ingestion's count of changes after this one.
    pub change: i64,
    pub stage: Stage,
    pub reason: &'a str,
    pub message: &'a str,
    /// Whether this was a loss.
    pub lost: bool,
    /// The document that has its key, or nothing.
    pub document: &'a str,
    pub chunks: i64,
    pub now: i64,
}

impl Close<'_> {
    pub(super) async fn run(&self, tx: &mut Tx) -> Result<(), StoreError> {
        // The bytes go with the item's work, so that a finished upload takes no room twice; those of a failed one stay
        // for another attempt.
        let sql =
            "UPDATE ingestion_item SET state = $4, reason = $5, message = $6, document_id = $7, chunks = $8,
              change = $9, update_time = $10, attempts = attempts + 1, lost = lost + $11,
              content = CASE WHEN $4 IN ('done', 'unchanged') THEN NULL ELSE content END
            WHERE tenant = $1 AND ingestion_id = $2 AND ordinal = $3";
        let values = params![
            self.tenant,
            self.id,
            self.ordinal,
            self.stage.word(),
            self.reason,
            self.message,
            self.document,
            self.chunks,
            self.change,
            self.now,
            i64::from(self.lost),
        ];
        tx.execute(sql, &values).await?;
        Ok(())
    }
}

/// Counts a changed item for its ingestion: at this stage, of so many bytes, with so many chunks written.
pub(super) async fn count(
    tx: &mut Tx,
    tenant: &str,
    id: &str,
    stage: Stage,
    bytes: i64,
    chunks: i64,
) -> Result<(), StoreError> {
    let sql = "UPDATE ingestion SET changes = changes + 1, documents_done = documents_done + $3,
          documents_unchanged = documents_unchanged + $4, documents_failed = documents_failed + $5,
          bytes_done = bytes_done + $6, chunks_written = chunks_written + $7
        WHERE tenant = $1 AND ingestion_id = $2";
    let one = |counted: bool| i64::from(counted);
    let values = params![
        tenant,
        id,
        one(stage == Stage::Done),
        one(stage == Stage::Unchanged),
        one(matches!(stage, Stage::Failed | Stage::Poisoned)),
        if stage == Stage::Waiting { 0 } else { bytes },
        chunks,
    ];
    tx.execute(sql, &values).await?;
    Ok(())
}

pub(super) async fn list(
    database: &Database,
    tenant: TenantId,
    id: IngestionId,
    state: Option<Stage>,
    from: u32,
    limit: u32,
) -> Result<Vec<IngestionDocument>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM ingestion_item WHERE tenant = $1 AND ingestion_id = $2 AND ordinal >= $3
           AND ($4 = '' OR state = $4) ORDER BY ordinal LIMIT $5"
    );
    let state = state.map_or("", Stage::word);
    let values = params![tenant.to_string(), id.to_string(), from, state, limit];
    database.query(sql, &values).await?.iter().map(rows::ingestion_document).collect()
}

pub(super) async fn changed(
    database: &Database,
    tenant: TenantId,
    id: IngestionId,
    changes: RangeInclusive<u64>,
    limit: u32,
) -> Result<Vec<IngestionDocument>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM ingestion_item WHERE tenant = $1 AND ingestion_id = $2
           AND change BETWEEN $3 AND $4 ORDER BY change DESC LIMIT $5"
    );
    let (from, until) = (rows::int(*changes.start()), rows::int(*changes.end()));
    let values = params![tenant.to_string(), id.to_string(), from, until, limit];
    let newest_first = database.query(sql, &values).await?;
    newest_first.iter().rev().map(rows::ingestion_document).collect()
}

/// All that a caller may see: the bytes stay where they are.
const COLUMNS: &str =
    "ordinal, key, state, attempts, reason, message, document_id, chunks, size_bytes, update_time";
