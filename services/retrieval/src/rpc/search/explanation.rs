//! Why a passage was found or not, as a message.

use std::collections::HashMap;

use copydesk_proto::retrieval::v1 as pb;
use copydesk_proto::types::v1 as types;

use super::answer;
use crate::app::{Explanation, Lexical, Sparse};
use crate::domain::ranking::rank;
use crate::domain::verdict::{Places, Reason};

pub(super) fn response(explanation: Explanation) -> pb::ExplainSearchResponse {
    let message = message(&explanation);
    let returned = explanation.places.and_then(|(places, _)| places.returned);
    let matched = explanation.matched;
    let span = matched.as_ref().map(|of| types::Span { start: of.span.start, end: of.span.end });
    let dense = matched.as_ref().filter(|_| explanation.hybrid);
    pb::ExplainSearchResponse {
        returned: returned.is_some(),
        rank: returned.map_or(0, rank),
        reason: reason(explanation.reason).into(),
        message,
        matched: span,
        hit: explanation.hit.as_ref().map(|hit| answer::hit(explanation.passage, hit)),
        dense: dense.map(|of| pb::DenseExplanation { cosine: of.cosine, list_end: of.dense_end }),
        sparse: matched.as_ref().and_then(|of| of.sparse.as_ref()).map(sparse),
        lexical: matched.map(|of| lexical(of.lexical)),
        place: explanation.places.map(|(places, candidates)| place(places, candidates)),
        failed_condition: explanation.failed_condition.unwrap_or_default(),
        mode: answer::mode(explanation.hybrid).into(),
        degraded: explanation.degraded.is_some(),
        degraded_reason: explanation.degraded.unwrap_or_default(),
        last_fused_score: explanation.last_score,
        returned_count: count(explanation.returned),
        wanted_count: count(explanation.wanted),
    }
}

fn count(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn reason(reason: Reason) -> pb::ExplainReason {
    match reason {
        Reason::Returned => pb::ExplainReason::Returned,
        Reason::KnowledgeBaseNotSearched => pb::ExplainReason::KnowledgeBaseNotSearched,
        Reason::SourceKindExcluded => pb::ExplainReason::SourceKindExcluded,
        Reason::Filtered => pb::ExplainReason::Filtered,
        Reason::NoMatch => pb::ExplainReason::NoMatch,
        Reason::NotACandidate => pb::ExplainReason::NotACandidate,
        Reason::NotReached => pb::ExplainReason::NotReached,
        Reason::ScoreTooLow => pb::ExplainReason::ScoreTooLow,
        Reason::Reranked => pb::ExplainReason::Reranked,
        Reason::TooSimilar => pb::ExplainReason::TooSimilar,
        Reason::Quota => pb::ExplainReason::Quota,
        Reason::Gone => pb::ExplainReason::Gone,
    }
}

fn message(explanation: &Explanation) -> String {
    let score = explanation.hit.as_ref().map_or(0.0, |hit| hit.leaf.score);
    let place = |of: fn(&Places) -> usize| explanation.places.map_or(0, |(places, _)| rank(of(&places)));
    match explanation.reason {
        Reason::Returned => {
            let returned = place(|places| places.returned.unwrap_or_default());
            format!("it is number {returned} of {} passages", explanation.returned)
        }
        Reason::KnowledgeBaseNotSearched => "its knowledge base is not among the searched ones".to_owned(),
        Reason::SourceKindExcluded => {
            format!("the search leaves out its kind of source, `{}`", explanation.passage.source_kind.word())
        }
        Reason::Filtered => "its document's attributes do not pass the filter".to_owned(),
        Reason::NoMatch => "it holds no word of the query, and no meaning was compared".to_owned(),
        Reason::NotACandidate => "it matches, but less than the candidates that the legs brought".to_owned(),
        Reason::NotReached => {
            "it is nearer than what the dense leg brought, but the search went through a graph, which \
            did not lead to it; a search that says `exact` finds it"
                .to_owned()
        }
        Reason::ScoreTooLow => {
            let last = explanation.last_score.unwrap_or_default();
            let place = place(|places| places.fused);
            format!(
                "its fused score of {score:.4} makes it number {place}; the last one returned has {last:.4}"
            )
        }
        Reason::Reranked => {
            let (before, after) = (place(|places| places.fused), place(|places| places.reranked));
            format!("the reranker moved it from place {before} to {after}")
        }
        Reason::TooSimilar => {
            let (before, after) = (place(|places| places.reranked), place(|places| places.diversified));
            format!("it is much like passages before it: MMR moved it from place {before} to {after}")
        }
        Reason::Quota => {
            let kind = explanation.passage.source_kind.word();
            format!("the quotas leave no place for another one of its kind of source, `{kind}`")
        }
        Reason::Gone => "it was deleted or replaced while the search ran".to_owned(),
    }
}

fn lexical(of: Lexical) -> pb::LexicalExplanation {
    let terms = of.terms.into_iter().map(|(term, in_chunk, contribution)| pb::TermExplanation {
        term: term.term,
        in_query: term.in_query,
        in_chunk,
        document_frequency: term.holding,
        idf: term.idf,
        contribution,
    });
    pb::LexicalExplanation {
        terms: terms.collect(),
        score: of.score,
        chunk_length: of.length,
        average_chunk_length: of.average_length,
        chunk_count: of.chunk_count,
        list_end: of.end,
    }
}

fn sparse(of: &Sparse) -> pb::SparseExplanation {
    let own: HashMap<u32, f32> = of.chunk.weights().collect();
    let tokens = of.query.weights().map(|(token, weight)| {
        let (in_query, in_chunk) = (f64::from(weight), own.get(&token).copied().map_or(0.0, f64::from));
        pb::TokenExplanation { token, in_query, in_chunk, contribution: in_query * in_chunk }
    });
    pb::SparseExplanation { tokens: tokens.collect(), score: of.score, list_end: of.end }
}

fn place(places: Places, candidates: usize) -> pb::PlaceExplanation {
    pb::PlaceExplanation {
        candidates: count(candidates),
        fused: rank(places.fused),
        reranked: rank(places.reranked),
        diversified: rank(places.diversified),
        returned: places.returned.map_or(0, rank),
    }
}
