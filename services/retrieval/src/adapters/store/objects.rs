//! The list of objects: what `ObjectLedger` promises, and what transactions of other tables do to it.

use async_trait::async_trait;
use copydesk_store::{Dialect, Row, StoreError, Tx, Value, params, placeholders};
use copydesk_types::{ObjectId, TenantId};

use super::{DatabaseStore, rows};
use crate::ports::{ObjectKey, ObjectLedger, Removal, StoredObject};

/// A transaction refers to an object: from its commit on the object is stored.
pub(super) async fn adopt(
    tx: &mut Tx,
    tenant: &str,
    object: &StoredObject,
    owner: &str,
) -> Result<(), StoreError> {
    let sql = "UPDATE object SET state = 'stored', owner = $3, upload = '', due = 0, attempts = 0
        WHERE tenant = $1 AND object_id = $2 AND state = 'pending'";
    if tx.execute(sql, &params![tenant, object.id.to_string(), owner]).await? == 1 {
        return Ok(());
    }
    // It took so long that the object counted as left behind. Whoever tries again writes another.
    let reason = "an object was removed before anything referred to it".to_owned();
    Err(StoreError::Invalid { reason, source: None })
}

/// A transaction drops the reference of a document or a snapshot: from its commit on the object is gone.
pub(super) async fn release(tx: &mut Tx, tenant: &str, owner: &str) -> Result<(), StoreError> {
    let sql = "UPDATE object SET state = 'gone', due = 0, attempts = 0
        WHERE tenant = $1 AND owner = $2 AND state = 'stored'";
    tx.execute(sql, &params![tenant, owner]).await?;
    Ok(())
}

/// The same for all documents of a knowledge base whose rows are still there.
pub(super) const RELEASE_ALL: &str = "UPDATE object SET state = 'gone', due = 0, attempts = 0
    WHERE tenant = $1 AND state = 'stored' AND owner IN
      (SELECT document_id FROM document WHERE tenant = $1 AND knowledge_base_id = $2)";

/// An object out of the columns `object_id`, `place`, `object_size` and `object_hash`; `None` when they are null.
pub(super) fn joined(row: &Row) -> Result<Option<StoredObject>, StoreError> {
    let Some(id) = row.get::<Option<String>>("object_id")? else { return Ok(None) };
    let odd = |_| StoreError::Invalid { reason: "an object has no good id".into(), source: None };
    let size: i64 = row.get("object_size")?;
    Ok(Some(StoredObject {
        id: id.parse().map_err(odd)?,
        place: row.get("place")?,
        size: size.unsigned_abs(),
        hash: row.get("object_hash")?,
    }))
}

const OBJECT: &str = "SELECT tenant, object_id, place, size_bytes AS object_size, content_hash AS object_hash
    FROM object WHERE tenant = $1 AND owner = $2 AND state = 'stored'";

#[async_trait]
impl ObjectLedger for DatabaseStore {
    async fn list_object(&self, tenant: TenantId, object: &StoredObject, due: i64) -> Result<(), StoreError> {
        let sql = "INSERT INTO object
            (tenant, object_id, place, state, owner, size_bytes, content_hash, upload, due, attempts)
            VALUES ($1, $2, $3, 'pending', '', $4, $5, '', $6, 0)";
        let values = params![
            tenant.to_string(),
            object.id.to_string(),
            &object.place,
            rows::int(object.size),
            &object.hash,
            due,
        ];
        self.database.execute(sql, &values).await?;
        Ok(())
    }

    async fn note_begun(&self, key: ObjectKey, begun: &str) -> Result<(), StoreError> {
        let sql = "UPDATE object SET upload = $3 WHERE tenant = $1 AND object_id = $2";
        self.database.execute(sql, &of(key, begun)).await?;
        Ok(())
    }

    async fn discard_object(&self, key: ObjectKey) -> Result<(), StoreError> {
        let sql = "UPDATE object SET state = 'gone', due = $3
            WHERE tenant = $1 AND object_id = $2 AND state = 'pending'";
        self.database.execute(sql, &of(key, 0)).await?;
        Ok(())
    }

    async fn object_of(&self, tenant: TenantId, owner: &str) -> Result<Option<StoredObject>, StoreError> {
        let row = self.database.query_opt(OBJECT, &params![tenant.to_string(), owner]).await?;
        row.as_ref().map_or(Ok(None), joined)
    }

