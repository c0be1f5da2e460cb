//! Between the contract's messages and ours. Requests are checked here, all faults at once.
use std::sync::Arc;

use copydesk_proto::llm_router::v1 as pb;
use copydesk_proto::types::v1 as types;
use copydesk_rpc::{ServiceError, Violations};
use copydesk_types::RunId;
use prost::Message as _;
use prost_types::Timestamp;

use crate::app::{Catalog, Target};
use crate::domain::{
    Answer, Attempt, Attribution, Brief, Completion, Direction, Order, Passage, Prompt, Schema, StopReason,
    Turn, Usage, UsageRow,
};

mod json;

const MAX_MESSAGES: usize = 64;
const MAX_TEXT_BYTES: usize = 1 << 20;
const MAX_PASSAGES: usize = 256;
const MAX_DIRECTIONS: usize = 64;
const MAX_OUTPUT_TOKENS: u32 = 131_072;
const DEFAULT_OUTPUT_TOKENS: u32 = 2_048;
const MAX_REQUEST_ID: usize = 128;
const MAX_WORD: usize = 128;
const MAX_SCHEMA_BYTES: usize = 64 << 10;

/// Parses a call. `prefix` is where it stands in its request, for example `request.`.
pub fn order(
    request: pb::GenerateRequest,
    prefix: &str,
    schema_allowed: bool,
    catalog: &Catalog,
) -> Result<Order, ServiceError> {
    let mut faults = Faults { violations: Violations::new(), prefix };
    let fingerprint = fingerprint(&request);
    faults.word("request_id", &request.request_id, MAX_REQUEST_ID);
    let attribution = attribution(request.attribution.unwrap_or_default(), &mut faults);
    let task = pb::Task::try_from(request.task).unwrap_or_else(|_| {
        faults.push("task", "is not a known task");
        pb::Task::Unspecified
    });
    let model = Some(request.model).filter(|model| !model.is_empty());
    if let Some(model) = model.as_deref().filter(|model| !catalog.has(model)) {
        let known: Vec<&str> = catalog.targets().iter().map(|t| t.name.as_str()).collect();
        let shown: String = model.chars().take(MAX_WORD).collect();
        faults.push("model", format!("{shown:?} is not configured; there are {}", known.join(", ")));
    }
    let prompt = Prompt {
        task,
        agent: attribution.agent.clone(),
        turns: turns(request.messages, &mut faults),
        evidence: evidence(request.evidence, &mut faults),
        brief: brief(request.brief.unwrap_or_default(), &mut faults),
        schema: request.response_schema.and_then(|schema| self::schema(schema, schema_allowed, &mut faults)),
        temperature: request.temperature,
        max_output_tokens: request.max_output_tokens.unwrap_or(DEFAULT_OUTPUT_TOKENS),
    };
    let heat = prompt.temperature.is_none_or(|t| (0.0..=2.0).contains(&t));
    faults.check(heat, "temperature", "must be 0 to 2");
    let tokens = (1..=MAX_OUTPUT_TOKENS).contains(&prompt.max_output_tokens);
    faults.check(tokens, "max_output_tokens", "must be 1 to 131,072");
    faults.violations.finish()?;
    let request_id = Some(request.request_id).filter(|id| !id.is_empty());
    Ok(Order { request_id, fingerprint, attribution, model, prompt: Arc::new(prompt) })
}

/// Violations of one request, named from its root.
struct Faults<'a> {
    violations: Violations,
    prefix: &'a str,
}

impl Faults<'_> {
    fn push(&mut self, field: &str, description: impl Into<String>) {
        self.violations.push(format!("{}{field}", self.prefix), description);
    }

    fn check(&mut self, ok: bool, field: &str, description: &str) {
        if !ok {
            self.push(field, description);
        }
    }

    /// U+0000 is in no text that a database or a model takes.
    fn storable(&mut self, field: &str, text: &str) {
        self.check(!text.contains('\0'), field, "must not hold U+0000");
    }

    /// A text that may be empty and goes into keys and the ledger.
    fn word(&mut self, field: &str, text: &str, most: usize) {
        self.check(text.chars().count() <= most, field, &format!("must have at most {most} characters"));
        self.check(!text.contains(char::is_control), field, "must not hold control characters");
    }
}

