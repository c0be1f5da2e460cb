//! Claims of ids. A claim is the row that its answer will take: so one statement sees claim and answer as one thing,
//! and no answer can slip in between a look and a claim.
use std::time::Duration;

use copydesk_store::{Database, StoreError, params};
use copydesk_types::TenantId;

use super::answers::{named, read};
use super::millis;
use crate::ports::Claim;

/// How often a claim is tried while the row in its way vanishes.
const TRIES: usize = 8;

pub(super) async fn claim(
    database: &Database,
    tenant: TenantId,
    request_id: &str,
    fingerprint: &str,
    owner: &str,
    ttl: Duration,
) -> Result<Claim, StoreError> {
    let now = database.dialect().now_ms();
    let take = format!(
        "INSERT INTO answer (tenant, request_id, fingerprint, body, created_ms, expires_ms, owner) \
         VALUES ($1, $2, $3, '', {now}, {now} + $4, $5) ON CONFLICT (tenant, request_id) DO UPDATE \
         SET fingerprint = excluded.fingerprint, body = '', created_ms = excluded.created_ms, \
         expires_ms = excluded.expires_ms, owner = excluded.owner \
         WHERE answer.expires_ms <= excluded.created_ms OR answer.owner = excluded.owner"
    );
    let look = format!(
        "SELECT request_id, fingerprint, body, created_ms, expires_ms, owner FROM answer \
         WHERE tenant = $1 AND request_id = $2 AND expires_ms > {now}"
    );
    let values = params![tenant.to_string(), request_id, fingerprint, millis(ttl), owner];
    for _ in 0..TRIES {
        if database.execute(take.clone(), &values).await? == 1 {
            return Ok(Claim::Mine);
        }
        if let Some(row) = database.query_opt(look.clone(), &named(tenant, request_id)).await? {
            return Ok(if row.get::<String>("owner")?.is_empty() {
                Claim::Answered(Box::new(read(&row)?))
            } else {
                Claim::Taken { fingerprint: row.get("fingerprint")? }
            });
        }
    }
    // Whoever claims and releases in this rhythm will be looked for again by the caller.
    Ok(Claim::Taken { fingerprint: fingerprint.to_owned() })
}

pub(super) async fn renew(
    database: &Database,
    tenant: TenantId,
    request_id: &str,
    owner: &str,
    ttl: Duration,
) -> Result<bool, StoreError> {
    let now = database.dialect().now_ms();
    let sql = format!(
        "UPDATE answer SET expires_ms = {now} + $4 WHERE tenant = $1 AND request_id = $2 AND owner = $3 AND owner <> ''"
    );
    let held = database.execute(sql, &params![tenant.to_string(), request_id, owner, millis(ttl)]).await?;
    Ok(held == 1)
}

pub(super) async fn release(
    database: &Database,
    tenant: TenantId,
    request_id: &str,
    owner: &str,
) -> Result<(), StoreError> {
    const RELEASE: &str =
        "DELETE FROM answer WHERE tenant = $1 AND request_id = $2 AND owner = $3 AND owner <> ''";
    database.execute(RELEASE, &params![tenant.to_string(), request_id, owner]).await.map(|_| ())
}
