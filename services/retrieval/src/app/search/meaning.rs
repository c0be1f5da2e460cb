//! The embedders' part in searches: for every embedder among the knowledge bases a dense leg of its own and, where it weighs
//! tokens, a sparse one, and the questions of a batch in one call to each model. What different embedders say is never
//! compared.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use copydesk_rpc::CallContext;
use copydesk_types::{KnowledgeBaseId, TenantId};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::plan::{Mode, Plan};
use crate::app::Desk;
use crate::domain::records::KnowledgeBase;
use crate::error::Error;
use crate::ports::Embedded;

/// The dense leg's part in one search.
#[derive(Debug, Clone)]
pub(super) enum Meaning {
    /// Nobody asks for it, or what is searched has no embedder.
    Absent,
    /// It takes part: a leg for each embedder, and why others take none.
    Legs(Vec<DenseLeg>, Vec<String>),
    /// It cannot, for this reason.
    Failed(String),
}

/// The knowledge bases of one embedder, with the question as it gives it.
#[derive(Debug, Clone)]
pub(super) struct DenseLeg {
    pub embedder: String,
    pub bases: Vec<KnowledgeBaseId>,
    pub question: Arc<Embedded>,
}

impl Meaning {
    /// The legs that take part.
    pub(super) fn legs(&self) -> &[DenseLeg] {
        if let Self::Legs(legs, _) = self { legs } else { &[] }
    }

    /// The question as the embedder of a knowledge base gives it.
    pub(super) fn question_for(&self, base: KnowledgeBaseId) -> Option<Embedded> {
        let leg = self.legs().iter().find(|leg| leg.bases.contains(&base))?;
        Some(leg.question.as_ref().clone())
    }
}

/// The share of the time left that a model may take; what follows must still be done in the rest.
pub(super) fn share_of_time() -> Option<Duration> {
    let deadline = CallContext::current().deadline()?;
    Some(deadline.saturating_duration_since(Instant::now()) / 2)
}

/// Each question as one embedder gives it, or why it gave none.
type Vectors = Result<HashMap<String, Arc<Embedded>>, String>;

impl Desk {
    /// One search's part.
    pub(super) async fn meaning(&self, tenant: TenantId, plan: &Plan, bases: &[KnowledgeBase]) -> Meaning {
        self.meanings(tenant, &[(plan, bases)]).await.pop().unwrap_or(Meaning::Absent)
    }

    /// Each search's part, in their order. Equal questions are embedded once.
    pub(super) async fn meanings(
        &self,
        tenant: TenantId,
        searches: &[(&Plan, &[KnowledgeBase])],
    ) -> Vec<Meaning> {
        let mut wanted: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (plan, bases) in searches.iter().filter(|(plan, _)| plan.mode != Mode::Lexical) {
            for base in bases.iter().filter(|base| matches!(self.embedder_of(base), Ok(Some(_)))) {
                wanted.entry(&base.embedder).or_default().push(plan.text.clone());
            }
        }
        let asked = wanted.into_iter().map(|(id, mut texts)| async move {
            texts.sort_unstable();
            texts.dedup();
            (id, self.questions(tenant, id, texts).await)
        });
        let vectors: HashMap<&str, Vectors> = join_all(asked).await.into_iter().collect();
        searches.iter().map(|(plan, bases)| self.part(plan, bases, &vectors)).collect()
    }

    async fn questions(&self, tenant: TenantId, id: &str, texts: Vec<String>) -> Vectors {
        let embedder = self.embedders.with_id(id).ok_or_else(|| format!("{id} is not configured"))?;
        let vectors = self.query_vectors(tenant, embedder.as_ref(), texts).await;
        vectors.map_err(|error| {
            tracing::warn!(embedder = id, reason = error.reason, "a dense leg takes no part in a search");
            error.to_string()
        })
    }

    fn part(&self, plan: &Plan, bases: &[KnowledgeBase], vectors: &HashMap<&str, Vectors>) -> Meaning {
        if plan.mode == Mode::Lexical {
            return Meaning::Absent;
        }
        let (mut legs, mut failed): (Vec<DenseLeg>, Vec<String>) = (Vec::new(), Vec::new());
        for base in bases.iter().filter(|base| !base.embedder.is_empty()) {
            match self.vector(plan, base, vectors) {
                Ok(question) => match legs.iter_mut().find(|leg| leg.embedder == base.embedder) {
                    Some(leg) => leg.bases.push(base.id),
                    None => legs.push(DenseLeg {
                        embedder: base.embedder.clone(),
                        bases: vec![base.id],
                        question,
                    }),
                },
                Err(reason) if failed.contains(&reason) => {}
                Err(reason) => failed.push(reason),
            }
        }
        match (legs.is_empty(), failed.is_empty()) {
            (false, _) => Meaning::Legs(legs, failed),
            (true, false) => Meaning::Failed(failed.join("; ")),
            (true, true) if plan.mode == Mode::Hybrid => {
                Meaning::Failed("no embedder is configured for what is searched".to_owned())
            }
            (true, true) => Meaning::Absent,
        }
    }

    fn vector(
        &self,
        plan: &Plan,
        base: &KnowledgeBase,
        vectors: &HashMap<&str, Vectors>,
    ) -> Result<Arc<Embedded>, String> {
        self.embedder_of(base).map_err(|error| format!("{} is searched by words: {error}", base.id))?;
        let none = || "the embedder gave no vector".to_owned();
        match vectors.get(base.embedder.as_str()) {
            Some(Ok(vectors)) => vectors.get(&plan.text).cloned().ok_or_else(none),
            Some(Err(reason)) => Err(reason.clone()),
            None => Err(none()),
        }
    }

    /// Whether a knowledge base's vectors were changed to another embedder's since its leg was made: then the leg may
    /// have met vectors that it must not be compared with.
    pub(super) async fn has_moved(&self, tenant: TenantId, meaning: &Meaning) -> Result<bool, Error> {
        for leg in meaning.legs() {
            for id in &leg.bases {
                if self.knowledge_base(tenant, *id).await?.embedder != leg.embedder {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}
