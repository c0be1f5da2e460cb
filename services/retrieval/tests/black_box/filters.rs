//! Filters: what callers say of documents, and searches and lists that see only some of them.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the lint's exception for tests does not see the cases as tests"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::{Bench, Doc, Tenant, benches_with, doc, parts, refusal, request};
use copydesk_proto::retrieval::v1::field_condition::Test;
use copydesk_proto::retrieval::v1::filter::Condition;
use copydesk_proto::retrieval::v1::{
    FieldCondition, Filter, FilterList, ListDocumentsRequest, Range, SearchHit, SearchMode, SearchRequest,
    ValueList,
};
use copydesk_proto::types::v1::SourceKind;
use copydesk_retrieval::Config;
use copydesk_retrieval::ports::{EmbedError, Embedded, Embedder, Purpose};
use prost_types::value::Kind;
use prost_types::{Struct, Value};
use tonic::Code;

/// Every text is the same to it; it counts them.
#[derive(Default)]
struct CountingEmbedder {
    texts: AtomicUsize,
}

#[async_trait::async_trait]
impl Embedder for CountingEmbedder {
    fn id(&self) -> &str {
        "test/counting"
    }

    fn dimensions(&self) -> usize {
        2
    }

    async fn embed(&self, texts: Vec<String>, _: Purpose) -> Result<Vec<Embedded>, EmbedError> {
        self.texts.fetch_add(texts.len(), Ordering::SeqCst);
        Ok(texts.iter().map(|_| vec![1.0, 2.0].into()).collect())
    }
}

async fn on_each(embedder: Option<Arc<CountingEmbedder>>, case: impl AsyncFn(&Bench, &Tenant, &str)) {
    let embedder = embedder.map(|embedder| embedder as Arc<dyn Embedder>);
    for bench in benches_with(Config::default(), embedder).await {
        println!("on {}", bench.name);
        let tenant = bench.tenant(1);
        let base = tenant.new_base("company").await.knowledge_base_id;
        case(&bench, &tenant, &base).await;
        bench.database.close().await;
    }
}

fn object(members: &[(&str, Value)]) -> Struct {
    Struct { fields: members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect() }
}

fn nested(members: &[(&str, Value)]) -> Value {
    Value { kind: Some(Kind::StructValue(object(members))) }
}

fn field(path: &str, test: Test) -> Filter {
    Filter { condition: Some(Condition::Field(FieldCondition { path: path.into(), test: Some(test) })) }
}

fn is(path: &str, value: impl Into<Value>) -> Filter {
    field(path, Test::Equals(value.into()))
}

fn all(filters: Vec<Filter>) -> Filter {
    Filter { condition: Some(Condition::All(FilterList { filters })) }
}

fn not(filter: Filter) -> Filter {
    Filter { condition: Some(Condition::Not(Box::new(filter))) }
}

fn from(path: &str, least: impl Into<Value>) -> Filter {
    field(path, Test::Range(Range { gte: Some(least.into()), ..Range::default() }))
}

/// Sixty documents that say the same, so that any of them could be among the best.
fn sixty() -> Vec<Doc> {
    let doc = |at: usize| {
        let mut doc =
            doc(&format!("docs/{at}.md"), SourceKind::Post, "# Van\n\nThe cold van is on its tour.");
        let tags = vec![Value::from(format!("t{}", at % 5)), Value::from("all")];
        let day = format!("2026-11-{:02}T08:00:00Z", at % 30 + 1);
        let fleet = nested(&[("depot", Value::from(if at % 20 == 7 { "north" } else { "south" }))]);
        let mut members =
            vec![("number", Value::from(at as f64)), ("tags", tags.into()), ("day", day.into())];
        if at.is_multiple_of(2) {
            members.push(("fleet", fleet));
        }
        doc.start.attributes = Some(object(&members));
        doc
    };
    (0..60).map(doc).collect()
}

async fn hits(tenant: &Tenant, base: &str, filter: Filter, top_k: u32) -> Vec<SearchHit> {
    let request = SearchRequest { filter: Some(filter), ..request(&[base], "cold van", top_k) };
    tenant.search_with(request).await.unwrap().hits
}

