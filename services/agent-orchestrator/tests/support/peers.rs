//! Scripted peers: the generated server traits of the router, retrieval and learning, told what to do by a [`Script`].
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use copydesk_proto::FILE_DESCRIPTOR_SET;
use copydesk_proto::learning::v1 as lr;
use copydesk_proto::llm_router::v1 as llm;
use copydesk_proto::retrieval::v1 as rt;
use copydesk_proto::types::v1::{Passage, Span, TokenUsage};
use copydesk_rpc::{ProducedStream, Service, produce};
use copydesk_types::KnowledgeBaseId;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use tokio::sync::Notify;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// Sentences of the only document; passages are cut from it.
pub const DOCUMENT: &str = "# Kettle Works\n\nThe new grinder holds 250 grams of beans. It was tested in 14 cafés over \
     six months.\n\nKettle Works repairs every grinder for ten years. Spare burrs ship within two days.";
pub const GRINDER: &str = "The new grinder holds 250 grams of beans.";
pub const REPAIRS: &str = "Kettle Works repairs every grinder for ten years.";
pub const BURRS: &str = "Spare burrs ship within two days.";

/// What the peers do, and what they saw.
pub struct Script {
    /// Scores of the reviews, one after the other; the last one is repeated.
    pub scores: Mutex<Vec<f64>>,
    /// Text by step; `draft.1`'s default is made of the document's sentences.
    pub texts: Mutex<HashMap<String, String>>,
    /// Failures by name of the call (a step, `search`, `metrics`, `lessons`, `outcome`), each used once, in order.
    pub failures: Mutex<HashMap<String, Vec<Status>>>,
    /// The step whose stream stops in the middle and never ends.
    pub stall: Mutex<Option<String>>,
    /// Raised when a stalled stream has begun.
    pub stalled: Notify,
    /// Raised when a stalled stream was dropped by its reader.
    pub dropped: Notify,
    /// What every model call costs.
    pub cost: AtomicI64,
    /// What the search finds.
    pub passages: Mutex<Vec<Passage>>,
    /// What was learned before.
    pub lessons: Mutex<Vec<lr::Lesson>>,
    /// The brand; `None`: there is none.
    pub brand: Mutex<Option<lr::Brand>>,
    /// Every model call, in order.
    pub calls: Mutex<Vec<llm::GenerateRequest>>,
    /// How often was searched.
    pub searches: AtomicUsize,
    /// The outcomes told.
    pub outcomes: Mutex<Vec<lr::Outcome>>,
    /// Raised with every outcome.
    pub told: Notify,
}

fn passage(id: u8, text: &str) -> Passage {
    let start = DOCUMENT.find(text).expect("a part of the document") as u64;
    Passage {
        passage_id: format!("psg_{id}"),
        document_id: "doc_1".into(),
        document_version: 3,
        title: "Kettle Works".into(),
        source_kind: 3,
        span: Some(Span { start, end: start + text.len() as u64 }),
        text: text.into(),
        score: 1.0 / f64::from(id),
    }
}

impl Default for Script {
    fn default() -> Self {
        let first =
            &DOCUMENT[DOCUMENT.find(GRINDER).expect("there")..DOCUMENT.find("\n\nKettle").expect("there")];
        let second = &DOCUMENT[DOCUMENT.find(REPAIRS).expect("there")..];
        let brand = lr::Brand {
            brand_id: super::brand_id(),
            name: "Kettle Works".into(),
            voice: "warm and plain".into(),
            audience: "café owners".into(),
            knowledge_base_ids: vec![KnowledgeBaseId::from_u128(5).to_string()],
            ..lr::Brand::default()
        };
        Self {
            scores: Mutex::new(vec![8.5]),
            texts: Mutex::default(),
            failures: Mutex::default(),
            stall: Mutex::default(),
            stalled: Notify::new(),
            dropped: Notify::new(),
            cost: AtomicI64::new(0),
            passages: Mutex::new(vec![passage(1, first), passage(2, second)]),
            lessons: Mutex::default(),
            brand: Mutex::new(Some(brand)),
            calls: Mutex::default(),
            searches: AtomicUsize::new(0),
            outcomes: Mutex::default(),
            told: Notify::new(),
        }
    }
}

