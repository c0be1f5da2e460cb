//! One contract for the run store, kept on SQLite and on PostgreSQL.
#![allow(clippy::expect_used, reason = "a test that cannot go on must stop")]
mod claims;
mod runs;

use std::sync::Arc;

use copydesk_agent_orchestrator::MIGRATOR;
use copydesk_agent_orchestrator::adapters::store::SqlStore;
use copydesk_agent_orchestrator::domain::output::{Finished, StepOutput, Work};
use copydesk_agent_orchestrator::domain::run::{
    Ending, Event, NewRun, Recorded, Run, RunError, RunState, StepState, Usage,
};
use copydesk_agent_orchestrator::domain::spec::{Brand, ContentType, RunSpec};
use copydesk_agent_orchestrator::domain::step::StepKey;
use copydesk_agent_orchestrator::ports::{
    Call, Claim, ClaimOrder, Completion, Created, Failure, ListFilter, Onward, RunStore, Settled, Undelivered,
};
use copydesk_store::testing;
use copydesk_types::{BrandId, RunId, TenantId};

const NOW: i64 = 1_800_000_000_000;
const LEASE: i64 = 15_000;
const GATHER: [StepKey; 3] = [StepKey::Research, StepKey::BrandAnalysis, StepKey::Lessons];

async fn stores() -> Vec<(&'static str, Arc<SqlStore>)> {
    let both = testing::both(&MIGRATOR).await.into_iter();
    both.map(|(name, db)| (name, Arc::new(SqlStore::new(db)))).collect()
}

fn tenant(n: u128) -> TenantId {
    TenantId::from_u128(n)
}

fn new_run(tenant: TenantId, request_id: &str) -> NewRun {
    NewRun {
        run_id: RunId::generate(),
        tenant,
        request_id: request_id.into(),
        input_hash: "hash".into(),
        definition: "content@1".into(),
        spec: RunSpec {
            brand_id: BrandId::from_u128(7),
            workflow: "content".into(),
            topic: "tea".into(),
            content_type: ContentType::Social,
            voice: String::new(),
            tone: String::new(),
            style: String::new(),
            audience: String::new(),
            language: "en".into(),
            budget_nanos: Some(10),
            deadline_ms: None,
            knowledge_base_ids: Vec::new(),
            with_web: false,
        },
        brand: Brand::default(),
        delegation: "{}".into(),
        trace_id: String::new(),
        deadline_ms: NOW + 3_600_000,
    }
}

async fn create(store: &SqlStore, tenant: TenantId, request_id: &str, steps: &[StepKey]) -> Run {
    match store.create(&new_run(tenant, request_id), steps, NOW).await.expect("created") {
        Created::New(run) => run,
        Created::Existing(run) => panic!("{} exists", run.run_id),
    }
}

fn order(owner: &str, wanted: u32) -> ClaimOrder {
    ClaimOrder { owner: owner.into(), lease_ms: LEASE, per_tenant: 100, wanted }
}

fn output() -> StepOutput {
    Work::Draft { text: "text".into() }.into()
}

fn done(claim: &Claim) -> Completion {
    Completion { claim: claim.clone(), output: output(), summary: "done".into() }
}

fn failure(claim: &Claim, retry_at_ms: Option<i64>) -> Failure {
    let error =
        RunError { reason: "STEP_FAILED".into(), message: "broken".into(), step: claim.step.to_string() };
    Failure { claim: claim.clone(), reason: "BROKEN".into(), error, retry_at_ms, lease_lost: false }
}

fn onward(steps: &'static [StepKey]) -> impl Fn(&Run, &Finished) -> Onward + Send + Sync {
    move |_, _| Onward::Steps(steps.to_vec())
}

async fn events(store: &SqlStore, run: &Run) -> Vec<Recorded> {
    store.events(run.tenant, run.run_id, 0, 1_000).await.expect("events")
}

fn is_gapless(events: &[Recorded]) -> bool {
    events.iter().map(|e| e.seq).eq(1..=events.len() as u64)
}
