//! The guard's rows.
use std::collections::HashMap;

use async_trait::async_trait;
use copydesk_guard::Verdict;
use copydesk_guard::llm_judge::Opinion;
use copydesk_store::{Row, StoreError, Value, params};
use copydesk_types::TenantId;

use super::{SqlStore, rows};
use crate::domain::policy::Policy;
use crate::ports::{GuardStore, HumanVerdict, StoredPolicy};

/// Questions per statement.
const AT_ONCE: usize = 100;

#[async_trait]
impl GuardStore for SqlStore {
    async fn policy(&self, tenant: TenantId) -> Result<Option<StoredPolicy>, StoreError> {
        let sql = "SELECT version, body, updated_at FROM guard_policy WHERE tenant = $1";
        let row = self.db.query_opt(sql, &params![tenant.to_string()]).await?;
        let stored = |row: Row| {
            Ok(StoredPolicy {
                policy: rows::json(&row, "body")?,
                version: row.get("version")?,
                updated_ms: row.get("updated_at")?,
            })
        };
        row.map(stored).transpose()
    }

    async fn set_policy(
        &self,
        tenant: TenantId,
        policy: &Policy,
        expected: Option<i64>,
        now: i64,
    ) -> Result<Option<i64>, StoreError> {
        let (tenant, body) = (tenant.to_string(), rows::to_json("body", policy)?);
        let mut tx = self.db.begin().await?;
        let insert = "INSERT INTO guard_policy (tenant, version, body, updated_at) VALUES ($1, 1, $2, $3) \
             ON CONFLICT (tenant) DO NOTHING";
        let fresh = expected.is_none_or(|version| version == 0);
        let version = if fresh && tx.execute(insert, &params![&tenant, &body, now]).await? == 1 {
            Some(1)
        } else {
            let update = "UPDATE guard_policy SET version = version + 1, body = $2, updated_at = $3 \
                 WHERE tenant = $1 AND ($4 < 0 OR version = $4) RETURNING version";
            let values = params![&tenant, &body, now, expected.unwrap_or(-1)];
            tx.query_opt(update, &values).await?.map(|row| row.get("version")).transpose()?
        };
        tx.commit().await?;
        Ok(version)
    }

    async fn opinions(
        &self,
        tenant: TenantId,
        questions: &[String],
    ) -> Result<HashMap<String, Opinion>, StoreError> {
        let mut found = HashMap::new();
        for some in questions.chunks(AT_ONCE) {
            let places: Vec<String> = (2..some.len() + 2).map(|n| format!("${n}")).collect();
            let sql = format!(
                "SELECT question_hash, body FROM judge_opinion WHERE tenant = $1 AND question_hash IN ({})",
                places.join(", ")
            );
            let mut values: Vec<Value> = params![tenant.to_string()].to_vec();
            values.extend(some.iter().flat_map(|question| params![question]));
            for row in self.db.query(sql, &values).await? {
                found.insert(row.get("question_hash")?, rows::json(&row, "body")?);
            }
        }
        Ok(found)
    }

    async fn remember_opinions(
        &self,
        tenant: TenantId,
        opinions: &[(String, Opinion)],
        now: i64,
        forget_before: i64,
    ) -> Result<(), StoreError> {
        let tenant = tenant.to_string();
        let mut tx = self.db.begin().await?;
        let insert = "INSERT INTO judge_opinion (tenant, question_hash, body, created_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (tenant, question_hash) DO NOTHING";
        for (question, opinion) in opinions {
            tx.execute(insert, &params![&tenant, question, rows::to_json("body", opinion)?, now]).await?;
        }
        tx.execute("DELETE FROM judge_opinion WHERE created_at < $1", &params![forget_before]).await?;
        tx.commit().await
    }

    async fn record_verdicts(
        &self,
        tenant: TenantId,
        request_id: &str,
        verdicts: &[HumanVerdict],
        now: i64,
    ) -> Result<u64, StoreError> {
        let tenant = tenant.to_string();
        let mut tx = self.db.begin().await?;
        let insert = "INSERT INTO human_verdict (tenant, request_id, ordinal, claim_hash, guard_verdict, risk, \
             judge_verdict, human_verdict, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
             ON CONFLICT (tenant, request_id, ordinal) DO NOTHING";
        for (ordinal, verdict) in (0i64..).zip(verdicts) {
            let judge = verdict.judge.map(|judge| rows::to_json("judge_verdict", &judge)).transpose()?;
            let (guard, human) = (word(&verdict.guard)?, word(&verdict.human)?);
            let values = params![
                &tenant,
                request_id,
                ordinal,
                &verdict.claim_hash,
                guard,
                verdict.risk,
                judge,
                human,
                now
            ];
            // A request is kept whole or not at all: its first verdict says which.
            if tx.execute(insert, &values).await? == 0 {
                break;
            }
        }
        let sql = "SELECT COUNT(*) AS n FROM human_verdict WHERE tenant = $1";
        let row = tx.query_opt(sql, &params![&tenant]).await?;
        let count: i64 = row.map_or(Ok(0), |row| row.get("n"))?;
        tx.commit().await?;
        Ok(count.unsigned_abs())
    }

    async fn verdicts(&self, tenant: TenantId, limit: u32) -> Result<Vec<HumanVerdict>, StoreError> {
        let sql = "SELECT claim_hash, guard_verdict, risk, judge_verdict, human_verdict FROM human_verdict \
             WHERE tenant = $1 ORDER BY created_at DESC, request_id, ordinal LIMIT $2";
        let rows = self.db.query(sql, &params![tenant.to_string(), limit]).await?;
        rows.iter().map(verdict).collect()
    }
}

fn verdict(row: &Row) -> Result<HumanVerdict, StoreError> {
    let judge: Option<String> = row.get("judge_verdict")?;
    Ok(HumanVerdict {
        claim_hash: row.get("claim_hash")?,
        guard: rows::json(row, "guard_verdict")?,
        risk: row.get("risk")?,
        judge: judge.map(|text| rows::from_json("judge_verdict", &text)).transpose()?,
        human: rows::json(row, "human_verdict")?,
    })
}

fn word(verdict: &Verdict) -> Result<String, StoreError> {
    rows::to_json("verdict", verdict)
}
