//! Bad input, broken streams, strangers, crashes: nothing is stored half-way, nothing leaks, every fault is named.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see the cases as tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::{Bench, Doc, Tenant, benches, doc, part, parts, refusal, request, rows, start, thirty};
use bytes::Bytes;
use copydesk_proto::retrieval::v1::ingest_request::Part;
use copydesk_proto::retrieval::v1::{
    CreateKnowledgeBaseRequest, DeleteDocumentRequest, DeleteKnowledgeBaseRequest, Filter,
    GetDocumentRequest, GetIngestionRequest, GetKnowledgeBaseRequest, GetPassageRequest, IngestRequest,
    ListDocumentsRequest, ListKnowledgeBasesRequest, SearchRequest, WatchIngestionRequest,
};
use copydesk_proto::types::v1::{ContentType, SourceKind};
use copydesk_rpc::testing;
use copydesk_types::{Scopes, TenantId};
use tokio_stream::StreamExt;
use tonic::{Code, Status};

macro_rules! on_every_bench {
    ($($name:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            for bench in benches().await {
                println!("on {}", bench.name);
                cases::$name(&bench).await;
                bench.database.close().await;
            }
        }
    )*};
}

on_every_bench! {
    every_fault_of_a_request_is_named_at_once
    every_fault_of_an_upload_is_named_and_nothing_is_stored
    a_hundred_megabytes_are_refused_early
    utf8_may_be_cut_between_parts_but_not_broken
    a_broken_stream_stores_nothing
    pages_follow_each_other_and_tokens_are_bound
    a_stranger_finds_nothing_and_moves_no_score
    a_key_without_the_scope_may_not
}

fn refused<T>(answer: Result<T, Status>) -> (Code, Vec<String>) {
    refusal(&answer.map(|_| ()).unwrap_err())
}

fn invalid(fields: &[&str]) -> (Code, Vec<String>) {
    (Code::InvalidArgument, fields.iter().map(|field| (*field).to_owned()).collect())
}

/// Waits until a table has as many rows as wanted, without a clock of its own.
async fn until_rows(bench: &Bench, table: &str, wanted: impl Fn(i64) -> bool) {
    let look = async {
        while !wanted(rows(&bench.database, table).await) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), look).await.unwrap();
}

async fn nothing_is_stored(bench: &Bench) {
    for table in ["ingestion", "document", "document_text", "passage", "chunk"] {
        assert_eq!(rows(&bench.database, table).await, 0, "{table}");
    }
    until_rows(bench, "ingestion_item", |rows| rows == 0).await;
}

mod cases {
    use super::*;

    pub async fn every_fault_of_a_request_is_named_at_once(bench: &Bench) {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("x").await.knowledge_base_id;
        let create = CreateKnowledgeBaseRequest {
            request_id: "\0".repeat(129),
            name: String::new(),
            ..Default::default()
        };
        let answer = tenant.run(tenant.knowledge().create_knowledge_base(create)).await;
        assert_eq!(refused(answer), invalid(&["request_id", "request_id", "name"]));
        let list = ListDocumentsRequest {
            knowledge_base_id: "kb_1".into(),
            source_kind: 99,
            content_type: 99,
            ..ListDocumentsRequest::default()
        };
        let answer = tenant.run(tenant.knowledge().list_documents(list)).await;
        assert_eq!(refused(answer), invalid(&["knowledge_base_id", "source_kind", "content_type"]));
        let page = ListKnowledgeBasesRequest { page_size: 501, page_token: "nonsense".into() };
        let answer = tenant.run(tenant.knowledge().list_knowledge_bases(page)).await;
        assert_eq!(refused(answer), invalid(&["page_size", "page_token"]));
        let search = SearchRequest {
            knowledge_base_ids: vec![base.clone(), "doc_1".into()],
            query: String::new(),
            top_k: 101,
            content_type: 7,
            source_kinds: vec![SourceKind::Post.into(), 42],
            exclude_source_kinds: vec![0],
            filter: Some(Filter { condition: None }),
            exact: true,
            ..SearchRequest::default()
        };
        let fields = [
            "knowledge_base_ids[1]",
            "query",
            "top_k",
            "content_type",
            "source_kinds[1]",
            "exclude_source_kinds[0]",
            "filter",
        ];
        assert_eq!(refused(tenant.search_with(search).await), invalid(&fields));
        let many = vec![base.as_str(); 17];
        assert_eq!(
            refused(tenant.search_with(request(&many, "x", 1)).await),
            invalid(&["knowledge_base_ids"])
        );
        let long = "é".repeat(4097);
        assert_eq!(refused(tenant.search_with(request(&[&base], &long, 1)).await), invalid(&["query"]));
        let most = "é".repeat(4096);
        assert!(tenant.search_with(request(&[&base], &most, 100)).await.unwrap().hits.is_empty());
    }

