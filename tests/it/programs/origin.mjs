// An upstream: Node, over TLS. HTTP/1.1 or HTTP/2, as ALPN says; WebSockets on HTTP/1.1.
//
// It says `port N`, then a line for whatever a test waits for. Whoever comes without the credential gets 401.

import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createSecureServer } from "node:http2";
import { createServer } from "node:https";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { brotliCompressSync, gzipSync } from "node:zlib";

const require = createRequire(import.meta.url);
const sendFile = require("send");
const { WebSocketServer } = require("ws");

const { ALPN, FOLDER, TOKEN } = process.env;
const text = Array.from({ length: 20_000 }, (_, number) => `${number} is a number\n`).join("");
const codings = { gzip: gzipSync(text), br: brotliCompressSync(text) };
const say = (line) => process.stdout.write(`${line}\n`);
let acknowledge = () => {};

function json(response, value) {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}

const routes = {
  about(request, response, url) {
    const headers = Object.entries(request.headers).filter(([name]) => name !== "authorization");
    json(response, { version: request.httpVersion, query: url.search.slice(1), headers });
  },

  coded(_request, response, _url, coding) {
    const headers = { "content-encoding": coding, vary: "Accept-Encoding", etag: `W/"${coding}-1"` };
    response.writeHead(200, { ...headers, "content-type": "text/plain", "content-length": codings[coding].length });
    response.end(codings[coding]);
  },

  async sum(request, response) {
    const hash = createHash("sha256");
    let length = 0;
    for await (const piece of request) {
      hash.update(piece);
      length += piece.length;
    }
    const framing = ["content-length", "transfer-encoding"].map((name) => [name, request.headers[name] ?? null]);
    json(response, { length, sha256: hash.digest("hex"), ...Object.fromEntries(framing) });
  },

  refuse(_request, response) {
    response.writeHead(413, { "content-type": "text/plain", connection: "close" });
    response.end("no");
  },

  /** What does not know `Expect` (RFC 9110 10.1.1). */
  unexpected(request, response) {
    if (!("expect" in request.headers)) return routes.sum(request, response);
    response.writeHead(417, { "content-type": "text/plain", connection: "close" });
    response.end("no");
  },

  async octets(_request, response, _url, count) {
    for (let start = 0; start < Number(count); start += 65536) {
      const piece = Buffer.from(Array.from({ length: Math.min(65536, count - start) }, (_, at) => (start / 65536 + at) % 251));
      if (!response.write(piece)) await once(response, "drain");
    }
    response.end();
  },

  async events(_request, response, url) {
    response.writeHead(200, { "content-type": "text/event-stream" });
    const count = Number(url.searchParams.get("count") ?? 5);
    let sent = 0;
    response.on("close", () => say(sent === count ? "stream finished" : "stream cancelled"));
    while (sent < count) {
      const told = new Promise((resolve) => (acknowledge = resolve));
      response.write(`id: ${sent}\ndata: event ${sent}\n\n`);
      await told;
      sent += 1;
    }
    response.end();
  },

  acknowledge(_request, response) {
    acknowledge();
    response.writeHead(204).end();
  },

  /** Silence before the head, or within the body. */
  async slow(_request, response, url, where) {
    const milliseconds = Number(url.searchParams.get("seconds")) * 1000;
    if (where === "head") await sleep(milliseconds);
    response.writeHead(200, { "content-type": "text/plain" });
    response.write("begin\n");
    if (where === "body") await sleep(milliseconds);
    response.end("end\n");
  },

  trailers(_request, response) {
    response.writeHead(200, { "content-type": "text/plain", trailer: "x-checksum" });
    response.write("body\n");
    response.addTrailers({ "x-checksum": "abc" });
    response.end();
  },

  files(request, response, _url, name) {
    sendFile(request, name, { root: `${FOLDER}/files` }).pipe(response);
  },
};

function authorized(request) {
  return request.headers.authorization === `Bearer ${TOKEN}`;
}

async function serve(request, response) {
  if (!authorized(request)) return response.writeHead(401).end("no credential");
  const url = new URL(request.url, "https://localhost");
  const [, route, name] = url.pathname.split("/");
  await routes[route](request, response, url, name);
}

function expecting(request, response) {
  if (!["/refuse", "/unexpected"].includes(request.url)) response.writeContinue();
  return serve(request, response);
}

function upgrade(request, socket, head) {
  if (!authorized(request)) return socket.end("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: true, maxPayload: 32 * 1024 * 1024 });
  sockets.handleUpgrade(request, socket, head, (peer) => {
    peer.on("message", (message, binary) => {
      if (!binary && message.toString() === "close") peer.close(4001, "as told");
      else peer.send(message, { binary });
    });
    peer.on("close", (code) => say(`socket closed ${code}`));
  });
}

const identity = { cert: readFileSync(`${FOLDER}/cert.pem`), key: readFileSync(`${FOLDER}/key.pem`) };
const server = ALPN.includes("h2") ? createSecureServer({ ...identity, allowHTTP1: true }) : createServer(identity);
server.on("request", serve).on("checkContinue", expecting).on("upgrade", upgrade);
server.listen(0, "127.0.0.1", () => say(`port ${server.address().port}`));
