//! Numbers with check digits or fixed ranges: cards, accounts, social security.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::{inside_word, pattern, spans};

static CARD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(r"\b(?:\d{4}[ -]\d{6}[ -]\d{4,5}|\d{4}(?:[ -]\d{4}){2,3}(?:[ -]\d{1,4})?|\d{12,19})\b")
});

/// Payment cards.
pub(super) fn cards(text: &str) -> Vec<Range<usize>> {
    spans(CARD.as_ref(), text)
        .filter(|span| {
            let digits: String = text[span.clone()].chars().filter(char::is_ascii_digit).collect();
            let glued = text[..span.start].ends_with(['+', '-', '.', '/', '#'])
                && text[..span.start]
                    .trim_end_matches(['+', '-', '.', '/', '#'])
                    .ends_with(char::is_alphanumeric);
            !glued && !text[..span.start].ends_with('+') && is_issued(&digits) && passes_luhn(&digits)
        })
        .collect()
}

/// Whether the first digits and the length are those of a card network (ISO/IEC 7812 ranges as the networks publish them).
fn is_issued(digits: &str) -> bool {
    let head = |n: usize| digits.get(..n).and_then(|d| d.parse::<u32>().ok()).unwrap_or(0);
    match digits.len() {
        12 => matches!(head(2), 50 | 56..=58 | 60 | 61 | 63 | 67),
        13 => head(1) == 4 || matches!(head(2), 50 | 56..=58 | 63 | 67),
        14 => matches!(head(3), 300..=305 | 309 | 360..=369 | 380..=399),
        15 => matches!(head(2), 34 | 37) || matches!(head(4), 2131 | 1800) || matches!(head(2), 50 | 56..=58),
        16 => {
            head(1) == 4
                || head(1) == 6
                || matches!(head(2), 51..=58 | 50 | 35 | 36 | 38 | 39)
                || is_second_series(head(4))
        }
        17..=19 => head(1) == 4 || head(1) == 6 || matches!(head(2), 50 | 56..=58 | 35),
        _ => false,
    }
}

/// The newer series of Mastercard, and Mir.
fn is_second_series(head: u32) -> bool {
    (2200..=2204).contains(&head) || (2221..=2720).contains(&head)
}

/// Luhn's check (ISO/IEC 7812-1 annex B).
pub(super) fn passes_luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(i, b)| {
            let digit = u32::from(b.saturating_sub(b'0')) * if i % 2 == 1 { 2 } else { 1 };
            if digit > 9 { digit - 9 } else { digit }
        })
        .sum();
    sum.is_multiple_of(10) && sum > 0
}

static IBAN: LazyLock<Option<Regex>> =
    LazyLock::new(|| pattern(r"\b[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]{4}){2,7}(?:[ -]?[A-Za-z0-9]{1,3})?\b"));

/// Bank accounts. A run of groups that is too long for its country is cut to the right length.
pub(super) fn ibans(text: &str) -> Vec<Range<usize>> {
    spans(IBAN.as_ref(), text).filter_map(|span| account(text, span)).collect()
}

fn account(text: &str, span: Range<usize>) -> Option<Range<usize>> {
    let raw = &text[span.clone()];
    let length = account_length(&raw.get(..2)?.to_ascii_uppercase())?;
    let (last, _) = raw.char_indices().filter(|(_, c)| c.is_ascii_alphanumeric()).nth(length - 1)?;
    let exact = span.start..span.start + last + 1;
    let characters: String = text[exact.clone()].chars().filter(char::is_ascii_alphanumeric).collect();
    (!inside_word(text, &exact) && passes_mod_97(&characters)).then_some(exact)
}

/// ISO 13616: the first four characters moved to the end, letters as 10 to 35, remainder 1.
fn passes_mod_97(account: &str) -> bool {
    let (head, rest) = account.split_at(4.min(account.len()));
    let value = |c: char| c.to_digit(36).unwrap_or(0);
    let remainder = rest.chars().chain(head.chars()).fold(0, |sum, c| {
        let digit = value(c);
        (if digit > 9 { sum * 100 + digit } else { sum * 10 + digit }) % 97
    });
    remainder == 1
}

/// Characters of an account by country (the SWIFT registry's lengths).
fn account_length(country: &str) -> Option<usize> {
    const LENGTHS: [(usize, &str); 18] = [
        (15, "NO"),
        (16, "BE BI"),
        (18, "DK FO FI GL NL SD FK"),
        (19, "MK SI"),
        (20, "AT BA EE KZ LT LU XK MN"),
        (21, "HR LV LI CH"),
        (22, "BH BG CR GE DE IE ME RS GB VA"),
        (23, "GI IQ IL TL AE OM SO"),
        (24, "AD CZ MD PK RO SA SK ES SE TN VG"),
        (25, "LY PT ST"),
        (26, "IS TR"),
        (27, "FR GR IT MC MR SM DJ"),
        (28, "AL AZ BY CY DO SV GT HU LB PL NI"),
        (29, "BR PS QA UA EG"),
        (30, "JO KW MU YE"),
        (31, "MT SC"),
        (32, "LC"),
        (33, "RU"),
    ];
    LENGTHS
        .iter()
        .find(|(_, countries)| countries.split(' ').any(|c| c == country))
        .map(|(length, _)| *length)
}

static SSN: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(r"\b(\d{3}[- ]\d{2}[- ]\d{4})\b"));

/// United States social security numbers; blanks between the groups only where the word stands before them.
pub(super) fn social_security_numbers(text: &str) -> Vec<Range<usize>> {
    spans(SSN.as_ref(), text)
        .filter(|span| {
            let raw = &text[span.clone()];
            let (area, group, serial) = (&raw[..3], &raw[4..6], &raw[7..]);
            let given =
                area != "000" && area != "666" && !area.starts_with('9') && group != "00" && serial != "0000";
            let said = || {
                let before = super::before(text, span.start, 40).to_lowercase();
                before.contains("ssn") || before.contains("social security")
            };
            let glued = text[..span.start].ends_with(['-', '+']) || text[span.end..].starts_with("-");
            given && !glued && (!raw.contains(' ') || said())
        })
        .collect()
}
