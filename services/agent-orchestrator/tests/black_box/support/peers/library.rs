//! Retrieval: finds what the script says.
use std::sync::Arc;
use std::sync::atomic::Ordering;

use copydesk_proto::retrieval::v1 as rt;
use tonic::{Request, Response, Status};

use super::Script;

pub struct Search(pub Arc<Script>);

#[tonic::async_trait]
impl rt::search_service_server::SearchService for Search {
    async fn search(
        &self,
        request: Request<rt::SearchRequest>,
    ) -> Result<Response<rt::SearchResponse>, Status> {
        self.0.searches.fetch_add(1, Ordering::SeqCst);
        self.0.next_failure("search")?;
        let rt::SearchRequest { query, source_kinds: only, exclude_source_kinds: without, .. } =
            request.into_inner();
        let mut passages = self.0.passages.lock().expect("lock").clone();
        passages.retain(|p| {
            (only.is_empty() || only.contains(&p.source_kind)) && !without.contains(&p.source_kind)
        });
        if *self.0.unanswered.lock().expect("lock") == query {
            passages.clear();
        }
        let hit = |p| rt::SearchHit { passage: Some(p), ..rt::SearchHit::default() };
        let hits = passages.into_iter().map(hit).collect();
        Ok(Response::new(rt::SearchResponse {
            hits,
            mode: rt::SearchMode::Lexical.into(),
            ..Default::default()
        }))
    }

    async fn batch_search(
        &self,
        _: Request<rt::BatchSearchRequest>,
    ) -> Result<Response<rt::BatchSearchResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn explain_search(
        &self,
        _: Request<rt::ExplainSearchRequest>,
    ) -> Result<Response<rt::ExplainSearchResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn get_passage(
        &self,
        _: Request<rt::GetPassageRequest>,
    ) -> Result<Response<rt::GetPassageResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }
}

/// The web, as retrieval gives it.
pub struct Web(pub Arc<Script>);

#[tonic::async_trait]
impl rt::web_service_server::WebService for Web {
    async fn search_web(
        &self,
        request: Request<rt::SearchWebRequest>,
    ) -> Result<Response<rt::SearchWebResponse>, Status> {
        self.0.web_queries.lock().expect("lock").push(request.into_inner().query);
        let Some(results) = self.0.web.lock().expect("lock").clone() else {
            return Err(Status::failed_precondition("no search provider is configured"));
        };
        Ok(Response::new(rt::SearchWebResponse { results, provider: "scripted".into() }))
    }

    async fn fetch_page(
        &self,
        _: Request<rt::FetchPageRequest>,
    ) -> Result<Response<rt::FetchPageResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }
}
