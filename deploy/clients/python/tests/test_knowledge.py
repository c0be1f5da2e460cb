"""Documents in, passages out, and every quote at the place it names."""

import grpc
import pytest
from copydesk.retrieval.v1 import retrieval_pb2 as retrieval
from copydesk.retrieval.v1 import retrieval_pb2_grpc as retrieval_grpc
from copydesk.retrieval.v1 import source_pb2 as source
from copydesk.retrieval.v1 import web_pb2 as web
from copydesk.retrieval.v1 import web_pb2_grpc as web_grpc
from details import refusal
from google.rpc import error_details_pb2

from conftest import ingest, new_id, new_knowledge_base, upload

# Characters of one to four bytes: an offset counted in characters would miss.
BAKERY = """# Bäckerei Größl

The Bäckerei Größl bakes 1,240 loaves – every night – in Überlingen. 🥖

## Öffnungszeiten

The shop opens at 5:30 and closes when the last Käsebrötchen is gone. 日本 visitors come for the Brezeln.
"""


@pytest.fixture(scope="module")
def search(mesh):
    return retrieval_grpc.SearchServiceStub(mesh.channel)


@pytest.fixture(scope="module")
def knowledge(mesh):
    return retrieval_grpc.KnowledgeServiceStub(mesh.channel)


def text_of(mesh, knowledge, document_id: str) -> bytes:
    request = retrieval.GetDocumentRequest(document_id=document_id, with_text=True)
    return knowledge.GetDocument(request, **mesh.auth).document.text.encode()


def test_the_watch_ends_with_every_document_searchable(library):
    job = library.ingestion
    assert job.state == retrieval.INGESTION_STATE_SUCCEEDED
    assert (job.documents_total, job.documents_done) == (len(library.texts), len(library.texts))
    assert job.chunks_written >= len(library.texts)


def test_listing_pages_through_every_document_once(mesh, library, knowledge):
    keys, token = [], ""
    while True:
        page = retrieval.ListDocumentsRequest(
            knowledge_base_id=library.knowledge_base_id, page_size=7, page_token=token
        )
        answer = knowledge.ListDocuments(page, **mesh.auth)
        keys += [document.key for document in answer.documents]
        token = answer.next_page_token
        if not token:
            break
    assert sorted(keys) == sorted(library.texts)


def test_every_hit_quotes_its_document_exactly(mesh, library, search, knowledge):
    query = "median time until a driver acknowledged an alert"
    request = retrieval.SearchRequest(knowledge_base_ids=[library.knowledge_base_id], query=query, top_k=5)
    answer = search.Search(request, **mesh.auth)
    assert 1 <= len(answer.hits) <= 5
    assert answer.mode == retrieval.SEARCH_MODE_LEXICAL and not answer.degraded
    for hit in answer.hits:
        passage, text = hit.passage, text_of(mesh, knowledge, hit.passage.document_id)
        assert text[passage.span.start : passage.span.end].decode() == passage.text
        assert passage.span.start <= hit.matched.start < hit.matched.end <= passage.span.end
        assert hit.lexical_score > 0 and not hit.HasField("dense_score")
    scores = [hit.passage.score for hit in answer.hits]
    assert scores == sorted(scores, reverse=True)
    assert "74 seconds" in answer.hits[0].passage.text


def test_a_document_cut_in_the_middle_of_characters_keeps_its_bytes(mesh, search, knowledge):
    base = new_knowledge_base(mesh, "bakery")
    job = ingest(mesh, base, {"bakery.md": BAKERY.encode()}, piece=3)
    assert job.state == retrieval.INGESTION_STATE_SUCCEEDED
    request = retrieval.SearchRequest(knowledge_base_ids=[base], query="when do the last Käsebrötchen go")
    hit = search.Search(request, **mesh.auth).hits[0]
    text = text_of(mesh, knowledge, hit.passage.document_id)
    assert text == BAKERY.encode()
    assert text[hit.matched.start : hit.matched.end].decode().count("Käsebrötchen") == 1
    again = search.GetPassage(retrieval.GetPassageRequest(passage_id=hit.passage.passage_id), **mesh.auth).passage
    assert again.text == hit.passage.text and again.span == hit.passage.span


def test_the_same_bytes_again_are_unchanged_and_a_request_id_repeats_its_job(mesh):
    base = new_knowledge_base(mesh, "twice")
    stub = retrieval_grpc.IngestionServiceStub(mesh.channel)
    parts = list(upload(base, {"a.md": BAKERY.encode()}))
    first = stub.Ingest(iter(parts), **mesh.auth).ingestion
    watch = retrieval.WatchIngestionRequest(ingestion_id=first.ingestion_id)
    assert list(stub.WatchIngestion(watch, **mesh.auth))[-1].ingestion.documents_unchanged == 0
    assert stub.Ingest(iter(parts), **mesh.auth).ingestion.ingestion_id == first.ingestion_id
    job = ingest(mesh, base, {"a.md": BAKERY.encode()})
    assert job.ingestion_id != first.ingestion_id
    assert (job.documents_total, job.documents_unchanged, job.chunks_written) == (1, 1, 0)


