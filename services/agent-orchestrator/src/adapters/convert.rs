//! Between domain values and the messages that several contracts share.
use copydesk_proto::types::v1 as pb;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Timestamp, Value};
use serde_json::{Map, Number, Value as Json};

use crate::domain::passage::{Citation, Passage, Span};
use crate::domain::run::Usage;
use crate::domain::spec::ContentType;

/// The largest whole number that a double holds exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

pub(crate) fn content_type(content: ContentType) -> pb::ContentType {
    match content {
        ContentType::Blog => pb::ContentType::Blog,
        ContentType::Social => pb::ContentType::Social,
        ContentType::Ad => pb::ContentType::Ad,
    }
}

/// `None` for UNSPECIFIED and unknown numbers.
pub(crate) fn content_type_of(number: i32) -> Option<ContentType> {
    match pb::ContentType::try_from(number).ok()? {
        pb::ContentType::Unspecified => None,
        pb::ContentType::Blog => Some(ContentType::Blog),
        pb::ContentType::Social => Some(ContentType::Social),
        pb::ContentType::Ad => Some(ContentType::Ad),
    }
}

pub(crate) fn span(start: u64, end: u64) -> pb::Span {
    pb::Span { start, end }
}

pub(crate) fn passage_of(passage: pb::Passage) -> Passage {
    let span = passage.span.unwrap_or_default();
    Passage {
        passage_id: passage.passage_id,
        document_id: passage.document_id,
        document_version: passage.document_version,
        title: passage.title,
        source_kind: passage.source_kind,
        span: Span { start: span.start, end: span.end },
        text: passage.text,
        score: passage.score,
        source_uri: passage.source_uri,
    }
}

pub(crate) fn passage(passage: &Passage) -> pb::Passage {
    pb::Passage {
        passage_id: passage.passage_id.clone(),
        document_id: passage.document_id.clone(),
        document_version: passage.document_version,
        title: passage.title.clone(),
        source_kind: passage.source_kind,
        span: Some(span(passage.span.start, passage.span.end)),
        text: passage.text.clone(),
        score: passage.score,
        source_uri: passage.source_uri.clone(),
    }
}

pub(crate) fn citation(citation: Citation) -> pb::Citation {
    pb::Citation {
        passage_id: citation.passage_id,
        document_id: citation.document_id,
        document_version: citation.document_version,
        title: citation.title,
        source_kind: citation.source_kind,
        span: Some(span(citation.span.start, citation.span.end)),
        quote: citation.quote,
    }
}

pub(crate) fn usage_of(usage: Option<pb::TokenUsage>) -> Usage {
    let usage = usage.unwrap_or_default();
    Usage {
        input_tokens: usage.input_tokens,
        cached_input_tokens: usage.cached_input_tokens,
        output_tokens: usage.output_tokens,
        estimated: usage.estimated,
    }
}

pub(crate) fn usage(usage: Usage) -> pb::TokenUsage {
    pb::TokenUsage {
        input_tokens: usage.input_tokens,
        cached_input_tokens: usage.cached_input_tokens,
        output_tokens: usage.output_tokens,
        estimated: usage.estimated,
    }
}

/// Milliseconds since 1970 as a timestamp.
pub(crate) fn timestamp(ms: i64) -> Timestamp {
    let nanos = i32::try_from(ms.rem_euclid(1_000) * 1_000_000).unwrap_or(0);
    Timestamp { seconds: ms.div_euclid(1_000), nanos }
}

/// A timestamp as milliseconds since 1970, rounded down; `None` when it is not a valid one.
pub(crate) fn millis_of(time: &Timestamp) -> Option<i64> {
    let valid = (0..1_000_000_000).contains(&time.nanos)
        && (-62_135_596_800..253_402_300_800).contains(&time.seconds);
    valid.then(|| time.seconds * 1_000 + i64::from(time.nanos) / 1_000_000)
}

/// A JSON object as a protobuf struct; anything else becomes an empty one.
pub(crate) fn to_struct(json: &Json) -> Struct {
    match to_value(json).kind {
        Some(Kind::StructValue(object)) => object,
        _ => Struct::default(),
    }
}

fn to_value(json: &Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(flag) => Kind::BoolValue(*flag),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(items) => Kind::ListValue(ListValue { values: items.iter().map(to_value).collect() }),
        Json::Object(fields) => Kind::StructValue(Struct {
            fields: fields.iter().map(|(name, value)| (name.clone(), to_value(value))).collect(),
        }),
    };
    Value { kind: Some(kind) }
}

/// A protobuf struct as a JSON object.
pub(crate) fn to_json(object: Struct) -> Json {
    Json::Object(
        object.fields.into_iter().map(|(name, value)| (name, value_json(value))).collect::<Map<_, _>>(),
    )
}

fn value_json(value: Value) -> Json {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(flag)) => Json::Bool(flag),
        Some(Kind::NumberValue(number)) => number_json(number),
        Some(Kind::StringValue(text)) => Json::String(text),
        Some(Kind::ListValue(list)) => Json::Array(list.values.into_iter().map(value_json).collect()),
        Some(Kind::StructValue(object)) => to_json(object),
    }
}

/// A struct knows doubles only: a whole number becomes an integer again, so that fields of integer type take it.
fn number_json(number: f64) -> Json {
    if number.fract() == 0.0 && number.abs() < EXACT {
        return Json::from(number as i64);
    }
    Number::from_f64(number).map_or(Json::Null, Json::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_survives_the_struct() {
        let json = json!({"a": [1, 2.5, "x", null, true], "b": {"c": -3}, "big": 1e300});
        assert_eq!(to_json(to_struct(&json)), json);
        assert_eq!(to_struct(&json!([1])), Struct::default());
        assert_eq!(number_json(f64::NAN), Json::Null);
    }

    #[test]
    fn times_round_trip_and_nonsense_is_refused() {
        for ms in [0, 1, -1, 1_700_000_000_123, -62_135_596_800_000] {
            assert_eq!(millis_of(&timestamp(ms)), Some(ms));
        }
        assert_eq!(millis_of(&Timestamp { seconds: i64::MAX, nanos: 0 }), None);
        assert_eq!(millis_of(&Timestamp { seconds: 0, nanos: -1 }), None);
    }
}
