"""What goes between a supervisor and its processes, also where one of both is gone."""

import asyncio
import socket

import pytest

from fer_worker.supervision.message_stream import MessageStream

LARGE = bytes(500_000)
"""More than a pair of sockets takes at once."""


def test_messages_to_a_peer_that_is_gone_are_lost() -> None:
    async def run() -> None:
        ours, theirs = socket.socketpair()
        stream = await MessageStream.open(ours)
        theirs.close()
        for _ in range(10):
            stream.send(b"to nobody", b"at all")
            await stream.flush()
        assert await stream.receive() is None
        stream.close()
        stream.send(b"after the end")
        await stream.flush()

    asyncio.run(run())


@pytest.mark.parametrize(
    "parts", [(b"ab", b""), (b"", b"cd"), (b"",), (LARGE, b""), (b"", LARGE, b"", b"end")]
)
def test_message_with_an_empty_part_arrives_whole_and_then_the_end(
    parts: tuple[bytes, ...],
) -> None:
    async def run() -> None:
        ours, theirs = socket.socketpair()
        sending, hearing = await MessageStream.open(ours), await MessageStream.open(theirs)
        sending.send(*parts)
        async with asyncio.timeout(20):
            assert await hearing.receive() == b"".join(parts)
            await sending.flush()
            sending.close()
            assert await hearing.receive() is None
        hearing.close()

    asyncio.run(run())
