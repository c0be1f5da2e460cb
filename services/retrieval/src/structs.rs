//! JSON as protobuf's `Struct`.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value as PbValue};
use serde_json::{Map, Value};

/// An object; its numbers become doubles.
pub(crate) fn of_object(object: &Map<String, Value>) -> Struct {
    Struct { fields: object.iter().map(|(name, value)| (name.clone(), of_value(value))).collect() }
}

fn of_value(value: &Value) -> PbValue {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(list) => Kind::ListValue(ListValue { values: list.iter().map(of_value).collect() }),
        Value::Object(object) => Kind::StructValue(of_object(object)),
    };
    PbValue { kind: Some(kind) }
}
