//! Personal data that no source has: e-mail addresses, phone numbers, payment cards.

use std::collections::HashSet;
use std::ops::Range;

use super::{Known, Page, Severity, Violation};

pub(super) fn check(page: &Page<'_>, known: &Known<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    let listed: HashSet<String> = known.pages.iter().flat_map(emails).map(|(_, address)| address).collect();
    for (span, _) in emails(page).into_iter().filter(|(_, address)| !listed.contains(address)) {
        found.push(violation("personal-email", "an e-mail address that no source has", span));
    }
    let listed: HashSet<String> =
        known.pages.iter().flat_map(|page| digit_runs(page.text)).map(|run| run.digits()).collect();
    for run in digit_runs(page.text).into_iter().filter(|run| !listed.contains(&run.digits())) {
        if run.is_card() {
            found.push(violation("payment-card", "a payment card number", run.span));
        } else if run.is_phone() {
            found.push(violation("personal-phone", "a phone number that no source has", run.span));
        }
    }
    found
}

fn violation(rule: &'static str, message: &str, span: Range<usize>) -> Violation {
    Violation { rule, severity: Severity::Block, span, message: message.to_owned() }
}

/// The e-mail addresses of a text with their places, lower-cased.
fn emails(page: &Page<'_>) -> Vec<(Range<usize>, String)> {
    let address = page.words.iter().filter(|word| word.lower.find('@').is_some_and(|at| at > 0));
    let local = |c: char| c.is_alphanumeric() || "._%+-".contains(c);
    address
        .filter(|word| !word.lower.contains('/'))
        .map(|word| {
            let start = page.text[..word.span.start].trim_end_matches(local).len();
            let span = start..word.span.end;
            (span.clone(), page.text[span].to_lowercase())
        })
        .collect()
}

/// Groups of digits with at most a separator between them.
struct DigitRun<'t> {
    span: Range<usize>,
    groups: Vec<&'t str>,
    plus: bool,
}

impl DigitRun<'_> {
    fn digits(&self) -> String {
        self.groups.concat()
    }

    /// International with `+`, North American 3-3-4, or national with a leading zero.
    fn is_phone(&self) -> bool {
        let lengths: Vec<usize> = self.groups.iter().map(|group| group.len()).collect();
        let total: usize = lengths.iter().sum();
        (self.plus && (8..=15).contains(&total))
            || matches!(lengths.as_slice(), [3, 3, 4] | [1, 3, 3, 4])
            || (self.groups[0].starts_with('0')
                && lengths.len() > 1
                && lengths[0] > 2
                && (9..=13).contains(&total))
    }

    /// Grouped as on a card, or not at all but with the first digits of a card, and with the right check digit.
    fn is_card(&self) -> bool {
        let lengths: Vec<usize> = self.groups.iter().map(|group| group.len()).collect();
        let shaped = match lengths.as_slice() {
            [16] => self.groups[0].starts_with(['2', '3', '4', '5', '6']),
            [15] => self.groups[0].starts_with("34") || self.groups[0].starts_with("37"),
            [4, 6, 4 | 5] => true,
            [fours @ .., last] => fours.len() > 2 && fours.iter().all(|length| *length == 4) && *last <= 4,
            [] => false,
        };
        shaped && !self.plus && passes_luhn(&self.digits())
    }
}

fn digit_runs(text: &str) -> Vec<DigitRun<'_>> {
    let bytes = text.as_bytes();
    let mut found: Vec<DigitRun<'_>> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let length = bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
        let group = &text[at..at + length];
        match found.last_mut().filter(|run| ties(&bytes[run.span.end..at])) {
            Some(run) => {
                run.groups.push(group);
                run.span.end = at + length;
            }
            None => {
                let lead = text[..at].len() - text[..at].trim_end_matches(['+', '(']).len();
                let plus = text[..at].trim_end_matches('(').ends_with('+');
                found.push(DigitRun { span: at - lead..at + length, groups: vec![group], plus });
            }
        }
        at += length;
    }
    found
}

/// Whether this gap keeps two groups in one number.
fn ties(gap: &[u8]) -> bool {
    matches!(gap, b" " | b"-" | b"." | b"/" | b") " | b" (" | b")" | b"(" | b") -" | b")-")
}

fn passes_luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(i, b)| {
            let digit = u32::from(b - b'0') * if i % 2 == 1 { 2 } else { 1 };
            if digit > 9 { digit - 9 } else { digit }
        })
        .sum();
    sum.is_multiple_of(10) && sum > 0
}
