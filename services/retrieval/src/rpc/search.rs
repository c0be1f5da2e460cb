//! `SearchService`.

mod answer;
mod explanation;
mod question;

use copydesk_proto::retrieval::v1 as pb;
use copydesk_proto::retrieval::v1::search_service_server::SearchService;
use copydesk_rpc::{Caller, Violations};
use tonic::{Request, Response, Status};

use super::{Door, convert};

/// Searches that one batch may hold.
const BATCH: usize = 64;

#[tonic::async_trait]
impl SearchService for Door {
    async fn search(
        &self,
        request: Request<pb::SearchRequest>,
    ) -> Result<Response<pb::SearchResponse>, Status> {
        let caller = Caller::of(&request)?;
        let mut violations = Violations::new();
        let query = question::query(request.into_inner(), "", &mut violations);
        violations.finish()?;
        let found = self.desk.search(caller.tenant, query).await?;
        Ok(Response::new(answer::response(found)))
    }

    async fn batch_search(
        &self,
        request: Request<pb::BatchSearchRequest>,
    ) -> Result<Response<pb::BatchSearchResponse>, Status> {
        let caller = Caller::of(&request)?;
        let searches = request.into_inner().searches;
        let mut violations = Violations::new();
        let count = searches.len();
        violations.check(
            (1..=BATCH).contains(&count),
            "searches",
            format!("must be 1 to {BATCH}, are {count}"),
        );
        let mut queries = Vec::with_capacity(count.min(BATCH));
        for (at, search) in searches.into_iter().take(BATCH).enumerate() {
            queries.push(question::query(search, &format!("searches[{at}]."), &mut violations));
        }
        violations.finish()?;
        let results = self.desk.search_batch(caller.tenant, queries).await?;
        let results = results.into_iter().map(answer::result).collect();
        Ok(Response::new(pb::BatchSearchResponse { results }))
    }

    async fn explain_search(
        &self,
        request: Request<pb::ExplainSearchRequest>,
    ) -> Result<Response<pb::ExplainSearchResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let mut violations = Violations::new();
        violations.check(request.search.is_some(), "search", "is required");
        let query = request.search.map(|search| question::query(search, "search.", &mut violations));
        let id = violations.parse("passage_id", &request.passage_id);
        let (query, id) = super::read(query.zip(id), violations)?;
        let explanation = self.desk.explain(caller.tenant, query, id).await?;
        Ok(Response::new(explanation::response(explanation)))
    }

    async fn get_passage(
        &self,
        request: Request<pb::GetPassageRequest>,
    ) -> Result<Response<pb::GetPassageResponse>, Status> {
        let caller = Caller::of(&request)?;
        let mut violations = Violations::new();
        let id = violations.parse("passage_id", &request.into_inner().passage_id);
        let id = super::read(id, violations)?;
        let passage = self.desk.passage(caller.tenant, id).await?;
        Ok(Response::new(pb::GetPassageResponse { passage: Some(convert::passage(passage, 0.0)) }))
    }
}
