//! Learning: one brand, scripted lessons, and an ear for outcomes.
use std::sync::Arc;

use copydesk_proto::learning::v1 as lr;
use tonic::{Request, Response, Status};

use super::Script;

pub struct Brands(pub Arc<Script>);

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

pub struct Lessons(pub Arc<Script>);

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

pub struct Outcomes(pub Arc<Script>);

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
