//! Between `google.protobuf.Struct` and JSON. A Struct has only doubles, so a whole number becomes an integer again.
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value as Protobuf};
use serde_json::{Map, Number, Value};

/// Whole numbers up to here are exact in a double.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A Struct as JSON. What JSON cannot say (NaN, infinity, a value without a kind) becomes null.
pub fn from_struct(object: Struct) -> Value {
    Value::Object(object.fields.into_iter().map(|(name, value)| (name, from_value(value))).collect())
}

fn from_value(value: Protobuf) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(value)) => Value::Bool(value),
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::NumberValue(number)) => from_number(number),
        Some(Kind::ListValue(list)) => Value::Array(list.values.into_iter().map(from_value).collect()),
        Some(Kind::StructValue(object)) => from_struct(object),
    }
}

fn from_number(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() <= EXACT {
        return Value::from(number as i64);
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// A JSON object as a Struct.
pub fn to_struct(object: Map<String, Value>) -> Struct {
    Struct { fields: object.into_iter().map(|(name, value)| (name, to_value(value))).collect() }
}

fn to_value(value: Value) -> Protobuf {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(value),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(0.0)),
        Value::String(text) => Kind::StringValue(text),
        Value::Array(items) => {
            Kind::ListValue(ListValue { values: items.into_iter().map(to_value).collect() })
        }
        Value::Object(object) => Kind::StructValue(to_struct(object)),
    };
    Protobuf { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_round_trip() {
        let value = json!({"a": [1, 2.5, null, true, "x"], "b": {"c": {}}, "d": -7});
        let Value::Object(map) = value.clone() else { unreachable!("an object") };
        assert_eq!(from_struct(to_struct(map)), value);
    }

    #[test]
    fn what_json_cannot_say_is_null() {
        for number in [f64::NAN, f64::INFINITY] {
            assert_eq!(from_value(Protobuf { kind: Some(Kind::NumberValue(number)) }), Value::Null);
        }
        assert_eq!(from_value(Protobuf { kind: None }), Value::Null);
    }
}
