//! Telephone numbers: international ones and those of a nation by their groups, the rest by the words around them.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::{after, before, pattern, spans};

/// Digits in groups with one separator between them, brackets round a group, an extension behind.
static CANDIDATE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(concat!(
        r"(?:\+ ?)?(?:\(\+?\d{1,5}\)|\d{1,14})",
        r"(?:(?:[ .\-/\u{a0}\u{202f}]|\) ?)?(?: ?\(\d{1,5}\)|[ .\-/\u{a0}\u{202f}]?\d{1,12})){0,7}",
        r"(?: ?(?:x|ext\.? ?|extension )\d{1,6})?",
    ))
});

static WORDS_BEFORE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(concat!(
        r"(?i)\b(?:(?:tele)?phone|tel|mobile|mobil|cell|fax|desk|hotline|call|calling|dial|ring|text|sms|whatsapp",
        r"|reach|contact|messages?|message me|answering|registered|number|numbers|nummer|no|nr|handy|telefon|festnetz|rufnummer|ruf|anruf",
        r"|móvil|teléfono|téléphone|portable)\b[^\n\d]{0,16}\n?[^\n\d]{0,4}$",
    ))
});

static WORDS_AFTER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(r"(?i)^[ \-,(]{0,3}(?:office|fax|mobile|mobil|cell|home|work|desk|phone|tel|landline|festnetz)\b")
});

/// Telephone numbers.
pub(super) fn numbers(text: &str) -> Vec<Range<usize>> {
    spans(CANDIDATE.as_ref(), text).filter_map(|span| number(text, span)).collect()
}

fn number(text: &str, span: Range<usize>) -> Option<Range<usize>> {
    let raw = text[span.clone()].trim_end_matches([' ', '.', '-', '/', '(']);
    let span = span.start..span.start + raw.len();
    let main = raw.split(['x', 'X', 'e', 'E']).next().unwrap_or(raw).trim_end();
    let groups: Vec<&str> = main.split(|c: char| !c.is_ascii_digit()).filter(|g| !g.is_empty()).collect();
    let total: usize = groups.iter().map(|group| group.len()).sum();
    if !(7..=15).contains(&total) || is_tied(text, &span) || is_date(main, &groups) {
        return None;
    }
    let shape: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let international = (main.starts_with('+') || main.starts_with("(+")) && total >= 8;
    let sure = international || is_national(main, &groups, &shape);
    (sure || is_likely(main, &shape) && is_called_one(text, &span)).then_some(span)
}

/// Part of a longer token: a code, an amount, a decimal, a version.
fn is_tied(text: &str, span: &Range<usize>) -> bool {
    let left = text[..span.start].chars().next_back();
    let right = text[span.end..].chars().next();
    let then = text[span.end..].chars().nth(1);
    let word = |c: char| c.is_alphanumeric() || "_$€£¥#%".contains(c);
    left.is_some_and(|c| {
        word(c) || c == '-' && before(text, span.start, 2).starts_with(char::is_alphanumeric)
    }) || left.is_some_and(|c| matches!(c, '.' | ',' | '/' | ':'))
        && before(text, span.start, 2).starts_with(|c: char| c.is_ascii_digit())
        || right.is_some_and(|c| word(c) && c != '#')
        || right.is_some_and(|c| matches!(c, '.' | ',' | ':')) && then.is_some_and(|c| c.is_ascii_digit())
}

fn is_date(main: &str, groups: &[&str]) -> bool {
    let value = |at: usize| groups.get(at).and_then(|g| g.parse::<u32>().ok()).unwrap_or(0);
    let year = |at: usize| groups.get(at).is_some_and(|g| g.len() == 4) && (1800..2200).contains(&value(at));
    let day = |at: usize| groups.get(at).is_some_and(|g| g.len() <= 2) && (1..=31).contains(&value(at));
    let plain = !main.contains(['+', '(']);
    plain
        && (year(0) && day(1) && (groups.len() == 2 || day(2))
            || day(0) && day(1) && year(2) && groups.len() <= 4)
        || plain && groups.len() == 2 && year(0) && year(1)
}

/// Forms that hardly anything else has: North American, a trunk zero with groups, `00` and a country.
fn is_national(main: &str, groups: &[&str], shape: &[usize]) -> bool {
    let total: usize = shape.iter().sum();
    let starts = |c: char| groups.first().is_some_and(|g| g.starts_with(c));
    let american = match shape {
        [3, 3, 4] => !starts('0') && !starts('1'),
        [1, 3, 3, 4] => groups[0] == "1",
        _ => false,
    };
    let abroad = groups[0].starts_with("00") && groups.len() > 2 && total >= 10;
    let trunk = starts('0')
        && !groups[0].starts_with("00")
        && groups[0].len() > 1
        && groups.len() > 1
        && (9..=12).contains(&total);
    let pairs = shape.len() == 5 && shape.iter().all(|n| *n == 2) && starts('0');
    let dotted_version = main.contains('.') && groups.iter().any(|g| g.len() == 1);
    (american || abroad || trunk || pairs) && !dotted_version && !main.contains("  ")
}

/// Forms that other numbers have too.
fn is_likely(main: &str, shape: &[usize]) -> bool {
    let total: usize = shape.iter().sum();
    match shape {
        [one] => (9..=12).contains(one),
        [3, 4] | [4, 4] => true,
        _ => {
            (8..=13).contains(&total)
                && shape.len() <= 6
                && shape[1..].iter().all(|n| (2..=8).contains(n))
                && !main.contains('/')
        }
    }
}

fn is_called_one(text: &str, span: &Range<usize>) -> bool {
    let says = |pattern: &Option<Regex>, part: &str| pattern.as_ref().is_some_and(|p| p.is_match(part));
    says(&WORDS_BEFORE, before(text, span.start, 48)) || says(&WORDS_AFTER, after(text, span.end, 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_many_nations_are_found() {
        for text in [
            "+49 30 1234567",
            "+49 (0)30 123 45 67",
            "+447700 900 123",
            "+1-604-555-5272x565",
            "0049 30 123456",
            "(555) 123-4567",
            "555-123-4567",
            "555.123.4567",
            "1-800-555-0199",
            "030 1234567",
            "030/1234567",
            "01 23 45 67 89",
            "079 2718 1155",
            "0961-7596216",
        ] {
            let sentence = format!("Reachable under {text}, always.");
            let got: Vec<&str> = numbers(&sentence).into_iter().map(|span| &sentence[span]).collect();
            assert_eq!(got, [text]);
        }
        for text in [
            "call me on 450 0840",
            "Phone: 699 956 915",
            "fax:\n72 128 827",
            "Tel. 9498777106",
            "781 1704 office",
        ] {
            assert_eq!(numbers(text).len(), 1, "{text}");
        }
    }

    #[test]
    fn other_numbers_are_none() {
        for text in [
            "1,234,567,890 rows at 10:30",
            "2024-03-31",
            "31.03.2024",
            "from 2019-2023",
            "order 1234567890123",
            "72 128 827 rows",
            "version 1.4.2.1003",
            "$1 234 567",
            "ISBN 978-3-16-148410-0",
            "10 000 000 users",
            "3.14159265",
            "12:30:45.123456",
            "sku AB-555-123-4567",
            "0.12345678",
        ] {
            assert!(numbers(text).is_empty(), "{text}: {:?}", numbers(text));
        }
    }
}