    pub async fn every_fault_of_an_upload_is_named_and_nothing_is_stored(bench: &Bench) {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("x").await.knowledge_base_id;
        let good = doc("good", SourceKind::Post, "good");
        let mut bad = doc("bad", SourceKind::Post, "bad");
        bad.start.title = "x".repeat(501);
        (bad.start.format, bad.start.source_kind, bad.start.content_type) = (0, 99, 99);
        let docs = [good.clone(), bad, good.clone(), doc("", SourceKind::Post, "no key")];
        let fields = [
            "document[bad].title",
            "document[bad].format",
            "document[bad].source_kind",
            "document[bad].content_type",
            "document[good].key",
            "document[].key",
        ];
        assert_eq!(refused(tenant.send(parts("r", &base, &docs)).await), invalid(&fields));

        let content = |bytes: Vec<u8>| part(Part::Content(Bytes::from(bytes)));
        let with = |more: Vec<IngestRequest>| {
            let mut all = parts("r", &base, std::slice::from_ref(&good));
            all.extend(more);
            all
        };
        for (messages, expected) in [
            (vec![], vec!["start"]),
            (vec![content(vec![b'x'])], vec!["start"]),
            (vec![start("r", &base)], vec!["document"]),
            (vec![start("", "kb_x")], vec!["request_id", "knowledge_base_id"]),
            (vec![start("r", &base), content(vec![b'x'])], vec!["content"]),
            (with(vec![start("r", &base)]), vec!["start"]),
            (with(vec![IngestRequest { part: None }]), vec!["part"]),
            (with(vec![content(vec![b'x'; (1 << 20) + 1])]), vec!["document[good].content"]),
        ] {
            assert_eq!(refused(tenant.send(messages).await), invalid(&expected));
        }
        let unknown = TenantId::from_u128(5).to_string().replace("ten_", "kb_");
        let answer = tenant.send(parts("r", &unknown, std::slice::from_ref(&good))).await;
        assert_eq!(refused(answer), (Code::NotFound, vec![]));
        nothing_is_stored(bench).await;
        assert_eq!(
            tenant.ingest("r", &base, &[good]).await.documents_done,
            1,
            "the request id is still free"
        );
    }

