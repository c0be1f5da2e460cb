//! The legs' lists: the best of each, and what weights and quotas need besides.

use futures_util::future::try_join_all;

use super::meaning::{DenseLeg, Meaning};
use super::plan::Plan;
use crate::app::Desk;
use crate::domain::fusion::Leg;
use crate::domain::lens::Lens;
use crate::domain::quota;
use crate::domain::ranking::{Leaf, parents};
use crate::domain::source::SourceKinds;
use crate::domain::weights::SearchWeights;
use crate::error::Error;
use crate::ports::{Corpus, IndexError};

/// Passages that each leg brings to the fusion, at least.
const LEG: usize = 100;

/// The legs' lists.
#[derive(Debug)]
pub(super) struct Legs {
    pub lexical: Leg,
    /// One for each embedder; none when the dense leg takes no part.
    pub dense: Vec<Leg>,
}

/// What a leg is asked for: of which kinds, and how many passages of them.
struct Wants {
    depth: usize,
    besides: Vec<(SourceKinds, usize)>,
}

impl Wants {
    /// A kind that counts more than others is looked for besides: its passages may belong into the answer from places
    /// that the best hundred do not reach.
    fn of(plan: &Plan, weights: &SearchWeights) -> Self {
        let mut besides: Vec<_> = weights.lifted().into_iter().map(|kinds| (kinds, plan.wanted)).collect();
        besides.extend(quota::needs(&plan.quotas, plan.wanted));
        Self { depth: plan.wanted.max(LEG), besides }
    }

    /// What a list lacks, each as the lens to look through and how many passages.
    fn missing(&self, list: &[Leaf], lens: &Lens) -> Vec<(Lens, usize)> {
        let mut missing = Vec::new();
        for (kinds, count) in &self.besides {
            let kinds = lens.kinds.and(*kinds);
            let of_kinds: Vec<Leaf> = list.iter().filter(|leaf| kinds.contains(leaf.kind)).cloned().collect();
            if !kinds.is_empty() && parents(&of_kinds) < *count {
                missing.push((Lens { kinds, ..lens.clone() }, *count));
            }
        }
        missing
    }
}

impl Desk {
    /// Both legs' lists. A scan of meanings that is lost, or a server that fails it, makes the dense leg a failed one.
    pub(super) async fn legs(
        &self,
        corpus: &Corpus,
        plan: &Plan,
        weights: &SearchWeights,
        meaning: &mut Meaning,
    ) -> Result<Legs, Error> {
        let wants = Wants::of(plan, weights);
        let near = meaning.legs().iter().map(|leg| self.dense(corpus, plan, leg, &wants));
        let (lexical, near) = tokio::join!(self.lexical(corpus, plan, &wants), try_join_all(near));
        let lexical = lexical?;
        match near {
            Ok(dense) => Ok(Legs { lexical, dense }),
            Err(IndexError::Store(error)) => Err(IndexError::Store(error).into()),
            Err(error) => {
                let source = &error as &dyn std::error::Error;
                let reason = if matches!(error, IndexError::Unavailable(_)) {
                    tracing::warn!(error = source, "the dense leg takes no part in a search");
                    "the search by meaning did not answer in time"
                } else {
                    tracing::error!(error = source, "the dense leg takes no part in a search");
                    "the search by meaning was lost; the log says why"
                };
                *meaning = Meaning::Failed(reason.to_owned());
                Ok(Legs { lexical, dense: Vec::new() })
            }
        }
    }

    async fn lexical(&self, corpus: &Corpus, plan: &Plan, wants: &Wants) -> Result<Leg, IndexError> {
        let list = self.words.by_words(corpus, &plan.words, &plan.lens, wants.depth).await?;
        let whole = parents(&list) < wants.depth;
        let missing = if whole { Vec::new() } else { wants.missing(&list, &plan.lens) };
        let mut leg = Leg::new(list, whole);
        for (lens, count) in missing {
            leg.add(self.words.by_words(corpus, &plan.words, &lens, count).await?);
        }
        Ok(leg)
    }

    async fn dense(
        &self,
        corpus: &Corpus,
        plan: &Plan,
        leg: &DenseLeg,
        wants: &Wants,
    ) -> Result<Leg, IndexError> {
        let (all, corpus, vector) = (corpus, &part_of(corpus, leg), &leg.vector);
        let list = self.meanings.by_meaning(corpus, vector.to_vec(), &plan.lens, wants.depth).await?;
        let whole = parents(&list) < wants.depth;
        let missing = if whole { Vec::new() } else { wants.missing(&list, &plan.lens) };
        let mut leg = Leg::new(list, whole);
        for (lens, count) in missing {
            leg.add(self.meanings.by_meaning(corpus, vector.to_vec(), &lens, count).await?);
        }
        leg.leaves.iter_mut().for_each(|leaf| leaf.base = place_in(all, corpus, leaf.base));
        Ok(leg)
    }
}

/// Where a knowledge base of a part stands in the whole.
fn place_in(all: &Corpus, part: &Corpus, base: u16) -> u16 {
    let id = part.knowledge_bases.get(usize::from(base)).map(|(id, _)| id);
    let place = all.knowledge_bases.iter().position(|(other, _)| Some(other) == id);
    place.and_then(|place| u16::try_from(place).ok()).unwrap_or(base)
}

/// The knowledge bases of one embedder.
fn part_of(corpus: &Corpus, leg: &DenseLeg) -> Corpus {
    let bases = corpus.knowledge_bases.iter().filter(|(id, _)| leg.bases.contains(id));
    Corpus { tenant: corpus.tenant, knowledge_bases: bases.copied().collect() }
}
