use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::attributes::Attributes;
use super::*;

fn facts(attributes: Value) -> Facts {
    let Value::Object(object) = attributes else { unreachable!("an object") };
    Facts {
        id: DocumentId::from_u128(1),
        key: "docs/a.md".into(),
        title: "Guide".into(),
        kind: SourceKind::Readme,
        content_type: ContentType::Ad,
        update_time: 1_796_022_000_000,
        attributes: Flat::of(&Attributes::new(object).unwrap()),
    }
}

fn text(value: &str) -> Scalar {
    Scalar::Text(value.into())
}

fn is(path: &str, values: &[Scalar]) -> Filter {
    let path = FieldPath::parse(path).unwrap();
    let test = Test::one_of(&path, values.to_vec()).unwrap();
    Filter::Field(path, test)
}

fn exists(path: &str, wanted: bool) -> Filter {
    Filter::Field(FieldPath::parse(path).unwrap(), Test::Exists(wanted))
}

fn bound(at: Scalar, excluded: bool) -> Option<Bound<Scalar>> {
    Some(Bound { at, excluded })
}

fn within(path: &str, lower: Option<Bound<Scalar>>, upper: Option<Bound<Scalar>>) -> Result<Filter, String> {
    let path = FieldPath::parse(path).unwrap();
    Test::within(&path, lower, upper).map(|test| Filter::Field(path, test))
}

#[test]
fn nested_paths_lists_and_missing_fields() {
    let facts = facts(
        json!({"product": {"tags": ["cold", 4]}, "authors": [{"name": "A"}, {"name": "B"}], "none": null}),
    );
    for (filter, expected) in [
        (is("product.tags", &[text("cold")]), true),
        (is("product.tags", &[text("warm"), Scalar::Number(4.0)]), true),
        (is("product", &[text("cold")]), false),
        (is("authors.name", &[text("B")]), true),
        (is("none", &[Scalar::Null]), true),
        (is("missing", &[Scalar::Null]), false),
        (exists("none", true), true),
        (exists("product", true), true),
        (exists("missing", false), true),
        (exists("missing", true), false),
        (Filter::Not(Box::new(is("missing", &[text("x")]))), true),
        (Filter::All(vec![is("none", &[Scalar::Null]), is("product.tags", &[text("x")])]), false),
        (Filter::Any(vec![is("none", &[Scalar::Null]), is("product.tags", &[text("x")])]), true),
    ] {
        assert_eq!(filter.accepts(&facts), expected, "{filter:?}");
    }
}

#[test]
fn ranges_are_over_numbers_or_times() {
    let facts = facts(json!({"price": [3, 30], "when": "2026-11-30T09:00:00+01:00", "word": "z"}));
    let holds = |filter: Result<Filter, String>| filter.unwrap().accepts(&facts);
    assert!(holds(within("price", bound(Scalar::Number(3.0), true), None)));
    assert!(!holds(within("price", bound(Scalar::Number(30.0), true), None)));
    assert!(holds(within("price", bound(Scalar::Number(30.0), false), None)));
    assert!(!holds(within("price", bound(Scalar::Number(4.0), false), bound(Scalar::Number(29.0), false))));
    let eight = || text("2026-11-30T08:00:00Z");
    assert!(holds(within("when", bound(eight(), false), bound(eight(), false))));
    assert!(!holds(within("when", bound(eight(), true), None)));
    assert!(
        !holds(within("word", bound(eight(), true), None))
            && !holds(within("price", None, bound(eight(), true)))
    );
    assert!(holds(within("@update_time", bound(text("2026-11-30T07:00:00Z"), false), None)));
    for (path, lower, upper) in [
        ("price", None, None),
        ("price", bound(Scalar::Number(1.0), false), bound(eight(), false)),
        ("price", bound(text("tomorrow"), false), None),
        ("price", bound(Scalar::Bool(true), false), None),
        ("@update_time", bound(Scalar::Number(1.0), false), None),
        ("@key", bound(eight(), false), None),
    ] {
        assert!(within(path, lower, upper).is_err(), "{path}");
    }
}

#[test]
fn own_fields_have_closed_lists() {
    let facts = facts(json!({"@key": "other"}));
    let id = DocumentId::from_u128(1).to_string();
    for (path, value) in [
        ("@key", "docs/a.md"),
        ("@title", "Guide"),
        ("@document_id", id.as_str()),
        ("@source_kind", "readme"),
        ("@content_type", "ad"),
        ("@update_time", "2026-11-30T08:00:00+01:00"),
    ] {
        assert!(is(path, &[text(value)]).accepts(&facts), "{path}");
        assert!(exists(path, true).accepts(&facts) && !exists(path, false).accepts(&facts));
    }
    for (path, value) in [
        ("@document_id", text("doc_1")),
        ("@source_kind", text("SOURCE_KIND_README")),
        ("@content_type", text("poem")),
        ("@update_time", text("yesterday")),
        ("@update_time", Scalar::Number(1.0)),
        ("@title", Scalar::Null),
    ] {
        let path = FieldPath::parse(path).unwrap();
        assert_eq!(Test::one_of(&path, vec![value]).unwrap_err().0, 0, "{path:?}");
    }
    for path in ["", "@name", "a..b", ".a", "a.", &"x".repeat(513)] {
        assert!(FieldPath::parse(path).is_err(), "{path}");
    }
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i32..4).prop_map(|number| json!(f64::from(number))),
        "[ab]{0,1}".prop_map(Value::from),
    ]
}

fn tree() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[xyz]", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Everything at a path, by walking the tree: what the flat form must agree with.
fn walk<'a>(value: &'a Value, path: &[&str], into: &mut Vec<&'a Value>) {
    if let Value::Array(list) = value {
        list.iter().for_each(|value| walk(value, path, into));
    }
    match (path.split_first(), value) {
        (None, value) => into.push(value),
        (Some((name, rest)), Value::Object(object)) => {
            object.get(*name).into_iter().for_each(|value| walk(value, rest, into));
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn tests_agree_with_a_walk_of_the_tree(
        members in prop::collection::btree_map("[xyz]", tree(), 0..3),
        path in prop::collection::vec("[xyz]", 1..4),
        wanted in prop::collection::vec(scalar(), 1..3),
        low in -3i32..4,
    ) {
        let root = Value::Object(members.into_iter().collect());
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        let mut found = Vec::new();
        walk(&root, &names, &mut found);
        let path = path.join(".");
        let facts = facts(root.clone());
        let scalars: Vec<Scalar> = wanted.iter().filter_map(Scalar::of).collect();
        let equal = found.iter().any(|value| wanted.contains(value));
        prop_assert_eq!(is(&path, &scalars).accepts(&facts), equal);
        prop_assert_eq!(exists(&path, true).accepts(&facts), !found.is_empty());
        let above = found.iter().any(|value| value.as_f64().is_some_and(|number| number > f64::from(low)));
        let filter = within(&path, bound(Scalar::Number(f64::from(low)), true), None).unwrap();
        prop_assert_eq!(filter.accepts(&facts), above);
    }

    #[test]
    fn not_turns_all_into_any(members in prop::collection::btree_map("[xyz]", scalar(), 0..3), names in prop::collection::vec("[xyz]", 1..4)) {
        let facts = facts(Value::Object(members.into_iter().collect()));
        let each: Vec<Filter> = names.iter().map(|name| is(name, &[text("a")])).collect();
        let none = Filter::All(each.iter().cloned().map(|filter| Filter::Not(Box::new(filter))).collect());
        prop_assert_eq!(Filter::Not(Box::new(Filter::Any(each))).accepts(&facts), none.accepts(&facts));
    }
}
