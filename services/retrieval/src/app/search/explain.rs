//! Says of one passage whether a search returns it, and exactly why or why not.
//!
//! The search is done as always, so the explanation cannot differ from the answer; then the passage is looked up on the
//! way that the candidates took, and its chunk is looked at closely.

use std::collections::HashMap;
use std::ops::Range;

use copydesk_types::{KnowledgeBaseId, PassageId, TenantId};

use super::arrange::Arranged;
use super::plan::{Plan, Query};
use super::{ATTEMPTS, corpus};
use crate::app::Desk;
use crate::domain::filter::Facts;
use crate::domain::inspection::{Inspected, Inspection, Term};
use crate::domain::ranking::Hit;
use crate::domain::records::{Document, KnowledgeBase, Passage};
use crate::domain::token_weights::TokenWeights;
use crate::domain::verdict::{Places, Reason};
use crate::error::Error;

/// Why a passage is in an answer or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Why.
    pub reason: Reason,
    /// The passage.
    pub passage: Passage,
    /// The chunk that stands for it, with its numbers; absent when it was not looked at.
    pub matched: Option<Matched>,
    /// The passage among the candidates; absent when it is not one of them.
    pub hit: Option<Hit>,
    /// Its places among the candidates, and how many those are.
    pub places: Option<(Places, usize)>,
    /// True when the dense leg took part.
    pub hybrid: bool,
    /// Why something did not take part.
    pub degraded: Option<String>,
    /// Passages wanted.
    pub wanted: usize,
    /// Passages returned.
    pub returned: usize,
    /// The fused score of the last one of them.
    pub last_score: Option<f64>,
    /// The condition of the filter that it fails.
    pub failed_condition: Option<String>,
}

/// A chunk with its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Matched {
    /// Its bytes in the document's text.
    pub span: Range<u64>,
    /// What the words give.
    pub lexical: Lexical,
    /// The cosine with the query, in a hybrid search when the chunk has a vector.
    pub cosine: Option<f64>,
    /// The lowest cosine of the dense leg's list, when there is more than it holds.
    pub dense_end: Option<f64>,
    /// What its tokens give, when the sparse leg took part for its knowledge base.
    pub sparse: Option<Sparse>,
}

/// What the learned weights of a query's tokens give for a chunk.
#[derive(Debug, Clone, PartialEq)]
pub struct Sparse {
    /// What the query's tokens count.
    pub query: TokenWeights,
    /// What they count in the chunk; those that it does not hold are left out.
    pub chunk: TokenWeights,
    /// The sum of the products.
    pub score: f64,
    /// The lowest score of the sparse leg's list, when there is more than it holds.
    pub end: Option<f64>,
}

/// What a query's words give for a chunk.
#[derive(Debug, Clone, PartialEq)]
pub struct Lexical {
    /// Each term with how often the chunk holds it and what that gives.
    pub terms: Vec<(Term, u32, f64)>,
    /// The sum.
    pub score: f64,
    /// Terms in the chunk.
    pub length: u32,
    /// Mean number of terms of a chunk.
    pub average_length: f64,
    /// Chunks that were searched.
    pub chunk_count: u64,
    /// The lowest score of the lexical leg's list, when there is more than it holds.
    pub end: Option<f64>,
}

/// A search and a close look at one passage, at the same versions.
struct Look {
    arranged: Arranged,
    inspection: Inspection,
    bases: Vec<KnowledgeBase>,
}

impl Desk {
    /// Explains a search for one passage. An answer from before is not used, and the new one is not kept.
    ///
    /// # Errors
    /// `NotFound` for the passage and for a knowledge base, `Refused` as [`Desk::search`].
    #[tracing::instrument(name = "retrieval.explain_search", skip_all)]
    pub async fn explain(&self, tenant: TenantId, query: Query, id: PassageId) -> Result<Explanation, Error> {
        let plan = self.plan(&query)?;
        let passage = self.passage(tenant, id).await?;
        let (document, _) = self.document(tenant, passage.document, false).await?;
        let look = self.look(tenant, &query, &plan, (id, document.knowledge_base)).await?;
        let rows = self.rows(tenant, &[&look.arranged]).await?;
        Ok(explained(&plan, passage, &document, look, &rows))
    }

    /// Searches and inspects until nothing changes between the two, or too much does.
    async fn look(
        &self,
        tenant: TenantId,
        query: &Query,
        plan: &Plan,
        (id, base): (PassageId, KnowledgeBaseId),
    ) -> Result<Look, Error> {
        let mut bases = self.searched(tenant, &query.knowledge_bases).await?;
        let mut attempt = 1;
        loop {
            let mut meaning = self.meaning(tenant, plan, &bases).await;
            let arranged = self.arranged(tenant, plan, &bases, &mut meaning).await?;
            let (question, corpus) = (meaning.question_for(base), corpus(tenant, &bases));
            let inspection = self.inspector.inspect(&corpus, &plan.words, question, &[id]).await?;
            let after = self.searched(tenant, &query.knowledge_bases).await?;
            let same = after.iter().map(|base| base.version).eq(bases.iter().map(|base| base.version));
            if (same && arranged.whole) || attempt == ATTEMPTS {
                return Ok(Look { arranged, inspection, bases });
            }
            (attempt, bases) = (attempt + 1, after);
        }
    }
}

