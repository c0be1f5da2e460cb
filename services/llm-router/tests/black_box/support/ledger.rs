//! Records, answers, and a database that can be away.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use copydesk_llm_router::DatabaseStore;
use copydesk_llm_router::domain::{
    Answer, Attempt, Attribution, Completion, CostBreakdown, Dimension, Entry, StoredAnswer, UsageCursor,
    UsageFilter, UsageRow,
};
use copydesk_llm_router::ports::{Claim, Store};
use copydesk_proto::llm_router::v1::Operation;
use copydesk_store::StoreError;
use copydesk_types::{NanoDollars, TenantId, UsageId};
use tokio::sync::mpsc;

/// A record that costs ten nano-dollars.
pub fn row(id: u128) -> UsageRow {
    UsageRow {
        id: UsageId::from_u128(id),
        time_ms: 1_000,
        attribution: Attribution { agent: "writer".into(), ..Attribution::default() },
        task: 4,
        operation: Operation::Chat,
        ordered_ms: 990,
        attempt: Attempt { model: "openai/m".into(), cost: NanoDollars(10), ..Attempt::default() },
        price_version: "2026-11".into(),
    }
}

pub fn answer(id: &str, text: &str) -> StoredAnswer {
    StoredAnswer {
        request_id: id.into(),
        fingerprint: "f".into(),
        answer: Answer {
            text: text.into(),
            structured: None,
            tool_calls: Vec::new(),
            reasoning: String::new(),
            completion: Completion::default(),
        },
        created_ms: 1_000,
        expires_ms: i64::MAX,
    }
}

/// A store whose writes fail while it is away; it tells of each that failed.
pub struct Away {
    pub store: DatabaseStore,
    pub away: Arc<AtomicBool>,
    pub tried: mpsc::UnboundedSender<()>,
}

#[async_trait]
impl Store for Away {
    async fn answer(
        &self,
        tenant: TenantId,
        request_id: &str,
        now_ms: i64,
    ) -> Result<Option<StoredAnswer>, StoreError> {
        self.store.answer(tenant, request_id, now_ms).await
    }

    async fn keep(
        &self,
        entries: &[Entry],
        answers: &[(usize, StoredAnswer)],
    ) -> Result<Vec<Option<StoredAnswer>>, StoreError> {
        if self.away.load(Ordering::SeqCst) {
            let _ = self.tried.send(());
            return Err(StoreError::Unavailable { source: std::io::Error::other("away").into() });
        }
        self.store.keep(entries, answers).await
    }

    async fn usage(
        &self,
        tenant: TenantId,
        filter: &UsageFilter,
        before: UsageCursor,
        limit: u32,
    ) -> Result<Vec<UsageRow>, StoreError> {
        self.store.usage(tenant, filter, before, limit).await
    }

    async fn total(&self, tenant: TenantId, filter: &UsageFilter) -> Result<NanoDollars, StoreError> {
        self.store.total(tenant, filter).await
    }

    async fn breakdown(
        &self,
        tenant: TenantId,
        by: &[Dimension],
        from_ms: i64,
        to_ms: i64,
        limit: u32,
    ) -> Result<CostBreakdown, StoreError> {
        self.store.breakdown(tenant, by, from_ms, to_ms, limit).await
    }

    async fn forget(&self, now_ms: i64) -> Result<u64, StoreError> {
        self.store.forget(now_ms).await
    }

    fn claims_needed(&self) -> bool {
        self.store.claims_needed()
    }

    async fn claim(
        &self,
        tenant: TenantId,
        request_id: &str,
        fingerprint: &str,
        owner: &str,
        ttl: Duration,
    ) -> Result<Claim, StoreError> {
        self.store.claim(tenant, request_id, fingerprint, owner, ttl).await
    }

    async fn renew_claim(
        &self,
        tenant: TenantId,
        request_id: &str,
        owner: &str,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        self.store.renew_claim(tenant, request_id, owner, ttl).await
    }

    async fn release_claim(&self, tenant: TenantId, request_id: &str, owner: &str) -> Result<(), StoreError> {
        self.store.release_claim(tenant, request_id, owner).await
    }
}
