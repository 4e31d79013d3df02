// Server-sent events, as undici's EventSource and Node's fetch read them. The upstream sends one, and the next when the
// caller has said that it has it.

import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { Readable } from "node:stream";

const [, , base, client, waits] = process.argv;
const count = waits ? 50 : 5;
const { EventSource } = createRequire(import.meta.url)("undici");

async function* eventsource() {
  const source = new EventSource(`${base}/events?count=${count}`);
  let tell;
  const queue = [];
  source.onmessage = (event) => {
    queue.push(event.data);
    tell?.();
  };
  source.onerror = () => {
    // The end of the stream: a browser's EventSource would come again.
    source.close();
    queue.push(null);
    tell?.();
  };
  for (;;) {
    if (queue.length === 0) await new Promise((resolve) => (tell = resolve));
    const event = queue.shift();
    if (event === null) return;
    if (event !== undefined) yield event;
  }
}

async function* fetched() {
  const answer = await fetch(`${base}/events?count=${count}`);
  assert.equal(answer.headers.get("content-type").split(";")[0], "text/event-stream");
  for await (const line of createInterface({ input: Readable.fromWeb(answer.body) })) {
    if (line.startsWith("data: ")) yield line.slice("data: ".length);
  }
}

const got = [];
for await (const event of client === "fetch" ? fetched() : eventsource()) {
  got.push(event);
  console.log("has an event");
  if (waits) await new Promise(() => setTimeout(() => {}, 1e9));
  assert.equal((await fetch(`${base}/acknowledge`)).status, 204);
}
assert.deepEqual(got, Array.from({ length: count }, (_, number) => `event ${number}`));
