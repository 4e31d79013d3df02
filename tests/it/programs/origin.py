"""An upstream: Starlette on Hypercorn, over TLS. HTTP/1.1 or HTTP/2, as ALPN says; WebSockets on both.

It says `port N`, then a line for whatever a test waits for. Whoever comes without the credential gets 401.
"""

import asyncio
import gzip
import hashlib
import os
import socket

import brotli
import zstandard
from hypercorn.asyncio import serve
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

FOLDER = os.environ["FOLDER"]
CREDENTIAL = "Bearer " + os.environ["TOKEN"]
TEXT = "".join(f"{number} is a number\n" for number in range(20_000)).encode()
CODINGS = {
    "gzip": gzip.compress(TEXT, mtime=0),
    "br": brotli.compress(TEXT, quality=5),
    "zstd": zstandard.compress(TEXT),
}
acknowledged = asyncio.Event()


def say(line):
    print(line, flush=True)


async def about(request):
    headers = [[name, value] for name, value in request.headers.items() if name != "authorization"]
    return JSONResponse({"version": request.scope["http_version"], "query": request.url.query, "headers": headers})


async def coded(request):
    coding = request.path_params["coding"]
    headers = {"content-encoding": coding, "vary": "Accept-Encoding", "etag": f'W/"{coding}-1"'}
    return Response(CODINGS[coding], media_type="text/plain", headers=headers)


async def digest(pieces):
    length, body = 0, hashlib.sha256()
    async for piece in pieces:
        length += len(piece)
        body.update(piece)
    return {"length": length, "sha256": body.hexdigest()}


async def total(request):
    framing = {name: request.headers.get(name) for name in ("content-length", "transfer-encoding")}
    return JSONResponse(await digest(request.stream()) | framing)


async def form(request):
    async with request.form() as parts:
        file = parts["file"]

        async def pieces():
            while piece := await file.read(65536):
                yield piece

        return JSONResponse(await digest(pieces()) | {"name": file.filename, "note": parts["note"]})


async def refuse(_request):
    return PlainTextResponse("no", status_code=413, headers={"connection": "close"})


async def unexpected(request):
    """What does not know `Expect` (RFC 9110 10.1.1)."""
    if "expect" in request.headers:
        return PlainTextResponse("no", status_code=417, headers={"connection": "close"})
    return await total(request)


async def octets(request):
    count = int(request.path_params["count"])

    async def body():
        for start in range(0, count, 65536):
            yield bytes((start // 65536 + at) % 251 for at in range(min(65536, count - start)))

    return StreamingResponse(body(), media_type="application/octet-stream")


async def events(request):
    async def body():
        try:
            for number in range(int(request.query_params.get("count", "5"))):
                yield f"id: {number}\ndata: event {number}\n\n".encode()
                await acknowledged.wait()
                acknowledged.clear()
            say("stream finished")
        except asyncio.CancelledError:
            say("stream cancelled")
            raise

    return StreamingResponse(body(), media_type="text/event-stream")


async def acknowledge(_request):
    acknowledged.set()
    return Response(status_code=204)


async def slow(request):
    """Silence before the head, or within the body."""
    seconds, where = float(request.query_params["seconds"]), request.path_params["where"]

    async def body():
        yield b"begin\n"
        await asyncio.sleep(seconds)
        yield b"end\n"

    if where == "head":
        await asyncio.sleep(seconds)
        return PlainTextResponse("begin\nend\n")
    return StreamingResponse(body(), media_type="text/plain")


async def echo(socket):
    """A WebSocket that repeats what it is told, in kind, and ends when it is told to."""
    if socket.headers.get("authorization") != CREDENTIAL:
        await socket.close(3000)
        return
    protocols = socket.scope["subprotocols"]
    await socket.accept(subprotocol=protocols[0] if protocols else None)
    while (message := await socket.receive())["type"] == "websocket.receive":
        if message.get("text") == "close":
            await socket.close(4001, "as told")
            say("socket ended")
            return
        kind = "text" if message.get("text") is not None else "bytes"
        await socket.send({"type": "websocket.send", kind: message[kind]})
    say(f"socket closed {message['code']}")


ROUTES = Starlette(
    routes=[
        Route("/about", about, methods=["GET", "DELETE"]),
        Route("/coded/{coding}", coded),
        Route("/sum", total, methods=["POST", "PUT", "PATCH"]),
        Route("/form", form, methods=["POST"]),
        Route("/refuse", refuse, methods=["POST"]),
        Route("/unexpected", unexpected, methods=["POST"]),
        Route("/octets/{count}", octets),
        Route("/events", events),
        Route("/acknowledge", acknowledge),
        Route("/slow/{where}", slow),
        WebSocketRoute("/echo", echo),
        Mount("/files", StaticFiles(directory=os.path.join(FOLDER, "files"))),
    ]
)


async def application(scope, receive, send):
    if scope["type"] == "http" and dict(scope["headers"]).get(b"authorization", b"").decode() != CREDENTIAL:
        await PlainTextResponse("no credential", status_code=401)(scope, receive, send)
    elif scope["type"] == "http" and scope["path"] == "/trailers":
        await trailers(send)
    else:
        await ROUTES(scope, receive, send)


async def trailers(send):
    """Starlette knows no trailers, Hypercorn does: on HTTP/2, for whoever says `TE: trailers`."""
    head = [(b"content-type", b"text/plain"), (b"trailer", b"x-checksum")]
    await send({"type": "http.response.start", "status": 200, "headers": head, "trailers": True})
    await send({"type": "http.response.body", "body": b"body\n"})
    await send({"type": "http.response.trailers", "headers": [(b"x-checksum", b"abc")]})


async def main():
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.certfile, config.keyfile = (os.path.join(FOLDER, name) for name in ("cert.pem", "key.pem"))
    config.alpn_protocols = os.environ["ALPN"].split(",")
    config.keep_alive_timeout = 300
    config.graceful_timeout = 1
    config.websocket_max_message_size = 32 * 1024 * 1024
    say(f"port {port}")
    # It ends with the test, which kills it.
    await serve(application, config, shutdown_trigger=asyncio.Event().wait)


asyncio.run(main())
