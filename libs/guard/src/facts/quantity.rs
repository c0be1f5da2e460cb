//! Numbers as values with a unit, so that `45 %` is `45 percent` and `$1.2M` is `1,200,000 dollars`.

use std::ops::Range;

use super::date::{Date, date_at, may_be_month};
use super::numeral::{Numeral, may_be_numeral, numeral_at};
use super::unit::unit;
use crate::text::{Word, Words};

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Plain,
    Ordinal,
    Percent,
    Times,
    /// Canonical sign of the currency.
    Currency(char),
    /// Durations up to weeks, in seconds.
    Seconds,
    Bytes,
    /// Any other unit, spelt canonically.
    Unit(&'static str),
    /// Digits and dots without the leading `v`.
    Version(String),
    Date(Date),
}

/// A number in a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Quantity {
    pub(crate) kind: Kind,
    /// In the base unit of `kind`; a date's year.
    pub(crate) value: f64,
    /// Bytes in the text, unit included.
    pub(crate) span: Range<usize>,
    /// Positions in the words of the text.
    pub(crate) words: Range<usize>,
    /// A small count in words (`two teams`): too idiomatic to be held against a sentence.
    pub(crate) loose: bool,
    /// Announced as rough (`about`, `nearly`).
    pub(crate) approximate: bool,
}

/// What quantities with the same [`Quantity::key`] share, without spelling it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity<'q> {
    kind: &'q Kind,
    /// The bits of the value; kinds that say it themselves have none.
    value: u64,
}

/// How far a rough number may be from the exact one.
const ROUGH: f64 = 0.05;

impl Quantity {
    /// A spelling that equal quantities share, for looking sentences up.
    pub(crate) fn key(&self) -> String {
        match &self.kind {
            Kind::Version(digits) => format!("#v{digits}"),
            Kind::Date(date) => format!("#d{date:?}"),
            Kind::Currency(sign) => format!("#{sign}{}", self.value),
            Kind::Unit(name) => format!("#{name}{}", self.value),
            Kind::Plain => format!("#{}", self.value),
            other => format!("#{other:?}{}", self.value),
        }
    }

    /// Equal for quantities of one key, different for those of two.
    pub(crate) fn identity(&self) -> Identity<'_> {
        let value = match self.kind {
            Kind::Version(_) | Kind::Date(_) => 0,
            _ => self.value.to_bits(),
        };
        Identity { kind: &self.kind, value }
    }

    /// Whether a source's quantity says what this one says.
    pub(crate) fn matches(&self, source: &Self) -> bool {
        match (&self.kind, &source.kind) {
            (Kind::Date(mine), Kind::Date(theirs)) => mine.is_within(theirs),
            (Kind::Version(mine), Kind::Version(theirs)) => begins_version(theirs, mine),
            (Kind::Version(mine), Kind::Plain) => mine.parse() == Ok(source.value),
            (Kind::Plain, Kind::Version(theirs)) => begins_version(theirs, &self.value.to_string()),
            (Kind::Plain, Kind::Date(_) | Kind::Plain | Kind::Unit(_) | Kind::Times) => {
                self.near(source.value)
            }
            (mine, theirs) => mine == theirs && self.near(source.value),
        }
    }

    /// Whether the other quantity could stand in the same place.
    pub(crate) fn same_slot(&self, other: &Self) -> bool {
        let date_like = |q: &Self| matches!(q.kind, Kind::Date(_)) || q.is_year();
        match (&self.kind, &other.kind) {
            (Kind::Currency(_), Kind::Currency(_)) | (Kind::Version(_), Kind::Version(_)) => true,
            (Kind::Plain, Kind::Plain) => self.is_year() == other.is_year(),
            _ if date_like(self) => date_like(other),
            (mine, theirs) => mine == theirs,
        }
    }

    /// Whether a match with this quantity, as a source's, depends on its value alone or not at all.
    pub(crate) fn goes_by_value(&self) -> bool {
        !matches!(self.kind, Kind::Date(_) | Kind::Version(_)) && self.value.is_finite()
    }

    /// Values outside of which nothing that [`Self::goes_by_value`] matches; none when all must be looked at.
    pub(crate) fn near_values(&self) -> Option<Range<f64>> {
        let slack = if self.approximate { 2.0 * ROUGH } else { 1e-8 } * self.value.abs();
        self.goes_by_value().then_some(self.value - slack..self.value + slack)
    }

    fn is_year(&self) -> bool {
        self.kind == Kind::Plain && (1900.0..2100.0).contains(&self.value) && self.span.len() == 4
    }

    fn near(&self, value: f64) -> bool {
        let allowed = if self.approximate { ROUGH } else { 1e-9 };
        (self.value - value).abs() <= allowed * value.abs().max(self.value.abs())
    }
}

