//! Conditions on documents. Made at the door from a message, asked once for each document, before anything is ranked.

mod failing;

use super::attributes::{Flat, Scalar};
use super::moment::Moment;
use super::records::Document;
use super::source::{ContentType, SourceKind};
use copydesk_types::DocumentId;

/// A condition on a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// Every one holds.
    All(Vec<Filter>),
    /// At least one holds.
    Any(Vec<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// A field passes a test.
    Field(FieldPath, Test),
}

/// Which field is tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldPath {
    /// What stands at a dotted path of the attributes.
    Attribute(Box<str>),
    /// The caller's key.
    Key,
    /// The title.
    Title,
    /// The id.
    DocumentId,
    /// The kind of source.
    SourceKind,
    /// The kind of content.
    ContentType,
    /// When the bytes last changed.
    UpdateTime,
}

/// What is asked of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// It is one of these.
    OneOf(Vec<Scalar>),
    /// It is a number in this range.
    Numbers(Bounds<f64>),
    /// It is a time in this range.
    Times(Bounds<Moment>),
    /// It is one of these times.
    OneOfTimes(Vec<Moment>),
    /// It is there, or not.
    Exists(bool),
}

/// A range; a side without a bound is open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds<T> {
    /// Not below this, and not this when it is excluded.
    pub lower: Option<Bound<T>>,
    /// Not above this, and not this when it is excluded.
    pub upper: Option<Bound<T>>,
}

/// One side of a range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound<T> {
    /// Where it ends.
    pub at: T,
    /// Whether the end is outside.
    pub excluded: bool,
}

impl<T: PartialOrd> Bounds<T> {
    /// Whether a value is inside.
    pub fn contain(&self, value: &T) -> bool {
        let above =
            self.lower.as_ref().is_none_or(|low| *value > low.at || (!low.excluded && *value == low.at));
        let below =
            self.upper.as_ref().is_none_or(|high| *value < high.at || (!high.excluded && *value == high.at));
        above && below
    }
}

/// Longest path, in bytes.
const LONGEST_PATH: usize = 512;

impl FieldPath {
    /// Reads a path.
    ///
    /// # Errors
    /// What is wrong with it, for the caller.
    pub fn parse(path: &str) -> Result<Self, String> {
        if path.is_empty() || path.len() > LONGEST_PATH {
            return Err(format!("must have 1 to {LONGEST_PATH} bytes"));
        }
        match path {
            "@key" => Ok(Self::Key),
            "@title" => Ok(Self::Title),
            "@document_id" => Ok(Self::DocumentId),
            "@source_kind" => Ok(Self::SourceKind),
            "@content_type" => Ok(Self::ContentType),
            "@update_time" => Ok(Self::UpdateTime),
            _ if path.starts_with('@') => {
                Err("must be an attribute's path or @key, @title, @document_id, @source_kind, @content_type \
                     or @update_time"
                    .to_owned())
            }
            _ if path.split('.').any(str::is_empty) => {
                Err("must not have empty names between dots".to_owned())
            }
            _ => Ok(Self::Attribute(path.into())),
        }
    }
}

impl Test {
    /// That a field is one of these values.
    ///
    /// # Errors
    /// Which value the field can never have, by its place, and why.
    pub fn one_of(path: &FieldPath, values: Vec<Scalar>) -> Result<Self, (usize, String)> {
        if *path == FieldPath::UpdateTime {
            let moment = |(at, value): (usize, &Scalar)| match value {
                Scalar::Text(text) => Moment::parse(text).ok_or((at, NO_TIME.to_owned())),
                _ => Err((at, NO_TIME.to_owned())),
            };
            return values.iter().enumerate().map(moment).collect::<Result<_, _>>().map(Self::OneOfTimes);
        }
        match values.iter().enumerate().find_map(|(at, value)| Some((at, misfit(path, value)?))) {
            Some(fault) => Err(fault),
            None => Ok(Self::OneOf(values)),
        }
    }

    /// That a field is in a range.
    ///
    /// # Errors
    /// Why the field can never be in it.
    pub fn within(
        path: &FieldPath,
        lower: Option<Bound<Scalar>>,
        upper: Option<Bound<Scalar>>,
    ) -> Result<Self, String> {
        if !matches!(path, FieldPath::Attribute(_) | FieldPath::UpdateTime) {
            return Err("cannot be tested by a range".to_owned());
        }
        if lower.is_none() && upper.is_none() {
            return Err("must have at least one bound".to_owned());
        }
        let times = (side(lower.as_ref(), time), side(upper.as_ref(), time));
        if let (Some(lower), Some(upper)) = times {
            return Ok(Self::Times(Bounds { lower, upper }));
        }
        let numbers = (side(lower.as_ref(), number), side(upper.as_ref(), number));
        match numbers {
            (Some(lower), Some(upper)) if *path != FieldPath::UpdateTime => {
                Ok(Self::Numbers(Bounds { lower, upper }))
            }
            _ if *path == FieldPath::UpdateTime => Err(NO_TIME.to_owned()),
            _ => Err("must have bounds that are all numbers or all RFC 3339 times".to_owned()),
        }
    }
}

