//! Following runs.
#![allow(clippy::expect_used, reason = "a test that cannot go on must stop")]
use crate::support::{BOTH, Mesh, config, reason_of, spec, start};
use copydesk_agent_orchestrator::Config;
use copydesk_proto::agent_orchestrator::v1 as pb;
use pb::watch_run_response::Event;
use tonic::Code;

/// Reads a run to its end in short visits: at most `visit` events each, then it comes back.
async fn in_visits(mesh: &Mesh, run_id: &str, visit: usize) -> Vec<u64> {
    let mut seen: Vec<u64> = Vec::new();
    loop {
        let mut stream = mesh.watch(run_id, seen.last().copied().unwrap_or(0), false).await;
        for _ in 0..visit {
            match mesh.as_user(stream.message()).await.expect("an event") {
                Some(event) if matches!(event.event, Some(Event::Heartbeat(_))) => {}
                Some(event) => seen.push(event.seq),
                None => return seen,
            }
        }
    }
}

#[tokio::test]
async fn two_watchers_that_come_and_go_see_every_event_once() {
    for over in BOTH {
        let mesh = start(over, config()).await;
        mesh.script.score(&[5.0, 8.0]);
        let run = mesh.create(spec()).await;
        let (one, three) = tokio::join!(in_visits(&mesh, &run.run_id, 1), in_visits(&mesh, &run.run_id, 3));
        let last = mesh.get(&run.run_id).await.last_seq;
        let all: Vec<u64> = (1..=last).collect();
        assert_eq!((&one, &three), (&all, &all));
        // Queued, running, two for each of eleven steps, the end.
        assert_eq!(last, 2 + 2 * 11 + 1);
    }
}

#[tokio::test]
async fn the_text_grows_between_the_events_of_its_step() {
    for over in BOTH {
        let mesh = start(over, config()).await;
        let run = mesh.create(spec()).await;
        let mut stream = mesh.watch(&run.run_id, 0, true).await;
        let (mut text, mut open, mut last, mut deltas) = (String::new(), false, 0, 0);
        while let Some(event) = mesh.as_user(stream.message()).await.expect("an event") {
            match event.event.expect("an event") {
                Event::StepStarted(s) if s.step == "draft.1" => open = true,
                Event::StepFinished(s) if s.step == "draft.1" => open = false,
                Event::DraftDelta(delta) => {
                    assert!(open, "text outside of its step");
                    assert_eq!(
                        (delta.step.as_str(), delta.attempt, delta.offset),
                        ("draft.1", 1, text.len() as u64)
                    );
                    assert_eq!(event.seq, last, "a delta repeats the last number");
                    text.push_str(&delta.text);
                    deltas += 1;
                    continue;
                }
                Event::Heartbeat(_) => continue,
                _ => {}
            }
            assert_eq!(event.seq, last + 1);
            last = event.seq;
        }
        let result = mesh.get(&run.run_id).await.result.expect("a result");
        assert_eq!(text, result.revisions[0].text);
        assert!(deltas >= 1);
    }
}

#[tokio::test]
async fn a_returning_watcher_gets_the_text_from_its_beginning() {
    let mesh = start(BOTH[0], config()).await;
    mesh.script.stall_at(Some("draft.1"));
    let run = mesh.create(spec()).await;
    mesh.as_user(mesh.script.stalled.notified()).await;
    let last = mesh.get(&run.run_id).await.last_seq;
    let mut stream = mesh.watch(&run.run_id, last, true).await;
    let event = mesh.as_user(stream.message()).await.expect("an event").expect("not the end");
    let Some(Event::DraftDelta(delta)) = event.event else { panic!("{event:?}") };
    assert_eq!((event.seq, delta.offset), (last, 0));
    assert!(delta.text.starts_with("The new"), "{}", delta.text);
}

#[tokio::test]
async fn silence_is_broken_by_heartbeats() {
    for over in BOTH {
        let mesh = start(over, Config { watch_heartbeat_ms: 30, ..config() }).await;
        mesh.script.stall_at(Some("draft.1"));
        let run = mesh.create(spec()).await;
        mesh.as_user(mesh.script.stalled.notified()).await;
        let last = mesh.get(&run.run_id).await.last_seq;
        let mut stream = mesh.watch(&run.run_id, last, false).await;
        for _ in 0..2 {
            let event = mesh.as_user(stream.message()).await.expect("an event").expect("not the end");
            assert_eq!((event.seq, event.event), (last, Some(Event::Heartbeat(pb::Heartbeat {}))));
        }
    }
}

#[tokio::test]
async fn a_watch_begins_where_it_is_told_and_never_beyond_the_end() {
    for over in BOTH {
        let mesh = start(over, config()).await;
        let run = mesh.create(spec()).await;
        let events = mesh.events(&run.run_id).await;
        let last = events.last().expect("events").seq;
        let mut stream = mesh.watch(&run.run_id, last - 1, false).await;
        let end = mesh.as_user(stream.message()).await.expect("an event").expect("the last one");
        assert!(matches!(end.event, Some(Event::StateChanged(s)) if s.state() == pb::RunState::Succeeded));
        assert!(mesh.as_user(stream.message()).await.expect("the end").is_none());
        let mut over_already = mesh.watch(&run.run_id, last, true).await;
        assert!(mesh.as_user(over_already.message()).await.expect("the end").is_none());
        let request = pb::WatchRunRequest { run_id: run.run_id, after_seq: last + 1, with_deltas: false };
        let status =
            mesh.as_user(mesh.client.clone().watch_run(request)).await.map(|_| ()).expect_err("refused");
        assert_eq!((status.code(), reason_of(&status).as_str()), (Code::OutOfRange, "SEQ_OUT_OF_RANGE"));
    }
}
