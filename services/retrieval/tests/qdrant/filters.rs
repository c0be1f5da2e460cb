//! Filters hold exactly, on both legs, and as many passages come as there are.

use copydesk_proto::retrieval::v1::field_condition::Test;
use copydesk_proto::retrieval::v1::filter::Condition;
use copydesk_proto::retrieval::v1::{FieldCondition, Filter, FilterList, Range, SearchRequest, ValueList};
use prost_types::Value;
use prost_types::value::Kind;

use crate::common::letters::{Model, embedders};
use crate::common::request;
use crate::library::{Dice, library, text, value};
use crate::pair::{ends, pairs};

fn field(path: &str, test: Test) -> Filter {
    let field = FieldCondition { path: path.to_owned(), test: Some(test) };
    Filter { condition: Some(Condition::Field(field)) }
}

fn number(number: f64) -> Value {
    value(Kind::NumberValue(number))
}

fn between(path: &str, gte: Option<Value>, lt: Option<Value>) -> Filter {
    field(path, Test::Range(Range { gte, lt, ..Range::default() }))
}

fn any_of(path: &str, values: Vec<Value>) -> Filter {
    field(path, Test::AnyOf(ValueList { values }))
}

/// Conditions of every kind, some of which nothing passes.
fn leaves() -> Vec<Filter> {
    vec![
        field("tags", Test::Equals(text("t1"))),
        any_of("tags", vec![text("t0"), text("t3"), number(4.0)]),
        field("tags", Test::Exists(true)),
        field("place", Test::Exists(false)),
        field("place", Test::Equals(value(Kind::NullValue(0)))),
        field("place.depot", Test::Equals(text("north"))),
        field("place", Test::Equals(text("south"))),
        field("draft", Test::Equals(value(Kind::BoolValue(true)))),
        field("draft", Test::Equals(text("true"))),
        field("number", Test::Equals(number(-100.0))),
        between("number", Some(number(0.0)), None),
        between("number", Some(number(-50.25)), Some(number(75.5))),
        field(
            "number",
            Test::Range(Range { gt: Some(number(10.0)), lte: Some(number(10.25)), ..Range::default() }),
        ),
        between("tags", Some(number(0.0)), None),
        between("day", Some(text("2026-03-01T00:00:00Z")), None),
        between("day", None, Some(text("2026-06-15T08:00:00.000004Z"))),
        field(
            "day",
            Test::Range(Range {
                gt: Some(text("2026-02-14T08:00:00.000001Z")),
                lte: Some(text("2026-09-21T10:00:00.000008+02:00")),
                ..Range::default()
            }),
        ),
        any_of("@key", vec![text("a/3"), text("a/4"), text("a/99")]),
        field("@source_kind", Test::Equals(text("issue"))),
        field("@title", Test::Equals(text("About the van"))),
        field("@content_type", Test::Equals(text("blog"))),
        between("@update_time", Some(text("2020-01-01T00:00:00Z")), None),
        between("@update_time", None, Some(text("2020-01-01T00:00:00.000000001Z"))),
        field("@update_time", Test::Exists(false)),
        field("@key", Test::Exists(true)),
        field("missing.path", Test::Equals(text("x"))),
    ]
}

/// A filter of filters, so many deep.
fn made(dice: &mut Dice, depth: usize) -> Filter {
    let leaves = leaves();
    if depth == 0 {
        return leaves[dice.below(leaves.len())].clone();
    }
    let parts = |dice: &mut Dice| FilterList {
        filters: (0..1 + dice.below(3)).map(|_| made(dice, depth - 1)).collect(),
    };
    let condition = match dice.below(4) {
        0 => Condition::All(parts(dice)),
        1 => Condition::Any(parts(dice)),
        2 => Condition::Not(Box::new(made(dice, depth - 1))),
        _ => return leaves[dice.below(leaves.len())].clone(),
    };
    Filter { condition: Some(condition) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_filter_lets_the_same_documents_through() {
    let models = [Model::new("test/old", 26, 0)];
    for pair in pairs(&embedders(&models)).await {
        ends(async {
            let two = pair.tenant(1);
            let base = two.embedded.new_base("company").await.knowledge_base_id;
            two.embedded.ingest("r", &base, &library("a", 40, 3)).await;
            let mut dice = Dice::new(7);
            let mut filters = leaves();
            filters.extend((0..24).map(|at| made(&mut dice, 1 + at % 3)));
            let (mut some, mut none) = (0, 0);
            for filter in filters {
                let query = dice.words(3);
                let search = SearchRequest { filter: Some(filter), ..request(&[&base], &query, 60) };
                // The dense leg finds every chunk, so that what comes is what the filter lets through.
                let all = two.search(search.clone()).await.hits.len();
                let few = two.search(SearchRequest { top_k: 3, ..search }).await.hits.len();
                assert_eq!(few, all.min(3), "k come when k exist");
                if all == 0 { none += 1 } else { some += 1 }
            }
            assert!(some > 30 && none > 5, "{some} {none}");
        })
        .await;
        pair.end().await;
    }
}
