//! Attributes: protobuf's `Struct` into JSON and back.

use prost_types::value::Kind;
use prost_types::{Struct, Value as PbValue};
use serde_json::{Map, Number, Value};

use crate::domain::attributes::{Attributes, DEEPEST};
use crate::structs;

/// What a caller says of a document; absent is nothing.
///
/// # Errors
/// What is wrong with it, for the caller.
pub(super) fn attributes(message: Option<Struct>) -> Result<Attributes, String> {
    Attributes::new(object(message.unwrap_or_default(), DEEPEST)?)
}

/// As it was said; nothing is absent.
pub(super) fn message(attributes: &Attributes) -> Option<Struct> {
    let object = attributes.object();
    (!object.is_empty()).then(|| structs::of_object(object))
}

/// The levels are counted here too: a message may be deeper than a walk of it should be.
fn object(message: Struct, levels: usize) -> Result<Map<String, Value>, String> {
    if levels == 0 {
        return Err(format!("must not be more than {DEEPEST} levels deep"));
    }
    let members = message.fields.into_iter();
    members
        .map(|(name, member)| match name.as_str() {
            "" => Err("must not have empty names".to_owned()),
            _ => Ok((name, value(member, levels - 1)?)),
        })
        .collect()
}

fn value(message: PbValue, levels: usize) -> Result<Value, String> {
    Ok(match message.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(flag)) => Value::Bool(flag),
        Some(Kind::NumberValue(number)) => {
            Value::Number(Number::from_f64(number).ok_or("must have finite numbers only")?)
        }
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::StructValue(inner)) => Value::Object(object(inner, levels)?),
        Some(Kind::ListValue(_)) if levels == 0 => {
            return Err(format!("must not be more than {DEEPEST} levels deep"));
        }
        Some(Kind::ListValue(list)) => {
            let values = list.values.into_iter().map(|item| value(item, levels - 1));
            Value::Array(values.collect::<Result<_, _>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, value: impl Into<PbValue>) -> Struct {
        Struct { fields: [(name.to_owned(), value.into())].into() }
    }

    #[test]
    fn what_was_said_comes_back() {
        let inner = of("deep", vec![PbValue::from(1.5), PbValue::from("a"), PbValue::from(true)]);
        let said = of("a", PbValue { kind: Some(Kind::StructValue(inner)) });
        let read = attributes(Some(said.clone())).unwrap();
        assert_eq!(read.json(), r#"{"a":{"deep":[1.5,"a",true]}}"#);
        assert_eq!(message(&read), Some(said));
        assert_eq!(message(&attributes(None).unwrap()), None);
    }

    #[test]
    fn what_json_cannot_say_is_refused() {
        assert!(attributes(Some(of("a", f64::NAN))).unwrap_err().contains("finite"));
        assert!(attributes(Some(of("", 1.0))).unwrap_err().contains("empty"));
        let mut list = PbValue::from(1.0);
        for _ in 0..DEEPEST {
            list = PbValue::from(vec![list]);
        }
        assert!(attributes(Some(of("a", list))).unwrap_err().contains("levels"));
    }
}
