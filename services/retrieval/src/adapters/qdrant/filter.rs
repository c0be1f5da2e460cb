//! Filters as the server's conditions, exactly.
//!
//! The server's own conditions on payloads differ from ours in small things (what "is there" means, lists in lists,
//! numbers that are whole, nanoseconds), so documents do not stand there as they are. Each path with each of its values is
//! a word of `facts`, hashed: equality is that the word is there, in any type and at any depth. Numbers and times stand
//! besides in fields named after a hash of their path, for ranges. A value of a range is one element of a list, so a time,
//! which is two numbers, is an object that is asked as a whole.

use qdrant_client::qdrant::{Condition, Filter as Conditions, Range, Value};

use super::layout::key;
use super::point::{Payload, list, object};
use crate::domain::attributes::Scalar;
use crate::domain::filter::{Bounds, Facts, FieldPath, Filter, Test};
use crate::domain::moment::Moment;
use crate::domain::source::{SourceKind, SourceKinds};

/// A word that no document has.
const NOWHERE: &str = "-";

const SECONDS: &str = "s";
const NANOS: &str = "n";

/// What a document says of itself, for filters.
pub(super) fn told(facts: &Facts) -> Payload {
    let mut words = vec![
        word("@key", &Scalar::Text(facts.key.clone())),
        word("@title", &Scalar::Text(facts.title.clone())),
        word("@document_id", &Scalar::Text(facts.id.to_string().into())),
        word("@source_kind", &Scalar::Text(facts.kind.word().into())),
        word("@content_type", &Scalar::Text(facts.content_type.word().into())),
    ];
    let mut payload = Payload::new();
    let (mut numbers, mut times) = (Payload::new(), Payload::new());
    for (path, value) in facts.attributes.pairs() {
        words.push(there(path));
        let Some(value) = value else { continue };
        words.push(word(path, value));
        match value {
            Scalar::Number(number) => push(&mut numbers, field('n', path), Value::from(*number)),
            Scalar::Text(text) => {
                if let Some(moment) = Moment::parse(text) {
                    push(&mut times, field('t', path), of_moment(moment));
                }
            }
            Scalar::Null | Scalar::Bool(_) => {}
        }
    }
    words.sort_unstable();
    words.dedup();
    payload.extend(numbers);
    payload.extend(times);
    let updated = of_moment(Moment::from_millis(facts.update_time));
    payload.insert(key::UPDATED.to_owned(), list(vec![updated]));
    payload.insert(key::FACTS.to_owned(), list(words.into_iter().map(Value::from).collect()));
    payload
}

fn push(fields: &mut Payload, field: String, value: Value) {
    let list = fields.entry(field).or_insert_with(|| list(Vec::new()));
    if let Some(qdrant_client::qdrant::value::Kind::ListValue(list)) = &mut list.kind {
        list.values.push(value);
    }
}

fn of_moment(moment: Moment) -> Value {
    let (seconds, nanos) = moment.parts();
    object([(SECONDS, Value::from(seconds)), (NANOS, Value::from(i64::from(nanos)))])
}

/// Thirty-two hexadecimal digits for a path with a value.
fn word(path: &str, value: &Scalar) -> String {
    let (kind, value) = match value {
        Scalar::Null => ("null", String::new()),
        Scalar::Bool(flag) => ("bool", flag.to_string()),
        // 0 and -0 are equal.
        Scalar::Number(number) => ("number", format!("{:x}", (number + 0.0).to_bits())),
        Scalar::Text(text) => ("text", text.to_string()),
    };
    short(&format!("{path}\0{kind}\0{value}"))
}

/// The word that says that something stands at a path.
fn there(path: &str) -> String {
    short(&format!("{path}\0there"))
}

/// The field for the values of a path that ranges are asked of.
fn field(kind: char, path: &str) -> String {
    format!("{kind}_{}", short(path))
}

fn short(text: &str) -> String {
    let mut hex = blake3::hash(text.as_bytes()).to_hex().to_string();
    hex.truncate(32);
    hex
}

/// That a document is of one of these kinds; `None` when it may be of any.
pub(super) fn of_kinds(kinds: SourceKinds) -> Option<Condition> {
    let words = SourceKind::ALL.iter().filter(|kind| kinds.contains(**kind));
    let words: Vec<String> = words.map(|kind| kind.word().to_owned()).collect();
    match words.len() {
        0 => Some(never()),
        all if all == SourceKind::ALL.len() => None,
        _ => Some(Condition::matches(key::KIND, words)),
    }
}

/// A filter as a condition.
pub(super) fn condition(filter: &Filter) -> Condition {
    match filter {
        Filter::All(filters) if filters.is_empty() => always(),
        Filter::All(filters) => Conditions::must(filters.iter().map(condition)).into(),
        Filter::Any(filters) => any(filters.iter().map(condition).collect()),
        Filter::Not(filter) => Conditions::must_not([condition(filter)]).into(),
        Filter::Field(path, test) => field_passes(path, test),
    }
}

