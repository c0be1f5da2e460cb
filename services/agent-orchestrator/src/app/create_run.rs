//! Queueing a run.
use copydesk_rpc::{CallContext, Caller, Delegation, Kind, ServiceError, Violations, current_trace_id};
use copydesk_types::RunId;

use super::{App, RUN};
use crate::domain::output::Finished;
use crate::domain::plan::{Next, newest, plan};
use crate::domain::run::{NewRun, Run};
use crate::domain::spec::RunSpec;
use crate::error::of_store;
use crate::ports::Created;

/// A wish for a run, parsed as far as it could be.
#[derive(Debug)]
pub(crate) struct Wish {
    /// The caller's key.
    pub(crate) request_id: String,
    /// Digest of the wish as the caller wrote it.
    pub(crate) input_hash: String,
    /// What is to be made; `None` when a field is at fault.
    pub(crate) spec: Option<RunSpec>,
    /// The faults so far.
    pub(crate) violations: Violations,
}

impl App {
    /// Stores a run with its first steps, or finds the one that the same wish made before.
    #[tracing::instrument(name = "runs.create", skip_all)]
    pub(crate) async fn create_run(&self, caller: &Caller, mut wish: Wish) -> Result<Run, ServiceError> {
        let now = self.now();
        // Before anything is judged: a wish that was granted once is granted again, even when its deadline has passed.
        if let Some(run) = self.granted_before(caller, &wish).await? {
            return Ok(run);
        }
        if let Some(deadline) = wish.spec.as_ref().and_then(|spec| spec.deadline_ms) {
            wish.violations.check(deadline > now, "spec.deadline", "must be in the future");
        }
        if let Some(spec) = &mut wish.spec {
            self.clean_wish(caller.tenant, spec, &mut wish.violations).await?;
        }
        wish.violations.finish()?;
        let spec = wish.spec.ok_or_else(|| fault("the wish has neither a spec nor a fault"))?;
        let definition = newest(&spec.workflow).ok_or_else(|| fault("the workflow was not checked"))?;

        let delegation = Delegation::of(caller);
        let deadline = CallContext::current().deadline();
        let asked = self.ports.archive.brand(spec.brand_id);
        let brand = self.ports.minter.act(&delegation, deadline, "runs.brand", asked).await?;
        let spec = spec.with_defaults_of(&brand);
        if spec.knowledge_base_ids.is_empty() {
            let message = "neither the run nor its brand names a knowledge base to draw on";
            return Err(ServiceError::new(Kind::FailedPrecondition, "NO_KNOWLEDGE", message));
        }
        let run_id = RunId::generate();
        let lifetime = i64::from(self.config.run_deadline_s) * 1_000;
        let new = NewRun {
            run_id,
            tenant: caller.tenant,
            request_id: wish.request_id.clone(),
            input_hash: wish.input_hash.clone(),
            definition: definition.version.to_owned(),
            deadline_ms: spec.deadline_ms.unwrap_or(now.saturating_add(lifetime)),
            spec,
            brand,
            delegation: serde_json::to_string(&delegation.for_run(run_id)).map_err(ServiceError::internal)?,
            trace_id: current_trace_id().unwrap_or_default(),
        };
        let Next::Steps(first) = plan(definition, &Finished::new()) else {
            return Err(fault("a run without steps"));
        };
        match self.ports.store.create(&new, &first, now).await.map_err(of_store)? {
            Created::New(run) => {
                tracing::info!(run = %run.run_id, content_type = run.spec.content_type.as_str(), "run is queued");
                self.work.notify_one();
                Ok(run)
            }
            Created::Existing(run) => same_wish(run, &wish.request_id, &wish.input_hash),
        }
    }

    async fn granted_before(&self, caller: &Caller, wish: &Wish) -> Result<Option<Run>, ServiceError> {
        // Only a key that could have been stored is looked up.
        if wish.request_id.is_empty() || wish.request_id.contains('\0') {
            return Ok(None);
        }
        let found = self.ports.store.by_request(caller.tenant, &wish.request_id).await.map_err(of_store)?;
        found.map(|run| same_wish(run, &wish.request_id, &wish.input_hash)).transpose()
    }
}

fn same_wish(run: Run, request_id: &str, input_hash: &str) -> Result<Run, ServiceError> {
    if run.input_hash == input_hash { Ok(run) } else { Err(ServiceError::already_exists(RUN, request_id)) }
}

fn fault(what: &'static str) -> ServiceError {
    ServiceError::internal(std::io::Error::other(what))
}
