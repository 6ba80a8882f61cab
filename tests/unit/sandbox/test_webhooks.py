"""Webhooks: what a receiver on this machine gets, and how often if it does not want it."""

import asyncio
import itertools
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from gateway.sandbox import samples
from gateway.sandbox.sandbox import Sandbox
from gateway.sandbox.serve import running
from gateway.sandbox.webhooks import Receiver, is_local, waits

JOBS = "/transform/v1/jobs"


class Developer:
    """A receiver that answers as it is told, the last answer from then on."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.answers = list(answers)
        self.heads: list[bytes] = []
        self.bodies: list[Any] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
            self.bodies.append(json.loads(await reader.readexactly(length)))
            self.heads.append(head)
            status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            writer.write(b"HTTP/1.1 %d .\r\nContent-Length: %d\r\n" % (status, len(body)))
            writer.write(b"Connection: close\r\n\r\n" + body)
            await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def receiving(developer: Developer, pace: float = 0.0) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a sandbox that sends its webhooks there, hardly waiting between them."""
    server = await asyncio.start_server(developer.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    sandbox = Sandbox(job_seconds=0.001)
    async with server, running(sandbox, webhook=Receiver(url, "hook-token", pace)) as served:
        key = {"Authorization": f"Bearer {sandbox.mint_key('acme')}"}
        trust = ssl.create_default_context(cadata=served.ca_pem.decode())
        async with httpx.AsyncClient(base_url=served.url, verify=trust, headers=key) as client:
            yield client


async def _ran(client: httpx.AsyncClient, **more: Any) -> Any:
    entry = (await client.post("/silo/v1/entries", json={"data": samples.invoice()})).json()
    body = {"workflow_id": samples.WORKFLOW_ID, "silo_entry_id": entry["id"], **more}
    return (await client.post(f"{JOBS}?wait=30", json=body)).json()


async def test_what_is_sent() -> None:
    """Exactly Invopop's members, as JSON, with a bearer token that never changes."""
    developer = Developer((204, b""))
    async with receiving(developer) as client:
        job = await _ran(client, key="k-1", args={"a": "b"})
        workspace = (await client.get("/access/v1/workspace")).json()
    assert job["status"] == "OK"
    (body,) = developer.bodies
    assert body.pop("id")
    assert body == {
        "event": "sent", "transform_job_id": job["id"], "silo_entry_id": job["silo_entry_id"],
        "owner_id": workspace["id"], "key": "k-1", "args": {"a": "b"}, "faults": [],
    }  # fmt: skip
    assert developer.heads[0].startswith(b"post /hook ")
    assert b"authorization: bearer hook-token\r\n" in developer.heads[0]
    assert b"content-type: application/json\r\n" in developer.heads[0]


async def test_a_receiver_that_fails_is_asked_again() -> None:
    """Anything but 200 and 204, 201 too; the same body each time, until it is taken."""
    developer = Developer((500, b""), (201, b""), (503, b'{"retry_in": 1}'), (200, b"{}"))
    async with receiving(developer) as client:
        assert (await _ran(client))["status"] == "OK"
    assert len(developer.bodies) == 4
    assert all(body == developer.bodies[0] for body in developer.bodies)


@pytest.mark.parametrize(
    "said",
    [
        b'{"retry_in": 1' + b"0" * 400 + b"}",
        b'{"retry_in": Infinity}',
        b'{"retry_in": 43201}',
        b'{"retry_in": -1, "message": null}',
        b"[" * 100_000,
        b'{"message": "\xff"}',
    ],
)
async def test_a_receiver_that_says_what_nobody_can_follow(said: bytes) -> None:
    """It is asked again as if it had said nothing, and others still get theirs."""
    developer = Developer((500, said), (200, b""))
    async with receiving(developer) as client:
        assert (await _ran(client))["status"] == "OK"
        assert (await _ran(client))["status"] == "OK"
    assert len(developer.bodies) == 3


async def test_a_receiver_that_never_takes_it() -> None:
    """The step is KO in the end: rescue runs, and its own webhook names the fault."""
    refusal = b'{"code": "x", "message": "no", "retry_in": 0}'
    developer = Developer(*[(400, refusal)] * 33, (200, b""))
    async with receiving(developer) as client:
        job = await _ran(client)
    fault = {"provider": "webhook", "code": "x", "message": "no"}
    assert (job["status"], job["faults"]) == ("OK", [fault])
    assert (len(developer.bodies), developer.bodies[-1]["event"]) == (34, "error")
    assert developer.bodies[-1]["faults"] == [fault]


def test_the_waits_are_invopops() -> None:
    """5 s, doubled up to 1280 s, then 30 minutes each, for 12 hours."""
    every = list(waits())
    assert every[:9] == [5, 10, 20, 40, 80, 160, 320, 640, 1280]
    assert set(every[9:]) == {1800}
    assert sum(every[:-1]) < 12 * 3600 <= sum(every)
    assert all(a <= b for a, b in itertools.pairwise(every))


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8000/hook", True),
        ("https://localhost/hook", True),
        ("http://[::1]:1/", True),
        ("http://127.0.0.1.example.com/", False),
        ("https://example.com/", False),
        ("http://10.0.0.1/", False),
        ("ftp://127.0.0.1/", False),
        ("127.0.0.1:8000", False),
        ("http://127.0.0.1@example.com/", False),
        ("", False),
    ],
)
def test_only_this_machine(url: str, local: bool) -> None:
    """What a sandbox makes up is never sent to anybody else."""
    assert is_local(url) is local
