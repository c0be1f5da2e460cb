//! Changes of embedder as rows: what `VectorStore` promises. New vectors stand beside the old ones until one
//! transaction puts all of them in place.
//!
//! Every write takes the lock on the knowledge base's row first, as the writers of documents do: so a document is
//! stored before the change, with the old vectors, and is seen by it, or after it, with the new ones.

use async_trait::async_trait;
use copydesk_store::{Dialect, StoreError, Tx, params};
use copydesk_types::{DocumentId, KnowledgeBaseId, TenantId};

use super::{DatabaseStore, knowledge, method, rows, take_request, vectors};
use crate::domain::token_weights::TokenWeights;
use crate::ports::{
    KnownVector, NewReembedding, ReembeddingJob, ReembeddingStart, RequestKey, StoredChunk, Switch,
    Unembedded, VectorStore,
};

#[async_trait]
impl VectorStore for DatabaseStore {
    async fn known_vectors(
        &self,
        tenant: TenantId,
        embedder: &str,
        hashes: &[[u8; 16]],
    ) -> Result<Vec<KnownVector>, StoreError> {
        vectors::known(&self.database, tenant, embedder, hashes).await
    }

    async fn keep_vectors(
        &self,
        tenant: TenantId,
        knowledge_base: KnowledgeBaseId,
        embedder: &str,
        kept: &[KnownVector],
        now: i64,
        limit: u32,
    ) -> Result<(), StoreError> {
        vectors::keep(&self.database, tenant, knowledge_base, embedder, kept, now, limit).await
    }

    async fn start_reembedding(
        &self,
        tenant: TenantId,
        new: &NewReembedding,
        request: &RequestKey,
    ) -> Result<ReembeddingStart, StoreError> {
        let (tenant_id, id) = (tenant.to_string(), new.knowledge_base.to_string());
        let mut tx = self.database.begin().await?;
        if !lock(&mut tx, &tenant_id, &id).await? {
            return Ok(ReembeddingStart::NoKnowledgeBase);
        }
        let taken = take_request(&mut tx, tenant, method::REEMBED, request, &id).await?;
        if let Some((fingerprint, _)) = taken {
            if fingerprint != request.fingerprint {
                return Ok(ReembeddingStart::Reused);
            }
            return Ok(ReembeddingStart::Stored(current(&mut tx, &tenant_id, &id).await?));
        }
        let values = params![&tenant_id, &id, &new.embedder, new.dimensions, &new.delegation, new.time];
        if tx.execute(START, &values).await? == 0 {
            tx.rollback().await?;
            return Ok(ReembeddingStart::Busy);
        }
        let stored = current(&mut tx, &tenant_id, &id).await?;
        tx.commit().await?;
        Ok(ReembeddingStart::Stored(stored))
    }

    async fn cancel_reembedding(&self, tenant: TenantId, id: KnowledgeBaseId) -> Result<bool, StoreError> {
        let of = params![tenant.to_string(), id.to_string()];
        let mut tx = self.database.begin().await?;
        lock(&mut tx, &tenant.to_string(), &id.to_string()).await?;
        let cancelled = tx.execute(END, &of).await? > 0;
        tx.execute(DROP_NEW, &of).await?;
        tx.commit().await?;
        Ok(cancelled)
    }

    async fn recover_reembeddings(&self) -> Result<(), StoreError> {
        if self.database.dialect() == Dialect::Sqlite {
            self.database.execute("UPDATE reembedding SET lease_until = 0", &[]).await?;
        }
        Ok(())
    }

    async fn claim_reembedding(
        &self,
        now: i64,
        lease_until: i64,
    ) -> Result<Option<ReembeddingJob>, StoreError> {
        let waiting = "SELECT 1 AS one FROM reembedding WHERE lease_until < $1 LIMIT 1";
        if self.database.query_opt(waiting, &params![now]).await?.is_none() {
            return Ok(None);
        }
        let mut tx = self.database.begin().await?;
        let oldest = format!(
            "SELECT tenant, knowledge_base_id FROM reembedding WHERE lease_until < $1
             ORDER BY lease_until, start_time LIMIT 1{}",
            tx.dialect().for_update_skip_locked()
        );
        let Some(row) = tx.query_opt(oldest, &params![now]).await? else { return Ok(None) };
        let of = params![row.get::<String>("tenant")?, row.get::<String>("knowledge_base_id")?, lease_until];
        let row = tx.query_opt(CLAIM, &of).await?;
        tx.commit().await?;
        row.map(|row| {
            Ok(ReembeddingJob {
                tenant: rows::parsed(&row, "tenant")?,
                knowledge_base: rows::parsed(&row, "knowledge_base_id")?,
                embedder: row.get("embedder")?,
                dimensions: row.get("dimensions")?,
                delegation: row.get("delegation")?,
                fence: row.get("fence")?,
            })
        })
        .transpose()
    }

