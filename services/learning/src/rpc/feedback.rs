//! `FeedbackService` on the wire.

use copydesk_proto::learning::v1 as pb;
use copydesk_proto::learning::v1::feedback_service_server::FeedbackService;
use copydesk_rpc::{Caller, Violations};
use copydesk_types::RunId;
use tonic::{Request, Response, Status};

use super::lesson::lesson_out;
use super::{Door, fields, next_token, page, refused, timestamp};
use crate::app::RecordFeedback;
use crate::domain::feedback::{Feedback, FeedbackKind, Verdict};
use crate::ports::FeedbackFilter;

const LONGEST_COMMENT: usize = 4_000;
const LONGEST_TEXT: usize = 100_000;

#[tonic::async_trait]
impl FeedbackService for Door {
    async fn record_feedback(
        &self,
        request: Request<pb::RecordFeedbackRequest>,
    ) -> Result<Response<pb::RecordFeedbackResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let mut violations = Violations::new();
        let request_id = fields::request_id(request.request_id.clone(), &mut violations);
        let run = violations.parse::<RunId>("run_id", &request.run_id);
        let verdict = verdict(request, &mut violations);
        let (run, verdict) = fields::all_read(run.zip(verdict), violations)?;
        let record = RecordFeedback { request_id, run, verdict, principal: caller.principal };
        let (feedback, lessons) = self.app.record_feedback(caller.tenant, record).await.map_err(refused)?;
        Ok(Response::new(pb::RecordFeedbackResponse {
            feedback: Some(feedback_out(feedback)),
            lessons: lessons.into_iter().map(|lesson| lesson_out(lesson, 0.0)).collect(),
        }))
    }

    async fn list_feedback(
        &self,
        request: Request<pb::ListFeedbackRequest>,
    ) -> Result<Response<pb::ListFeedbackResponse>, Status> {
        let tenant = Caller::of(&request)?.tenant;
        let request = request.into_inner();
        let mut violations = Violations::new();
        let wanted = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let filter = FeedbackFilter {
            brand: wanted(&request.brand_id).and_then(|id| violations.parse("brand_id", &id)),
            run: wanted(&request.run_id).and_then(|id| violations.parse("run_id", &id)),
        };
        let list = format!("ListFeedback {} {}", request.brand_id, request.run_id);
        let page = page(tenant, &list, request.page_size, &request.page_token, &mut violations);
        violations.finish()?;
        let listed = self.app.list_feedback(tenant, &filter, page).await.map_err(refused)?;
        let next_page_token = next_token(tenant, &list, &listed);
        let feedback = listed.items.into_iter().map(feedback_out).collect();
        Ok(Response::new(pb::ListFeedbackResponse { feedback, next_page_token }))
    }
}

/// The verdict with the field rules of its kind; `None` when the kind is not known.
fn verdict(request: pb::RecordFeedbackRequest, violations: &mut Violations) -> Option<Verdict> {
    let kind = FeedbackKind::from_code(request.kind);
    violations.check(kind.is_some(), "kind", "must be one of APPROVE, EDIT, REJECT, REGENERATE, RATE");
    let rating = request.rating;
    match kind {
        Some(FeedbackKind::Rate) => {
            violations.check((1..=5).contains(&rating), "rating", "must be 1 to 5 for RATE")
        }
        Some(_) => violations.check(rating == 0, "rating", "must be 0 unless the kind is RATE"),
        None => violations.check(rating <= 5, "rating", "must be 0 to 5"),
    }
    let least = usize::from(kind == Some(FeedbackKind::Reject));
    let comment = fields::text("comment", request.comment, least, LONGEST_COMMENT, violations);
    let edited_text = match kind {
        Some(FeedbackKind::Edit) => {
            fields::text("edited_text", request.edited_text, 1, LONGEST_TEXT, violations)
        }
        Some(_) => {
            violations.check(
                request.edited_text.is_empty(),
                "edited_text",
                "must be empty unless the kind is EDIT",
            );
            String::new()
        }
        None => fields::text("edited_text", request.edited_text, 0, LONGEST_TEXT, violations),
    };
    kind.map(|kind| Verdict { kind, rating, comment, edited_text })
}

fn feedback_out(feedback: Feedback) -> pb::Feedback {
    let Verdict { kind, rating, comment, edited_text } = feedback.verdict;
    pb::Feedback {
        feedback_id: feedback.id.to_string(),
        run_id: feedback.run.to_string(),
        brand_id: feedback.brand.to_string(),
        kind: kind.code(),
        rating,
        comment,
        edited_text,
        principal: feedback.principal,
        create_time: Some(timestamp(feedback.created_ms)),
    }
}