fn field_passes(path: &FieldPath, test: &Test) -> Condition {
    let name = match path {
        FieldPath::Attribute(path) => return attribute_passes(path, test),
        FieldPath::UpdateTime => return update_passes(test),
        FieldPath::Key => "@key",
        FieldPath::Title => "@title",
        FieldPath::DocumentId => "@document_id",
        FieldPath::SourceKind => "@source_kind",
        FieldPath::ContentType => "@content_type",
    };
    match test {
        Test::OneOf(values) => one_of(values.iter().map(|value| word(name, value)).collect()),
        Test::Exists(wanted) => constant(*wanted),
        Test::Numbers(_) | Test::Times(_) | Test::OneOfTimes(_) => never(),
    }
}

fn attribute_passes(path: &str, test: &Test) -> Condition {
    match test {
        Test::OneOf(values) => one_of(values.iter().map(|value| word(path, value)).collect()),
        Test::Numbers(bounds) => Condition::range(field('n', path), range(bounds)),
        Test::Times(bounds) => within(field('t', path), bounds),
        Test::OneOfTimes(moments) => one_of_times(&field('t', path), moments),
        Test::Exists(true) => one_of(vec![there(path)]),
        Test::Exists(false) => Conditions::must_not([one_of(vec![there(path)])]).into(),
    }
}

fn update_passes(test: &Test) -> Condition {
    match test {
        Test::Times(bounds) => within(key::UPDATED.to_owned(), bounds),
        Test::OneOfTimes(moments) => one_of_times(key::UPDATED, moments),
        Test::Exists(wanted) => constant(*wanted),
        Test::OneOf(_) | Test::Numbers(_) => never(),
    }
}

fn one_of(words: Vec<String>) -> Condition {
    if words.is_empty() { never() } else { Condition::matches(key::FACTS, words) }
}

fn one_of_times(field: &str, moments: &[Moment]) -> Condition {
    let at = |moment: &Moment| {
        let end = crate::domain::filter::Bound { at: *moment, excluded: false };
        within(field.to_owned(), &Bounds { lower: Some(end), upper: Some(end) })
    };
    any(moments.iter().map(at).collect())
}

fn range(bounds: &Bounds<f64>) -> Range {
    let (mut range, lower, upper) = (Range::default(), bounds.lower, bounds.upper);
    match lower {
        Some(bound) if bound.excluded => range.gt = Some(bound.at),
        Some(bound) => range.gte = Some(bound.at),
        None => {}
    }
    match upper {
        Some(bound) if bound.excluded => range.lt = Some(bound.at),
        Some(bound) => range.lte = Some(bound.at),
        None => {}
    }
    range
}

/// That one of the times of a field is inside: seconds beyond the bound's, or the same and nanoseconds beyond.
fn within(field: String, bounds: &Bounds<Moment>) -> Condition {
    let at = |name: &str, range: Range| Condition::range(name, range);
    let same = |seconds: f64| Range { gte: Some(seconds), lte: Some(seconds), ..Range::default() };
    let side = |seconds: Range, at_seconds: f64, nanos: Range| {
        let tie = Conditions::must([at(SECONDS, same(at_seconds)), at(NANOS, nanos)]);
        Condition::from(Conditions::should([at(SECONDS, seconds), tie.into()]))
    };
    let mut sides = Vec::new();
    if let Some(bound) = &bounds.lower {
        let (seconds, nanos) = (bound.at.parts().0 as f64, f64::from(bound.at.parts().1));
        let (gt, gte) = if bound.excluded { (Some(nanos), None) } else { (None, Some(nanos)) };
        let beyond = Range { gt: Some(seconds), ..Range::default() };
        sides.push(side(beyond, seconds, Range { gt, gte, ..Range::default() }));
    }
    if let Some(bound) = &bounds.upper {
        let (seconds, nanos) = (bound.at.parts().0 as f64, f64::from(bound.at.parts().1));
        let (lt, lte) = if bound.excluded { (Some(nanos), None) } else { (None, Some(nanos)) };
        let beyond = Range { lt: Some(seconds), ..Range::default() };
        sides.push(side(beyond, seconds, Range { lt, lte, ..Range::default() }));
    }
    if sides.is_empty() {
        // A time stands there at all.
        sides.push(at(SECONDS, Range { gte: Some(f64::MIN), ..Range::default() }));
    }
    Condition::nested(field, Conditions::must(sides))
}

/// An empty `should` would let everything through.
fn any(conditions: Vec<Condition>) -> Condition {
    if conditions.is_empty() { never() } else { Conditions::should(conditions).into() }
}

fn constant(holds: bool) -> Condition {
    if holds { always() } else { never() }
}

fn never() -> Condition {
    Condition::matches(key::FACTS, NOWHERE.to_owned())
}

fn always() -> Condition {
    Conditions::must_not([never()]).into()
}
