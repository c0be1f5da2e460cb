//! What is kept: one record per call to a model, and answers for repeated calls.
use std::str::FromStr;

use copydesk_proto::llm_router::v1::Operation;
use copydesk_types::{RunId, UsageId};
use serde::{Deserialize, Serialize};

use super::{Answer, Attempt};

/// For whom and for what a call is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attribution {
    /// The run, if the call belongs to one.
    pub run: Option<RunId>,
    /// The step of the run.
    pub step: String,
    /// The agent.
    pub agent: String,
    /// The version of the agent's definition.
    pub agent_version: String,
}

/// A record of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    pub operation: Operation,
    /// When the caller's request came, in milliseconds since 1970: the time that budgets count it in.
    pub ordered_ms: i64,
    /// The call.
    pub attempt: Attempt,
    /// The version of the price table.
    pub price_version: String,
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
