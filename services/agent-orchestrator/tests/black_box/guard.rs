//! The guard for any text: what it finds, what a judge changes, what a tenant may set, and that nothing unproven passes.
#![allow(clippy::expect_used, reason = "a test that cannot go on must stop")]
use std::sync::atomic::Ordering;

use copydesk_proto::agent_orchestrator::v1 as pb;
use copydesk_proto::llm_router::v1::Task;
use copydesk_rpc::testing;
use copydesk_types::{Scopes, TenantId};
use pb::RunState::{Failed, Succeeded};
use pb::Verdict::{Contradicted, NotCheckable, Supported, Uncertain, Unsupported};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::peers::{GRINDER, REPAIRS};
use crate::support::{BOTH, Mesh, Over, config, spec, start};

const SOURCE: &str = "Kettle Works does not sell used burrs. The new grinder holds 250 grams of beans.";
/// The guard leaves a dropped negation to a judge.
const UNCERTAIN: &str = "Kettle Works does sell used burrs.";

fn asked(text: &str) -> pb::CheckGroundingRequest {
    pb::CheckGroundingRequest {
        text: text.into(),
        sources: vec![pb::GroundingSource { id: "manual".into(), text: SOURCE.into() }],
        ..pb::CheckGroundingRequest::default()
    }
}

impl Mesh {
    async fn try_check(
        &self,
        request: pb::CheckGroundingRequest,
    ) -> Result<pb::CheckGroundingResponse, Status> {
        Ok(self.as_user(self.guard.clone().check_grounding(request)).await?.into_inner())
    }

    async fn check(&self, request: pb::CheckGroundingRequest) -> pb::GroundingReport {
        self.try_check(request).await.expect("checked").report.expect("a report")
    }

    async fn set_policy(
        &self,
        policy: pb::GuardPolicy,
        etag: &str,
    ) -> Result<pb::SetGuardPolicyResponse, Status> {
        let request = pb::SetGuardPolicyRequest { policy: Some(policy), etag: etag.into() };
        Ok(self.as_user(self.guard.clone().set_guard_policy(request)).await?.into_inner())
    }

    async fn policy(&self) -> pb::GetGuardPolicyResponse {
        let request = pb::GetGuardPolicyRequest {};
        self.as_user(self.guard.clone().get_guard_policy(request)).await.expect("a policy").into_inner()
    }
}

fn fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    details
        .bad_request()
        .map(|bad| bad.field_violations.iter().map(|v| v.field.clone()).collect())
        .unwrap_or_default()
}

#[tokio::test]
async fn every_sentence_gets_a_verdict_with_reasons_and_the_sources_own_words() {
    for over in BOTH {
        let mesh = start(over, config()).await;
        let text = "The new grinder holds 250 grams of beans. It holds 900 grams of beans. How do you grind?";
        let report = mesh.check(asked(text)).await;
        let verdicts: Vec<_> = report.claims.iter().map(pb::CheckedClaim::verdict).collect();
        assert_eq!(verdicts, [Supported, Contradicted, NotCheckable], "{report:?}");
        assert_eq!((report.is_safe, report.supported, report.checked), (false, 1, 2));
        assert!(report.not_safe_reason.contains("1 of 2 claims"), "{}", report.not_safe_reason);
        for claim in &report.claims {
            let span = claim.span.expect("a span");
            assert_eq!(&text[span.start as usize..span.end as usize], claim.text);
            for evidence in &claim.evidence {
                let place = evidence.span.expect("a span");
                assert_eq!(&SOURCE[place.start as usize..place.end as usize], evidence.quote);
                assert_eq!(evidence.source_id, "manual");
            }
        }
        let wrong = &report.claims[1];
        assert!(wrong.reasons.iter().any(|reason| reason.kind == "number_mismatch"), "{:?}", wrong.reasons);
        assert_eq!(report.claims[2].sentence_class(), pb::SentenceClass::Question);
        assert!(report.judge.is_none(), "nothing was uncertain");
        assert_eq!(mesh.script.calls.lock().expect("lock").len(), 0);
    }
}

