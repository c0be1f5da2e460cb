//! Made-up documents: few words, so that many chunks share them, texts that come twice, so that scores tie.

use copydesk_proto::retrieval::v1::{DocumentFormat, DocumentStart};
use copydesk_proto::types::v1::SourceKind;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

use crate::common::Doc;

const WORDS: [&str; 24] = [
    "van", "cold", "truck", "oil", "engine", "filter", "walnut", "price", "month", "euro", "driver", "route",
    "alert", "cargo", "depot", "north", "south", "winter", "summer", "badger", "zebra", "harbour", "bridge",
    "lantern",
];

pub const KINDS: [SourceKind; 5] =
    [SourceKind::Document, SourceKind::Readme, SourceKind::Issue, SourceKind::Post, SourceKind::Commit];

/// Numbers that look random and are always the same.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    pub fn word(&mut self) -> &'static str {
        // Some words are common, some are rare.
        let at = self.below(WORDS.len()).min(self.below(WORDS.len()));
        WORDS[at]
    }

    pub fn words(&mut self, count: usize) -> String {
        (0..count).map(|_| self.word()).collect::<Vec<_>>().join(" ")
    }
}

pub fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

pub fn text(text: &str) -> Value {
    value(Kind::StringValue(text.to_owned()))
}

pub fn object(fields: Vec<(&str, Value)>) -> Struct {
    Struct { fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
}

/// One document under a key, the same for the same seed.
pub fn document(key: &str, seed: u64) -> Doc {
    let mut dice = Dice::new(seed);
    let sections = 1 + dice.below(4);
    let section = |dice: &mut Dice, at: usize| {
        let sentences = 1 + dice.below(12);
        let body: Vec<String> = (0..sentences)
            .map(|_| {
                let count = 3 + dice.below(14);
                format!("The {}.", dice.words(count))
            })
            .collect();
        format!("## Part {at}\n\n{}\n", body.join(" "))
    };
    let parts: Vec<String> = (0..sections).map(|at| section(&mut dice, at)).collect();
    let at = dice.below(1_000);
    let list = ["t0", "t1", "t2", "t3"].into_iter().filter(|_| dice.below(2) == 0).map(text);
    let list = ListValue { values: list.collect() };
    let mut fields = vec![
        ("number", value(Kind::NumberValue(at as f64 / 4.0 - 100.0))),
        ("tags", value(Kind::ListValue(list))),
        ("day", text(&format!("2026-{:02}-{:02}T08:00:00.00000{}Z", 1 + at % 12, 1 + at % 28, at % 10))),
        ("draft", value(Kind::BoolValue(at.is_multiple_of(2)))),
    ];
    match at % 4 {
        0 => fields.push(("place", value(Kind::StructValue(object(vec![("depot", text("north"))]))))),
        1 => fields.push(("place", value(Kind::NullValue(0)))),
        2 => fields.push(("place", text("south"))),
        _ => {}
    }
    let start = DocumentStart {
        key: key.to_owned(),
        title: format!("About the {}", dice.word()),
        format: DocumentFormat::Markdown.into(),
        source_kind: KINDS[at % KINDS.len()].into(),
        attributes: Some(object(fields)),
        ..DocumentStart::default()
    };
    let text = format!("# {}\n\n{}", dice.word(), parts.join("\n"));
    Doc { start, parts: vec![text.into_bytes().into()] }
}

/// Documents under keys `<name>/0`, `<name>/1`, …: every fourth says the same as the one before.
pub fn library(name: &str, count: usize, seed: u64) -> Vec<Doc> {
    let seed_of = |at: usize| seed * 1_000 + (if at % 4 == 3 { at - 1 } else { at }) as u64;
    (0..count).map(|at| document(&format!("{name}/{at}"), seed_of(at))).collect()
}
