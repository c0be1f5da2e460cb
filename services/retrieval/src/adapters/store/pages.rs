//! The rows of pages, and what vision models read of their pictures.

use async_trait::async_trait;
use copydesk_store::{Row, StoreError, Tx, Value, params};
use copydesk_types::{DocumentId, KnowledgeBaseId, TenantId};

use super::DatabaseStore;
use super::rows;
use crate::domain::reading::Page;
use crate::domain::reading::router::{Complexity, Path};
use crate::ports::{OcrStore, StoredPage};

const PAGE: &str =
    "document_page (tenant, document_id, number, span_start, span_end, complexity, path, reasons,
    picture_hash)";

const PAGES: &str = "SELECT * FROM document_page WHERE tenant = $1 AND document_id = $2 ORDER BY number";

/// Writes a document's pages.
pub(super) async fn write(
    tx: &mut Tx,
    tenant: &str,
    document: &str,
    pages: &[StoredPage],
) -> Result<(), StoreError> {
    let row = |stored: &StoredPage| {
        let page = &stored.page;
        // A reason is one line; U+0000 is nothing that a column of text could hold.
        let reasons = page.reasons.join("\n").replace('\0', "");
        params![
            tenant,
            document,
            page.number,
            rows::size(page.span.start),
            rows::size(page.span.end),
            page.complexity.word(),
            page.path.word(),
            reasons,
            stored.picture_hash.as_deref().unwrap_or_default(),
        ]
        .to_vec()
    };
    let all: Vec<Vec<Value>> = pages.iter().map(row).collect();
    tx.insert_rows(PAGE, all, "").await?;
    Ok(())
}

/// The pages of a document, in order.
pub(super) async fn read(
    store: &DatabaseStore,
    tenant: TenantId,
    document: DocumentId,
) -> Result<Vec<Page>, StoreError> {
    let found = store.database.query(PAGES, &params![tenant.to_string(), document.to_string()]).await?;
    found.iter().map(page).collect()
}

/// The same with the hashes of their pictures; `of` is a tenant and a document.
pub(super) async fn stored(store: &DatabaseStore, of: &[Value]) -> Result<Vec<StoredPage>, StoreError> {
    let found = store.database.query(PAGES, of).await?;
    let stored = |row: &Row| {
        let hash: String = row.get("picture_hash")?;
        Ok(StoredPage { page: page(row)?, picture_hash: (!hash.is_empty()).then_some(hash) })
    };
    found.iter().map(stored).collect()
}

fn page(row: &Row) -> Result<Page, StoreError> {
    let span = rows::span(row)?;
    let reasons: String = row.get("reasons")?;
    Ok(Page {
        number: row.get("number")?,
        span: span.start as usize..span.end as usize,
        complexity: rows::word(row, "complexity", Complexity::from_word)?,
        path: rows::word(row, "path", Path::from_word)?,
        reasons: reasons.lines().map(str::to_owned).collect(),
    })
}

/// Deletes the texts of pictures that no page shows any more. Run it after pages were deleted; `hashes` were theirs.
pub(super) async fn forget_pictures(tx: &mut Tx, tenant: &str, hashes: &[String]) -> Result<(), StoreError> {
    let sql = "DELETE FROM picture_text WHERE tenant = $1 AND picture_hash = $2 AND NOT EXISTS
        (SELECT 1 FROM document_page p WHERE p.tenant = $1 AND p.picture_hash = $2)";
    for hash in hashes {
        tx.execute(sql, &params![tenant, hash]).await?;
    }
    Ok(())
}

/// The pictures that a document shows.
pub(super) async fn pictures(tx: &mut Tx, tenant: &str, document: &str) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT DISTINCT picture_hash FROM document_page
        WHERE tenant = $1 AND document_id = $2 AND picture_hash <> ''";
    tx.query(sql, &params![tenant, document]).await?.iter().map(|row| row.get("picture_hash")).collect()
}

#[async_trait]
impl OcrStore for DatabaseStore {
    async fn ocr_text(
        &self,
        tenant: TenantId,
        hash: &str,
        reader: &str,
    ) -> Result<Option<String>, StoreError> {
        let sql = "SELECT text FROM picture_text WHERE tenant = $1 AND picture_hash = $2 AND reader = $3";
        let row = self.database.query_opt(sql, &params![tenant.to_string(), hash, reader]).await?;
        row.map(|row| rows::text(&row, "text")).transpose()
    }

    async fn keep_ocr_text(
        &self,
        tenant: TenantId,
        knowledge_base: KnowledgeBaseId,
        hash: &str,
        reader: &str,
        text: &str,
        now: i64,
    ) -> Result<(), StoreError> {
        let sql =
            "INSERT INTO picture_text (tenant, knowledge_base_id, picture_hash, reader, text, create_time)
            SELECT $1, $2, $3, $4, $5, $6 WHERE EXISTS
              (SELECT 1 FROM knowledge_base WHERE tenant = $1 AND knowledge_base_id = $2)
            ON CONFLICT (tenant, picture_hash, reader) DO NOTHING";
        let values =
            params![tenant.to_string(), knowledge_base.to_string(), hash, reader, text.as_bytes(), now];
        self.database.execute(sql, &values).await?;
        Ok(())
    }
}
