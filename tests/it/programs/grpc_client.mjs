// A gRPC client in JavaScript, which makes each kind of call with bytes as messages.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { Client, Metadata, credentials, status } = require("@grpc/grpc-js");

const port = new URL(process.argv[2]).port;
const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
  "grpc.default_authority": `api.localhost:${port}`,
  "grpc.enable_http_proxy": 0,
});
const path = (name) => `/test.Service/${name}`;
const asIs = (bytes) => bytes;
const own = new Metadata();
own.set("authorization", "Bearer placeholder");
own.set("x-mine", "yes");

function unary(name, message, options = {}) {
  return new Promise((resolve) => {
    const done = (error, answer) => resolve({ error, answer, trailing });
    let trailing;
    const call = client.makeUnaryRequest(path(name), asIs, asIs, Buffer.from(message), own, options, done);
    call.on("status", (end) => (trailing = end.metadata));
  });
}

async function collect(call) {
  const got = [];
  for await (const message of call) got.push(message.toString());
  return got;
}

const { error, answer } = await unary("Unary", "abc");
assert.equal(error, null);
assert.equal(answer.toString(), "cba");

const streamed = await collect(client.makeServerStreamRequest(path("ServerStream"), asIs, asIs, Buffer.from("300"), own));
assert.deepEqual(streamed, Array.from({ length: 300 }, (_, number) => String(number)));

const joined = await new Promise((resolve, reject) => {
  const call = client.makeClientStreamRequest(path("ClientStream"), asIs, asIs, own, (failed, whole) =>
    failed ? reject(failed) : resolve(whole.toString()),
  );
  for (let number = 0; number < 300; number += 1) call.write(Buffer.from(`${number},`));
  call.end();
});
assert.equal(joined, Array.from({ length: 300 }, (_, number) => `${number},`).join(""));

const both = client.makeBidiStreamRequest(path("Both"), asIs, asIs, own);
let next = 0;
both.write(Buffer.from("0"));
for await (const message of both) {
  assert.equal(message.toString(), `re: ${next}`);
  next += 1;
  if (next < 5) both.write(Buffer.from(String(next)));
  else both.end();
}
assert.equal(next, 5);

const failed = await unary("Fail", "9");
assert.equal(failed.error.code, status.FAILED_PRECONDITION);
assert.equal(failed.error.details, "größer, 100 %");
assert.deepEqual(failed.error.metadata.get("grpc-status-details-bin"), [Buffer.from("\x00\xffdetails", "latin1")]);

const late = await unary("Hang", "", { deadline: Date.now() + 2000 });
assert.equal(late.error.code, status.DEADLINE_EXCEEDED);
client.close();
