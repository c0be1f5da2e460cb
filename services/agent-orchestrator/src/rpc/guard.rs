//! The guard's door.
use std::collections::HashSet;
use std::sync::Arc;

use copydesk_guard::{Claim, Correction, Report, SentenceClass, Thresholds, Verdict};
use copydesk_proto::agent_orchestrator::v1 as pb;
use copydesk_proto::agent_orchestrator::v1::guard_service_server::GuardService;
use copydesk_rpc::{Caller, ServiceError, Violations};
use tonic::{Request, Response, Status};

use super::packs;
use super::response::verdict;
use crate::adapters::convert::{span, timestamp};
use crate::app::ground::{Grounded, Inquiry};
use crate::app::rule_check::RuleInquiry;
use crate::app::{App, Material};
use crate::domain::count;
use crate::domain::policy::{Lines, Mode, Policy};
use crate::domain::safety::JudgeNote;
use crate::ports::HumanVerdict;

const MAX_TEXT: usize = 100_000;
const MAX_SOURCES: usize = 200;
const MAX_SOURCE: usize = 200_000;
const MAX_ALL_SOURCES: usize = 2_000_000;
const MAX_PACKS: usize = 100;
const MAX_VERDICTS: usize = 1_000;
const MAX_CLAIM: usize = 10_000;

/// The service's handlers.
pub(crate) struct Guard {
    app: Arc<App>,
}

impl Guard {
    pub(crate) fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

#[tonic::async_trait]
impl GuardService for Guard {
    async fn check_grounding(
        &self,
        request: Request<pb::CheckGroundingRequest>,
    ) -> Result<Response<pb::CheckGroundingResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let inquiry = inquiry(request)?;
        let grounded = self.app.ground(caller.tenant, inquiry).await?;
        Ok(Response::new(grounding(grounded)))
    }

    async fn check_rules(
        &self,
        request: Request<pb::CheckRulesRequest>,
    ) -> Result<Response<pb::CheckRulesResponse>, Status> {
        let caller = Caller::of(&request)?;
        let mut request = request.into_inner();
        let pack_ids = std::mem::take(&mut request.pack_ids);
        let inquiry = rule_inquiry(request, &pack_ids)?;
        let report = self.app.check_rules(caller.tenant, inquiry).await?;
        Ok(Response::new(pb::CheckRulesResponse {
            blocked: report.is_blocked(),
            packs: packs::applied(&report.packs),
            hits: report.hits.into_iter().map(|(hit, judged)| packs::hit_message(hit, judged)).collect(),
            unanswered: (report.unanswered.into_iter())
                .map(|(question, why)| packs::unanswered_message(question, why))
                .collect(),
            judge: report.judge.map(judge_message),
        }))
    }

    async fn sanitize(
        &self,
        request: Request<pb::SanitizeRequest>,
    ) -> Result<Response<pb::SanitizeResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let mut violations = Violations::new();
        bytes("text", &request.text, MAX_TEXT, &mut violations);
        let scope = packs::scope(request.scope, &mut violations);
        some_packs(&request.pack_ids, &mut violations);
        violations.finish()?;
        let (applied, clean) =
            self.app.sanitize(caller.tenant, scope, request.text, &request.pack_ids).await?;
        Ok(Response::new(pb::SanitizeResponse {
            text: clean.text,
            blocked: clean.blocked,
            redactions: clean.redactions.into_iter().map(packs::redaction_message).collect(),
            hits: clean.findings.hits.into_iter().map(|hit| packs::hit_message(hit, false)).collect(),
            packs: packs::applied(&applied),
        }))
    }

    async fn get_guard_policy(
        &self,
        request: Request<pb::GetGuardPolicyRequest>,
    ) -> Result<Response<pb::GetGuardPolicyResponse>, Status> {
        let caller = Caller::of(&request)?;
        let stored = self.app.guard_policy(caller.tenant).await?;
        let policy = stored.as_ref().map(|stored| stored.policy.clone()).unwrap_or_default();
        Ok(Response::new(pb::GetGuardPolicyResponse {
            policy: Some(policy_message(&policy)),
            etag: stored.as_ref().map(|stored| etag(stored.version)).unwrap_or_default(),
            update_time: stored.map(|stored| timestamp(stored.updated_ms)),
        }))
    }

    async fn set_guard_policy(
        &self,
        request: Request<pb::SetGuardPolicyRequest>,
    ) -> Result<Response<pb::SetGuardPolicyResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let mut violations = Violations::new();
        let policy = policy(request.policy.as_ref(), &mut violations);
        let expected = version(&request.etag, &mut violations);
        violations.finish()?;
        let version = self.app.set_guard_policy(caller.tenant, &policy, expected).await?;
        Ok(Response::new(pb::SetGuardPolicyResponse {
            policy: Some(policy_message(&policy)),
            etag: etag(version),
        }))
    }

    async fn record_verdicts(
        &self,
        request: Request<pb::RecordVerdictsRequest>,
    ) -> Result<Response<pb::RecordVerdictsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let verdicts = verdicts(&request)?;
        let recorded = self.app.record_verdicts(caller.tenant, &request.request_id, &verdicts).await?;
        Ok(Response::new(pb::RecordVerdictsResponse { recorded }))
    }

    async fn get_calibration(
        &self,
        request: Request<pb::GetCalibrationRequest>,
    ) -> Result<Response<pb::GetCalibrationResponse>, Status> {
        let caller = Caller::of(&request)?;
        let found = self.app.calibration(caller.tenant).await?;
        Ok(Response::new(pb::GetCalibrationResponse {
            verdicts: found.verdicts as u64,
            not_supported: found.not_supported as u64,
            guard_kappa: found.guard_kappa,
            judged: found.judged as u64,
            judge_kappa: found.judge_kappa,
            auroc: found.auroc,
            proposed: found.proposed.map(|proposal| pb::GuardThresholds {
                supported_risk: Some(proposal.t_low),
                unsupported_risk: Some(proposal.t_high),
                ..pb::GuardThresholds::default()
            }),
        }))
    }
}

