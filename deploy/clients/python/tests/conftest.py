"""Fixtures: one mesh for all tests, and the sample documents in it."""

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

CLIENT = Path(__file__).resolve().parents[1]
ROOT = CLIENT.parents[2]
sys.path[:0] = [str(CLIENT / "gen"), str(CLIENT / "tests")]

from mesh import Mesh  # noqa: E402

from copydesk.learning.v1 import learning_pb2 as learning  # noqa: E402
from copydesk.learning.v1 import learning_pb2_grpc as learning_grpc  # noqa: E402
from copydesk.retrieval.v1 import retrieval_pb2 as retrieval  # noqa: E402
from copydesk.retrieval.v1 import retrieval_pb2_grpc as retrieval_grpc  # noqa: E402

SAMPLES = ROOT / "services" / "all-in-one" / "samples"


def pytest_configure() -> None:
    if not os.access(os.environ.get("COPYDESK_BIN", ""), os.X_OK):
        pytest.exit("set COPYDESK_BIN to the built copydesk binary", returncode=2)


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Mesh]:
    """Makes further meshes, each with its own data folder and settings."""
    return lambda **settings: Mesh(tmp_path_factory.mktemp("mesh") / "data", **settings)


@pytest.fixture(scope="session")
def mesh(start: Callable[..., Mesh]) -> Iterator[Mesh]:
    """The mesh that most tests share. Its limits are out of the way: one test has a mesh with a low one."""
    wide = {f"GATEWAY__RATE_LIMITS__{name}": "100000" for name in ("READ", "WRITE", "GENERATE", "INGEST", "ADMIN")}
    with start(**wide) as running:
        yield running


@dataclass(frozen=True)
class Library:
    """The sample documents, ingested, and the brand that draws on them."""

    knowledge_base_id: str
    brand_id: str
    texts: dict[str, str]
    ingestion: retrieval.Ingestion


@pytest.fixture(scope="session")
def library(mesh: Mesh) -> Library:
    files = {str(path.relative_to(SAMPLES)): path.read_bytes() for path in sorted(SAMPLES.rglob("*.md"))}
    base = new_knowledge_base(mesh, "samples")
    ingestion = ingest(mesh, base, files)
    brand = learning.Brand(name="Skerrybrook", audience="fleet managers", knowledge_base_ids=[base])
    request = learning.CreateBrandRequest(request_id=new_id(), brand=brand)
    made = learning_grpc.BrandServiceStub(mesh.channel).CreateBrand(request, **mesh.auth).brand
    return Library(base, made.brand_id, {key: text.decode() for key, text in files.items()}, ingestion)


def new_id() -> str:
    return str(uuid.uuid4())


def new_knowledge_base(mesh: Mesh, name: str) -> str:
    stub = retrieval_grpc.KnowledgeServiceStub(mesh.channel)
    request = retrieval.CreateKnowledgeBaseRequest(request_id=new_id(), name=name)
    return stub.CreateKnowledgeBase(request, **mesh.auth).knowledge_base.knowledge_base_id


def upload(base: str, files: dict[str, bytes], piece: int = 4096) -> Iterator[retrieval.IngestRequest]:
    """The parts of an upload; pieces end where they end, in the middle of a character too."""
    yield retrieval.IngestRequest(start=retrieval.IngestStart(request_id=new_id(), knowledge_base_id=base))
    for key, content in files.items():
        head = retrieval.DocumentStart(key=key, format=retrieval.DOCUMENT_FORMAT_MARKDOWN)
        yield retrieval.IngestRequest(document=head)
        for at in range(0, len(content), piece):
            yield retrieval.IngestRequest(content=content[at : at + piece])


def ingest(mesh: Mesh, base: str, files: dict[str, bytes], piece: int = 4096) -> retrieval.Ingestion:
    """Uploads and follows the job to its end; returns the final state."""
    stub = retrieval_grpc.IngestionServiceStub(mesh.channel)
    job = stub.Ingest(upload(base, files, piece), **mesh.auth).ingestion
    watch = retrieval.WatchIngestionRequest(ingestion_id=job.ingestion_id)
    return list(stub.WatchIngestion(watch, **mesh.auth))[-1].ingestion
