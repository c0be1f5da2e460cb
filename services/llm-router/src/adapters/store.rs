//! The store over SQLite or PostgreSQL.
use async_trait::async_trait;
use copydesk_proto::llm_router::v1::Operation;
use copydesk_store::{Database, Row, StoreError, Tx, params};
use copydesk_types::{NanoDollars, RunId, TenantId, UsageId};

use crate::domain::{Answer, Attempt, Attribution, StoredAnswer, Usage, UsageCursor, UsageRow};
use crate::ports::Store;

/// This service's tables.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// Answers and ledger in a database.
#[derive(Clone)]
pub struct DatabaseStore {
    database: Database,
}

impl DatabaseStore {
    /// Over an open, migrated database.
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

const FIND_ANSWER: &str = "SELECT request_id, fingerprint, body, created_ms, expires_ms FROM answer \
     WHERE tenant = $1 AND request_id = $2 AND expires_ms > $3";

const KEEP_ANSWER: &str = "INSERT INTO answer (tenant, request_id, fingerprint, body, created_ms, expires_ms) \
     VALUES ($1, $2, $3, $4, $5, $6) \
     ON CONFLICT (tenant, request_id) DO UPDATE SET fingerprint = excluded.fingerprint, body = excluded.body, \
     created_ms = excluded.created_ms, expires_ms = excluded.expires_ms \
     WHERE answer.expires_ms <= excluded.created_ms";

const ADD_USAGE: &str = "INSERT INTO usage_record (tenant, usage_id, time_ms, run_id, step, agent, agent_version, \
     task, model, outcome, input_tokens, cached_input_tokens, output_tokens, estimated, cost_nanos, price_version, \
     latency_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) \
     ON CONFLICT (tenant, usage_id) DO NOTHING";

macro_rules! usage_query {
    ($filter:literal, $limit:literal) => {
        concat!(
            "SELECT usage_id, time_ms, run_id, step, agent, agent_version, task, model, outcome, input_tokens, ",
            "cached_input_tokens, output_tokens, estimated, cost_nanos, price_version, latency_us ",
            "FROM usage_record WHERE tenant = $1 AND (time_ms < $2 OR (time_ms = $2 AND usage_id < $3))",
            $filter,
            " ORDER BY time_ms DESC, usage_id DESC LIMIT ",
            $limit
        )
    };
}

// The second filter repeats the partial index's condition: neither database infers it from a parameter.
const LIST_USAGE: &str = usage_query!("", "$4");
const LIST_USAGE_OF_RUN: &str = usage_query!(" AND run_id = $4 AND run_id <> ''", "$5");

const TOTAL: &str =
    "SELECT CAST(COALESCE(SUM(cost_nanos), 0) AS BIGINT) AS total FROM usage_record WHERE tenant = $1";
const TOTAL_OF_RUN: &str = "SELECT CAST(COALESCE(SUM(cost_nanos), 0) AS BIGINT) AS total FROM usage_record \
     WHERE tenant = $1 AND run_id = $2 AND run_id <> ''";

#[async_trait]
impl Store for DatabaseStore {
    async fn answer(
        &self,
        tenant: TenantId,
        request_id: &str,
        now_ms: i64,
    ) -> Result<Option<StoredAnswer>, StoreError> {
        let row =
            self.database.query_opt(FIND_ANSWER, &params![tenant.to_string(), request_id, now_ms]).await?;
        row.map(|row| read_answer(&row)).transpose()
    }

    async fn record(
        &self,
        tenant: TenantId,
        rows: &[UsageRow],
        answer: Option<&StoredAnswer>,
    ) -> Result<Option<StoredAnswer>, StoreError> {
        let tenant = tenant.to_string();
        let mut tx = self.database.begin().await?;
        for row in rows {
            add_usage(&mut tx, &tenant, row).await?;
        }
        let mut earlier = None;
        if let Some(answer) = answer
            && keep_answer(&mut tx, &tenant, answer).await? == 0
        {
            let found = params![tenant.as_str(), answer.request_id.as_str(), answer.created_ms];
            earlier = tx.query_opt(FIND_ANSWER, &found).await?.map(|row| read_answer(&row)).transpose()?;
        }
        tx.commit().await?;
        Ok(earlier)
    }

