//! Answers kept for calls repeated with the same id.
use std::collections::HashSet;
use std::fmt::Write;

use copydesk_store::{Database, Row, Sql, StoreError, Tx, Value, params, placeholders};
use copydesk_types::TenantId;

use super::unreadable;
use crate::domain::{Answer, Entry, StoredAnswer};

const FIND: &str = "SELECT request_id, fingerprint, body, created_ms, expires_ms FROM answer \
     WHERE tenant = $1 AND request_id = $2 AND expires_ms > $3 AND owner = ''";

const COLUMNS: usize = 6;

/// The answer under this key that has not expired.
pub(super) async fn find(
    database: &Database,
    tenant: TenantId,
    request_id: &str,
    now_ms: i64,
) -> Result<Option<StoredAnswer>, StoreError> {
    let row = database.query_opt(FIND, &params![tenant.to_string(), request_id, now_ms]).await?;
    row.map(|row| read(&row)).transpose()
}

/// Writes answers; those that lost to an earlier one get it back.
pub(super) async fn keep(
    tx: &mut Tx,
    entries: &[Entry],
    answers: &[(usize, StoredAnswer)],
) -> Result<Vec<Option<StoredAnswer>>, StoreError> {
    if answers.is_empty() {
        return Ok(Vec::new());
    }
    let tenant = |index: usize| entries.get(index).map(|entry| entry.tenant.to_string()).unwrap_or_default();
    let mut sorted: Vec<(String, &StoredAnswer)> =
        answers.iter().map(|(index, answer)| (tenant(*index), answer)).collect();
    // Rows are locked in one order by everybody, so that no two replicas wait for each other.
    sorted.sort_by(|a, b| (&a.0, &a.1.request_id).cmp(&(&b.0, &b.1.request_id)));
    let mut values = Vec::with_capacity(sorted.len() * COLUMNS);
    for (tenant, answer) in &sorted {
        let body = serde_json::to_string(&answer.answer).map_err(|_| unreadable("body"))?;
        values.extend(params![
            tenant.as_str(),
            answer.request_id.as_str(),
            answer.fingerprint.as_str(),
            body,
            answer.created_ms,
            answer.expires_ms
        ]);
    }
    let kept = tx.query(insert(sorted.len()), &values).await?;
    let kept = kept.iter().map(key).collect::<Result<HashSet<_>, _>>()?;
    let mut earlier = Vec::with_capacity(answers.len());
    for (index, answer) in answers {
        let (tenant, id) = (tenant(*index), answer.request_id.clone());
        earlier.push(if kept.contains(&(tenant.clone(), id.clone())) {
            None
        } else {
            let found = tx.query_opt(FIND, &params![tenant, id, answer.created_ms]).await?;
            found.map(|row| read(&row)).transpose()?
        });
    }
    Ok(earlier)
}

/// Deletes what has expired.
pub(super) async fn forget(database: &Database, now_ms: i64) -> Result<u64, StoreError> {
    database.execute("DELETE FROM answer WHERE expires_ms <= $1", &params![now_ms]).await
}

fn insert(rows: usize) -> Sql {
    let mut text =
        "INSERT INTO answer (tenant, request_id, fingerprint, body, created_ms, expires_ms) VALUES "
            .to_owned();
    for row in 0..rows {
        let comma = if row == 0 { "" } else { ", " };
        // Writing into a String cannot fail.
        let _ = write!(text, "{comma}({})", placeholders(row * COLUMNS + 1, COLUMNS));
    }
    text.push_str(
        " ON CONFLICT (tenant, request_id) DO UPDATE SET fingerprint = excluded.fingerprint, body = excluded.body, \
         created_ms = excluded.created_ms, expires_ms = excluded.expires_ms, owner = '' \
         WHERE answer.owner <> '' OR answer.expires_ms <= excluded.created_ms RETURNING tenant, request_id",
    );
    if rows == 1 { Sql::from(text) } else { Sql::once(text) }
}

fn key(row: &Row) -> Result<(String, String), StoreError> {
    Ok((row.get("tenant")?, row.get("request_id")?))
}

pub(super) fn read(row: &Row) -> Result<StoredAnswer, StoreError> {
    let body: String = row.get("body")?;
    let answer: Answer = serde_json::from_str(&body).map_err(|_| unreadable("body"))?;
    Ok(StoredAnswer {
        request_id: row.get("request_id")?,
        fingerprint: row.get("fingerprint")?,
        answer,
        created_ms: row.get("created_ms")?,
        expires_ms: row.get("expires_ms")?,
    })
}

/// What a tenant and an id are bound to.
pub(super) fn named(tenant: TenantId, request_id: &str) -> [Value; 2] {
    params![tenant.to_string(), request_id]
}