#[tokio::test]
async fn a_corrected_text_comes_with_what_was_changed_and_where() {
    let mesh = start(Over::Process, config()).await;
    let text = "The new grinder holds 900 grams of beans. Globex bought a castle in Spain.";
    let answer = mesh.try_check(pb::CheckGroundingRequest { with_correction: true, ..asked(text) }).await;
    let answer = answer.expect("checked");
    assert_eq!(answer.corrected_text, "The new grinder holds 250 grams of beans.");
    let changes: Vec<_> = answer.corrections.iter().map(|c| (c.before.as_str(), c.after.as_str())).collect();
    assert_eq!(changes.len(), 2, "{changes:?}");
    for change in &answer.corrections {
        let span = change.span.expect("a span");
        assert_eq!(&text[span.start as usize..span.end as usize], change.before);
        assert!(!change.reason.is_empty());
    }
    assert!(!answer.report.expect("a report").is_safe);
    assert!(answer.corrected_report.expect("a report").is_safe);
}

#[tokio::test]
async fn what_the_guard_is_uncertain_of_a_judge_decides_once() {
    let mesh = start(Over::Loopback, config()).await;
    mesh.script.cost.store(700, Ordering::SeqCst);
    mesh.script.judge("contradicted", "Kettle Works does not sell used burrs.");
    let report = mesh.check(asked(UNCERTAIN)).await;
    let claim = &report.claims[0];
    assert_eq!((claim.verdict(), claim.judged, report.is_safe), (Contradicted, true, false), "{report:?}");
    assert_eq!(claim.reasons[0].kind, "judge_contradicts");
    let judge = report.judge.expect("it was asked");
    assert_eq!(
        (judge.model.as_str(), judge.asked, judge.remembered, judge.cost_nanos),
        ("fake/scripted", 1, 0, 700)
    );
    let calls = mesh.script.calls.lock().expect("lock").clone();
    assert_eq!((calls.len(), calls[0].task(), calls[0].temperature), (1, Task::Judge, Some(0.0)));
    assert!(calls[0].response_schema.is_some() && calls[0].request_id.starts_with("judge/"));
    let again = mesh.check(asked(UNCERTAIN)).await;
    let judge = again.judge.expect("it was asked");
    assert_eq!((again.claims[0].verdict(), judge.remembered, judge.cost_nanos), (Contradicted, 1, 0));
    assert_eq!(mesh.script.calls.lock().expect("lock").len(), 1, "the same claim is paid for once");
    let deterministic =
        pb::CheckGroundingRequest { mode: pb::GuardMode::Deterministic.into(), ..asked(UNCERTAIN) };
    let alone = mesh.check(deterministic).await;
    assert_eq!((alone.claims[0].verdict(), alone.judge, alone.is_safe), (Uncertain, None, false));
}

#[tokio::test]
async fn a_judge_that_invents_its_quote_or_fails_proves_nothing() {
    let mesh = start(Over::Process, config()).await;
    mesh.script.judge("supported", "Kettle Works sells used burrs at every fair.");
    let report = mesh.check(asked(UNCERTAIN)).await;
    assert_eq!((report.claims[0].verdict(), report.is_safe), (Uncertain, false));
    assert_eq!(report.judge.expect("it was asked").overruled, 1);
    let other = "Kettle Works does sell the used burrs.";
    mesh.script.fail("", [Status::unavailable("away")]);
    let report = mesh.check(asked(other)).await;
    assert_eq!((report.claims[0].verdict(), report.is_safe), (Uncertain, false), "{report:?}");
    let judge = report.judge.expect("it was asked");
    assert!(!judge.error.is_empty() && judge.model.is_empty(), "{judge:?}");
    mesh.script.judged.lock().expect("lock").clear();
    let report = mesh.check(asked(other)).await;
    assert_eq!(report.claims[0].verdict(), Uncertain, "an answer that leaves a claim out decides nothing");
}

