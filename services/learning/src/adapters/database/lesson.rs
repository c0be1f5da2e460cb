//! The tables `lessons` and `lesson_books`.

use copydesk_store::{Database, Row, Sql, StoreError, Tx, Value, params, placeholders};
use copydesk_types::{BrandId, LessonId, TenantId};

use super::{code, id, json, page_clause, to_json};
use crate::domain::learning::Learning;
use crate::domain::lesson::{Lesson, Origin, Proposal, Rule};
use crate::domain::outcome::ContentType;
use crate::ports::Page;

/// Makes every later change of this brand's lessons wait until this transaction ends.
pub(super) async fn lock_book(tx: &mut Tx, tenant: TenantId, brand: BrandId) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO lesson_books (tenant, brand_id, version) VALUES ($1, $2, 1) \
         ON CONFLICT (tenant, brand_id) DO UPDATE SET version = lesson_books.version + 1",
        &params![tenant.to_string(), brand.to_string()],
    )
    .await?;
    Ok(())
}

/// The lessons that a verdict may change.
pub(super) async fn concerned(
    tx: &mut Tx,
    tenant: TenantId,
    learning: &Learning,
) -> Result<Vec<Lesson>, StoreError> {
    let (keys, ids) = (learning.keys(), learning.touched());
    let mut params: Vec<Value> = params![tenant.to_string(), learning.brand.to_string()].into();
    params.extend(keys.iter().map(Value::from));
    params.extend(ids.iter().map(|id| Value::from(id.to_string())));
    let sql = format!(
        "SELECT * FROM lessons WHERE tenant = $1 AND brand_id = $2 AND (merge_key IN ({}) OR lesson_id IN ({}))",
        placeholders(3, keys.len()),
        placeholders(3 + keys.len(), ids.len()),
    );
    let rows = tx.query(Sql::once(sql), &params).await?;
    rows.iter().map(read).collect()
}

pub(super) async fn by_ids(
    tx: &mut Tx,
    tenant: TenantId,
    ids: &[LessonId],
) -> Result<Vec<Lesson>, StoreError> {
    let mut params: Vec<Value> = params![tenant.to_string()].into();
    params.extend(ids.iter().map(|id| Value::from(id.to_string())));
    let sql =
        format!("SELECT * FROM lessons WHERE tenant = $1 AND lesson_id IN ({})", placeholders(2, ids.len()));
    let rows = tx.query(Sql::once(sql), &params).await?;
    rows.iter().map(read).collect()
}

pub(super) async fn write(tx: &mut Tx, tenant: TenantId, lesson: &Lesson) -> Result<(), StoreError> {
    let (rule, limit, phrase) = lesson.asks.rule.as_ref().map_or((0, 0, ""), Rule::parts);
    tx.execute(
        "INSERT INTO lessons (tenant, lesson_id, brand_id, merge_key, content_type, origin, rule, rule_limit, phrase, \
         text, support, contra, sources, created_ms, asserted_ms, supported_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
         ON CONFLICT (tenant, lesson_id) DO UPDATE SET origin = excluded.origin, rule_limit = excluded.rule_limit, \
         text = excluded.text, support = excluded.support, contra = excluded.contra, sources = excluded.sources, \
         asserted_ms = excluded.asserted_ms, supported_ms = excluded.supported_ms",
        &params![
            tenant.to_string(),
            lesson.id.to_string(),
            lesson.brand.to_string(),
            lesson.key(),
            lesson.content_type.map_or(0, ContentType::code),
            lesson.origin.code(),
            rule,
            limit,
            phrase,
            &lesson.asks.text,
            lesson.support,
            lesson.contra,
            to_json(&lesson.sources),
            lesson.created_ms,
            lesson.asserted_ms,
            lesson.supported_ms,
        ],
    )
    .await?;
    Ok(())
}

pub(super) async fn list(
    database: &Database,
    tenant: TenantId,
    brand: BrandId,
    page: &Page,
) -> Result<Vec<Lesson>, StoreError> {
    let mut params: Vec<Value> = params![tenant.to_string(), brand.to_string()].into();
    let page = page_clause(page, "lesson_id", &mut params);
    let sql = format!("SELECT * FROM lessons WHERE tenant = $1 AND brand_id = $2{page}");
    let rows = database.query(sql, &params).await?;
    rows.iter().map(read).collect()
}

pub(super) async fn standing(
    database: &Database,
    tenant: TenantId,
    brand: BrandId,
    content_type: ContentType,
    most: u32,
) -> Result<Vec<Lesson>, StoreError> {
    let rows = database
        .query(
            "SELECT * FROM lessons WHERE tenant = $1 AND brand_id = $2 AND content_type IN (0, $3) \
             AND contra <= support ORDER BY supported_ms DESC, lesson_id COLLATE \"C\" DESC LIMIT $4",
            &params![tenant.to_string(), brand.to_string(), content_type.code(), most],
        )
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Lesson, StoreError> {
    let rule = Rule::from_parts(row.get("rule")?, row.get("rule_limit")?, row.get("phrase")?);
    Ok(Lesson {
        id: id(row, "lesson_id")?,
        brand: id(row, "brand_id")?,
        content_type: ContentType::from_code(row.get("content_type")?),
        origin: code(row, "origin", Origin::from_code)?,
        asks: Proposal { rule, text: row.get("text")? },
        support: row.get("support")?,
        contra: row.get("contra")?,
        sources: json(row, "sources")?,
        created_ms: row.get("created_ms")?,
        asserted_ms: row.get("asserted_ms")?,
        supported_ms: row.get("supported_ms")?,
    })
}