    async fn next_unembedded(
        &self,
        job: &ReembeddingJob,
        after: Option<DocumentId>,
    ) -> Result<Option<Unembedded>, StoreError> {
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let of = params![job.tenant.to_string(), job.knowledge_base.to_string(), after];
        let row = self.database.query_opt(UNEMBEDDED, &of).await?;
        row.map(|row| {
            let document = rows::parsed(&row, "document_id")?;
            Ok(Unembedded { document, version: row.get("version")?, title: row.get("title")? })
        })
        .transpose()
    }

    async fn put_vectors(
        &self,
        job: &ReembeddingJob,
        of: &Unembedded,
        made: &[(StoredChunk, KnownVector)],
        lease_until: i64,
    ) -> Result<bool, StoreError> {
        let mut tx = self.database.begin().await?;
        if !holds(&mut tx, job).await? {
            return Ok(false);
        }
        let (tenant, id) = (job.tenant.to_string(), job.knowledge_base.to_string());
        let document = of.document.to_string();
        let mut done = 0;
        if tx.query_opt(SAME, &params![&tenant, &document, of.version, &of.title]).await?.is_some() {
            let row = |(chunk, (hash, new)): &(StoredChunk, KnownVector)| {
                let (passage, vector) = (chunk.passage.to_string(), rows::vector_bytes(&new.vector));
                let weights = new.weights.as_ref().map(TokenWeights::to_bytes);
                params![&tenant, &id, &document, passage, chunk.ordinal, vector, hash.to_vec(), weights]
                    .to_vec()
            };
            tx.insert_rows(NEW, made.iter().map(row).collect(), "").await?;
            done = rows::size(made.len());
        }
        tx.execute(COUNT, &params![&tenant, &id, done, lease_until]).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn put_back(
        &self,
        job: &ReembeddingJob,
        error: &str,
        lease_until: i64,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE reembedding SET error = $3, lease_until = $4
            WHERE tenant = $1 AND knowledge_base_id = $2 AND fence = $5";
        let values =
            params![job.tenant.to_string(), job.knowledge_base.to_string(), error, lease_until, job.fence];
        Ok(self.database.execute(sql, &values).await? == 1)
    }

    async fn switch_vectors(&self, job: &ReembeddingJob) -> Result<Switch, StoreError> {
        let (tenant, id) = (job.tenant.to_string(), job.knowledge_base.to_string());
        let mut tx = self.database.begin().await?;
        if !holds(&mut tx, job).await? {
            return Ok(Switch::Lost);
        }
        let of = params![&tenant, &id];
        if job.embedder.is_empty() {
            tx.execute(CLEAR, &of).await?;
        } else {
            if tx.query_opt(UNEMBEDDED, &params![&tenant, &id, ""]).await?.is_some() {
                return Ok(Switch::More);
            }
            tx.execute(PLACE, &of).await?;
        }
        move_versions(&mut tx, &tenant, &id).await?;
        tx.execute(CHANGE, &params![&tenant, &id, &job.embedder, job.dimensions]).await?;
        for statement in
            [DROP_NEW, END, "DELETE FROM kept_vector WHERE tenant = $1 AND knowledge_base_id = $2"]
        {
            tx.execute(statement, &of).await?;
        }
        tx.commit().await?;
        Ok(Switch::Done)
    }
}

const START: &str = "INSERT INTO reembedding (tenant, knowledge_base_id, embedder, dimensions, delegation,
    start_time, chunks_done, error, fence, lease_until) VALUES ($1, $2, $3, $4, $5, $6, 0, '', 0, 0)
    ON CONFLICT (tenant, knowledge_base_id) DO NOTHING";

const CLAIM: &str = "UPDATE reembedding SET fence = fence + 1, lease_until = $3,
      chunks_done = (SELECT COUNT(*) FROM new_vector v
        WHERE v.tenant = reembedding.tenant AND v.knowledge_base_id = reembedding.knowledge_base_id)
    WHERE tenant = $1 AND knowledge_base_id = $2
    RETURNING tenant, knowledge_base_id, embedder, dimensions, delegation, fence";

