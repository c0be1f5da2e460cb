//! The table `feedback`, and the transaction in which a verdict changes lessons.

use copydesk_store::{Database, Row, StoreError, Tx, Value, params};
use copydesk_types::{LessonId, TenantId};

use super::{code, id, json, lesson, outcome, page_clause, to_json};
use crate::domain::feedback::{Feedback, FeedbackKind, Verdict};
use crate::domain::learning::{Changes, Learning};
use crate::domain::lesson::Lesson;
use crate::ports::{FeedbackFilter, Page, RequestKey, Stored};

pub(super) async fn record(
    database: &Database,
    tenant: TenantId,
    feedback: &Feedback,
    request: &RequestKey,
    learning: &Learning,
) -> Result<Stored<(Feedback, Vec<Lesson>)>, StoreError> {
    let mut tx = database.begin().await?;
    // First of all, so that two verdicts on one brand never wait for each other's rows crosswise.
    let changes = if learning.is_empty() {
        Changes::default()
    } else {
        lesson::lock_book(&mut tx, tenant, learning.brand).await?;
        learning.apply(lesson::concerned(&mut tx, tenant, learning).await?)
    };
    if !insert(&mut tx, tenant, feedback, request, &changes.told).await? {
        // What the lock and the lessons looked like does not matter: nothing was changed.
        let known = replay(&mut tx, tenant, request).await?;
        tx.rollback().await?;
        return Ok(known);
    }
    for changed in &changes.lessons {
        lesson::write(&mut tx, tenant, changed).await?;
    }
    if let Some(accepted) = feedback.verdict.accepted() {
        outcome::decide(&mut tx, tenant, feedback.run, accepted, feedback.created_ms).await?;
    }
    tx.commit().await?;
    Ok(Stored::New((feedback.clone(), told(&changes.told, changes.lessons))))
}

/// False, and nothing stored, when the request id was used before.
async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    feedback: &Feedback,
    request: &RequestKey,
    lessons: &[LessonId],
) -> Result<bool, StoreError> {
    let verdict = &feedback.verdict;
    let inserted = tx
        .execute(
            "INSERT INTO feedback (tenant, feedback_id, request_id, fingerprint, run_id, brand_id, kind, rating, \
             comment, edited_text, principal, lessons, created_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
             ON CONFLICT (tenant, request_id) DO NOTHING",
            &params![
                tenant.to_string(),
                feedback.id.to_string(),
                &request.id,
                &request.fingerprint,
                feedback.run.to_string(),
                feedback.brand.to_string(),
                verdict.kind.code(),
                verdict.rating,
                &verdict.comment,
                &verdict.edited_text,
                &feedback.principal,
                to_json(&lessons),
                feedback.created_ms,
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// What the first call with this request id made.
async fn replay(
    tx: &mut Tx,
    tenant: TenantId,
    request: &RequestKey,
) -> Result<Stored<(Feedback, Vec<Lesson>)>, StoreError> {
    let row = tx
        .query_opt(
            "SELECT * FROM feedback WHERE tenant = $1 AND request_id = $2",
            &params![tenant.to_string(), &request.id],
        )
        .await?;
    let Some(row) = row else { return Ok(Stored::Reused) };
    if row.get::<String>("fingerprint")? != request.fingerprint {
        return Ok(Stored::Reused);
    }
    let ids: Vec<LessonId> = json(&row, "lessons")?;
    let lessons = lesson::by_ids(tx, tenant, &ids).await?;
    Ok(Stored::Known((read(&row)?, told(&ids, lessons))))
}

/// The lessons with these ids, in their order.
fn told(ids: &[LessonId], lessons: Vec<Lesson>) -> Vec<Lesson> {
    ids.iter().filter_map(|id| lessons.iter().find(|lesson| lesson.id == *id).cloned()).collect()
}

pub(super) async fn list(
    database: &Database,
    tenant: TenantId,
    filter: &FeedbackFilter,
    page: &Page,
) -> Result<Vec<Feedback>, StoreError> {
    let mut params: Vec<Value> = params![tenant.to_string()].into();
    let mut sql = "SELECT * FROM feedback WHERE tenant = $1".to_owned();
    let wanted = [
        ("brand_id", filter.brand.map(|id| id.to_string())),
        ("run_id", filter.run.map(|id| id.to_string())),
    ];
    for (column, value) in wanted {
        if let Some(value) = value {
            params.push(Value::from(value));
            sql.push_str(&format!(" AND {column} = ${}", params.len()));
        }
    }
    sql.push_str(&page_clause(page, "feedback_id", &mut params));
    let rows = database.query(sql, &params).await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Feedback, StoreError> {
    Ok(Feedback {
        id: id(row, "feedback_id")?,
        run: id(row, "run_id")?,
        brand: id(row, "brand_id")?,
        verdict: Verdict {
            kind: code(row, "kind", FeedbackKind::from_code)?,
            rating: row.get("rating")?,
            comment: row.get("comment")?,
            edited_text: row.get("edited_text")?,
        },
        principal: row.get("principal")?,
        created_ms: row.get("created_ms")?,
    })
}
