//! From the legs' lists to the answer: one list of candidates, a second look at the best of them, what differs, what
//! each kind of source is owed.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use copydesk_guard::text::terms;
use copydesk_types::{PassageId, TenantId};

use super::corpus;
use super::legs::Legs;
use super::meaning::{Meaning, share_of_time};
use super::plan::{Plan, SecondLook};
use crate::app::Desk;
use crate::domain::diversity::{self, Features};
use crate::domain::fusion::{Method, fuse, lexical_only};
use crate::domain::quota;
use crate::domain::ranking::{Hit, Reranked, passages, rank};
use crate::domain::records::{KnowledgeBase, Passage};
use crate::domain::source::SourceKind;
use crate::error::Error;
use crate::ports::{Corpus, Ranking};

/// A search, arranged but not yet shown.
#[derive(Debug)]
pub(super) struct Arranged {
    pub legs: Legs,
    /// Every candidate passage by its best chunk, in order of fused score.
    pub candidates: Vec<Hit>,
    /// Places of candidates in the order after the second look.
    pub reranked: Vec<usize>,
    /// Places of candidates in the order after choosing what differs.
    pub diversified: Vec<usize>,
    /// Places of candidates: the answer.
    pub chosen: Vec<usize>,
    /// What was read on the way.
    pub rows: HashMap<PassageId, Passage>,
    /// False when a candidate that was to be read is gone.
    pub whole: bool,
    pub embedder: Option<String>,
    pub method: Option<Method>,
    pub reranker: Option<String>,
    pub degraded: Option<String>,
}

impl Arranged {
    /// What the answer shows and is not read yet.
    pub(super) fn missing(&self) -> Vec<PassageId> {
        let ids = self.chosen.iter().map(|at| self.candidates[*at].leaf.passage);
        ids.filter(|id| !self.rows.contains_key(id)).collect()
    }
}

impl Desk {
    /// Does a search up to the rows that it shows.
    pub(super) async fn arranged(
        &self,
        tenant: TenantId,
        plan: &Plan,
        bases: &[KnowledgeBase],
        meaning: &mut Meaning,
    ) -> Result<Arranged, Error> {
        let corpus = corpus(tenant, bases);
        let weights = plan.weights(bases);
        let legs = self.legs(&corpus, plan, &weights, meaning).await?;
        let (candidates, method) = if legs.dense.is_empty() {
            (lexical_only(&legs.lexical, &weights), None)
        } else {
            (fuse(plan.fusion, &legs.lexical, &legs.dense, &legs.sparse, &weights), Some(plan.fusion.method))
        };
        let candidates = passages(candidates);
        let order: Vec<usize> = (0..candidates.len()).collect();
        let mut arranged = Arranged {
            legs,
            candidates,
            reranked: order.clone(),
            diversified: order,
            chosen: Vec::new(),
            rows: HashMap::new(),
            whole: true,
            embedder: None,
            method,
            reranker: None,
            degraded: None,
        };
        match meaning {
            Meaning::Absent => {}
            Meaning::Legs(legs, failed) => {
                let embedders: Vec<&str> = legs.iter().map(|leg| leg.embedder.as_str()).collect();
                arranged.embedder = Some(embedders.join(", "));
                arranged.degraded = (!failed.is_empty()).then(|| failed.join("; "));
            }
            Meaning::Failed(reason) => arranged.degraded = Some(reason.clone()),
        }
        if let Some(look) = &plan.second_look {
            self.look_again(tenant, plan, look, &mut arranged).await?;
        }
        arranged.diversified.clone_from(&arranged.reranked);
        if let Some(lambda) = plan.mmr {
            self.diversify(tenant, &corpus, lambda, &mut arranged).await?;
        }
        let kind = |at: &usize| arranged.candidates[*at].leaf.kind;
        let kinds: Vec<SourceKind> = arranged.diversified.iter().map(kind).collect();
        let places = quota::choose(&kinds, &plan.quotas, plan.wanted);
        arranged.chosen = places.into_iter().map(|place| arranged.diversified[place]).collect();
        Ok(arranged)
    }

    /// Reads candidates that are not read yet; those that are gone leave the answer unfinished.
    async fn read(&self, tenant: TenantId, places: &[usize], arranged: &mut Arranged) -> Result<(), Error> {
        let ids = places.iter().map(|at| arranged.candidates[*at].leaf.passage);
        let ids: Vec<PassageId> = ids.filter(|id| !arranged.rows.contains_key(id)).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let rows = self.knowledge.passages(tenant, &ids).await?;
        arranged.whole &= rows.len() == ids.len();
        arranged.rows.extend(rows.into_iter().map(|row| (row.id, row)));
        Ok(())
    }

    /// Lets a model order the best candidates. Without its answer they stay as they are, and the search is degraded.
    async fn look_again(
        &self,
        tenant: TenantId,
        plan: &Plan,
        look: &SecondLook,
        arranged: &mut Arranged,
    ) -> Result<(), Error> {
        let count = look.candidates.max(plan.wanted).min(arranged.candidates.len());
        let mut places: Vec<usize> = (0..count).collect();
        self.read(tenant, &places, arranged).await?;
        let Arranged { candidates, rows, .. } = &*arranged;
        places.retain(|at| rows.contains_key(&candidates[*at].leaf.passage));
        if places.is_empty() {
            return Ok(());
        }
        let text = |at: &usize| rows.get(&candidates[*at].leaf.passage).map(|row| row.text.clone());
        let texts: Vec<String> = places.iter().filter_map(text).collect();
        match self.ranking(look, &plan.text, texts).await {
            Ok(ranking) => reorder(arranged, &places, ranking),
            Err(reason) => {
                tracing::warn!(reason, "a search is not reranked");
                let reason = format!("not reranked: {reason}");
                arranged.degraded = Some(match arranged.degraded.take() {
                    Some(before) => format!("{before}; {reason}"),
                    None => reason,
                });
            }
        }
        Ok(())
    }

