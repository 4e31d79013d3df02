// Uploads whose length nobody knows beforehand, as Node's fetch and `http` make them: chunked.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { request } from "node:http";
import { json } from "node:stream/consumers";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

const url = `${process.argv[2]}/sum`;
const pieces = Array.from({ length: 300 }, (_, number) => Buffer.alloc(number * 97, number % 251));
const whole = Buffer.concat(pieces);

function check(answer) {
  const sha256 = createHash("sha256").update(whole).digest("hex");
  assert.deepEqual([answer.length, answer.sha256, answer["content-length"]], [whole.length, sha256, null]);
}

async function* body() {
  yield* pieces.filter((piece) => piece.length > 0);
}

const fetched = await fetch(url, { method: "POST", body: body(), duplex: "half" });
check(await fetched.json());

const sent = request(url, { method: "PUT" });
const answered = new Promise((resolve, reject) => sent.on("response", resolve).on("error", reject));
await pipeline(Readable.from(body()), sent);
check(await json(await answered));
