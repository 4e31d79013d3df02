"""Two long polls at once: one is silent before the answer's head, one within its body."""

import asyncio
import sys
import time

import httpx

BASE, SECONDS, EXPECTED = sys.argv[1:4]


async def poll(client, where):
    return await client.get(f"{BASE}/slow/{where}", params={"seconds": SECONDS})


async def main():
    began = time.monotonic()
    async with httpx.AsyncClient(timeout=100) as client:
        head, body = await asyncio.gather(poll(client, "head"), poll(client, "body"), return_exceptions=True)
    took = time.monotonic() - began
    if EXPECTED == "complete":
        assert (head.text, body.text) == ("begin\nend\n", "begin\nend\n")
        assert took >= float(SECONDS), took
    else:
        assert head.status_code == 504, head
        assert isinstance(body, (httpx.RemoteProtocolError, httpx.ReadError)), repr(body)
        assert took < float(SECONDS), took


asyncio.run(main())
