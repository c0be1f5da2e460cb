//! The rows of rule packs.
use std::collections::BTreeMap;

use async_trait::async_trait;
use copydesk_store::{Row, StoreError, params};
use copydesk_types::TenantId;

use super::{SqlStore, rows};
use crate::ports::{Choice, PackStore, StoredPack};

const PACK: &str = "pack_id, version, title, content_hash, document, created_at";

#[async_trait]
impl PackStore for SqlStore {
    async fn add_pack(&self, tenant: TenantId, pack: &StoredPack) -> Result<StoredPack, StoreError> {
        let sql = format!(
            "INSERT INTO rule_pack (tenant, {PACK}) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (tenant, pack_id, version) DO NOTHING"
        );
        let values = params![
            tenant.to_string(),
            &pack.id,
            &pack.version,
            &pack.title,
            &pack.hash,
            &pack.document,
            pack.created_ms
        ];
        self.db.execute(sql, &values).await?;
        let stored = self.pack(tenant, &pack.id, &pack.version).await?;
        Ok(stored.unwrap_or_else(|| pack.clone()))
    }

    async fn pack(
        &self,
        tenant: TenantId,
        id: &str,
        version: &str,
    ) -> Result<Option<StoredPack>, StoreError> {
        let sql = format!("SELECT {PACK} FROM rule_pack WHERE tenant = $1 AND pack_id = $2 AND version = $3");
        let row = self.db.query_opt(sql, &params![tenant.to_string(), id, version]).await?;
        row.as_ref().map(pack_of).transpose()
    }

    async fn packs(&self, tenant: TenantId) -> Result<Vec<StoredPack>, StoreError> {
        let sql =
            format!("SELECT {PACK} FROM rule_pack WHERE tenant = $1 ORDER BY pack_id, created_at, version");
        self.db.query(sql, &params![tenant.to_string()]).await?.iter().map(pack_of).collect()
    }

    async fn choices(&self, tenant: TenantId) -> Result<BTreeMap<String, Choice>, StoreError> {
        let sql = "SELECT pack_id, version, is_off, lists FROM rule_pack_choice WHERE tenant = $1";
        let rows = self.db.query(sql, &params![tenant.to_string()]).await?;
        let choice = |row: &Row| {
            let choice = Choice {
                version: row.get("version")?,
                is_off: row.get("is_off")?,
                lists: rows::json(row, "lists")?,
            };
            Ok((row.get("pack_id")?, choice))
        };
        rows.iter().map(choice).collect()
    }

    async fn choose(&self, tenant: TenantId, id: &str, choice: &Choice, now: i64) -> Result<(), StoreError> {
        let sql = "INSERT INTO rule_pack_choice (tenant, pack_id, version, is_off, lists, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant, pack_id) DO UPDATE SET \
             version = excluded.version, is_off = excluded.is_off, lists = excluded.lists, \
             updated_at = excluded.updated_at";
        let lists = rows::to_json("lists", &choice.lists)?;
        let values = params![tenant.to_string(), id, &choice.version, choice.is_off, lists, now];
        self.db.execute(sql, &values).await.map(|_| ())
    }

    async fn count_packs(&self, tenant: TenantId) -> Result<u64, StoreError> {
        let sql = "SELECT COUNT(*) AS n FROM rule_pack WHERE tenant = $1";
        let row = self.db.query_opt(sql, &params![tenant.to_string()]).await?;
        row.map_or(Ok(0), |row| row.get("n"))
    }
}

fn pack_of(row: &Row) -> Result<StoredPack, StoreError> {
    Ok(StoredPack {
        id: row.get("pack_id")?,
        version: row.get("version")?,
        title: row.get("title")?,
        hash: row.get("content_hash")?,
        document: row.get("document")?,
        created_ms: row.get("created_at")?,
    })
}
