//! The archive, by way of learning.
use async_trait::async_trait;
use copydesk_proto::learning::v1 as pb;
use copydesk_proto::learning::v1::brand_service_client::BrandServiceClient;
use copydesk_proto::learning::v1::lesson_service_client::LessonServiceClient;
use copydesk_proto::learning::v1::outcome_service_client::OutcomeServiceClient;
use copydesk_rpc::{Channel, Kind, ServiceError};
use copydesk_types::BrandId;
use tonic::Status;

use super::convert;
use crate::domain::direction::{Direction, Lesson, Rule};
use crate::domain::outcome::Outcome;
use crate::domain::run::RunState;
use crate::domain::spec::Brand;
use crate::ports::{Archive, FiguresQuery, LessonQuery};

const BRAND: &str = "copydesk.learning.v1.Brand";

/// Learning as an archive.
#[derive(Clone)]
pub struct Learning {
    brands: BrandServiceClient<Channel>,
    lessons: LessonServiceClient<Channel>,
    outcomes: OutcomeServiceClient<Channel>,
}

impl Learning {
    /// Over a channel to learning.
    pub fn new(channel: Channel) -> Self {
        Self {
            brands: BrandServiceClient::new(channel.clone()),
            lessons: LessonServiceClient::new(channel.clone()),
            outcomes: OutcomeServiceClient::new(channel),
        }
    }
}

#[async_trait]
impl Archive for Learning {
    async fn brand(&self, brand_id: BrandId) -> Result<Brand, ServiceError> {
        let request = pb::GetBrandRequest { brand_id: brand_id.to_string() };
        let answer = self.brands.clone().get_brand(request).await.map_err(peer);
        let answer = answer.map_err(|error| match error.kind() {
            Kind::NotFound => ServiceError::not_found(BRAND, brand_id.to_string()),
            _ => error,
        })?;
        let brand = answer.into_inner().brand;
        let brand = brand.ok_or_else(|| ServiceError::not_found(BRAND, brand_id.to_string()))?;
        Ok(Brand {
            name: brand.name,
            voice: brand.voice,
            audience: brand.audience,
            language: brand.language,
            knowledge_base_ids: brand.knowledge_base_ids.iter().filter_map(|id| id.parse().ok()).collect(),
        })
    }

    async fn figures(&self, query: &FiguresQuery) -> Result<Option<String>, ServiceError> {
        let request = pb::GetBrandMetricsRequest {
            brand_id: query.brand_id.to_string(),
            content_type: convert::content_type(query.content_type).into(),
        };
        let answer = self.brands.clone().get_brand_metrics(request).await.map_err(peer)?.into_inner();
        Ok(answer.metrics.map(|metrics| line(&metrics)))
    }

    async fn lessons(&self, query: &LessonQuery) -> Result<Vec<Lesson>, ServiceError> {
        let request = pb::FindLessonsRequest {
            brand_id: query.brand_id.to_string(),
            content_type: convert::content_type(query.content_type).into(),
            topic: query.topic.clone(),
            limit: 0,
        };
        let answer = self.lessons.clone().find_lessons(request).await.map_err(peer)?.into_inner();
        Ok(answer.lessons.into_iter().map(lesson).collect())
    }

    async fn record(&self, outcome: &Outcome) -> Result<(), ServiceError> {
        let request = pb::RecordOutcomeRequest { outcome: Some(message(outcome)) };
        self.outcomes.clone().record_outcome(request).await.map_err(peer).map(|_| ())
    }
}

fn peer(status: Status) -> ServiceError {
    ServiceError::from_peer(status, "learning")
}

/// The figures a writer can use, as one line.
fn line(metrics: &pb::BrandMetrics) -> String {
    let mut line = format!(
        "measured on {} texts: {:.0} words a text, {:.1} words a sentence (standard deviation {:.1}), reading ease {:.0}, \
         {:.0} % of sentences are questions, {:.1} hashtags a text",
        metrics.texts,
        metrics.text_words_mean,
        metrics.sentence_words_mean,
        metrics.sentence_words_sd,
        metrics.flesch_reading_ease,
        metrics.question_share * 100.0,
        metrics.hashtags_mean
    );
    let phrases: Vec<&str> = metrics.signature_phrases.iter().take(5).map(|p| p.phrase.as_str()).collect();
    if !phrases.is_empty() {
        line.push_str(&format!(", favourite phrases: {}", phrases.join("; ")));
    }
    line
}

fn lesson(lesson: pb::Lesson) -> Lesson {
    let rule = match lesson.rule() {
        pb::LessonRule::Unspecified => None,
        pb::LessonRule::MaxWords => Some(Rule::MaxWords),
        pb::LessonRule::MaxSentenceWords => Some(Rule::MaxSentenceWords),
        pb::LessonRule::AvoidPhrase => Some(Rule::AvoidPhrase),
        pb::LessonRule::PreferPhrase => Some(Rule::PreferPhrase),
        pb::LessonRule::OpenWithNumber => Some(Rule::OpenWithNumber),
        pb::LessonRule::OpenWithQuestion => Some(Rule::OpenWithQuestion),
        pb::LessonRule::MaxHashtags => Some(Rule::MaxHashtags),
    };
    Lesson {
        lesson_id: lesson.lesson_id,
        direction: Direction { text: lesson.text, rule, limit: lesson.limit, phrase: lesson.phrase },
    }
}

fn message(outcome: &Outcome) -> pb::Outcome {
    let state = match outcome.state {
        RunState::Succeeded => pb::OutcomeState::Succeeded,
        RunState::Failed => pb::OutcomeState::Failed,
        RunState::Cancelled => pb::OutcomeState::Cancelled,
        RunState::Queued | RunState::Running => pb::OutcomeState::Unspecified,
    };
    pb::Outcome {
        run_id: outcome.run_id.to_string(),
        brand_id: outcome.brand_id.to_string(),
        state: state.into(),
        workflow: outcome.workflow.clone(),
        definition_version: outcome.definition.clone(),
        topic: outcome.topic.clone(),
        content_type: convert::content_type(outcome.content_type).into(),
        text: outcome.text.clone(),
        score: outcome.score,
        confidence: outcome.confidence,
        corrections: outcome.corrections,
        unsupported: outcome.unsupported,
        claims: outcome.claims,
        cost_nanos: outcome.cost_nanos,
        duration_ms: outcome.duration_ms,
        degraded: outcome.degraded,
        lesson_ids: outcome.lesson_ids.clone(),
        finish_time: Some(convert::timestamp(outcome.finished_ms)),
    }
}
