//! Every fault of a provider: what the caller sees, how often the provider is called, and what is billed. Each stands
//! alone first, with the usual three rounds, and then before a second model that is well.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

use std::collections::BTreeMap;

use crate::support::mesh::{
    Mesh, ask, completion, generate, only, openai, outcomes, reason, streamed_to, tenant,
};
use crate::support::server::{Act, Server, finish, json, stream};
use copydesk_llm_router::{Config, RetryConfig};
use copydesk_proto::llm_router::v1 as pb;
use tonic::Code;

const OK: &str = include_str!("golden/openai_stream.txt");
const EMPTY: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5}}\n\ndata: [DONE]\n\n";

/// What the record of a call that failed says was used.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Billed {
    Nothing,
    /// The prompt, estimated.
    Prompt,
    /// The prompt and what came of the answer, estimated.
    Part,
    /// Ten tokens in and five out, as the provider counted.
    Counted,
}
use Billed::{Counted, Nothing, Part, Prompt};

struct Fault {
    name: &'static str,
    /// `None`: nobody listens.
    script: Option<Vec<Act>>,
    outcome: &'static str,
    /// How often it is called when it stands alone.
    calls: usize,
    code: Code,
    reason: &'static str,
    billed: Billed,
    /// All limits of time, in seconds.
    patience: f64,
}

impl Fault {
    /// One that passes by itself, so that it is tried three times.
    fn passing(name: &'static str, script: Vec<Act>, outcome: &'static str, billed: Billed) -> Self {
        let (code, reason) = (Code::Unavailable, "ALL_MODELS_FAILED");
        Self { name, script: Some(script), outcome, calls: 3, code, reason, billed, patience: 60.0 }
    }

    /// One that is tried once.
    fn lasting(name: &'static str, script: Vec<Act>, outcome: &'static str, billed: Billed) -> Self {
        Self { calls: 1, ..Self::passing(name, script, outcome, billed) }
    }

    /// One that only the operator can mend.
    fn misconfigured(name: &'static str, script: Vec<Act>, outcome: &'static str) -> Self {
        Self { code: Code::FailedPrecondition, ..Self::lasting(name, script, outcome, Nothing) }
    }

    /// One of the request itself.
    fn refused(name: &'static str, script: Vec<Act>) -> Self {
        Self { reason: "REFUSED_INPUT", ..Self::misconfigured(name, script, "REFUSED_INPUT") }
    }

    /// One after the first token.
    fn late(name: &'static str, script: Vec<Act>) -> Self {
        Self { reason: "STREAM_BROKEN", ..Self::lasting(name, script, "STREAM_BROKEN", Part) }
    }

    fn hasty(self) -> Self {
        Self { patience: 0.3, ..self }
    }
}

/// The faults that look alike to whole answers and to streams.
fn common() -> Vec<Fault> {
    let status = |status: &str, headers: &str| json(status, headers, "{}");
    let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<html></html>";
    vec![
        Fault::passing("429", status("429 Too Many Requests", ""), "RATE_LIMITED", Nothing),
        Fault::passing(
            "429, soon",
            status("429 Too Many Requests", "retry-after: 0.002\r\n"),
            "RATE_LIMITED",
            Nothing,
        ),
        Fault::lasting(
            "429, late",
            status("429 Too Many Requests", "retry-after: 60\r\n"),
            "RATE_LIMITED",
            Nothing,
        ),
        Fault::passing("500", status("500 Oops", ""), "PROVIDER_ERROR", Nothing),
        Fault::passing("503", status("503 Busy", ""), "PROVIDER_ERROR", Nothing),
        Fault::misconfigured("401", status("401 Unauthorized", ""), "AUTH"),
        Fault::misconfigured("404", status("404 Not Found", ""), "NOT_FOUND"),
        Fault::refused("400", status("400 Bad Request", "")),
        Fault::refused("413", status("413 Payload Too Large", "")),
        Fault::passing("redirect", status("302 Found", "location: /\r\n"), "PROVIDER_ERROR", Nothing),
        Fault { script: None, ..Fault::passing("nobody listens", Vec::new(), "UNREACHABLE", Nothing) },
        Fault::passing("reset before a reply", vec![Act::Reset], "UNREACHABLE", Nothing),
        Fault::lasting("silence", vec![Act::WaitForClient], "TIMEOUT", Prompt).hasty(),
        Fault::lasting("another type", vec![Act::Send(page.into())], "BAD_REPLY", Nothing),
    ]
}

