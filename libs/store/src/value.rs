//! Parameters and cells, the same for both databases.

use std::fmt;

use crate::StoreError;

/// The four storage kinds both databases share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `BIGINT`
    Int,
    /// `DOUBLE PRECISION`
    Real,
    /// `TEXT`
    Text,
    /// `BYTEA`
    Bytes,
}

/// One parameter of a statement. Its `Debug` shows kind and size but never content, so that it may be logged.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// No value. PostgreSQL wants to know of which kind.
    Null(Kind),
    /// A whole number; flags are 0 and 1.
    Int(i64),
    /// A float. NaN is refused when it is bound: SQLite would store NULL.
    Real(f64),
    /// Text. The character U+0000 is refused when it is bound: PostgreSQL cannot store it.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// Types whose absence (`None`) has a known storage kind.
pub trait Typed: Into<Value> {
    /// The kind of column that such a value goes into.
    const KIND: Kind;
}

impl Value {
    /// Refuses what one of the two databases would store differently or not at all.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let reason = match self {
            Self::Text(text) if text.contains('\0') => "text contains the character U+0000",
            Self::Real(number) if number.is_nan() => "the number is NaN",
            _ => return Ok(()),
        };
        Err(StoreError::Invalid { reason: reason.to_owned(), source: None })
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null(kind) => write!(f, "Null({kind:?})"),
            Self::Int(_) => f.write_str("Int"),
            Self::Real(_) => f.write_str("Real"),
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
        }
    }
}

macro_rules! values {
    ($($from:ty => $kind:ident, $value:ident => $make:expr;)*) => {$(
        impl From<$from> for Value {
            fn from($value: $from) -> Self {
                Self::$kind($make)
            }
        }

        impl Typed for $from {
            const KIND: Kind = Kind::$kind;
        }
    )*};
}

values! {
    i64 => Int, n => n;
    i32 => Int, n => i64::from(n);
    u32 => Int, n => i64::from(n);
    bool => Int, flag => i64::from(flag);
    f64 => Real, n => n;
    &str => Text, text => text.to_owned();
    String => Text, text => text;
    &String => Text, text => text.clone();
    &[u8] => Bytes, bytes => bytes.to_vec();
    Vec<u8> => Bytes, bytes => bytes;
    &Vec<u8> => Bytes, bytes => bytes.clone();
}

impl<const N: usize> From<[u8; N]> for Value {
    fn from(bytes: [u8; N]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(bytes: &[u8; N]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl<T: Typed> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null(T::KIND), Into::into)
    }
}

/// The parameters of a statement as an array: `db.execute(SQL, &params![id, text, None::<i64>])`.
#[macro_export]
macro_rules! params {
    () => { [] as [$crate::Value; 0] };
    ($($value:expr),+ $(,)?) => { [$($crate::Value::from($value)),+] };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_know_their_kind_even_when_absent() {
        let parameters = params![7_i64, true, 0.5, "a", b"xy", None::<String>, Some(3_u32), None::<&[u8]>];
        let expected = [
            Value::Int(7),
            Value::Int(1),
            Value::Real(0.5),
            Value::Text("a".into()),
            Value::Bytes(b"xy".to_vec()),
            Value::Null(Kind::Text),
            Value::Int(3),
            Value::Null(Kind::Bytes),
        ];
        assert_eq!(parameters, expected);
        assert_eq!(params![].len(), 0);
    }

    #[test]
    fn content_is_not_in_the_debug_form() {
        let shown = format!("{:?}", params!["my secret", b"key"]);
        assert_eq!(shown, "[Text(9 bytes), Bytes(3 bytes)]");
    }

    #[test]
    fn what_one_database_cannot_keep_is_refused() {
        assert!(Value::from("a\0b").check().is_err());
        assert!(Value::from(f64::NAN).check().is_err());
        assert!(Value::from(f64::INFINITY).check().is_ok());
    }
}