/// A document has all of its new vectors or none, and loses them when it is replaced.
const UNEMBEDDED: &str = "SELECT d.document_id, d.version, d.title FROM document d
    WHERE d.tenant = $1 AND d.knowledge_base_id = $2 AND d.document_id COLLATE \"C\" > $3 AND d.chunk_count > 0
      AND NOT EXISTS (SELECT 1 FROM new_vector v WHERE v.tenant = d.tenant AND v.document_id = d.document_id)
    ORDER BY d.document_id COLLATE \"C\" LIMIT 1";

const SAME: &str =
    "SELECT 1 AS one FROM document WHERE tenant = $1 AND document_id = $2 AND version = $3 AND title = $4";

const NEW: &str = "new_vector (tenant, knowledge_base_id, document_id, passage_id, ordinal, vector, text_hash, token_weights)";

const COUNT: &str = "UPDATE reembedding SET chunks_done = chunks_done + $3, error = '', lease_until = $4
    WHERE tenant = $1 AND knowledge_base_id = $2";

const PLACE: &str = "UPDATE chunk SET vector = v.vector, text_hash = v.text_hash, token_weights = v.token_weights
    FROM new_vector v
    WHERE v.tenant = $1 AND v.knowledge_base_id = $2 AND chunk.tenant = v.tenant
      AND chunk.document_id = v.document_id AND chunk.passage_id = v.passage_id AND chunk.ordinal = v.ordinal";

const CLEAR: &str = "UPDATE chunk SET vector = NULL, text_hash = NULL, token_weights = NULL
    WHERE tenant = $1 AND document_id IN (SELECT document_id FROM document WHERE tenant = $1 AND knowledge_base_id = $2)";

const CHANGE: &str = "UPDATE knowledge_base SET embedder = $3, dimensions = $4, version = version + 1
    WHERE tenant = $1 AND knowledge_base_id = $2";

const DROP_NEW: &str = "DELETE FROM new_vector WHERE tenant = $1 AND knowledge_base_id = $2";

const END: &str = "DELETE FROM reembedding WHERE tenant = $1 AND knowledge_base_id = $2";

/// Every document changed, each at a version of its own: an index that stops in the middle of catching up knows by its
/// version what it still lacks.
async fn move_versions(tx: &mut Tx, tenant: &str, id: &str) -> Result<(), StoreError> {
    let documents = "UPDATE document_change SET version = k.version + r.place
        FROM (SELECT document_id, ROW_NUMBER() OVER (ORDER BY document_id) AS place FROM document
              WHERE tenant = $1 AND knowledge_base_id = $2) AS r, knowledge_base k
        WHERE k.tenant = $1 AND k.knowledge_base_id = $2 AND document_change.tenant = $1
          AND document_change.knowledge_base_id = $2 AND document_change.document_id = r.document_id";
    tx.execute(documents, &params![tenant, id]).await?;
    let base = "UPDATE knowledge_base SET version = version + document_count
        WHERE tenant = $1 AND knowledge_base_id = $2";
    tx.execute(base, &params![tenant, id]).await?;
    Ok(())
}

async fn current(
    tx: &mut Tx,
    tenant: &str,
    id: &str,
) -> Result<Option<crate::domain::records::Reembedding>, StoreError> {
    let row = tx.query_opt(knowledge::ONE, &params![tenant, id]).await?;
    row.as_ref().map(rows::reembedding).transpose().map(Option::flatten)
}

/// Locks the knowledge base; false when it is absent.
async fn lock(tx: &mut Tx, tenant: &str, id: &str) -> Result<bool, StoreError> {
    let lock = tx.dialect().for_update();
    let sql =
        format!("SELECT version FROM knowledge_base WHERE tenant = $1 AND knowledge_base_id = $2{lock}");
    Ok(tx.query_opt(sql, &params![tenant, id]).await?.is_some())
}

/// Locks the knowledge base and tells whether this worker still holds the job.
async fn holds(tx: &mut Tx, job: &ReembeddingJob) -> Result<bool, StoreError> {
    let (tenant, id) = (job.tenant.to_string(), job.knowledge_base.to_string());
    if !lock(tx, &tenant, &id).await? {
        return Ok(false);
    }
    let lock = tx.dialect().for_update();
    let sql = format!("SELECT fence FROM reembedding WHERE tenant = $1 AND knowledge_base_id = $2{lock}");
    let row = tx.query_opt(sql, &params![&tenant, &id]).await?;
    Ok(row.map(|row| row.get::<i64>("fence")).transpose()? == Some(job.fence))
}
