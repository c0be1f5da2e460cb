//! What speaks against a sentence, each sign by itself; [`crate::judge`] weighs them.

mod name;
mod number;
mod stance;

pub(crate) use name::{NameFault, check_names, unaligned_names};
pub(crate) use number::{NumberFault, NumberFaultKind, check_numbers};
pub(crate) use stance::{absolutes, denial, omitted_denial, opposite, superlatives};

use crate::report::{Reason, ReasonKind};

pub(crate) fn reason(kind: ReasonKind, detail: impl Into<String>) -> Reason {
    Reason { kind, detail: detail.into() }
}
