//! The calls themselves: what is refused, what is idempotent, who sees what.
#![allow(clippy::expect_used, reason = "a test that cannot go on must stop")]
use std::collections::HashSet;
use std::sync::Arc;

use crate::support::{BOTH, Mesh, config, reason_of, spec, start, violated};
use copydesk_proto::agent_orchestrator::v1 as pb;
use copydesk_types::{BrandId, RunId, TenantId};
use futures_util::future::join_all;
use prost_types::Timestamp;
use tonic::Code;

#[tokio::test]
async fn every_fault_of_a_wish_is_named_at_once() {
    for over in BOTH {
        let mesh = start(over, config()).await;
        let bad = pb::RunSpec {
            brand_id: "nonsense".into(),
            workflow: "poem".into(),
            topic: "  ".into(),
            content_type: 99,
            voice: "v".repeat(1_001),
            language: "english!".into(),
            budget_nanos: Some(-1),
            deadline: Some(Timestamp { seconds: 1, nanos: -5 }),
            knowledge_base_ids: vec!["kb_1".into()],
            ..pb::RunSpec::default()
        };
        let status = mesh.try_create("", Some(bad)).await.expect_err("refused");
        let expected = [
            "request_id",
            "spec.brand_id",
            "spec.workflow",
            "spec.topic",
            "spec.content_type",
            "spec.voice",
            "spec.language",
            "spec.budget_nanos",
            "spec.deadline",
            "spec.knowledge_base_ids[0]",
        ];
        assert_eq!(violated(&status), expected);
        assert!(format!("{status:?}").contains("known are: content"), "{status:?}");
        assert_eq!(violated(&mesh.try_create("r", None).await.expect_err("refused")), ["spec"]);
        let past = pb::RunSpec { deadline: Some(Timestamp { seconds: 1_000, nanos: 0 }), ..spec() };
        assert_eq!(
            violated(&mesh.try_create("r", Some(past)).await.expect_err("refused")),
            ["spec.deadline"]
        );
        let nul = pb::RunSpec { topic: "a\0b".into(), ..spec() };
        assert_eq!(
            violated(&mesh.try_create("r\0", Some(nul)).await.expect_err("refused")),
            ["request_id", "spec.topic"]
        );
        let long = pb::RunSpec { topic: "ä".repeat(2_001), content_type: 0, ..spec() };
        let status = mesh.try_create("r", Some(long)).await.expect_err("refused");
        assert_eq!(violated(&status), ["spec.topic", "spec.content_type"]);
        assert_eq!(list(&mesh, pb::ListRunsRequest::default()).await.runs.len(), 0, "nothing was stored");
    }
}

#[tokio::test]
async fn a_run_needs_a_brand_and_something_to_draw_on() {
    let mesh = start(BOTH[0], config()).await;
    if let Some(brand) = mesh.script.brand.lock().expect("lock").as_mut() {
        brand.knowledge_base_ids.clear();
    }
    let status = mesh.try_create("r", Some(spec())).await.expect_err("refused");
    assert_eq!((status.code(), reason_of(&status).as_str()), (Code::FailedPrecondition, "NO_KNOWLEDGE"));
    *mesh.script.brand.lock().expect("lock") = None;
    let status = mesh.try_create("r", Some(spec())).await.expect_err("refused");
    assert_eq!((status.code(), reason_of(&status).as_str()), (Code::NotFound, "NOT_FOUND"));
    assert!(status.message().contains("Brand"), "{status:?}");
    mesh.script.fail("brand", [tonic::Status::unavailable("away")]);
    let status = mesh.try_create("r", Some(spec())).await.expect_err("refused");
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(list(&mesh, pb::ListRunsRequest::default()).await.runs.len(), 0, "nothing was stored");
}

#[tokio::test]
async fn one_request_makes_one_run() {
    for over in BOTH {
        let mesh = Arc::new(start(over, config()).await);
        let calls = (0..64).map(|_| mesh.try_create("same", Some(spec())));
        let ids: HashSet<String> =
            join_all(calls).await.into_iter().map(|r| r.expect("created").run_id).collect();
        assert_eq!(ids.len(), 1);
        let run_id = ids.into_iter().next().expect("one");
        mesh.finish(&run_id).await;
        assert_eq!(
            mesh.try_create("same", Some(spec())).await.expect("created").run_id,
            run_id,
            "also after its end"
        );
        assert_eq!(mesh.script.calls_of("draft.1").len(), 1);
        let other = pb::RunSpec { topic: "another".into(), ..spec() };
        let status = mesh.try_create("same", Some(other)).await.expect_err("refused");
        assert_eq!(status.code(), Code::AlreadyExists);
    }
}

