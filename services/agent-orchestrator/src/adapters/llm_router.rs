//! Models, by way of the llm-router.
use async_trait::async_trait;
use copydesk_proto::llm_router::v1 as pb;
use copydesk_proto::llm_router::v1::llm_service_client::LlmServiceClient;
use copydesk_rpc::{Channel, ServiceError};
use std::time::Duration;
use tonic::Status;

use super::convert;
use crate::domain::direction::{Direction, Rule};
use crate::ports::{Brief, LanguageModel, ModelCall, ModelReply, Place, Task};

const PEER: &str = "llm-router";
/// A stream that ended without its last event may be asked for again after this long.
const BROKEN_STREAM_WAIT: Duration = Duration::from_millis(200);

/// The router as a model.
#[derive(Clone)]
pub struct RoutedModel {
    client: LlmServiceClient<Channel>,
}

impl RoutedModel {
    /// Over a channel to the router.
    pub fn new(channel: Channel) -> Self {
        Self { client: LlmServiceClient::new(channel) }
    }
}

#[async_trait]
impl LanguageModel for RoutedModel {
    async fn generate(&self, place: &Place, call: &ModelCall) -> Result<ModelReply, ServiceError> {
        let mut client = self.client.clone();
        let answer = client.generate(request(place, call)).await.map_err(peer)?.into_inner();
        Ok(reply(answer.text, answer.structured.map(convert::to_json), answer.completion.unwrap_or_default()))
    }

    async fn stream(
        &self,
        place: &Place,
        call: &ModelCall,
        heard: &(dyn for<'t> Fn(&'t str) + Send + Sync),
    ) -> Result<ModelReply, ServiceError> {
        use pb::stream_generate_response::Event;
        let mut client = self.client.clone();
        let request = pb::StreamGenerateRequest { request: Some(request(place, call)) };
        let mut events = client.stream_generate(request).await.map_err(peer)?.into_inner();
        let (mut text, mut done) = (String::new(), None);
        while let Some(event) = events.message().await.map_err(peer)? {
            match event.event {
                Some(Event::Delta(delta)) => {
                    heard(&delta.text);
                    text.push_str(&delta.text);
                }
                Some(Event::Done(completion)) => done = Some(completion),
                // Thoughts, tools and restarts are not asked for.
                Some(Event::Reasoning(_) | Event::ToolCall(_) | Event::Restarted(_)) | None => {}
            }
        }
        // An end without the closing event is a cut, never a finished text.
        let done = done.ok_or_else(|| {
            ServiceError::unavailable("STREAM_BROKEN", "the answer broke off", BROKEN_STREAM_WAIT)
        })?;
        Ok(reply(text, None, done))
    }
}

fn peer(status: Status) -> ServiceError {
    ServiceError::from_peer(status, PEER)
}

fn reply(text: String, structured: Option<serde_json::Value>, completion: pb::Completion) -> ModelReply {
    ModelReply {
        text,
        structured,
        refused: completion.stop_reason == pb::StopReason::Refusal as i32,
        model: completion.model,
        cost_nanos: completion.cost_nanos,
        usage: convert::usage_of(completion.usage),
        degraded: completion.degraded.then_some(completion.degraded_reason),
    }
}

fn request(place: &Place, call: &ModelCall) -> pb::GenerateRequest {
    let message = |m: &crate::ports::Message| pb::Message {
        role: if m.system { pb::Role::System } else { pb::Role::User }.into(),
        text: m.text.clone(),
        parts: Vec::new(),
    };
    pb::GenerateRequest {
        request_id: place.request_id.clone(),
        attribution: Some(pb::Attribution {
            run_id: place.step.map(|(run_id, _)| run_id.to_string()).unwrap_or_default(),
            step: place.step.map(|(_, step)| step.to_string()).unwrap_or_default(),
            agent: call.agent.to_owned(),
            agent_version: call.agent_version.to_owned(),
        }),
        task: task(call.task).into(),
        messages: call.messages.iter().map(message).collect(),
        evidence: call.evidence.iter().map(convert::passage).collect(),
        brief: call.brief.as_ref().map(brief),
        response_schema: call.schema.as_ref().map(convert::to_struct),
        temperature: Some(call.temperature),
        max_output_tokens: Some(call.max_output_tokens),
        ..pb::GenerateRequest::default()
    }
}

fn task(task: Task) -> pb::Task {
    match task {
        Task::Research => pb::Task::Research,
        Task::Strategy => pb::Task::Strategy,
        Task::Draft => pb::Task::Draft,
        Task::Review => pb::Task::Review,
        Task::Revise => pb::Task::Revise,
        Task::Finish => pb::Task::Finish,
        Task::Judge => pb::Task::Judge,
    }
}

fn brief(brief: &Brief) -> pb::Brief {
    pb::Brief {
        topic: brief.topic.clone(),
        content_type: convert::content_type(brief.content_type).into(),
        audience: brief.audience.clone(),
        voice: brief.voice.clone(),
        tone: brief.tone.clone(),
        style: brief.style.clone(),
        language: brief.language.clone(),
        brand: brief.brand.clone(),
        draft: brief.draft.clone(),
        angle: brief.angle.clone(),
        directions: brief.directions.iter().map(direction).collect(),
    }
}

fn direction(direction: &Direction) -> pb::Direction {
    let rule = match direction.rule {
        None => pb::DirectionRule::Unspecified,
        Some(Rule::MaxWords) => pb::DirectionRule::MaxWords,
        Some(Rule::MaxSentenceWords) => pb::DirectionRule::MaxSentenceWords,
        Some(Rule::AvoidPhrase) => pb::DirectionRule::AvoidPhrase,
        Some(Rule::PreferPhrase) => pb::DirectionRule::PreferPhrase,
        Some(Rule::OpenWithNumber) => pb::DirectionRule::OpenWithNumber,
        Some(Rule::OpenWithQuestion) => pb::DirectionRule::OpenWithQuestion,
        Some(Rule::MaxHashtags) => pb::DirectionRule::MaxHashtags,
    };
    pb::Direction {
        text: direction.text.clone(),
        rule: rule.into(),
        limit: direction.limit,
        phrase: direction.phrase.clone(),
    }
}