/* Requests */

fn inquiry(request: pb::CheckGroundingRequest) -> Result<Inquiry, ServiceError> {
    let mut violations = Violations::new();
    bytes("text", &request.text, MAX_TEXT, &mut violations);
    check_sources(&request.sources, &mut violations);
    let mode = mode("mode", request.mode, &mut violations);
    let lines = lines("thresholds", request.thresholds.as_ref(), &mut violations);
    violations.finish()?;
    let with_correction = request.with_correction;
    Ok(Inquiry { material: material(request.text, request.sources), mode, lines, with_correction })
}

fn rule_inquiry<'a>(
    request: pb::CheckRulesRequest,
    pack_ids: &'a [String],
) -> Result<RuleInquiry<'a>, ServiceError> {
    let mut violations = Violations::new();
    bytes("text", &request.text, MAX_TEXT, &mut violations);
    let scope = packs::scope(request.scope, &mut violations);
    check_sources(&request.sources, &mut violations);
    some_packs(pack_ids, &mut violations);
    let mode = mode("mode", request.mode, &mut violations);
    violations.finish()?;
    Ok(RuleInquiry { material: material(request.text, request.sources), scope, pack_ids, mode })
}

fn material(text: String, sources: Vec<pb::GroundingSource>) -> Arc<Material> {
    let sources = sources.into_iter().map(|source| (source.id, source.text)).collect();
    Arc::new(Material { text, sources })
}

fn some_packs(ids: &[String], violations: &mut Violations) {
    let many = format!("must have at most {MAX_PACKS} entries, has {}", ids.len());
    violations.check(ids.len() <= MAX_PACKS, "pack_ids", many);
}

fn check_sources(given: &[pb::GroundingSource], violations: &mut Violations) {
    let many = format!("must have at most {MAX_SOURCES} entries, has {}", given.len());
    violations.check(given.len() <= MAX_SOURCES, "sources", many);
    let all: usize = given.iter().map(|source| source.text.len()).sum();
    let much = format!("must have at most {MAX_ALL_SOURCES} bytes of text together, has {all}");
    violations.check(all <= MAX_ALL_SOURCES, "sources", much);
    let mut ids = HashSet::new();
    for (at, source) in given.iter().enumerate().take(MAX_SOURCES) {
        violations.length(&format!("sources[{at}].id"), &source.id, 1, 200);
        violations.check(ids.insert(&source.id), format!("sources[{at}].id"), "is another source's too");
        bytes(&format!("sources[{at}].text"), &source.text, MAX_SOURCE, violations);
    }
}

fn bytes(field: &str, text: &str, max: usize, violations: &mut Violations) {
    let range = (1..=max).contains(&text.len());
    violations.check(range, field, format!("must have 1 to {max} bytes, has {}", text.len()));
}

fn mode(field: &str, number: i32, violations: &mut Violations) -> Option<Mode> {
    match pb::GuardMode::try_from(number) {
        Ok(pb::GuardMode::Unspecified) => None,
        Ok(pb::GuardMode::Deterministic) => Some(Mode::Deterministic),
        Ok(pb::GuardMode::Hybrid) => Some(Mode::Hybrid),
        Err(_) => {
            violations.push(field, format!("{number} is not a mode"));
            None
        }
    }
}

