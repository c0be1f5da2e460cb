//! From requests to domain values, with every fault named.
use std::fmt::Display;
use std::str::FromStr;

use copydesk_proto::agent_orchestrator::v1 as pb;
use copydesk_rpc::{ServiceError, Violations};
use copydesk_types::{KnowledgeBaseId, RunId};
use prost::Message;

use crate::adapters::convert;
use crate::app::create_run::Wish;
use crate::domain::plan::{known_workflows, newest};
use crate::domain::run::RunState;
use crate::domain::spec::{RunSpec, is_language_tag};

const MAX_KNOWLEDGE_BASES: usize = 16;

pub(super) fn wish(request: pb::CreateRunRequest) -> Wish {
    let mut violations = Violations::new();
    violations.length("request_id", &request.request_id, 1, 128);
    no_nul("request_id", &request.request_id, &mut violations);
    // The message has no maps, so equal messages have equal bytes.
    let bytes = request.spec.as_ref().map(Message::encode_to_vec).unwrap_or_default();
    let spec = match &request.spec {
        Some(spec) => self::spec(spec, &mut violations),
        None => {
            violations.push("spec", "must be present");
            None
        }
    };
    let input_hash = blake3::hash(&bytes).to_hex().to_string();
    Wish { request_id: request.request_id, input_hash, spec, violations }
}

fn spec(spec: &pb::RunSpec, violations: &mut Violations) -> Option<RunSpec> {
    let brand_id = violations.parse("spec.brand_id", &spec.brand_id);
    let known = newest(&spec.workflow).is_some();
    let unknown = || format!("{:?} is not a workflow; known are: {}", spec.workflow, known_workflows());
    if !known {
        violations.push("spec.workflow", unknown());
    }
    let topic = spec.topic.trim();
    violations.length("spec.topic", topic, 1, 2_000);
    let content_type = convert::content_type_of(spec.content_type);
    violations.check(content_type.is_some(), "spec.content_type", "must be one of BLOG, SOCIAL, AD");
    for (field, text, max) in [
        ("spec.voice", &spec.voice, 1_000),
        ("spec.tone", &spec.tone, 200),
        ("spec.style", &spec.style, 200),
        ("spec.audience", &spec.audience, 1_000),
    ] {
        violations.length(field, text, 0, max);
        no_nul(field, text, violations);
    }
    no_nul("spec.topic", topic, violations);
    let language = spec.language.is_empty() || is_language_tag(&spec.language);
    violations.check(language, "spec.language", "is not a BCP 47 tag, for example en or de-CH");
    let budget = spec.budget_nanos.is_none_or(|nanos| nanos >= 0);
    violations.check(budget, "spec.budget_nanos", "must be 0 or more");
    let deadline_ms = spec.deadline.as_ref().map(convert::millis_of);
    violations.check(deadline_ms != Some(None), "spec.deadline", "is not a valid time");
    let knowledge_base_ids = knowledge_bases(&spec.knowledge_base_ids, violations);
    Some(RunSpec {
        brand_id: brand_id?,
        workflow: spec.workflow.clone(),
        topic: topic.to_owned(),
        content_type: content_type?,
        voice: spec.voice.clone(),
        tone: spec.tone.clone(),
        style: spec.style.clone(),
        audience: spec.audience.clone(),
        language: spec.language.clone(),
        budget_nanos: spec.budget_nanos,
        deadline_ms: deadline_ms.flatten(),
        knowledge_base_ids,
        with_web: spec.with_web,
    })
}

fn knowledge_bases(ids: &[String], violations: &mut Violations) -> Vec<KnowledgeBaseId> {
    let many = format!("must have at most {MAX_KNOWLEDGE_BASES} entries, has {}", ids.len());
    violations.check(ids.len() <= MAX_KNOWLEDGE_BASES, "spec.knowledge_base_ids", many);
    let mut parsed: Vec<KnowledgeBaseId> = Vec::new();
    for (at, id) in ids.iter().enumerate().take(MAX_KNOWLEDGE_BASES) {
        let id = violations.parse(&format!("spec.knowledge_base_ids[{at}]"), id);
        parsed.extend(id.filter(|id| !parsed.contains(id)));
    }
    parsed
}

/// U+0000 is no text: the databases cannot keep it.
fn no_nul(field: &str, text: &str, violations: &mut Violations) {
    violations.check(!text.contains('\0'), field, "must not contain the character U+0000");
}

pub(super) fn run_id(text: &str) -> Result<RunId, ServiceError> {
    let mut violations = Violations::new();
    let id = violations.parse("run_id", text);
    violations.finish()?;
    id.ok_or_else(|| ServiceError::not_found(crate::app::RUN, text))
}

/// An id that may be left empty.
pub(super) fn optional_id<T>(field: &str, text: &str, violations: &mut Violations) -> Option<T>
where
    T: FromStr,
    T::Err: Display,
{
    if text.is_empty() { None } else { violations.parse(field, text) }
}

/// A state to filter by; unspecified is none.
pub(super) fn state(number: i32, violations: &mut Violations) -> Option<RunState> {
    match pb::RunState::try_from(number) {
        Ok(pb::RunState::Unspecified) => None,
        Ok(pb::RunState::Queued) => Some(RunState::Queued),
        Ok(pb::RunState::Running) => Some(RunState::Running),
        Ok(pb::RunState::Succeeded) => Some(RunState::Succeeded),
        Ok(pb::RunState::Failed) => Some(RunState::Failed),
        Ok(pb::RunState::Cancelled) => Some(RunState::Cancelled),
        Err(_) => {
            violations.push("state", format!("{number} is not a state of a run"));
            None
        }
    }
}