const NO_TIME: &str = "must be an RFC 3339 time, for example 2026-11-30T08:00:00Z";

/// A bound of one type; `None` when it is there and of another.
fn side<T>(bound: Option<&Bound<Scalar>>, read: fn(&Scalar) -> Option<T>) -> Option<Option<Bound<T>>> {
    let Some(bound) = bound else { return Some(None) };
    read(&bound.at).map(|at| Some(Bound { at, excluded: bound.excluded }))
}

fn time(value: &Scalar) -> Option<Moment> {
    if let Scalar::Text(text) = value { Moment::parse(text) } else { None }
}

fn number(value: &Scalar) -> Option<f64> {
    if let Scalar::Number(number) = value { Some(*number) } else { None }
}

/// Why a field can never have a value.
fn misfit(path: &FieldPath, value: &Scalar) -> Option<String> {
    let Scalar::Text(text) = value else {
        return (!matches!(path, FieldPath::Attribute(_)))
            .then(|| "must be a string for this field".to_owned());
    };
    let (known, what) = match path {
        FieldPath::SourceKind => (SourceKind::from_word(text).is_some(), "a source kind, for example readme"),
        FieldPath::ContentType => {
            (ContentType::from_word(text).is_some(), "a content type, for example blog")
        }
        FieldPath::DocumentId => (text.parse::<DocumentId>().is_ok(), "a document id, doc_…"),
        _ => (true, ""),
    };
    (!known).then(|| format!("must be {what}"))
}

/// What filters may ask of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Its id.
    pub id: DocumentId,
    /// The caller's key for it.
    pub key: Box<str>,
    /// Its title.
    pub title: Box<str>,
    /// What kind of source it is.
    pub kind: SourceKind,
    /// What kind of content it is.
    pub content_type: ContentType,
    /// When its bytes last changed, in milliseconds since 1970, UTC.
    pub update_time: i64,
    /// What the caller said of it.
    pub attributes: Flat,
}

impl Facts {
    /// The facts of a document.
    pub fn of(document: &Document) -> Self {
        Self {
            id: document.id,
            key: document.key.as_str().into(),
            title: document.title.as_str().into(),
            kind: document.source_kind,
            content_type: document.content_type,
            update_time: document.update_time,
            attributes: Flat::of(&document.attributes),
        }
    }
}

impl Filter {
    /// Whether it holds of a document.
    pub fn accepts(&self, facts: &Facts) -> bool {
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.accepts(facts)),
            Self::Any(filters) => filters.iter().any(|filter| filter.accepts(facts)),
            Self::Not(filter) => !filter.accepts(facts),
            Self::Field(path, test) => passes(path, test, facts),
        }
    }
}

fn passes(path: &FieldPath, test: &Test, facts: &Facts) -> bool {
    let text = match path {
        FieldPath::Attribute(path) => return attribute_passes(path, test, &facts.attributes),
        FieldPath::UpdateTime => return moment_passes(test, Moment::from_millis(facts.update_time)),
        FieldPath::DocumentId => &*facts.id.to_string(),
        FieldPath::Key => &facts.key,
        FieldPath::Title => &facts.title,
        FieldPath::SourceKind => facts.kind.word(),
        FieldPath::ContentType => facts.content_type.word(),
    };
    match test {
        Test::OneOf(values) => {
            values.iter().any(|value| matches!(value, Scalar::Text(wanted) if wanted.as_ref() == text))
        }
        Test::Exists(wanted) => *wanted,
        Test::Numbers(_) | Test::Times(_) | Test::OneOfTimes(_) => false,
    }
}

fn moment_passes(test: &Test, moment: Moment) -> bool {
    match test {
        Test::OneOfTimes(moments) => moments.contains(&moment),
        Test::Times(bounds) => bounds.contain(&moment),
        Test::Exists(wanted) => *wanted,
        Test::OneOf(_) | Test::Numbers(_) => false,
    }
}

fn attribute_passes(path: &str, test: &Test, attributes: &Flat) -> bool {
    let found = attributes.at(path);
    let mut values = found.iter().filter_map(|(_, value)| value.as_ref());
    match test {
        Test::OneOf(wanted) => values.any(|value| wanted.contains(value)),
        Test::Numbers(bounds) => values.filter_map(number).any(|number| bounds.contain(&number)),
        Test::Times(bounds) => values.filter_map(time).any(|moment| bounds.contain(&moment)),
        Test::OneOfTimes(moments) => values.filter_map(time).any(|moment| moments.contains(&moment)),
        Test::Exists(wanted) => found.is_empty() != *wanted,
    }
}

#[cfg(test)]
mod tests;
