//! Objects in the database itself, for one file that holds everything and for replicas that share nothing else.

use async_trait::async_trait;
use bytes::Bytes;
use copydesk_store::{Database, params};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use crate::ports::{ObjectError, ObjectKey, ObjectPlace, Source};

/// The name of this place.
pub const ROWS: &str = "rows";

/// A table of parts. Each part that comes is a row.
pub struct RowsPlace {
    database: Database,
}

impl RowsPlace {
    /// The place in a migrated database.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    async fn part(&self, key: ObjectKey, ordinal: u32) -> Result<Option<Bytes>, ObjectError> {
        let sql = "SELECT content FROM object_part WHERE tenant = $1 AND object_id = $2 AND ordinal = $3";
        let values = params![key.tenant.to_string(), key.id.to_string(), ordinal];
        let row = self.database.query_opt(sql, &values).await?;
        let content = row.map(|row| row.get::<Vec<u8>>("content")).transpose()?;
        Ok(content.map(Bytes::from))
    }
}

#[async_trait]
impl ObjectPlace for RowsPlace {
    fn name(&self) -> &str {
        ROWS
    }

    async fn check(&self) -> Result<(), ObjectError> {
        Ok(self.database.ping().await?)
    }

    async fn begin(&self, _: ObjectKey, _: u64) -> Result<String, ObjectError> {
        Ok(String::new())
    }

    async fn write(
        &self,
        key: ObjectKey,
        _: &str,
        _: u64,
        parts: Source<'_, Bytes>,
    ) -> Result<(), ObjectError> {
        let sql = "INSERT INTO object_part (tenant, object_id, ordinal, content) VALUES ($1, $2, $3, $4)";
        let (tenant, id) = (key.tenant.to_string(), key.id.to_string());
        for (ordinal, part) in (0u32..).zip(parts) {
            self.database.execute(sql, &params![&tenant, &id, ordinal, &part?[..]]).await?;
        }
        Ok(())
    }

    fn read(&self, key: ObjectKey, _: u64) -> BoxStream<'_, Result<Bytes, ObjectError>> {
        stream::try_unfold(0, move |ordinal| async move {
            match self.part(key, ordinal).await? {
                Some(part) => Ok(Some((part, ordinal + 1))),
                None if ordinal == 0 => Err(ObjectError::Absent),
                None => Ok(None),
            }
        })
        .boxed()
    }

    async fn remove(&self, key: ObjectKey, _: &str) -> Result<(), ObjectError> {
        let sql = "DELETE FROM object_part WHERE tenant = $1 AND object_id = $2";
        self.database.execute(sql, &params![key.tenant.to_string(), key.id.to_string()]).await?;
        Ok(())
    }
}
