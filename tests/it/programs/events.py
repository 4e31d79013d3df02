"""Server-sent events, as httpx-sse and aiohttp read them. The upstream sends one, and the next when the caller has said
that it has it.
"""

import asyncio
import sys

import aiohttp
import httpx
from httpx_sse import aconnect_sse

BASE, CLIENT = sys.argv[1:3]
WAITS = len(sys.argv) > 3
COUNT = 50 if WAITS else 5


async def httpx_events():
    async with httpx.AsyncClient(timeout=60) as client, aconnect_sse(client, "GET", f"{BASE}/events?count={COUNT}") as source:
        async for event in source.aiter_sse():
            yield event.data


async def aiohttp_events():
    async with aiohttp.ClientSession() as session, session.get(f"{BASE}/events?count={COUNT}") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream"), answer.headers
        async for line in answer.content:
            if line.startswith(b"data: "):
                yield line.removeprefix(b"data: ").decode().strip()


async def main():
    events = {"httpx-sse": httpx_events, "aiohttp": aiohttp_events}[CLIENT]
    got = []
    async with httpx.AsyncClient() as other:
        async for event in events():
            got.append(event)
            print("has an event", flush=True)
            if WAITS:
                await asyncio.Event().wait()
            (await other.get(BASE + "/acknowledge")).raise_for_status()
    assert got == [f"event {number}" for number in range(COUNT)], got


asyncio.run(main())
