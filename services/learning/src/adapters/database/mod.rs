//! The store over SQLite and PostgreSQL: one struct, one portable SQL, one file per table.

mod brand;
mod feedback;
mod lesson;
mod outcome;

use async_trait::async_trait;
use copydesk_store::{Database, Migrator, Row, StoreError, Value};
use copydesk_types::{BrandId, RunId, TenantId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::accuracy::Decision;
use crate::domain::brand::{Brand, BrandPatch};
use crate::domain::feedback::Feedback;
use crate::domain::learning::Learning;
use crate::domain::lesson::Lesson;
use crate::domain::outcome::{ContentType, Outcome};
use crate::ports::{FeedbackFilter, Page, RequestKey, Store, Stored, Update};

/// The tables of the archive, up and down.
pub static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// The archive's memory in a database.
#[derive(Debug, Clone)]
pub struct DatabaseStore {
    database: Database,
}

impl DatabaseStore {
    /// A store over an open, migrated database.
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl Store for DatabaseStore {
    async fn create_brand(
        &self,
        tenant: TenantId,
        brand: &Brand,
        request: &RequestKey,
    ) -> Result<Stored<Brand>, StoreError> {
        brand::create(&self.database, tenant, brand, request).await
    }

    async fn brand(&self, tenant: TenantId, id: BrandId) -> Result<Option<Brand>, StoreError> {
        brand::get(&self.database, tenant, id).await
    }

    async fn brands(&self, tenant: TenantId, page: &Page) -> Result<Vec<Brand>, StoreError> {
        brand::list(&self.database, tenant, page).await
    }

    async fn update_brand(
        &self,
        tenant: TenantId,
        id: BrandId,
        etag: Option<&str>,
        patch: &BrandPatch,
        now_ms: i64,
    ) -> Result<Update, StoreError> {
        brand::update(&self.database, tenant, id, etag, patch, now_ms).await
    }

    async fn record_outcome(&self, tenant: TenantId, outcome: &Outcome) -> Result<bool, StoreError> {
        outcome::record(&self.database, tenant, outcome).await
    }

    async fn outcome(&self, tenant: TenantId, run: RunId) -> Result<Option<Outcome>, StoreError> {
        outcome::get(&self.database, tenant, run).await
    }

    async fn record_feedback(
        &self,
        tenant: TenantId,
        feedback: &Feedback,
        request: &RequestKey,
        learning: &Learning,
    ) -> Result<Stored<(Feedback, Vec<Lesson>)>, StoreError> {
        feedback::record(&self.database, tenant, feedback, request, learning).await
    }

    async fn feedback(
        &self,
        tenant: TenantId,
        filter: &FeedbackFilter,
        page: &Page,
    ) -> Result<Vec<Feedback>, StoreError> {
        feedback::list(&self.database, tenant, filter, page).await
    }

    async fn lessons(
        &self,
        tenant: TenantId,
        brand: BrandId,
        page: &Page,
    ) -> Result<Vec<Lesson>, StoreError> {
        lesson::list(&self.database, tenant, brand, page).await
    }

    async fn standing_lessons(
        &self,
        tenant: TenantId,
        brand: BrandId,
        content_type: ContentType,
        most: u32,
    ) -> Result<Vec<Lesson>, StoreError> {
        lesson::standing(&self.database, tenant, brand, content_type, most).await
    }

    async fn decisions(&self, tenant: TenantId, most: u32) -> Result<Vec<Decision>, StoreError> {
        outcome::decisions(&self.database, tenant, most).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.database.ping().await
    }
}

/// The end of a statement that reads a page of a table, newest first; adds its parameters.
fn page_clause(page: &Page, id: &str, params: &mut Vec<Value>) -> String {
    let mut sql = String::new();
    if let Some(cursor) = &page.after {
        params.extend([Value::from(cursor.created_ms), Value::from(&cursor.id)]);
        let (ms, last) = (params.len() - 1, params.len());
        sql = format!(" AND (created_ms < ${ms} OR (created_ms = ${ms} AND {id} COLLATE \"C\" < ${last}))");
    }
    params.push(Value::from(page.rows));
    format!("{sql} ORDER BY created_ms DESC, {id} COLLATE \"C\" DESC LIMIT ${}", params.len())
}

/// A column that holds an id, a code or JSON, read by `read`.
fn decoded<T>(row: &Row, column: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, StoreError> {
    let text: String = row.get(column)?;
    read(&text).ok_or_else(|| unreadable(column))
}

fn id<T: std::str::FromStr>(row: &Row, column: &str) -> Result<T, StoreError> {
    decoded(row, column, |text| text.parse().ok())
}

fn json<T: DeserializeOwned>(row: &Row, column: &str) -> Result<T, StoreError> {
    decoded(row, column, |text| serde_json::from_str(text).ok())
}

fn code<T>(row: &Row, column: &str, of: impl FnOnce(i32) -> Option<T>) -> Result<T, StoreError> {
    of(row.get::<i32>(column)?).ok_or_else(|| unreadable(column))
}

fn unreadable(column: &str) -> StoreError {
    StoreError::Decode { column: column.to_owned(), reason: "is not what this build writes".to_owned() }
}

/// A list of ids or of plain structs as JSON; such values always have a form.
fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "[]".to_owned())
}
