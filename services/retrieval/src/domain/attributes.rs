//! What a caller says of a document beside its text: a JSON object, and the flat form in which filters read it.

use serde_json::{Map, Value};

/// Most bytes of the object as JSON.
pub const LARGEST: usize = 16 * 1024;
/// How deep objects and lists may stand in each other, the object itself included.
pub const DEEPEST: usize = 8;

/// What a caller says of a document beside its text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes(Map<String, Value>);

impl Attributes {
    /// An object as attributes.
    ///
    /// # Errors
    /// What is wrong with it, for the caller.
    pub fn new(object: Map<String, Value>) -> Result<Self, String> {
        if !object.values().all(|value| depth_fits(value, DEEPEST - 1)) {
            return Err(format!("must not be more than {DEEPEST} levels deep"));
        }
        let attributes = Self(object);
        let length = attributes.json().len();
        if length > LARGEST {
            return Err(format!("must be at most {LARGEST} bytes as JSON, are {length}"));
        }
        Ok(attributes)
    }

    /// The object.
    pub fn object(&self) -> &Map<String, Value> {
        &self.0
    }

    /// As JSON, with the names of each object in one order, so that equal attributes are equal texts.
    pub fn json(&self) -> String {
        // A map that keeps the order of insertion would tell it here; names are sorted where they come in.
        Value::Object(sorted(&self.0)).to_string()
    }

    /// Reads what [`json`](Self::json) wrote.
    ///
    /// # Errors
    /// When it is no JSON object.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text).map(Self)
    }
}

fn sorted(object: &Map<String, Value>) -> Map<String, Value> {
    let mut members: Vec<_> = object.iter().collect();
    members.sort_unstable_by_key(|(name, _)| name.as_str());
    members.into_iter().map(|(name, value)| (name.clone(), sorted_value(value))).collect()
}

fn sorted_value(value: &Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(sorted(object)),
        Value::Array(list) => Value::Array(list.iter().map(sorted_value).collect()),
        scalar => scalar.clone(),
    }
}

fn depth_fits(value: &Value, left: usize) -> bool {
    match value {
        Value::Object(object) => left > 0 && object.values().all(|value| depth_fits(value, left - 1)),
        Value::Array(list) => left > 0 && list.iter().all(|value| depth_fits(value, left - 1)),
        _ => true,
    }
}

/// A value that stands at some path.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// JSON's null.
    Null,
    /// A flag.
    Bool(bool),
    /// A number, never NaN.
    Number(f64),
    /// A string.
    Text(Box<str>),
}

impl Scalar {
    /// The value if it is neither an object nor a list.
    pub fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Number(number) => Self::Number(number.as_f64()?),
            Value::String(text) => Self::Text(text.as_str().into()),
            Value::Array(_) | Value::Object(_) => return None,
        })
    }
}

/// Attributes as pairs of path and value, in order of path: small, and quick to ask. The elements of a list all stand at
/// the list's path; `None` says that an object or a list stands there, be it empty.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Flat(Box<[(Box<str>, Option<Scalar>)]>);

impl Flat {
    /// Attributes in their flat form.
    pub fn of(attributes: &Attributes) -> Self {
        let mut pairs = Vec::new();
        for (name, value) in &attributes.0 {
            flatten(name, value, &mut pairs);
        }
        pairs.sort_by(|left, right| left.0.cmp(&right.0));
        Self(pairs.into_boxed_slice())
    }

    /// What stands at a path; empty when the path leads nowhere.
    pub fn at(&self, path: &str) -> &[(Box<str>, Option<Scalar>)] {
        let start = self.0.partition_point(|(own, _)| own.as_ref() < path);
        let length = self.0[start..].iter().take_while(|(own, _)| own.as_ref() == path).count();
        &self.0[start..start + length]
    }

    /// Everything: paths with what stands there, in order of path.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, Option<&Scalar>)> {
        self.0.iter().map(|(path, value)| (path.as_ref(), value.as_ref()))
    }

    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        let text = |value: &Option<Scalar>| match value {
            Some(Scalar::Text(text)) => text.len() + HEAP,
            _ => 0,
        };
        let pair = size_of::<(Box<str>, Option<Scalar>)>() + HEAP;
        self.0.iter().map(|(path, value)| pair + path.len() + text(value)).sum()
    }
}

/// What an allocation costs beside its content.
const HEAP: usize = 16;

fn flatten(path: &str, value: &Value, into: &mut Vec<(Box<str>, Option<Scalar>)>) {
    into.push((path.into(), Scalar::of(value)));
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                flatten(&format!("{path}.{name}"), value, into);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| flatten(path, value, into)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn attributes(value: Value) -> Result<Attributes, String> {
        let Value::Object(object) = value else { unreachable!("an object") };
        Attributes::new(object)
    }

    #[test]
    fn limits_are_told() {
        assert!(attributes(json!({"a": "x".repeat(LARGEST)})).unwrap_err().contains("16384 bytes"));
        let mut value = json!(1);
        for _ in 0..DEEPEST - 1 {
            value = json!([value]);
        }
        assert!(attributes(json!({"a": value.clone()})).is_ok());
        assert!(attributes(json!({"a": {"b": value}})).unwrap_err().contains("levels"));
    }

    #[test]
    fn json_does_not_depend_on_the_order_of_names() {
        let one = attributes(json!({"b": {"y": 1, "x": [{"d": 1, "c": 2}]}, "a": null})).unwrap();
        let other = attributes(json!({"a": null, "b": {"x": [{"c": 2, "d": 1}], "y": 1}})).unwrap();
        assert_eq!(one.json(), other.json());
        assert_eq!(Attributes::from_json(&one.json()).unwrap(), one);
    }

    #[test]
    fn paths_lead_through_objects_and_lists() {
        let flat =
            Flat::of(&attributes(json!({"p": {"v": 1}, "l": [{"x": "a"}, {"x": "b"}], "e": []})).unwrap());
        let at = |path: &str| flat.at(path).iter().filter_map(|(_, value)| value.clone()).collect::<Vec<_>>();
        assert_eq!(at("p.v"), [Scalar::Number(1.0)]);
        assert_eq!(at("l.x"), [Scalar::Text("a".into()), Scalar::Text("b".into())]);
        assert_eq!((flat.at("e").len(), flat.at("p").len(), flat.at("q").len()), (1, 1, 0));
        assert!(flat.bytes() > 100);
    }
}
