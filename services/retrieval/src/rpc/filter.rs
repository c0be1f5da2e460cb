//! Filters: messages into conditions. Every fault is told with the path of the field it is in.

use copydesk_proto::retrieval::v1 as pb;
use copydesk_rpc::Violations;
use pb::field_condition::Test as PbTest;
use pb::filter::Condition;
use prost_types::value::Kind;

use crate::domain::attributes::Scalar;
use crate::domain::filter::{Bound, FieldPath, Filter, Test};

/// Levels of a filter.
const DEEPEST: usize = 8;
/// Conditions of a filter, lists and negations included.
const MOST: usize = 256;
/// Filters of one list.
const LONGEST: usize = 64;
/// Values of one test.
const VALUES: usize = 256;

/// A filter, if it is there and has no fault.
pub(super) fn filter(
    field: &str,
    message: Option<pb::Filter>,
    violations: &mut Violations,
) -> Option<Filter> {
    let message = message?;
    let mut reader = Reader { left: MOST, violations };
    reader.filter(field, message, DEEPEST)
}

/// Reads conditions until there are too many.
struct Reader<'a> {
    left: usize,
    violations: &'a mut Violations,
}

impl Reader<'_> {
    fn fault<T>(&mut self, field: impl Into<String>, what: impl Into<String>) -> Option<T> {
        self.violations.push(field, what);
        None
    }

    fn filter(&mut self, field: &str, message: pb::Filter, levels: usize) -> Option<Filter> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        if self.left == 0 {
            return self.fault(field, format!("must not come after more than {} conditions", MOST - 1));
        }
        if levels == 0 {
            return self.fault(field, format!("must not be more than {DEEPEST} levels deep"));
        }
        match message.condition {
            Some(Condition::All(list)) => self.list(&format!("{field}.all"), list, levels).map(Filter::All),
            Some(Condition::Any(list)) => self.list(&format!("{field}.any"), list, levels).map(Filter::Any),
            Some(Condition::Not(inner)) => {
                let inner = self.filter(&format!("{field}.not"), *inner, levels - 1)?;
                Some(Filter::Not(Box::new(inner)))
            }
            Some(Condition::Field(condition)) => self.condition(&format!("{field}.field"), condition),
            None => self.fault(field, "must have a condition"),
        }
    }

    fn list(&mut self, field: &str, list: pb::FilterList, levels: usize) -> Option<Vec<Filter>> {
        let count = list.filters.len();
        if !(1..=LONGEST).contains(&count) {
            return self.fault(format!("{field}.filters"), format!("must be 1 to {LONGEST}, are {count}"));
        }
        let filters = list.filters.into_iter().enumerate();
        // All of them are read, so that the faults of each are told.
        let read: Vec<Option<Filter>> = filters
            .map(|(at, filter)| self.filter(&format!("{field}.filters[{at}]"), filter, levels - 1))
            .collect();
        read.into_iter().collect()
    }

    fn condition(&mut self, field: &str, condition: pb::FieldCondition) -> Option<Filter> {
        let path = match FieldPath::parse(&condition.path) {
            Ok(path) => path,
            Err(fault) => return self.fault(format!("{field}.path"), fault),
        };
        let test = match condition.test {
            Some(PbTest::Equals(value)) => {
                let field = format!("{field}.equals");
                let value = self.scalar(&field, Some(value))?;
                match Test::one_of(&path, vec![value]) {
                    Ok(test) => test,
                    Err((_, fault)) => return self.fault(field, fault),
                }
            }
            Some(PbTest::AnyOf(list)) => self.any_of(&format!("{field}.any_of.values"), &path, list)?,
            Some(PbTest::Range(range)) => self.range(&format!("{field}.range"), &path, range)?,
            Some(PbTest::Exists(wanted)) => Test::Exists(wanted),
            None => return self.fault(field, "must have a test"),
        };
        Some(Filter::Field(path, test))
    }

    fn any_of(&mut self, field: &str, path: &FieldPath, list: pb::ValueList) -> Option<Test> {
        let count = list.values.len();
        if !(1..=VALUES).contains(&count) {
            return self.fault(field, format!("must be 1 to {VALUES}, are {count}"));
        }
        let values = list.values.into_iter().enumerate();
        let read: Vec<Option<Scalar>> =
            values.map(|(at, value)| self.scalar(&format!("{field}[{at}]"), Some(value))).collect();
        match Test::one_of(path, read.into_iter().collect::<Option<_>>()?) {
            Ok(test) => Some(test),
            Err((at, fault)) => self.fault(format!("{field}[{at}]"), fault),
        }
    }

    fn range(&mut self, field: &str, path: &FieldPath, range: pb::Range) -> Option<Test> {
        let lower = self.side(field, ("gt", range.gt), ("gte", range.gte))?;
        let upper = self.side(field, ("lt", range.lt), ("lte", range.lte))?;
        match Test::within(path, lower, upper) {
            Ok(test) => Some(test),
            Err(fault) => self.fault(field, fault),
        }
    }

    /// One side of a range: the bound that is set, if one is.
    fn side(&mut self, field: &str, open: Given, closed: Given) -> Option<Option<Bound<Scalar>>> {
        let (excluded, (name, value)) = match (&open.1, &closed.1) {
            (Some(_), Some(_)) => {
                return self.fault(field, format!("must have one of {} and {}, not both", open.0, closed.0));
            }
            (Some(_), None) => (true, open),
            (None, Some(_)) => (false, closed),
            (None, None) => return Some(None),
        };
        let at = self.scalar(&format!("{field}.{name}"), value)?;
        Some(Some(Bound { at, excluded }))
    }

    fn scalar(&mut self, field: &str, value: Option<prost_types::Value>) -> Option<Scalar> {
        match value.and_then(|value| value.kind) {
            Some(Kind::NullValue(_)) => Some(Scalar::Null),
            Some(Kind::BoolValue(flag)) => Some(Scalar::Bool(flag)),
            Some(Kind::NumberValue(number)) if number.is_finite() => Some(Scalar::Number(number)),
            Some(Kind::NumberValue(_)) => self.fault(field, "must be a finite number"),
            Some(Kind::StringValue(text)) => Some(Scalar::Text(text.into())),
            Some(Kind::StructValue(_) | Kind::ListValue(_)) | None => {
                self.fault(field, "must be a string, a number, a boolean or null")
            }
        }
    }
}

