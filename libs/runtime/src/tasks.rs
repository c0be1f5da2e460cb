//! Background tasks: started together, ended together, and loud when one dies.
use std::time::Duration;

use copydesk_rpc::Task;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The background tasks of the process.
#[derive(Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// None yet; `stop` ends them.
    pub fn new(stop: CancellationToken) -> Self {
        Self { tracker: TaskTracker::new(), stop }
    }

    /// Starts a service's task. One that panics is logged as an error: somebody must look.
    pub fn start(&self, task: Task) {
        let Task { name, run } = task;
        let work = tokio::spawn(run(self.stop.child_token()));
        self.tracker.spawn(async move {
            if let Err(error) = work.await {
                tracing::error!(task = name, %error, "a background task died");
            }
        });
    }

    /// Cancels all and waits for them, up to `limit`. False when some were still at work.
    pub async fn end(&self, limit: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        tokio::time::timeout(limit, self.tracker.wait()).await.is_ok()
    }
}