    async fn take_removals(
        &self,
        places: &[&str],
        now: i64,
        until: i64,
        limit: u32,
    ) -> Result<Vec<Removal>, StoreError> {
        let due = format!("state <> 'stored' AND due <= $1 AND place IN ({})", placeholders(2, places.len()));
        let values = due_in(places, now);
        // Looking first costs a read; taking straight away would take the writer at every idle turn.
        let any = format!("SELECT 1 AS one FROM object WHERE {due} LIMIT 1");
        if self.database.query_opt(any, &values).await?.is_none() {
            return Ok(Vec::new());
        }
        let mut tx = self.database.begin().await?;
        let lock = tx.dialect().for_update_skip_locked();
        let find = format!(
            "SELECT tenant, object_id, place, upload, attempts FROM object WHERE {due} ORDER BY due LIMIT {limit}{lock}"
        );
        let found = tx.query(find, &values).await?;
        let mut removals = Vec::with_capacity(found.len());
        for row in found {
            let removal = removal(&row)?;
            let take = "UPDATE object SET state = 'gone', due = $3, attempts = attempts + 1
                WHERE tenant = $1 AND object_id = $2";
            tx.execute(take, &of(removal.key, until)).await?;
            removals.push(removal);
        }
        tx.commit().await?;
        Ok(removals)
    }

    async fn removed(&self, key: ObjectKey) -> Result<(), StoreError> {
        let sql = "DELETE FROM object WHERE tenant = $1 AND object_id = $2 AND state = $3";
        self.database.execute(sql, &of(key, "gone")).await?;
        Ok(())
    }

    async fn put_off(&self, key: ObjectKey, due: i64) -> Result<(), StoreError> {
        let sql = "UPDATE object SET due = $3 WHERE tenant = $1 AND object_id = $2";
        self.database.execute(sql, &of(key, due)).await?;
        Ok(())
    }

    async fn take_misplaced(
        &self,
        places: &[&str],
        now: i64,
        until: i64,
    ) -> Result<Option<(TenantId, StoredObject)>, StoreError> {
        if places.is_empty() {
            return Ok(None);
        }
        let due = format!("state = 'stored' AND due <= $1 AND place IN ({})", placeholders(2, places.len()));
        let values = due_in(places, now);
        let any = format!("SELECT 1 AS one FROM object WHERE {due} LIMIT 1");
        if self.database.query_opt(any, &values).await?.is_none() {
            return Ok(None);
        }
        let mut tx = self.database.begin().await?;
        let lock = tx.dialect().for_update_skip_locked();
        let find = format!(
            "SELECT tenant, object_id, place, size_bytes AS object_size, content_hash AS object_hash
             FROM object WHERE {due} LIMIT 1{lock}"
        );
        let Some(row) = tx.query_opt(find, &values).await? else { return Ok(None) };
        let tenant = rows::parsed(&row, "tenant")?;
        let Some(object) = joined(&row)? else { return Ok(None) };
        let take = "UPDATE object SET due = $3 WHERE tenant = $1 AND object_id = $2";
        tx.execute(take, &of(ObjectKey { tenant, id: object.id }, until)).await?;
        tx.commit().await?;
        Ok(Some((tenant, object)))
    }

    async fn replace_object(
        &self,
        tenant: TenantId,
        old: ObjectId,
        copy: &StoredObject,
    ) -> Result<bool, StoreError> {
        let mut tx = self.database.begin().await?;
        let drop = "UPDATE object SET state = 'gone', due = $3, attempts = 0
            WHERE tenant = $1 AND object_id = $2 AND state = 'stored' RETURNING owner";
        let Some(row) = tx.query_opt(drop, &of(ObjectKey { tenant, id: old }, 0)).await? else {
            return Ok(false);
        };
        adopt(&mut tx, &tenant.to_string(), copy, &row.get::<String>("owner")?).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn recover_objects(&self) -> Result<(), StoreError> {
        // SQLite's data folder is locked by this process: whoever wrote these is gone.
        if self.database.dialect() == Dialect::Sqlite {
            self.database.execute("UPDATE object SET due = 0 WHERE due > 0", &[]).await?;
        }
        Ok(())
    }
}

fn of(key: ObjectKey, third: impl Into<Value>) -> [Value; 3] {
    [key.tenant.to_string().into(), key.id.to_string().into(), third.into()]
}

fn due_in(places: &[&str], now: i64) -> Vec<Value> {
    std::iter::once(now.into()).chain(places.iter().map(|place| Value::from(*place))).collect()
}

fn removal(row: &Row) -> Result<Removal, StoreError> {
    Ok(Removal {
        key: ObjectKey { tenant: rows::parsed(row, "tenant")?, id: rows::parsed(row, "object_id")? },
        place: row.get("place")?,
        begun: row.get("upload")?,
        attempts: row.get::<u32>("attempts")? + 1,
    })
}
