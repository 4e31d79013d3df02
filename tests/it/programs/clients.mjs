// What an SDK does, with the client that it is made of: Node's fetch, undici's pool, `http` with an agent that keeps its
// connections, or `http2`. Twenty at once share connections.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Agent, request as ask } from "node:http";
import { connect } from "node:http2";
import { createRequire } from "node:module";
import { buffer } from "node:stream/consumers";

const [, , base, client] = process.argv;
const { Pool } = createRequire(import.meta.url)("undici");
const url = new URL(base);
const placeholder = { authorization: "Bearer placeholder" };

// Each makes a function that sends, and gives status and body; and one that ends it.
const clients = {
  fetch: () => [
    async (method, path, { headers, body } = {}) => {
      const answer = await fetch(base + path, { method, headers: { ...placeholder, ...headers }, body });
      return [answer.status, Buffer.from(await answer.arrayBuffer())];
    },
    () => {},
  ],

  undici: () => {
    const pool = new Pool(url.origin, { connections: 4, pipelining: 1 });
    const send = async (method, path, { headers, body } = {}) => {
      const options = { method, path: url.pathname + path, headers: { ...placeholder, ...headers }, body };
      const answer = await pool.request(options);
      return [answer.statusCode, await buffer(answer.body)];
    };
    return [send, () => pool.close()];
  },

  http: () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 4 });
    const send = (method, path, { headers, body } = {}) =>
      new Promise((resolve, reject) => {
        const sent = ask(base + path, { agent, method, headers: { ...placeholder, ...headers } });
        sent.on("error", reject).on("response", (answer) => {
          buffer(answer).then((whole) => resolve([answer.statusCode, whole]), reject);
        });
        sent.end(body);
      });
    return [send, () => agent.destroy()];
  },

  http2: () => {
    const session = connect(url.origin);
    const send = async (method, path, { headers, body } = {}) => {
      const head = { ":method": method, ":path": url.pathname + path, ...placeholder, ...headers };
      const stream = session.request(head, { endStream: body === undefined });
      if (body !== undefined) stream.end(body);
      const status = new Promise((resolve, reject) =>
        stream.on("response", (answer) => resolve(answer[":status"])).on("error", reject),
      );
      return Promise.all([status, buffer(stream)]);
    };
    return [send, () => session.close()];
  },
};

const [send, end] = clients[client]();
const [status, about] = await send("GET", "/about?q=a%20b&page=2");
assert.equal(status, 200);
assert.match(about.toString(), /"q=a%20b&page=2"/);
assert.doesNotMatch(about.toString(), /placeholder/);
const body = JSON.stringify({ name: "größer" });
const [, summed] = await send("POST", "/sum", { headers: { "content-type": "application/json" }, body });
assert.equal(JSON.parse(summed).sha256, createHash("sha256").update(body).digest("hex"));
assert.equal((await send("DELETE", "/about"))[0], 200);
assert.equal((await send("GET", "/files/none.txt"))[0], 404);
const counts = Array.from({ length: 20 }, (_, number) => number * 10_000);
const many = await Promise.all(counts.map((count) => send("GET", `/octets/${count}`)));
assert.deepEqual(many.map(([answered, whole]) => [answered, whole.length]), counts.map((count) => [200, count]));
await end();