impl Script {
    pub fn fail(&self, call: &str, failures: impl IntoIterator<Item = Status>) {
        self.failures.lock().expect("lock").insert(call.into(), failures.into_iter().collect());
    }

    pub fn write(&self, step: &str, text: &str) {
        self.texts.lock().expect("lock").insert(step.into(), text.into());
    }

    pub fn score(&self, scores: &[f64]) {
        *self.scores.lock().expect("lock") = scores.to_vec();
    }

    pub fn stall_at(&self, step: Option<&str>) {
        *self.stall.lock().expect("lock") = step.map(str::to_owned);
    }

    /// The model calls of a step.
    pub fn calls_of(&self, step: &str) -> Vec<llm::GenerateRequest> {
        let calls = self.calls.lock().expect("lock");
        calls.iter().filter(|c| step_of(c) == step).cloned().collect()
    }

    fn next_failure(&self, call: &str) -> Result<(), Status> {
        let mut failures = self.failures.lock().expect("lock");
        match failures.get_mut(call).filter(|list| !list.is_empty()) {
            Some(list) => Err(list.remove(0)),
            None => Ok(()),
        }
    }

    fn text_for(&self, step: &str) -> String {
        let texts = self.texts.lock().expect("lock");
        let usual = || format!("{GRINDER}\n\n{REPAIRS} {BURRS}\n\nHow do you grind?");
        texts.get(step).cloned().unwrap_or_else(usual)
    }

    fn completion(&self) -> llm::Completion {
        llm::Completion {
            model: "fake/scripted".into(),
            provider: "fake".into(),
            stop_reason: llm::StopReason::End.into(),
            usage: Some(TokenUsage { input_tokens: 100, output_tokens: 20, ..TokenUsage::default() }),
            cost_nanos: self.cost.load(Ordering::SeqCst),
            ..llm::Completion::default()
        }
    }
}

fn step_of(request: &llm::GenerateRequest) -> &str {
    request.attribution.as_ref().map_or("", |a| a.step.as_str())
}

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

pub struct Router(Arc<Script>);

impl Router {
    fn structured(&self, request: &llm::GenerateRequest) -> Struct {
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
        Ok(Response::new(llm::GenerateResponse { text: String::new(), structured, completion }))
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
        let answer = script.text_for(&step);
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
}

/// Stands for the provider's socket: dropped when nobody wants the answer any more.
struct Guard(Arc<Script>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.dropped.notify_one();
    }
}

pub struct Search(Arc<Script>);

#[tonic::async_trait]
impl rt::search_service_server::SearchService for Search {
    async fn search(
        &self,
        request: Request<rt::SearchRequest>,
    ) -> Result<Response<rt::SearchResponse>, Status> {
        self.0.searches.fetch_add(1, Ordering::SeqCst);
        self.0.next_failure("search")?;
        // There are no past posts in this library.
        let only_posts = !request.into_inner().source_kinds.is_empty();
        let passages = if only_posts { Vec::new() } else { self.0.passages.lock().expect("lock").clone() };
        let hit = |p| rt::SearchHit { passage: Some(p), ..rt::SearchHit::default() };
        let hits = passages.into_iter().map(hit).collect();
        Ok(Response::new(rt::SearchResponse {
            hits,
            mode: rt::SearchMode::Lexical.into(),
            ..Default::default()
        }))
    }

    async fn get_passage(
        &self,
        _: Request<rt::GetPassageRequest>,
    ) -> Result<Response<rt::GetPassageResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }
}

pub struct Brands(Arc<Script>);

