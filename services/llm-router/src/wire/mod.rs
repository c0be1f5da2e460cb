//! Between the contract's messages and ours. Requests are checked here, all faults at once.
mod analyses;
mod answer;
mod brief;
mod budget;
mod count;
mod embed;
mod json;
mod order;
mod providers;
mod rerank;
mod routing;
mod turns;
mod usage;

pub use answer::{answer, completion, tool_call};
pub use budget::{budget, budget_after, budget_cursor, budget_key, limits};
pub use count::{count, count_order};
pub use embed::{embed_order, embedded};
pub use order::order;
pub use providers::providers;
pub use rerank::{ranked, rerank_order};
pub use routing::{decision, model};
pub use usage::{cost_breakdown, dimensions, times, usage_query, usage_record};

use copydesk_rpc::Violations;
use prost_types::Timestamp;

use crate::app::Catalog;
use crate::domain::Capabilities;

/// The most text of one field or list of a request, in bytes.
const MAX_TEXT_BYTES: usize = 1 << 20;

/// The most characters of a word that goes into keys and the ledger.
const MAX_WORD: usize = 128;

/// The largest JSON schema, in bytes of its protobuf form.
const MAX_SCHEMA_BYTES: usize = 64 << 10;

/// The largest text to embed or rank, in bytes.
const MAX_ONE_TEXT: usize = 64 << 10;

/// The most text to embed or rank in one request, in bytes.
const MAX_TEXTS_BYTES: usize = 4 << 20;

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

/// The model that a request asks for, if it asks for one; it must be there and able.
fn known_model(
    model: String,
    needed: Capabilities,
    catalog: &Catalog,
    faults: &mut Faults<'_>,
) -> Option<String> {
    let model = Some(model).filter(|model| !model.is_empty())?;
    let target = catalog.index(&model).and_then(|at| catalog.targets().get(at));
    let missing = target.map(|target| target.capabilities.missing(needed).names());
    match missing {
        Some(missing) if missing.is_empty() => {}
        Some(missing) => faults.push("model", format!("cannot do this: it lacks {}", missing.join(", "))),
        None => {
            let able = catalog.targets().iter().filter(|target| target.capabilities.has(needed));
            let known: Vec<&str> = able.map(|target| &*target.name).collect();
            let shown: String = model.chars().take(MAX_WORD).collect();
            faults.push("model", format!("{shown:?} is not configured; there are {}", known.join(", ")));
        }
    }
    Some(model)
}

/// Texts of a request: how many there may be, and how large each and all of them.
fn texts(field: &str, texts: &[String], most: usize, faults: &mut Faults<'_>) {
    let count = (1..=most).contains(&texts.len());
    faults.check(count, field, &format!("must hold 1 to {most} texts"));
    let all = texts.iter().map(String::len).sum::<usize>() <= MAX_TEXTS_BYTES;
    faults.check(all, field, "must hold at most 4 MiB");
    for (i, text) in texts.iter().enumerate().take(most) {
        let field = format!("{field}[{i}]");
        faults.check((1..=MAX_ONE_TEXT).contains(&text.len()), &field, "must have 1 byte to 64 KiB");
        faults.storable(&field, text);
    }
}

fn timestamp(ms: i64) -> Timestamp {
    let nanos = i32::try_from(ms.rem_euclid(1_000) * 1_000_000).unwrap_or(0);
    Timestamp { seconds: ms.div_euclid(1_000), nanos }
}
