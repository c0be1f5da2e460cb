//! A search as a message, read whole: every fault is told, with its path.

use std::sync::Arc;

use copydesk_proto::retrieval::v1 as pb;
use copydesk_rpc::Violations;

use crate::app::{Mode, Query, SecondLook};
use crate::domain::fusion::{Fusion, Method};
use crate::domain::lens::Lens;
use crate::domain::quota::Quota;
use crate::domain::source::{ContentType, SourceKind, SourceKinds};
use crate::rpc::{convert, filter};

/// RRF's k when nobody says anything.
const RRF_K: f64 = 60.0;
/// Passages that a reranker sees when nobody says how many.
const SECOND_LOOK: u32 = 50;

/// The query, to be done only when there are no violations. `at` is what stands before the fields' names.
pub(super) fn query(request: pb::SearchRequest, at: &str, violations: &mut Violations) -> Query {
    let field = |name: &str| format!("{at}{name}");
    let count = request.knowledge_base_ids.len();
    violations.check(
        (1..=16).contains(&count),
        field("knowledge_base_ids"),
        format!("must be 1 to 16, are {count}"),
    );
    // Longer lists are refused already: their ids are not worth a fault each.
    let ids = request.knowledge_base_ids.iter().take(16).enumerate();
    let knowledge_bases = ids
        .filter_map(|(at, id)| violations.parse(&field(&format!("knowledge_base_ids[{at}]")), id))
        .collect();
    violations.length(&field("query"), &request.query, 1, 4096);
    violations.check(request.top_k <= 100, field("top_k"), "must be 0 to 100");
    let content_type =
        convert::filter(&field("content_type"), request.content_type, convert::content_type, violations);
    let only = convert::kinds(&field("source_kinds"), &request.source_kinds, violations);
    let never = convert::kinds(&field("exclude_source_kinds"), &request.exclude_source_kinds, violations);
    let filter = filter::filter(&field("filter"), request.filter, violations).map(Arc::new);
    violations.check(request.intent.len() <= 64, field("intent"), "must have 64 bytes at most");
    Query {
        knowledge_bases,
        text: request.query,
        top_k: (request.top_k > 0).then_some(request.top_k),
        content_type: content_type.unwrap_or(ContentType::Blog),
        lens: Lens { kinds: SourceKinds::new(&only, &never), filter, exact: request.exact },
        mode: mode(request.mode, &field("mode"), violations),
        fusion: fusion(request.fusion, &field("fusion"), violations),
        weights: weights(&request.source_weights, &field("source_weights"), violations),
        intent: (!request.intent.is_empty()).then_some(request.intent),
        quotas: quotas(&request.source_quotas, &field("source_quotas"), violations),
        mmr: request.mmr.map(|mmr| {
            between(mmr.lambda, 0.0, 1.0, field("mmr.lambda"), violations);
            mmr.lambda
        }),
        second_look: second_look(request.rerank, &field("rerank"), violations),
        skip_cache: request.skip_cache,
    }
}

fn between(value: f64, least: f64, most: f64, field: String, violations: &mut Violations) {
    violations.check((least..=most).contains(&value), field, format!("must be {least} to {most}"));
}

fn mode(value: i32, field: &str, violations: &mut Violations) -> Mode {
    match pb::SearchMode::try_from(value) {
        Ok(pb::SearchMode::Unspecified) => Mode::Any,
        Ok(pb::SearchMode::Lexical) => Mode::Lexical,
        Ok(pb::SearchMode::Hybrid) => Mode::Hybrid,
        Err(_) => {
            violations.push(field, "is not one of the listed values");
            Mode::Any
        }
    }
}

fn fusion(options: Option<pb::FusionOptions>, field: &str, violations: &mut Violations) -> Fusion {
    let options = options.unwrap_or_default();
    let k = options.rrf_k.unwrap_or(RRF_K);
    between(k, 1.0, 1000.0, format!("{field}.rrf_k"), violations);
    let (lexical, dense) = (options.lexical_weight.unwrap_or(1.0), options.dense_weight.unwrap_or(1.0));
    between(lexical, 0.0, 4.0, format!("{field}.lexical_weight"), violations);
    between(dense, 0.0, 4.0, format!("{field}.dense_weight"), violations);
    violations.check(
        lexical != 0.0 || dense != 0.0,
        format!("{field}.dense_weight"),
        "one of the two weights must be above 0",
    );
    let sparse = options.sparse_weight.unwrap_or(1.0);
    between(sparse, 0.0, 4.0, format!("{field}.sparse_weight"), violations);
    let method = match pb::FusionMethod::try_from(options.method) {
        Ok(pb::FusionMethod::Unspecified | pb::FusionMethod::Dbsf) => Method::Dbsf,
        Ok(pb::FusionMethod::Rrf) => Method::Rrf(k),
        Err(_) => {
            violations.push(format!("{field}.method"), "is not one of the listed values");
            Method::Dbsf
        }
    };
    Fusion { method, lexical, dense, sparse }
}

/// A kind that is named once in a list.
fn kind(value: i32, before: &[SourceKind], field: String, violations: &mut Violations) -> Option<SourceKind> {
    let kind = if value == 0 { None } else { convert::source_kind(value) };
    violations.check(kind.is_some(), &field, "is not one of the listed values");
    let again = kind.is_some_and(|kind| before.contains(&kind));
    violations.check(!again, field, "is in the list already");
    kind
}

fn weights(list: &[pb::SourceWeight], field: &str, violations: &mut Violations) -> Vec<(SourceKind, f64)> {
    let (mut weights, mut kinds) = (Vec::new(), Vec::new());
    violations.check(list.len() <= SourceKind::ALL.len(), field, "holds more than one of each kind");
    for (at, one) in list.iter().take(SourceKind::ALL.len()).enumerate() {
        let good = one.weight > 0.0 && one.weight.is_finite();
        violations.check(good, format!("{field}[{at}].weight"), "must be above 0");
        let path = format!("{field}[{at}].source_kind");
        if let Some(kind) = kind(one.source_kind, &kinds, path, violations) {
            kinds.push(kind);
            weights.push((kind, one.weight));
        }
    }
    weights
}

fn quotas(list: &[pb::SourceQuota], field: &str, violations: &mut Violations) -> Vec<Quota> {
    let (mut quotas, mut kinds) = (Vec::new(), Vec::new());
    violations.check(list.len() <= SourceKind::ALL.len(), field, "holds more than one of each kind");
    for (at, one) in list.iter().take(SourceKind::ALL.len()).enumerate() {
        let at_least = one.at_least.unwrap_or(0) as usize;
        let at_most = one.at_most.map_or(usize::MAX, |most| most as usize);
        violations.check(at_least <= 100, format!("{field}[{at}].at_least"), "must be 0 to 100");
        violations.check(at_least <= at_most, format!("{field}[{at}].at_most"), "must not be below at_least");
        let path = format!("{field}[{at}].source_kind");
        if let Some(kind) = kind(one.source_kind, &kinds, path, violations) {
            kinds.push(kind);
            quotas.push(Quota { kind, at_least, at_most });
        }
    }
    quotas
}

fn second_look(
    options: Option<pb::RerankOptions>,
    field: &str,
    violations: &mut Violations,
) -> Option<SecondLook> {
    let options = options?;
    violations.check(options.model.len() <= 256, format!("{field}.model"), "must have 256 bytes at most");
    violations.check(options.candidates <= 100, format!("{field}.candidates"), "must be 0 to 100");
    let candidates = if options.candidates == 0 { SECOND_LOOK } else { options.candidates };
    Some(SecondLook { model: options.model, candidates: candidates as usize })
}
