// Ingests a Markdown file, has a post written about it, prints the text with its sources: example FILE TOPIC
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { RunService } from "./gen/copydesk/agent_orchestrator/v1/agent_orchestrator_pb.js";
import { BrandService } from "./gen/copydesk/learning/v1/learning_pb.js";
import { DocumentFormat, IngestionService, KnowledgeService } from "./gen/copydesk/retrieval/v1/retrieval_pb.js";
import { ContentType } from "./gen/copydesk/types/v1/types_pb.js";

const [file = "README.md", topic = "What this is"] = process.argv.slice(2);
const key = readFileSync(join(process.env.COPYDESK_DATA ?? ".copydesk", "dev-key"), "utf8").trim();
const transport = createGrpcTransport({ baseUrl: `http://${process.env.COPYDESK_ADDRESS ?? "127.0.0.1:7700"}` });
const auth = { headers: { authorization: `Bearer ${key}` } };
const requestId = randomUUID();

const knowledge = createClient(KnowledgeService, transport);
const made = await knowledge.createKnowledgeBase({ requestId, name: basename(file) }, auth);
const knowledgeBaseId = made.knowledgeBase!.knowledgeBaseId;
async function* upload() {
  yield { part: { case: "start" as const, value: { requestId, knowledgeBaseId } } };
  yield { part: { case: "document" as const, value: { key: basename(file), format: DocumentFormat.MARKDOWN } } };
  yield { part: { case: "content" as const, value: readFileSync(file) } };
}
const ingestion = createClient(IngestionService, transport);
const { ingestionId } = (await ingestion.ingest(upload(), auth)).ingestion!;
for await (const change of ingestion.watchIngestion({ ingestionId }, auth)) {
  console.error(`${change.ingestion!.documentsDone} of ${change.ingestion!.documentsTotal} documents`);
}
const brand = { name: "Example", audience: "people who decide", knowledgeBaseIds: [knowledgeBaseId] };
const { brandId } = (await createClient(BrandService, transport).createBrand({ requestId, brand }, auth)).brand!;

const runs = createClient(RunService, transport);
const spec = { brandId, workflow: "content", topic, contentType: ContentType.SOCIAL };
const { runId } = (await runs.createRun({ requestId, spec }, auth)).run!;
for await (const event of runs.watchRun({ runId }, auth)) console.error(Number(event.seq), event.event.case);
const { result, error } = (await runs.getRun({ runId }, auth)).run!;
console.log(result?.text ?? error);
for (const { citations } of result?.sentences ?? []) {
  for (const { title, span, quote } of citations.slice(0, 1)) {
    console.log(`  ${title}, bytes ${span!.start}-${span!.end}: ${quote}`);
  }
}
