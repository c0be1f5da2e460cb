//! Calendar dates in the usual English and ISO spellings.

use crate::text::Words;

/// The parts of a date that are stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Date {
    pub(super) year: Option<u16>,
    pub(super) month: u8,
    pub(super) day: Option<u8>,
}

impl Date {
    /// Whether the other date states everything this one does, and the same.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        let year = self.year.is_none() || self.year == other.year;
        let day = self.day.is_none() || self.day == other.day;
        year && day && self.month == other.month
    }
}

/// The date that begins at word `at`, and the word after it.
pub(super) fn date_at<W: Words + ?Sized>(text: &str, words: &W, at: usize) -> Option<(Date, usize)> {
    let digits = words.lower(at).starts_with(|c: char| c.is_ascii_digit());
    digits.then(|| iso(words.lower(at))).flatten().map(|date| (date, at + 1)).or_else(|| {
        let month_first = month(text, words, at).and_then(|m| after_month(text, words, at, m));
        month_first.or_else(|| digits.then(|| day_first(text, words, at)).flatten())
    })
}

fn iso(lower: &str) -> Option<Date> {
    if lower.len() != "2024-03-31".len() {
        return None;
    }
    let mut parts = lower.splitn(3, '-');
    let year = parts.next().filter(|part| part.len() == 4)?.parse().ok()?;
    let month = parts.next().filter(|part| part.len() == 2)?.parse().ok().filter(|m| (1..=12).contains(m))?;
    let day = parts.next().filter(|part| part.len() == 2)?.parse().ok().filter(|d| (1..=31).contains(d))?;
    Some(Date { year: Some(year), month, day: Some(day) })
}

/// `March 3, 2024`, `March 3`, `March 2024`.
fn after_month<W: Words + ?Sized>(text: &str, words: &W, at: usize, month: u8) -> Option<(Date, usize)> {
    if let Some(day) = part(text, words, at + 1, day) {
        let year = part(text, words, at + 2, year);
        return Some((Date { year, month, day: Some(day) }, at + 2 + usize::from(year.is_some())));
    }
    let year = part(text, words, at + 1, year)?;
    Some((Date { year: Some(year), month, day: None }, at + 2))
}

/// `3 March 2024`, `3rd of March`.
fn day_first<W: Words + ?Sized>(text: &str, words: &W, at: usize) -> Option<(Date, usize)> {
    let has = |at: &usize| *at < words.count();
    let next = Some(at + 1).filter(has)?;
    let month_at = next + usize::from(words.lower(next) == "of");
    let month = month(text, words, Some(month_at).filter(has)?)?;
    let day = day(words.lower(at))?;
    let year = part(text, words, month_at + 1, year);
    Some((Date { year, month, day: Some(day) }, month_at + 1 + usize::from(year.is_some())))
}

fn part<W: Words + ?Sized, T>(text: &str, words: &W, at: usize, read: fn(&str) -> Option<T>) -> Option<T> {
    let before = at.checked_sub(1).filter(|_| at < words.count())?;
    let gap = text.get(words.span(before).end..words.span(at).start)?;
    matches!(gap, " " | ", " | ",").then(|| read(words.lower(at))).flatten()
}

fn day(lower: &str) -> Option<u8> {
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let suffix = &lower[digits.len()..];
    let fits = matches!(suffix, "" | "st" | "nd" | "rd" | "th") && digits.len() <= 2;
    digits.parse().ok().filter(|day| fits && (1..=31).contains(day))
}

fn year(lower: &str) -> Option<u16> {
    lower.parse().ok().filter(|year| lower.len() == 4 && (1000..3000).contains(year))
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// How the names begin.
const SHORT: [[u8; 3]; 12] = [
    *b"jan", *b"feb", *b"mar", *b"apr", *b"may", *b"jun", *b"jul", *b"aug", *b"sep", *b"oct", *b"nov",
    *b"dec",
];

/// Whether [`month`] may take a word with this lower-cased form for one.
pub(super) fn may_be_month(lower: &str) -> bool {
    let first = lower.as_bytes().first_chunk::<3>();
    first.is_some_and(|first| SHORT.contains(first)) && MONTHS.iter().any(|name| name.starts_with(lower))
}

/// A month by its name or short form, capitalised, since `may` and `march` are verbs too.
fn month<W: Words + ?Sized>(text: &str, words: &W, at: usize) -> Option<u8> {
    let lower = words.lower(at);
    if !text[words.span(at)].starts_with(|c: char| c.is_ascii_uppercase()) || lower.len() < 3 {
        return None;
    }
    let short = lower.len() == 3 || lower == "sept";
    let known = |name: &str| name == lower || (short && name.starts_with(lower));
    MONTHS.iter().position(|name| known(name)).and_then(|i| u8::try_from(i + 1).ok())
}
