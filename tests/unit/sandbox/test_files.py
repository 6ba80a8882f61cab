"""Files of an entry: inline, by upload, downloaded, in versions."""

import base64
import hashlib
from typing import Any

import httpx
import pytest

from gateway.sandbox import samples
from gateway.sandbox.identifiers import uuid7

CONTENT = b"\x00\xff any bytes \r\n"
DATA = base64.b64encode(CONTENT).decode()
SHA = hashlib.sha256(CONTENT).hexdigest()
PLACEHOLDER = {"name": "a.bin", "sha256": SHA, "size": len(CONTENT), "mime": "application/x-own"}


@pytest.fixture
async def files(acme: httpx.AsyncClient) -> str:
    """The path of an entry's files."""
    entry = (await acme.post("/silo/v1/entries", json={"data": samples.invoice()})).json()
    return f"/silo/v1/entries/{entry['id']}/files"


async def _attachments(client: httpx.AsyncClient, files: str) -> list[dict[str, Any]]:
    entry = (await client.get(files.removesuffix("/files"))).json()
    attachments: list[dict[str, Any]] = entry["attachments"]
    return attachments


async def test_inline_files_download_as_they_were(acme: httpx.AsyncClient, files: str) -> None:
    """Any bytes come back as sent, with the type of the name and a disposition that names it."""
    body = {"name": "hello.pdf", "data": DATA, "category": "format", "meta": {"a": "b"}}
    made = (await acme.post(files, json=body)).json()
    assert (made["hash"], made["size"], made["stored"]) == (SHA, len(CONTENT), True)
    assert (made["mime"], made["category"], made["meta"]) == (
        "application/pdf",
        "format",
        {"a": "b"},
    )
    fetched = await acme.get(f"{files}/{made['id']}")
    assert fetched.content == CONTENT
    assert fetched.headers["content-type"] == "application/pdf"
    assert fetched.headers["content-disposition"] == 'inline; filename="hello.pdf"'
    assert await _attachments(acme, files) == [made]


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("factura ñ.pdf", "inline; filename*=UTF-8''factura%20%C3%B1.pdf"),
        ('a"b.pdf', "inline; filename*=UTF-8''a%22b.pdf"),
        ("a\r\nSet-Cookie: x", "inline; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20x"),
    ],
)
async def test_names_are_no_header_injection(
    acme: httpx.AsyncClient, files: str, name: str, disposition: str
) -> None:
    """Any name makes one well-formed header (RFC 8187), and so does any type."""
    body = {"name": name, "data": DATA, "mime": "text/plain\r\nX-Evil: 1"}
    made = (await acme.post(files, json=body)).json()
    fetched = await acme.get(f"{files}/{made['id']}")
    assert fetched.headers["content-disposition"] == disposition
    assert fetched.headers["content-type"] == "application/octet-stream"
    assert "x-evil" not in fetched.headers


async def test_placeholders_are_uploaded_to_their_url(
    acme: httpx.AsyncClient, nobody: httpx.AsyncClient, files: str
) -> None:
    """Without data a file waits for exactly the promised bytes at its URL; no key is needed."""
    made = (await acme.post(files, json=PLACEHOLDER)).json()
    assert made["stored"] is False
    assert (await acme.get(f"{files}/{made['id']}")).status_code == 404
    assert (await nobody.put(made["url"], content=b"other")).status_code == 422
    assert (await nobody.get(made["url"])).status_code == 405
    stored = (await nobody.put(made["url"], content=CONTENT)).json()
    assert stored["stored"] is True
    fetched = await nobody.get(stored["url"])
    assert (fetched.content, fetched.headers["content-type"]) == (CONTENT, "application/x-own")
    assert (await nobody.put(made["url"], content=CONTENT)).status_code == 404


async def test_private_files_have_no_public_link(acme: httpx.AsyncClient, files: str) -> None:
    """A private file is had with a key only."""
    body = {"name": "a", "data": DATA, "private": True}
    made = (await acme.post(files, json=body)).json()
    assert "url" not in made
    assert (await acme.get(f"{files}/{made['id']}")).content == CONTENT


async def test_the_same_put_again_is_one_file(acme: httpx.AsyncClient, files: str) -> None:
    """Put again with the same body a file is the same; with another it is 409."""
    path, body = f"{files}/{uuid7()}", {"name": "a.txt", "data": DATA}
    first = await acme.put(path, json=body)
    assert (await acme.put(path, json=body)).json() == first.json()
    assert (await acme.put(path, json=body | {"name": "b.txt"})).status_code == 409
    assert len(await _attachments(acme, files)) == 1


async def test_a_file_of_the_same_key_is_a_new_version(acme: httpx.AsyncClient, files: str) -> None:
    """The newest is shown and names those before it, which can still be fetched."""
    ids = []
    for content in (b"1", b"2", b"3"):
        body = {"name": "a", "key": "pdf", "data": base64.b64encode(content).decode()}
        ids.append((await acme.post(files, json=body)).json()["id"])
    (shown,) = await _attachments(acme, files)
    assert shown["id"] == ids[2]
    assert [version["id"] for version in shown["previous"]] == [ids[1], ids[0]]
    assert (await acme.get(f"{files}/{ids[0]}")).content == b"1"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"data": DATA}, "name"),
        ({"name": "a", "data": "a-b"}, "data"),
        ({"name": "a", "data": DATA, "sha256": "0" * 64}, "data"),
        ({"name": "a", "data": DATA, "size": 1}, "data"),
        ({"name": "a", "data": DATA, "category": "version"}, "category"),
        ({"name": "a", "size": 1, "mime": "x/y"}, "sha256"),
        ({"name": "a", "sha256": SHA, "mime": "x/y"}, "size"),
        ({"name": "a", "sha256": SHA, "size": 1}, "mime"),
    ],
)
async def test_impossible_files_are_422(
    acme: httpx.AsyncClient, files: str, body: dict[str, Any], field: str
) -> None:
    """A file needs a name, and its data or what the data will be; nothing else is stored."""
    reply = await acme.post(files, json=body)
    assert (reply.status_code, list(reply.json()["fields"])) == (422, [field])
    assert await _attachments(acme, files) == []


async def test_files_of_unknown_entries_are_404(acme: httpx.AsyncClient, files: str) -> None:
    """Neither an entry nor a file is made up."""
    other = f"/silo/v1/entries/{uuid7()}/files"
    assert (await acme.post(other, json={"name": "a", "data": DATA})).status_code == 404
    assert (await acme.get(f"{files}/{uuid7()}")).status_code == 404