    pub async fn a_hundred_megabytes_are_refused_early(bench: &Bench) {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("x").await.knowledge_base_id;
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&sent);
        let megabyte = Bytes::from(vec![b'x'; 1 << 20]);
        let head = parts("r", &base, &[doc("huge.md", SourceKind::Post, "")]);
        let body = (0..100).map(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            part(Part::Content(megabyte.clone()))
        });
        let mut client = tenant.ingestions();
        let answer = tenant.run(client.ingest(tokio_stream::iter(head.into_iter().chain(body)))).await;
        let status = answer.map(|_| ()).unwrap_err();
        assert_eq!(refusal(&status), invalid(&["document[huge.md].content"]));
        assert!(format!("{status:?}").contains("16777216"), "the limit is named");
        let sent = sent.load(Ordering::SeqCst);
        assert!((17..60).contains(&sent), "{sent} megabytes were read");
        nothing_is_stored(bench).await;
    }

    pub async fn utf8_may_be_cut_between_parts_but_not_broken(bench: &Bench) {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("x").await.knowledge_base_id;
        let text = "naïve 👩‍👩‍👧 ꙮ wombat";
        let mut cut = doc("cut", SourceKind::Post, "");
        cut.parts = text.bytes().map(|byte| Bytes::from(vec![byte])).collect();
        tenant.ingest("r1", &base, &[cut]).await;
        let found = tenant.search(&base, "wombat", 1).await.pop().unwrap().passage.unwrap();
        assert_eq!((found.text.as_str(), found.span.unwrap().end), (text, text.len() as u64));
        assert_eq!(tenant.document(&found.document_id).await.unwrap().text, text);

        for broken in [&b"ok \xff no"[..], b"ends inside \xc3", b"\xed\xa0\x80"] {
            let docs = [doc("fine", SourceKind::Post, "fine"), doc("broken", SourceKind::Post, broken)];
            let answer = tenant.send(parts("r2", &base, &docs)).await;
            assert_eq!(refused(answer), invalid(&["document[broken].content"]));
        }
        assert_eq!(tenant.documents(&base).await.len(), 1);
        let zero = "a zero \0 between kiwis";
        tenant.ingest("r3", &base, &[doc("zero", SourceKind::Post, zero)]).await;
        let found = tenant.search(&base, "kiwis", 1).await.pop().unwrap().passage.unwrap();
        // Models and databases refuse it: a space of the same width stands in its place.
        assert_eq!(found.text, zero.replace('\0', " "));
    }

    pub async fn a_broken_stream_stores_nothing(bench: &Bench) {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("x").await.knowledge_base_id;
        let big = doc("big", SourceKind::Post, "word ".repeat(300_000));
        let docs = [big, doc("next", SourceKind::Post, "next")];
        let endless = tokio_stream::iter(parts("r", &base, &docs)).chain(tokio_stream::pending());
        let mut client = tenant.ingestions();
        let call = tenant.run(client.ingest(endless));
        tokio::select! {
            _ = call => unreachable!("the stream never ends"),
            () = until_rows(bench, "ingestion_item", |rows| rows > 0) => {}
        }
        nothing_is_stored(bench).await;
        assert_eq!(rows(&bench.database, "request").await, 1, "only that of the knowledge base");
        assert_eq!(tenant.ingest("r", &base, &docs[1..]).await.documents_done, 1);
    }

    pub async fn pages_follow_each_other_and_tokens_are_bound(bench: &Bench) {
        let (tenant, stranger) = (bench.tenant(1), bench.tenant(2));
        let base = tenant.new_base("a").await.knowledge_base_id;
        for name in ["b", "c"] {
            tenant.new_base(name).await;
        }
        tenant.ingest("r", &base, &thirty()).await;
        let page = |token: String| ListDocumentsRequest {
            knowledge_base_id: base.clone(),
            page_size: 13,
            page_token: token,
            ..ListDocumentsRequest::default()
        };
        let (mut seen, mut token, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let list = tenant.run(tenant.knowledge().list_documents(page(token.clone()))).await.unwrap();
            let list = list.into_inner();
            seen.extend(list.documents.into_iter().map(|document| document.document_id));
            pages += 1;
            if list.next_page_token.is_empty() {
                break;
            }
            token = list.next_page_token;
        }
        assert_eq!((pages, seen.len()), (3, 30));
        assert!(seen.is_sorted_by(|a, b| a > b), "newest first, each once");
        let other = ListDocumentsRequest { content_type: ContentType::Ad.into(), ..page(token.clone()) };
        let other = tenant.run(tenant.knowledge().list_documents(other)).await;
        assert_eq!(refused(other), invalid(&["page_token"]), "another filter");
        let posts = ListDocumentsRequest { source_kind: SourceKind::Post.into(), ..page(String::new()) };
        let posts = tenant.run(tenant.knowledge().list_documents(posts)).await.unwrap().into_inner();
        assert_eq!((posts.documents.len(), posts.next_page_token.as_str()), (7, ""));

        let bases = |page_token: String| ListKnowledgeBasesRequest { page_size: 2, page_token };
        let first = tenant.run(tenant.knowledge().list_knowledge_bases(bases(String::new()))).await.unwrap();
        let token = first.into_inner().next_page_token;
        let second = tenant.run(tenant.knowledge().list_knowledge_bases(bases(token.clone()))).await.unwrap();
        let names: Vec<String> =
            second.into_inner().knowledge_bases.into_iter().map(|base| base.name).collect();
        assert_eq!(names, ["a"], "newest first");
        let foreign = stranger.run(stranger.knowledge().list_knowledge_bases(bases(token))).await;
        assert_eq!(refused(foreign), invalid(&["page_token"]));
    }

    pub async fn a_stranger_finds_nothing_and_moves_no_score(bench: &Bench) {
        let (tenant, stranger) = (bench.tenant(1), bench.tenant(2));
        let base = tenant.new_base("company").await.knowledge_base_id;
        let ingestion = tenant.ingest("r", &base, &thirty()).await;
        let hits = tenant.search(&base, "the price of a walnut", 5).await;
        let (stored, documents) = (tenant.base(&base).await, tenant.documents(&base).await);
        let passage = hits[0].passage.clone().unwrap();

        let own = stranger.new_base("company").await.knowledge_base_id;
        let walnuts: Vec<Doc> =
            (0..20).map(|at| doc(&format!("docs/{at}"), SourceKind::Post, "walnut price walnut")).collect();
        stranger.ingest("r", &own, &walnuts).await;
        assert_eq!(tenant.search(&base, "the price of a walnut", 5).await, hits);

        knock_everywhere(&stranger, &base, &ingestion.ingestion_id, &passage).await;
        assert_eq!((tenant.base(&base).await, tenant.documents(&base).await), (stored, documents));
        assert_eq!(tenant.search(&base, "the price of a walnut", 5).await, hits);
    }

    pub async fn a_key_without_the_scope_may_not(bench: &Bench) {
        let tenant = bench.tenant(1);
        let base = tenant.new_base("x").await.knowledge_base_id;
        let reader: Scopes = ["knowledge:read"].into_iter().collect();
        let delete = DeleteKnowledgeBaseRequest { knowledge_base_id: base.clone() };
        let mut client = tenant.knowledge();
        let answer =
            testing::as_caller(tenant.id, reader.clone(), client.delete_knowledge_base(delete)).await;
        assert_eq!(refused(answer), (Code::PermissionDenied, vec![]));
        let mut client = tenant.ingestions();
        let upload = tokio_stream::iter(parts("r", &base, &thirty()));
        let answer = testing::as_caller(tenant.id, reader.clone(), client.ingest(upload)).await;
        assert_eq!(refused(answer), (Code::PermissionDenied, vec![]));
        let mut client = tenant.searches();
        let answer = testing::as_caller(tenant.id, reader, client.search(request(&[&base], "x", 1))).await;
        assert!(answer.is_ok());
        nothing_is_stored(bench).await;
    }
}

