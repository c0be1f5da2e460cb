"""What anybody can see: health, reflection, the admin port, start and stop."""

import urllib.request

import grpc
from copydesk.agent_orchestrator.v1 import agent_orchestrator_pb2 as orchestrator
from copydesk.agent_orchestrator.v1 import guard_pb2 as guard
from copydesk.agent_orchestrator.v1 import rule_pack_pb2 as rule_pack
from copydesk.gateway.v1 import gateway_pb2 as gateway
from copydesk.learning.v1 import learning_pb2 as learning
from copydesk.learning.v1 import learning_pb2_grpc as learning_grpc
from copydesk.llm_router.v1 import llm_router_pb2 as llm_router
from copydesk.options.v1 import access_pb2
from copydesk.retrieval.v1 import retrieval_pb2 as retrieval
from copydesk.retrieval.v1 import snapshot_pb2 as snapshot
from copydesk.retrieval.v1 import web_pb2 as web
from details import refusal
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from conftest import new_id

CONTRACTS = (orchestrator, guard, gateway, learning, llm_router, retrieval, rule_pack, snapshot, web)
SERVING = health_pb2.HealthCheckResponse.SERVING


def access_of(method):
    return method.GetOptions().Extensions[access_pb2.access]


def public_methods() -> dict[str, dict[str, bytes]]:
    """From the contracts: every public method with its access rule, by service."""
    found: dict[str, dict[str, bytes]] = {}
    for contract in CONTRACTS:
        for service in contract.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                if access_of(method).visibility == access_pb2.VISIBILITY_PUBLIC:
                    rule = access_of(method).SerializeToString(deterministic=True)
                    found.setdefault(service.full_name, {})[method.name] = rule
    return found


def served_file(channel: grpc.Channel, symbol: str) -> descriptor_pb2.FileDescriptorProto:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
    answer = next(stub.ServerReflectionInfo(iter([request]), timeout=10))
    package = symbol.rpartition(".")[0]
    files = map(descriptor_pb2.FileDescriptorProto.FromString, answer.file_descriptor_response.file_descriptor_proto)
    name = symbol.rpartition(".")[2]
    return next(
        file for file in files if file.package == package and name in {service.name for service in file.service}
    )


def test_health_check_and_watch_need_no_key(mesh):
    stub = health_pb2_grpc.HealthStub(mesh.channel)
    assert stub.Check(health_pb2.HealthCheckRequest(), timeout=10).status == SERVING
    watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=10)
    assert next(watch).status == SERVING
    watch.cancel()


def test_health_of_an_unknown_service_is_not_found(mesh):
    stub = health_pb2_grpc.HealthStub(mesh.channel)
    answer = refusal(lambda: stub.Check(health_pb2.HealthCheckRequest(service="no.such.Service"), timeout=10))
    assert answer.code == grpc.StatusCode.NOT_FOUND


def test_reflection_lists_exactly_the_public_services(mesh):
    listed = set(ProtoReflectionDescriptorDatabase(mesh.channel).get_services())
    assert {name for name in listed if name.startswith("copydesk.")} == set(public_methods())
    assert "grpc.health.v1.Health" in listed


def test_served_descriptors_carry_every_access_rule_and_nothing_for_the_mesh_only(mesh):
    served = {}
    for name in public_methods():
        file = served_file(mesh.channel, name)
        service = next(s for s in file.service if f"{file.package}.{s.name}" == name)
        rules = {m.name: m.options.Extensions[access_pb2.access] for m in service.method}
        served[name] = {method: rule.SerializeToString(deterministic=True) for method, rule in rules.items()}
    assert served == public_methods()


def test_a_method_for_the_mesh_only_is_not_forwarded(mesh):
    stub = learning_grpc.OutcomeServiceStub(mesh.channel)
    answer = refusal(lambda: stub.RecordOutcome(learning.RecordOutcomeRequest(), **mesh.auth))
    assert answer.code in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.PERMISSION_DENIED)


def test_admin_port_answers_health_and_metrics(mesh):
    admin = f"http://{mesh.endpoints['admin']}"
    for path in ("/health/live", "/health/ready"):
        assert urllib.request.urlopen(admin + path, timeout=10).status == 200
    stub = learning_grpc.BrandServiceStub(mesh.channel)
    stub.ListBrands(learning.ListBrandsRequest(), **mesh.auth)
    metrics = urllib.request.urlopen(admin + "/metrics", timeout=10).read().decode()
    counted = [line for line in metrics.splitlines() if "ListBrands" in line and not line.startswith("#")]
    assert counted, "no metric names the call that was just made"


def test_sigterm_drains_exits_0_and_a_restart_has_everything(start):
    request = learning.CreateBrandRequest(request_id=new_id(), brand=learning.Brand(name="Kept"))
    first = start()
    with first:
        made = learning_grpc.BrandServiceStub(first.channel).CreateBrand(request, **first.auth).brand
        key = first.key
        assert first.stop() == 0, first.tail()
    with first:
        assert first.key == key
        stub = learning_grpc.BrandServiceStub(first.channel)
        assert stub.GetBrand(learning.GetBrandRequest(brand_id=made.brand_id), **first.auth).brand == made
