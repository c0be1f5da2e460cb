//! The door: requests in, use cases called, answers out. No decisions are made here.
mod guard;
mod packs;
mod request;
mod response;

pub(crate) use guard::Guard;
pub(crate) use packs::RulePacks;

use std::sync::Arc;

use copydesk_proto::agent_orchestrator::v1 as pb;
use copydesk_proto::agent_orchestrator::v1::run_service_server::RunService;
use copydesk_rpc::{Caller, ProducedStream, Violations, paging, produce};
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::ports::ListFilter;

/// Notices that may wait for a slow reader before its watcher pauses.
const READ_AHEAD: usize = 16;

/// The service's handlers.
pub(crate) struct Runs {
    app: Arc<App>,
}

impl Runs {
    pub(crate) fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

#[tonic::async_trait]
impl RunService for Runs {
    async fn create_run(
        &self,
        request: Request<pb::CreateRunRequest>,
    ) -> Result<Response<pb::CreateRunResponse>, Status> {
        let caller = Caller::of(&request)?;
        let run = self.app.create_run(&caller, request::wish(request.into_inner())).await?;
        let (run, steps) = self.app.get_run(caller.tenant, run.run_id).await?;
        Ok(Response::new(pb::CreateRunResponse { run: Some(response::run(run, steps)) }))
    }

    async fn get_run(
        &self,
        request: Request<pb::GetRunRequest>,
    ) -> Result<Response<pb::GetRunResponse>, Status> {
        let caller = Caller::of(&request)?;
        let run_id = request::run_id(&request.into_inner().run_id)?;
        let (run, steps) = self.app.get_run(caller.tenant, run_id).await?;
        Ok(Response::new(pb::GetRunResponse { run: Some(response::run(run, steps)) }))
    }

    async fn list_runs(
        &self,
        request: Request<pb::ListRunsRequest>,
    ) -> Result<Response<pb::ListRunsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let mut violations = Violations::new();
        let page = format!("ListRuns brand={} state={}", request.brand_id, request.state);
        let limit = paging::size(request.page_size, &mut violations);
        let cursor = paging::decode(caller.tenant, &page, &request.page_token, &mut violations);
        let before = cursor.and_then(|cursor| violations.parse("page_token", &cursor));
        let brand_id = request::optional_id("brand_id", &request.brand_id, &mut violations);
        let state = request::state(request.state, &mut violations);
        violations.finish()?;
        let filter = ListFilter { brand_id, state, before, limit };
        let (runs, next) = self.app.list_runs(caller.tenant, filter).await?;
        let next = next.map(|run_id| paging::encode(caller.tenant, &page, &run_id.to_string()));
        Ok(Response::new(pb::ListRunsResponse {
            runs: runs.into_iter().map(|run| response::run(run, Vec::new())).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }

    type WatchRunStream = ProducedStream<pb::WatchRunResponse>;

    async fn watch_run(
        &self,
        request: Request<pb::WatchRunRequest>,
    ) -> Result<Response<Self::WatchRunStream>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let run_id = request::run_id(&request.run_id)?;
        let watch = self.app.watch_run(caller.tenant, run_id, request.after_seq, request.with_deltas).await?;
        Ok(Response::new(produce(READ_AHEAD, move |sink| async move {
            let mut watch = watch;
            while let Some(notice) = watch.next().await? {
                if sink.send(response::notice(notice)).await.is_err() {
                    break; // nobody is watching any more
                }
            }
            Ok(())
        })))
    }

    async fn cancel_run(
        &self,
        request: Request<pb::CancelRunRequest>,
    ) -> Result<Response<pb::CancelRunResponse>, Status> {
        let caller = Caller::of(&request)?;
        let run_id = request::run_id(&request.into_inner().run_id)?;
        let (run, steps) = self.app.cancel_run(caller.tenant, run_id).await?;
        Ok(Response::new(pb::CancelRunResponse { run: Some(response::run(run, steps)) }))
    }
}
