//! The desk: one use case per file. [`engine`] performs what the planner asks for; the others answer calls.
mod board;
pub(crate) mod cancel_run;
pub(crate) mod create_run;
mod desk;
pub(crate) mod engine;
pub(crate) mod get_run;
pub(crate) mod ground;
pub(crate) mod guard_policy;
pub(crate) mod hearing;
pub(crate) mod list_runs;
pub(crate) mod packs;
pub(crate) mod relay;
pub(crate) mod rule_check;
mod settle;
mod slots;
mod steps;
pub(crate) mod watch_run;

use std::sync::Arc;

use copydesk_guard::Source;
use copydesk_rpc::{Minter, ServiceError, Turns};
use copydesk_types::{RunId, TenantId};
use tokio::sync::Notify;

use crate::config::Config;
use crate::domain::run::Run;
use crate::metrics::Metrics;
use crate::ports::{Archive, Clock, GuardStore, LanguageModel, Library, PackStore, RunStore, Web};

/// The type of a run in errors.
pub(crate) const RUN: &str = "copydesk.agent_orchestrator.v1.Run";

/// What is outside.
pub(crate) struct Ports {
    pub(crate) store: Arc<dyn RunStore>,
    pub(crate) guard: Arc<dyn GuardStore>,
    pub(crate) packs: Arc<dyn PackStore>,
    pub(crate) model: Arc<dyn LanguageModel>,
    pub(crate) library: Arc<dyn Library>,
    pub(crate) web: Arc<dyn Web>,
    pub(crate) archive: Arc<dyn Archive>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) minter: Minter,
}

/// Everything that the use cases share.
pub(crate) struct App {
    pub(crate) ports: Ports,
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    /// What watchers in this process are told of.
    board: board::Board,
    /// Rule packs that are ready to apply.
    workbench: packs::Workbench,
    /// The steps that this process works on.
    slots: slots::Slots,
    /// Checks of callers that are under way.
    turns: Turns,
    /// Wakes the engine.
    work: Notify,
    /// Wakes the relay.
    outcomes: Notify,
}

impl App {
    pub(crate) fn new(ports: Ports, config: Config, metrics: Metrics) -> Self {
        Self {
            ports,
            config,
            metrics,
            board: board::Board::default(),
            workbench: packs::Workbench::default(),
            slots: slots::Slots::default(),
            turns: Turns::default(),
            work: Notify::new(),
            outcomes: Notify::new(),
        }
    }

    fn now(&self) -> i64 {
        self.ports.clock.now_ms()
    }

    /// Work that may take a while without waiting for anything: beside the runtime's own threads, at a turn of the
    /// tenant's.
    async fn aside<T: Send + 'static>(
        &self,
        tenant: TenantId,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        let turn = self.turns.take(tenant).await;
        let work = move || {
            let done = work();
            drop(turn);
            done
        };
        tokio::task::spawn_blocking(work).await.map_err(ServiceError::internal)
    }

    /// Tells this process that a run has ended: its other steps are dropped, its watchers and the relay woken.
    fn ended(&self, run: &Run) {
        self.metrics.ended(run);
        self.slots.cancel(run.run_id);
        self.board.close(run.run_id);
        self.outcomes.notify_one();
        tracing::info!(run = %run.run_id, state = run.state.as_str(), cost_nanos = run.spent_nanos, "run has ended");
    }
}

/// A text and its sources, of any size that a request may have: owned, so that they can be read beside the runtime.
pub(crate) struct Material {
    pub(crate) text: String,
    /// Ids and texts.
    pub(crate) sources: Vec<(String, String)>,
}

impl Material {
    pub(crate) fn sources(&self) -> Vec<Source<'_>> {
        self.sources.iter().map(|(id, text)| Source { id, text }).collect()
    }
}

fn no_such_run(run_id: RunId) -> ServiceError {
    ServiceError::not_found(RUN, run_id.to_string())
}

#[cfg(test)]
mod tests;
