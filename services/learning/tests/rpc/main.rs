//! The archive as its callers see it: the full server stack, in process and over loopback.
#![allow(clippy::expect_used, reason = "a failed set-up must stop the test")]

mod brands;
mod figures;
mod instruments;
mod isolation;
mod lessons;
mod library;
mod outcomes;
mod verdicts;

use copydesk_learning::{Config, Peers};
use copydesk_proto::learning::v1 as pb;
use copydesk_proto::learning::v1::brand_service_client::BrandServiceClient;
use copydesk_proto::learning::v1::feedback_service_client::FeedbackServiceClient;
use copydesk_proto::learning::v1::lesson_service_client::LessonServiceClient;
use copydesk_proto::learning::v1::outcome_service_client::OutcomeServiceClient;
use copydesk_proto::types::v1::ContentType;
use copydesk_rpc::{Channel, ServiceContext, testing};
use copydesk_store::DatabaseConfig;
use copydesk_types::{RunId, Scopes, TenantId};
use prost_types::Timestamp;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt;

use library::Library;

const TENANT: TenantId = TenantId::from_u128(1);
const STRANGER: TenantId = TenantId::from_u128(2);

/// An archive of its own with its library behind it.
struct Archive {
    over: &'static str,
    channel: Channel,
    library: Library,
    _dir: tempfile::TempDir,
}

/// One archive in process, one over loopback.
async fn archives() -> Vec<Archive> {
    vec![archive(false, Config::default()).await, archive(true, Config::default()).await]
}

async fn archive(remote: bool, config: Config) -> Archive {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let context = testing::context(dir.path());
    archive_in(remote, config, context, dir).await
}

async fn archive_in(
    remote: bool,
    config: Config,
    context: ServiceContext,
    dir: tempfile::TempDir,
) -> Archive {
    let library = Library::default();
    let peers = Peers { retrieval: testing::local(library.clone().into_service()) };
    let database = DatabaseConfig::file(dir.path().join("learning.sqlite3"));
    let service =
        copydesk_learning::build(config, &database, context, peers).await.expect("the archive is built");
    let ready = service.ready.clone().expect("the archive says whether it is ready");
    assert_eq!(ready().await, Ok(()));
    let channel = if remote { testing::remote(service).await } else { testing::local(service) };
    Archive { over: if remote { "remote" } else { "local" }, channel, library, _dir: dir }
}

impl Archive {
    fn brands(&self) -> BrandServiceClient<Channel> {
        BrandServiceClient::new(self.channel.clone())
    }

    fn verdicts(&self) -> FeedbackServiceClient<Channel> {
        FeedbackServiceClient::new(self.channel.clone())
    }

    fn lessons(&self) -> LessonServiceClient<Channel> {
        LessonServiceClient::new(self.channel.clone())
    }

    fn outcomes(&self) -> OutcomeServiceClient<Channel> {
        OutcomeServiceClient::new(self.channel.clone())
    }

    /// A brand of the usual tenant.
    async fn brand(&self, request_id: &str, bases: &[&str]) -> pb::Brand {
        let brand = pb::Brand {
            name: "Chillwright".into(),
            knowledge_base_ids: bases.iter().map(|base| (*base).to_owned()).collect(),
            ..pb::Brand::default()
        };
        let request = pb::CreateBrandRequest { request_id: request_id.into(), brand: Some(brand) };
        let made = user(self.brands().create_brand(request)).await.expect("the brand is made");
        made.into_inner().brand.expect("with the brand")
    }

    /// Tells the end of a run with this text.
    async fn ended(&self, outcome: pb::Outcome) {
        let request = pb::RecordOutcomeRequest { outcome: Some(outcome) };
        let told = mesh(self.outcomes().record_outcome(request)).await.expect("the outcome is taken");
        assert!(told.into_inner().recorded);
    }

    async fn say(&self, request: pb::RecordFeedbackRequest) -> Result<pb::RecordFeedbackResponse, Status> {
        user(self.verdicts().record_feedback(request)).await.map(Response::into_inner)
    }
}

fn outcome(run: u128, brand: &pb::Brand, text: &str) -> pb::Outcome {
    pb::Outcome {
        run_id: RunId::from_u128(run).to_string(),
        brand_id: brand.brand_id.clone(),
        state: pb::OutcomeState::Succeeded.into(),
        workflow: "content".into(),
        definition_version: "content@1".into(),
        topic: "cold chain alerts".into(),
        content_type: ContentType::Social.into(),
        text: text.into(),
        score: 8.5,
        confidence: 0.9,
        claims: 3,
        cost_nanos: 1_500,
        duration_ms: 900,
        finish_time: Some(Timestamp { seconds: 1_700_000_000, nanos: 5_000_000 }),
        ..pb::Outcome::default()
    }
}

fn verdict(request_id: &str, run: u128, kind: pb::FeedbackKind, comment: &str) -> pb::RecordFeedbackRequest {
    pb::RecordFeedbackRequest {
        request_id: request_id.into(),
        run_id: RunId::from_u128(run).to_string(),
        kind: kind.into(),
        comment: comment.into(),
        ..pb::RecordFeedbackRequest::default()
    }
}

/// As a user of the usual tenant with every scope.
async fn user<F: Future>(call: F) -> F::Output {
    testing::as_caller(TENANT, Scopes::all(), call).await
}

/// As a user of another tenant with every scope.
async fn stranger<F: Future>(call: F) -> F::Output {
    testing::as_caller(STRANGER, Scopes::all(), call).await
}

/// As a service of the mesh that acts for a user of the usual tenant.
async fn mesh<F: Future>(call: F) -> F::Output {
    testing::as_service(TENANT, Scopes::all(), call).await
}

/// Code and reason of a refusal.
fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.expect_err("a refusal");
    let reason = status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default();
    (status.code(), reason)
}

/// The violated fields of a refusal, in alphabetical order.
fn violated<T: std::fmt::Debug>(answer: Result<T, Status>) -> Vec<String> {
    let status = answer.expect_err("a refusal");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_error_details();
    let fields = details.bad_request().map(|bad| bad.field_violations.iter().map(|f| f.field.clone()));
    let mut fields: Vec<String> = fields.into_iter().flatten().collect();
    fields.sort();
    fields
}
