//! Numbers, dates and amounts that the sources do not have.

use super::{Seen, flag, log};

pub(super) const NAMES: [&str; 3] = ["numbers_missing", "number_missing", "numbers"];

pub(super) fn measure(seen: &Seen<'_, '_>, values: &mut Vec<f64>) {
    let numbers = || seen.parsed.terms.iter().filter(|term| term.is_number);
    let missing = numbers().filter(|term| term.holders.is_empty()).count();
    values.extend([missing.min(3) as f64, flag(missing > 0), log(numbers().count())]);
}
