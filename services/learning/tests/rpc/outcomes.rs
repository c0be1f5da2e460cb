//! What the mesh tells of runs.

use copydesk_proto::learning::v1 as pb;
use copydesk_types::{LessonId, RunId};
use prost_types::Timestamp;
use tonic::Code;

use super::{archives, mesh, outcome, refusal, user, violated};

#[tokio::test]
async fn an_outcome_is_stored_once_and_read_back() {
    for archive in archives().await {
        let brand = archive.brand("one", &[]).await;
        let told = pb::Outcome {
            corrections: 1,
            unsupported: 2,
            degraded: true,
            lesson_ids: vec![LessonId::from_u128(5).to_string()],
            ..outcome(1, &brand, "Vans stay cold.")
        };
        archive.ended(told.clone()).await;
        let other =
            pb::Outcome { state: pb::OutcomeState::Failed.into(), text: String::new(), ..told.clone() };
        for again in [told.clone(), other] {
            let request = pb::RecordOutcomeRequest { outcome: Some(again) };
            let answer = mesh(archive.outcomes().record_outcome(request)).await.expect("taken");
            assert!(!answer.into_inner().recorded, "{}", archive.over);
        }
        let get = pb::GetOutcomeRequest { run_id: told.run_id.clone() };
        let got = user(archive.outcomes().get_outcome(get)).await.expect("there").into_inner().outcome;
        assert_eq!(got, Some(told), "{}: the first one won", archive.over);
        let unknown = pb::GetOutcomeRequest { run_id: RunId::from_u128(9).to_string() };
        assert_eq!(refusal(user(archive.outcomes().get_outcome(unknown)).await).0, Code::NotFound);
    }
}

#[tokio::test]
async fn outcomes_come_from_the_mesh_only() {
    for archive in archives().await {
        let brand = archive.brand("one", &[]).await;
        let request = pb::RecordOutcomeRequest { outcome: Some(outcome(1, &brand, "Vans stay cold.")) };
        let denied = user(archive.outcomes().record_outcome(request)).await;
        assert_eq!(refusal(denied).0, Code::PermissionDenied, "{}", archive.over);
        let get = pb::GetOutcomeRequest { run_id: RunId::from_u128(1).to_string() };
        let nothing = user(archive.outcomes().get_outcome(get)).await;
        assert_eq!(refusal(nothing).0, Code::NotFound, "{}: nothing was stored", archive.over);
    }
}

#[tokio::test]
async fn every_fault_of_an_outcome_is_told() {
    for archive in archives().await {
        let faulty = pb::Outcome {
            run_id: "run".into(),
            brand_id: "brd".into(),
            state: 9,
            content_type: 77,
            score: f64::NAN,
            confidence: 1.5,
            cost_nanos: -1,
            duration_ms: u64::MAX,
            text: "a\0".into(),
            workflow: "w".repeat(201),
            lesson_ids: vec!["les".into()],
            finish_time: Some(Timestamp { seconds: i64::MAX, nanos: 0 }),
            ..pb::Outcome::default()
        };
        let request = pb::RecordOutcomeRequest { outcome: Some(faulty) };
        let fields = violated(mesh(archive.outcomes().record_outcome(request)).await);
        let expected = [
            "brand_id",
            "confidence",
            "content_type",
            "cost_nanos",
            "duration_ms",
            "finish_time",
            "lesson_ids[0]",
            "run_id",
            "score",
            "state",
            "text",
            "workflow",
        ];
        assert_eq!(fields, expected.map(|field| format!("outcome.{field}")), "{}", archive.over);
        let empty = mesh(archive.outcomes().record_outcome(pb::RecordOutcomeRequest::default())).await;
        assert_eq!(violated(empty), ["outcome"], "{}", archive.over);
    }
}
