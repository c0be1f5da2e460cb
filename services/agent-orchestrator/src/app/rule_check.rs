//! Applies a tenant's rule packs to a text; what only a judge can say, a model is asked, in one call.
use std::sync::Arc;

use copydesk_guard::pack::{self, ActivePack, Hit, Question, Sanitized, Scope, Severity};
use copydesk_rpc::ServiceError;
use copydesk_types::TenantId;

use super::hearing::{BAD_FORM, answer};
use super::packs::Ready;
use super::{App, Material};
use crate::agents::judge;
use crate::domain::count;
use crate::domain::policy::Mode;
use crate::domain::safety::JudgeNote;
use crate::domain::spec::RunSpec;
use crate::error::of_store;
use crate::ports::{ModelReply, Place};

/// A text and the rules that it is held against.
pub(crate) struct RuleInquiry<'a> {
    pub(crate) material: Arc<Material>,
    pub(crate) scope: Scope,
    /// All active packs when empty.
    pub(crate) pack_ids: &'a [String],
    /// Who answers questions; `None`: as the policy says.
    pub(crate) mode: Option<Mode>,
}

/// What was found.
pub(crate) struct RuleReport {
    pub(crate) packs: Vec<Ready>,
    /// In reading order; what a judge found comes last, with `true`.
    pub(crate) hits: Vec<(Hit, bool)>,
    /// Questions that nobody answered, and why.
    pub(crate) unanswered: Vec<(Question, String)>,
    pub(crate) judge: Option<JudgeNote>,
}

impl RuleReport {
    /// Whether a blocking rule is broken, or nobody could say whether it is.
    pub(crate) fn is_blocked(&self) -> bool {
        self.hits.iter().any(|(hit, _)| hit.severity == Severity::Block)
            || self.unanswered.iter().any(|(question, _)| question.severity == Severity::Block)
    }
}

/// Borrowed packs, as the guard applies them.
pub(crate) fn borrowed(packs: &[Ready]) -> Vec<&ActivePack> {
    packs.iter().map(|pack| &**pack).collect()
}

impl App {
    /// Checks a text outside of runs.
    pub(crate) async fn check_rules(
        &self,
        tenant: TenantId,
        inquiry: RuleInquiry<'_>,
    ) -> Result<RuleReport, ServiceError> {
        let RuleInquiry { material, scope, pack_ids, mode } = inquiry;
        let packs = self.active_packs(tenant, pack_ids).await?;
        let (ready, given) = (packs.clone(), material.clone());
        let look = move || pack::check(&borrowed(&ready), scope, &given.text, &given.sources());
        let found = self.aside(tenant, look).await?;
        let text = material.text.as_str();
        let mode = match mode {
            Some(mode) => mode,
            None => self.policy_of(tenant).await.map_err(of_store)?.mode,
        };
        let reply = match (mode, found.questions.as_slice()) {
            (_, []) => None,
            (Mode::Deterministic, _) => Some(Err("no judge is asked in this mode".to_owned())),
            (Mode::Hybrid, questions) => {
                let call = judge::rules(questions, text);
                let asked = serde_json::to_vec(&call).map_err(ServiceError::internal)?;
                let request_id = format!("judge/{}", &blake3::hash(&asked).to_hex()[..32]);
                let reply = self.ports.model.generate(&Place { step: None, request_id }, &call).await;
                Some(reply.map_err(|error| format!("{}: {}", error.reason(), error.message())))
            }
        };
        Ok(judged(packs, found, text, reply))
    }

    /// Cleans a text; no model is asked.
    pub(crate) async fn sanitize(
        &self,
        tenant: TenantId,
        scope: Scope,
        text: String,
        pack_ids: &[String],
    ) -> Result<(Vec<Ready>, Sanitized), ServiceError> {
        let packs = self.active_packs(tenant, pack_ids).await?;
        let ready = packs.clone();
        let sanitized =
            self.aside(tenant, move || pack::sanitize(&borrowed(&ready), scope, &text, &[])).await?;
        Ok((packs, sanitized))
    }

    /// What a user asks for, without what the active packs redact. What a pack of the tenant's own blocks is a fault of its
    /// field; the built-in ones refuse nothing here: what they find is a guess, and models get it as data in any case.
    pub(crate) async fn clean_wish(
        &self,
        tenant: TenantId,
        spec: &mut RunSpec,
        violations: &mut copydesk_rpc::Violations,
    ) -> Result<(), ServiceError> {
        let ready = self.active_packs(tenant, &[]).await?;
        let packs = borrowed(&ready);
        let refuses = |hit: &Hit| {
            let own = ready.iter().any(|pack| matches!(pack, Ready::Own(_)) && pack.id() == hit.pack);
            own && hit.severity == Severity::Block
        };
        for (field, text) in [
            ("spec.topic", &mut spec.topic),
            ("spec.voice", &mut spec.voice),
            ("spec.tone", &mut spec.tone),
            ("spec.style", &mut spec.style),
            ("spec.audience", &mut spec.audience),
        ] {
            let found = pack::sanitize(&packs, Scope::Input, text, &[]);
            for hit in found.findings.hits.iter().filter(|hit| refuses(hit)) {
                violations.push(field, format!("breaks the rule {}/{}: {}", hit.pack, hit.rule, hit.message));
            }
            *text = found.text;
        }
        Ok(())
    }
}

/// Puts a judge's answers to what was found; a question without an answer stays one.
pub(crate) fn judged(
    packs: Vec<Ready>,
    found: pack::Findings,
    text: &str,
    reply: Option<Result<ModelReply, String>>,
) -> RuleReport {
    let asked = found.questions.len();
    let mut report = RuleReport {
        packs,
        hits: found.hits.into_iter().map(|hit| (hit, false)).collect(),
        unanswered: Vec::new(),
        judge: None,
    };
    let Some(reply) = reply else {
        let unasked = |question| (question, "no judge was asked".to_owned());
        report.unanswered.extend(found.questions.into_iter().map(unasked));
        return report;
    };
    let mut note = JudgeNote {
        asked: count(asked),
        judge_version: judge::AGENT.version.to_owned(),
        ..JudgeNote::default()
    };
    let answers = reply.and_then(|reply| {
        note.cost_nanos = reply.cost_nanos;
        let (model, answer) = answer(reply)?;
        note.model = model;
        Ok(judge::answers(answer, asked).ok_or(BAD_FORM)?)
    });
    let answers = answers.unwrap_or_else(|why| {
        note.error = why;
        vec![None; asked]
    });
    for (question, answer) in found.questions.into_iter().zip(answers) {
        match answer.map(|answer| answer.place_in(text)) {
            Some(Ok(None)) => {}
            Some(Ok(Some(span))) => report.hits.push((hit(question, span, text), true)),
            Some(Err(())) => {
                note.overruled += 1;
                report
                    .unanswered
                    .push((question, "the judge quotes words that the text does not have".to_owned()));
            }
            None => {
                let why = if note.error.is_empty() { "the judge left it out" } else { &note.error };
                report.unanswered.push((question, why.to_owned()));
            }
        }
    }
    report.judge = Some(note);
    report
}

fn hit(question: Question, span: std::ops::Range<usize>, text: &str) -> Hit {
    Hit {
        pack: question.pack,
        version: question.version,
        rule: question.rule,
        severity: question.severity,
        matched: text.get(span.clone()).unwrap_or_default().to_owned(),
        span,
        message: question.message,
        entity: None,
    }
}
