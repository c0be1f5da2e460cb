//! Runs that are cancelled, run out of time, or lose their process.
#![allow(clippy::expect_used, reason = "a test that cannot go on must stop")]
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::support::{BOTH, Script, config, file_in, reason, spec, start, start_on, step};
use copydesk_agent_orchestrator::Config;
use copydesk_proto::agent_orchestrator::v1 as pb;
use copydesk_proto::learning::v1 as lr;
use copydesk_store::DatabaseConfig;
use copydesk_store::testing::postgres_config;
use pb::RunState::{Cancelled, Failed, Succeeded};
use prost_types::Timestamp;
use tonic::Status;

#[tokio::test]
async fn cancelling_in_mid_stream_closes_the_providers_stream() {
    for over in BOTH {
        let mesh = start(over, config()).await;
        mesh.script.stall_at(Some("draft.1"));
        let run = mesh.create(spec()).await;
        mesh.as_user(mesh.script.stalled.notified()).await;
        let began = Instant::now();
        let cancelled = mesh.cancel(&run.run_id).await;
        assert_eq!(cancelled.state(), Cancelled);
        mesh.as_user(mesh.script.dropped.notified()).await;
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        assert_eq!(step(&cancelled, "draft.1").state(), pb::StepState::Cancelled);

        let again = mesh.cancel(&run.run_id).await;
        assert_eq!((again.last_seq, again.finish_time), (cancelled.last_seq, cancelled.finish_time));
        let events = mesh.events(&run.run_id).await;
        assert_eq!(events.len() as u64, cancelled.last_seq, "nothing happens after the end");
        mesh.as_user(mesh.script.told.notified()).await;
        let outcome = mesh.script.outcomes.lock().expect("lock").remove(0);
        assert_eq!(outcome.state(), lr::OutcomeState::Cancelled);
        assert_eq!(mesh.script.calls_of("draft.1").len(), 1);
        assert!(mesh.script.calls_of("review.1").is_empty());
    }
}

#[tokio::test]
async fn a_run_that_waits_for_its_next_attempt_can_be_cancelled() {
    let mesh = start(BOTH[0], Config { retry_base_ms: 60_000, retry_cap_ms: 60_000, ..config() }).await;
    mesh.script.fail("strategy", vec![Status::unavailable("away"); 9]);
    let run = mesh.create(spec()).await;
    mesh.wait_for(&run.run_id, |e| matches!(e, pb::watch_run_response::Event::StepFailed(_))).await;
    assert_eq!(mesh.cancel(&run.run_id).await.state(), Cancelled);
    let run = mesh.finish(&run.run_id).await;
    assert_eq!(step(&run, "strategy").state(), pb::StepState::Cancelled);
}

#[tokio::test]
async fn a_finished_run_stays_finished() {
    let mesh = start(BOTH[0], config()).await;
    let run = mesh.run(spec()).await;
    let same = mesh.cancel(&run.run_id).await;
    assert_eq!((same.state(), same.last_seq, same.result.is_some()), (Succeeded, run.last_seq, true));
}

#[tokio::test]
async fn a_run_ends_at_its_deadline() {
    for over in BOTH {
        let mesh = start(over, config()).await;
        mesh.script.stall_at(Some("draft.1"));
        let at = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970") + Duration::from_secs(2);
        let deadline = Timestamp { seconds: at.as_secs() as i64, nanos: at.subsec_nanos() as i32 };
        let run = mesh.create(pb::RunSpec { deadline: Some(deadline), ..spec() }).await;
        mesh.as_user(mesh.script.dropped.notified()).await;
        let run = mesh.finish(&run.run_id).await;
        assert_eq!((run.state(), reason(&run)), (Failed, "DEADLINE_EXCEEDED"));
        // The same wish is still the same run, although its deadline would be refused now.
        let again = mesh.create(pb::RunSpec { deadline: Some(deadline), ..spec() }).await;
        assert_eq!(again.run_id, run.run_id);
    }
}

/// Starts a service in a runtime of its own, has it make a run up to the stalled step, and ends the runtime without
/// any farewell, as a crash would.
fn crash_at(script: &Arc<Script>, stalled_step: &str, config: Config, database: DatabaseConfig) -> String {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime");
    script.stall_at(Some(stalled_step));
    let script = script.clone();
    let run_id = runtime.block_on(async move {
        let mesh = start_on(&script, config, &database).await;
        let run = mesh.create(spec()).await;
        mesh.as_user(script.stalled.notified()).await;
        run.run_id
    });
    runtime.shutdown_background();
    run_id
}

