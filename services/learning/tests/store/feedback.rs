//! Verdicts and the transaction in which they change lessons.

use copydesk_learning::domain::feedback::{Effect, FeedbackKind};
use copydesk_learning::domain::lesson::{Proposal, Rule};
use copydesk_learning::ports::{FeedbackFilter, Store, Stored};
use copydesk_types::{BrandId, RunId};
use tokio::task::JoinSet;

use super::{after, feedback, first, learning, nothing, outcome, request, stores, tenant};

const BRAND: BrandId = BrandId::from_u128(1);

fn shorter(id: u128) -> copydesk_learning::domain::learning::Learning {
    learning(id, 1, vec![Proposal::of(Rule::MaxWords(80))], Effect::Contra, vec![])
}

#[tokio::test]
async fn sixty_four_copies_of_one_call_store_one_verdict() {
    for (name, store) in stores().await {
        store.record_outcome(tenant(1), &outcome(1)).await.expect(name);
        let mut calls = JoinSet::new();
        for n in 1..=64 {
            let store = store.clone();
            calls.spawn(async move {
                let verdict = feedback(n, 1, FeedbackKind::Reject);
                store.record_feedback(tenant(1), &verdict, &request("same", "x"), &shorter(n)).await
            });
        }
        let ends: Vec<_> = calls.join_all().await.into_iter().map(|end| end.expect(name)).collect();
        let new = ends.iter().filter(|end| matches!(end, Stored::New(_))).count();
        assert_eq!(new, 1, "{name}");
        let said = ends.iter().map(|end| match end {
            Stored::New(said) | Stored::Known(said) => said.clone(),
            Stored::Reused => panic!("{name}: the bodies were alike"),
        });
        let mut said: Vec<_> = said.collect();
        said.dedup();
        assert_eq!(said.len(), 1, "{name}: every call hears the same");
        let stored = store.feedback(tenant(1), &FeedbackFilter::default(), &first(9)).await.expect(name);
        assert_eq!(stored, [said[0].0.clone()], "{name}");
        let lessons = store.lessons(tenant(1), BRAND, &first(9)).await.expect(name);
        assert_eq!((lessons.len(), lessons[0].support), (1, 1), "{name}: nothing was derived anew");
        assert_eq!(lessons, said[0].1, "{name}");
    }
}

#[tokio::test]
async fn sixty_four_verdicts_at_once_lose_no_support() {
    for (name, store) in stores().await {
        store.record_outcome(tenant(1), &outcome(1)).await.expect(name);
        let mut calls = JoinSet::new();
        for n in 1..=64 {
            let store = store.clone();
            calls.spawn(async move {
                let verdict = feedback(n, 1, FeedbackKind::Reject);
                store.record_feedback(tenant(1), &verdict, &request(&n.to_string(), "x"), &shorter(n)).await
            });
        }
        assert!(calls.join_all().await.into_iter().all(|end| matches!(end, Ok(Stored::New(_)))), "{name}");
        let lessons = store.lessons(tenant(1), BRAND, &first(9)).await.expect(name);
        assert_eq!((lessons.len(), lessons[0].support), (1, 64), "{name}");
    }
}

#[tokio::test]
async fn verdict_and_lessons_are_stored_together_or_not_at_all() {
    for (name, store) in stores().await {
        store.record_outcome(tenant(1), &outcome(1)).await.expect(name);
        let broken = learning(
            1,
            1,
            vec![Proposal::of(Rule::MaxWords(80)), Proposal::words("no database keeps \0")],
            Effect::Contra,
            vec![],
        );
        let verdict = feedback(1, 1, FeedbackKind::Reject);
        let end = store.record_feedback(tenant(1), &verdict, &request("a", "x"), &broken).await;
        assert!(end.is_err(), "{name}");
        let stored = store.feedback(tenant(1), &FeedbackFilter::default(), &first(9)).await.expect(name);
        assert!(stored.is_empty(), "{name}");
        assert!(store.lessons(tenant(1), BRAND, &first(9)).await.expect(name).is_empty(), "{name}");
        assert!(store.decisions(tenant(1), 9).await.expect(name).is_empty(), "{name}");
        let again =
            store.record_feedback(tenant(1), &verdict, &request("a", "x"), &shorter(1)).await.expect(name);
        assert!(matches!(again, Stored::New(_)), "{name}: the request id is free again");
    }
}

#[tokio::test]
async fn a_request_id_says_one_thing() {
    for (name, store) in stores().await {
        let verdict = feedback(1, 1, FeedbackKind::Approve);
        store.record_feedback(tenant(1), &verdict, &request("a", "x"), &nothing(1)).await.expect(name);
        let other = feedback(2, 1, FeedbackKind::Approve);
        let reused =
            store.record_feedback(tenant(1), &other, &request("a", "y"), &nothing(1)).await.expect(name);
        assert_eq!(reused, Stored::Reused, "{name}");
        let stranger =
            store.record_feedback(tenant(2), &other, &request("a", "y"), &nothing(1)).await.expect(name);
        assert!(matches!(stranger, Stored::New(_)), "{name}");
    }
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    for (name, store) in stores().await {
        for id in 1..=5u128 {
            let mut verdict = feedback(id, id % 2, FeedbackKind::Regenerate);
            verdict.brand = BrandId::from_u128(id % 3);
            let key = request(&id.to_string(), "x");
            store.record_feedback(tenant(1), &verdict, &key, &nothing(1)).await.expect(name);
        }
        let wanted = [
            (FeedbackFilter::default(), vec![5, 4, 3, 2, 1]),
            (FeedbackFilter { brand: Some(BrandId::from_u128(2)), run: None }, vec![5, 2]),
            (FeedbackFilter { brand: None, run: Some(RunId::from_u128(1)) }, vec![5, 3, 1]),
            (FeedbackFilter { brand: Some(BrandId::from_u128(2)), run: Some(RunId::from_u128(1)) }, vec![5]),
        ];
        for (filter, expected) in wanted {
            let rows = store.feedback(tenant(1), &filter, &first(9)).await.expect(name);
            let ids: Vec<u128> = rows.iter().map(|row| row.id.as_u128()).collect();
            assert_eq!(ids, expected, "{name} {filter:?}");
            let rest = store.feedback(tenant(1), &filter, &after(9, rows[0].created_ms, rows[0].id)).await;
            assert_eq!(rest.expect(name), rows[1..], "{name} {filter:?}");
            assert!(store.feedback(tenant(2), &filter, &first(9)).await.expect(name).is_empty(), "{name}");
        }
    }
}
