//! Calls as a stranger makes them: tonic's own transport, an API key in the metadata, nothing else.
use bytes::{Buf, BufMut, Bytes};
use copydesk_proto::agent_orchestrator::v1::guard_service_client::GuardServiceClient;
use copydesk_proto::agent_orchestrator::v1::rule_pack_service_client::RulePackServiceClient;
use copydesk_proto::agent_orchestrator::v1::run_service_client::RunServiceClient;
use copydesk_proto::gateway::v1::key_service_client::KeyServiceClient;
use copydesk_proto::gateway::v1::tenant_service_client::TenantServiceClient;
use copydesk_proto::learning::v1::brand_service_client::BrandServiceClient;
use copydesk_proto::learning::v1::feedback_service_client::FeedbackServiceClient;
use copydesk_proto::learning::v1::lesson_service_client::LessonServiceClient;
use copydesk_proto::learning::v1::outcome_service_client::OutcomeServiceClient;
use copydesk_proto::llm_router::v1::llm_service_client::LlmServiceClient;
use copydesk_proto::llm_router::v1::routing_service_client::RoutingServiceClient;
use copydesk_proto::llm_router::v1::usage_service_client::UsageServiceClient;
use copydesk_proto::retrieval::v1::ingestion_service_client::IngestionServiceClient;
use copydesk_proto::retrieval::v1::knowledge_service_client::KnowledgeServiceClient;
use copydesk_proto::retrieval::v1::search_service_client::SearchServiceClient;
use copydesk_proto::retrieval::v1::snapshot_service_client::SnapshotServiceClient;
use http::uri::PathAndQuery;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

/// The largest answer taken: a whole document and its fields.
const LARGEST: usize = 20 << 20;

/// A channel whose calls carry a key.
pub type Keyed = InterceptedService<Channel, Credential>;

/// What goes into `authorization`; nothing when there is none.
#[derive(Clone, Default)]
pub struct Credential(Option<MetadataValue<Ascii>>);

impl Interceptor for Credential {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// A way in.
#[derive(Clone)]
pub struct Client {
    channel: Channel,
    credential: Credential,
}

impl Client {
    /// A client of the gateway (or a single service) at `host:port`. It connects at its first call.
    ///
    /// # Errors
    /// When the address is none, or the key cannot stand in metadata.
    pub fn new(address: &str, key: Option<&str>) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(format!("http://{address}"))?.connect_lazy();
        Self { channel, credential: Credential::default() }.with_key(key)
    }

    /// The same way in with another key, or with none.
    ///
    /// # Errors
    /// When the key cannot stand in metadata.
    pub fn with_key(&self, key: Option<&str>) -> anyhow::Result<Self> {
        let value = key.map(|key| format!("Bearer {}", key.trim()).parse()).transpose()?;
        Ok(Self { channel: self.channel.clone(), credential: Credential(value) })
    }

    fn keyed(&self) -> Keyed {
        InterceptedService::new(self.channel.clone(), self.credential.clone())
    }

    /// The channel without a credential, for services that need none.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Snapshots of knowledge bases.
    pub fn snapshots(&self) -> SnapshotServiceClient<Keyed> {
        SnapshotServiceClient::new(self.keyed())
    }

    /// Checks of texts.
    pub fn guard(&self) -> GuardServiceClient<Keyed> {
        GuardServiceClient::new(self.keyed())
    }

    /// Rule packs.
    pub fn rule_packs(&self) -> RulePackServiceClient<Keyed> {
        RulePackServiceClient::new(self.keyed())
    }

    /// Runs.
    pub fn runs(&self) -> RunServiceClient<Keyed> {
        RunServiceClient::new(self.keyed())
    }

    /// Brands.
    pub fn brands(&self) -> BrandServiceClient<Keyed> {
        BrandServiceClient::new(self.keyed())
    }

    /// Feedback.
    pub fn feedback(&self) -> FeedbackServiceClient<Keyed> {
        FeedbackServiceClient::new(self.keyed())
    }

    /// Lessons.
    pub fn lessons(&self) -> LessonServiceClient<Keyed> {
        LessonServiceClient::new(self.keyed())
    }

    /// Outcomes.
    pub fn outcomes(&self) -> OutcomeServiceClient<Keyed> {
        OutcomeServiceClient::new(self.keyed())
    }

    /// Calls to models.
    pub fn llm(&self) -> LlmServiceClient<Keyed> {
        LlmServiceClient::new(self.keyed())
    }

    /// Which models there are.
    pub fn routing(&self) -> RoutingServiceClient<Keyed> {
        RoutingServiceClient::new(self.keyed())
    }

    /// The ledger.
    pub fn usage(&self) -> UsageServiceClient<Keyed> {
        UsageServiceClient::new(self.keyed())
    }

    /// Knowledge bases and documents.
    pub fn knowledge(&self) -> KnowledgeServiceClient<Keyed> {
        KnowledgeServiceClient::new(self.keyed()).max_decoding_message_size(LARGEST)
    }

    /// Uploads.
    pub fn ingestion(&self) -> IngestionServiceClient<Keyed> {
        IngestionServiceClient::new(self.keyed())
    }

    /// Searches.
    pub fn search(&self) -> SearchServiceClient<Keyed> {
        SearchServiceClient::new(self.keyed())
    }

    /// API keys.
    pub fn keys(&self) -> KeyServiceClient<Keyed> {
        KeyServiceClient::new(self.keyed())
    }

    /// Tenants.
    pub fn tenants(&self) -> TenantServiceClient<Keyed> {
        TenantServiceClient::new(self.keyed())
    }

    /// Calls any method, named `package.Service/Method`, with encoded messages: all of them are sent, and every
    /// answer to the end of the stream is returned. Unary methods are streams of one.
    ///
    /// # Errors
    /// The status of a call that did not end with OK.
    pub async fn call(&self, method: &str, messages: Vec<Bytes>) -> Result<Vec<Bytes>, Status> {
        let path: PathAndQuery =
            format!("/{method}").parse().map_err(|_| Status::internal("the method's name is no path"))?;
        let mut grpc = tonic::client::Grpc::new(self.keyed()).max_decoding_message_size(LARGEST);
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let request = Request::new(Messages(messages.into_iter()));
        let mut answers = grpc.streaming(request, path, Opaque).await?.into_inner();
        let mut all = Vec::new();
        while let Some(answer) = answers.message().await? {
            all.push(answer);
        }
        Ok(all)
    }
}

/// What a status says: its code, its reason and its violated fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The gRPC code.
    pub code: Code,
    /// The stable word of `google.rpc.ErrorInfo`; empty when there is none.
    pub reason: String,
    /// The fields of `google.rpc.BadRequest`, in order.
    pub fields: Vec<String>,
}

impl Refusal {
    /// Reads a status.
    pub fn of(status: &Status) -> Self {
        let details = status.get_error_details();
        let fields = details.bad_request().into_iter().flat_map(|b| &b.field_violations);
        Self {
            code: status.code(),
            reason: details.error_info().map(|info| info.reason.clone()).unwrap_or_default(),
            fields: fields.map(|violation| violation.field.clone()).collect(),
        }
    }
}

/// Messages one after the other, ready at once.
struct Messages(std::vec::IntoIter<Bytes>);

impl futures_util::Stream for Messages {
    type Item = Bytes;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Bytes>> {
        std::task::Poll::Ready(self.0.next())
    }
}

/// Leaves messages as they are.
#[derive(Debug, Clone, Copy, Default)]
struct Opaque;

impl Codec for Opaque {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Opaque {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Opaque {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
