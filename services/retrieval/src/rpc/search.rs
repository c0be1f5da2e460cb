//! `SearchService`.

use std::sync::Arc;

use copydesk_proto::retrieval::v1 as pb;
use copydesk_proto::retrieval::v1::search_service_server::SearchService;
use copydesk_rpc::{Caller, ServiceError, Violations};
use tonic::{Request, Response, Status};

use super::{Door, convert, filter};
use crate::app::{Found, Query};
use crate::domain::lens::Lens;
use crate::domain::source::{ContentType, SourceKinds};

#[tonic::async_trait]
impl SearchService for Door {
    async fn search(
        &self,
        request: Request<pb::SearchRequest>,
    ) -> Result<Response<pb::SearchResponse>, Status> {
        let caller = Caller::of(&request)?;
        let query = query(request.into_inner())?;
        let found = self.desk.search(caller.tenant, query).await?;
        Ok(Response::new(response(found)))
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

fn query(request: pb::SearchRequest) -> Result<Query, ServiceError> {
    let mut violations = Violations::new();
    let count = request.knowledge_base_ids.len();
    violations.check(
        (1..=16).contains(&count),
        "knowledge_base_ids",
        format!("must be 1 to 16, are {count}"),
    );
    // Longer lists are refused already: their ids are not worth a fault each.
    let ids = request.knowledge_base_ids.iter().take(16).enumerate();
    let knowledge_bases =
        ids.filter_map(|(at, id)| violations.parse(&format!("knowledge_base_ids[{at}]"), id)).collect();
    violations.length("query", &request.query, 1, 4096);
    violations.check(request.top_k <= 100, "top_k", "must be 0 to 100");
    let content_type =
        convert::filter("content_type", request.content_type, convert::content_type, &mut violations);
    let only = convert::kinds("source_kinds", &request.source_kinds, &mut violations);
    let never = convert::kinds("exclude_source_kinds", &request.exclude_source_kinds, &mut violations);
    let filter = filter::filter("filter", request.filter, &mut violations).map(Arc::new);
    violations.finish()?;
    Ok(Query {
        knowledge_bases,
        text: request.query,
        top_k: (request.top_k > 0).then_some(request.top_k),
        content_type: content_type.unwrap_or(ContentType::Blog),
        lens: Lens { kinds: SourceKinds::new(&only, &never), filter, exact: request.exact },
    })
}

fn response(found: Found) -> pb::SearchResponse {
    let mode = if found.hybrid { pb::SearchMode::Hybrid } else { pb::SearchMode::Lexical };
    pb::SearchResponse {
        hits: found.passages.into_iter().map(convert::hit).collect(),
        mode: mode.into(),
        degraded: found.degraded.is_some(),
        degraded_reason: found.degraded.unwrap_or_default(),
    }
}