def test_invalid_utf8_is_refused_by_name_and_nothing_of_the_upload_is_stored(mesh, knowledge):
    base = new_knowledge_base(mesh, "half")
    stub = retrieval_grpc.IngestionServiceStub(mesh.channel)
    files = {"good.md": BAKERY.encode(), "bad.md": b"# Loaves\n\n\xff\xfe loaves of bread\n"}
    answer = refusal(lambda: stub.Ingest(upload(base, files), **mesh.auth))
    assert (answer.code, answer.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS")
    assert answer.fields == {"document[bad.md].content"}
    listed = knowledge.ListDocuments(retrieval.ListDocumentsRequest(knowledge_base_id=base), **mesh.auth)
    assert len(listed.documents) == 0


def test_an_upload_into_an_unknown_base_is_not_found(mesh):
    stub = retrieval_grpc.IngestionServiceStub(mesh.channel)
    unknown = "kb_" + "0" * 26
    answer = refusal(lambda: stub.Ingest(upload(unknown, {"a.md": b"# A\n\ntext\n"}), **mesh.auth))
    assert answer.code == grpc.StatusCode.NOT_FOUND
    assert answer.found[error_details_pb2.ResourceInfo].resource_name == unknown


def test_a_deleted_document_is_found_no_more(mesh, search, knowledge):
    base = new_knowledge_base(mesh, "gone")
    ingest(mesh, base, {"a.md": BAKERY.encode()})
    listed = knowledge.ListDocuments(retrieval.ListDocumentsRequest(knowledge_base_id=base), **mesh.auth).documents
    request = retrieval.SearchRequest(knowledge_base_ids=[base], query="loaves")
    assert len(search.Search(request, **mesh.auth).hits) > 0
    knowledge.DeleteDocument(retrieval.DeleteDocumentRequest(document_id=listed[0].document_id), **mesh.auth)
    assert len(search.Search(request, **mesh.auth).hits) == 0


def test_creating_twice_with_one_request_id_makes_one(mesh, knowledge):
    request = retrieval.CreateKnowledgeBaseRequest(request_id=new_id(), name="once")
    first = knowledge.CreateKnowledgeBase(request, **mesh.auth).knowledge_base
    assert knowledge.CreateKnowledgeBase(request, **mesh.auth).knowledge_base == first
    request.name = "another body"
    assert refusal(lambda: knowledge.CreateKnowledgeBase(request, **mesh.auth)).code == grpc.StatusCode.ALREADY_EXISTS


def test_a_batch_answers_each_search_in_its_place(mesh, library, search):
    queries = ["graded alerts", "delivery routes"]
    asked = [retrieval.SearchRequest(knowledge_base_ids=[library.knowledge_base_id], query=q, top_k=3) for q in queries]
    answer = search.BatchSearch(retrieval.BatchSearchRequest(searches=asked), **mesh.auth)
    alone = [search.Search(request, **mesh.auth) for request in asked]
    assert [[hit.passage.passage_id for hit in one.response.hits] for one in answer.results] == [
        [hit.passage.passage_id for hit in one.hits] for one in alone
    ]
    asked[1].query = ""
    refused = refusal(lambda: search.BatchSearch(retrieval.BatchSearchRequest(searches=asked), **mesh.auth))
    assert (refused.code, refused.fields) == (grpc.StatusCode.INVALID_ARGUMENT, {"searches[1].query"})


def test_an_explanation_has_the_rank_and_the_numbers_of_the_answer(mesh, library, search):
    request = retrieval.SearchRequest(knowledge_base_ids=[library.knowledge_base_id], query="graded alerts", top_k=3)
    hits = search.Search(request, **mesh.auth).hits
    for rank, hit in enumerate(hits, start=1):
        wish = retrieval.ExplainSearchRequest(search=request, passage_id=hit.passage.passage_id)
        why = search.ExplainSearch(wish, **mesh.auth)
        assert (why.returned, why.rank) == (True, rank)
        assert why.hit.lexical_score == hit.lexical_score and why.message


def test_the_web_is_asked_at_public_addresses_only(mesh):
    stub = web_grpc.WebServiceStub(mesh.channel)
    for url in ("http://127.0.0.1:9/", "http://169.254.169.254/latest", "http://[::ffff:10.0.0.1]/"):
        answer = refusal(lambda url=url: stub.FetchPage(web.FetchPageRequest(url=url), **mesh.auth))
        assert (answer.code, answer.reason) == (grpc.StatusCode.PERMISSION_DENIED, "WEB_ADDRESS_FORBIDDEN")
    answer = refusal(lambda: stub.FetchPage(web.FetchPageRequest(url="file:///etc/passwd"), **mesh.auth))
    assert (answer.code, answer.fields) == (grpc.StatusCode.INVALID_ARGUMENT, {"url"})
    answer = refusal(lambda: stub.SearchWeb(web.SearchWebRequest(query="vans"), **mesh.auth))
    assert (answer.code, answer.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "WEB_SEARCH_NOT_CONFIGURED")


def test_a_source_that_may_not_be_asked_fails_by_document_and_a_bad_wish_names_every_fault(mesh):
    base = new_knowledge_base(mesh, "web")
    stub = retrieval_grpc.IngestionServiceStub(mesh.channel)

    def wish(request_id: str, urls: list[str]):
        start = source.IngestSourceStart(request_id=request_id, knowledge_base_id=base)
        start.web_pages.urls.extend(urls)
        return iter([source.IngestSourceRequest(start=start)])

    job = stub.IngestSource(wish(new_id(), ["http://127.0.0.1:9/page"]), **mesh.auth).ingestion
    watch = retrieval.WatchIngestionRequest(ingestion_id=job.ingestion_id)
    ended = list(stub.WatchIngestion(watch, **mesh.auth))[-1].ingestion
    assert ended.state == retrieval.INGESTION_STATE_FAILED
    assert [failure.reason for failure in ended.failures] == ["WEB_ADDRESS_FORBIDDEN"]
    answer = refusal(lambda: stub.IngestSource(wish("", ["ftp://a"]), **mesh.auth))
    assert answer.code == grpc.StatusCode.INVALID_ARGUMENT and len(answer.fields) == 2