#[tokio::test]
async fn without_sources_nothing_is_safe() {
    let mesh = start(Over::Process, config()).await;
    let report = mesh.check(pb::CheckGroundingRequest { sources: Vec::new(), ..asked(GRINDER) }).await;
    assert!(!report.is_safe && report.not_safe_reason.contains("no sources"), "{report:?}");
    assert_eq!((report.claims[0].verdict(), report.judge), (Unsupported, None));
    let report = mesh.check(asked("How do you grind?")).await;
    assert!(!report.is_safe && report.checked == 0, "nothing checked is not all supported");
}

#[tokio::test]
async fn every_fault_of_a_request_is_named() {
    let mesh = start(Over::Loopback, config()).await;
    let twice = pb::GroundingSource { id: "a".into(), text: String::new() };
    let request = pb::CheckGroundingRequest {
        text: String::new(),
        sources: vec![twice.clone(), twice],
        mode: 9,
        thresholds: Some(pb::GuardThresholds {
            safe_confidence: Some(f64::NAN),
            supported_risk: Some(0.9),
            unsupported_risk: Some(0.1),
            max_corrections: Some(21),
        }),
        ..pb::CheckGroundingRequest::default()
    };
    let status = mesh.try_check(request).await.expect_err("refused");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(
        fields(&status),
        [
            "text",
            "sources[0].text",
            "sources[1].id",
            "sources[1].text",
            "mode",
            "thresholds.safe_confidence",
            "thresholds.max_corrections",
            "thresholds.supported_risk"
        ]
    );
    let long = "a".repeat(100_001);
    assert_eq!(fields(&mesh.try_check(asked(&long)).await.expect_err("refused")), ["text"]);
    let verdict = pb::HumanVerdict {
        human_verdict: Uncertain.into(),
        risk: 2.0,
        judge_verdict: 77,
        ..Default::default()
    };
    let request = pb::RecordVerdictsRequest { request_id: String::new(), verdicts: vec![verdict] };
    let status = mesh.as_user(mesh.guard.clone().record_verdicts(request)).await.expect_err("refused");
    let expected = [
        "request_id",
        "verdicts[0].claim",
        "verdicts[0].risk",
        "verdicts[0].guard_verdict",
        "verdicts[0].judge_verdict",
        "verdicts[0].human_verdict",
    ];
    assert_eq!(fields(&status), expected);
}

#[tokio::test]
async fn a_policy_holds_for_checks_and_is_changed_by_one_at_a_time() {
    let mesh = start(Over::Process, config()).await;
    let first = mesh.policy().await;
    assert_eq!((first.etag.as_str(), first.update_time.is_none()), ("", true));
    let usual = first.policy.expect("a policy");
    assert_eq!(usual.mode(), pb::GuardMode::Hybrid);
    assert_eq!(usual.thresholds.expect("thresholds").safe_confidence, Some(0.7));
    let strict = pb::GuardThresholds { safe_confidence: Some(1.0), ..Default::default() };
    let policy = pb::GuardPolicy { mode: pb::GuardMode::Deterministic.into(), thresholds: Some(strict) };
    let set = mesh.set_policy(policy, "").await.expect("set");
    let report = mesh.check(asked("The new grinder holds 250 grams of beans.")).await;
    assert!(!report.is_safe && report.supported == 1, "the confidence is never above 1: {report:?}");
    let looser = pb::GuardThresholds { safe_confidence: Some(0.5), ..Default::default() };
    let own = pb::CheckGroundingRequest {
        thresholds: Some(looser),
        ..asked("The new grinder holds 250 grams of beans.")
    };
    assert!(mesh.check(own).await.is_safe, "a request's own thresholds come first");
    assert!(mesh.check(asked(UNCERTAIN)).await.judge.is_none(), "the policy asks no judge");
    let (one, other) = tokio::join!(mesh.set_policy(policy, &set.etag), mesh.set_policy(policy, &set.etag));
    let codes = [one, other].map(|result| result.map_or_else(|status| status.code(), |_| Code::Ok));
    assert!(codes.contains(&Code::Ok) && codes.contains(&Code::Aborted), "{codes:?}");
    assert_eq!(mesh.policy().await.etag, "v2");
    let stranger = testing::as_caller(TenantId::from_u128(99), Scopes::all(), async {
        mesh.guard.clone().get_guard_policy(pb::GetGuardPolicyRequest {}).await
    });
    assert_eq!(stranger.await.expect("a policy").into_inner().etag, "", "a policy is its tenant's own");
}

