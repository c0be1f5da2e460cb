//! Scripted peers: the generated server traits of the router, retrieval and learning, told what to do by a [`Script`].
mod archive;
mod library;
mod router;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use copydesk_proto::FILE_DESCRIPTOR_SET;
use copydesk_proto::learning::v1 as lr;
use copydesk_proto::llm_router::v1 as llm;
use copydesk_proto::retrieval::v1 as rt;
use copydesk_proto::types::v1::{Passage, Span, TokenUsage};
use copydesk_rpc::Service;
use copydesk_types::KnowledgeBaseId;
use tokio::sync::Notify;
use tonic::Status;
use tonic::service::Routes;

use archive::{Brands, Lessons, Outcomes};
use library::{Search, Web};
use router::Router;

/// Sentences of the only document; passages are cut from it.
pub const DOCUMENT: &str = "# Kettle Works\n\nThe new grinder holds 250 grams of beans. It was tested in 14 cafés over \
     six months.\n\nKettle Works repairs every grinder for ten years. Spare burrs ship within two days.";
pub const GRINDER: &str = "The new grinder holds 250 grams of beans.";
pub const REPAIRS: &str = "Kettle Works repairs every grinder for ten years.";
pub const BURRS: &str = "Spare burrs ship within two days.";

/// What the judge says of one claim.
#[derive(Debug, Clone)]
pub struct Judged {
    /// `supported`, `contradicted` or `not_in_source`.
    pub verdict: &'static str,
    /// The words it goes by.
    pub quote: String,
}

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
    /// What the search finds, unless a request leaves its source kind out.
    pub passages: Mutex<Vec<Passage>>,
    /// A question that finds nothing.
    pub unanswered: Mutex<String>,
    /// What was learned before.
    pub lessons: Mutex<Vec<lr::Lesson>>,
    /// The brand; `None`: there is none.
    pub brand: Mutex<Option<lr::Brand>>,
    /// What the judge says of the claims of a call, in order.
    pub judged: Mutex<Vec<Judged>>,
    /// What the judge says of the first rule it is asked about, and the words it goes by.
    pub answer: Mutex<Option<(bool, String)>>,
    /// Whether the model obeys every order that it is shown, see [`Script::shown_order`].
    pub obey: AtomicBool,
    /// How often it did.
    pub obeyed: AtomicUsize,
    /// Every model call, in order.
    pub calls: Mutex<Vec<llm::GenerateRequest>>,
    /// What the web says; `None`: nobody is configured who searches it.
    pub web: Mutex<Option<Vec<rt::WebResult>>>,
    /// What the web was asked.
    pub web_queries: Mutex<Vec<String>>,
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
        source_uri: String::new(),
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
            unanswered: Mutex::default(),
            lessons: Mutex::default(),
            brand: Mutex::new(Some(brand)),
            judged: Mutex::default(),
            obey: AtomicBool::new(false),
            obeyed: AtomicUsize::new(0),
            answer: Mutex::default(),
            calls: Mutex::default(),
            web: Mutex::default(),
            web_queries: Mutex::default(),
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

    pub fn judge(&self, verdict: &'static str, quote: &str) {
        *self.judged.lock().expect("lock") = vec![Judged { verdict, quote: quote.into() }];
    }

    pub fn answer(&self, broken: bool, quote: &str) {
        *self.answer.lock().expect("lock") = Some((broken, quote.into()));
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

    /// The instructions of a call, when somebody obeys and anything in the call gives an order: a line with `OBEY:`.
    fn shown_order(&self, request: &llm::GenerateRequest) -> Option<String> {
        let all = request.messages.iter().map(|message| message.text.as_str());
        let all: String = all.chain(request.evidence.iter().map(|passage| passage.text.as_str())).collect();
        if !self.obey.load(Ordering::SeqCst) || !all.contains("OBEY:") {
            return None;
        }
        self.obeyed.fetch_add(1, Ordering::SeqCst);
        Some(request.messages.first().map(|message| message.text.clone()).unwrap_or_default())
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
    let web = rt::web_service_server::WebServiceServer::new(Web(script.clone()));
    Service::new(
        "retrieval",
        Routes::new(server).add_service(web),
        vec!["copydesk.retrieval.v1.SearchService", "copydesk.retrieval.v1.WebService"],
        FILE_DESCRIPTOR_SET,
    )
}

pub fn learning(script: &Arc<Script>) -> Service {
    let routes = Routes::new(lr::brand_service_server::BrandServiceServer::new(Brands(script.clone())))
        .add_service(lr::lesson_service_server::LessonServiceServer::new(Lessons(script.clone())))
        .add_service(lr::outcome_service_server::OutcomeServiceServer::new(Outcomes(script.clone())));
    Service::new("learning", routes, Vec::new(), FILE_DESCRIPTOR_SET)
}
