// WebSockets of Node's `ws` to an upstream that repeats what it is told. An argument says which: `one`, or one that the upstream
// `ends`, or, without one, both.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createRequire } from "node:module";

const { WebSocket } = createRequire(import.meta.url)("ws");
const base = process.argv[2].replace("http://", "ws://");
const options = { headers: { authorization: "Bearer placeholder" }, maxPayload: 2 ** 25 };

async function one() {
  const peer = new WebSocket(`${base}/echo`, options);
  await once(peer, "open");
  for (const message of ["größer", "", Buffer.from([0, 255]), randomBytes(70_000), "x".repeat(1_000_000), randomBytes(9_000_000)]) {
    peer.send(message);
    const [got, binary] = await once(peer, "message");
    assert.equal(binary, Buffer.isBuffer(message));
    assert.ok(got.equals(Buffer.from(message)), `${message.length} bytes`);
  }
  peer.ping("still there?");
  const [pong] = await once(peer, "pong");
  assert.equal(pong.toString(), "still there?");
  peer.close(1000);
  await once(peer, "close");
}

/** The upstream does, with a code of its own. */
async function ends() {
  const other = new WebSocket(`${base}/echo`, options);
  await once(other, "open");
  other.send("close");
  const [code, reason] = await once(other, "close");
  assert.deepEqual([code, reason.toString()], [4001, "as told"]);
}

const tasks = { one, ends };
const asked = process.argv.slice(3);
for (const name of asked.length ? asked : Object.keys(tasks)) await tasks[name]();