/// Calls every method that names a resource with another tenant's ids.
async fn knock_everywhere(
    stranger: &Tenant,
    base: &str,
    ingestion: &str,
    passage: &copydesk_proto::types::v1::Passage,
) {
    let not_found = (Code::NotFound, Vec::<String>::new());
    let knowledge_base_id = base.to_owned();
    let (document_id, passage_id) = (passage.document_id.clone(), passage.passage_id.clone());
    let ingestion_id = ingestion.to_owned();
    let (mut knowledge, mut ingestions) = (stranger.knowledge(), stranger.ingestions());
    let get = GetKnowledgeBaseRequest { knowledge_base_id: knowledge_base_id.clone() };
    assert_eq!(refused(stranger.run(knowledge.get_knowledge_base(get)).await), not_found);
    let delete = DeleteKnowledgeBaseRequest { knowledge_base_id: knowledge_base_id.clone() };
    assert_eq!(refused(stranger.run(knowledge.delete_knowledge_base(delete)).await), not_found);
    let get = GetDocumentRequest { document_id: document_id.clone(), with_text: true, ..Default::default() };
    assert_eq!(refused(stranger.run(knowledge.get_document(get)).await), not_found);
    let delete = DeleteDocumentRequest { document_id };
    assert_eq!(refused(stranger.run(knowledge.delete_document(delete)).await), not_found);
    let list = ListDocumentsRequest { knowledge_base_id, ..ListDocumentsRequest::default() };
    assert_eq!(refused(stranger.run(knowledge.list_documents(list)).await), not_found);
    let all = stranger.run(knowledge.list_knowledge_bases(ListKnowledgeBasesRequest::default())).await;
    assert_eq!(all.unwrap().into_inner().knowledge_bases.len(), 1, "only their own");
    let get = GetPassageRequest { passage_id };
    assert_eq!(refused(stranger.run(stranger.searches().get_passage(get)).await), not_found);
    assert_eq!(refused(stranger.search_with(request(&[base], "walnut", 5)).await), not_found);
    let upload = parts("other", base, &[doc("docs/walnut.md", SourceKind::Post, "mine now")]);
    assert_eq!(refused(stranger.send(upload).await), not_found);
    let get = GetIngestionRequest { ingestion_id: ingestion_id.clone() };
    assert_eq!(refused(stranger.run(ingestions.get_ingestion(get)).await), not_found);
    let watch = WatchIngestionRequest { ingestion_id };
    assert_eq!(refused(stranger.run(ingestions.watch_ingestion(watch)).await), not_found);
}
