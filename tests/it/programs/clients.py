"""What an SDK does, with the client that it is made of: requests, httpx (HTTP/1.1 and HTTP/2) or aiohttp. Twenty at once
share connections.
"""

import asyncio
import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import httpx
import requests

BASE, CLIENT = sys.argv[1:3]
PLACEHOLDER = {"Authorization": "Bearer placeholder"}
TEXT = "".join(f"{number} is a number\n" for number in range(20_000))


async def requests_client():
    session = requests.Session()
    session.headers.update(PLACEHOLDER)
    pool = ThreadPoolExecutor(20)

    async def send(method, path, **options):
        ask = lambda: session.request(method, BASE + path, timeout=60, **options)
        answer = await asyncio.get_running_loop().run_in_executor(pool, ask)
        return answer.status_code, answer.content

    await use(send)


async def httpx_client(**versions):
    async with httpx.AsyncClient(base_url=BASE, headers=PLACEHOLDER, timeout=60, **versions) as client:

        async def send(method, path, data=None, **options):
            answer = await client.request(method, path.lstrip("/"), content=data, **options)
            assert answer.http_version == ("HTTP/2" if versions else "HTTP/1.1"), answer.http_version
            return answer.status_code, answer.content

        await use(send)


async def aiohttp_client():
    async with aiohttp.ClientSession(headers=PLACEHOLDER) as session:

        async def send(method, path, **options):
            async with session.request(method, BASE + path, **options) as answer:
                return answer.status, await answer.read()

        await use(send)


async def use(send):
    """`send` gives the status and the body, its coding taken off."""
    status, body = await send("GET", "/about", params={"q": "a b", "page": "2"})
    assert status == 200 and (b"q=a+b&page=2" in body or b"q=a%20b&page=2" in body), body
    assert b"placeholder" not in body, body
    for coding in ("gzip", "br"):
        status, body = await send("GET", f"/coded/{coding}", headers={"Accept-Encoding": coding})
        assert (status, body.decode()) == (200, TEXT), (coding, status, body[:40])
    json = '{"name": "größer"}'.encode()
    status, body = await send("POST", "/sum", data=json, headers={"Content-Type": "application/json"})
    assert status == 200 and hashlib.sha256(json).hexdigest().encode() in body, body
    status, body = await send("DELETE", "/about")
    assert status == 200, status
    status, _ = await send("GET", "/files/none.txt")
    assert status == 404, status
    many = await asyncio.gather(*(send("GET", f"/octets/{count * 10_000}") for count in range(20)))
    for count, (status, body) in enumerate(many):
        assert (status, len(body)) == (200, count * 10_000), (count, status, len(body))


if CLIENT == "httpx-http2":
    asyncio.run(httpx_client(http1=False, http2=True))
else:
    asyncio.run({"requests": requests_client, "httpx": httpx_client, "aiohttp": aiohttp_client}[CLIENT]())
