//! The terms of documents: written with their chunks, or, for documents that an earlier build stored or a snapshot
//! brought, when an index first reads them.

use std::collections::HashMap;
use std::ops::Range;

use copydesk_store::{Row, Sql, StoreError, Tx, Value, params, placeholders};
use copydesk_types::{DocumentId, TenantId};

use super::{DatabaseStore, rows};
use crate::domain::terms::DocumentTerms;

const PUT: &str = "INSERT INTO document_terms (tenant, document_id, document_version, terms)
    SELECT $1, $2, $3, $4 WHERE EXISTS (SELECT 1 FROM document
      WHERE tenant = $1 AND document_id = $2 AND version = $3 AND title = $5)
    ON CONFLICT (tenant, document_id) DO UPDATE SET
      document_version = excluded.document_version, terms = excluded.terms";

const TEXTS: &str = "SELECT t.document_id, t.text FROM document d
    JOIN document_text t ON t.tenant = d.tenant AND t.document_id = d.document_id
    WHERE d.tenant = $1 AND d.document_id IN (LIST)";

/// Writes a document's terms in its place.
pub(super) async fn write(
    tx: &mut Tx,
    tenant: &str,
    document: &str,
    version: i64,
    terms: &DocumentTerms,
) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO document_terms (tenant, document_id, document_version, terms) VALUES ($1, $2, $3, $4)";
    tx.execute(sql, &params![tenant, document, version, terms.to_bytes()]).await?;
    Ok(())
}

/// Gives a document's terms another title. Those that are of no build's form are dropped, and found again.
pub(super) async fn retitle(
    tx: &mut Tx,
    tenant: &str,
    document: &str,
    title: &str,
) -> Result<(), StoreError> {
    let find = "SELECT terms FROM document_terms WHERE tenant = $1 AND document_id = $2";
    let Some(row) = tx.query_opt(find, &params![tenant, document]).await? else { return Ok(()) };
    let Some(terms) = DocumentTerms::from_bytes(&row.get::<Vec<u8>>("terms")?) else {
        let drop = "DELETE FROM document_terms WHERE tenant = $1 AND document_id = $2";
        tx.execute(drop, &params![tenant, document]).await?;
        return Ok(());
    };
    let update = "UPDATE document_terms SET terms = $3 WHERE tenant = $1 AND document_id = $2";
    tx.execute(update, &params![tenant, document, terms.retitled(title).to_bytes()]).await?;
    Ok(())
}

/// The terms in a document's row; `None` when it has none that fit its chunks.
pub(super) fn read(row: &Row, chunks: usize) -> Result<Option<DocumentTerms>, StoreError> {
    let terms = row.bytes("terms")?.and_then(DocumentTerms::from_bytes);
    Ok(terms.filter(|terms| terms.chunks.len() == chunks))
}

/// A document whose terms are not known.
pub(super) struct Unread {
    pub id: DocumentId,
    pub version: i64,
    pub title: String,
    pub spans: Vec<Range<u64>>,
}

impl DatabaseStore {
    /// Finds the terms of these documents in their texts, and writes them for the next time. One that was deleted or cut
    /// anew meanwhile has whatever its text gives: the change after this one brings the right ones.
    pub(super) async fn find_terms(
        &self,
        tenant: TenantId,
        unread: Vec<Unread>,
    ) -> Result<HashMap<DocumentId, DocumentTerms>, StoreError> {
        let mut values: Vec<Value> = vec![tenant.to_string().into()];
        values.extend(unread.iter().map(|document| Value::from(document.id.to_string())));
        let sql = Sql::once(TEXTS.replace("LIST", &placeholders(2, unread.len())));
        let mut texts = HashMap::new();
        for row in self.database.query(sql, &values).await? {
            texts.insert(rows::parsed::<DocumentId>(&row, "document_id")?, rows::text(&row, "text")?);
        }
        let work =
            move || unread.into_iter().map(|document| (terms_of(&document, &texts), document)).collect();
        let lost = |error: tokio::task::JoinError| StoreError::Invalid {
            reason: format!("the terms of documents were not found: {error}"),
            source: None,
        };
        let found: Vec<(DocumentTerms, Unread)> = tokio::task::spawn_blocking(work).await.map_err(lost)?;
        if let Err(error) = self.put_terms(tenant, &found).await {
            // They are found again, at the same price.
            tracing::warn!(error = &error as &dyn std::error::Error, "the terms of documents are not kept");
        }
        Ok(found.into_iter().map(|(terms, document)| (document.id, terms)).collect())
    }

    async fn put_terms(&self, tenant: TenantId, found: &[(DocumentTerms, Unread)]) -> Result<(), StoreError> {
        let mut tx = self.database.begin().await?;
        for (terms, document) in found {
            let (id, bytes) = (document.id.to_string(), terms.to_bytes());
            tx.execute(PUT, &params![tenant.to_string(), id, document.version, bytes, &document.title])
                .await?;
        }
        tx.commit().await
    }
}

fn terms_of(document: &Unread, texts: &HashMap<DocumentId, String>) -> DocumentTerms {
    let text = texts.get(&document.id).map(String::as_str).unwrap_or_default();
    let chunk = |span: &Range<u64>| text.get(span.start as usize..span.end as usize).unwrap_or_default();
    DocumentTerms::of(&document.title, document.spans.iter().map(chunk))
}