fn lines(field: &str, given: Option<&pb::GuardThresholds>, violations: &mut Violations) -> Lines {
    let Some(given) = given else { return Lines::default() };
    for (name, value) in [
        ("safe_confidence", given.safe_confidence),
        ("supported_risk", given.supported_risk),
        ("unsupported_risk", given.unsupported_risk),
    ] {
        let fits = value.is_none_or(|value| (0.0..=1.0).contains(&value));
        violations.check(fits, format!("{field}.{name}"), "must be 0 to 1");
    }
    let few = given.max_corrections.is_none_or(|n| n <= 20);
    violations.check(few, format!("{field}.max_corrections"), "must be 0 to 20");
    let lines = Lines {
        safe_confidence: given.safe_confidence,
        supported_risk: given.supported_risk,
        unsupported_risk: given.unsupported_risk,
        max_corrections: given.max_corrections,
    };
    let held = lines.thresholds();
    let ordered = held.t_low <= held.t_high || held.t_low.is_nan() || held.t_high.is_nan();
    let crossed = format!("{} is above unsupported_risk, {}", held.t_low, held.t_high);
    violations.check(ordered, format!("{field}.supported_risk"), crossed);
    lines
}

fn policy(given: Option<&pb::GuardPolicy>, violations: &mut Violations) -> Policy {
    let Some(given) = given else {
        violations.push("policy", "must be present");
        return Policy::default();
    };
    Policy {
        mode: mode("policy.mode", given.mode, violations).unwrap_or_default(),
        lines: lines("policy.thresholds", given.thresholds.as_ref(), violations),
    }
}

fn etag(version: i64) -> String {
    format!("v{version}")
}

fn version(etag: &str, violations: &mut Violations) -> Option<i64> {
    let version = etag.strip_prefix('v').and_then(|number| number.parse().ok()).filter(|n| *n > 0);
    violations.check(etag.is_empty() || version.is_some(), "etag", "is not one that GetGuardPolicy gave");
    version
}

fn verdicts(request: &pb::RecordVerdictsRequest) -> Result<Vec<HumanVerdict>, ServiceError> {
    let mut violations = Violations::new();
    violations.length("request_id", &request.request_id, 1, 128);
    violations.check(
        !request.request_id.contains('\0'),
        "request_id",
        "must not contain the character U+0000",
    );
    let range = (1..=MAX_VERDICTS).contains(&request.verdicts.len());
    let many = format!("must have 1 to {MAX_VERDICTS} entries, has {}", request.verdicts.len());
    violations.check(range, "verdicts", many);
    let mut found = Vec::new();
    for (at, given) in request.verdicts.iter().enumerate().take(MAX_VERDICTS) {
        let field = |name: &str| format!("verdicts[{at}].{name}");
        bytes(&field("claim"), &given.claim, MAX_CLAIM, &mut violations);
        violations.check((0.0..=1.0).contains(&given.risk), field("risk"), "must be 0 to 1");
        let guard = verdict_of(given.guard_verdict).flatten();
        violations.check(guard.is_some(), field("guard_verdict"), "must be a verdict");
        let judge = verdict_of(given.judge_verdict);
        violations.check(judge.is_some(), field("judge_verdict"), "is not a verdict");
        let human = verdict_of(given.human_verdict).flatten();
        let human =
            human.filter(|v| matches!(v, Verdict::Supported | Verdict::Contradicted | Verdict::Unsupported));
        let must = "must be SUPPORTED, CONTRADICTED or UNSUPPORTED";
        violations.check(human.is_some(), field("human_verdict"), must);
        if let (Some(guard), Some(judge), Some(human)) = (guard, judge, human) {
            let claim_hash = blake3::hash(given.claim.as_bytes()).to_hex().to_string();
            found.push(HumanVerdict { claim_hash, guard, risk: given.risk, judge, human });
        }
    }
    violations.finish()?;
    Ok(found)
}

/// `Some(None)` for none, `None` for an unknown number.
fn verdict_of(number: i32) -> Option<Option<Verdict>> {
    Some(match pb::Verdict::try_from(number).ok()? {
        pb::Verdict::Unspecified => None,
        pb::Verdict::Supported => Some(Verdict::Supported),
        pb::Verdict::Contradicted => Some(Verdict::Contradicted),
        pb::Verdict::Unsupported => Some(Verdict::Unsupported),
        pb::Verdict::Uncertain => Some(Verdict::Uncertain),
        pb::Verdict::NotCheckable => Some(Verdict::NotCheckable),
    })
}

