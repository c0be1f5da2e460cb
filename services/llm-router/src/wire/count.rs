//! Counting tokens.
use copydesk_proto::llm_router::v1 as pb;
use copydesk_rpc::{ServiceError, Violations};

use super::turns::turns;
use super::{Faults, known_model};
use crate::app::{Catalog, Counted};
use crate::domain::{Capabilities, Turn};

/// Reads what is to be counted: the model that was asked for, if one was, and the prompt.
pub fn count_order(
    request: pb::CountTokensRequest,
    catalog: &Catalog,
) -> Result<(Option<String>, Vec<Turn>), ServiceError> {
    let mut faults = Faults { violations: Violations::new(), prefix: "" };
    let model = known_model(request.model, Capabilities::NONE, catalog, &mut faults);
    let turns = turns(request.messages, &mut faults);
    faults.violations.finish()?;
    Ok((model, turns))
}

/// A count as the contract has it.
pub fn count(counted: Counted) -> pb::CountTokensResponse {
    pb::CountTokensResponse {
        tokens: counted.count.tokens,
        encoding: counted.count.encoding.as_str().to_owned(),
        estimated: counted.count.estimated,
        left: counted.left,
    }
}
