"""Series and their numbers: each given once, in order, without gaps."""

import asyncio
import uuid

import httpx
import pytest

SERIES = "/sequence/v1/series/0190e5a0-3d3c-4d5e-8f00-0000000000aa"
SHAPE = {"name": "Sales", "prefix": "INV-", "padding": 5, "suffix": "-F1", "start": 7}


@pytest.fixture
async def series(acme: httpx.AsyncClient) -> str:
    """The path of a series that starts at 7."""
    assert (await acme.put(SERIES, json=SHAPE)).status_code == 200
    return SERIES


async def test_numbers_are_formatted_and_chained(acme: httpx.AsyncClient, series: str) -> None:
    """Prefix, padding, suffix and start shape the code; each entry names the one before."""
    ids = [str(uuid.uuid4()) for _ in range(2)]
    made = [(await acme.put(f"{series}/entries/{i}", json={})).json() for i in ids]
    assert [entry["code"] for entry in made] == ["INV-00007-F1", "INV-00008-F1"]
    assert "previous_id" not in made[0]
    assert made[1]["previous_id"] == ids[0]
    shown = (await acme.get(series)).json()
    assert (shown["last_index"], shown["last_entry_id"]) == (8, ids[1])


async def test_concurrent_callers_never_share_a_number(
    acme: httpx.AsyncClient, series: str
) -> None:
    """Many entries at once, some asked for twice: as many numbers as ids, without gaps."""
    ids = [str(uuid.uuid4()) for _ in range(40)]
    replies = await asyncio.gather(
        *(acme.put(f"{series}/entries/{i}", json={"meta": {"id": i}}) for i in ids + ids)
    )
    codes = {reply.json()["id"]: reply.json()["code"] for reply in replies}
    assert {reply.status_code for reply in replies} == {200}
    assert sorted(codes.values()) == [f"INV-{n:05}-F1" for n in range(7, 47)]
    for reply in replies:
        assert codes[reply.json()["id"]] == reply.json()["code"]


async def test_the_same_put_again_changes_nothing(acme: httpx.AsyncClient, series: str) -> None:
    """A series or an entry put twice is one; put otherwise it is 409."""
    path = f"{series}/entries/{uuid.uuid4()}"
    first = (await acme.put(path, json={"meta": {"a": "b"}})).json()
    assert (await acme.put(path, json={"meta": {"a": "b"}})).json() == first
    assert (await acme.put(path, json={"meta": {"a": "c"}})).status_code == 409
    assert (await acme.put(series, json=SHAPE)).json()["last_index"] == 7
    assert (await acme.put(series, json=SHAPE | {"start": 1})).status_code == 409


async def test_entries_are_listed_newest_first(acme: httpx.AsyncClient, series: str) -> None:
    """A page holds `limit` entries and the cursor of the next, if there is one."""
    ids = [str(uuid.uuid4()) for _ in range(3)]
    for entry_id in ids:
        await acme.put(f"{series}/entries/{entry_id}", json={})
    first = (await acme.get(f"{series}/entries?limit=2")).json()
    second = (await acme.get(f"{series}/entries?limit=2&cursor={first['cursor']}")).json()
    assert [entry["id"] for entry in first["list"] + second["list"]] == ids[::-1]
    assert "cursor" not in second
    assert (await acme.get(f"{series}/entries?cursor=x")).status_code == 400
    assert (await acme.get(f"{series}/entries/{ids[0]}")).json() == second["list"][0]
    listed = (await acme.get("/sequence/v1/series")).json()["list"]
    assert [one["name"] for one in listed] == ["Sales"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (SERIES, {}, "name"),
        (SERIES, {"name": "x", "padding": -1}, "padding"),
        (SERIES, {"name": "x", "start": -1}, "start"),
        ("/sequence/v1/series/7", {"name": "x"}, "id"),
    ],
)
async def test_impossible_series_are_422(
    acme: httpx.AsyncClient, path: str, body: dict[str, object], field: str
) -> None:
    """A series needs a name, a UUID, and a format that makes sense."""
    reply = await acme.put(path, json=body)
    assert (reply.status_code, list(reply.json()["fields"])) == (422, [field])


async def test_unknown_series_and_entries_are_404(acme: httpx.AsyncClient, series: str) -> None:
    """Neither a number nor a list comes from a series that does not exist."""
    other = f"/sequence/v1/series/{uuid.uuid4()}"
    assert (await acme.put(f"{other}/entries/{uuid.uuid4()}", json={})).status_code == 404
    for path in (other, f"{other}/entries", f"{series}/entries/{uuid.uuid4()}"):
        assert (await acme.get(path)).status_code == 404
