// The generated TypeScript client against the real binary: the core path, and what a refused caller is told.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { Code, createClient } from "@connectrpc/connect";
import { RunService, RunState, Verdict } from "../gen/copydesk/agent_orchestrator/v1/agent_orchestrator_pb.js";
import { BrandService } from "../gen/copydesk/learning/v1/learning_pb.js";
import { LlmService, Role, Task } from "../gen/copydesk/llm_router/v1/llm_router_pb.js";
import {
  DocumentFormat,
  IngestionService,
  IngestionState,
  KnowledgeService,
  SearchMode,
  SearchService,
} from "../gen/copydesk/retrieval/v1/retrieval_pb.js";
import { ContentType } from "../gen/copydesk/types/v1/types_pb.js";
import { refusal } from "./details.js";
import { Mesh, withKey } from "./mesh.js";

// The tests run from build/tests/.
const SAMPLES = new URL("../../../../../services/all-in-one/samples/products/", import.meta.url);
const FILES = ["graded-alerts.md", "door-sensors.md", "driver-app.md", "temperature-log.md"];

let mesh: Mesh;
let knowledgeBaseId: string;
let brandId: string;

before(async () => {
  mesh = await Mesh.start({ COPYDESK__GATEWAY__RATE_LIMITS__GENERATE: "1000" });
  const knowledge = createClient(KnowledgeService, mesh.transport);
  const made = await knowledge.createKnowledgeBase({ requestId: randomUUID(), name: "products" }, mesh.auth);
  knowledgeBaseId = made.knowledgeBase!.knowledgeBaseId;
  const brand = { name: "Skerrybrook", audience: "fleet managers", knowledgeBaseIds: [knowledgeBaseId] };
  const brands = createClient(BrandService, mesh.transport);
  brandId = (await brands.createBrand({ requestId: randomUUID(), brand }, mesh.auth)).brand!.brandId;
});

after(async () => {
  if (mesh) assert.equal(await mesh.stop(), 0, "SIGTERM must end the mesh with exit code 0");
});

/** The parts of an upload of the sample files, in pieces that may cut a character. */
async function* upload(base: string, piece = 1000) {
  yield { part: { case: "start" as const, value: { requestId: randomUUID(), knowledgeBaseId: base } } };
  for (const key of FILES) {
    yield { part: { case: "document" as const, value: { key, format: DocumentFormat.MARKDOWN } } };
    const bytes = readFileSync(new URL(key, SAMPLES));
    for (let at = 0; at < bytes.length; at += piece) {
      yield { part: { case: "content" as const, value: bytes.subarray(at, at + piece) } };
    }
  }
}

/** The document's text between two byte offsets. */
async function slice(documentId: string, span: { start: bigint; end: bigint }): Promise<string> {
  const knowledge = createClient(KnowledgeService, mesh.transport);
  const { document } = await knowledge.getDocument({ documentId, withText: true }, mesh.auth);
  return Buffer.from(document!.text).subarray(Number(span.start), Number(span.end)).toString();
}

describe("the core path", { concurrency: false }, () => {
  test("documents go in by a client stream and the watch ends when they are searchable", async () => {
    const client = createClient(IngestionService, mesh.transport);
    const { ingestion } = await client.ingest(upload(knowledgeBaseId), mesh.auth);
    const states: IngestionState[] = [];
    for await (const change of client.watchIngestion({ ingestionId: ingestion!.ingestionId }, mesh.auth)) {
      states.push(change.ingestion!.state);
    }
    assert.equal(states.at(-1), IngestionState.SUCCEEDED);
  });

  test("every hit quotes its document exactly", async () => {
    const client = createClient(SearchService, mesh.transport);
    const request = { knowledgeBaseIds: [knowledgeBaseId], query: "time until a driver acknowledged an alert" };
    const { hits, mode } = await client.search(request, mesh.auth);
    assert.equal(mode, SearchMode.LEXICAL);
    assert.ok(hits.length > 0);
    for (const { passage } of hits) assert.equal(await slice(passage!.documentId, passage!.span!), passage!.text);
    assert.match(hits[0]!.passage!.text, /74 seconds/);
  });

  test("a run is watched to its end and cites its documents", async () => {
    const client = createClient(RunService, mesh.transport);
    const topic = "How graded alerts cut the temperature alerts that drivers ignore";
    const spec = { brandId, workflow: "content", topic, contentType: ContentType.SOCIAL };
    const { run } = await client.createRun({ requestId: randomUUID(), spec }, mesh.auth);
    const numbers: number[] = [];
    for await (const { seq, event } of client.watchRun({ runId: run!.runId }, mesh.auth)) {
      if (event.case !== "heartbeat") numbers.push(Number(seq));
    }
    assert.deepEqual(numbers, numbers.map((_, index) => index + 1));
    const done = (await client.getRun({ runId: run!.runId }, mesh.auth)).run!;
    assert.equal(done.state, RunState.SUCCEEDED, done.error?.message);
    assert.equal(done.lastSeq, BigInt(numbers.length));
    const supported = done.result!.sentences.filter((sentence) => sentence.verdict === Verdict.SUPPORTED);
    assert.ok(supported.length > 0);
    for (const { citations } of supported) {
      assert.ok(citations.length > 0);
      for (const { documentId, span, quote } of citations) assert.equal(await slice(documentId, span!), quote);
    }
  });

  test("a generated text streams in and ends with exactly one completion", async () => {
    const client = createClient(LlmService, mesh.transport);
    const messages = [{ role: Role.USER, text: "Write about the bakery." }];
    const text = "The bakery in Lindau bakes 1,240 loaves of bread every night.";
    const span = { start: 0n, end: BigInt(text.length) };
    const passageId = `psg_${"0".repeat(26)}`;
    const evidence = [{ passageId, documentId: `doc_${"0".repeat(26)}`, title: "The bakery", span, text, score: 1 }];
    const brief = { topic: "the bakery's bread", contentType: ContentType.SOCIAL, language: "en" };
    const request = { requestId: randomUUID(), task: Task.DRAFT, messages, evidence, brief };
    let written = "";
    const cases: (string | undefined)[] = [];
    for await (const { event } of client.streamGenerate({ request }, mesh.auth)) {
      cases.push(event.case);
      if (event.case === "delta") written += event.value.text;
    }
    assert.equal(cases.indexOf("done"), cases.length - 1);
    assert.match(written, /1,240 loaves/);
  });
});

