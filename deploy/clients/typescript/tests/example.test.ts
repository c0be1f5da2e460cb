// The example that the README shows works as printed.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Mesh } from "./mesh.js";

const EXAMPLE = fileURLToPath(new URL("../example.js", import.meta.url));
const FILE = fileURLToPath(
  new URL("../../../../../services/all-in-one/samples/products/graded-alerts.md", import.meta.url),
);

test("the example prints a text with its sources", async () => {
  const mesh = await Mesh.start();
  try {
    const env = { ...process.env, COPYDESK_ADDRESS: mesh.address, COPYDESK_DATA: mesh.data };
    const args = [EXAMPLE, FILE, "Alerts that drivers do not ignore"];
    const { stdout } = await promisify(execFile)(process.execPath, args, { env, timeout: 120_000 });
    const lines = stdout.split("\n");
    const sources = lines.filter((line) => /^ {2}.*, bytes \d+-\d+: /.test(line));
    assert.ok(sources.length > 0 && lines.length > sources.length + 1, stdout);
    const document = readFileSync(FILE, "utf8");
    for (const line of sources) assert.ok(document.includes(line.replace(/^ {2}.*?, bytes \d+-\d+: /, "")), line);
  } finally {
    assert.equal(await mesh.stop(), 0);
  }
});
