//! What the archive counts, read as Prometheus reads it.

use copydesk_learning::Config;
use copydesk_proto::learning::v1 as pb;
use copydesk_proto::learning::v1::FeedbackKind;
use copydesk_rpc::testing;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::Registry;

use super::{archive_in, outcome, verdict};

/// The sum over a family's series that have this label.
fn value(registry: &Registry, family: &str, label: Option<(&str, &str)>) -> Option<f64> {
    let families = registry.gather();
    let found = families.iter().find(|f| f.name() == family)?;
    let fits = |m: &&prometheus::proto::Metric| {
        label.is_none_or(|(name, value)| m.get_label().iter().any(|l| l.name() == name && l.value() == value))
    };
    let values = found
        .get_metric()
        .iter()
        .filter(fits)
        .map(|m| m.get_counter().get_value() + m.get_gauge().get_value());
    Some(values.sum())
}

#[tokio::test]
async fn verdicts_lessons_outcomes_and_accuracy_are_counted() {
    let registry = Registry::new();
    let exporter = opentelemetry_prometheus::exporter().with_registry(registry.clone()).build();
    let provider = SdkMeterProvider::builder().with_reader(exporter.expect("an exporter")).build();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut context = testing::context(dir.path());
    context.meter = provider.meter("learning");
    let archive = archive_in(false, Config::default(), context, dir).await;

    let brand = archive.brand("one", &[]).await;
    for (run, score) in [(1, 9.0), (2, 9.0), (3, 5.0), (4, 6.0)] {
        archive.ended(pb::Outcome { score, ..outcome(run, &brand, "Vans stay cold.") }).await;
    }
    let reject = verdict("v1", 1, FeedbackKind::Reject, "Start with a number.");
    archive.say(reject.clone()).await.expect("stored");
    archive.say(reject).await.expect("known");
    archive.say(verdict("v2", 2, FeedbackKind::Approve, "")).await.expect("stored");
    archive.say(verdict("v3", 3, FeedbackKind::Regenerate, "")).await.expect("stored");
    archive
        .say(pb::RecordFeedbackRequest {
            edited_text: "Cold.".into(),
            ..verdict("v4", 4, FeedbackKind::Edit, "")
        })
        .await
        .expect("stored");

    let feedback = "copydesk_learning_feedback_total";
    assert_eq!(value(&registry, feedback, Some(("kind", "reject"))), Some(1.0), "a replay is not counted");
    assert_eq!(value(&registry, feedback, None), Some(4.0));
    assert_eq!(value(&registry, "copydesk_learning_lessons_total", None), Some(1.0));
    assert_eq!(value(&registry, "copydesk_learning_outcomes_total", Some(("state", "succeeded"))), Some(4.0));
    // 9 and refused: no; 9 and accepted: yes; 5 and refused: yes; an edit decides nothing.
    let accuracy = value(&registry, "copydesk_learning_agent_accuracy", None).expect("measured");
    assert!((accuracy - 2.0 / 3.0).abs() < 1e-9, "{accuracy}");
    assert_eq!(value(&registry, "copydesk_learning_agent_accuracy_drafts", None), Some(3.0));
}
