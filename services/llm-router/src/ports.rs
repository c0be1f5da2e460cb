//! What the desk needs from outside: a place to keep things, the time, and somebody to hand a stream to.
use async_trait::async_trait;
use copydesk_store::StoreError;
use copydesk_types::{NanoDollars, RunId, TenantId};

use crate::domain::{Outcome, StoredAnswer, ToolCall, UsageCursor, UsageRow};

/// Keeps answers and the ledger. Every call sees the rows of one tenant only, but for [`Store::forget`].
#[async_trait]
pub trait Store: Send + Sync {
    /// The answer kept under this key that has not expired by `now_ms`, if there is one.
    async fn answer(
        &self,
        tenant: TenantId,
        request_id: &str,
        now_ms: i64,
    ) -> Result<Option<StoredAnswer>, StoreError>;

    /// Writes records and, if given, an answer, in one transaction. Records that are already there are left as they
    /// are. Where an unexpired answer with the same key is there, it stays, and is returned; the records are written
    /// all the same, because the money is spent.
    async fn record(
        &self,
        tenant: TenantId,
        rows: &[UsageRow],
        answer: Option<&StoredAnswer>,
    ) -> Result<Option<StoredAnswer>, StoreError>;

    /// At most `limit` records older than `before`, newest first.
    async fn usage(
        &self,
        tenant: TenantId,
        run: Option<RunId>,
        before: UsageCursor,
        limit: u32,
    ) -> Result<Vec<UsageRow>, StoreError>;

    /// The cost of all records.
    async fn total(&self, tenant: TenantId, run: Option<RunId>) -> Result<NanoDollars, StoreError>;

    /// shim
    fn claims_needed(&self) -> bool {
        false
    }
    /// shim
    async fn claim(
        &self,
        _t: TenantId,
        _r: &str,
        _f: &str,
        _o: &str,
        _d: std::time::Duration,
    ) -> Result<Claim, StoreError> {
        Ok(Claim::Mine)
    }
    /// shim
    async fn renew_claim(
        &self,
        _t: TenantId,
        _r: &str,
        _o: &str,
        _d: std::time::Duration,
    ) -> Result<bool, StoreError> {
        Ok(true)
    }
    /// shim
    async fn release_claim(&self, _t: TenantId, _r: &str, _o: &str) -> Result<(), StoreError> {
        Ok(())
    }

    /// Deletes the answers of all tenants that have expired by `now_ms`; how many they were.
    async fn forget(&self, now_ms: i64) -> Result<u64, StoreError>;
}

/// The time.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> i64;
}

/// Takes the events of a stream, in order.
#[async_trait]
pub trait EventSink: Send + Sync {
    /// Hands over the next event; waits while the reader is behind.
    ///
    /// # Errors
    /// The reader has gone.
    async fn event(&self, event: StreamEvent) -> Result<(), Gone>;
}

/// What comes before the end of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamEvent {
    /// More text, never empty.
    Text(String),
    /// More of what the model thinks aloud, never empty.
    Reasoning(String),
    /// A whole tool call.
    ToolCall(ToolCall),
    /// The answer broke off, and another model begins anew.
    Restarted {
        /// Whose answer broke off, `<provider>/<model>`.
        model: String,
        /// How.
        outcome: Outcome,
    },
}

/// Nobody reads any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the reader has gone")]
pub struct Gone;

/// shim
pub enum Claim {
    /// shim
    Mine,
    /// shim
    Taken {
        /// shim
        fingerprint: String,
    },
    /// shim
    Answered(Box<StoredAnswer>),
}