/* Answers */

fn grounding(grounded: Grounded) -> pb::CheckGroundingResponse {
    let Grounded { report, judged, corrected, thresholds, judge } = grounded;
    let mut response = pb::CheckGroundingResponse {
        report: Some(report_message(report, &judged, &thresholds, judge)),
        ..pb::CheckGroundingResponse::default()
    };
    if let Some(corrected) = corrected {
        response.corrected_text = corrected.text;
        response.corrections = corrected.corrections.into_iter().map(correction).collect();
        response.corrections.sort_by_key(|change| change.span.map(|span| (span.start, span.end)));
        response.corrected_report = Some(report_message(corrected.report, &[], &thresholds, None));
    }
    response
}

fn report_message(
    report: Report,
    judged: &[usize],
    thresholds: &Thresholds,
    judge: Option<JudgeNote>,
) -> pb::GroundingReport {
    let claims = report.claims.into_iter().enumerate();
    pb::GroundingReport {
        is_safe: report.is_safe,
        confidence: report.confidence.clamp(0.0, 1.0),
        supported: count(report.supported),
        checked: count(report.checked),
        claims: claims.map(|(at, claim)| claim_message(claim, judged.contains(&at))).collect(),
        not_safe_reason: report.not_safe_reason.unwrap_or_default(),
        guard_version: report.guard_version,
        thresholds: Some(thresholds_message(thresholds)),
        judge: judge.map(judge_message),
    }
}

fn claim_message(claim: Claim, judged: bool) -> pb::CheckedClaim {
    let evidence = claim.evidence.into_iter().map(|evidence| pb::GroundingEvidence {
        source_id: evidence.source_id,
        span: Some(span(evidence.span.start as u64, evidence.span.end as u64)),
        quote: evidence.quote,
    });
    let reasons = claim.reasons.into_iter();
    let reason = |reason: copydesk_guard::Reason| pb::ClaimReason {
        kind: reason.kind.name().to_owned(),
        detail: reason.detail,
    };
    pb::CheckedClaim {
        span: Some(span(claim.span.start as u64, claim.span.end as u64)),
        text: claim.text,
        sentence_class: class(claim.class).into(),
        verdict: verdict(claim.verdict).into(),
        risk: claim.risk.clamp(0.0, 1.0),
        reasons: reasons.map(reason).collect(),
        evidence: evidence.collect(),
        judged,
    }
}

fn class(class: SentenceClass) -> pb::SentenceClass {
    match class {
        SentenceClass::Claim => pb::SentenceClass::Claim,
        SentenceClass::Meta => pb::SentenceClass::Meta,
        SentenceClass::Question => pb::SentenceClass::Question,
        SentenceClass::CallToAction => pb::SentenceClass::CallToAction,
        SentenceClass::Opinion => pb::SentenceClass::Opinion,
        SentenceClass::Greeting => pb::SentenceClass::Greeting,
        SentenceClass::Hashtags => pb::SentenceClass::Hashtags,
        SentenceClass::Heading => pb::SentenceClass::Heading,
    }
}

fn correction(change: Correction) -> pb::GroundingCorrection {
    pb::GroundingCorrection {
        span: Some(span(change.span.start as u64, change.span.end as u64)),
        before: change.before,
        after: change.after,
        reason: change.reason,
    }
}

fn judge_message(note: JudgeNote) -> pb::JudgeUse {
    pb::JudgeUse {
        model: note.model,
        asked: note.asked,
        remembered: note.remembered,
        overruled: note.overruled,
        cost_nanos: note.cost_nanos,
        judge_version: note.judge_version,
        error: note.error,
    }
}

fn policy_message(policy: &Policy) -> pb::GuardPolicy {
    let mode = match policy.mode {
        Mode::Deterministic => pb::GuardMode::Deterministic,
        Mode::Hybrid => pb::GuardMode::Hybrid,
    };
    pb::GuardPolicy { mode: mode.into(), thresholds: Some(thresholds_message(&policy.lines.thresholds())) }
}

fn thresholds_message(thresholds: &Thresholds) -> pb::GuardThresholds {
    pb::GuardThresholds {
        safe_confidence: Some(thresholds.safe_confidence),
        supported_risk: Some(thresholds.t_low),
        unsupported_risk: Some(thresholds.t_high),
        max_corrections: Some(count(thresholds.max_corrections)),
    }
}