fn explained(
    plan: &Plan,
    passage: Passage,
    document: &Document,
    look: Look,
    rows: &HashMap<PassageId, Passage>,
) -> Explanation {
    let Look { arranged, inspection, bases } = look;
    let answer = answer(&arranged, rows);
    let at = arranged.candidates.iter().position(|hit| hit.leaf.passage == passage.id);
    let places = at.map(|at| places(&arranged, &answer, at));
    let hit = at.map(|at| arranged.candidates[at].clone());
    let left_out = left_out(plan, document, &bases);
    let matched = if left_out.is_some() { None } else { matched(&arranged, &inspection, hit.as_ref()) };
    let failed_condition =
        left_out.filter(|reason| *reason == Reason::Filtered).and_then(|_| failed_condition(plan, document));
    let reason = left_out.unwrap_or_else(|| match &places {
        Some(places) if arranged.chosen.contains(&at.unwrap_or_default()) && places.returned.is_none() => {
            Reason::Gone
        }
        Some(places) => places.reason(plan.wanted, last_chosen(&arranged)),
        None => unmatched(&arranged, &inspection),
    });
    Explanation {
        reason,
        passage,
        matched,
        hit,
        places: places.map(|places| (places, arranged.candidates.len())),
        hybrid: arranged.embedder.is_some(),
        degraded: arranged.degraded.clone(),
        wanted: plan.wanted,
        returned: answer.len(),
        last_score: answer.last().map(|at| arranged.candidates[*at].leaf.score),
        failed_condition,
    }
}

/// Places of the candidates that the answer shows.
fn answer(arranged: &Arranged, rows: &HashMap<PassageId, Passage>) -> Vec<usize> {
    let there = |at: &usize| {
        let id = arranged.candidates[*at].leaf.passage;
        arranged.rows.contains_key(&id) || rows.contains_key(&id)
    };
    arranged.chosen.iter().copied().filter(there).collect()
}

/// Why a passage was not looked at, if it was not.
fn left_out(plan: &Plan, document: &Document, bases: &[KnowledgeBase]) -> Option<Reason> {
    if bases.iter().all(|base| base.id != document.knowledge_base) {
        return Some(Reason::KnowledgeBaseNotSearched);
    }
    if !plan.lens.kinds.contains(document.source_kind) {
        return Some(Reason::SourceKindExcluded);
    }
    failed_condition(plan, document).map(|_| Reason::Filtered)
}

/// The condition of the filter that a document fails, in words.
fn failed_condition(plan: &Plan, document: &Document) -> Option<String> {
    plan.lens.filter.as_ref()?.failing(&Facts::of(document))
}

fn places(arranged: &Arranged, answer: &[usize], at: usize) -> Places {
    let place = |list: &[usize]| list.iter().position(|other| *other == at);
    Places {
        fused: at,
        reranked: place(&arranged.reranked).unwrap_or(at),
        diversified: place(&arranged.diversified).unwrap_or(at),
        returned: place(answer),
    }
}

/// The place, before the quotas, of the last candidate that was chosen.
fn last_chosen(arranged: &Arranged) -> Option<usize> {
    arranged.diversified.iter().rposition(|at| arranged.chosen.contains(at))
}

/// Why a passage that may be seen is no candidate.
fn unmatched(arranged: &Arranged, inspection: &Inspection) -> Reason {
    let dense = &arranged.legs.dense;
    let mut cosines = inspection.chunks.iter().filter_map(|chunk| dense.first().and(chunk.cosine));
    // With several embedders the end of each list is its own.
    let end = if let [leg] = &dense[..] { leg.end() } else { None };
    if end.is_some_and(|end| cosines.clone().any(|cosine| cosine > end + NOISE)) {
        return Reason::NotReached;
    }
    let by_words = inspection.chunks.iter().any(|chunk| chunk.score > 0.0);
    if by_words || cosines.next().is_some() { Reason::NotACandidate } else { Reason::NoMatch }
}

/// What a cosine of a server may differ by from ours.
const NOISE: f64 = 1e-5;

/// The chunk that stands for the passage: the candidate's, else the one that matches best.
fn matched(arranged: &Arranged, inspection: &Inspection, hit: Option<&Hit>) -> Option<Matched> {
    let dense = &arranged.legs.dense;
    let cosine = |chunk: &Inspected| dense.first().and(chunk.cosine);
    let chosen = hit.and_then(|hit| inspection.chunks.iter().find(|chunk| chunk.ordinal == hit.leaf.ordinal));
    let better = |left: &&Inspected, right: &&Inspected| {
        let by_meaning = |chunk: &Inspected| cosine(chunk).unwrap_or(f64::NEG_INFINITY);
        let by_words = left.score.total_cmp(&right.score);
        // Of equals the first.
        by_words.then(by_meaning(left).total_cmp(&by_meaning(right))).then(right.ordinal.cmp(&left.ordinal))
    };
    let chunk = chosen.or_else(|| inspection.chunks.iter().max_by(better))?;
    let terms = inspection.terms.iter().cloned().zip(&chunk.parts);
    Some(Matched {
        span: chunk.span.clone(),
        lexical: Lexical {
            terms: terms.map(|(term, (count, part))| (term, *count, *part)).collect(),
            score: chunk.score,
            length: chunk.length,
            average_length: inspection.average_length,
            chunk_count: inspection.chunk_count,
            end: arranged.legs.lexical.end(),
        },
        cosine: cosine(chunk),
        // With several embedders the end of each list is its own.
        dense_end: if let [leg] = &dense[..] { leg.end() } else { None },
        sparse: sparse(arranged, inspection, chunk),
    })
}

fn sparse(arranged: &Arranged, inspection: &Inspection, chunk: &Inspected) -> Option<Sparse> {
    let legs = &arranged.legs.sparse;
    let query = inspection.weights.clone().filter(|_| !legs.is_empty())?;
    let own = query.iter().zip(&chunk.units).map(|((token, _), units)| (token, *units));
    Some(Sparse {
        chunk: TokenWeights::of_units(own),
        query,
        score: chunk.sparse,
        end: if let [leg] = &legs[..] { leg.end() } else { None },
    })
}
