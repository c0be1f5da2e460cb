// One running `copydesk up`, as a user would start it: the real binary, a data folder of its own, free ports.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { openSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { CallOptions, Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

const START_LIMIT_MS = 60_000;

export class Mesh {
  private constructor(
    private readonly process: ChildProcess,
    readonly folder: string,
    readonly address: string,
    readonly key: string,
    readonly transport: Transport,
  ) {}

  get data(): string {
    return join(this.folder, "data");
  }

  /** What an ordinary call carries: the key and a deadline, so that no test can hang. */
  get auth(): CallOptions {
    return withKey(this.key);
  }

  static async start(settings: Record<string, string> = {}): Promise<Mesh> {
    const binary = process.env.COPYDESK_BIN;
    if (!binary) throw new Error("set COPYDESK_BIN to the built copydesk binary");
    const folder = await mkdtemp(join(tmpdir(), "copydesk-typescript-"));
    const data = join(folder, "data");
    const log = openSync(join(folder, "log"), "a");
    // Only what is named here: a key or a setting of the person who runs the tests must not reach the mesh.
    const env = { PATH: process.env.PATH, HOME: folder, COPYDESK__LLM_ROUTER__DISCOVERY: "false", ...settings };
    const args = ["up", "--data", data, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    const child = spawn(binary, args, { env, stdio: ["ignore", log, log] });
    try {
      const { gateway } = await ready(child, data);
      const key = readFileSync(join(data, "dev-key"), "utf8").trim();
      return new Mesh(child, folder, gateway, key, createGrpcTransport({ baseUrl: `http://${gateway}` }));
    } catch (cause) {
      child.kill("SIGKILL");
      throw new Error(`copydesk did not start:\n${readFileSync(join(folder, "log"), "utf8")}`, { cause });
    }
  }

  /** Asks it to end as an operator would and returns its exit code. */
  async stop(): Promise<number | null> {
    const ended = once(this.process, "exit");
    this.process.kill("SIGTERM");
    const [code] = (await ended) as [number | null];
    await rm(this.folder, { recursive: true, force: true });
    return code;
  }
}

export function withKey(key: string): CallOptions {
  return { headers: { authorization: `Bearer ${key}` }, timeoutMs: 30_000 };
}

/** Waits for the file in which the mesh says where it listens; a process that dies at start is noticed at once. */
async function ready(child: ChildProcess, data: string): Promise<{ gateway: string; admin: string }> {
  const end = Date.now() + START_LIMIT_MS;
  while (Date.now() < end) {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
    try {
      return JSON.parse(readFileSync(join(data, "endpoints.json"), "utf8"));
    } catch {
      await pause(20);
    }
  }
  throw new Error(`it was not ready in ${START_LIMIT_MS} ms`);
}
