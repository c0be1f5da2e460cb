//! Runs from their first row to their last.
use std::collections::HashSet;

use super::*;

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
        let told = |due: Vec<Undelivered>| {
            due.iter().map(|o| (o.run.run_id, o.attempts, o.refusals)).collect::<Vec<_>>()
        };
        assert_eq!(told(due), [(run.run_id, 0, 0)], "{name}");
        store.postpone(run.tenant, run.run_id, NOW + 50, true).await.expect("postponed");
        store.postpone(run.tenant, run.run_id, NOW + 100, false).await.expect("postponed");
        assert!(store.undelivered(NOW + 99, 9).await.expect("due").is_empty(), "{name}");
        let due = store.undelivered(NOW + 100, 9).await.expect("due");
        assert_eq!(told(due), [(run.run_id, 2, 1)], "{name}: an archive that is away refuses nothing");
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
