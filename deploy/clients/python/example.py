"""Ingests a Markdown file, has a post written about it, prints the text with its sources: example.py FILE TOPIC"""
import os
import sys
import uuid
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parent / "gen"))  # made by generate.py
from copydesk.agent_orchestrator.v1 import agent_orchestrator_pb2 as runs, agent_orchestrator_pb2_grpc as runs_grpc
from copydesk.learning.v1 import learning_pb2 as learning, learning_pb2_grpc as learning_grpc
from copydesk.retrieval.v1 import retrieval_pb2 as retrieval, retrieval_pb2_grpc as retrieval_grpc
from copydesk.types.v1 import types_pb2 as types

file, topic = (Path(sys.argv[1]), sys.argv[2]) if len(sys.argv) == 3 else sys.exit("usage: example.py FILE TOPIC")
data = Path(os.environ.get("COPYDESK_DATA", ".copydesk"))
channel = grpc.insecure_channel(os.environ.get("COPYDESK_ADDRESS", "127.0.0.1:7700"))
auth = {"metadata": [("authorization", f"Bearer {(data / 'dev-key').read_text().strip()}")]}
new_id = lambda: str(uuid.uuid4())

base = retrieval_grpc.KnowledgeServiceStub(channel).CreateKnowledgeBase(
    retrieval.CreateKnowledgeBaseRequest(request_id=new_id(), name=file.name), **auth).knowledge_base
ingest = retrieval_grpc.IngestionServiceStub(channel)
parts = [dict(start=dict(request_id=new_id(), knowledge_base_id=base.knowledge_base_id)),
         dict(document=dict(key=file.name, format=retrieval.DOCUMENT_FORMAT_MARKDOWN)), dict(content=file.read_bytes())]
job = ingest.Ingest((retrieval.IngestRequest(**part) for part in parts), **auth).ingestion
list(ingest.WatchIngestion(retrieval.WatchIngestionRequest(ingestion_id=job.ingestion_id), **auth))  # ends when it is done
brand = learning_grpc.BrandServiceStub(channel).CreateBrand(learning.CreateBrandRequest(request_id=new_id(), brand=dict(
    name="Example", audience="people who decide", knowledge_base_ids=[base.knowledge_base_id])), **auth).brand

service = runs_grpc.RunServiceStub(channel)
spec = dict(brand_id=brand.brand_id, workflow="content", topic=topic, content_type=types.CONTENT_TYPE_SOCIAL)
run = service.CreateRun(runs.CreateRunRequest(request_id=new_id(), spec=spec), **auth).run
for event in service.WatchRun(runs.WatchRunRequest(run_id=run.run_id), **auth):
    print(event.seq, event.WhichOneof("event"), event.step_started.agent or event.step_finished.summary, file=sys.stderr)
run = service.GetRun(runs.GetRunRequest(run_id=run.run_id), **auth).run
print(run.result.text or run.error)
for sentence in run.result.sentences:
    for source in sentence.citations[:1]:
        print(f"  {source.title}, bytes {source.span.start}-{source.span.end}: {source.quote}")
