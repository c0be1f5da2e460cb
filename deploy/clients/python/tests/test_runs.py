"""From a topic to a text whose every claim is cited."""

from collections import defaultdict

import grpc
import pytest
from copydesk.agent_orchestrator.v1 import agent_orchestrator_pb2 as orchestrator
from copydesk.agent_orchestrator.v1 import agent_orchestrator_pb2_grpc as orchestrator_grpc
from copydesk.llm_router.v1 import llm_router_pb2 as llm_router
from copydesk.llm_router.v1 import llm_router_pb2_grpc as llm_router_grpc
from copydesk.retrieval.v1 import retrieval_pb2 as retrieval
from copydesk.retrieval.v1 import retrieval_pb2_grpc as retrieval_grpc
from copydesk.types.v1 import types_pb2 as types
from details import refusal

from conftest import new_id

TOPIC = "How graded alerts cut the temperature alerts that drivers ignore"
FINAL = (orchestrator.RUN_STATE_SUCCEEDED, orchestrator.RUN_STATE_FAILED, orchestrator.RUN_STATE_CANCELLED)


@pytest.fixture(scope="module")
def runs(mesh):
    return orchestrator_grpc.RunServiceStub(mesh.channel)


def order(library) -> orchestrator.CreateRunRequest:
    spec = orchestrator.RunSpec(
        brand_id=library.brand_id, workflow="content", topic=TOPIC, content_type=types.CONTENT_TYPE_SOCIAL
    )
    return orchestrator.CreateRunRequest(request_id=new_id(), spec=spec)


@pytest.fixture(scope="module")
def finished(mesh, library, runs):
    """One run watched to its end: the request, the events and the run as GetRun tells it."""
    request = order(library)
    run_id = runs.CreateRun(request, **mesh.auth).run.run_id
    watch = orchestrator.WatchRunRequest(run_id=run_id, with_deltas=True)
    events = list(runs.WatchRun(watch, **mesh.auth))
    return request, events, runs.GetRun(orchestrator.GetRunRequest(run_id=run_id), **mesh.auth).run


def stored(events):
    return [event for event in events if event.WhichOneof("event") not in ("draft_delta", "heartbeat")]


def test_the_watch_is_gapless_and_ends_with_success(finished):
    _, events, run = finished
    assert [event.seq for event in stored(events)] == list(range(1, run.last_seq + 1))
    assert events[-1].state_changed.state == orchestrator.RUN_STATE_SUCCEEDED, run.error
    assert run.state == orchestrator.RUN_STATE_SUCCEEDED
    began = {event.step_started.step for event in events if event.WhichOneof("event") == "step_started"}
    ended = {event.step_finished.step for event in events if event.WhichOneof("event") == "step_finished"}
    assert began == ended == {step.key for step in run.steps}
    assert all(step.state == orchestrator.STEP_STATE_DONE for step in run.steps)


def test_deltas_of_a_draft_follow_each_other_without_a_gap(finished):
    _, events, run = finished
    written = defaultdict(bytes)
    for event in events:
        if event.WhichOneof("event") == "draft_delta":
            delta = event.draft_delta
            assert delta.offset == len(written[delta.step, delta.attempt])
            written[delta.step, delta.attempt] += delta.text.encode()
    drafts = {revision.step: revision.text for revision in run.result.revisions}
    assert written and {step for step, _ in written} <= set(drafts)


def test_every_supported_sentence_quotes_its_document(mesh, finished):
    _, _, run = finished
    knowledge = retrieval_grpc.KnowledgeServiceStub(mesh.channel)
    text = run.result.text.encode()
    supported = [s for s in run.result.sentences if s.verdict == orchestrator.VERDICT_SUPPORTED]
    assert supported and run.result.safety.is_safe
    assert run.result.safety.supported == len(supported)
    for sentence in supported:
        assert text[sentence.span.start : sentence.span.end].decode().strip()
        assert sentence.citations
        for citation in sentence.citations:
            request = retrieval.GetDocumentRequest(document_id=citation.document_id, with_text=True)
            document = knowledge.GetDocument(request, **mesh.auth).document
            assert document.version == citation.document_version
            assert document.text.encode()[citation.span.start : citation.span.end].decode() == citation.quote


