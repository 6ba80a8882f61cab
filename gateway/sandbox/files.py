"""Files of a silo entry: made inline or as placeholders, downloaded with a key.

Their URLs lead to other origins, which `file_host` serves.
"""

import base64
import binascii
import hashlib
import mimetypes
import uuid
from typing import Final
from urllib.parse import quote

from starlette.responses import Response

from gateway.sandbox.calls import Call, Endpoint
from gateway.sandbox.identifiers import timestamp, uuid7
from gateway.sandbox.refusals import conflict, invalid_field, not_found, reply
from gateway.sandbox.state import State
from gateway.sandbox.store import File, Json, SiloEntry

_CREATE: Final = {
    "name": str, "data": str, "category": str, "key": str, "desc": str, "mime": str, "meta": dict,
    "embeddable": bool, "private": bool, "sha256": str, "size": int,
}  # fmt: skip
_SHOWN: Final = ("category", "key", "desc", "meta", "embeddable", "private")
# Those that Invopop's Go client names, v0.59.0.
_CATEGORIES: Final = ("format", "request", "response", "agreement", "verification", "attachment")


def find_entry(call: Call, name: str = "entry_id") -> SiloEntry:
    """The entry that the path names. Raises a 404 refusal."""
    entry = call.workspace.entries.get(call.path(name).lower())
    if entry is None:
        raise not_found("entry")
    return entry


def attach(entry: SiloEntry, file_id: str, request: Json) -> File:
    """Adds a file to an entry; one with the same key becomes its previous version.

    `request` is the body of POST or PUT. Raises a refusal: 409 for an id in use, 422.
    """
    known = entry.files.get(file_id)
    if known is not None:
        if known.request == request:
            return known
        raise conflict("file already exists with same id")
    file = _made(entry, file_id, request)
    for older in entry.files.values():
        if request.get("key") and older.request.get("key") == request["key"]:
            if not older.superseded:
                file.previous = [_version(older), *older.previous]
            older.superseded = True
    entry.files[file_id] = file
    entry.updated_at = file.created_at
    return file


def shown_file(file: File, state: State) -> Json:
    """A file as the API shows it. Its URL downloads it, or uploads it while it is not stored."""
    answer: Json = {
        "id": file.id,
        "entry_id": file.entry_id,
        "created_at": file.created_at,
        "name": file.name,
        "mime": file.mime,
        "hash": file.sha256,
        "size": file.size,
        "stored": file.content is not None,
    }
    answer |= {name: file.request[name] for name in _SHOWN if file.request.get(name)}
    if file.previous:
        answer["previous"] = file.previous
    if not (file.request.get("private") and file.content is not None):
        answer["url"] = _url(file, state)
    return answer


def _url(file: File, state: State) -> str:
    """As Invopop's are: `https://silo.invopop.com/6HXS…/4reo…/a.pdf?h=e420fe0b8eabffb5`."""
    secret = state.link(file)
    if file.content is None:
        return f"{state.files.uploads}/upload/{secret}"
    entry = base64.urlsafe_b64encode(uuid.UUID(file.entry_id).bytes).decode().rstrip("=")
    name = quote(file.name, safe="")
    return f"{state.files.downloads}/{entry}/{secret}/{name}?h={file.sha256[:16]}"


def _made(entry: SiloEntry, file_id: str, request: Json) -> File:
    if not request.get("name"):
        raise invalid_field("name", "cannot be blank")
    if request.get("category") and request["category"] not in _CATEGORIES:
        raise invalid_field("category", f"must be one of {', '.join(_CATEGORIES)}")
    content = decoded(request["data"]) if "data" in request else None
    if content is None:
        for name in ("sha256", "size", "mime"):
            if name not in request:
                raise invalid_field(name, "cannot be blank without data")
        sha256, size = str(request["sha256"]).lower(), int(request["size"])
    else:
        sha256, size = hashlib.sha256(content).hexdigest(), len(content)
        if request.get("sha256", sha256).lower() != sha256 or request.get("size", size) != size:
            raise invalid_field("data", "does not match sha256 and size")
    guess = mimetypes.guess_type(request["name"])[0] or "application/octet-stream"
    return File(
        id=file_id,
        entry_id=entry.id,
        request=request,
        name=request["name"],
        mime=request.get("mime") or guess,
        sha256=sha256,
        size=size,
        created_at=timestamp(),
        content=content,
    )


def decoded(data: str) -> bytes:
    """Strict base64. Raises a 422 refusal."""
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise invalid_field("data", "must be base64") from None


def _version(file: File) -> Json:
    return {
        "id": file.id,
        "created_at": file.created_at,
        "hash": file.sha256,
        "size": file.size,
    }


def download(name: str, mime: str, content: bytes) -> Response:
    """A response that holds a file (RFC 6266, with RFC 8187 for names beyond ASCII)."""
    disposition = f"inline; filename*=UTF-8''{quote(name, safe='')}"
    if name.isascii() and name.isprintable() and not set(name) & {'"', "\\"}:
        disposition = f'inline; filename="{name}"'
    safe = mime if mime.isascii() and mime.isprintable() else "application/octet-stream"
    headers = {"Content-Disposition": disposition, "Content-Type": safe}
    return Response(content, headers=headers)


async def create(call: Call) -> Response:
    """POST /silo/v1/entries/{entry_id}/files."""
    body = await call.body(_CREATE)
    return reply(shown_file(attach(find_entry(call), uuid7(), body), call.state))


async def create_with_id(call: Call) -> Response:
    """PUT /silo/v1/entries/{entry_id}/files/{id}, idempotent."""
    body = await call.body(_CREATE)
    return reply(shown_file(attach(find_entry(call), call.new_id(), body), call.state))


async def fetch(call: Call) -> Response:
    """GET of a file: its contents."""
    file = _find(call)
    if file.content is None:
        raise not_found("file")
    return download(file.name, file.mime, file.content)


def _find(call: Call) -> File:
    file = find_entry(call).files.get(call.path("id").lower())
    if file is None:
        raise not_found("file")
    return file


_FILES: Final = "/silo/v1/entries/{entry_id}/files"
_OLDER: Final = "/silo/v1/entries/{entry_id}/attachments"  # what files were called before

ENDPOINTS: Final = (
    Endpoint("POST", _FILES, create),
    Endpoint("GET", _FILES + "/{id}", fetch),
    Endpoint("PUT", _FILES + "/{id}", create_with_id),
    Endpoint("GET", _OLDER + "/{id}", fetch),
    Endpoint("PUT", _OLDER + "/{id}", create_with_id),
)
