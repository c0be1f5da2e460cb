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
        // There are no past posts in this library.
        let only_posts = !request.into_inner().source_kinds.is_empty();
        let passages = if only_posts { Vec::new() } else { self.0.passages.lock().expect("lock").clone() };
        let hit = |p| rt::SearchHit { passage: Some(p), ..rt::SearchHit::default() };
        let hits = passages.into_iter().map(hit).collect();
        Ok(Response::new(rt::SearchResponse {
            hits,
            mode: rt::SearchMode::Lexical.into(),
            ..Default::default()
        }))
    }

    async fn get_passage(
        &self,
        _: Request<rt::GetPassageRequest>,
    ) -> Result<Response<rt::GetPassageResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }
}