    async fn usage(
        &self,
        tenant: TenantId,
        run: Option<RunId>,
        before: UsageCursor,
        limit: u32,
    ) -> Result<Vec<UsageRow>, StoreError> {
        let (tenant, time, id) = (tenant.to_string(), before.time_ms, before.id.to_string());
        let limit = i64::from(limit);
        let rows = match run {
            None => self.database.query(LIST_USAGE, &params![tenant, time, id, limit]).await?,
            Some(run) => {
                let run = run.to_string();
                self.database.query(LIST_USAGE_OF_RUN, &params![tenant, time, id, run, limit]).await?
            }
        };
        rows.iter().map(read_usage).collect()
    }

    async fn total(&self, tenant: TenantId, run: Option<RunId>) -> Result<NanoDollars, StoreError> {
        let tenant = tenant.to_string();
        let row = match run {
            None => self.database.query_opt(TOTAL, &params![tenant]).await?,
            Some(run) => self.database.query_opt(TOTAL_OF_RUN, &params![tenant, run.to_string()]).await?,
        };
        row.map_or(Ok(NanoDollars(0)), |row| row.get::<i64>("total").map(NanoDollars))
    }

    async fn forget(&self, now_ms: i64) -> Result<u64, StoreError> {
        self.database.execute("DELETE FROM answer WHERE expires_ms <= $1", &params![now_ms]).await
    }
}

async fn keep_answer(tx: &mut Tx, tenant: &str, answer: &StoredAnswer) -> Result<u64, StoreError> {
    let body = serde_json::to_string(&answer.answer).map_err(|_| unreadable("body"))?;
    let values = params![
        tenant,
        answer.request_id.as_str(),
        answer.fingerprint.as_str(),
        body,
        answer.created_ms,
        answer.expires_ms
    ];
    tx.execute(KEEP_ANSWER, &values).await
}

async fn add_usage(tx: &mut Tx, tenant: &str, row: &UsageRow) -> Result<(), StoreError> {
    let (attempt, usage, whose) = (&row.attempt, &row.attempt.usage, &row.attribution);
    let values = params![
        tenant,
        row.id.to_string(),
        row.time_ms,
        whose.run.map(|run| run.to_string()).unwrap_or_default(),
        whose.step.as_str(),
        whose.agent.as_str(),
        whose.agent_version.as_str(),
        row.task,
        attempt.model.as_str(),
        attempt.outcome.as_str(),
        signed(usage.input),
        signed(usage.cached_input),
        signed(usage.output),
        usage.estimated,
        attempt.cost.0,
        row.price_version.as_str(),
        signed(attempt.latency_us)
    ];
    tx.execute(ADD_USAGE, &values).await.map(|_| ())
}

fn read_answer(row: &Row) -> Result<StoredAnswer, StoreError> {
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

fn read_usage(row: &Row) -> Result<UsageRow, StoreError> {
    let id: String = row.get("usage_id")?;
    let run: String = row.get("run_id")?;
    let outcome: String = row.get("outcome")?;
    let run = match run.as_str() {
        "" => None,
        text => Some(text.parse::<RunId>().map_err(|_| unreadable("run_id"))?),
    };
    let attribution = Attribution {
        run,
        step: row.get("step")?,
        agent: row.get("agent")?,
        agent_version: row.get("agent_version")?,
    };
    let usage = Usage {
        input: unsigned(row, "input_tokens")?,
        cached_input: unsigned(row, "cached_input_tokens")?,
        output: unsigned(row, "output_tokens")?,
        estimated: row.get::<i64>("estimated")? != 0,
    };
    let attempt = Attempt {
        model: row.get("model")?,
        outcome: outcome.parse().map_err(|_| unreadable("outcome"))?,
        usage,
        cost: NanoDollars(row.get("cost_nanos")?),
        latency_us: unsigned(row, "latency_us")?,
        first_token_us: 0,
        upstream_status: 0,
        tier: None,
        started_us: 0,
        hedge: false,
    };
    Ok(UsageRow {
        id: id.parse::<UsageId>().map_err(|_| unreadable("usage_id"))?,
        time_ms: row.get("time_ms")?,
        attribution,
        task: i32::try_from(row.get::<i64>("task")?).map_err(|_| unreadable("task"))?,
        operation: Operation::Chat,
        ordered_ms: row.get("time_ms")?,
        attempt,
        price_version: row.get("price_version")?,
    })
}

fn unreadable(column: &str) -> StoreError {
    StoreError::Decode {
        column: column.to_owned(),
        reason: "does not hold what this service wrote".to_owned(),
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn unsigned(row: &Row, column: &'static str) -> Result<u64, StoreError> {
    u64::try_from(row.get::<i64>(column)?).map_err(|_| unreadable(column))
}
