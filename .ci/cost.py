"""What a request costs, counted rather than timed: instructions (callgrind) and allocations (DHAT), which repeat to a few in a
thousand on any machine. More than the budgets below by a twentieth fails.

    python3 .ci/cost.py target/release/sidekey
    python3 .ci/cost.py --trained target/static/TARGET/release/sidekey     # built by bench/train.py
"""

import asyncio
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

# For each request: what it is, and the most that it may take. Lower them when it takes less; raise them with the reason.
BUDGETS = {
    ("get", "instructions"): 31_000,
    ("get", "allocations"): 4,
    ("get over TLS", "instructions"): 38_500,
    ("signed post of 2 KiB", "instructions"): 84_500,
}
# Of a build that was trained. Allocations are not told of a static binary, and are the same.
TRAINED = {
    ("get", "instructions"): 26_000,
    ("get over TLS", "instructions"): 32_000,
    ("signed post of 2 KiB", "instructions"): 79_000,
}
SLACK = 1.05
# The start, the first connection and the end are taken off: what more requests cost more is what a request costs.
FEW, MANY = 300, 1300
REQUESTS = {
    "get": ("plain", b"GET", b""),
    "get over TLS": ("tls", b"GET", b""),
    "signed post of 2 KiB": ("signed", b"POST", b"x" * 2048),
}
HEADER = (b"Host: localhost\r\nUser-Agent: cost/1.0\r\nAccept: application/json\r\nAccept-Encoding: gzip\r\n"
          b"Authorization: Bearer of-the-callers-own\r\n")
BODY = b"x" * 500
ANSWER = (b"HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 09:00:00 GMT\r\nServer: origin\r\nContent-Type: application/json\r\n"
          b"ETag: \"5f3e2a\"\r\nContent-Length: 500\r\nConnection: keep-alive\r\n\r\n" + BODY)
CONFIG = """
[server]
workers = 1
[listen.cost]
address = "127.0.0.1:{port}"
[reload]
interval = "0s"
[upstream.plain]
url = "http://127.0.0.1:{plain}"
auth.bearer = {{ token = "file:secret" }}
[upstream.tls]
url = "https://localhost:{tls}"
tls = {{ ca_file = "ca.pem" }}
auth.bearer = {{ token = "file:secret" }}
[upstream.signed]
url = "http://127.0.0.1:{plain}"
auth.hmac = {{ username = "file:secret", secret = "file:secret" }}
"""
TOOLS = {
    "instructions": (["--tool=callgrind", "--callgrind-out-file=/dev/null"], rb"Collected : (\d+)"),
    "allocations": (["--tool=dhat", "--dhat-out-file=/dev/null"], rb"Total:.*? in ([\d,]+) blocks"),
}


def main():
    binary, budgets = Path(sys.argv[-1]).resolve(), TRAINED if "--trained" in sys.argv else BUDGETS
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        port = prepare(Path(folder))
        for (name, unit), budget in budgets.items():
            few, many = (count(binary, folder, port, name, unit, requests) for requests in (FEW, MANY))
            each = (many - few) / (MANY - FEW)
            verdict = "too much" if each > budget * SLACK else "lower the budget" if each < budget / SLACK**2 else "good"
            failed |= verdict == "too much"
            print(f"{name + ', ' + unit:38} {each:10,.1f}   of {budget:8,}   {verdict}")
    sys.exit(failed)


def prepare(folder):
    (folder / "secret").write_text("made-up-for-this-run")
    (folder / "secret").chmod(0o600)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    subprocess.run(["openssl", "req", "-x509", *key, "-keyout", "key.pem", "-out", "ca.pem", "-addext",
                    "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:false"],
                   cwd=folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    ports, ready = {}, threading.Event()
    threading.Thread(target=lambda: asyncio.run(serve(context, ports, ready)), daemon=True).start()
    ready.wait()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        ports["port"] = free.getsockname()[1]
    (folder / "sidekey.toml").write_text(CONFIG.format(**ports))
    return ports["port"]


async def serve(context, ports, ready):
    servers = {"plain": await asyncio.start_server(answer, "127.0.0.1", 0),
               "tls": await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)}
    ports.update({name: server.sockets[0].getsockname()[1] for name, server in servers.items()})
    ready.set()
    await asyncio.Event().wait()


async def answer(reader, writer):
    try:
        while header := await reader.readuntil(b"\r\n\r\n"):
            length = re.search(rb"(?i)\r\ncontent-length: (\d+)", header)
            await reader.readexactly(int(length[1]) if length else 0)
            writer.write(ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def count(binary, folder, port, name, unit, requests):
    options, pattern = TOOLS[unit]
    command = ["valgrind", *options, binary, "run", "--config", "sidekey.toml"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ | {"RUST_LOG": ""})
    try:
        ask(port, *REQUESTS[name], requests)
    finally:
        process.send_signal(signal.SIGTERM)
        told = process.communicate()[1]
    found = re.search(pattern, told)
    if not found:
        sys.exit(f"no {unit} were counted: {told[-2000:].decode(errors='replace')}")
    return int(found[1].replace(b",", b""))


def ask(port, upstream, method, body, requests):
    caller = connect(port)
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    request = b"%s /%s/v2/things?page=1 HTTP/1.1\r\n%s%s\r\n%s" % (method, upstream.encode(), HEADER, length, body)
    for _ in range(requests):
        caller.sendall(request)
        answer = b""
        while not answer.endswith(b"\r\n\r\n" + BODY):
            piece = caller.recv(64 * 1024)
            if not piece:
                sys.exit(f"the connection was closed after {answer[:200]}")
            answer += piece
        if not answer.startswith(b"HTTP/1.1 200 "):
            sys.exit(f"this is no success: {answer[:200]}")
    caller.close()


def connect(port):
    began = time.monotonic()
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 30)
        except OSError:
            if time.monotonic() - began > 60:
                sys.exit("sidekey does not listen")
            time.sleep(0.05)


if __name__ == "__main__":
    main()
