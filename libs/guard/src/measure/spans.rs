//! Personal data found against spans that people marked.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Counts, Row};
use crate::pii::{Entity, find};

/// Counts by kind, and over all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Spans {
    /// By the set's name of the kind; only kinds that both the set and we have. Right means the very same bytes.
    pub exact: BTreeMap<&'static str, Counts>,
    /// The same, where right means that at least one character is shared.
    pub overlap: BTreeMap<&'static str, Counts>,
}

impl Spans {
    /// Sums over the kinds: the micro average.
    pub fn micro(counts: &BTreeMap<&'static str, Counts>) -> Counts {
        counts.values().fold(Counts::default(), |mut sum, kind| {
            sum.true_positives += kind.true_positives;
            sum.false_positives += kind.false_positives;
            sum.false_negatives += kind.false_negatives;
            sum
        })
    }
}

/// What presidio's sets call our kinds.
fn name(entity: Entity) -> Option<&'static str> {
    Some(match entity {
        Entity::Email => "EMAIL_ADDRESS",
        Entity::Phone => "PHONE_NUMBER",
        Entity::Card => "CREDIT_CARD",
        Entity::Iban => "IBAN_CODE",
        Entity::Ip => "IP_ADDRESS",
        Entity::Ssn => "US_SSN",
        Entity::Url => "DOMAIN_NAME",
        Entity::BirthDate => return None,
    })
}

/// Measures what [`find`] finds; rows with a label and without spans are passed over.
pub fn measure_spans(rows: &[Row]) -> Spans {
    let mut found = Spans::default();
    for row in rows.iter().filter(|row| row.label.is_none() || !row.spans.is_empty()) {
        let offsets: Vec<usize> = row.text.char_indices().map(|(at, _)| at).chain([row.text.len()]).collect();
        let byte = |character: usize| offsets.get(character).copied().unwrap_or(row.text.len());
        let mine: Vec<(usize, usize, &'static str)> = find(&row.text)
            .into_iter()
            .filter_map(|hit| Some((hit.span.start, hit.span.end, name(hit.entity)?)))
            .collect();
        let known = |kind: &str| Entity::ALL.into_iter().filter_map(name).find(|name| *name == kind);
        let marked: Vec<(usize, usize, &'static str)> = row
            .spans
            .iter()
            .filter_map(|(from, to, kind)| Some((byte(*from), byte(*to), known(kind)?)))
            .collect();
        count(&mut found.exact, &mine, &marked, |a, b| a == b);
        count(&mut found.overlap, &mine, &marked, |a, b| a.2 == b.2 && a.0 < b.1 && b.0 < a.1);
    }
    found
}

type Span = (usize, usize, &'static str);

fn count(
    counts: &mut BTreeMap<&'static str, Counts>,
    mine: &[Span],
    marked: &[Span],
    same: impl Fn(&Span, &Span) -> bool,
) {
    for span in mine {
        counts.entry(span.2).or_default().add(marked.iter().any(|other| same(span, other)), true);
    }
    for span in marked.iter().filter(|span| !mine.iter().any(|other| same(other, span))) {
        counts.entry(span.2).or_default().add(true, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_are_right_and_shared_bytes_nearly() {
        let row = |text: &str, spans: &[(usize, usize, &str)]| Row {
            text: text.to_owned(),
            label: None,
            spans: spans.iter().map(|(a, b, kind)| (*a, *b, (*kind).to_owned())).collect(),
        };
        let rows = [
            row("Größe? jane@corp.example", &[(7, 24, "EMAIL_ADDRESS"), (0, 5, "PERSON")]),
            row("Call +49 30 1234567", &[(9, 19, "PHONE_NUMBER")]),
            row("Number 7", &[(7, 8, "US_SSN")]),
        ];
        let found = measure_spans(&rows);
        assert_eq!(found.exact["EMAIL_ADDRESS"].true_positives, 1);
        assert_eq!(
            (found.exact["PHONE_NUMBER"].false_positives, found.exact["PHONE_NUMBER"].false_negatives),
            (1, 1)
        );
        assert_eq!(found.overlap["PHONE_NUMBER"].true_positives, 1);
        let micro = Spans::micro(&found.exact);
        assert_eq!((micro.true_positives, micro.false_positives, micro.false_negatives), (1, 1, 2));
    }
}
