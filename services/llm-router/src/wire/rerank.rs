//! Rankings.
use copydesk_proto::llm_router::v1 as pb;
use copydesk_rpc::{ServiceError, Violations};

use super::answer::completion;
use super::order::attribution;
use super::{Faults, known_model, texts};
use crate::app::{Catalog, Ranked};
use crate::domain::{Capabilities, RerankOrder};

const MAX_DOCUMENTS: usize = 1_000;
const MAX_QUERY_BYTES: usize = 16 << 10;

/// Reads a call for a ranking.
pub fn rerank_order(request: pb::RerankRequest, catalog: &Catalog) -> Result<RerankOrder, ServiceError> {
    let mut faults = Faults { violations: Violations::new(), prefix: "" };
    let attribution = attribution(request.attribution.unwrap_or_default(), &mut faults);
    let model = known_model(request.model, Capabilities::RERANK, catalog, &mut faults);
    let query = (1..=MAX_QUERY_BYTES).contains(&request.query.len());
    faults.check(query, "query", "must have 1 byte to 16 KiB");
    faults.storable("query", &request.query);
    texts("documents", &request.documents, MAX_DOCUMENTS, &mut faults);
    faults.violations.finish()?;
    let all = request.documents.len();
    let top_n = match request.top_n as usize {
        0 => all,
        asked => asked.min(all),
    };
    Ok(RerankOrder { attribution, model, query: request.query, documents: request.documents, top_n })
}
/// A ranking as the contract has it.
pub fn ranked(ranked: Ranked) -> pb::RerankResponse {
    let place =
        |(index, score)| pb::RankedDocument { index: u32::try_from(index).unwrap_or(u32::MAX), score };
    pb::RerankResponse {
        results: ranked.results.into_iter().map(place).collect(),
        completion: Some(completion(ranked.completion)),
    }
}
