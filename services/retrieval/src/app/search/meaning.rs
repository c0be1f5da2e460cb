//! The dense leg's part in searches: their questions as vectors, all of them in one call to the model.

use std::sync::Arc;
use std::time::Duration;

use copydesk_rpc::CallContext;
use tokio::time::Instant;

use super::plan::{Mode, Plan};
use crate::app::Desk;
use crate::domain::records::KnowledgeBase;
use crate::ports::Embedder;

/// The dense leg's part in one search.
#[derive(Debug, Clone)]
pub(super) enum Meaning {
    /// Nobody asks for it, or no embedder is configured.
    Absent,
    /// It takes part with this model's vector.
    Vector { embedder: String, vector: Vec<f32> },
    /// It cannot, for this reason.
    Failed(String),
}

/// The share of the time left that a model may take; what follows must still be done in the rest.
pub(super) fn share_of_time() -> Option<Duration> {
    let deadline = CallContext::current().deadline()?;
    Some(deadline.saturating_duration_since(Instant::now()) / 2)
}

impl Desk {
    /// One search's part.
    pub(super) async fn meaning(&self, plan: &Plan, bases: &[KnowledgeBase]) -> Meaning {
        self.meanings(&[(plan, bases)]).await.pop().unwrap_or(Meaning::Absent)
    }

    /// Each search's part, in their order. Equal questions are embedded once.
    pub(super) async fn meanings(&self, searches: &[(&Plan, &[KnowledgeBase])]) -> Vec<Meaning> {
        let part =
            |(plan, bases): &(&Plan, &[KnowledgeBase])| (self.embedder_for(plan, bases), plan.text.clone());
        let parts: Vec<(Result<_, Meaning>, String)> = searches.iter().map(part).collect();
        let mut texts: Vec<String> =
            parts.iter().filter(|(embedder, _)| embedder.is_ok()).map(|(_, text)| text.clone()).collect();
        texts.sort_unstable();
        texts.dedup();
        let Some(embedder) = parts.iter().find_map(|(embedder, _)| embedder.as_ref().ok()) else {
            return parts
                .into_iter()
                .map(|(embedder, _)| embedder.err().unwrap_or(Meaning::Absent))
                .collect();
        };
        let id = embedder.id().to_owned();
        let vectors = vectors(embedder.as_ref(), &texts).await;
        if let Err(reason) = &vectors {
            tracing::warn!(reason, "the dense leg takes no part in a search");
        }
        let of = |text: &String| match &vectors {
            Ok(vectors) => match texts.binary_search(text).ok().and_then(|at| vectors.get(at)) {
                Some(vector) => Meaning::Vector { embedder: id.clone(), vector: vector.clone() },
                None => Meaning::Failed("the embedder gave no vector".to_owned()),
            },
            Err(reason) => Meaning::Failed(reason.clone()),
        };
        parts.iter().map(|(part, text)| part.as_ref().map_or_else(Clone::clone, |_| of(text))).collect()
    }

    /// The embedder of a search, or why there is none.
    fn embedder_for(&self, plan: &Plan, bases: &[KnowledgeBase]) -> Result<&Arc<dyn Embedder>, Meaning> {
        if plan.mode == Mode::Lexical {
            return Err(Meaning::Absent);
        }
        let Some(embedder) = &self.embedder else {
            let absent = Meaning::Failed("no embedder is configured".to_owned());
            return Err(if plan.mode == Mode::Hybrid { absent } else { Meaning::Absent });
        };
        match bases.iter().find(|base| base.embedder != embedder.id()) {
            None => Ok(embedder),
            Some(other) => Err(Meaning::Failed(format!(
                "{} was not indexed with the embedder {}",
                other.id,
                embedder.id()
            ))),
        }
    }
}

async fn vectors(embedder: &dyn Embedder, texts: &[String]) -> Result<Vec<Vec<f32>>, String> {
    let work = embedder.embed(texts.to_vec());
    let vectors = match share_of_time() {
        Some(time) => tokio::time::timeout(time, work)
            .await
            .map_err(|_| "the embedder did not answer within half of the search's time".to_owned())?,
        None => work.await,
    };
    let vectors = vectors.map_err(|error| error.to_string())?;
    if vectors.len() == texts.len() { Ok(vectors) } else { Err("the embedder gave no vector".to_owned()) }
}