fn begins_version(whole: &str, start: &str) -> bool {
    whole.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// All quantities of a text whose words are given, in reading order.
pub(crate) fn quantities(text: &str, words: &[Word]) -> Vec<Quantity> {
    quantities_among(text, words, (0..words.len()).filter(|at| may_begin_quantity(&words[*at].lower)))
}

/// Whether some quantity begins with this lower-cased word; without the text around, it may be thought wrongly that one
/// does, but never that none does.
pub(crate) fn may_begin_quantity(lower: &str) -> bool {
    may_be_numeral(lower) || may_be_month(lower)
}

/// Like [`quantities`] when `beginnings` are the positions, ascending, of the words of which [`may_begin_quantity`] is true.
pub(crate) fn quantities_among<W: Words + ?Sized>(
    text: &str,
    words: &W,
    beginnings: impl Iterator<Item = usize>,
) -> Vec<Quantity> {
    let mut found: Vec<Quantity> = Vec::new();
    for at in beginnings {
        if found.last().is_some_and(|before| at < before.words.end) {
            continue;
        }
        if let Some(mut quantity) = quantity_at(text, words, at) {
            quantity.approximate = is_rough(text, words, at);
            found.push(quantity);
        }
    }
    share_units_in_ranges(text, &mut found);
    found
}

fn quantity_at<W: Words + ?Sized>(text: &str, words: &W, at: usize) -> Option<Quantity> {
    if let Some((date, end)) = date_at(text, words, at) {
        let value = date.year.map_or(0.0, f64::from);
        return Some(build(words, at..end, Kind::Date(date), value, false));
    }
    match numeral_at(text, words, at)? {
        Numeral::Whole { kind, value, end, loose } => Some(build(words, at..end, kind, value, loose)),
        Numeral::Bare { value, end, spelt } => Some(with_unit(text, words, at..end, value, spelt)),
    }
}

/// Adds the unit that follows a bare number, if one does.
fn with_unit<W: Words + ?Sized>(
    text: &str,
    words: &W,
    place: Range<usize>,
    value: f64,
    spelt: bool,
) -> Quantity {
    let follows = Some(place.end).filter(|end| adjoins(text, words, *end)).map(|end| words.lower(end));
    let found = follows.filter(|next| next.len() > 1).and_then(unit);
    match found {
        Some((kind, factor)) => {
            let loose = spelt && value <= 1.0 && kind != Kind::Percent;
            build(words, place.start..place.end + 1, kind, value * factor, loose)
        }
        None => build(words, place, Kind::Plain, value, spelt && value <= 12.0),
    }
}

fn build<W: Words + ?Sized>(words: &W, place: Range<usize>, kind: Kind, value: f64, loose: bool) -> Quantity {
    let span = words.span(place.start).start..words.span(place.end - 1).end;
    Quantity { kind, value, span, words: place, loose, approximate: false }
}

/// Whether there is a word at `at`, with only a blank or hyphen between it and the one before.
pub(super) fn adjoins<W: Words + ?Sized>(text: &str, words: &W, at: usize) -> bool {
    if at >= words.count() {
        return false;
    }
    let gap = text.get(words.span(at - 1).end..words.span(at).start).unwrap_or("?");
    matches!(gap, "" | " " | "-" | "\u{a0}" | "\u{202f}" | "\u{2011}")
}

fn is_rough<W: Words + ?Sized>(text: &str, words: &W, at: usize) -> bool {
    let start = words.span(at).start;
    if text[..start].ends_with(['~', '≈']) {
        return true;
    }
    let before = |back: usize| at.checked_sub(back).map_or("", |i| words.lower(i));
    matches!(
        before(1),
        "about" | "around" | "roughly" | "nearly" | "almost" | "approximately" | "circa" | "over"
    ) || (before(1) == "than" && before(2) == "more")
}

/// In `10 to 20 %` and `$10-20` both numbers have the unit.
fn share_units_in_ranges(text: &str, found: &mut [Quantity]) {
    for i in 1..found.len() {
        let gap = text.get(found[i - 1].span.end..found[i].span.start).unwrap_or("").trim();
        if !matches!(gap, "-" | "–" | "to" | "and" | "or") {
            continue;
        }
        let unit_of = |q: &Quantity| match q.kind {
            Kind::Percent | Kind::Currency(_) | Kind::Times | Kind::Unit(_) => Some(q.kind.clone()),
            _ => None,
        };
        let (first, second) = (unit_of(&found[i - 1]), unit_of(&found[i]));
        if found[i - 1].kind == Kind::Plain && gap != "and" {
            found[i - 1].kind = second.unwrap_or(Kind::Plain);
        } else if let (Kind::Plain, Some(kind @ Kind::Currency(_)), "-" | "–") = (&found[i].kind, first, gap)
        {
            found[i].kind = kind;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::words;

    fn all(text: &str) -> Vec<Quantity> {
        quantities(text, &words(text))
    }

    #[test]
    fn equal_quantities_share_a_key_and_match() {
        for (a, b) in [
            ("45 %", "45 percent"),
            ("$1.2M", "1.2 million dollars"),
            ("60 minutes", "1 hour"),
            ("1,024 users", "1024 users"),
            ("two hundred rows", "200 rows"),
            ("3x", "three times"),
            ("v1.4.2", "1.4.2"),
            ("March 3, 2024", "2024-03-03"),
            ("3rd of March 2024", "Mar 3rd 2024"),
            ("250ms", "250 milliseconds"),
            ("twenty-five people", "25 people"),
            ("5k stars", "5,000 stars"),
            ("a 30-day trial", "30 days"),
        ] {
            let (left, right) = (all(a), all(b));
            assert_eq!((left.len(), right.len()), (1, 1), "{a} / {b}: {left:?} {right:?}");
            assert_eq!(left[0].key(), right[0].key(), "{a} / {b}");
            assert_eq!(left[0].identity(), right[0].identity(), "{a} / {b}");
            assert!(left[0].matches(&right[0]) && right[0].matches(&left[0]), "{a} / {b}");
        }
    }

    #[test]
    fn different_quantities_do_not_match() {
        for (a, b) in [
            ("45 %", "45"),
            ("40 seconds", "40 ms"),
            ("$5", "€5"),
            ("1.4.2", "1.4.3"),
            ("45", "45 %"),
            ("March 3, 2024", "March 3"),
            ("March 3, 2024", "March 4, 2024"),
            ("10", "12"),
            ("3 months", "3 years"),
        ] {
            assert!(!all(a)[0].matches(&all(b)[0]), "{a} / {b}");
        }
    }

    #[test]
    fn looser_matches() {
        for (claim, source) in [
            ("about 40 %", "39 %"),
            ("in 2024", "on 2024-03-31"),
            ("March 2024", "2024-03-31"),
            ("1.4", "v1.4.2"),
        ] {
            assert!(all(claim)[0].matches(&all(source)[0]), "{claim} / {source}");
        }
        assert!(!all("about 40 %")[0].matches(&all("30 %")[0]));
    }

    #[test]
    fn ranges_share_their_unit() {
        let kinds: Vec<Kind> = all("10 to 20 %, $10-20").into_iter().map(|q| q.kind).collect();
        assert_eq!(kinds, [Kind::Percent, Kind::Percent, Kind::Currency('$'), Kind::Currency('$')]);
    }

    #[test]
    fn small_counts_in_words_are_loose() {
        assert!(all("two teams")[0].loose);
        assert!(all("one day")[0].loose);
        assert!(!all("two hours")[0].loose);
        assert!(!all("15 teams")[0].loose);
        assert!(all("gpt-4 and utf-8 with 2fa").is_empty());
    }
}