/// A bound by its name, as it came.
type Given = (&'static str, Option<prost_types::Value>);

#[cfg(test)]
mod tests {
    use super::*;

    fn field(path: &str, test: Option<PbTest>) -> pb::Filter {
        let condition = pb::FieldCondition { path: path.into(), test };
        pb::Filter { condition: Some(Condition::Field(condition)) }
    }

    fn equals(path: &str, value: impl Into<prost_types::Value>) -> pb::Filter {
        field(path, Some(PbTest::Equals(value.into())))
    }

    fn all(filters: Vec<pb::Filter>) -> pb::Filter {
        pb::Filter { condition: Some(Condition::All(pb::FilterList { filters })) }
    }

    fn faults(message: pb::Filter) -> Vec<String> {
        let mut violations = Violations::new();
        let read = filter("filter", Some(message), &mut violations);
        let status = violations.finish().map_or_else(tonic::Status::from, |()| tonic::Status::ok(""));
        let details = tonic_types::StatusExt::get_error_details(&status);
        let fields: Vec<String> = details
            .bad_request()
            .map(|bad| bad.field_violations.iter().map(|fault| fault.field.clone()).collect())
            .unwrap_or_default();
        assert_eq!(read.is_some(), fields.is_empty(), "a filter is read or refused");
        fields
    }

    #[test]
    fn every_fault_is_told_with_its_path() {
        let number = |number: f64| Some(prost_types::Value::from(number));
        let range = |range: pb::Range| field("n", Some(PbTest::Range(range)));
        let list =
            |values: Vec<prost_types::Value>| field("n", Some(PbTest::AnyOf(pb::ValueList { values })));
        let message = all(vec![
            equals("a", "good"),
            pb::Filter { condition: None },
            equals("@name", "x"),
            equals("a", f64::NAN),
            equals("a", vec![prost_types::Value::from(1.0)]),
            field("a", None),
            list(vec![]),
            list(vec![1.0.into(), f64::INFINITY.into()]),
            field(
                "@source_kind",
                Some(PbTest::AnyOf(pb::ValueList { values: vec!["post".into(), "poem".into()] })),
            ),
            range(pb::Range::default()),
            range(pb::Range { gt: number(1.0), gte: number(1.0), ..Default::default() }),
            range(pb::Range {
                gt: number(1.0),
                lt: Some("2026-11-30T08:00:00Z".into()),
                ..Default::default()
            }),
            all(vec![]),
        ]);
        let expected = [
            "filter.all.filters[1]",
            "filter.all.filters[2].field.path",
            "filter.all.filters[3].field.equals",
            "filter.all.filters[4].field.equals",
            "filter.all.filters[5].field",
            "filter.all.filters[6].field.any_of.values",
            "filter.all.filters[7].field.any_of.values[1]",
            "filter.all.filters[8].field.any_of.values[1]",
            "filter.all.filters[9].field.range",
            "filter.all.filters[10].field.range",
            "filter.all.filters[11].field.range",
            "filter.all.filters[12].all.filters",
        ];
        assert_eq!(faults(message), expected);
    }

    #[test]
    fn size_and_depth_are_bounded() {
        let mut deep = equals("a", true);
        for _ in 0..DEEPEST - 1 {
            deep = pb::Filter { condition: Some(Condition::Not(Box::new(deep))) };
        }
        assert!(faults(deep.clone()).is_empty());
        assert_eq!(faults(all(vec![deep])).len(), 1);
        assert!(faults(all(vec![equals("a", true); LONGEST])).is_empty());
        assert_eq!(faults(all(vec![equals("a", true); LONGEST + 1])), ["filter.all.filters"]);
        let many = all(vec![all(vec![equals("a", true); LONGEST]); 5]);
        assert_eq!(faults(many).len(), 1, "the fault that ends the reading is told once");
    }
}
