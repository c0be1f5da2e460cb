//! gRPC health, kept true by asking each service's readiness check.
//!
//! `""` is the process: SERVING while it runs. Each gRPC service has its name, and `readiness` is SERVING when all checks
//! pass; both turn to NOT_SERVING when a check fails or the process drains.
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use copydesk_rpc::ReadyCheck;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health as HealthService, HealthServer};
use tonic_health::server::HealthReporter;

const CHECK_EVERY: Duration = Duration::from_secs(2);
const CHECK_LIMIT: Duration = Duration::from_secs(2);
/// The health name that asks "can it do its work now?".
pub const READINESS: &str = "readiness";

/// The health of the services in this process.
#[derive(Clone)]
pub struct Health {
    reporter: HealthReporter,
    names: Arc<Vec<&'static str>>,
    checks: Arc<Vec<(&'static str, ReadyCheck)>>,
    /// What was found last, so that the log tells changes only.
    faults: Arc<Mutex<Vec<String>>>,
}

impl Health {
    /// Health of these gRPC services and checks. The second value is the service to serve.
    pub fn new(
        names: Vec<&'static str>,
        checks: Vec<(&'static str, ReadyCheck)>,
    ) -> (Self, HealthServer<impl HealthService>) {
        let (reporter, server) = tonic_health::server::health_reporter();
        (Self { reporter, names: Arc::new(names), checks: Arc::new(checks), faults: Arc::default() }, server)
    }

    /// Asks every check once. The error names what is not ready, for people to read.
    pub async fn check(&self) -> Result<(), Vec<String>> {
        let asked = self.checks.iter().map(|(name, check)| async move {
            match tokio::time::timeout(CHECK_LIMIT, check()).await {
                Ok(Ok(())) => None,
                Ok(Err(reason)) => Some(format!("{name}: {reason}")),
                Err(_) => Some(format!("{name}: no answer within {} s", CHECK_LIMIT.as_secs())),
            }
        });
        let faults: Vec<String> = futures_util::future::join_all(asked).await.into_iter().flatten().collect();
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// Checks now and sets what health calls answer.
    pub async fn refresh(&self) -> bool {
        let faults = self.check().await.err().unwrap_or_default();
        let ready = faults.is_empty();
        let before = std::mem::replace(
            &mut *self.faults.lock().unwrap_or_else(PoisonError::into_inner),
            faults.clone(),
        );
        match (ready, before == faults) {
            (_, true) => {}
            (true, false) => tracing::info!("ready again"),
            (false, false) => tracing::warn!(?faults, "not ready"),
        }
        self.set(if ready { ServingStatus::Serving } else { ServingStatus::NotServing }).await;
        ready
    }

    async fn set(&self, status: ServingStatus) {
        for name in self.names.iter().copied().chain([READINESS]) {
            self.reporter.set_service_status(name, status).await;
        }
    }

    /// Keeps the answers true until `stop`, then says NOT_SERVING and ends every Watch, so that a drain can end.
    pub async fn run(self, stop: CancellationToken) {
        self.refresh().await;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(CHECK_EVERY) => drop(self.refresh().await),
            }
        }
        self.set(ServingStatus::NotServing).await;
        let mut reporter = self.reporter.clone();
        for name in self.names.iter().copied().chain([READINESS, ""]) {
            reporter.clear_service_status(name).await;
        }
    }
}