describe("a refused caller is told why", () => {
  test("without a key, and with a wrong one", async () => {
    const client = createClient(BrandService, mesh.transport);
    const missing = await refusal(client.listBrands({}, { timeoutMs: 10_000 }));
    assert.deepEqual([missing.code, missing.reason], [Code.Unauthenticated, "NO_CREDENTIAL"]);
    const wrong = await refusal(client.listBrands({}, withKey(`cdk_${"0".repeat(40)}`)));
    assert.deepEqual([wrong.code, wrong.reason], [Code.Unauthenticated, "BAD_CREDENTIAL"]);
  });

  test("with every wrong field at once", async () => {
    const client = createClient(RunService, mesh.transport);
    const spec = { brandId, workflow: "no such workflow", topic: "" };
    const answer = await refusal(client.createRun({ spec }, mesh.auth));
    assert.deepEqual([answer.code, answer.reason], [Code.InvalidArgument, "INVALID_FIELDS"]);
    assert.deepEqual(answer.fields.sort(), ["request_id", "spec.content_type", "spec.topic", "spec.workflow"]);
  });

  test("when a run does not exist, in a stream too", async () => {
    const client = createClient(RunService, mesh.transport);
    const runId = `run_${"0".repeat(26)}`;
    assert.equal((await refusal(client.getRun({ runId }, mesh.auth))).code, Code.NotFound);
    assert.equal((await refusal(client.watchRun({ runId }, mesh.auth))).code, Code.NotFound);
  });

  test("when the deadline is a millisecond, and nothing is stored", async () => {
    const knowledge = createClient(KnowledgeService, mesh.transport);
    const made = await knowledge.createKnowledgeBase({ requestId: randomUUID(), name: "late" }, mesh.auth);
    const base = made.knowledgeBase!.knowledgeBaseId;
    const client = createClient(IngestionService, mesh.transport);
    const answer = await refusal(client.ingest(upload(base, 64), { ...mesh.auth, timeoutMs: 1 }));
    assert.equal(answer.code, Code.DeadlineExceeded);
    assert.deepEqual((await knowledge.listDocuments({ knowledgeBaseId: base }, mesh.auth)).documents, []);
  });

  test("when calls come too fast, with the time to come back", async () => {
    const narrow = await Mesh.start({ COPYDESK__GATEWAY__RATE_LIMITS__GENERATE: "1" });
    try {
      const client = createClient(LlmService, narrow.transport);
      const messages = [{ role: Role.USER, text: "Say something about bread." }];
      const request = { messages, task: Task.DRAFT, brief: { topic: "bread", contentType: ContentType.SOCIAL } };
      await client.generate(request, narrow.auth);
      const answer = await refusal(client.generate(request, narrow.auth));
      assert.deepEqual([answer.code, answer.reason], [Code.ResourceExhausted, "RATE_LIMITED"]);
      assert.ok(answer.retryAfterSeconds! > 0 && answer.retryAfterSeconds! <= 60);
    } finally {
      assert.equal(await narrow.stop(), 0);
    }
  });
});
