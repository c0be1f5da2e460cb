//! Personal data that has a form: what can be told by its shape, its check digits and the words around it.
//!
//! Names, addresses and the like have no form and are not looked for. Each kind is one file; a kind that has a checksum is
//! found only with the right one.

mod bank;
mod birth;
mod network;
mod phone;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::fold::{Fold, View};

/// Kinds of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entity {
    /// `jane@corp.example`.
    Email,
    /// A telephone number, international or national.
    Phone,
    /// A payment card with the right Luhn digit and the first digits of an issuer.
    Card,
    /// A bank account with the right country length and the right remainder modulo 97.
    Iban,
    /// An IPv4 or IPv6 address.
    Ip,
    /// A United States social security number in an area that was ever given out.
    Ssn,
    /// A web address or a bare domain name.
    Url,
    /// A date that the words before it call a birthday.
    BirthDate,
}

impl Entity {
    /// All kinds.
    pub const ALL: [Self; 8] =
        [Self::Email, Self::Phone, Self::Card, Self::Iban, Self::Ip, Self::Ssn, Self::Url, Self::BirthDate];

    /// The name in rule packs and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::Ip => "ip",
            Self::Ssn => "ssn",
            Self::Url => "url",
            Self::BirthDate => "birth_date",
        }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entity| entity.name() == name)
    }
}

/// One piece of personal data in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub entity: Entity,
    /// Bytes in the text, on character boundaries.
    pub span: Range<usize>,
}

/// All personal data of a text, in reading order and without overlap.
///
/// Invisible characters and compatibility forms (full-width digits) do not hide it.
pub fn find(text: &str) -> Vec<Found> {
    let view = View::new(text, Fold::Exact);
    let mut found = find_in(view.text());
    for hit in &mut found {
        hit.span = view.original(hit.span.clone());
    }
    found
}

/// The same in a text that is spelt one way already. Where two kinds overlap, the surer one stays.
pub(crate) fn find_in(text: &str) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    // Surest first: a later kind never takes bytes of an earlier one.
    for (entity, finder) in FINDERS {
        for span in finder(text) {
            if found.iter().all(|other| other.span.end <= span.start || span.end <= other.span.start) {
                found.push(Found { entity, span });
            }
        }
    }
    found.sort_by_key(|hit| hit.span.start);
    found
}

type Finder = fn(&str) -> Vec<Range<usize>>;

const FINDERS: [(Entity, Finder); 8] = [
    (Entity::Email, network::emails),
    (Entity::Url, network::urls),
    (Entity::Iban, bank::ibans),
    (Entity::Card, bank::cards),
    (Entity::Ip, network::addresses),
    (Entity::Ssn, bank::social_security_numbers),
    (Entity::BirthDate, birth::dates),
    (Entity::Phone, phone::numbers),
];

/// What makes two spellings the same: digits of numbers, lower case of the rest, without the scheme of a URL.
pub(crate) fn key(entity: Entity, raw: &str) -> String {
    match entity {
        Entity::Phone | Entity::Card | Entity::Ssn => raw.chars().filter(char::is_ascii_digit).collect(),
        Entity::Iban => raw.chars().filter(char::is_ascii_alphanumeric).collect(),
        Entity::Url => {
            let lower = raw.to_lowercase();
            let path = lower.split_once("://").map_or(lower.as_str(), |(_, rest)| rest);
            path.strip_prefix("www.").unwrap_or(path).trim_end_matches('/').to_owned()
        }
        Entity::Email | Entity::Ip | Entity::BirthDate => raw.to_lowercase(),
    }
}

/// A pattern of ours, known to compile; a test runs every one of them.
pub(crate) fn pattern(source: &str) -> Option<regex::Regex> {
    regex::RegexBuilder::new(source).size_limit(1 << 22).build().ok()
}

/// The spans of a pattern's group 1, or of all of it.
pub(crate) fn spans<'t>(
    pattern: Option<&'t regex::Regex>,
    text: &'t str,
) -> impl Iterator<Item = Range<usize>> + 't {
    let all = pattern.into_iter().flat_map(move |p| p.captures_iter(text));
    all.filter_map(|found| found.get(1).or_else(|| found.get(0)).map(|m| m.range()))
}

/// Whether a letter, a digit or `_` stands on either side.
pub(crate) fn inside_word(text: &str, span: &Range<usize>) -> bool {
    let ties = |c: char| c.is_alphanumeric() || c == '_';
    text[..span.start].chars().next_back().is_some_and(ties)
        || text[span.end..].chars().next().is_some_and(ties)
}

/// At most `bytes` before a place, on a character boundary.
pub(crate) fn before(text: &str, at: usize, bytes: usize) -> &str {
    let from = (at.saturating_sub(bytes)..=at).find(|i| text.is_char_boundary(*i)).unwrap_or(at);
    &text[from..at]
}

/// At most `bytes` after a place, on a character boundary.
pub(crate) fn after(text: &str, at: usize, bytes: usize) -> &str {
    let to = (at..=(at + bytes).min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(at);
    &text[at..to]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_and_its_look_alike_is_not() {
        use Entity::*;
        for (text, expected) in [
            ("Write to jane.doe+x@corp.example.", vec![(Email, "jane.doe+x@corp.example")]),
            ("An @handle, a@b and 5@6.", vec![]),
            (
                "Card 4111 1111 1111 1111 or 4111-1111-1111-1111",
                vec![(Card, "4111 1111 1111 1111"), (Card, "4111-1111-1111-1111")],
            ),
            ("Card 4111 1111 1111 1112 fails, so does order 1234567890123.", vec![]),
            ("IBAN DE89 3704 0044 0532 0130 00.", vec![(Iban, "DE89 3704 0044 0532 0130 00")]),
            ("GB82WEST12345698765432 but not GB83WEST12345698765432", vec![(Iban, "GB82WEST12345698765432")]),
            ("Host 192.168.0.1, version 1.2.3.4, 300.1.1.1", vec![(Ip, "192.168.0.1")]),
            ("Host 2001:db8::ff00:42:8329 at 10:30:15", vec![(Ip, "2001:db8::ff00:42:8329")]),
            ("SSN 536-90-4399, not 000-12-3456 or 912-12-3456", vec![(Ssn, "536-90-4399")]),
            (
                "See https://corp.example/a?b=c, www.corp.example and corp.com.",
                vec![(Url, "https://corp.example/a?b=c"), (Url, "www.corp.example"), (Url, "corp.com")],
            ),
            (
                "She was born on 3 March 1974. Date of birth: 1974-03-03",
                vec![(BirthDate, "3 March 1974"), (BirthDate, "1974-03-03")],
            ),
            ("Founded on 3 March 1974.", vec![]),
        ] {
            let got: Vec<_> = find(text).into_iter().map(|hit| (hit.entity, &text[hit.span])).collect();
            assert_eq!(got, expected, "{text}");
        }
    }

    #[test]
    fn disguises_do_not_help() {
        let text = "Karte ４１１１ 1111\u{200b} 1111 1111 ok";
        let got: Vec<_> = find(text).into_iter().map(|hit| (hit.entity, &text[hit.span])).collect();
        assert_eq!(got, [(Entity::Card, "４１１１ 1111\u{200b} 1111 1111")]);
    }

    #[test]
    fn names_are_unique() {
        for entity in Entity::ALL {
            assert_eq!(Entity::named(entity.name()), Some(entity));
        }
    }
}
