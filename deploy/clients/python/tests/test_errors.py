"""What a caller is told when a call is wrong, refused or late."""

import grpc
import pytest
from copydesk.agent_orchestrator.v1 import agent_orchestrator_pb2 as orchestrator
from copydesk.agent_orchestrator.v1 import agent_orchestrator_pb2_grpc as orchestrator_grpc
from copydesk.gateway.v1 import gateway_pb2 as gateway
from copydesk.gateway.v1 import gateway_pb2_grpc as gateway_grpc
from copydesk.learning.v1 import learning_pb2 as learning
from copydesk.learning.v1 import learning_pb2_grpc as learning_grpc
from copydesk.llm_router.v1 import llm_router_pb2 as llm_router
from copydesk.llm_router.v1 import llm_router_pb2_grpc as llm_router_grpc
from copydesk.retrieval.v1 import retrieval_pb2 as retrieval
from copydesk.retrieval.v1 import retrieval_pb2_grpc as retrieval_grpc
from copydesk.types.v1 import types_pb2 as types
from details import refusal
from google.rpc import error_details_pb2
from mesh import with_key

from conftest import new_id, new_knowledge_base, upload


@pytest.fixture(scope="module")
def brands(mesh):
    return learning_grpc.BrandServiceStub(mesh.channel)


def test_every_wrong_field_is_named_at_once(mesh, library):
    stub = orchestrator_grpc.RunServiceStub(mesh.channel)
    spec = orchestrator.RunSpec(brand_id=library.brand_id, workflow="no such workflow", topic="")
    answer = refusal(lambda: stub.CreateRun(orchestrator.CreateRunRequest(spec=spec), **mesh.auth))
    assert answer.code == grpc.StatusCode.INVALID_ARGUMENT
    assert answer.reason == "INVALID_FIELDS"
    assert answer.fields == {"request_id", "spec.workflow", "spec.topic", "spec.content_type"}


def test_a_missing_key_is_unauthenticated(mesh, brands):
    answer = refusal(lambda: brands.ListBrands(learning.ListBrandsRequest(), timeout=10))
    assert (answer.code, answer.reason) == (grpc.StatusCode.UNAUTHENTICATED, "NO_CREDENTIAL")


@pytest.mark.parametrize("value", ["Bearer cdk_" + "0" * 40, "Bearer", "Basic dTpw", "Bearer x.y.z", ""])
def test_a_wrong_key_is_unauthenticated_and_not_repeated_to_the_caller(mesh, brands, value):
    metadata = [("authorization", value)]
    answer = refusal(lambda: brands.ListBrands(learning.ListBrandsRequest(), metadata=metadata, timeout=10))
    assert answer.code == grpc.StatusCode.UNAUTHENTICATED
    assert answer.reason in ("BAD_CREDENTIAL", "NO_CREDENTIAL")
    assert "cdk_" not in answer.message


