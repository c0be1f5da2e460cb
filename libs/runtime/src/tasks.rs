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
    died: CancellationToken,
}

impl Tasks {
    /// None yet. `died` is cancelled when one of them dies: a process without its background work must not look
    /// healthy, so it should end and be started anew.
    pub fn new(died: CancellationToken) -> Self {
        Self { tracker: TaskTracker::new(), stop: CancellationToken::new(), died }
    }

    /// Starts a service's task. One that panics is logged as an error: somebody must look.
    pub fn start(&self, task: Task) {
        let Task { name, run } = task;
        let work = tokio::spawn(run(self.stop.child_token()));
        let died = self.died.clone();
        self.tracker.spawn(async move {
            if let Err(error) = work.await {
                tracing::error!(task = name, %error, "a background task died");
                died.cancel();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_death_is_told_and_an_ordinary_end_is_not() {
        let died = CancellationToken::new();
        let tasks = Tasks::new(died.clone());
        tasks.start(Task {
            name: "ends",
            run: Box::new(|stop| Box::pin(async move { stop.cancelled().await })),
        });
        assert!(tasks.end(Duration::from_secs(5)).await);
        assert!(!died.is_cancelled());

        let tasks = Tasks::new(died.clone());
        tasks.start(Task { name: "dies", run: Box::new(|_| Box::pin(async { panic!("inside") })) });
        died.cancelled().await;
    }
}
