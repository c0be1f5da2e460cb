//! Why a passage is in an answer or not.

/// The reason that decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It is in the answer.
    Returned,
    /// Its knowledge base was not searched.
    KnowledgeBaseNotSearched,
    /// Its kind of source is left out.
    SourceKindExcluded,
    /// Its document's attributes do not pass the filter.
    Filtered,
    /// It holds no word of the query, and no meaning was compared.
    NoMatch,
    /// It matches less than the candidates.
    NotACandidate,
    /// It is nearer than the end of the dense leg's list, but the graph did not lead to it.
    NotReached,
    /// Its fused score is too low.
    ScoreTooLow,
    /// The reranker put others before it.
    Reranked,
    /// It is too much like others.
    TooSimilar,
    /// Its place was given to another kind.
    Quota,
    /// It was deleted in the meantime.
    Gone,
}

/// A candidate's places, from 0: in the list by score, after the reranker, after the choice of what differs, and in the
/// answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// By fused score.
    pub fused: usize,
    /// After the reranker.
    pub reranked: usize,
    /// After the choice of what differs.
    pub diversified: usize,
    /// In the answer, when it is in it.
    pub returned: Option<usize>,
}

impl Places {
    /// Why: the last step that moved it out of the first `wanted`. `last` is the place, before the quotas, of the last
    /// one that was chosen: what stands before it and was not chosen lost its place to a quota.
    pub fn reason(&self, wanted: usize, last: Option<usize>) -> Reason {
        if self.returned.is_some() {
            return Reason::Returned;
        }
        if self.diversified < wanted || last.is_some_and(|last| self.diversified < last) {
            return Reason::Quota;
        }
        if self.reranked < wanted {
            return Reason::TooSimilar;
        }
        if self.fused < wanted {
            return Reason::Reranked;
        }
        Reason::ScoreTooLow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_that_moved_it_out_is_the_reason() {
        let reason = |fused, reranked, diversified, returned| {
            Places { fused, reranked, diversified, returned }.reason(3, Some(2))
        };
        assert_eq!(reason(9, 9, 9, Some(0)), Reason::Returned);
        assert_eq!(reason(0, 1, 2, None), Reason::Quota);
        assert_eq!(reason(0, 1, 3, None), Reason::TooSimilar);
        assert_eq!(reason(2, 4, 4, None), Reason::Reranked);
        assert_eq!(reason(3, 4, 5, None), Reason::ScoreTooLow);
        assert_eq!(
            Places { fused: 5, reranked: 5, diversified: 5, returned: None }.reason(3, Some(7)),
            Reason::Quota
        );
        assert_eq!(
            Places { fused: 5, reranked: 5, diversified: 5, returned: None }.reason(3, None),
            Reason::ScoreTooLow
        );
    }
}
