"""Meta rows: an application's own, by key and by reference, and what of them others see."""

import httpx
import pytest

from gateway.sandbox import samples

ENTRIES = "/silo/v1/entries"


@pytest.fixture
async def entry(acme: httpx.AsyncClient) -> str:
    """The path of an entry."""
    made = (await acme.post(ENTRIES, json={"data": samples.invoice()})).json()
    return f"{ENTRIES}/{made['id']}"


async def test_a_row_is_made_changed_and_deleted(
    application: httpx.AsyncClient, acme: httpx.AsyncClient, entry: str
) -> None:
    """PUT again keeps its age; the entry shows it; once deleted it is gone."""
    path = f"{entry}/meta/service-id"
    made = (await application.put(path, json={"value": {"a": 1}, "url": "https://x.test/"})).json()
    assert (made["value"], made["link_url"]) == ({"a": 1}, "https://x.test/")
    changed = (await application.put(path, json={"ref": "r-1"})).json()
    assert (changed["created_at"], changed["ref"]) == (made["created_at"], "r-1")
    assert "value" not in changed
    assert (await application.get(path)).json() == changed
    assert (await application.get(f"{entry}/meta")).json() == {"list": [changed]}
    assert (await acme.get(entry)).json()["meta"] == [changed]
    assert (await application.delete(path)).json() == changed
    assert (await application.get(path)).status_code == 404


async def test_a_row_is_found_by_its_reference(application: httpx.AsyncClient, entry: str) -> None:
    """Who knows no entry learns which it is, and whose."""
    await application.put(f"{entry}/meta/service-id", json={"ref": "r-1"})
    found = (await application.get(f"{ENTRIES}/meta/service-id/r-1?owned=true")).json()
    assert entry.endswith(found["entry_id"])
    assert found["owner_id"]
    for path in ("service-id/r-2", "other/r-1"):
        assert (await application.get(f"{ENTRIES}/meta/{path}")).status_code == 404


async def test_a_row_is_changed_by_its_reference(
    application: httpx.AsyncClient, entry: str
) -> None:
    """It stays the entry's; without a reference, or with another, there is none."""
    made = (await application.put(f"{entry}/meta/service-id", json={"ref": "r-1"})).json()
    path = f"{ENTRIES}/meta/service-id"
    changed = (await application.put(path, json={"ref": "r-1", "value": 2})).json()
    assert (changed["id"], changed["value"]) == (made["id"], 2)
    for body in ({"ref": "r-2"}, {"value": 1}, {"ref": ""}):
        assert (await application.put(path, json=body)).status_code == 404


async def test_secure_rows_are_in_no_list(
    application: httpx.AsyncClient, acme: httpx.AsyncClient, entry: str
) -> None:
    """They have to be asked for by key."""
    await application.put(f"{entry}/meta/hidden", json={"secure": True})
    assert (await application.get(f"{entry}/meta")).json() == {"list": []}
    assert (await acme.get(entry)).json()["meta"] == []
    assert (await application.get(f"{entry}/meta/hidden")).status_code == 200


async def test_api_keys_reach_none(acme: httpx.AsyncClient, entry: str) -> None:
    """Meta rows are for enrolled applications."""
    for method in ("GET", "PUT", "DELETE"):
        assert (await acme.request(method, f"{entry}/meta/a")).status_code == 403