    /// The reranker's answer, within its time and sound.
    async fn ranking(&self, look: &SecondLook, query: &str, texts: Vec<String>) -> Result<Ranking, String> {
        let Some(reranker) = &self.reranker else { return Err("there is no reranker".to_owned()) };
        let count = texts.len();
        let most = Duration::from_millis(self.config.rerank.timeout_ms);
        let time = share_of_time().map_or(most, |share| share.min(most));
        let ranking = tokio::time::timeout(time, reranker.rerank(&look.model, query, texts));
        let ranking = ranking.await.map_err(|_| "the reranker did not answer in time".to_owned())?;
        let ranking = ranking.map_err(|error| error.to_string())?;
        let mut seen = HashSet::new();
        let sound = |(at, score): &(usize, f64)| *at < count && !score.is_nan() && seen.insert(*at);
        if ranking.scores.iter().all(sound) {
            Ok(ranking)
        } else {
            Err("the reranker's answer does not fit the question".to_owned())
        }
    }

    /// Orders the candidates so that each differs from those before it. After a second look these are the ones that it
    /// saw: scores of two kinds are not compared.
    async fn diversify(
        &self,
        tenant: TenantId,
        corpus: &Corpus,
        lambda: f64,
        arranged: &mut Arranged,
    ) -> Result<(), Error> {
        let looked = |at: &&usize| arranged.candidates[**at].reranked.is_some();
        let seen = arranged.reranked.iter().take_while(looked).count();
        let count = if arranged.reranker.is_some() { seen } else { arranged.reranked.len() };
        let places = arranged.reranked[..count].to_vec();
        let features = self.features(tenant, corpus, &places, arranged).await?;
        let score = |at: &usize| {
            let hit = &arranged.candidates[*at];
            hit.reranked.map_or(hit.leaf.score, |reranked| reranked.score)
        };
        let scores: Vec<f64> = places.iter().map(score).collect();
        let order = diversity::order(&scores, &features, lambda);
        let rest = arranged.reranked[count..].iter().copied();
        arranged.diversified = order.into_iter().map(|place| places[place]).chain(rest).collect();
        Ok(())
    }

    /// What candidates are compared by: in a hybrid search their chunks' vectors, else their chunks' terms.
    async fn features(
        &self,
        tenant: TenantId,
        corpus: &Corpus,
        places: &[usize],
        arranged: &mut Arranged,
    ) -> Result<Vec<Features>, Error> {
        let mut vectors = HashMap::new();
        // Vectors of two embedders cannot be compared.
        if arranged.legs.dense.len() == 1 {
            let ids: Vec<PassageId> = places.iter().map(|at| arranged.candidates[*at].leaf.passage).collect();
            let seen = self.inspector.inspect(corpus, &[], None, &ids).await?;
            let chunks = seen.chunks.into_iter();
            vectors.extend(chunks.filter_map(|c| Some(((c.passage, c.ordinal), c.vector?))));
        }
        let key = |at: &usize| (arranged.candidates[*at].leaf.passage, arranged.candidates[*at].leaf.ordinal);
        let blind: Vec<usize> = places.iter().copied().filter(|at| !vectors.contains_key(&key(at))).collect();
        self.read(tenant, &blind, arranged).await?;
        let feature = |at: &usize| {
            let leaf = &arranged.candidates[*at].leaf;
            match vectors.remove(&(leaf.passage, leaf.ordinal)) {
                Some(vector) => Features::new(Some(vector), Vec::new()),
                None => Features::new(None, chunk_terms(arranged.rows.get(&leaf.passage), &leaf.span)),
            }
        };
        Ok(places.iter().map(feature).collect())
    }
}

/// Puts what the reranker scored first, best first and of equals the lower passage id, and leaves the rest as it is.
fn reorder(arranged: &mut Arranged, places: &[usize], ranking: Ranking) {
    let mut scored: Vec<(usize, f64)> =
        ranking.scores.into_iter().map(|(place, score)| (places[place], score)).collect();
    let id = |at: usize| arranged.candidates[at].leaf.passage;
    scored.sort_by(|left, right| right.1.total_cmp(&left.1).then_with(|| id(left.0).cmp(&id(right.0))));
    for (place, (at, score)) in scored.iter().enumerate() {
        arranged.candidates[*at].reranked = Some(Reranked { score: *score, rank: rank(place) });
    }
    arranged.reranked.sort_by_key(|at| {
        let reranked = arranged.candidates[*at].reranked;
        (Reverse(reranked.is_some()), reranked.map_or(0, |reranked| reranked.rank))
    });
    arranged.reranker = Some(ranking.model);
}

/// The terms of a chunk, cut from its passage.
fn chunk_terms(row: Option<&Passage>, span: &std::ops::Range<u64>) -> Vec<String> {
    let Some(row) = row else { return Vec::new() };
    let from = |at: u64| at.saturating_sub(row.span.start) as usize;
    terms(row.text.get(from(span.start)..from(span.end)).unwrap_or_default())
}
