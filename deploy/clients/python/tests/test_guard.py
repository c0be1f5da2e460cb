"""The guard for any text: verdicts with the sources' own words, rules, policy."""

import grpc
import pytest
from copydesk.agent_orchestrator.v1 import agent_orchestrator_pb2 as orchestrator
from copydesk.agent_orchestrator.v1 import guard_pb2 as guard
from copydesk.agent_orchestrator.v1 import guard_pb2_grpc as guard_grpc
from copydesk.agent_orchestrator.v1 import rule_pack_pb2 as rule_pack
from copydesk.agent_orchestrator.v1 import rule_pack_pb2_grpc as rule_pack_grpc
from details import refusal

from conftest import new_id

SOURCE = "The new grinder holds 250 grams of beans. Kettle Works repairs every grinder for ten years."


@pytest.fixture(scope="module")
def guards(mesh):
    return guard_grpc.GuardServiceStub(mesh.channel)


def check(mesh, guards, text: str, **more) -> guard.CheckGroundingResponse:
    sources = [guard.GroundingSource(id="manual", text=SOURCE)]
    return guards.CheckGrounding(guard.CheckGroundingRequest(text=text, sources=sources, **more), **mesh.auth)


def test_a_wrong_number_is_found_with_its_evidence_and_corrected(mesh, guards):
    text = "Kettle Works repairs every grinder for ten years. The new grinder holds 900 grams of beans."
    answer = check(mesh, guards, text, with_correction=True)
    true, false = answer.report.claims
    assert (true.verdict, false.verdict) == (orchestrator.VERDICT_SUPPORTED, orchestrator.VERDICT_CONTRADICTED)
    place = true.evidence[0]
    assert SOURCE.encode()[place.span.start : place.span.end].decode() == place.quote
    assert false.reasons[0].kind == "number_mismatch"
    assert not answer.report.is_safe and answer.corrected_report.is_safe
    assert answer.corrected_text == text.replace("900", "250")


def test_without_a_model_what_is_uncertain_stays_uncertain_and_says_why(mesh, guards):
    source = guard.GroundingSource(id="a", text="Kettle Works does not sell used burrs.")
    request = guard.CheckGroundingRequest(text="Kettle Works does sell used burrs.", sources=[source])
    report = guards.CheckGrounding(request, **mesh.auth).report
    assert report.claims[0].verdict == orchestrator.VERDICT_UNCERTAIN
    assert not report.is_safe and report.judge.error and not report.judge.model


def test_personal_data_is_taken_out(mesh, guards):
    request = guard.SanitizeRequest(text="Write to ada@example.com.", scope=rule_pack.RULE_SCOPE_INPUT)
    clean = guards.Sanitize(request, **mesh.auth)
    assert "ada@" not in clean.text and clean.hits[0].entity == "email"
    assert clean.redactions[0].span.start == len("Write to ")


def test_a_rule_of_ones_own_holds_once_it_has_proven_itself(mesh, guards):
    packs = rule_pack_grpc.RulePackServiceStub(mesh.channel)
    document = """
        id = "python-house"
        version = "1"
        title = "House"
        [[rules]]
        id = "no-leverage"
        kind = "words"
        severity = "block"
        scope = ["output"]
        message = "says leverage"
        terms = ["leverage"]
        [[vectors]]
        text = "We leverage it."
        scope = "output"
        expect = ["no-leverage"]
    """
    pack = packs.CreateRulePack(rule_pack.CreateRulePackRequest(document=document), **mesh.auth).pack
    assert not pack.active
    listed = packs.ListRulePacks(rule_pack.ListRulePacksRequest(), **mesh.auth).packs
    assert {"marketing", "personal-data", pack.pack_id} <= {one.pack_id for one in listed}
    get = rule_pack.GetRulePackRequest(pack_id=pack.pack_id, version=pack.version)
    assert packs.GetRulePack(get, **mesh.auth).document == document
    activate = rule_pack.ActivateRulePackRequest(pack_id=pack.pack_id, version=pack.version)
    assert packs.ActivateRulePack(activate, **mesh.auth).pack.active
    request = guard.CheckRulesRequest(
        text="Leverage our grinder.", scope=rule_pack.RULE_SCOPE_OUTPUT, pack_ids=[pack.pack_id]
    )
    found = guards.CheckRules(request, **mesh.auth)
    assert found.blocked and found.hits[0].rule == "no-leverage"
    packs.DeactivateRulePack(rule_pack.DeactivateRulePackRequest(pack_id=pack.pack_id), **mesh.auth)
    assert refusal(lambda: guards.CheckRules(request, **mesh.auth)).fields == {"pack_ids[0]"}


def test_a_policy_is_replaced_by_one_at_a_time(mesh, guards):
    before = guards.GetGuardPolicy(guard.GetGuardPolicyRequest(), **mesh.auth)
    policy = guard.GuardPolicy(mode=guard.GUARD_MODE_HYBRID)
    etag = guards.SetGuardPolicy(guard.SetGuardPolicyRequest(policy=policy, etag=before.etag), **mesh.auth).etag
    stale = guard.SetGuardPolicyRequest(policy=policy, etag="v999")
    assert refusal(lambda: guards.SetGuardPolicy(stale, **mesh.auth)).code == grpc.StatusCode.ABORTED
    assert etag.startswith("v")


def test_every_fault_is_named(mesh, guards):
    answer = refusal(lambda: guards.CheckGrounding(guard.CheckGroundingRequest(mode=9), **mesh.auth))
    assert answer.code == grpc.StatusCode.INVALID_ARGUMENT
    assert answer.fields == {"text", "mode"}


def test_verdicts_of_people_are_counted_once(mesh, guards):
    verdict = guard.HumanVerdict(
        claim="The grinder holds 250 grams.",
        guard_verdict=orchestrator.VERDICT_SUPPORTED,
        risk=0.1,
        human_verdict=orchestrator.VERDICT_SUPPORTED,
    )
    request = guard.RecordVerdictsRequest(request_id=new_id(), verdicts=[verdict])
    first = guards.RecordVerdicts(request, **mesh.auth).recorded
    assert guards.RecordVerdicts(request, **mesh.auth).recorded == first
    assert guards.GetCalibration(guard.GetCalibrationRequest(), **mesh.auth).verdicts == first
