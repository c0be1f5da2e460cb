//! Reading one number, in digits or in words, with whatever is attached to it.

use super::quantity::{Kind, adjoins};
use super::unit::unit;
use crate::text::{Words, is_currency};

/// A number that begins at some word.
pub(super) enum Numeral {
    /// Says itself what it counts.
    Whole { kind: Kind, value: f64, end: usize, loose: bool },
    /// A unit may follow.
    Bare { value: f64, end: usize, spelt: bool },
}

pub(super) fn numeral_at<W: Words + ?Sized>(text: &str, words: &W, at: usize) -> Option<Numeral> {
    let lower = words.lower(at);
    if lower.bytes().all(|b| b.is_ascii_lowercase()) {
        return in_words(text, words, at);
    }
    if let Some(value) = whole_number(lower) {
        return Some(scaled(text, words, at + 1, value, None));
    }
    if let Some(version) = version(lower) {
        return Some(Numeral::Whole {
            kind: Kind::Version(version.to_owned()),
            value: 0.0,
            end: at + 1,
            loose: false,
        });
    }
    if lower.starts_with(|c: char| c.is_ascii_digit() || is_currency(c)) {
        return in_digits(text, words, at);
    }
    in_words(text, words, at)
}

/// The value of up to fifteen digits, which a float holds exactly.
fn whole_number(digits: &str) -> Option<f64> {
    let few = (1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    few.then(|| digits.bytes().fold(0_u64, |all, b| all * 10 + u64::from(b - b'0')) as f64)
}

/// Whether a numeral may begin with this word, whatever is around it.
pub(super) fn may_be_numeral(lower: &str) -> bool {
    match lower.bytes().next() {
        Some(b'a'..=b'u' | b'w'..=b'z') => {
            matches!(lower, "a" | "an") || ordinal(lower).is_some() || small(lower).is_some()
        }
        first => first.is_some(),
    }
}

/// `v2`, `v2.0`, `1.4.2`, `2.0.0-rc.1`, without the `v`.
fn version(lower: &str) -> Option<&str> {
    let (digits, marked) = lower.strip_prefix('v').map_or((lower, false), |rest| (rest, true));
    let (release, tail) = digits.split_once('-').unwrap_or((digits, ""));
    let numeric = release.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let tailed = tail.is_empty() || tail.starts_with(|c: char| c.is_ascii_alphabetic());
    (numeric && tailed && (marked || release.matches('.').count() > 1)).then_some(digits)
}

fn in_digits<W: Words + ?Sized>(text: &str, words: &W, at: usize) -> Option<Numeral> {
    let lower = words.lower(at);
    let sign = lower.chars().next().filter(|c| is_currency(*c));
    let body = lower.trim_start_matches(is_currency);
    let digits =
        &body[..body.find(|c: char| !(c.is_ascii_digit() || ".,:".contains(c))).unwrap_or(body.len())];
    let suffix = &body[digits.len()..];
    if digits.contains(':') {
        return clock(digits, suffix).map(|value| whole(Kind::Unit("clock"), value, at + 1));
    }
    let mut value = parse(digits)?;
    let big = text[words.span(at)].ends_with(|c: char| c.is_uppercase());
    let end = at + 1;
    match (attached(suffix, big || sign.is_some()), suffix) {
        (Some(factor), _) => value *= factor,
        (None, "st" | "nd" | "rd" | "th") => return Some(whole(Kind::Ordinal, value, end)),
        (None, "s") if digits.len() == 4 => return Some(whole(Kind::Unit("decade"), value, end)),
        (None, _) => {
            let (kind, factor) = unit(suffix)?;
            return Some(whole(kind, value * factor, end));
        }
    }
    Some(scaled(text, words, end, value, sign))
}

/// A number in digits before the word at `end`, which may be a magnitude.
fn scaled<W: Words + ?Sized>(text: &str, words: &W, end: usize, value: f64, sign: Option<char>) -> Numeral {
    let factor = if adjoins(text, words, end) { scale(words.lower(end)) } else { None };
    let (value, end) = factor.map_or((value, end), |factor| (value * factor, end + 1));
    match sign {
        Some(sign) => whole(Kind::Currency(sign), value, end),
        None => Numeral::Bare { value, end, spelt: false },
    }
}

fn whole(kind: Kind, value: f64, end: usize) -> Numeral {
    Numeral::Whole { kind, value, end, loose: false }
}

/// The factor of an attached magnitude; `m` and `b` are one only in upper case or after a currency sign.
fn attached(suffix: &str, upper: bool) -> Option<f64> {
    match suffix {
        "" => Some(1.0),
        "k" => Some(1e3),
        "mn" | "mio" => Some(1e6),
        "bn" => Some(1e9),
        "m" if upper => Some(1e6),
        "b" if upper => Some(1e9),
        "t" if upper => Some(1e12),
        _ => None,
    }
}

fn clock(digits: &str, suffix: &str) -> Option<f64> {
    let (hours, minutes) = digits.split_once(':')?;
    let (hours, minutes): (f64, f64) = (hours.parse().ok()?, minutes.parse().ok()?);
    let afternoon = if suffix == "pm" && hours < 12.0 { 12.0 } else { 0.0 };
    Some((hours + afternoon) * 60.0 + minutes)
}

/// Commas group thousands; a single comma before one or two digits is a decimal comma.
fn parse(digits: &str) -> Option<f64> {
    if let Some(value) = whole_number(digits) {
        return Some(value);
    }
    let groups: Vec<&str> = digits.split(',').collect();
    let decimal_comma = groups.len() == 2 && matches!(groups[1].len(), 1 | 2) && !digits.contains('.');
    let plain = if decimal_comma { digits.replace(',', ".") } else { groups.concat() };
    plain.parse().ok().filter(|value: &f64| value.is_finite())
}

/// `twenty five`, `two hundred thousand`, `a dozen`, `third`.
fn in_words<W: Words + ?Sized>(text: &str, words: &W, at: usize) -> Option<Numeral> {
    let lower = words.lower(at);
    if let Some(value) = ordinal(lower) {
        return Some(Numeral::Whole { kind: Kind::Ordinal, value, end: at + 1, loose: true });
    }
    let article = matches!(lower, "a" | "an");
    let mut value = if article { 1.0 } else { small(lower)? };
    let mut end = at + 1;
    let mut scaled = false;
    while adjoins(text, words, end) {
        let next = words.lower(end);
        if let Some(factor) = scale(next) {
            value *= factor;
            scaled = true;
        } else if let Some(ones) = small(next).filter(|ones| !article && !scaled && joins(value, *ones)) {
            value += ones;
        } else {
            break;
        }
        end += 1;
    }
    (!article || scaled).then_some(Numeral::Bare { value, end, spelt: true })
}

fn joins(tens: f64, ones: f64) -> bool {
    tens >= 20.0 && tens % 10.0 == 0.0 && (1.0..10.0).contains(&ones)
}

fn scale(word: &str) -> Option<f64> {
    Some(match word {
        "dozen" => 12.0,
        "hundred" => 1e2,
        "thousand" => 1e3,
        "million" => 1e6,
        "billion" | "bn" => 1e9,
        "trillion" => 1e12,
        _ => return None,
    })
}

fn small(word: &str) -> Option<f64> {
    Some(match word {
        "zero" => 0.0,
        "one" => 1.0,
        "two" => 2.0,
        "three" => 3.0,
        "four" => 4.0,
        "five" => 5.0,
        "six" => 6.0,
        "seven" => 7.0,
        "eight" => 8.0,
        "nine" => 9.0,
        "ten" => 10.0,
        "eleven" => 11.0,
        "twelve" => 12.0,
        "thirteen" => 13.0,
        "fourteen" => 14.0,
        "fifteen" => 15.0,
        "sixteen" => 16.0,
        "seventeen" => 17.0,
        "eighteen" => 18.0,
        "nineteen" => 19.0,
        "twenty" => 20.0,
        "thirty" => 30.0,
        "forty" => 40.0,
        "fifty" => 50.0,
        "sixty" => 60.0,
        "seventy" => 70.0,
        "eighty" => 80.0,
        "ninety" => 90.0,
        _ => return None,
    })
}

fn ordinal(word: &str) -> Option<f64> {
    Some(match word {
        "first" => 1.0,
        "second" => 2.0,
        "third" => 3.0,
        "fourth" => 4.0,
        "fifth" => 5.0,
        "sixth" => 6.0,
        "seventh" => 7.0,
        "eighth" => 8.0,
        "ninth" => 9.0,
        "tenth" => 10.0,
        _ => return None,
    })
}