/// What "the same body" means: every field but the id. Maps are sorted in our encoding, so it is stable.
fn fingerprint(request: &pb::GenerateRequest) -> String {
    let anonymous = pb::GenerateRequest { request_id: String::new(), ..request.clone() };
    blake3::hash(&anonymous.encode_to_vec()).to_hex().to_string()
}

fn attribution(whose: pb::Attribution, faults: &mut Faults<'_>) -> Attribution {
    let run = match whose.run_id.as_str() {
        "" => None,
        text => text.parse::<RunId>().map_err(|e| faults.push("attribution.run_id", e.to_string())).ok(),
    };
    faults.word("attribution.step", &whose.step, MAX_WORD);
    faults.word("attribution.agent", &whose.agent, MAX_WORD);
    faults.word("attribution.agent_version", &whose.agent_version, MAX_WORD);
    Attribution { run, step: whose.step, agent: whose.agent, agent_version: whose.agent_version }
}

fn turns(messages: Vec<pb::Message>, faults: &mut Faults<'_>) -> Vec<Turn> {
    let count = (1..=MAX_MESSAGES).contains(&messages.len());
    faults.check(count, "messages", "must hold 1 to 64 messages");
    let bytes: usize = messages.iter().map(|message| message.text.len()).sum();
    faults.check(bytes <= MAX_TEXT_BYTES, "messages", "must hold at most 1 MiB of text");
    let mut turns = Vec::with_capacity(messages.len());
    for (i, message) in messages.into_iter().enumerate() {
        let role = pb::Role::try_from(message.role).unwrap_or_default();
        if role == pb::Role::Unspecified {
            faults.push(&format!("messages[{i}].role"), "must be SYSTEM, USER or ASSISTANT");
        }
        if message.text.is_empty() {
            faults.push(&format!("messages[{i}].text"), "must not be empty");
        }
        faults.storable(&format!("messages[{i}].text"), &message.text);
        turns.push(Turn { role, text: message.text });
    }
    turns
}

fn passage(passage: types::Passage) -> Passage {
    Passage {
        kind: passage.source_kind(),
        start: passage.span.map_or(0, |span| span.start),
        id: passage.passage_id,
        document_id: passage.document_id,
        title: passage.title,
        text: passage.text,
        score: passage.score,
    }
}

fn evidence(passages: Vec<types::Passage>, faults: &mut Faults<'_>) -> Vec<Passage> {
    faults.check(passages.len() <= MAX_PASSAGES, "evidence", "must hold at most 256 passages");
    let bytes: usize = passages.iter().map(|passage| passage.text.len() + passage.title.len()).sum();
    faults.check(bytes <= MAX_TEXT_BYTES, "evidence", "must hold at most 1 MiB of text");
    for (i, passage) in passages.iter().enumerate() {
        faults.storable(&format!("evidence[{i}].text"), &passage.text);
        faults.storable(&format!("evidence[{i}].title"), &passage.title);
    }
    passages.into_iter().map(passage).collect()
}

fn brief(brief: pb::Brief, faults: &mut Faults<'_>) -> Brief {
    let texts = [
        ("topic", &brief.topic),
        ("voice", &brief.voice),
        ("brand", &brief.brand),
        ("draft", &brief.draft),
        ("angle", &brief.angle),
    ];
    for (field, text) in texts {
        faults.storable(&format!("brief.{field}"), text);
    }
    let bytes: usize = texts.iter().map(|(_, text)| text.len()).sum();
    faults.check(bytes <= MAX_TEXT_BYTES, "brief", "must hold at most 1 MiB of text");
    faults.check(
        brief.directions.len() <= MAX_DIRECTIONS,
        "brief.directions",
        "must hold at most 64 directions",
    );
    let known = types::ContentType::try_from(brief.content_type).is_ok();
    faults.check(known, "brief.content_type", "is not a known content type");
    let content_type = brief.content_type();
    let mut directions = Vec::with_capacity(brief.directions.len());
    for (i, direction) in brief.directions.into_iter().enumerate() {
        faults.storable(&format!("brief.directions[{i}].text"), &direction.text);
        faults.storable(&format!("brief.directions[{i}].phrase"), &direction.phrase);
        if pb::DirectionRule::try_from(direction.rule).is_err() {
            faults.push(&format!("brief.directions[{i}].rule"), "is not a known rule");
        }
        let rule = direction.rule();
        directions.push(Direction {
            rule,
            text: direction.text,
            limit: direction.limit,
            phrase: direction.phrase,
        });
    }
    Brief {
        topic: brief.topic,
        content_type,
        voice: brief.voice,
        brand: brief.brand,
        draft: brief.draft,
        angle: brief.angle,
        directions,
    }
}

