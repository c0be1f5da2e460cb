//! What the guard keeps: policies, a judge's answers, the verdicts of people.
use std::collections::HashMap;

use async_trait::async_trait;
use copydesk_guard::Verdict;
use copydesk_guard::llm_judge::Opinion;
use copydesk_store::StoreError;
use copydesk_types::TenantId;

use crate::domain::policy::Policy;

/// A tenant's policy as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredPolicy {
    /// The policy.
    pub policy: Policy,
    /// From 1; grows with every change.
    pub version: i64,
    /// Milliseconds since 1970.
    pub updated_ms: i64,
}

/// What a person says of a claim.
#[derive(Debug, Clone, PartialEq)]
pub struct HumanVerdict {
    /// BLAKE3 of the claim's words, in hexadecimal digits.
    pub claim_hash: String,
    /// What the guard said.
    pub guard: Verdict,
    /// With which risk, 0 to 1.
    pub risk: f64,
    /// What the judge said, if it was asked.
    pub judge: Option<Verdict>,
    /// What is true.
    pub human: Verdict,
}

/// The guard's rows.
#[async_trait]
pub trait GuardStore: Send + Sync {
    /// The tenant's policy, if it has set one.
    async fn policy(&self, tenant: TenantId) -> Result<Option<StoredPolicy>, StoreError>;

    /// Puts a policy in place of the one with the version `expected`, 0 for none, or of any. The new version; `None`
    /// when another one stands there.
    async fn set_policy(
        &self,
        tenant: TenantId,
        policy: &Policy,
        expected: Option<i64>,
        now: i64,
    ) -> Result<Option<i64>, StoreError>;

    /// A judge's answers to these questions, as far as they are remembered.
    async fn opinions(
        &self,
        tenant: TenantId,
        questions: &[String],
    ) -> Result<HashMap<String, Opinion>, StoreError>;

    /// Remembers answers, and forgets those made before `forget_before`.
    async fn remember_opinions(
        &self,
        tenant: TenantId,
        opinions: &[(String, Opinion)],
        now: i64,
        forget_before: i64,
    ) -> Result<(), StoreError>;

    /// Keeps verdicts, unless the request has been kept already; how many the tenant has.
    async fn record_verdicts(
        &self,
        tenant: TenantId,
        request_id: &str,
        verdicts: &[HumanVerdict],
        now: i64,
    ) -> Result<u64, StoreError>;

    /// The latest verdicts, at most `limit`.
    async fn verdicts(&self, tenant: TenantId, limit: u32) -> Result<Vec<HumanVerdict>, StoreError>;
}
