//! Knowledge bases, documents and passages: what `KnowledgeStore` promises.

use async_trait::async_trait;
use copydesk_store::{Row, Sql, StoreError, Value, params, placeholders};
use copydesk_types::{DocumentId, KnowledgeBaseId, PassageId, TenantId};

use super::usage::{self, Growth};
use super::{DatabaseStore, documents, method, objects, pages, rows, take_request};
use crate::domain::reading::Page;
use crate::domain::records::{Document, KnowledgeBase, Passage};
use crate::domain::stages::{Allowance, Usage};
use crate::ports::{Created, DocumentFilter, KnowledgeStore, RequestKey};

#[async_trait]
impl KnowledgeStore for DatabaseStore {
    async fn create_knowledge_base(
        &self,
        tenant: TenantId,
        new: &KnowledgeBase,
        request: &RequestKey,
    ) -> Result<Created<KnowledgeBase>, StoreError> {
        let id = new.id.to_string();
        let mut tx = self.database.begin().await?;
        let taken = take_request(&mut tx, tenant, method::CREATE_KNOWLEDGE_BASE, request, &id).await?;
        if let Some((fingerprint, resource)) = taken {
            if fingerprint != request.fingerprint {
                return Ok(Created::Reused);
            }
            let row = tx.query_opt(ONE, &params![tenant.to_string(), resource]).await?;
            return match row {
                Some(row) => Ok(Created::Before(rows::knowledge_base(&row)?)),
                None => Ok(Created::NoKnowledgeBase),
            };
        }
        let insert = "INSERT INTO knowledge_base
            (tenant, knowledge_base_id, name, version, document_count, chunk_count, embedder, create_time,
             dimensions, kind)
            VALUES ($1, $2, $3, $4, 0, 0, $5, $6, $7, $8)";
        let version = rows::int(new.version);
        let values = params![
            tenant.to_string(),
            id,
            &new.name,
            version,
            &new.embedder,
            new.create_time,
            new.dimensions,
            new.kind.word(),
        ];
        tx.execute(insert, &values).await?;
        tx.commit().await?;
        Ok(Created::New(new.clone()))
    }

    async fn knowledge_base(
        &self,
        tenant: TenantId,
        id: KnowledgeBaseId,
    ) -> Result<Option<KnowledgeBase>, StoreError> {
        let row = self.database.query_opt(ONE, &params![tenant.to_string(), id.to_string()]).await?;
        row.as_ref().map(rows::knowledge_base).transpose()
    }

    async fn knowledge_bases(
        &self,
        tenant: TenantId,
        before: Option<KnowledgeBaseId>,
        limit: u32,
    ) -> Result<Vec<KnowledgeBase>, StoreError> {
        let found = self.database.query(MANY, &params![tenant.to_string(), cursor(before), limit]).await?;
        found.iter().map(rows::knowledge_base).collect()
    }