#[tonic::async_trait]
impl lr::brand_service_server::BrandService for Brands {
    async fn create_brand(
        &self,
        _: Request<lr::CreateBrandRequest>,
    ) -> Result<Response<lr::CreateBrandResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn get_brand(
        &self,
        _: Request<lr::GetBrandRequest>,
    ) -> Result<Response<lr::GetBrandResponse>, Status> {
        self.0.next_failure("brand")?;
        let brand = self.0.brand.lock().expect("lock").clone();
        let brand = brand.ok_or_else(|| Status::not_found("no such brand"))?;
        Ok(Response::new(lr::GetBrandResponse { brand: Some(brand) }))
    }

    async fn list_brands(
        &self,
        _: Request<lr::ListBrandsRequest>,
    ) -> Result<Response<lr::ListBrandsResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn update_brand(
        &self,
        _: Request<lr::UpdateBrandRequest>,
    ) -> Result<Response<lr::UpdateBrandResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn get_brand_metrics(
        &self,
        _: Request<lr::GetBrandMetricsRequest>,
    ) -> Result<Response<lr::GetBrandMetricsResponse>, Status> {
        self.0.next_failure("metrics")?;
        let metrics = lr::BrandMetrics { texts: 4, sentence_words_mean: 9.5, ..lr::BrandMetrics::default() };
        Ok(Response::new(lr::GetBrandMetricsResponse { metrics: Some(metrics) }))
    }
}

pub struct Lessons(Arc<Script>);

#[tonic::async_trait]
impl lr::lesson_service_server::LessonService for Lessons {
    async fn find_lessons(
        &self,
        _: Request<lr::FindLessonsRequest>,
    ) -> Result<Response<lr::FindLessonsResponse>, Status> {
        self.0.next_failure("lessons")?;
        let lessons = self.0.lessons.lock().expect("lock").clone();
        Ok(Response::new(lr::FindLessonsResponse { lessons }))
    }

    async fn list_lessons(
        &self,
        _: Request<lr::ListLessonsRequest>,
    ) -> Result<Response<lr::ListLessonsResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }
}

pub struct Outcomes(Arc<Script>);

#[tonic::async_trait]
impl lr::outcome_service_server::OutcomeService for Outcomes {
    async fn record_outcome(
        &self,
        request: Request<lr::RecordOutcomeRequest>,
    ) -> Result<Response<lr::RecordOutcomeResponse>, Status> {
        self.0.next_failure("outcome")?;
        let outcome = request.into_inner().outcome.unwrap_or_default();
        self.0.outcomes.lock().expect("lock").push(outcome);
        self.0.told.notify_one();
        Ok(Response::new(lr::RecordOutcomeResponse { recorded: true }))
    }

    async fn get_outcome(
        &self,
        _: Request<lr::GetOutcomeRequest>,
    ) -> Result<Response<lr::GetOutcomeResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }
}

pub fn llm_router(script: &Arc<Script>) -> Service {
    let server = llm::llm_service_server::LlmServiceServer::new(Router(script.clone()));
    Service::new(
        "llm-router",
        Routes::new(server),
        vec!["copydesk.llm_router.v1.LlmService"],
        FILE_DESCRIPTOR_SET,
    )
}

pub fn retrieval(script: &Arc<Script>) -> Service {
    let server = rt::search_service_server::SearchServiceServer::new(Search(script.clone()));
    Service::new(
        "retrieval",
        Routes::new(server),
        vec!["copydesk.retrieval.v1.SearchService"],
        FILE_DESCRIPTOR_SET,
    )
}

pub fn learning(script: &Arc<Script>) -> Service {
    let routes = Routes::new(lr::brand_service_server::BrandServiceServer::new(Brands(script.clone())))
        .add_service(lr::lesson_service_server::LessonServiceServer::new(Lessons(script.clone())))
        .add_service(lr::outcome_service_server::OutcomeServiceServer::new(Outcomes(script.clone())));
    Service::new("learning", routes, Vec::new(), FILE_DESCRIPTOR_SET)
}
