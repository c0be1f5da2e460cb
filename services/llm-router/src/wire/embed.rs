//! Vectors.
use copydesk_proto::llm_router::v1 as pb;
use copydesk_rpc::{ServiceError, Violations};

use super::answer::completion;
use super::order::attribution;
use super::{Faults, known_model, texts};
use crate::app::{Catalog, Embedded};
use crate::domain::{Capabilities, EmbedOrder};

const MAX_INPUTS: usize = 2_048;
const MAX_DIMENSIONS: u32 = 16_384;

/// Reads a call for vectors.
pub fn embed_order(request: pb::EmbedRequest, catalog: &Catalog) -> Result<EmbedOrder, ServiceError> {
    let mut faults = Faults { violations: Violations::new(), prefix: "" };
    let attribution = attribution(request.attribution.unwrap_or_default(), &mut faults);
    let model = known_model(request.model, Capabilities::EMBED, catalog, &mut faults);
    texts("inputs", &request.inputs, MAX_INPUTS, &mut faults);
    let dimensions = request.dimensions.is_none_or(|number| (1..=MAX_DIMENSIONS).contains(&number));
    faults.check(dimensions, "dimensions", "must be 1 to 16,384");
    let purpose = pb::EmbedPurpose::try_from(request.purpose).unwrap_or_else(|_| {
        faults.push("purpose", "is not a known purpose");
        pb::EmbedPurpose::Unspecified
    });
    faults.violations.finish()?;
    Ok(EmbedOrder { attribution, model, inputs: request.inputs, dimensions: request.dimensions, purpose })
}
/// Vectors as the contract has them.
pub fn embedded(embedded: Embedded) -> pb::EmbedResponse {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    pb::EmbedResponse {
        dimensions: count(embedded.vectors.first().map_or(0, Vec::len)),
        vectors: embedded.vectors.into_iter().map(|values| pb::Vector { values }).collect(),
        completion: Some(completion(embedded.completion)),
        cached_inputs: count(embedded.cached),
    }
}