    async fn delete_knowledge_base(&self, tenant: TenantId, id: KnowledgeBaseId) -> Result<bool, StoreError> {
        let of = params![tenant.to_string(), id.to_string()];
        let mut tx = self.database.begin().await?;
        // First the row that every writer of this knowledge base locks first.
        let delete = "DELETE FROM knowledge_base WHERE tenant = $1 AND knowledge_base_id = $2";
        if tx.execute(delete, &of).await? == 0 {
            return Ok(false);
        }
        usage::take_back(&mut tx, &tenant.to_string(), &id.to_string()).await?;
        for statement in DELETE_CONTENT {
            tx.execute(*statement, &of).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn document(&self, tenant: TenantId, id: DocumentId) -> Result<Option<Document>, StoreError> {
        let sql = "SELECT * FROM document WHERE tenant = $1 AND document_id = $2";
        let row = self.database.query_opt(sql, &params![tenant.to_string(), id.to_string()]).await?;
        row.as_ref().map(rows::document).transpose()
    }

    async fn document_with_text(
        &self,
        tenant: TenantId,
        id: DocumentId,
    ) -> Result<Option<(Document, String)>, StoreError> {
        let sql = "SELECT d.*, t.text FROM document d
            JOIN document_text t ON t.tenant = d.tenant AND t.document_id = d.document_id
            WHERE d.tenant = $1 AND d.document_id = $2";
        let row = self.database.query_opt(sql, &params![tenant.to_string(), id.to_string()]).await?;
        row.map(|row| Ok((rows::document(&row)?, rows::text(&row, "text")?))).transpose()
    }

    async fn documents(
        &self,
        tenant: TenantId,
        filter: DocumentFilter,
        before: Option<DocumentId>,
        limit: u32,
    ) -> Result<Vec<Document>, StoreError> {
        let sql = "SELECT * FROM document
            WHERE tenant = $1 AND knowledge_base_id = $2 AND ($3 = '' OR document_id COLLATE \"C\" < $3)
              AND ($4 = '' OR source_kind = $4) AND ($5 = '' OR content_type = $5)
            ORDER BY document_id COLLATE \"C\" DESC LIMIT $6";
        let values = params![
            tenant.to_string(),
            filter.knowledge_base.to_string(),
            cursor(before),
            filter.source_kind.map_or("", |kind| kind.word()),
            filter.content_type.map_or("", |kind| kind.word()),
            limit,
        ];
        self.database.query(sql, &values).await?.iter().map(rows::document).collect()
    }

    async fn delete_document(&self, tenant: TenantId, id: DocumentId) -> Result<bool, StoreError> {
        let (tenant, id) = (tenant.to_string(), id.to_string());
        let mut tx = self.database.begin().await?;
        let find = "SELECT knowledge_base_id FROM document WHERE tenant = $1 AND document_id = $2";
        let Some(row) = tx.query_opt(find, &params![&tenant, &id]).await? else { return Ok(false) };
        let knowledge_base: String = row.get("knowledge_base_id")?;
        let Some(version) = documents::next_version(&mut tx, &tenant, &knowledge_base).await? else {
            return Ok(false);
        };
        // Under the lock: another caller may have been first.
        let delete = "DELETE FROM document WHERE tenant = $1 AND document_id = $2
            RETURNING key, chunk_count, upload_bytes";
        let Some(row) = tx.query_opt(delete, &params![&tenant, &id]).await? else { return Ok(false) };
        let chunks: i64 = row.get("chunk_count")?;
        documents::delete_content(&mut tx, &tenant, &id).await?;
        documents::delete_traces(&mut tx, &tenant, &knowledge_base, &row.get::<String>("key")?).await?;
        documents::record_change(&mut tx, &tenant, &knowledge_base, &id, version).await?;
        documents::count(&mut tx, &tenant, &knowledge_base, -1, -chunks).await?;
        let growth = Growth { documents: -1, chunks: -chunks, bytes: -row.get::<i64>("upload_bytes")? };
        usage::add(&mut tx, &tenant, growth, &Allowance::default()).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn usage(&self, tenant: TenantId) -> Result<Usage, StoreError> {
        usage::of(&self.database, tenant).await
    }

    async fn passages(&self, tenant: TenantId, ids: &[PassageId]) -> Result<Vec<Passage>, StoreError> {
        // The text is cut in the database: a passage is small, the document it stands in may not be.
        let sql = format!(
            "SELECT p.passage_id, p.document_id, p.span_start, p.span_end, d.version, d.title, d.source_kind, d.source_uri,
               substr(t.text, CAST(p.span_start + 1 AS INTEGER), CAST(p.span_end - p.span_start AS INTEGER)) AS text
             FROM passage p
             JOIN document d ON d.tenant = p.tenant AND d.document_id = p.document_id
             JOIN document_text t ON t.tenant = p.tenant AND t.document_id = p.document_id
             WHERE p.tenant = $1 AND p.passage_id IN ({})",
            placeholders(2, ids.len())
        );
        let mut values: Vec<Value> = vec![tenant.to_string().into()];
        values.extend(ids.iter().map(|id| Value::from(id.to_string())));
        let found: Vec<Row> = self.database.query(Sql::once(sql), &values).await?;
        found.iter().map(rows::passage).collect()
    }

    async fn pages(&self, tenant: TenantId, id: DocumentId) -> Result<Vec<Page>, StoreError> {
        pages::read(self, tenant, id).await
    }
}

/// The columns of a knowledge base and of its reembedding.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT k.*, r.embedder AS new_embedder, r.dimensions AS new_dimensions, r.chunks_done, r.start_time,
               r.error
             FROM knowledge_base k
             LEFT JOIN reembedding r ON r.tenant = k.tenant AND r.knowledge_base_id = k.knowledge_base_id
             WHERE k.tenant = $1 AND ",
            $rest
        )
    };
}

pub(super) const ONE: &str = select!("k.knowledge_base_id = $2");

const MANY: &str = select!(
    "($2 = '' OR k.knowledge_base_id COLLATE \"C\" < $2)
     ORDER BY k.knowledge_base_id COLLATE \"C\" DESC LIMIT $3"
);

/// Everything of a knowledge base, in an order in which each statement still finds its rows.
const DELETE_CONTENT: &[&str] = &[
    "DELETE FROM picture_text WHERE tenant = $1 AND (knowledge_base_id = $2 OR picture_hash IN
       (SELECT p.picture_hash FROM document_page p JOIN document d
          ON d.tenant = p.tenant AND d.document_id = p.document_id
        WHERE p.tenant = $1 AND p.picture_hash <> '' AND d.knowledge_base_id = $2))
     AND picture_hash NOT IN
       (SELECT p.picture_hash FROM document_page p JOIN document d
          ON d.tenant = p.tenant AND d.document_id = p.document_id
        WHERE p.tenant = $1 AND d.knowledge_base_id <> $2)",
    "DELETE FROM document_page WHERE tenant = $1 AND document_id IN
       (SELECT document_id FROM document WHERE tenant = $1 AND knowledge_base_id = $2)",
    "DELETE FROM chunk WHERE tenant = $1 AND document_id IN
       (SELECT document_id FROM document WHERE tenant = $1 AND knowledge_base_id = $2)",
    "DELETE FROM passage WHERE tenant = $1 AND document_id IN
       (SELECT document_id FROM document WHERE tenant = $1 AND knowledge_base_id = $2)",
    "DELETE FROM document_terms WHERE tenant = $1 AND document_id IN
       (SELECT document_id FROM document WHERE tenant = $1 AND knowledge_base_id = $2)",
    "DELETE FROM document_text WHERE tenant = $1 AND document_id IN
       (SELECT document_id FROM document WHERE tenant = $1 AND knowledge_base_id = $2)",
    objects::RELEASE_ALL,
    "DELETE FROM document WHERE tenant = $1 AND knowledge_base_id = $2",
    "DELETE FROM document_change WHERE tenant = $1 AND knowledge_base_id = $2",
    "DELETE FROM new_vector WHERE tenant = $1 AND knowledge_base_id = $2",
    "DELETE FROM kept_vector WHERE tenant = $1 AND knowledge_base_id = $2",
    "DELETE FROM source_document WHERE tenant = $1 AND knowledge_base_id = $2",
    "DELETE FROM source_mark WHERE tenant = $1 AND knowledge_base_id = $2",
    "DELETE FROM reembedding WHERE tenant = $1 AND knowledge_base_id = $2",
    "DELETE FROM ingestion_item WHERE tenant = $1 AND ingestion_id IN
       (SELECT ingestion_id FROM ingestion WHERE tenant = $1 AND knowledge_base_id = $2)",
    "DELETE FROM request WHERE tenant = $1 AND (resource_id = $2 OR resource_id IN
       (SELECT ingestion_id FROM ingestion WHERE tenant = $1 AND knowledge_base_id = $2))",
    "DELETE FROM ingestion WHERE tenant = $1 AND knowledge_base_id = $2",
];

fn cursor(before: Option<impl ToString>) -> String {
    before.map(|id| id.to_string()).unwrap_or_default()
}
