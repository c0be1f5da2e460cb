//! Vectors by the hashes of their texts: those of stored chunks, and those kept of documents that are not stored yet.

use copydesk_store::{Database, StoreError, Tx, Value, params};
use copydesk_types::{KnowledgeBaseId, TenantId};

use super::rows;
use crate::domain::token_weights::TokenWeights;
use crate::ports::{Embedded, KnownVector};

/// A chunk's vector counts while its knowledge base has the embedder. One look-up a hash: a text that stands in
/// thousands of documents has thousands of rows, of which one is enough.
const STORED: &str = "SELECT c.vector, c.token_weights FROM chunk c
    JOIN document d ON d.tenant = c.tenant AND d.document_id = c.document_id
    JOIN knowledge_base k ON k.tenant = d.tenant AND k.knowledge_base_id = d.knowledge_base_id
    WHERE c.tenant = $1 AND c.text_hash = $2 AND k.embedder = $3 AND c.vector IS NOT NULL LIMIT 1";

const KEPT: &str =
    "SELECT vector, token_weights FROM kept_vector WHERE tenant = $1 AND text_hash = $2 AND embedder = $3";

pub(super) async fn known(
    database: &Database,
    tenant: TenantId,
    embedder: &str,
    hashes: &[[u8; 16]],
) -> Result<Vec<KnownVector>, StoreError> {
    let mut known = Vec::new();
    for hash in hashes {
        let of = params![tenant.to_string(), hash.to_vec(), embedder];
        let mut row = database.query_opt(STORED, &of).await?;
        if row.is_none() {
            row = database.query_opt(KEPT, &of).await?;
        }
        if let Some(row) = row {
            let vector = rows::vector(&row.get::<Vec<u8>>("vector")?);
            known.push((*hash, Embedded { vector, weights: rows::token_weights(&row)? }));
        }
    }
    Ok(known)
}

pub(super) async fn keep(
    database: &Database,
    tenant: TenantId,
    knowledge_base: KnowledgeBaseId,
    embedder: &str,
    vectors: &[KnownVector],
    now: i64,
    limit: u32,
) -> Result<(), StoreError> {
    let mut tx = database.begin().await?;
    let of = |(hash, known): &KnownVector| -> Vec<Value> {
        params![
            tenant.to_string(),
            knowledge_base.to_string(),
            embedder,
            hash.to_vec(),
            rows::vector_bytes(&known.vector),
            now,
            known.weights.as_ref().map(TokenWeights::to_bytes),
        ]
        .to_vec()
    };
    let insert = "INSERT INTO kept_vector (tenant, knowledge_base_id, embedder, text_hash, vector, keep_time,
          token_weights)
        SELECT $1, $2, $3, $4, $5, $6, $7 WHERE EXISTS
          (SELECT 1 FROM knowledge_base WHERE tenant = $1 AND knowledge_base_id = $2)
        ON CONFLICT (tenant, embedder, text_hash) DO NOTHING";
    for vector in vectors {
        tx.execute(insert, &of(vector)).await?;
    }
    let bound = "DELETE FROM kept_vector WHERE keep_time <=
        (SELECT keep_time FROM kept_vector ORDER BY keep_time DESC LIMIT 1 OFFSET $1)";
    tx.execute(bound, &params![limit]).await?;
    tx.commit().await
}

/// Drops what was kept of a document's texts: they are stored now.
pub(super) async fn drop_kept(
    tx: &mut Tx,
    tenant: &str,
    knowledge_base: &str,
    document: &str,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM kept_vector WHERE tenant = $1 AND knowledge_base_id = $2 AND text_hash IN
        (SELECT text_hash FROM chunk WHERE tenant = $1 AND document_id = $3)";
    tx.execute(sql, &params![tenant, knowledge_base, document]).await?;
    Ok(())
}
