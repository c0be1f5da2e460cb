//! What was found, as messages.

use copydesk_proto::retrieval::v1 as pb;
use copydesk_proto::types::v1 as types;
use copydesk_rpc::ServiceError;

use crate::app::{Found, FoundPassage};
use crate::domain::fusion::Method;
use crate::domain::ranking::{Hit, Place};
use crate::domain::records::Passage;
use crate::error::Error;
use crate::rpc::convert;

pub(super) fn response(found: Found) -> pb::SearchResponse {
    let fusion = match found.method {
        None => pb::FusionMethod::Unspecified,
        Some(Method::Dbsf) => pb::FusionMethod::Dbsf,
        Some(Method::Rrf(_)) => pb::FusionMethod::Rrf,
    };
    let base = |(id, version): (copydesk_types::KnowledgeBaseId, u64)| pb::SearchedKnowledgeBase {
        knowledge_base_id: id.to_string(),
        version,
    };
    pb::SearchResponse {
        mode: mode(found.hybrid()).into(),
        degraded: found.degraded.is_some(),
        degraded_reason: found.degraded.unwrap_or_default(),
        embedder: found.embedder.unwrap_or_default(),
        sparse: found.sparse,
        knowledge_bases: found.bases.into_iter().map(base).collect(),
        cached: found.cached,
        fusion: fusion.into(),
        reranker: found.reranker.unwrap_or_default(),
        hits: found.passages.into_iter().map(|FoundPassage { passage, hit: of }| hit(passage, &of)).collect(),
    }
}

/// One result of a batch.
pub(super) fn result(result: Result<Found, Error>) -> pb::BatchSearchResult {
    use pb::batch_search_result::Outcome;
    let outcome = match result {
        Ok(found) => Outcome::Response(response(found)),
        Err(error) => {
            let error = ServiceError::from(error);
            Outcome::Error(pb::SearchError {
                code: error.kind().code().into(),
                reason: error.reason().to_owned(),
                message: error.message().to_owned(),
            })
        }
    };
    pb::BatchSearchResult { outcome: Some(outcome) }
}

pub(super) fn mode(hybrid: bool) -> pb::SearchMode {
    if hybrid { pb::SearchMode::Hybrid } else { pb::SearchMode::Lexical }
}

/// A passage with its numbers.
pub(super) fn hit(passage: Passage, hit: &Hit) -> pb::SearchHit {
    let score = |place: Option<Place>| place.map(|place| place.score);
    let rank = |place: Option<Place>| place.map(|place| place.rank);
    let normal = |place: Option<Place>| place.map(|place| place.normal);
    pb::SearchHit {
        passage: Some(convert::passage(passage, hit.leaf.score)),
        matched: Some(types::Span { start: hit.leaf.span.start, end: hit.leaf.span.end }),
        lexical_score: score(hit.lexical),
        lexical_rank: rank(hit.lexical),
        dense_score: score(hit.dense),
        dense_rank: rank(hit.dense),
        weight: hit.weight,
        lexical_normal: normal(hit.lexical),
        dense_normal: normal(hit.dense),
        sparse_score: score(hit.sparse),
        sparse_rank: rank(hit.sparse),
        sparse_normal: normal(hit.sparse),
        fused_score: hit.leaf.score,
        rerank_score: hit.reranked.map(|reranked| reranked.score),
        rerank_rank: hit.reranked.map(|reranked| reranked.rank),
    }
}
