"""WebSockets of Python's `websockets` to an upstream that repeats what it is told. An argument says which: `one`, or one that the
upstream `ends`, or, without one, all."""

import asyncio
import os
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

BASE = sys.argv[1].replace("http://", "ws://")
OWN = {"Authorization": "Bearer placeholder"}


OPTIONS = {"additional_headers": OWN, "max_size": 2**25, "proxy": None, "open_timeout": 60}


async def one():
    async with connect(BASE + "/echo", **OPTIONS) as peer:
        for message in ("größer", "", b"\x00\xff", os.urandom(70_000), "x" * 1_000_000, os.urandom(9_000_000)):
            await peer.send(message)
            assert await peer.recv() == message, len(message)
        # Frame by frame, as it comes.
        await peer.send(iter(["one ", "two ", "three"]))
        assert await peer.recv() == "one two three"
        await (await peer.ping(b"still there?"))
        many = [f"{number}" for number in range(500)]
        sender = asyncio.create_task(send_all(peer, many))
        assert [await peer.recv() for _ in many] == many
        await sender


async def ends():
    """The upstream does, with a code of its own."""
    async with connect(BASE + "/echo", **OPTIONS) as peer:
        await peer.send("close")
        try:
            await peer.recv()
            raise AssertionError("it was not closed")
        except ConnectionClosed as closed:
            assert (closed.rcvd.code, closed.rcvd.reason) == (4001, "as told"), closed


async def refused():
    try:
        async with connect(BASE.removesuffix("/api") + "/unknown/echo", **OPTIONS):
            raise AssertionError("there is no such upstream")
    except InvalidStatus as answer:
        assert answer.response.status_code == 404, answer


async def send_all(peer, messages):
    for message in messages:
        await peer.send(message)


async def main():
    for task in [globals()[name] for name in sys.argv[2:]] or [one, ends, refused]:
        await task()


asyncio.run(main())
