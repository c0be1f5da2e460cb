//! Counting: how long a prompt is, without a call to a model.
use tokio::sync::Semaphore;

use super::Desk;
use crate::domain::{TokenCount, Turn, count_tokens};

/// How many prompts are counted at once: each takes a processor for as long as it lasts.
const AT_ONCE: usize = 4;

static PLACES: Semaphore = Semaphore::const_new(AT_ONCE);

/// The length of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// The count.
    pub count: TokenCount,
    /// How many more tokens fit into the model's context window; `None` when its size is unknown.
    pub left: Option<u64>,
}

impl Desk {
    /// Counts a prompt for this model, or for the first one.
    pub async fn count_tokens(&self, model: Option<&str>, turns: Vec<Turn>) -> Counted {
        let catalog = self.catalog();
        let target =
            model.map_or(Some(0), |model| catalog.index(model)).and_then(|at| catalog.targets().get(at));
        let name = target.map(|target| target.model.clone()).unwrap_or_default();
        let window = target.map(|target| u64::from(target.context_tokens)).filter(|tokens| *tokens > 0);
        let count = count(name, turns).await;
        Counted { count, left: window.map(|tokens| tokens.saturating_sub(count.tokens)) }
    }
}

/// Counts away from the threads that serve calls. The place is given back when the counting ends, even when the caller
/// has gone.
async fn count(model: String, turns: Vec<Turn>) -> TokenCount {
    let place = PLACES.acquire().await;
    let counting = tokio::task::spawn_blocking(move || {
        let _place = place;
        count_tokens(&model, &turns)
    });
    match counting.await {
        Ok(count) => count,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that shuts down cancels it, and then nobody waits for us either.
            Err(_) => std::future::pending().await,
        },
    }
}