/// The numbers of the documents that a filter shows, in a search and in a list alike.
async fn shown(tenant: &Tenant, base: &str, filter: Filter) -> Vec<usize> {
    let documents = tenant.documents(base).await;
    let number = |id: &str| {
        let found = documents.iter().find(|document| document.document_id == id).unwrap();
        found.key.trim_start_matches("docs/").trim_end_matches(".md").parse::<usize>().unwrap()
    };
    let found = hits(tenant, base, filter.clone(), 100).await;
    let mut found: Vec<usize> =
        found.iter().map(|hit| number(&hit.passage.as_ref().unwrap().document_id)).collect();
    found.sort_unstable();
    let (mut listed, mut page_token) = (Vec::new(), String::new());
    loop {
        let knowledge_base_id = base.to_owned();
        let filter = Some(filter.clone());
        let list = ListDocumentsRequest {
            knowledge_base_id,
            page_size: 7,
            page_token,
            filter,
            ..Default::default()
        };
        let page = tenant.run(tenant.knowledge().list_documents(list)).await.unwrap().into_inner();
        listed.extend(page.documents.iter().map(|document| number(&document.document_id)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert!(listed.is_sorted_by(|left, right| left > right), "newest first");
    listed.reverse();
    assert_eq!(found, listed);
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_hold_on_every_leg_and_k_come_when_k_exist() {
    for embedder in [None, Some(Arc::new(CountingEmbedder::default()))] {
        let mode = if embedder.is_some() { SearchMode::Hybrid } else { SearchMode::Lexical };
        on_each(embedder, async |_, tenant, base| {
            tenant.ingest("r", base, &sixty()).await;
            let matching = |wanted: fn(usize) -> bool| (0..60).filter(|at| wanted(*at)).collect::<Vec<_>>();
            for (filter, expected) in [
                (is("number", 7.0), matching(|at| at == 7)),
                (is("tags", "t3"), matching(|at| at % 5 == 3)),
                (is("fleet.depot", "south"), matching(|at| at % 2 == 0)),
                (not(is("fleet.depot", "south")), matching(|at| at % 2 == 1)),
                (field("fleet", Test::Exists(false)), matching(|at| at % 2 == 1)),
                (from("number", 50.0), matching(|at| at >= 50)),
                (from("day", "2026-11-28T00:00:00+01:00"), matching(|at| at % 30 >= 27)),
                (all(vec![is("tags", "t3"), from("number", 30.0)]), matching(|at| at % 5 == 3 && at >= 30)),
                (is("@key", "docs/12.md"), matching(|at| at == 12)),
                (is("missing", "x"), vec![]),
            ] {
                assert_eq!(shown(tenant, base, filter.clone()).await, expected, "{filter:?}");
            }
            assert_eq!(hits(tenant, base, is("tags", "t3"), 5).await.len(), 5);
            let any = ValueList { values: vec![1.0.into(), 2.0.into(), "x".into()] };
            let exact = SearchRequest {
                filter: Some(field("number", Test::AnyOf(any))),
                exact: true,
                ..request(&[base], "cold van", 9)
            };
            let answer = tenant.search_with(exact).await.unwrap();
            assert_eq!((answer.hits.len(), answer.mode()), (2, mode));
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_of_a_document_changes_without_its_bytes() {
    let embedder = Arc::new(CountingEmbedder::default());
    on_each(Some(embedder.clone()), async |_, tenant, base| {
        let mut docs =
            [doc("a", SourceKind::Post, "The cold van."), doc("b", SourceKind::Post, "The cold van.")];
        // Another title would be embedded: the tests of embedders have that.
        docs[0].start.title = "Zeppelin".into();
        docs[0].start.attributes = Some(object(&[("state", "draft".into())]));
        docs[0].start.source_uri = "https://example.com/a".into();
        tenant.ingest("r1", base, &docs).await;
        let draft = hits(tenant, base, is("state", "draft"), 9).await;
        let before = (tenant.base(base).await, embedder.texts.load(Ordering::SeqCst));
        let old = tenant.document(&draft[0].passage.as_ref().unwrap().document_id).await.unwrap();
        assert_eq!(old.source_uri, "https://example.com/a");

        docs[0].start.attributes = Some(object(&[("state", "final".into())]));
        docs[0].start.source_kind = SourceKind::Issue.into();
        docs[0].start.source_uri = String::new();
        let ended = tenant.ingest("r2", base, &docs).await;
        assert_eq!((ended.documents_done, ended.documents_unchanged, ended.chunks_written), (1, 1, 0));
        assert!(hits(tenant, base, is("state", "draft"), 9).await.is_empty());
        let found = hits(tenant, base, is("state", "final"), 9).await.pop().unwrap().passage.unwrap();
        let passage = draft[0].passage.as_ref().unwrap();
        assert_eq!((&found.passage_id, found.title.as_str()), (&passage.passage_id, "Zeppelin"));
        assert_eq!(found.source_kind(), SourceKind::Issue);
        let titled = tenant.search(base, "zeppelin", 9).await;
        let lexical = titled.iter().filter(|hit| hit.lexical_rank.is_some()).count();
        assert_eq!(lexical, 1, "found by its title");
        let new = tenant.document(&found.document_id).await.unwrap();
        assert_eq!((new.version, new.update_time, new.source_uri.as_str()), (1, old.update_time, ""));
        assert_eq!(new.attributes, docs[0].start.attributes);
        // The other two questions were asked before.
        let queries = 1;
        assert_eq!(embedder.texts.load(Ordering::SeqCst), before.1 + queries, "only queries were embedded");
        assert_eq!(tenant.base(base).await.version, before.0.version + 1);

        docs[0].start.title = String::new();
        let same = tenant.ingest("r3", base, &docs).await;
        assert_eq!((same.documents_done, same.documents_unchanged), (0, 2), "no title keeps the one that is");
        let other = tenant.send(parts("r3", base, &docs[..1])).await.unwrap_err();
        assert_eq!(other.code(), Code::AlreadyExists);
        docs[0].start.attributes = None;
        let other = tenant.send(parts("r3", base, &docs)).await.unwrap_err();
        assert_eq!(other.code(), Code::AlreadyExists, "attributes are part of an upload's body");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_filters_and_attributes_are_refused() {
    on_each(None, async |_, tenant, base| {
        tenant.ingest("r", base, &sixty()[..3]).await;
        let bad = all(vec![
            Filter { condition: None },
            is("@name", "x"),
            is("number", f64::NAN),
            from("number", true),
        ]);
        let fields: Vec<String> =
            ["filters[0]", "filters[1].field.path", "filters[2].field.equals", "filters[3].field.range"]
                .map(|field| format!("filter.all.{field}"))
                .into();
        let search = SearchRequest { filter: Some(bad.clone()), ..request(&[base], "van", 5) };
        let refused = tenant.search_with(search).await.unwrap_err();
        assert_eq!(refusal(&refused), (Code::InvalidArgument, fields.clone()));
        let knowledge_base_id = base.to_owned();
        let list = ListDocumentsRequest { knowledge_base_id, filter: Some(bad), ..Default::default() };
        let refused = tenant.run(tenant.knowledge().list_documents(list.clone())).await.unwrap_err();
        assert_eq!(refusal(&refused), (Code::InvalidArgument, fields));

        let page = |filter, page_token| ListDocumentsRequest {
            filter: Some(filter),
            page_size: 1,
            page_token,
            ..list.clone()
        };
        let first = page(is("tags", "all"), String::new());
        let token =
            tenant.run(tenant.knowledge().list_documents(first)).await.unwrap().into_inner().next_page_token;
        let other = page(is("tags", "t1"), token);
        let refused = tenant.run(tenant.knowledge().list_documents(other)).await.unwrap_err();
        assert_eq!(refusal(&refused).1, ["page_token"], "a page belongs to its filter");

        let mut docs = [
            doc("big", SourceKind::Post, "x"),
            doc("nan", SourceKind::Post, "x"),
            doc("uri", SourceKind::Post, "x"),
        ];
        docs[0].start.attributes = Some(object(&[("a", "x".repeat(16 * 1024).into())]));
        docs[1].start.attributes = Some(object(&[("a", f64::INFINITY.into())]));
        docs[2].start.source_uri = "x".repeat(2049);
        let refused = tenant.send(parts("r2", base, &docs)).await.unwrap_err();
        let fields = ["document[big].attributes", "document[nan].attributes", "document[uri].source_uri"];
        assert_eq!(refusal(&refused), (Code::InvalidArgument, fields.map(str::to_owned).into()));
    })
    .await;
}
