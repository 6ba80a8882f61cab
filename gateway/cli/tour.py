"""The demo's tour: each step a real request, with what it shows and what must come of it."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx
from prometheus_client.parser import text_string_to_metric_families

from gateway.sandbox.identifiers import uuid7
from gateway.sandbox.samples import WORKFLOW_ID, invoice

Json = Any


class TourStep(NamedTuple):
    """One request: who sends it, what it is, the status it must get, and what that shows.

    `note` makes a few words of the answer; the step fails if it gives none.
    """

    who: str
    method: str
    path: str
    status: int
    shows: str
    note: Callable[[httpx.Response], str]
    token: str = ""
    tenant: str = ""
    body: Json = None


class Visit(NamedTuple):
    """A step that was taken, and what came of it."""

    step: TourStep
    path: str
    status: int
    note: str
    ms: float
    as_expected: bool


def _error(reply: httpx.Response) -> str:
    return str(reply.headers.get("x-gateway-error", ""))


def _steps(billing: str, reporting: str) -> list[TourStep]:
    entry = uuid7()
    silo = "/silo/v1/entries"
    as_billing = {"who": "billing → acme", "token": billing}
    as_reporting = {"who": "reporting → globex", "token": reporting, "tenant": "globex"}
    return [
        TourStep(method="GET", path="/utils/v1/ping", status=200, **as_billing,
                 shows="Plain HTTP in, HTTPS out, with acme's key.",
                 note=lambda r: r.json()["ping"]),
        TourStep(method="GET", path="/auth/version", status=200, **as_billing,
                 shows="The first example of Invopop's API reference.",
                 note=lambda r: r.json()),
        TourStep(method="GET", path="/access/v1/workspace", status=200, **as_billing,
                 shows="The key decides the workspace; billing never saw the key.",
                 note=lambda r: r.json()["name"]),
        TourStep(method="PUT", path=f"{silo}/{entry}", status=200, **as_billing,
                 shows="An invoice is stored, its totals calculated.",
                 note=lambda r: "total " + r.json()["data"]["doc"]["totals"]["payable"],
                 body={"data": invoice(), "key": f"demo-{entry[:8]}"}),
        TourStep(method="POST", path="/transform/v1/jobs?wait=10", status=200, **as_billing,
                 shows="A job signs it and makes the PDF.",
                 note=lambda r: r.json()["status"],
                 body={"workflow_id": WORKFLOW_ID, "silo_entry_id": entry}),
        TourStep(method="GET", path="/.files/{file}", status=200, **as_billing,
                 shows="The PDF is on another host, which gets no key.",
                 note=lambda r: f"{len(r.content)} B PDF" if r.content[:5] == b"%PDF-" else ""),
        TourStep(**as_reporting, method="GET", path=silo,
                 status=200, shows="Another tenant, another key: acme's invoice is not here.",
                 note=lambda r: f"{len(r.json()['list'] or [])} entries"),
        TourStep(**as_reporting, method="POST", path=silo,
                 status=403, shows="reporting may read only.", note=_error,
                 body={"data": invoice()}),
        TourStep(who="billing → globex", token=billing, tenant="globex", method="GET", path=silo,
                 status=403, shows="globex is not billing's tenant: its key is not looked up.",
                 note=_error),
        TourStep(who="no token", method="GET", path=silo, status=401,
                 shows="Without a token nothing is sent.", note=_error),
        TourStep(who="wrong token → acme", token="igw_" + "0" * 38, method="GET", path=silo,
                 status=401, shows="A wrong token gets the same answer.", note=_error),
    ]  # fmt: skip


async def tour(gateway: str, upstream: str, tokens: tuple[str, str]) -> list[Visit]:
    """Takes every step in turn through the gateway, then asks Invopop itself over plain HTTP."""
    found: dict[str, str] = {}
    async with httpx.AsyncClient(base_url=gateway, trust_env=False, timeout=20.0) as client:
        visits = [await _take(client, step, found) for step in _steps(*tokens)]
    return [*visits, await _without_gateway(upstream)]


async def _take(client: httpx.AsyncClient, step: TourStep, found: dict[str, str]) -> Visit:
    headers = {"Authorization": f"Bearer {step.token}"} if step.token else {}
    if step.tenant:
        headers["X-Invopop-Tenant"] = step.tenant
    path = step.path.replace("{file}", found.get("file", "none"))
    shown = step.path.replace("{file}", found.get("file", "none").partition("/")[0] + "/…")
    started = time.perf_counter()
    try:
        reply = await client.request(step.method, path, headers=headers, json=step.body)
    except httpx.TransportError as error:
        return Visit(step, shown, 0, type(error).__name__, _ms_since(started), False)
    ms = _ms_since(started)
    try:
        note = step.note(reply)
        if step.path.startswith("/transform/v1/jobs"):
            found["file"] = reply.json()["attachments"][0]["url"].removeprefix("https://")
    except (KeyError, IndexError, TypeError, ValueError):
        note = ""
    return Visit(
        step, shown, reply.status_code, note, ms, reply.status_code == step.status and bool(note)
    )


async def _without_gateway(upstream: str) -> Visit:
    """Invopop's own rule: plain HTTP fails. It is why the gateway upgrades every request."""
    url = upstream.replace("https://", "http://", 1)
    step = TourStep(
        "anybody", "GET", f"{url}/utils/v1/ping", 0,
        "Without the gateway: Invopop does not speak plain HTTP.", lambda _: "",
    )  # fmt: skip
    started = time.perf_counter()
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
            reply = await client.get(step.path)
        status, note = reply.status_code, "answered"
    except httpx.TransportError:
        status, note = 0, "connection failed"
    shown = step.path.replace(url, "http://Invopop")
    return Visit(step, shown, status, note, _ms_since(started), status == 0)


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000


class Sample(NamedTuple):
    """One series of `requests_total` as Prometheus saw it."""

    labels: dict[str, str]
    value: float


async def requests_counted(admin: str) -> list[Sample]:
    """What the tour moved in `invopop_gateway_requests_total`."""
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"{admin}/metrics")).text
    return [
        Sample(sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "invopop_gateway_requests_total"
    ]
