"""A steady load for a restart: `python load.py URL TOKEN SECONDS RATE`, printed as JSON.

Every other request is on a connection of its own, which is where a listener that closes loses some;
the rest are on kept connections. Nothing is tried twice. Runs with nothing but the standard library
and httpx.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from urllib.parse import urlsplit

import httpx


async def main(url: str, token: str, seconds: float, rate: float) -> None:
    """Sends for that long, then prints how many requests ended how."""
    outcomes = Counter[str]()
    headers = {"Authorization": f"Bearer {token}"}
    limits = httpx.Limits(max_connections=20, max_keepalive_connections=20)
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, limits=limits) as kept,
        asyncio.TaskGroup() as group,
    ):
        begun = time.monotonic()
        for number in range(int(seconds * rate)):
            await asyncio.sleep(begun + number / rate - time.monotonic())
            asking = _fresh(url, token) if number % 2 else _kept(kept)
            group.create_task(_counted(asking, outcomes))
    sys.stdout.write(json.dumps(outcomes) + "\n")


async def _counted(asking, outcomes: Counter[str]) -> None:  # type: ignore[no-untyped-def]
    try:
        async with asyncio.timeout(20):
            outcomes[await asking] += 1
    except (OSError, TimeoutError, httpx.HTTPError) as error:
        outcomes[f"{asking.__name__} {type(error).__name__} {error}"] += 1


async def _kept(client: httpx.AsyncClient) -> str:
    return str((await client.get("/utils/v1/ping")).status_code)


async def _fresh(url: str, token: str) -> str:
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        writer.write(
            f"GET /utils/v1/ping HTTP/1.1\r\nHost: {where.netloc}\r\n"
            f"Authorization: Bearer {token}\r\nConnection: close\r\n\r\n".encode()
        )
        line = await reader.readline()
        await reader.read()
        return line.decode().split()[1] if line else "closed without a reply"
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])))