async fn list(mesh: &Mesh, request: pb::ListRunsRequest) -> pb::ListRunsResponse {
    mesh.as_user(mesh.client.clone().list_runs(request)).await.expect("listed").into_inner()
}

#[tokio::test]
async fn lists_are_paged_newest_first() {
    for over in BOTH {
        let mesh = start(over, config()).await;
        let mut made = Vec::new();
        for n in 0..5 {
            made.insert(0, mesh.try_create(&format!("r{n}"), Some(spec())).await.expect("created").run_id);
        }
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let page = pb::ListRunsRequest { page_size: 2, page_token: token, ..Default::default() };
            let page = list(&mesh, page).await;
            assert!(
                page.runs.len() <= 2 && page.runs.iter().all(|r| r.steps.is_empty() && r.result.is_none())
            );
            seen.extend(page.runs.into_iter().map(|r| r.run_id));
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, made);
        let brand = pb::ListRunsRequest { brand_id: BrandId::from_u128(8).to_string(), ..Default::default() };
        assert!(list(&mesh, brand).await.runs.is_empty());
        for run_id in &made {
            mesh.finish(run_id).await;
        }
        let done = pb::ListRunsRequest { state: pb::RunState::Succeeded.into(), ..Default::default() };
        assert_eq!(list(&mesh, done).await.runs.len(), 5);

        let first =
            list(&mesh, pb::ListRunsRequest { page_size: 2, ..Default::default() }).await.next_page_token;
        let other_filter =
            pb::ListRunsRequest { page_size: 501, page_token: first, brand_id: "x".into(), state: 77 };
        let status = mesh.as_user(mesh.client.clone().list_runs(other_filter)).await.expect_err("refused");
        assert_eq!(violated(&status), ["page_size", "page_token", "brand_id", "state"]);
    }
}

#[tokio::test]
async fn a_stranger_sees_nothing() {
    for over in BOTH {
        let mesh = start(over, config()).await;
        mesh.create(spec()).await;
        let run = mesh.try_create("two", Some(spec())).await.expect("created");
        let token =
            list(&mesh, pb::ListRunsRequest { page_size: 1, ..Default::default() }).await.next_page_token;
        let run_id = run.run_id.clone();
        let stranger = Mesh { tenant: TenantId::from_u128(2), ..mesh };

        let mut client = stranger.client.clone();
        let get = stranger.as_user(client.get_run(pb::GetRunRequest { run_id: run_id.clone() })).await;
        let cancel =
            stranger.as_user(client.cancel_run(pb::CancelRunRequest { run_id: run_id.clone() })).await;
        let watch = pb::WatchRunRequest { run_id: run_id.clone(), ..Default::default() };
        let watch = stranger.as_user(client.watch_run(watch)).await;
        let unknown = pb::GetRunRequest { run_id: RunId::from_u128(9).to_string() };
        let unknown = stranger.as_user(client.get_run(unknown)).await.expect_err("unknown");
        for status in
            [get.expect_err("get"), cancel.expect_err("cancel"), watch.map(|_| ()).expect_err("watch")]
        {
            assert_eq!((status.code(), reason_of(&status)), (Code::NotFound, reason_of(&unknown)));
            assert_eq!(
                status.message().replace(&run_id, ""),
                unknown.message().replace(&RunId::from_u128(9).to_string(), "")
            );
        }
        assert!(list(&stranger, pb::ListRunsRequest::default()).await.runs.is_empty());
        let page = pb::ListRunsRequest { page_size: 1, page_token: token, ..Default::default() };
        let status = stranger.as_user(client.list_runs(page)).await.expect_err("refused");
        assert_eq!(violated(&status), ["page_token"]);
        let own = stranger.try_create("request-1", Some(spec())).await.expect("created");
        assert_ne!(own.run_id, run_id, "a request id belongs to its tenant");
        assert_eq!(
            violated(
                &stranger.as_user(client.get_run(pb::GetRunRequest::default())).await.expect_err("empty")
            ),
            ["run_id"]
        );
    }
}
