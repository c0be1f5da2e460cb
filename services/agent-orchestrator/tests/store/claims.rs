//! Who works on what, and what comes of it.
use std::collections::BTreeSet;

use super::*;

#[tokio::test]
async fn a_worker_that_lost_its_lease_cannot_finish_the_step() {
    for (name, store) in stores().await {
        let run = create(&store, tenant(1), "r", &[StepKey::Research]).await;
        let stale = store.claim(&order("a", 1), NOW).await.expect("claimed").remove(0);
        assert!(store.expired(NOW + LEASE - 1, 9).await.expect("expired").is_empty(), "{name}");
        let expired = store.expired(NOW + LEASE, 9).await.expect("expired");
        assert_eq!(expired, std::slice::from_ref(&stale), "{name}");
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
        assert_eq!(store.held("b").await.expect("held"), std::slice::from_ref(&fresh), "{name}");
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
async fn overdue_runs_are_found_and_no_longer_claimed() {
    for (name, store) in stores().await {
        let run = create(&store, tenant(1), "r", &GATHER).await;
        let deadline = run.deadline_ms;
        assert!(store.overdue(deadline - 1, 9).await.expect("asked").is_empty(), "{name}");
        assert_eq!(store.overdue(deadline, 9).await.expect("asked"), [(run.tenant, run.run_id)], "{name}");
        assert!(store.claim(&order("a", 9), deadline).await.expect("claimed").is_empty(), "{name}");
    }
}
