//! Outcomes.

use copydesk_learning::domain::accuracy::Decision;
use copydesk_learning::domain::feedback::FeedbackKind;
use copydesk_learning::domain::outcome::{Outcome, OutcomeState};
use copydesk_learning::ports::Store;

use super::{feedback, nothing, outcome, request, stores, tenant};

#[tokio::test]
async fn the_first_word_on_a_run_wins() {
    for (name, store) in stores().await {
        assert!(store.record_outcome(tenant(1), &outcome(1)).await.expect(name), "{name}");
        let other = Outcome { state: OutcomeState::Failed, text: String::new(), ..outcome(1) };
        assert!(!store.record_outcome(tenant(1), &other).await.expect(name), "{name}");
        assert_eq!(store.outcome(tenant(1), outcome(1).run).await.expect(name), Some(outcome(1)), "{name}");
        assert_eq!(store.outcome(tenant(2), outcome(1).run).await.expect(name), None, "{name}");
        assert!(store.record_outcome(tenant(2), &other).await.expect(name), "{name}: tenants do not meet");
    }
}

#[tokio::test]
async fn the_newest_decision_on_a_draft_counts() {
    for (name, store) in stores().await {
        let scores = [(1, 9.0), (2, 5.0), (3, 0.0), (4, 8.0)];
        for (run, score) in scores {
            store.record_outcome(tenant(1), &Outcome { score, ..outcome(run) }).await.expect(name);
        }
        let said = [
            (1, 1, FeedbackKind::Approve),
            (2, 2, FeedbackKind::Approve),
            (3, 2, FeedbackKind::Regenerate),
            (4, 3, FeedbackKind::Approve),
            (5, 4, FeedbackKind::Edit),
        ];
        for (id, run, kind) in said {
            let key = request(&id.to_string(), "x");
            store
                .record_feedback(tenant(1), &feedback(id, run, kind), &key, &nothing(run))
                .await
                .expect(name);
        }
        let expected = [Decision { score: 5.0, accepted: false }, Decision { score: 9.0, accepted: true }];
        assert_eq!(
            store.decisions(tenant(1), 9).await.expect(name),
            expected,
            "{name}: no review, no decision"
        );
        assert_eq!(store.decisions(tenant(1), 1).await.expect(name), expected[..1], "{name}");
        assert!(store.decisions(tenant(2), 9).await.expect(name).is_empty(), "{name}");
    }
}
