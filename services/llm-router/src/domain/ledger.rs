//! What is kept: one record per call to a model, and answers for repeated calls.
use std::str::FromStr;

use copydesk_proto::llm_router::v1::Operation;
use copydesk_types::{NanoDollars, RunId, TenantId, UsageId};
use serde::{Deserialize, Serialize};

use super::{Answer, Attempt, Usage};

/// For whom and for what a call is made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribution {
    /// The run, if the call belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The step of the run.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub step: String,
    /// The agent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub agent: String,
    /// The version of the agent's definition.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub agent_version: String,
}

/// A record of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRow {
    /// The record.
    pub id: UsageId,
    /// When the call ended, in milliseconds since 1970.
    pub time_ms: i64,
    /// For whom.
    pub attribution: Attribution,
    /// What for, as the contract's number.
    pub task: i32,
    /// What kind of call it was.
    #[serde(with = "operation")]
    pub operation: Operation,
    /// When the caller's request came, in milliseconds since 1970: the time that budgets count it in.
    pub ordered_ms: i64,
    /// The call.
    pub attempt: Attempt,
    /// The version of the price table.
    pub price_version: String,
}

/// Records of one call on their way to the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Whose call it was.
    pub tenant: TenantId,
    /// The run of the router that made the call: what its budget leases are held by.
    pub replica: String,
    /// The records.
    pub rows: Vec<UsageRow>,
}

/// Which records of a tenant are meant; empty fields mean all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageFilter {
    /// Of this run.
    pub run: Option<RunId>,
    /// Of this agent.
    pub agent: Option<String>,
    /// Of this model, `<provider>/<model>`.
    pub model: Option<String>,
    /// That ended at this time or later, in milliseconds since 1970.
    pub from_ms: Option<i64>,
    /// That ended before this time, in milliseconds since 1970.
    pub to_ms: Option<i64>,
}

/// What costs are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// The agent.
    Agent,
    /// The model, `<provider>/<model>`.
    Model,
    /// The provider.
    Provider,
    /// The task, as the contract's number.
    Task,
    /// The run.
    Run,
    /// The step of the run.
    Step,
    /// The day, in days since 1970.
    Day,
}

/// The sum over some records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CostGroup {
    /// The value of each dimension in the order asked for; numbers as digits.
    pub keys: Vec<String>,
    /// Calls to models.
    pub calls: u64,
    /// Those without an answer.
    pub failed_calls: u64,
    /// Their tokens.
    pub usage: Usage,
    /// Their cost.
    pub cost: NanoDollars,
}

/// Where the money went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CostBreakdown {
    /// The groups, dearest first.
    pub groups: Vec<CostGroup>,
    /// The sum of all, those left out included.
    pub total: CostGroup,
    /// True when there are more groups.
    pub truncated: bool,
}

/// An answer kept for calls repeated with the same id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredAnswer {
    /// The caller's key.
    pub request_id: String,
    /// What "the same body" means.
    pub fingerprint: String,
    /// The answer.
    pub answer: Answer,
    /// When it was given, in milliseconds since 1970.
    pub created_ms: i64,
    /// From when on it counts as forgotten, in milliseconds since 1970.
    pub expires_ms: i64,
}

/// A place in the ledger: records come newest first, so the next page holds what is older than this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageCursor {
    /// The last record's time.
    pub time_ms: i64,
    /// The last record.
    pub id: UsageId,
}

impl UsageCursor {
    /// Before every record there can be: the first page.
    pub const NEWEST: Self = Self { time_ms: i64::MAX, id: UsageId::from_u128(u128::MAX) };

    /// The cursor as the inside of a page token.
    pub fn encode(&self) -> String {
        format!("{}:{}", self.time_ms, self.id)
    }
}

/// A text that is not a place in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a place in the ledger")]
pub struct CursorError;

impl FromStr for UsageCursor {
    type Err = CursorError;
    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (time, id) = text.split_once(':').ok_or(CursorError)?;
        Ok(Self { time_ms: time.parse().map_err(|_| CursorError)?, id: id.parse().map_err(|_| CursorError)? })
    }
}

/// The contract's enum as its number: generated types know no serde.
mod operation {
    use copydesk_proto::llm_router::v1::Operation;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(operation: &Operation, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i32((*operation).into())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Operation, D::Error> {
        let number = i32::deserialize(from)?;
        Operation::try_from(number).map_err(|_| serde::de::Error::custom("is not a known operation"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip() {
        let cursor = UsageCursor { time_ms: -5, id: UsageId::from_u128(7) };
        assert_eq!(cursor.encode().parse(), Ok(cursor));
        for bad in ["", ":", "1:", "x:use_00000000000000000000000007", "1:run_00000000000000000000000007"] {
            assert_eq!(bad.parse::<UsageCursor>(), Err(CursorError), "{bad}");
        }
    }
}
