//! One contract for the run store, kept on SQLite and on PostgreSQL.
use std::collections::{BTreeSet, HashSet};
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
    Call, Claim, ClaimOrder, Completion, Created, Failure, ListFilter, Onward, RunStore, Settled,
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_with_one_request_make_one_run() {
    for (name, store) in stores().await {
        let calls = (0..64).map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.create(&new_run(tenant(1), "same"), &GATHER, NOW).await })
        });
        let (mut ids, mut fresh) = (HashSet::new(), 0);
        for call in calls.collect::<Vec<_>>() {
            match call.await.expect("joined").expect("created") {
                Created::New(run) => {
                    fresh += 1;
                    ids.insert(run.run_id);
                }
                Created::Existing(run) => {
                    ids.insert(run.run_id);
                }
            }
        }
        assert_eq!((ids.len(), fresh), (1, 1), "{name}");
        let run_id = *ids.iter().next().expect("one");
        assert_eq!(store.steps(tenant(1), run_id).await.expect("steps").len(), 3, "{name}");
        let other = store.create(&new_run(tenant(2), "same"), &GATHER, NOW).await.expect("created");
        assert!(matches!(other, Created::New(_)), "{name}: a request id belongs to its tenant");
    }
}

#[tokio::test]
async fn a_run_goes_from_its_first_claim_to_its_end() {
    for (name, store) in stores().await {
        let run = create(&store, tenant(1), "r", &[StepKey::Research]).await;
        assert_eq!((run.state, run.last_seq, run.started_ms), (RunState::Queued, 1, None), "{name}");
        let claims = store.claim(&order("a", 5), NOW + 10).await.expect("claimed");
        assert_eq!((claims.len(), claims[0].attempt, claims[0].fence), (1, 1, 1), "{name}");
        assert!(store.claim(&order("b", 5), NOW + 10).await.expect("claimed").is_empty(), "{name}");
        let settled = store
            .complete(&done(&claims[0]), &onward(&[StepKey::Strategy]), NOW + 20)
            .await
            .expect("settled");
        assert!(matches!(settled, Settled::Onward), "{name}");
        let finished = store.finished(run.tenant, run.run_id).await.expect("finished");
        assert_eq!(finished.get(&StepKey::Research), Some(&output()), "{name}");

        let claim = store.claim(&order("a", 5), NOW + 30).await.expect("claimed").remove(0);
        assert_eq!(claim.step, StepKey::Strategy, "{name}");
        let end = |_: &Run, finished: &Finished| {
            assert_eq!(finished.len(), 2);
            let error = RunError { reason: "NOT_SAFE".into(), message: "m".into(), step: "rules".into() };
            Onward::End(Box::new(Ending::failed(error)))
        };
        let Settled::Ended(ended) = store.complete(&done(&claim), &end, NOW + 40).await.expect("settled")
        else {
            panic!("{name}: not ended");
        };
        let stored = store.get(run.tenant, run.run_id).await.expect("read").expect("run");
        assert_eq!((stored.state, stored.finished_ms), (RunState::Failed, Some(NOW + 40)), "{name}");
        assert_eq!((stored.error, stored.last_seq), (ended.error.clone(), ended.last_seq), "{name}");
        let events = events(&store, &run).await;
        assert!(is_gapless(&events) && events.last().is_some_and(Recorded::is_last), "{name}: {events:?}");
        assert_eq!(events.len() as u64, stored.last_seq, "{name}");
        assert_eq!(events[1].event, Event::StateChanged { state: RunState::Running, error: None }, "{name}");
        assert_eq!(events[2].event, Event::StepStarted { step: StepKey::Research, attempt: 1 }, "{name}");
    }
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_cannot_finish_the_step() {
    for (name, store) in stores().await {
        let run = create(&store, tenant(1), "r", &[StepKey::Research]).await;
        let stale = store.claim(&order("a", 1), NOW).await.expect("claimed").remove(0);
        assert!(store.expired(NOW + LEASE - 1, 9).await.expect("expired").is_empty(), "{name}");
        let expired = store.expired(NOW + LEASE, 9).await.expect("expired");
        assert_eq!(expired, [stale.clone()], "{name}");
        let swept = Failure { lease_lost: true, ..failure(&stale, Some(0)) };
        assert!(matches!(store.fail(&swept, NOW + LEASE).await.expect("swept"), Settled::Onward), "{name}");
        assert!(
            matches!(store.fail(&swept, NOW + LEASE).await.expect("swept"), Settled::Fenced),
            "{name}: once only"
        );

        let fresh = store.claim(&order("b", 1), NOW + LEASE + 1).await.expect("claimed").remove(0);
        assert_eq!((fresh.attempt, fresh.fence), (2, 2), "{name}");
        let late = store
            .complete(&done(&stale), &onward(&[StepKey::Strategy]), NOW + LEASE + 2)
            .await
            .expect("settled");
        assert!(matches!(late, Settled::Fenced), "{name}");
        assert!(
            matches!(store.fail(&failure(&stale, None), NOW).await.expect("settled"), Settled::Fenced),
            "{name}"
        );
        assert!(store.finished(run.tenant, run.run_id).await.expect("finished").is_empty(), "{name}");
        assert_eq!(store.held("a").await.expect("held"), [], "{name}");
        assert_eq!(store.held("b").await.expect("held"), [fresh.clone()], "{name}");
        let fine = store
            .complete(&done(&fresh), &onward(&[StepKey::Strategy]), NOW + LEASE + 3)
            .await
            .expect("settled");
        assert!(matches!(fine, Settled::Onward), "{name}");
        assert!(is_gapless(&events(&store, &run).await), "{name}");
    }
}

#[tokio::test]
async fn a_heartbeat_keeps_the_lease_and_a_release_costs_no_attempt() {
    for (name, store) in stores().await {
        create(&store, tenant(1), "r", &[StepKey::Research]).await;
        let claim = store.claim(&order("a", 1), NOW).await.expect("claimed").remove(0);
        store.heartbeat("a", NOW + 2 * LEASE).await.expect("beat");
        assert!(store.expired(NOW + LEASE, 9).await.expect("expired").is_empty(), "{name}");
        let swept = Failure { lease_lost: true, ..failure(&claim, Some(0)) };
        let settled = store.fail(&swept, NOW + LEASE).await.expect("swept");
        assert!(matches!(settled, Settled::Fenced), "{name}: a prolonged lease is not taken");
        store.release(&[claim]).await.expect("released");
        let again = store.claim(&order("b", 1), NOW + 1).await.expect("claimed").remove(0);
        assert_eq!((again.attempt, again.fence), (1, 2), "{name}");
        assert_eq!(store.expire_leases().await.expect("expired"), 1, "{name}");
        assert_eq!(store.expired(NOW, 9).await.expect("expired"), [again], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_have_no_gaps_under_concurrent_completions() {
    for (name, store) in stores().await {
        let steps: Vec<StepKey> = (1..=32).map(StepKey::Review).collect();
        let run = create(&store, tenant(1), "r", &steps).await;
        let claims = store.claim(&order("a", 32), NOW).await.expect("claimed");
        assert_eq!(claims.len(), 32, "{name}");
        let calls = claims.into_iter().map(|claim| {
            let store = store.clone();
            // All of them ask for the same successor: it must come to be once.
            tokio::spawn(
                async move { store.complete(&done(&claim), &onward(&[StepKey::Finish]), NOW + 1).await },
            )
        });
        for call in calls.collect::<Vec<_>>() {
            assert!(matches!(call.await.expect("joined").expect("settled"), Settled::Onward), "{name}");
        }
        let events = events(&store, &run).await;
        assert_eq!(events.len(), 2 + 32 + 32, "{name}");
        assert!(is_gapless(&events), "{name}");
        let steps = store.steps(run.tenant, run.run_id).await.expect("steps");
        assert_eq!(steps.iter().filter(|s| s.key == StepKey::Finish).count(), 1, "{name}");
        assert_eq!(steps.iter().filter(|s| s.state == StepState::Done).count(), 32, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_step_is_claimed_twice_and_tenants_take_turns() {
    for (name, store) in stores().await {
        for n in 0..20 {
            create(&store, tenant(1), &format!("a{n}"), &GATHER).await;
        }
        create(&store, tenant(2), "b", &GATHER).await;
        let first = store.claim(&order("w", 4), NOW).await.expect("claimed");
        let of = |claims: &[Claim], t: u128| claims.iter().filter(|c| c.tenant == tenant(t)).count();
        assert_eq!(
            (of(&first, 1), of(&first, 2)),
            (2, 2),
            "{name}: a long queue does not starve a short one"
        );

        let limit = ClaimOrder { per_tenant: 8, ..order("w", 50) };
        let more = store.claim(&limit, NOW).await.expect("claimed");
        assert_eq!((of(&more, 1), of(&more, 2)), (6, 1), "{name}: eight of a tenant at once, in all");

        let calls = (0..16).map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.claim(&order(&format!("w{n}"), 3), NOW).await })
        });
        let mut all: Vec<Claim> = first.into_iter().chain(more).collect();
        for call in calls.collect::<Vec<_>>() {
            all.extend(call.await.expect("joined").expect("claimed"));
        }
        let distinct: BTreeSet<_> = all.iter().map(|c| (c.run_id, c.step)).collect();
        assert_eq!(distinct.len(), all.len(), "{name}");
    }
}

#[tokio::test]
async fn a_failed_attempt_waits_and_a_given_up_step_ends_the_run() {
    for (name, store) in stores().await {
        let run = create(&store, tenant(1), "r", &[StepKey::Research, StepKey::Lessons]).await;
        let mut claims = store.claim(&order("a", 2), NOW).await.expect("claimed");
        claims.sort_by_key(|c| c.step);
        store.fail(&failure(&claims[0], Some(NOW + 500)), NOW).await.expect("failed");
        assert!(store.claim(&order("a", 2), NOW + 499).await.expect("claimed").is_empty(), "{name}");
        let again = store.claim(&order("a", 2), NOW + 500).await.expect("claimed").remove(0);
        assert_eq!((again.step, again.attempt), (StepKey::Research, 2), "{name}");
        let settled = store.fail(&failure(&again, None), NOW + 600).await.expect("failed");
        assert!(matches!(settled, Settled::Ended(_)), "{name}");
        let steps = store.steps(run.tenant, run.run_id).await.expect("steps");
        let states: Vec<StepState> = steps.iter().map(|s| s.state).collect();
        assert_eq!(states, [StepState::Failed, StepState::Cancelled], "{name}");
        let late = store.complete(&done(&claims[1]), &onward(&[]), NOW + 700).await.expect("settled");
        assert!(matches!(late, Settled::Fenced), "{name}: nothing happens after the end");
        assert!(events(&store, &run).await.last().is_some_and(Recorded::is_last), "{name}");
    }
}

#[tokio::test]
async fn ending_a_run_is_done_once_and_reaches_the_outbox() {
    for (name, store) in stores().await {
        let run = create(&store, tenant(1), "r", &GATHER).await;
        let end = || store.end(run.tenant, run.run_id, Ending::cancelled(), NOW + 1);
        let (ended, by_us) = end().await.expect("ended").expect("run");
        assert_eq!((ended.state, by_us), (RunState::Cancelled, true), "{name}");
        let (same, by_us) = end().await.expect("ended").expect("run");
        assert_eq!((same.last_seq, by_us), (ended.last_seq, false), "{name}");
        assert!(store.claim(&order("a", 9), NOW + 2).await.expect("claimed").is_empty(), "{name}");
        let stranger = store.end(tenant(2), run.run_id, Ending::cancelled(), NOW).await.expect("asked");
        assert!(stranger.is_none(), "{name}");

        let due = store.undelivered(NOW + 2, 9).await.expect("due");
        assert_eq!(due.iter().map(|(r, n)| (r.run_id, *n)).collect::<Vec<_>>(), [(run.run_id, 0)], "{name}");
        store.postpone(run.tenant, run.run_id, NOW + 100).await.expect("postponed");
        assert!(store.undelivered(NOW + 99, 9).await.expect("due").is_empty(), "{name}");
        assert_eq!(store.undelivered(NOW + 100, 9).await.expect("due")[0].1, 1, "{name}");
        assert_eq!(store.depth().await.expect("depth").outbox, 1, "{name}");
        store.delivered(tenant(2), run.run_id).await.expect("nothing of theirs");
        assert_eq!(store.depth().await.expect("depth").outbox, 1, "{name}");
        store.delivered(run.tenant, run.run_id).await.expect("delivered");
        assert_eq!(store.depth().await.expect("depth").outbox, 0, "{name}");
    }
}

#[tokio::test]
async fn a_remembered_call_is_paid_once() {
    for (name, store) in stores().await {
        let run = create(&store, tenant(1), "r", &GATHER).await;
        let call = Call {
            tenant: run.tenant,
            run_id: run.run_id,
            step: StepKey::Research,
            call_key: "findings",
            input_hash: "h1",
        };
        let usage = Usage { input_tokens: 10, cached_input_tokens: 2, output_tokens: 5, estimated: true };
        assert_eq!(store.recall(&call).await.expect("asked"), None, "{name}");
        store.remember(&call, "\"one\"", 7, usage, NOW).await.expect("stored");
        store.remember(&call, "\"two\"", 7, usage, NOW).await.expect("stored");
        assert_eq!(store.recall(&call).await.expect("asked").as_deref(), Some("\"one\""), "{name}");
        let other = Call { input_hash: "h2", ..call.clone() };
        assert_eq!(store.recall(&other).await.expect("asked"), None, "{name}");
        let stranger = Call { tenant: tenant(2), ..call.clone() };
        assert_eq!(store.recall(&stranger).await.expect("asked"), None, "{name}");
        let run = store.get(run.tenant, run.run_id).await.expect("read").expect("run");
        assert_eq!((run.spent_nanos, run.usage), (7, usage), "{name}");
        let steps = store.steps(run.tenant, run.run_id).await.expect("steps");
        assert_eq!(steps.iter().map(|s| s.cost_nanos).collect::<Vec<_>>(), [7, 0, 0], "{name}");
    }
}

#[tokio::test]
async fn overdue_runs_are_found_and_no_longer_claimed() {
    for (name, store) in stores().await {
        let run = create(&store, tenant(1), "r", &GATHER).await;
        let deadline = run.deadline_ms;
        assert!(store.overdue(deadline - 1, 9).await.expect("asked").is_empty(), "{name}");
        assert_eq!(store.overdue(deadline, 9).await.expect("asked"), [(run.tenant, run.run_id)], "{name}");
        assert!(store.claim(&order("a", 9), deadline).await.expect("claimed").is_empty(), "{name}");
    }
}

#[tokio::test]
async fn lists_are_filtered_paged_and_private() {
    for (name, store) in stores().await {
        let mut made = Vec::new();
        for n in 0..5 {
            made.push(create(&store, tenant(1), &format!("r{n}"), &GATHER).await.run_id);
        }
        create(&store, tenant(2), "other", &GATHER).await;
        made.sort();
        made.reverse();
        let list = |filter: ListFilter| {
            let store = store.clone();
            async move {
                let runs = store.list(tenant(1), &filter).await.expect("listed");
                runs.iter().map(|r| r.run_id).collect::<Vec<_>>()
            }
        };
        assert_eq!(list(ListFilter { limit: 10, ..ListFilter::default() }).await, made, "{name}");
        let rest = ListFilter { before: Some(made[1]), limit: 2, ..ListFilter::default() };
        assert_eq!(list(rest).await, made[2..4], "{name}");
        store.end(tenant(1), made[0], Ending::cancelled(), NOW).await.expect("ended");
        let cancelled = ListFilter { state: Some(RunState::Cancelled), limit: 10, ..ListFilter::default() };
        assert_eq!(list(cancelled).await, made[..1], "{name}");
        let brand = ListFilter { brand_id: Some(BrandId::from_u128(8)), limit: 10, ..ListFilter::default() };
        assert!(list(brand).await.is_empty(), "{name}");
        assert!(store.get(tenant(2), made[0]).await.expect("read").is_none(), "{name}");
        assert!(store.by_request(tenant(2), "r0").await.expect("read").is_none(), "{name}");
        assert!(store.steps(tenant(2), made[0]).await.expect("read").is_empty(), "{name}");
        assert!(store.events(tenant(2), made[0], 0, 9).await.expect("read").is_empty(), "{name}");
        assert!(store.finished(tenant(2), made[0]).await.expect("read").is_empty(), "{name}");
    }
}

#[tokio::test]
async fn migrations_go_down_and_up_again() {
    for (name, db) in testing::both(&MIGRATOR).await {
        db.migrate_down_to(0).await.expect("down");
        db.migrate_up().await.expect("up");
        let store = SqlStore::new(db);
        create(&store, tenant(1), "r", &GATHER).await;
        assert_eq!(store.depth().await.expect("depth").ready, 3, "{name}");
    }
}
