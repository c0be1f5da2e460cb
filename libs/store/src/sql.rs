//! The text of a statement.

use std::borrow::Cow;
use std::fmt::Write;

/// The text of one SQL statement with `$1`, `$2` … for its parameters.
///
/// A literal is the usual case. An owned `String` is for statements put together from literals
/// ([`placeholders`], [`Dialect`](crate::Dialect) clauses): data never belongs into it, that is what parameters
/// are for.
#[derive(Clone, Debug)]
pub struct Sql {
    pub(crate) text: Cow<'static, str>,
    pub(crate) reusable: bool,
}

impl Sql {
    /// A statement whose text will hardly come again (an `IN` list of any length): it is not kept prepared, so
    /// it pushes no frequent statement out of the connection's cache.
    pub fn once(text: String) -> Self {
        Self { text: Cow::Owned(text), reusable: false }
    }
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Self { text: Cow::Borrowed(text), reusable: true }
    }
}

impl From<String> for Sql {
    fn from(text: String) -> Self {
        Self { text: Cow::Owned(text), reusable: true }
    }
}

/// `n` placeholders that start at `$from`, for an `IN` list: `placeholders(2, 3)` is `$2, $3, $4`.
///
/// For `n` = 0 it is `NULL`, which an `IN` list matches against nothing. SQLite takes at most 32,766 parameters
/// in a statement: callers split longer lists.
pub fn placeholders(from: usize, n: usize) -> String {
    if n == 0 {
        return "NULL".to_owned();
    }
    let mut list = String::with_capacity(n * 6);
    for number in from..from.saturating_add(n) {
        let separator = if list.is_empty() { "" } else { ", " };
        // Writing into a String cannot fail.
        let _ = write!(list, "{separator}${number}");
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_count_up_from_the_given_number() {
        assert_eq!(placeholders(1, 1), "$1");
        assert_eq!(placeholders(9, 3), "$9, $10, $11");
        assert_eq!(placeholders(4, 0), "NULL");
    }
}
