//! `LessonService` on the wire.

use copydesk_proto::learning::v1 as pb;
use copydesk_proto::learning::v1::lesson_service_server::LessonService;
use copydesk_rpc::{Caller, Violations};
use copydesk_types::BrandId;
use tonic::{Request, Response, Status};

use super::{Door, fields, next_token, page, refused, timestamp};
use crate::app::FindLessons;
use crate::domain::lesson::{Lesson, Rule};
use crate::domain::outcome::ContentType;

const LONGEST_TOPIC: usize = 2_000;
const DEFAULT_LIMIT: u32 = 5;
const MOST: u32 = 20;

#[tonic::async_trait]
impl LessonService for Door {
    async fn find_lessons(
        &self,
        request: Request<pb::FindLessonsRequest>,
    ) -> Result<Response<pb::FindLessonsResponse>, Status> {
        let tenant = Caller::of(&request)?.tenant;
        let request = request.into_inner();
        let mut violations = Violations::new();
        let brand = violations.parse::<BrandId>("brand_id", &request.brand_id);
        let content_type = fields::content_type("content_type", request.content_type, &mut violations);
        violations.check(request.content_type != 0, "content_type", "must be set");
        let topic = fields::text("topic", request.topic, 0, LONGEST_TOPIC, &mut violations);
        violations.check(request.limit <= MOST, "limit", format!("must be 0 to {MOST}"));
        let limit = if request.limit == 0 { DEFAULT_LIMIT } else { request.limit };
        let (brand, content_type) = fields::all_read(brand.zip(content_type), violations)?;
        let wanted = FindLessons { brand, content_type, topic, limit };
        let found = self.app.find_lessons(tenant, &wanted).await.map_err(refused)?;
        let lessons = found.into_iter().map(|found| lesson_out(found.lesson, found.score)).collect();
        Ok(Response::new(pb::FindLessonsResponse { lessons }))
    }

    async fn list_lessons(
        &self,
        request: Request<pb::ListLessonsRequest>,
    ) -> Result<Response<pb::ListLessonsResponse>, Status> {
        let tenant = Caller::of(&request)?.tenant;
        let pb::ListLessonsRequest { brand_id, page_size, page_token } = request.into_inner();
        let mut violations = Violations::new();
        let brand = violations.parse::<BrandId>("brand_id", &brand_id);
        let list = format!("ListLessons {brand_id}");
        let page = page(tenant, &list, page_size, &page_token, &mut violations);
        let brand = fields::all_read(brand, violations)?;
        let listed = self.app.list_lessons(tenant, brand, page).await.map_err(refused)?;
        let next_page_token = next_token(tenant, &list, &listed);
        let lessons = listed.items.into_iter().map(|lesson| lesson_out(lesson, 0.0)).collect();
        Ok(Response::new(pb::ListLessonsResponse { lessons, next_page_token }))
    }
}

pub(super) fn lesson_out(lesson: Lesson, score: f64) -> pb::Lesson {
    let (rule, limit, phrase) = lesson.asks.rule.as_ref().map_or((0, 0, ""), Rule::parts);
    pb::Lesson {
        lesson_id: lesson.id.to_string(),
        brand_id: lesson.brand.to_string(),
        content_type: lesson.content_type.map_or(0, ContentType::code),
        origin: lesson.origin.code(),
        rule,
        limit,
        phrase: phrase.to_owned(),
        support: lesson.support,
        contra: lesson.contra,
        run_ids: lesson.sources.iter().map(|source| source.run.to_string()).collect(),
        create_time: Some(timestamp(lesson.created_ms)),
        score,
        text: lesson.asks.text,
    }
}
