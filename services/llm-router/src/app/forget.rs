//! Forgetting: stored answers go when their time is over.
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Desk;

/// How often expired answers are deleted. They are not given out in between.
const INTERVAL: Duration = Duration::from_secs(600);

impl Desk {
    /// Deletes expired answers at once and then every ten minutes, until `stop`.
    pub async fn forget_answers(&self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(INTERVAL);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            match self.store.forget(self.clock.now_ms()).await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "forgot expired answers"),
                Err(error) => {
                    let cause = &error as &dyn std::error::Error;
                    tracing::warn!(error = cause, "could not forget expired answers; will try again");
                }
            }
        }
    }
}
