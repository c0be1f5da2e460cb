//! Why a document does not pass a filter, in words.

use super::{Facts, FieldPath, Filter, Test};

impl Filter {
    /// The first condition that does not hold of a document; `None` when the filter holds.
    pub fn failing(&self, facts: &Facts) -> Option<String> {
        if self.accepts(facts) {
            return None;
        }
        Some(match self {
            Self::All(filters) => filters.iter().find_map(|filter| filter.failing(facts))?,
            Self::Any(filters) => {
                let each: Vec<String> = filters.iter().filter_map(|filter| filter.failing(facts)).collect();
                format!("none of these holds: {}", each.join("; "))
            }
            Self::Not(filter) => format!("holds and must not: {}", filter.words()),
            Self::Field(path, test) => words(path, test),
        })
    }

    fn words(&self) -> String {
        let list = |filters: &[Self]| filters.iter().map(Self::words).collect::<Vec<_>>().join("; ");
        match self {
            Self::All(filters) => format!("all of: {}", list(filters)),
            Self::Any(filters) => format!("any of: {}", list(filters)),
            Self::Not(filter) => format!("not: {}", filter.words()),
            Self::Field(path, test) => words(path, test),
        }
    }
}

/// The values are the caller's own, but long ones are of no use here.
fn words(path: &FieldPath, test: &Test) -> String {
    let path = path.name();
    match test {
        Test::OneOf(values) => format!("`{path}` is one of {} values", values.len()),
        Test::OneOfTimes(values) => format!("`{path}` is one of {} times", values.len()),
        Test::Numbers(_) => format!("`{path}` is a number in the range"),
        Test::Times(_) => format!("`{path}` is a time in the range"),
        Test::Exists(true) => format!("`{path}` is there"),
        Test::Exists(false) => format!("`{path}` is not there"),
    }
}

impl FieldPath {
    /// The path as a caller writes it.
    fn name(&self) -> &str {
        match self {
            Self::Attribute(path) => path,
            Self::Key => "@key",
            Self::Title => "@title",
            Self::DocumentId => "@document_id",
            Self::SourceKind => "@source_kind",
            Self::ContentType => "@content_type",
            Self::UpdateTime => "@update_time",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::index::fixture::facts;
    use super::super::super::source::SourceKind;
    use super::*;

    #[test]
    fn the_first_condition_that_fails_is_named() {
        let facts = facts(1, SourceKind::Post);
        let exists =
            |path: &str, wanted| Filter::Field(FieldPath::parse(path).unwrap(), Test::Exists(wanted));
        let good = exists("@key", true);
        assert_eq!(good.failing(&facts), None);
        let all = Filter::All(vec![good.clone(), exists("lang.code", true), exists("@title", false)]);
        assert_eq!(all.failing(&facts).unwrap(), "`lang.code` is there");
        let not = Filter::Not(Box::new(Filter::Any(vec![good.clone(), exists("x", true)])));
        assert_eq!(not.failing(&facts).unwrap(), "holds and must not: any of: `@key` is there; `x` is there");
        let any = Filter::Any(vec![exists("x", true), exists("y", true)]);
        assert_eq!(any.failing(&facts).unwrap(), "none of these holds: `x` is there; `y` is there");
    }
}
