"""aiohttp."""

import asyncio
import ssl

import aiohttp

from tests.integration.clients.programs.exercises import CA, CERTIFICATE, SOCKET, URL, exercises


def connector() -> aiohttp.BaseConnector | None:
    """How it connects, where that is not the usual way."""
    if SOCKET:
        return aiohttp.UnixConnector(SOCKET)
    if CERTIFICATE:
        context = ssl.create_default_context(cafile=CA)
        context.load_cert_chain(CERTIFICATE)
        return aiohttp.TCPConnector(ssl=context)
    return None


async def opened() -> aiohttp.ClientSession:
    """A session, which must be made in the loop."""
    return aiohttp.ClientSession(connector=connector(), trust_env=True)


async def one(
    session: aiohttp.ClientSession, line: tuple[str, str], headers: dict[str, str],
    body: bytes, wait: float,
) -> int:  # fmt: skip
    """One request."""
    limit = aiohttp.ClientTimeout(total=wait)
    sent = session.request(line[0], URL + line[1], headers=headers, data=body, timeout=limit)
    async with sent as reply:
        await reply.read()
        return reply.status


with asyncio.Runner() as runner:
    opened_session = runner.run(opened())

    def send(method: str, path: str, headers: dict[str, str], body: bytes, wait: float) -> int:
        """One request."""
        return runner.run(one(opened_session, (method, path), headers, body, wait))

    exercises(send)
    runner.run(opened_session.close())