fn of_whole_answers() -> Vec<Fault> {
    let head = |length: usize| format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{{").into_bytes();
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    vec![
        Fault::passing("reset", vec![Act::Send(head(500)), Act::Reset], "STREAM_BROKEN", Prompt),
        Fault::passing("cut", vec![Act::Send(head(500)), Act::Close], "STREAM_BROKEN", Prompt),
        Fault::lasting("stall", vec![Act::Send(head(500)), Act::WaitForClient], "TIMEOUT", Prompt).hasty(),
        Fault::lasting(
            "endless drip",
            vec![Act::Send(chunked), Act::Drip(b"1\r\n \r\n".into())],
            "TIMEOUT",
            Prompt,
        )
        .hasty(),
        Fault::lasting("no JSON", json("200 OK", "", "{\"choices\": ["), "BAD_REPLY", Nothing),
        Fault::lasting(
            "too long",
            json("200 OK", "", &completion(&"x".repeat(17 << 20))),
            "BAD_REPLY",
            Nothing,
        ),
        Fault::lasting("empty", json("200 OK", "", &completion("")), "BAD_REPLY", Counted),
    ]
}

fn of_streams() -> Vec<Fault> {
    let first = |event: &str| stream(&format!("data: {event}\n\n"), 99, finish());
    let half = &OK[..OK.find("data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{},").unwrap()];
    let after = |event: &str| stream(&format!("{half}{event}"), 50, finish());
    let drip = |body: &str| vec![Act::Drip(format!("{:x}\r\n{body}\r\n", body.len()).into_bytes())];
    vec![
        Fault::passing("reset first", stream("", 9, vec![Act::Reset]), "STREAM_BROKEN", Prompt),
        Fault::passing("end first", stream("", 9, finish()), "STREAM_BROKEN", Prompt),
        Fault::passing(
            "error first",
            first("{\"error\":{\"type\":\"server_error\"}}"),
            "PROVIDER_ERROR",
            Nothing,
        ),
        Fault::passing("limit first", first("{\"error\":{\"code\":429}}"), "RATE_LIMITED", Nothing),
        Fault::lasting("nonsense first", first("{"), "BAD_REPLY", Nothing),
        Fault::lasting("stall first", stream("", 9, vec![Act::WaitForClient]), "TIMEOUT", Prompt).hasty(),
        Fault::lasting("only keep-alives", stream("", 9, drip(": ping\n\n")), "TIMEOUT", Prompt).hasty(),
        Fault::lasting("empty", stream(EMPTY, 99, finish()), "BAD_REPLY", Counted),
        Fault::late("reset", stream(half, 50, vec![Act::Reset])),
        Fault::late("early end", stream(half, 50, finish())),
        Fault::late("early [DONE]", after("data: [DONE]\n\n")),
        Fault::late("error event", after("data: {\"error\":{\"type\":\"server_error\"}}\n\n")),
        Fault::late("nonsense", after("data: {\n\n")),
        Fault::late("stall", stream(half, 50, vec![Act::WaitForClient])).hasty(),
        Fault::late("stall with keep-alives", stream(half, 50, drip(": ping\n\n"))).hasty(),
    ]
}

/// A router with two providers for each fault, so that no state of one row touches another.
struct Bench {
    mesh: Mesh,
    alone: Vec<Option<Server>>,
    first: Vec<Option<Server>>,
    good: Server,
}

impl Bench {
    async fn start(faults: &[Fault], good: Vec<Act>) -> Self {
        let (mut providers, mut chains) = (Vec::new(), BTreeMap::new());
        let good = Server::start(vec![good]).await;
        let (mut alone, mut first) = (Vec::new(), Vec::new());
        for (n, fault) in faults.iter().enumerate() {
            for (kind, servers) in [("alone", &mut alone), ("first", &mut first)] {
                let server = match &fault.script {
                    Some(script) => Some(Server::start(vec![script.clone()]).await),
                    None => None,
                };
                let nobody = Server::nobody().await;
                let url = server.as_ref().map_or(&nobody, |server| &server.url);
                let name = format!("{kind}-{n}");
                let mut provider = openai(&name, url);
                provider.timeout_s = fault.patience;
                provider.first_token_timeout_s = fault.patience;
                provider.idle_timeout_s = fault.patience;
                providers.push(provider);
                let mut chain = vec![format!("{name}/m")];
                if kind == "first" {
                    chain.push("good/m".to_owned());
                }
                chains.insert(name, chain);
                servers.push(server);
            }
        }
        providers.push(openai("good", &good.url));
        let retry = RetryConfig { base_ms: 1, ..RetryConfig::default() };
        let mesh = Mesh::local(Config { retry, chains, ..only(providers) }).await;
        Self { mesh, alone, first, good }
    }

    /// Asks by a chain; the text, the answer's completion or the status, and what the ledger says of the faulty model.
    async fn ask(&self, n: usize, kind: &str, streams: bool) -> Seen {
        let of = (n as u128) * 2 + u128::from(kind == "first") + 1;
        let chain = format!("{kind}-{n}");
        let routing = Some(pb::Routing { chain: chain.clone(), ..pb::Routing::default() });
        let request = pb::GenerateRequest { routing, ..ask("How cold is it in the vans?") };
        let (text, end) = if streams {
            streamed_to(&self.mesh, of, request).await
        } else {
            match generate(&self.mesh, of, request).await {
                Ok(answer) => (answer.text, Ok(answer.completion.unwrap())),
                Err(status) => (String::new(), Err(status)),
            }
        };
        let mut rows = self.mesh.ledger(tenant(of)).await.records;
        rows.retain(|row| row.model == format!("{chain}/m"));
        Seen { text, end, rows }
    }
}

struct Seen {
    text: String,
    end: Result<pb::Completion, tonic::Status>,
    rows: Vec<pb::UsageRecord>,
}

impl Seen {
    fn check_rows(&self, name: &str, fault: &Fault, calls: usize) {
        assert_eq!(self.rows.len(), calls, "{name}: a record for each call");
        for row in &self.rows {
            let used = row.usage.unwrap();
            let billed = match (used.input_tokens, used.output_tokens, used.estimated) {
                (0, 0, false) => Nothing,
                (10, 5, false) => Counted,
                (1.., 0, true) => Prompt,
                (1.., 1.., true) => Part,
                other => panic!("{name}: {other:?}"),
            };
            assert_eq!((row.outcome.as_str(), billed), (fault.outcome, fault.billed), "{name}");
            let tokens = i64::try_from(used.input_tokens + used.output_tokens).unwrap();
            assert_eq!(row.cost_nanos, tokens * 1_000, "{name}");
        }
    }
}

fn calls(server: Option<&Server>) -> usize {
    server.map_or(0, |server| server.seen().len())
}

async fn run(faults: Vec<Fault>, good: Vec<Act>, streams: bool) {
    let bench = Bench::start(&faults, good).await;
    let mut good_calls = 0;
    for (n, fault) in faults.iter().enumerate() {
        let name = format!("{}, {}", if streams { "stream" } else { "whole" }, fault.name);
        let late = fault.reason == "STREAM_BROKEN";
        let partial = if late { "Vans – cold." } else { "" };

        let seen = bench.ask(n, "alone", streams).await;
        let status = seen.end.as_ref().expect_err(&name);
        assert_eq!((status.code(), reason(status).as_str()), (fault.code, fault.reason), "{name}");
        assert_eq!(seen.text, partial, "{name}");
        seen.check_rows(&name, fault, fault.calls);
        let expected = if fault.script.is_some() { fault.calls } else { 0 };
        assert_eq!(calls(bench.alone[n].as_ref()), expected, "{name}");

        let seen = bench.ask(n, "first", streams).await;
        let name = format!("{name}, with a second model");
        seen.check_rows(&name, fault, 1);
        assert_eq!(calls(bench.first[n].as_ref()), usize::from(fault.script.is_some()), "{name}");
        if late || fault.reason == "REFUSED_INPUT" {
            assert_eq!(reason(seen.end.as_ref().expect_err(&name)), fault.reason, "{name}");
            assert_eq!(seen.text, partial, "{name}: no splice");
        } else {
            let done = seen.end.unwrap_or_else(|status| panic!("{name}: {status}"));
            let first = format!("first-{n}/m");
            assert_eq!(outcomes(&done), [(first.as_str(), fault.outcome), ("good/m", "ok")], "{name}");
            assert_eq!((seen.text.as_str(), done.degraded), ("Vans – cold.", true), "{name}");
            good_calls += 1;
        }
        assert_eq!(bench.good.seen().len(), good_calls, "{name}");
    }
}

#[tokio::test]
async fn whole_answers() {
    let faults = common().into_iter().chain(of_whole_answers()).collect();
    run(faults, json("200 OK", "", &completion("Vans – cold.")), false).await;
}

#[tokio::test]
async fn streams() {
    let faults = common().into_iter().chain(of_streams()).collect();
    run(faults, stream(OK, 20, finish()), true).await;
}