#[tokio::test]
async fn verdicts_of_people_are_compared_and_propose_thresholds() {
    let mesh = start(Over::Process, config()).await;
    let verdicts: Vec<pb::HumanVerdict> = (0..40)
        .map(|n| {
            let bad = n % 2 == 1;
            let word = if bad { Unsupported } else { Supported };
            pb::HumanVerdict {
                claim: format!("claim {n}"),
                guard_verdict: word.into(),
                risk: if bad { 0.8 } else { 0.1 } + f64::from(n) / 1_000.0,
                judge_verdict: if n < 4 { Supported.into() } else { 0 },
                human_verdict: word.into(),
            }
        })
        .collect();
    let request = pb::RecordVerdictsRequest { request_id: "r1".into(), verdicts };
    for _ in 0..2 {
        let recorded = mesh.as_user(mesh.guard.clone().record_verdicts(request.clone())).await.expect("kept");
        assert_eq!(recorded.into_inner().recorded, 40, "the same again changes nothing");
    }
    let found = mesh.as_user(mesh.guard.clone().get_calibration(pb::GetCalibrationRequest {})).await;
    let found = found.expect("compared").into_inner();
    assert_eq!((found.verdicts, found.not_supported, found.judged), (40, 20, 4));
    assert_eq!((found.guard_kappa, found.auroc), (Some(1.0), Some(1.0)));
    assert_eq!(found.judge_kappa, Some(0.0), "it said yes to everything");
    let proposed = found.proposed.expect("thresholds");
    let (low, high) = (proposed.supported_risk.expect("low"), proposed.unsupported_risk.expect("high"));
    assert!(0.13 < low && low <= high && high < 0.81, "{low} {high}");
    let policy = pb::GuardPolicy { mode: 0, thresholds: Some(proposed) };
    assert!(mesh.set_policy(policy, "").await.is_ok(), "what is proposed can be set");
}

#[tokio::test]
async fn a_run_publishes_nothing_that_the_judge_finds_false() {
    let mesh = start(Over::Process, config()).await;
    mesh.script.passages.lock().expect("lock")[0].text = format!("{SOURCE} {REPAIRS}");
    mesh.script.write("draft.1", &format!("{REPAIRS}\n\n{UNCERTAIN}"));
    mesh.script.judge("contradicted", "Kettle Works does not sell used burrs.");
    let run = mesh.create(spec()).await;
    let run = mesh.finish(&run.run_id).await;
    assert_eq!(run.state(), Succeeded, "{:?}", run.error);
    let result = run.result.expect("a result");
    assert!(!result.text.contains("used burrs") && result.text.contains(REPAIRS), "{}", result.text);
    let safety = result.safety.expect("a report");
    assert_eq!((safety.is_safe, safety.judge_model.as_str(), safety.judged), (true, "fake/scripted", 1));
    assert!(safety.corrections.iter().any(|change| change.before == UNCERTAIN), "{:?}", safety.corrections);
    assert_eq!(mesh.script.calls_of("guard.1").len(), 1);
}

#[tokio::test]
async fn a_run_whose_judge_is_away_publishes_nothing_uncertain() {
    let mesh = start(Over::Process, config()).await;
    mesh.script.passages.lock().expect("lock")[0].text = format!("{SOURCE} {REPAIRS}");
    for step in ["draft.1", "regenerate.1"] {
        mesh.script.write(step, &format!("{REPAIRS}\n\n{UNCERTAIN}"));
    }
    let refused = || Status::failed_precondition("no model");
    mesh.script.fail("guard.1", [refused()]);
    mesh.script.fail("guard.2", [refused()]);
    let run = mesh.create(spec()).await;
    let run = mesh.finish(&run.run_id).await;
    assert_eq!((run.state(), run.error.expect("why").reason.as_str()), (Failed, "NOT_SAFE"));
}