def test_a_key_reaches_as_far_as_its_scopes_and_not_after_it_was_revoked(mesh, brands):
    keys = gateway_grpc.KeyServiceStub(mesh.channel)
    made = keys.CreateKey(gateway.CreateKeyRequest(name="reader", scopes=["brands:read"]), **mesh.auth)
    reader = with_key(made.secret)
    brands.ListBrands(learning.ListBrandsRequest(), **reader)
    brand = learning.CreateBrandRequest(request_id=new_id(), brand=learning.Brand(name="Not mine to make"))
    answer = refusal(lambda: brands.CreateBrand(brand, **reader))
    assert (answer.code, answer.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")
    assert answer.found[error_details_pb2.ErrorInfo].metadata["scope"] == "brands:write"
    keys.RevokeKey(gateway.RevokeKeyRequest(key_id=made.key.key_id), **mesh.auth)
    answer = refusal(lambda: brands.ListBrands(learning.ListBrandsRequest(), **reader))
    assert answer.code == grpc.StatusCode.UNAUTHENTICATED


def test_another_tenants_brand_is_not_there(mesh, brands, library):
    tenants = gateway_grpc.TenantServiceStub(mesh.channel)
    request = gateway.CreateTenantRequest(name=f"strangers {new_id()}")
    stranger = with_key(tenants.CreateTenant(request, **mesh.auth).secret)
    asked = learning.GetBrandRequest(brand_id=library.brand_id)
    answer = refusal(lambda: brands.GetBrand(asked, **stranger))
    assert answer.code == grpc.StatusCode.NOT_FOUND
    assert answer.found[error_details_pb2.ResourceInfo].resource_name == library.brand_id
    assert len(brands.ListBrands(learning.ListBrandsRequest(), **stranger).brands) == 0


def test_a_deadline_of_a_millisecond_is_exceeded_and_stores_nothing(mesh, library):
    base = new_knowledge_base(mesh, "late")
    stub = retrieval_grpc.IngestionServiceStub(mesh.channel)
    files = {key: text.encode() for key, text in library.texts.items()}
    late = {**mesh.auth, "timeout": 0.001}
    answer = refusal(lambda: stub.Ingest(upload(base, files, piece=64), **late))
    assert answer.code == grpc.StatusCode.DEADLINE_EXCEEDED
    knowledge = retrieval_grpc.KnowledgeServiceStub(mesh.channel)
    listed = knowledge.ListDocuments(retrieval.ListDocumentsRequest(knowledge_base_id=base), **mesh.auth)
    assert len(listed.documents) == 0


def test_a_page_token_of_another_list_is_refused(mesh, brands):
    for name in ("One", "Two"):
        brand = learning.Brand(name=name)
        brands.CreateBrand(learning.CreateBrandRequest(request_id=new_id(), brand=brand), **mesh.auth)
    token = brands.ListBrands(learning.ListBrandsRequest(page_size=1), **mesh.auth).next_page_token
    assert token
    runs = orchestrator_grpc.RunServiceStub(mesh.channel)
    answer = refusal(lambda: runs.ListRuns(orchestrator.ListRunsRequest(page_token=token), **mesh.auth))
    assert (answer.code, answer.fields) == (grpc.StatusCode.INVALID_ARGUMENT, {"page_token"})


def test_an_unknown_method_is_unimplemented(mesh):
    call = mesh.channel.unary_unary("/copydesk.learning.v1.BrandService/NoSuchMethod")
    assert refusal(lambda: call(b"", **mesh.auth)).code == grpc.StatusCode.UNIMPLEMENTED


def test_an_oversize_message_is_refused_and_the_connection_lives(mesh, brands):
    brand = learning.Brand(name="Big", voice="x" * (8 << 20))
    request = learning.CreateBrandRequest(request_id=new_id(), brand=brand)
    answer = refusal(lambda: brands.CreateBrand(request, **mesh.auth))
    assert answer.code in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.OUT_OF_RANGE)
    names = [brand.name for brand in brands.ListBrands(learning.ListBrandsRequest(), **mesh.auth).brands]
    assert "Big" not in names


def test_the_rate_limit_says_when_to_come_back(start):
    with start(GATEWAY__RATE_LIMITS__GENERATE="2") as narrow:
        stub = llm_router_grpc.LlmServiceStub(narrow.channel)
        message = llm_router.Message(role=llm_router.ROLE_USER, text="Say something about bread.")
        brief = llm_router.Brief(topic="bread", content_type=types.CONTENT_TYPE_SOCIAL)
        request = llm_router.GenerateRequest(messages=[message], task=llm_router.TASK_DRAFT, brief=brief)
        for _ in range(2):
            stub.Generate(request, **narrow.auth)
        answer = refusal(lambda: stub.Generate(request, **narrow.auth))
        assert answer.code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert answer.reason == "RATE_LIMITED"
        assert 0 < answer.retry_after <= 60
        # Another class of calls has a bucket of its own.
        learning_grpc.BrandServiceStub(narrow.channel).ListBrands(learning.ListBrandsRequest(), **narrow.auth)
