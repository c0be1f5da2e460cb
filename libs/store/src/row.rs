//! One row of a result, detached from its connection.

use std::fmt;
use std::sync::Arc;

use crate::{Kind, StoreError, Value};

/// One row of a result. Its `Debug` shows the columns, never the content.
#[derive(Clone, PartialEq)]
pub struct Row {
    names: Arc<[String]>,
    cells: Vec<Value>,
}

/// Types that a column can be read as. `Option<T>` reads NULL as `None`; every other type refuses NULL.
pub trait FromValue: Sized {
    /// What is asked for, in words for the error.
    const EXPECTED: &'static str;

    /// `None` when the cell holds something else, or a number out of range.
    fn from_value(value: &Value) -> Option<Self>;
}

impl Row {
    pub(crate) fn new(names: Arc<[String]>, cells: Vec<Value>) -> Self {
        Self { names, cells }
    }

    /// The value of a column, by name without regard to ASCII case.
    ///
    /// # Errors
    /// [`StoreError::Decode`] with the column's name when there is no such column, when it is NULL and `T` is
    /// not an `Option`, or when it holds another kind or a number out of `T`'s range.
    pub fn get<T: FromValue>(&self, column: &str) -> Result<T, StoreError> {
        let value = self.cell(column)?;
        T::from_value(value).ok_or_else(|| unexpected(column, T::EXPECTED, value))
    }

    /// The text of a column where it stands.
    ///
    /// # Errors
    /// As [`Row::get`] of a `String`.
    pub fn text(&self, column: &str) -> Result<&str, StoreError> {
        match self.cell(column)? {
            Value::Text(text) => Ok(text),
            other => Err(unexpected(column, String::EXPECTED, other)),
        }
    }

    /// The bytes of a column where they stand; `None` for NULL.
    ///
    /// # Errors
    /// As [`Row::get`] of an `Option<Vec<u8>>`.
    pub fn bytes(&self, column: &str) -> Result<Option<&[u8]>, StoreError> {
        match self.cell(column)? {
            Value::Null(_) => Ok(None),
            Value::Bytes(bytes) => Ok(Some(bytes)),
            other => Err(unexpected(column, <Vec<u8>>::EXPECTED, other)),
        }
    }

    fn cell(&self, column: &str) -> Result<&Value, StoreError> {
        let mut cells = self.names.iter().zip(&self.cells);
        let cell = cells.find(|(name, _)| name.eq_ignore_ascii_case(column));
        let missing = || StoreError::decode(column, "the result has no such column".to_owned());
        cell.map(|(_, value)| value).ok_or_else(missing)
    }
}

fn unexpected(column: &str, expected: &str, value: &Value) -> StoreError {
    StoreError::decode(column, format!("expected {expected}, found {value:?}"))
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.names.iter().zip(&self.cells)).finish()
    }
}

macro_rules! whole_numbers {
    ($($number:ty),*) => {$(
        impl FromValue for $number {
            const EXPECTED: &'static str = concat!("a whole number that fits ", stringify!($number));

            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::Int(n) => Self::try_from(*n).ok(),
                    _ => None,
                }
            }
        }
    )*};
}

whole_numbers!(i64, i32, u32, u64, usize);

impl FromValue for bool {
    const EXPECTED: &'static str = "a flag, 0 or 1";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Int(0) => Some(false),
            Value::Int(1) => Some(true),
            _ => None,
        }
    }
}

impl FromValue for f64 {
    const EXPECTED: &'static str = "a number";

    /// A whole number counts: on SQLite `COALESCE(x, 0)` is one even when `x` is a float column.
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Real(n) => Some(*n),
            Value::Int(n) => Some(*n as f64),
            _ => None,
        }
    }
}

impl FromValue for String {
    const EXPECTED: &'static str = "text";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

impl FromValue for Vec<u8> {
    const EXPECTED: &'static str = "bytes";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Bytes(bytes) => Some(bytes.clone()),
            _ => None,
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Null(_) => Some(None),
            other => T::from_value(other).map(Some),
        }
    }
}

/// What a NULL cell becomes: neither driver knows the kind of every NULL, and no reader asks for it.
pub(crate) const NULL: Value = Value::Null(Kind::Text);

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: Vec<Value>) -> Row {
        Row::new((0..cells.len()).map(|i| format!("c{i}")).collect(), cells)
    }

    #[test]
    fn columns_are_found_by_name_in_any_case() {
        let row = row(vec![Value::Int(1), Value::Text("x".into())]);
        assert_eq!(row.get::<String>("C1").unwrap(), "x");
        assert!(row.get::<bool>("c0").unwrap());
        assert_eq!(row.get::<f64>("c0").unwrap(), 1.0);
    }

    #[test]
    fn errors_name_the_column_and_not_the_content() {
        let row = row(vec![Value::Text("private".into()), NULL, Value::Int(-1)]);
        for (message, part) in [
            (row.get::<i64>("c0").unwrap_err().to_string(), "c0"),
            (row.get::<i64>("c1").unwrap_err().to_string(), "Null"),
            (row.get::<u32>("c2").unwrap_err().to_string(), "u32"),
            (row.get::<bool>("c2").unwrap_err().to_string(), "0 or 1"),
            (row.get::<i64>("zz").unwrap_err().to_string(), "zz"),
        ] {
            assert!(message.contains(part), "{message}");
            assert!(!message.contains("private"), "{message}");
        }
        assert!(!format!("{row:?}").contains("private"));
    }

    #[test]
    fn null_is_only_for_options() {
        let row = row(vec![NULL, Value::Int(5)]);
        assert_eq!(row.get::<Option<String>>("c0").unwrap(), None);
        assert_eq!(row.get::<Option<i64>>("c1").unwrap(), Some(5));
        assert!(row.get::<Vec<u8>>("c0").is_err());
    }
}
