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
use crate::domain::token_weights::TokenWeights;
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
    /// One for each embedder that weighs tokens; none when the sparse leg takes no part.
    pub sparse: Vec<Leg>,
}

/// What a leg looks for.
#[derive(Clone, Copy)]
enum By<'a> {
    Words(&'a [String]),
    Meaning(&'a [f32]),
    Tokens(&'a TokenWeights),
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
    /// All legs' lists. A scan of meanings that is lost, or a server that fails it, makes the dense leg a failed one, and the
    /// sparse one with it: both are of one embedder.
    pub(super) async fn legs(
        &self,
        corpus: &Corpus,
        plan: &Plan,
        weights: &SearchWeights,
        meaning: &mut Meaning,
    ) -> Result<Legs, Error> {
        let wants = Wants::of(plan, weights);
        let near = meaning.legs().iter().map(|leg| self.near(corpus, plan, leg, &wants));
        let words = self.leg(corpus, plan, By::Words(&plan.words), &wants);
        let (lexical, near) = tokio::join!(words, try_join_all(near));
        let lexical = lexical?;
        match near {
            Ok(near) => {
                let (dense, sparse): (Vec<Leg>, Vec<Option<Leg>>) = near.into_iter().unzip();
                Ok(Legs { lexical, dense, sparse: sparse.into_iter().flatten().collect() })
            }
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
                Ok(Legs { lexical, dense: Vec::new(), sparse: Vec::new() })
            }
        }
    }

    /// The dense leg of one embedder and, where it weighs tokens and they are to count, its sparse one.
    async fn near(
        &self,
        corpus: &Corpus,
        plan: &Plan,
        leg: &DenseLeg,
        wants: &Wants,
    ) -> Result<(Leg, Option<Leg>), IndexError> {
        let (all, corpus) = (corpus, &part_of(corpus, leg));
        let dense = self.leg(corpus, plan, By::Meaning(&leg.question.vector), wants);
        let weights = leg.question.weights.as_ref().filter(|_| plan.fusion.sparse > 0.0);
        let sparse = async {
            match weights {
                Some(weights) => self.leg(corpus, plan, By::Tokens(weights), wants).await.map(Some),
                None => Ok(None),
            }
        };
        let (mut dense, mut sparse) = tokio::try_join!(dense, sparse)?;
        for leg in std::iter::once(&mut dense).chain(&mut sparse) {
            leg.leaves.iter_mut().for_each(|leaf| leaf.base = place_in(all, corpus, leaf.base));
        }
        Ok((dense, sparse))
    }

    async fn leg(&self, corpus: &Corpus, plan: &Plan, by: By<'_>, wants: &Wants) -> Result<Leg, IndexError> {
        let list = self.list(corpus, by, &plan.lens, wants.depth).await?;
        let whole = parents(&list) < wants.depth;
        let missing = if whole { Vec::new() } else { wants.missing(&list, &plan.lens) };
        let mut leg = Leg::new(list, whole);
        for (lens, count) in missing {
            leg.add(self.list(corpus, by, &lens, count).await?);
        }
        Ok(leg)
    }

    async fn list(
        &self,
        corpus: &Corpus,
        by: By<'_>,
        lens: &Lens,
        parents: usize,
    ) -> Result<Vec<Leaf>, IndexError> {
        match by {
            By::Words(terms) => self.words.by_words(corpus, terms, lens, parents).await,
            By::Meaning(vector) => self.meanings.by_meaning(corpus, vector.to_vec(), lens, parents).await,
            By::Tokens(weights) => self.meanings.by_tokens(corpus, weights, lens, parents).await,
        }
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
