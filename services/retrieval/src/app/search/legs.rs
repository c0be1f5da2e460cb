//! The legs' lists: the best of each, and what weights and quotas need besides.

use super::meaning::Meaning;
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
    /// Absent when the dense leg takes no part.
    pub dense: Option<Leg>,
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
    /// Both legs' lists. A scan of meanings that is lost makes the dense leg a failed one.
    pub(super) async fn legs(
        &self,
        corpus: &Corpus,
        plan: &Plan,
        weights: &SearchWeights,
        meaning: &mut Meaning,
    ) -> Result<Legs, Error> {
        let wants = Wants::of(plan, weights);
        let Meaning::Vector { vector, .. } = &*meaning else {
            let lexical = self.lexical(corpus, plan, &wants).await?;
            return Ok(Legs { lexical, dense: None });
        };
        let dense = self.dense(corpus, plan, vector, &wants);
        let (lexical, dense) = tokio::join!(self.lexical(corpus, plan, &wants), dense);
        let lexical = lexical?;
        match dense {
            Ok(dense) => Ok(Legs { lexical, dense: Some(dense) }),
            Err(IndexError::Lost(error)) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the dense leg takes no part in a search"
                );
                *meaning = Meaning::Failed("the search by meaning was lost; the log says why".to_owned());
                Ok(Legs { lexical, dense: None })
            }
            Err(error) => Err(error.into()),
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
        vector: &[f32],
        wants: &Wants,
    ) -> Result<Leg, IndexError> {
        let list = self.meanings.by_meaning(corpus, vector.to_vec(), &plan.lens, wants.depth).await?;
        let whole = parents(&list) < wants.depth;
        let missing = if whole { Vec::new() } else { wants.missing(&list, &plan.lens) };
        let mut leg = Leg::new(list, whole);
        for (lens, count) in missing {
            leg.add(self.meanings.by_meaning(corpus, vector.to_vec(), &lens, count).await?);
        }
        Ok(leg)
    }
}
