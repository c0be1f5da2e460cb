//! Random bytes into every decoder, random JSON into every reader: they may refuse it, never panic.
use std::sync::Arc;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::Value;

use super::http::Decode;
use super::{ProviderError, anthropic, cohere, gemini, jina, ollama, openai, tei};
use crate::domain::{Call, Prompt};

fn call() -> Call {
    let prompt = Arc::new(Prompt::default());
    Call { model: "m".into(), context_tokens: 0, max_output_tokens: 99, prompt, more: Vec::new() }
}

fn decoders() -> Vec<Box<dyn Decode>> {
    vec![
        Box::new(openai::Chunks::new(&call())),
        Box::new(anthropic::Events::new(false)),
        Box::new(anthropic::Events::new(true)),
        Box::new(ollama::Objects::new(&call())),
        Box::new(gemini::Chunks::new(&call())),
    ]
}

/// Feeds the parts as a connection would: until an error, then no more.
fn feed(parts: &[Vec<u8>]) {
    for mut decoder in decoders() {
        let mut pieces = Vec::new();
        if parts.iter().try_for_each(|part| decoder.decode(part, &mut pieces)).is_ok() {
            let _ = decoder.end(&mut pieces);
        }
    }
}

fn read_all(bytes: &[u8]) {
    let unit = |result: Result<(), ProviderError>| drop(result);
    unit(openai::read_reply(bytes, &call()).map(drop));
    unit(openai::read_vectors(bytes, 2).map(drop));
    unit(anthropic::read_reply(bytes, false).map(drop));
    unit(anthropic::read_reply(bytes, true).map(drop));
    unit(ollama::read_reply(bytes, &call()).map(drop));
    unit(ollama::read_vectors(bytes, 2).map(drop));
    unit(gemini::read_reply(bytes, &call()).map(drop));
    unit(gemini::read_vectors(bytes, 2).map(drop));
    unit(cohere::read_vectors(bytes, 2).map(drop));
    unit(cohere::read_ranking(bytes, 2, 1).map(drop));
    unit(jina::read_ranking(bytes, 2, 1).map(drop));
    unit(tei::read_vectors(bytes, 2).map(drop));
    unit(tei::read_ranking(bytes, 2, 1).map(drop));
}

/// Names that the readers look for, so that random objects reach into them.
const KEYS: [&str; 34] = [
    "choices",
    "message",
    "delta",
    "content",
    "tool_calls",
    "function",
    "arguments",
    "index",
    "id",
    "name",
    "finish_reason",
    "usage",
    "prompt_tokens",
    "error",
    "type",
    "content_block",
    "partial_json",
    "input",
    "stop_reason",
    "done",
    "done_reason",
    "thinking",
    "candidates",
    "parts",
    "functionCall",
    "args",
    "finishReason",
    "promptFeedback",
    "results",
    "relevance_score",
    "score",
    "data",
    "embedding",
    "embeddings",
];

const WORDS: [&str; 10] = [
    "",
    "stop",
    "STOP",
    "tool_use",
    "{",
    "{\"a\":1}",
    "content_block_start",
    "content_block_delta",
    "message_delta",
    "message_stop",
];

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u64..3).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(&WORDS[..]).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        let key = proptest::sample::select(&KEYS[..]).prop_map(str::to_owned);
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(key, inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn random_bytes_break_no_decoder(parts in vec(vec(any::<u8>(), 0..64), 0..8)) {
        feed(&parts);
        read_all(&parts.concat());
    }

    #[test]
    fn random_json_breaks_no_reader(value in json()) {
        read_all(value.to_string().as_bytes());
    }

    #[test]
    fn random_events_in_any_cut_break_no_decoder(values in vec(json(), 1..5), width in 1_usize..40) {
        let events: String = values.iter().map(|value| format!("data: {value}\r\n\r\n")).collect();
        let lines: String = values.iter().map(|value| format!("{value}\n")).collect();
        for text in [events, lines] {
            feed(&text.as_bytes().chunks(width).map(<[u8]>::to_vec).collect::<Vec<_>>());
        }
    }
}
