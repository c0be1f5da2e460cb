//! With a key in the environment the same command writes with that model: the real binary against a scripted server
//! that speaks the wire format of an OpenAI-compatible provider over a real socket. The model invents a number and a
//! name; neither may leave.
// A test's helper may stop the test.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout)]
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::support::wire;
use serde_json::{Value, json};

const INVENTED: &str = "In a field study with 41 vans, graded alerts cut temperature alerts from 23 per shift to 3.4 per \
    shift. Drivers acknowledged 97 percent of graded alerts within five minutes. Gordon Freeman loves it.\n\nWhat about you?";

/// Answers every call; tells the test what was asked.
fn serve() -> (String, Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    let address = listener.local_addr().expect("address");
    let (asked, seen) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let asked = asked.clone();
            std::thread::spawn(move || answer(&stream, &asked));
        }
    });
    (format!("http://{address}/v1"), seen)
}

fn answer(stream: &TcpStream, asked: &Sender<(String, Value)>) -> Option<()> {
    let call = wire::asked(stream)?;
    let (media_type, reply) = reply(&call.body);
    let _ = asked.send((call.authorization, call.body));
    wire::answer(stream, media_type, &reply)
}

/// The media type and the body of an answer.
fn reply(call: &Value) -> (&'static str, String) {
    let usage = json!({ "prompt_tokens": 1000, "completion_tokens": 50 });
    if call["stream"] == json!(true) {
        let chunk = |choice: Value| format!("data: {}\n\n", json!({ "choices": [choice] }));
        let words =
            INVENTED.split_inclusive(' ').map(|w| chunk(json!({ "index": 0, "delta": { "content": w } })));
        let end = chunk(json!({ "index": 0, "delta": {}, "finish_reason": "stop" }));
        let counted = format!("data: {}\n\ndata: [DONE]\n\n", json!({ "choices": [], "usage": usage }));
        return ("text/event-stream", words.chain([end, counted]).collect());
    }
    let text = match call.pointer("/response_format/json_schema/schema") {
        Some(schema) => fill(schema).to_string(),
        None => INVENTED.to_owned(),
    };
    let choice =
        json!({ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" });
    ("application/json", json!({ "choices": [choice], "usage": usage }).to_string())
}

/// The smallest value that a schema of ours accepts.
fn fill(schema: &Value) -> Value {
    match schema["type"].as_str() {
        Some("object") => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            fields.map(|(name, schema)| (name.clone(), fill(schema))).collect()
        }
        Some("array") => {
            let count = schema["minItems"].as_u64().unwrap_or(1).max(1);
            (0..count).map(|_| fill(&schema["items"])).collect()
        }
        Some("number") => json!(8),
        Some("integer") => json!(0),
        _ => json!("temperature alerts"),
    }
}

#[test]
fn a_configured_model_writes_and_the_guard_keeps_its_inventions_in() {
    let (base_url, asked) = serve();
    let output = Command::new(env!("CARGO_BIN_EXE_copydesk"))
        .args(["demo", "--json"])
        .env_remove("ANTHROPIC_API_KEY")
        .env_remove("GROQ_API_KEY")
        .env_remove("CEREBRAS_API_KEY")
        .env_remove("DEEPSEEK_API_KEY")
        .env_remove("GEMINI_API_KEY")
        .env_remove("GOOGLE_API_KEY")
        .env("OPENAI_API_KEY", "sk-scripted")
        .env("OPENAI_BASE_URL", base_url)
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let story: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    let post = &story["post"];
    assert_eq!(post["degraded"], json!(false), "{post}");
    assert_eq!(post["models"], json!(["openai/gpt-4o-mini"]));
    assert!(post["cost_nanos"].as_i64().is_some_and(|nanos| nanos > 0));
    let text = post["text"].as_str().expect("text");
    assert!(text.contains("88 percent of graded alerts"), "the document's number stands: {text}");
    for invented in ["97", "Gordon", "Freeman"] {
        assert!(!text.contains(invented), "{invented} in {text}");
    }
    assert_eq!(post["safety"]["is_safe"], json!(true));
    assert_eq!(post["safety"]["corrections"].as_array().map(Vec::len), Some(2));

    let calls: Vec<(String, Value)> = asked.try_iter().collect();
    assert!(calls.len() >= 15, "three runs of five agents, {} calls", calls.len());
    assert!(calls.iter().all(|(key, _)| key.ends_with("Bearer sk-scripted")));
    let prompt = |call: &Value| call["messages"].to_string();
    let lesson = story["feedback"]["lessons"][0]["text"].as_str().expect("a lesson");
    let directed = calls.iter().filter(|(_, call)| prompt(call).contains(lesson)).count();
    assert!(directed > 0, "the lesson reaches the second run's prompts");
    assert!(
        !said.contains("sk-scripted") && !String::from_utf8_lossy(&output.stdout).contains("sk-scripted")
    );
}