fn schema(schema: prost_types::Struct, allowed: bool, faults: &mut Faults<'_>) -> Option<Schema> {
    if !allowed {
        faults.push("response_schema", "is not taken by a stream");
        return None;
    }
    if schema.encoded_len() > MAX_SCHEMA_BYTES {
        faults.push("response_schema", "must have at most 64 KiB");
        return None;
    }
    let compiled = Schema::compile(json::from_struct(schema));
    compiled.map_err(|error| faults.push("response_schema", format!("is not a JSON schema: {error}"))).ok()
}

/// An answer as the contract has it.
pub fn answer(answer: Answer) -> pb::GenerateResponse {
    pb::GenerateResponse {
        text: answer.text,
        structured: answer.structured.map(json::to_struct),
        completion: Some(completion(answer.completion)),
    }
}

/// How an answer came to be, as the contract has it.
pub fn completion(completion: Completion) -> pb::Completion {
    let stop_reason = match completion.stop_reason {
        StopReason::Unspecified => pb::StopReason::Unspecified,
        StopReason::End => pb::StopReason::End,
        StopReason::Length => pb::StopReason::Length,
        StopReason::Refusal => pb::StopReason::Refusal,
    };
    pb::Completion {
        model: completion.model,
        provider: completion.provider,
        stop_reason: stop_reason.into(),
        usage: Some(usage(completion.usage)),
        cost_nanos: completion.cost.0,
        price_version: completion.price_version,
        attempts: completion.attempts.into_iter().map(attempt).collect(),
        degraded: completion.degraded_reason.is_some(),
        degraded_reason: completion.degraded_reason.unwrap_or_default(),
        latency_us: completion.latency_us,
        replayed: completion.replayed,
    }
}

fn attempt(attempt: Attempt) -> pb::Attempt {
    pb::Attempt {
        model: attempt.model,
        outcome: attempt.outcome.as_str().to_owned(),
        latency_us: attempt.latency_us,
        cost_nanos: attempt.cost.0,
    }
}

fn usage(usage: Usage) -> types::TokenUsage {
    types::TokenUsage {
        input_tokens: usage.input,
        cached_input_tokens: usage.cached_input,
        output_tokens: usage.output,
        estimated: usage.estimated,
    }
}

/// A model as the contract has it.
pub fn model(target: &Target) -> pb::Model {
    pb::Model {
        name: target.name.clone(),
        kind: target.kind.to_owned(),
        input_nanos_per_million: target.price.input,
        output_nanos_per_million: target.price.output,
        offline: target.offline,
    }
}

/// A record of the ledger as the contract has it.
pub fn usage_record(row: UsageRow) -> pb::UsageRecord {
    let whose = row.attribution;
    let attempt = row.attempt;
    pb::UsageRecord {
        usage_id: row.id.to_string(),
        time: Some(timestamp(row.time_ms)),
        attribution: Some(pb::Attribution {
            run_id: whose.run.map(|run| run.to_string()).unwrap_or_default(),
            step: whose.step,
            agent: whose.agent,
            agent_version: whose.agent_version,
        }),
        task: row.task,
        model: attempt.model,
        outcome: attempt.outcome.as_str().to_owned(),
        usage: Some(usage(attempt.usage)),
        cost_nanos: attempt.cost.0,
        price_version: row.price_version,
        latency_us: attempt.latency_us,
    }
}

fn timestamp(ms: i64) -> Timestamp {
    let nanos = i32::try_from(ms.rem_euclid(1_000) * 1_000_000).unwrap_or(0);
    Timestamp { seconds: ms.div_euclid(1_000), nanos }
}
