//! Between the contract's messages and ours. Requests are checked here, all faults at once.
mod answer;
mod brief;
mod budget;
mod json;
mod order;
mod routing;
mod turns;
mod usage;

pub use answer::{answer, completion};
pub use budget::{budget, budget_after, budget_cursor, budget_key, limits};
pub use order::order;
pub use routing::model;
pub use usage::{cost_breakdown, dimensions, times, usage_query, usage_record};

use copydesk_rpc::Violations;
use prost_types::Timestamp;

/// The most text of one field or list of a request, in bytes.
const MAX_TEXT_BYTES: usize = 1 << 20;

/// The most characters of a word that goes into keys and the ledger.
const MAX_WORD: usize = 128;

/// The largest JSON schema, in bytes of its protobuf form.
const MAX_SCHEMA_BYTES: usize = 64 << 10;

/// Violations of one request, named from its root.
pub(crate) struct Faults<'a> {
    violations: Violations,
    prefix: &'a str,
}

impl Faults<'_> {
    fn push(&mut self, field: &str, description: impl Into<String>) {
        self.violations.push(format!("{}{field}", self.prefix), description);
    }

    fn check(&mut self, ok: bool, field: &str, description: &str) {
        if !ok {
            self.push(field, description);
        }
    }

    /// U+0000 is in no text that a database or a model takes.
    fn storable(&mut self, field: &str, text: &str) {
        self.check(!text.contains('\0'), field, "must not hold U+0000");
    }

    /// A text that may be empty and goes into keys and the ledger.
    fn word(&mut self, field: &str, text: &str, most: usize) {
        self.check(text.chars().count() <= most, field, &format!("must have at most {most} characters"));
        self.check(!text.contains(char::is_control), field, "must not hold control characters");
    }
}

fn timestamp(ms: i64) -> Timestamp {
    let nanos = i32::try_from(ms.rem_euclid(1_000) * 1_000_000).unwrap_or(0);
    Timestamp { seconds: ms.div_euclid(1_000), nanos }
}
