//! `OutcomeService` on the wire.

use copydesk_proto::learning::v1 as pb;
use copydesk_proto::learning::v1::outcome_service_server::OutcomeService;
use copydesk_rpc::{Caller, Violations};
use copydesk_types::{BrandId, LessonId, NanoDollars, RunId};
use prost_types::Timestamp;
use tonic::{Request, Response, Status};

use super::{Door, fields, refused, timestamp};
use crate::domain::outcome::{ContentType, Outcome, OutcomeState};

const LONGEST_NAME: usize = 200;
const LONGEST_TOPIC: usize = 4_000;
const LONGEST_TEXT: usize = 500_000;
const MOST_LESSONS: usize = 100;
/// The years that a timestamp may name: 1 to 9999.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

#[tonic::async_trait]
impl OutcomeService for Door {
    async fn record_outcome(
        &self,
        request: Request<pb::RecordOutcomeRequest>,
    ) -> Result<Response<pb::RecordOutcomeResponse>, Status> {
        let caller = Caller::of(&request)?;
        let mut violations = Violations::new();
        let told = request.into_inner().outcome;
        violations.check(told.is_some(), "outcome", "must be set");
        let outcome = told.and_then(|told| outcome_in(told, &mut violations));
        let outcome = fields::all_read(outcome, violations)?;
        let recorded = self.app.record_outcome(caller.tenant, &outcome).await.map_err(refused)?;
        Ok(Response::new(pb::RecordOutcomeResponse { recorded }))
    }

    async fn get_outcome(
        &self,
        request: Request<pb::GetOutcomeRequest>,
    ) -> Result<Response<pb::GetOutcomeResponse>, Status> {
        let caller = Caller::of(&request)?;
        let mut violations = Violations::new();
        let run = violations.parse::<RunId>("run_id", &request.get_ref().run_id);
        let run = fields::all_read(run, violations)?;
        let outcome = self.app.get_outcome(caller.tenant, run).await.map_err(refused)?;
        Ok(Response::new(pb::GetOutcomeResponse { outcome: Some(outcome_out(outcome)) }))
    }
}

fn outcome_in(told: pb::Outcome, violations: &mut Violations) -> Option<Outcome> {
    let run = violations.parse::<RunId>("outcome.run_id", &told.run_id);
    let brand = violations.parse::<BrandId>("outcome.brand_id", &told.brand_id);
    let state = OutcomeState::from_code(told.state);
    violations.check(state.is_some(), "outcome.state", "must be one of SUCCEEDED, FAILED, CANCELLED");
    violations.check((0.0..=10.0).contains(&told.score), "outcome.score", "must be 0 to 10");
    violations.check((0.0..=1.0).contains(&told.confidence), "outcome.confidence", "must be 0 to 1");
    violations.check(told.cost_nanos >= 0, "outcome.cost_nanos", "must not be negative");
    let duration_ms = i64::try_from(told.duration_ms);
    violations.check(duration_ms.is_ok(), "outcome.duration_ms", "must be below 2^63");
    let mut text = |field: &str, value, most| fields::text(field, value, 0, most, violations);
    let workflow = text("outcome.workflow", told.workflow, LONGEST_NAME);
    let definition_version = text("outcome.definition_version", told.definition_version, LONGEST_NAME);
    let topic = text("outcome.topic", told.topic, LONGEST_TOPIC);
    let body = text("outcome.text", told.text, LONGEST_TEXT);
    let content_type = fields::content_type("outcome.content_type", told.content_type, violations);
    let lessons = lessons(&told.lesson_ids, violations);
    let finished_ms = milliseconds(told.finish_time);
    violations.check(
        finished_ms.is_some(),
        "outcome.finish_time",
        "must be set to a time of the years 1 to 9999",
    );
    Some(Outcome {
        run: run?,
        brand: brand?,
        state: state?,
        workflow,
        definition_version,
        topic,
        content_type,
        text: body,
        score: told.score,
        confidence: told.confidence,
        corrections: told.corrections,
        unsupported: told.unsupported,
        claims: told.claims,
        cost: NanoDollars(told.cost_nanos),
        duration_ms: duration_ms.ok()?,
        degraded: told.degraded,
        lessons,
        finished_ms: finished_ms?,
    })
}

fn lessons(ids: &[String], violations: &mut Violations) -> Vec<LessonId> {
    let field = "outcome.lesson_ids";
    violations.check(ids.len() <= MOST_LESSONS, field, format!("must name at most {MOST_LESSONS} lessons"));
    let mut lessons = Vec::new();
    for (at, id) in ids.iter().take(MOST_LESSONS).enumerate() {
        lessons.extend(violations.parse::<LessonId>(&format!("{field}[{at}]"), id));
    }
    lessons
}

fn milliseconds(time: Option<Timestamp>) -> Option<i64> {
    let time = time.filter(|t| SECONDS.contains(&t.seconds) && (0..1_000_000_000).contains(&t.nanos))?;
    Some(time.seconds * 1_000 + i64::from(time.nanos / 1_000_000))
}

fn outcome_out(outcome: Outcome) -> pb::Outcome {
    pb::Outcome {
        run_id: outcome.run.to_string(),
        brand_id: outcome.brand.to_string(),
        state: outcome.state.code(),
        workflow: outcome.workflow,
        definition_version: outcome.definition_version,
        topic: outcome.topic,
        content_type: outcome.content_type.map_or(0, ContentType::code),
        text: outcome.text,
        score: outcome.score,
        confidence: outcome.confidence,
        corrections: outcome.corrections,
        unsupported: outcome.unsupported,
        claims: outcome.claims,
        cost_nanos: outcome.cost.0,
        duration_ms: u64::try_from(outcome.duration_ms).unwrap_or_default(),
        degraded: outcome.degraded,
        lesson_ids: outcome.lessons.iter().map(ToString::to_string).collect(),
        finish_time: Some(timestamp(outcome.finished_ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_milliseconds_within_four_digit_years() {
        let time = |seconds, nanos| milliseconds(Some(Timestamp { seconds, nanos }));
        assert_eq!(time(1, 2_999_999), Some(1_002));
        assert_eq!(time(i64::MAX, 0), None);
        assert_eq!(time(0, -1), None);
        assert_eq!(milliseconds(None), None);
    }
}
