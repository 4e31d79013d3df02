// A WebSocket of undici over HTTP/2 (RFC 8441) to an upstream that repeats what it is told.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { Agent, WebSocket, fetch } = createRequire(import.meta.url)("undici");
const [, , plain, authority] = process.argv;
const base = plain.replace("http://", "https://");
const dispatcher = new Agent({ allowH2: true, connect: { ca: readFileSync(authority) } });

// It asks for none before it knows that it may.
assert.equal((await fetch(`${base}/about`, { dispatcher })).status, 200);

function once(target, name) {
  return new Promise((resolve, reject) => {
    target.addEventListener(name, resolve, { once: true });
    target.addEventListener("error", (event) => reject(event.error ?? new Error("error")), { once: true });
  });
}

async function open() {
  const peer = new WebSocket(`${base.replace("https://", "wss://")}/echo`, { dispatcher });
  peer.binaryType = "arraybuffer";
  await once(peer, "open");
  return peer;
}

const peer = await open();
for (const message of ["größer", "", Buffer.from([0, 255]), randomBytes(70_000), "x".repeat(1_000_000), randomBytes(9_000_000)]) {
  const came = once(peer, "message");
  peer.send(message);
  const { data } = await came;
  assert.ok(Buffer.from(data).equals(Buffer.from(message)), `${message.length} bytes`);
}
const ended = once(peer, "close");
peer.close(1000);
await ended;

// The upstream ends it, with a code of its own.
const other = await open();
const closed = once(other, "close");
other.send("close");
const { code, reason } = await closed;
assert.deepEqual([code, reason], [4001, "as told"]);
process.exit(0);