def test_the_offline_writer_says_that_it_wrote(finished):
    _, _, run = finished
    result = run.result
    assert result.degraded and result.degraded_reason and result.search_mode == "lexical"
    assert result.models and all(model.startswith("offline/") for model in result.models)
    assert run.cost_nanos == 0 and len(result.text.encode("utf-16-le")) // 2 <= 3000


def test_a_repeated_request_id_is_the_same_run_and_another_body_is_refused(mesh, runs, finished):
    request, _, run = finished
    assert runs.CreateRun(request, **mesh.auth).run.run_id == run.run_id
    other = orchestrator.CreateRunRequest()
    other.CopyFrom(request)
    other.spec.topic = "something else"
    assert refusal(lambda: runs.CreateRun(other, **mesh.auth)).code == grpc.StatusCode.ALREADY_EXISTS


def test_a_watch_resumes_after_a_sequence_number_and_not_beyond_the_last(mesh, runs, finished):
    _, events, run = finished
    rest = runs.WatchRun(orchestrator.WatchRunRequest(run_id=run.run_id, after_seq=3), **mesh.auth)
    assert list(rest) == stored(events)[3:]
    beyond = orchestrator.WatchRunRequest(run_id=run.run_id, after_seq=run.last_seq + 1)
    assert refusal(lambda: list(runs.WatchRun(beyond, **mesh.auth))).code == grpc.StatusCode.OUT_OF_RANGE


def test_cancelling_is_final_and_changes_nothing_after_the_end(mesh, library, runs, finished):
    _, _, run = finished
    after = runs.CancelRun(orchestrator.CancelRunRequest(run_id=run.run_id), **mesh.auth).run
    assert after.state == orchestrator.RUN_STATE_SUCCEEDED
    fresh = runs.CreateRun(order(library), **mesh.auth).run
    ended = runs.CancelRun(orchestrator.CancelRunRequest(run_id=fresh.run_id), **mesh.auth).run
    assert ended.state in FINAL
    events = list(runs.WatchRun(orchestrator.WatchRunRequest(run_id=fresh.run_id), **mesh.auth))
    assert events[-1].state_changed.state == ended.state


def test_stream_generate_sends_deltas_and_then_exactly_one_done(mesh):
    stub = llm_router_grpc.LlmServiceStub(mesh.channel)
    events = list(stub.StreamGenerate(llm_router.StreamGenerateRequest(request=draft()), **mesh.auth))
    kinds = [event.WhichOneof("event") for event in events]
    assert kinds.count("done") == 1 and kinds[-1] == "done" and kinds.count("delta") >= 1
    assert all(event.delta.text for event in events[:-1])
    text = "".join(event.delta.text for event in events[:-1])
    assert "1,240 loaves" in text
    done = events[-1].done
    assert done.degraded and done.degraded_reason and done.model.startswith("offline/")
    assert [attempt.outcome for attempt in done.attempts][-1] == "ok"


def test_generate_repeats_the_stored_answer(mesh):
    stub = llm_router_grpc.LlmServiceStub(mesh.channel)
    request = draft()
    first = stub.Generate(request, **mesh.auth)
    again = stub.Generate(request, **mesh.auth)
    assert (again.text, first.completion.replayed, again.completion.replayed) == (first.text, False, True)


def draft() -> llm_router.GenerateRequest:
    fact = "The bakery in Lindau bakes 1,240 loaves of bread every night."
    passage = types.Passage(
        passage_id="psg_" + "0" * 26,
        document_id="doc_" + "0" * 26,
        document_version=1,
        title="The bakery",
        span=types.Span(start=0, end=len(fact)),
        text=fact,
        score=1.0,
    )
    return llm_router.GenerateRequest(
        request_id=new_id(),
        task=llm_router.TASK_DRAFT,
        messages=[llm_router.Message(role=llm_router.ROLE_USER, text=f"Write about the bakery. Evidence: {fact}")],
        evidence=[passage],
        brief=llm_router.Brief(topic="the bakery's bread", content_type=types.CONTENT_TYPE_SOCIAL, language="en"),
    )
