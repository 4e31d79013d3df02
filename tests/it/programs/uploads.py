"""Uploads whose length nobody knows beforehand, as requests, httpx and aiohttp make them: chunked."""

import asyncio
import hashlib
import sys

import aiohttp
import httpx
import requests

URL = sys.argv[1] + "/sum"
PIECES = [bytes([number % 251]) * (number * 97) for number in range(300)]
WHOLE = b"".join(PIECES)


def check(client, answer):
    expected = {"length": len(WHOLE), "sha256": hashlib.sha256(WHOLE).hexdigest(), "content-length": None}
    assert expected.items() <= answer.items(), (client, answer)


async def pieces():
    for piece in PIECES:
        yield piece
        await asyncio.sleep(0)


async def main():
    check("requests", requests.post(URL, data=iter(PIECES)).json())
    check("httpx", httpx.post(URL, content=iter(PIECES)).json())
    async with httpx.AsyncClient() as client:
        check("httpx, asynchronous", (await client.put(URL, content=pieces())).json())
    async with aiohttp.ClientSession() as session, session.post(URL, data=pieces()) as answer:
        check("aiohttp", await answer.json())


asyncio.run(main())