#[test]
fn a_crash_in_mid_run_repeats_no_finished_step() {
    for stalled in ["draft.1", "revise.1"] {
        let (script, folder) = (Arc::new(Script::default()), tempfile::tempdir().expect("folder"));
        script.score(&[5.0, 9.0]);
        let run_id = crash_at(&script, stalled, config(), file_in(folder.path()));
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime");
        runtime.block_on(async {
            script.stall_at(None);
            let mesh = start_on(&script, config(), &file_in(folder.path())).await;
            let run = mesh.finish(&run_id).await;
            assert_eq!(run.state(), Succeeded, "{:?}", run.error);
            assert_eq!(step(&run, stalled).attempts, 2);
            let events = mesh.events(&run_id).await;
            assert!(events.iter().map(|e| e.seq).eq(1..=run.last_seq), "no gap, nothing twice");
        });
        let mut calls: HashMap<String, (String, u32)> = HashMap::new();
        for call in script.calls.lock().expect("lock").iter() {
            let step = call.attribution.clone().expect("attribution").step;
            calls.entry(call.request_id.clone()).or_insert((step, 0)).1 += 1;
        }
        for (step, times) in calls.values() {
            let expected = if step == stalled { 2 } else { 1 };
            assert_eq!(*times, expected, "{step}: only the interrupted call is made again, by the same id");
        }
        // The four sides of the topic and the past posts, each once: the memory of tools holds as well.
        assert_eq!(script.searches.load(std::sync::atomic::Ordering::SeqCst), 5);
    }
}

#[test]
fn a_step_that_keeps_losing_its_worker_is_given_up() {
    let (script, folder) = (Arc::new(Script::default()), tempfile::tempdir().expect("folder"));
    let once = || Config { max_attempts: 1, ..config() };
    let run_id = crash_at(&script, "draft.1", once(), file_in(folder.path()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let mesh = start_on(&script, once(), &file_in(folder.path())).await;
        let run = mesh.finish(&run_id).await;
        assert_eq!((run.state(), reason(&run)), (Failed, "STEP_FAILED"));
        assert_eq!(script.calls_of("draft.1").len(), 1);
    });
}

#[tokio::test]
async fn a_stopped_service_gives_its_steps_back() {
    let (script, folder) = (Arc::new(Script::default()), tempfile::tempdir().expect("folder"));
    script.stall_at(Some("draft.1"));
    let first = start_on(&script, config(), &file_in(folder.path())).await;
    let run = first.create(spec()).await;
    first.as_user(script.stalled.notified()).await;
    first.stop.cancel();
    first.as_user(script.dropped.notified()).await;
    first.wait_ready(&run.run_id, "draft.1").await;
    script.stall_at(None);
    // Leases are not expired by force here: what was given back is free at once.
    let config = Config { expire_leases_at_start: Some(false), ..config() };
    let second = start_on(&script, config, &file_in(folder.path())).await;
    let run = second.finish(&run.run_id).await;
    assert_eq!((run.state(), step(&run, "draft.1").attempts), (Succeeded, 1), "a stop costs no attempt");
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_ended() {
    let mesh = start(BOTH[0], Config { step_timeout_s: 2, max_attempts: 1, ..config() }).await;
    mesh.script.stall_at(Some("draft.1"));
    let run = mesh.create(spec()).await;
    mesh.as_user(mesh.script.dropped.notified()).await;
    let run = mesh.finish(&run.run_id).await;
    assert_eq!((run.state(), reason(&run)), (Failed, "STEP_FAILED"));
    assert_eq!(run.error.as_ref().map(|e| e.step.as_str()), Some("draft.1"));
}

/// A replica that looks for others' doings often.
fn replica() -> Config {
    Config { watch_poll_ms: Some(20), ..config() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_share_the_work_and_repeat_nothing() {
    let Some(database) = postgres_config() else { return };
    let script = Arc::new(Script::default());
    let first = start_on(&script, replica(), &database).await;
    let second = start_on(&script, replica(), &database).await;
    let mut runs = Vec::new();
    for n in 0..8 {
        runs.push(first.try_create(&format!("r{n}"), Some(spec())).await.expect("created").run_id);
    }
    for run_id in &runs {
        let run = second.finish(run_id).await;
        assert_eq!(run.state(), Succeeded, "{:?}", run.error);
        assert!(run.steps.iter().all(|s| s.attempts == 1), "{:?}", run.steps);
    }
    let calls = script.calls.lock().expect("lock");
    let ids: std::collections::HashSet<&str> = calls.iter().map(|c| c.request_id.as_str()).collect();
    assert_eq!((ids.len(), calls.len()), (8 * 5, 8 * 5), "no call is made twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_replica_can_cancel_what_this_one_does() {
    let Some(database) = postgres_config() else { return };
    let script = Arc::new(Script::default());
    script.stall_at(Some("draft.1"));
    let worker = start_on(&script, replica(), &database).await;
    let run = worker.create(spec()).await;
    worker.as_user(script.stalled.notified()).await;
    let other = start_on(&script, replica(), &database).await;
    let began = Instant::now();
    assert_eq!(other.cancel(&run.run_id).await.state(), Cancelled);
    worker.as_user(script.dropped.notified()).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn a_dead_replicas_steps_are_taken_over() {
    let Some(database) = postgres_config() else { return };
    let script = Arc::new(Script::default());
    let short_lease = || Config { lease_ms: 1_500, ..replica() };
    let run_id = crash_at(&script, "draft.1", short_lease(), database.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        script.stall_at(None);
        let survivor = start_on(&script, short_lease(), &database).await;
        let run = survivor.finish(&run_id).await;
        assert_eq!((run.state(), step(&run, "draft.1").attempts), (Succeeded, 2), "{:?}", run.error);
    });
    assert_eq!(script.calls.lock().expect("lock").len(), 6, "only the interrupted call is made again");
}
