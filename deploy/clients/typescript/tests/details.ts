// Reads the google.rpc details of a failed call from their bytes: two messages of strings need no generated code.
import assert from "node:assert/strict";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { type Code, ConnectError } from "@connectrpc/connect";

export interface Refusal {
  code: Code;
  reason: string;
  fields: string[];
  retryAfterSeconds: number | undefined;
}

/** Awaits a call that must fail, and tells why it failed. */
export async function refusal(call: Promise<unknown> | AsyncIterable<unknown>): Promise<Refusal> {
  try {
    if (Symbol.asyncIterator in call) for await (const _ of call) continue;
    else await call;
  } catch (error) {
    assert.ok(error instanceof ConnectError, String(error));
    return read(error);
  }
  assert.fail("the call was not refused");
}

function read(error: ConnectError): Refusal {
  const found = new Map<string, Uint8Array>();
  for (const detail of error.details) {
    if ("type" in detail && detail.value instanceof Uint8Array) found.set(String(detail.type), detail.value);
  }
  const violations = messages(found.get("google.rpc.BadRequest"), 1);
  const delay = messages(found.get("google.rpc.RetryInfo"), 1)[0];
  return {
    code: error.code,
    reason: text(found.get("google.rpc.ErrorInfo"), 1),
    fields: violations.map((violation) => text(violation, 1)),
    retryAfterSeconds: delay && seconds(delay),
  };
}

/** Every length-delimited value of the field. */
function messages(bytes: Uint8Array | undefined, field: number): Uint8Array[] {
  const values: Uint8Array[] = [];
  const reader = new BinaryReader(bytes ?? new Uint8Array());
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (number === field && type === WireType.LengthDelimited) values.push(reader.bytes());
    else reader.skip(type, number);
  }
  return values;
}

function text(bytes: Uint8Array | undefined, field: number): string {
  return new TextDecoder().decode(messages(bytes, field)[0] ?? new Uint8Array());
}

/** A google.protobuf.Duration in seconds. */
function seconds(bytes: Uint8Array): number {
  const reader = new BinaryReader(bytes);
  let total = 0;
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (number === 1) total += Number(reader.int64());
    else if (number === 2) total += reader.int32() / 1e9;
    else reader.skip(type, number);
  }
  return total;
}
