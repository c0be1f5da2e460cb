//! A call, read and checked.
use std::sync::Arc;

use copydesk_proto::llm_router::v1 as pb;
use copydesk_rpc::{ServiceError, Violations};
use copydesk_types::RunId;
use prost::Message as _;
use serde_json::{Map, Value};

use super::analyses::analyses;
use super::brief::{brief, evidence};
use super::routing::routing;
use super::turns::{tools, turns};
use super::{Faults, MAX_SCHEMA_BYTES, MAX_WORD, json};
use crate::app::Catalog;
use crate::domain::{Attribution, Order, Prompt, Schema, Turn};

const MAX_OUTPUT_TOKENS: u32 = 131_072;
const DEFAULT_OUTPUT_TOKENS: u32 = 2_048;
const MAX_REQUEST_ID: usize = 128;
const MAX_STOPS: usize = 4;
const MAX_STOP: usize = 64;
/// Fields of a provider's request that are the router's to set.
const RESERVED: [&str; 10] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "num_predict",
    "contents",
    "system",
];

/// Parses a call. `prefix` is where it stands in its request, for example `request.`.
pub fn order(
    request: pb::GenerateRequest,
    prefix: &str,
    schema_allowed: bool,
    catalog: &Catalog,
) -> Result<Order, ServiceError> {
    let mut faults = Faults { violations: Violations::new(), prefix };
    // Only a repeat of an id asks for it.
    let fingerprint = if request.request_id.is_empty() { String::new() } else { fingerprint(&request) };
    let words = words(&request);
    faults.word("request_id", &request.request_id, MAX_REQUEST_ID);
    let attribution = attribution(request.attribution.unwrap_or_default(), &mut faults);
    let task = pb::Task::try_from(request.task).unwrap_or_else(|_| {
        faults.push("task", "is not a known task");
        pb::Task::Unspecified
    });
    let model = Some(request.model).filter(|model| !model.is_empty());
    if let Some(model) = model.as_deref().filter(|model| !catalog.has(model)) {
        let known: Vec<&str> = catalog.targets().iter().map(|t| &*t.name).collect();
        let shown: String = model.chars().take(MAX_WORD).collect();
        faults.push("model", format!("{shown:?} is not configured; there are {}", known.join(", ")));
    }
    let routing = routing(request.routing.unwrap_or_default(), catalog, &mut faults);
    let mut turns = turns(request.messages, &mut faults);
    let several = request.analyses.len();
    let combined = analyses(request.analyses, &mut faults);
    if let Some(combined) = &combined {
        turns.push(Turn::text(pb::Role::User, combined.instruction.clone()));
    }
    let (tools, tool_choice) = tools(request.tools, request.tool_choice, &mut faults);
    let prompt = Prompt {
        task,
        agent: attribution.agent.clone(),
        turns,
        evidence: evidence(request.evidence, &mut faults),
        brief: brief(request.brief.unwrap_or_default(), &mut faults),
        schema: request.response_schema.and_then(|schema| self::schema(schema, schema_allowed, &mut faults)),
        temperature: request.temperature,
        max_output_tokens: request.max_output_tokens.unwrap_or(DEFAULT_OUTPUT_TOKENS),
        top_p: request.top_p,
        stop: stop(request.stop, &mut faults),
        tools,
        tool_choice,
        analyses: combined.as_ref().map(|combined| combined.names.clone()).unwrap_or_default(),
        extra: extra(request.extra, &mut faults),
    };
    faults.check(prompt.top_p.is_none_or(|p| p > 0.0 && p <= 1.0), "top_p", "must be above 0 and at most 1");
    let one_form = prompt.schema.is_none() || prompt.tools.is_empty();
    faults.check(one_form, "response_schema", "is not taken together with tools");
    let heat = prompt.temperature.is_none_or(|t| (0.0..=2.0).contains(&t));
    faults.check(heat, "temperature", "must be 0 to 2");
    let tokens = (1..=MAX_OUTPUT_TOKENS).contains(&prompt.max_output_tokens);
    faults.check(tokens, "max_output_tokens", "must be 1 to 131,072");
    let alone = several == 0 || (prompt.schema.is_none() && prompt.tools.is_empty());
    faults.check(alone, "analyses", "are not taken together with response_schema or tools");
    faults.check(several == 0 || schema_allowed, "analyses", "are not taken by a stream");
    faults.violations.finish()?;
    let prompt = Prompt { schema: combined.map(|combined| combined.schema).or(prompt.schema), ..prompt };
    let request_id = Some(request.request_id).filter(|id| !id.is_empty());
    Ok(Order { request_id, fingerprint, words, attribution, model, routing, prompt: Arc::new(prompt) })
}

/// What "the same body" means: every field but the id. Maps are sorted in our encoding, so it is stable.
fn fingerprint(request: &pb::GenerateRequest) -> String {
    let anonymous = pb::GenerateRequest { request_id: String::new(), ..request.clone() };
    blake3::hash(&anonymous.encode_to_vec()).to_hex().to_string()
}

/// The hash of a call that may be answered by what was answered before: at temperature 0, unless it does not want that.
fn words(request: &pb::GenerateRequest) -> Option<String> {
    let bypass = request.routing.as_ref().is_some_and(|routing| routing.cache() == pb::CacheMode::Bypass);
    if request.temperature != Some(0.0) || bypass {
        return None;
    }
    let words = pb::GenerateRequest { request_id: String::new(), attribution: None, ..request.clone() };
    Some(blake3::hash(&words.encode_to_vec()).to_hex().to_string())
}

pub(super) fn attribution(whose: pb::Attribution, faults: &mut Faults<'_>) -> Attribution {
    let run = match whose.run_id.as_str() {
        "" => None,
        text => text.parse::<RunId>().map_err(|e| faults.push("attribution.run_id", e.to_string())).ok(),
    };
    faults.word("attribution.step", &whose.step, MAX_WORD);
    faults.word("attribution.agent", &whose.agent, MAX_WORD);
    faults.word("attribution.agent_version", &whose.agent_version, MAX_WORD);
    Attribution { run, step: whose.step, agent: whose.agent, agent_version: whose.agent_version }
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

fn stop(texts: Vec<String>, faults: &mut Faults<'_>) -> Vec<String> {
    faults.check(texts.len() <= MAX_STOPS, "stop", "must hold at most 4 texts");
    for (i, text) in texts.iter().enumerate() {
        let good = (1..=MAX_STOP).contains(&text.chars().count());
        faults.check(good, &format!("stop[{i}]"), "must have 1 to 64 characters");
        faults.storable(&format!("stop[{i}]"), text);
    }
    texts
}

fn extra(extra: Option<prost_types::Struct>, faults: &mut Faults<'_>) -> Map<String, Value> {
    let Some(extra) = extra else { return Map::new() };
    faults.check(extra.encoded_len() <= MAX_SCHEMA_BYTES, "extra", "must have at most 64 KiB");
    for name in RESERVED.iter().filter(|name| extra.fields.contains_key(**name)) {
        faults.push(&format!("extra.{name}"), "is the router's to set");
    }
    match json::from_struct(extra) {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
