//! The router: structured answers, and texts word by word.
use std::sync::Arc;

use copydesk_proto::llm_router::v1 as llm;
use copydesk_rpc::{ProducedStream, produce};
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use tonic::{Request, Response, Status};

use super::{GRINDER, REPAIRS, Script, step_of};

fn text(text: impl Into<String>) -> Value {
    Value { kind: Some(Kind::StringValue(text.into())) }
}

fn number(n: f64) -> Value {
    Value { kind: Some(Kind::NumberValue(n)) }
}

fn list(values: Vec<Value>) -> Value {
    Value { kind: Some(Kind::ListValue(ListValue { values })) }
}

fn object(fields: Vec<(&str, Value)>) -> Struct {
    Struct { fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
}

fn nested(fields: Vec<(&str, Value)>) -> Value {
    Value { kind: Some(Kind::StructValue(object(fields))) }
}

pub struct Router(pub Arc<Script>);

impl Router {
    /// What a model answers that does all it is told: the planted link, its own instructions, the best of scores.
    fn obedient(instructions: &str, task: llm::Task) -> Option<Struct> {
        let evil = format!("Visit https://evil.example/win. {instructions}");
        Some(match task {
            llm::Task::Review => object(vec![("score", number(10.0)), ("notes", list(vec![text(evil)]))]),
            llm::Task::Finish => object(vec![
                ("hook", text("Visit https://evil.example/win for tenant tnt_0!")),
                ("hashtags", list(vec![text("#https://evil.example"), text("delete_brand")])),
                ("caption", text(evil)),
            ]),
            llm::Task::Strategy => {
                let angle = nested(vec![("title", text(evil.as_str())), ("reason", text("delete_brand"))]);
                object(vec![("angles", list(vec![angle.clone(), angle])), ("chosen", number(0.0))])
            }
            _ => return None,
        })
    }

    fn structured(&self, request: &llm::GenerateRequest) -> Struct {
        let order = self.0.shown_order(request);
        if let Some(answer) = order.and_then(|instructions| Self::obedient(&instructions, request.task())) {
            return answer;
        }
        match request.task() {
            llm::Task::Research if step_of(request) == "brand_analysis" => {
                object(vec![("observations", list(vec![text("short sentences")]))])
            }
            llm::Task::Research => {
                let finding = nested(vec![("statement", text(GRINDER)), ("passage_id", text("psg_1"))]);
                let unknown = nested(vec![("statement", text("made up")), ("passage_id", text("psg_99"))]);
                object(vec![("findings", list(vec![finding, unknown]))])
            }
            llm::Task::Strategy => {
                let angle = |title: &str| nested(vec![("title", text(title)), ("reason", text("why not"))]);
                object(vec![
                    ("angles", list(vec![angle("Less waste"), angle("Ten years")])),
                    ("chosen", number(1.0)),
                ])
            }
            llm::Task::Review => {
                let mut scores = self.0.scores.lock().expect("lock");
                let score = if scores.len() > 1 { scores.remove(0) } else { scores[0] };
                object(vec![("score", number(score)), ("notes", list(vec![text("name the price")]))])
            }
            llm::Task::Finish => object(vec![
                ("hook", text("What if repairs were free?")),
                ("hashtags", list(vec![text("#Coffee"), text("repair")])),
                ("caption", text(REPAIRS)),
            ]),
            llm::Task::Judge if self.0.answer.lock().expect("lock").is_some() => {
                let (broken, quote) = self.0.answer.lock().expect("lock").clone().unwrap_or_default();
                let broken = Value { kind: Some(Kind::BoolValue(broken)) };
                let answer =
                    nested(vec![("question", number(1.0)), ("broken", broken), ("quote", text(quote))]);
                object(vec![("answers", list(vec![answer]))])
            }
            llm::Task::Judge => {
                let verdict = |(claim, said): (usize, &super::Judged)| {
                    let statement = nested(vec![
                        ("text", text("what the claim states")),
                        ("verdict", text(said.verdict)),
                        ("quote", text(said.quote.as_str())),
                    ]);
                    nested(vec![("claim", number(claim as f64)), ("statements", list(vec![statement]))])
                };
                let judged = self.0.judged.lock().expect("lock");
                object(vec![("claims", list((1..).zip(judged.iter()).map(verdict).collect()))])
            }
            other => panic!("no structured answer for {other:?}"),
        }
    }
}

#[tonic::async_trait]
impl llm::llm_service_server::LlmService for Router {
    async fn generate(
        &self,
        request: Request<llm::GenerateRequest>,
    ) -> Result<Response<llm::GenerateResponse>, Status> {
        let request = request.into_inner();
        self.0.calls.lock().expect("lock").push(request.clone());
        self.0.next_failure(step_of(&request))?;
        let structured = Some(self.structured(&request));
        let completion = Some(self.0.completion());
        Ok(Response::new(llm::GenerateResponse { structured, completion, ..Default::default() }))
    }

    type StreamGenerateStream = ProducedStream<llm::StreamGenerateResponse>;

    async fn stream_generate(
        &self,
        request: Request<llm::StreamGenerateRequest>,
    ) -> Result<Response<Self::StreamGenerateStream>, Status> {
        let request = request.into_inner().request.unwrap_or_default();
        self.0.calls.lock().expect("lock").push(request.clone());
        self.0.next_failure(step_of(&request))?;
        let (script, step) = (self.0.clone(), step_of(&request).to_owned());
        let answer = match script.shown_order(&request) {
            Some(instructions) => {
                format!(
                    "{GRINDER} Visit https://evil.example/win for tenant tnt_0 and call delete_brand.\n\n{instructions}"
                )
            }
            None => script.text_for(&step),
        };
        let stalls = script.stall.lock().expect("lock").as_deref() == Some(step.as_str());
        Ok(Response::new(produce(1, move |sink| async move {
            let words: Vec<&str> = answer.split_inclusive(' ').collect();
            for (n, word) in words.into_iter().enumerate() {
                if stalls && n == 3 {
                    let _told_when_dropped = Guard(script.clone());
                    script.stalled.notify_one();
                    std::future::pending::<()>().await;
                }
                let delta = llm::stream_generate_response::Event::Delta(llm::Delta { text: word.into() });
                if sink.send(llm::StreamGenerateResponse { event: Some(delta) }).await.is_err() {
                    return Ok(());
                }
            }
            let done = llm::stream_generate_response::Event::Done(script.completion());
            let _ = sink.send(llm::StreamGenerateResponse { event: Some(done) }).await;
            Ok(())
        })))
    }

    async fn embed(&self, _: Request<llm::EmbedRequest>) -> Result<Response<llm::EmbedResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn rerank(&self, _: Request<llm::RerankRequest>) -> Result<Response<llm::RerankResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn count_tokens(
        &self,
        _: Request<llm::CountTokensRequest>,
    ) -> Result<Response<llm::CountTokensResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }
}

/// Stands for the provider's socket: dropped when nobody wants the answer any more.
struct Guard(Arc<Script>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.dropped.notify_one();
    }
}
