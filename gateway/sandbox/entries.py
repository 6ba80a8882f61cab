"""Silo entries: how they are made, changed and shown. Knows no HTTP but the refusals it raises."""

from copy import deepcopy
from typing import Any, Final

from gateway.sandbox import patches
from gateway.sandbox.files import shown_file
from gateway.sandbox.gobl import ENVELOPE, Built, build, correct, digest, document_of, sign
from gateway.sandbox.identifiers import TIME_BASED, timestamp, version_of
from gateway.sandbox.refusals import bad_request, conflict, invalid_field
from gateway.sandbox.rules import SCHEMAS
from gateway.sandbox.signing import Signer
from gateway.sandbox.snippets import snippet_of
from gateway.sandbox.state import State
from gateway.sandbox.store import Json, SiloEntry, Version, Workspace

MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
_FOLDERS: Final = {"bill/": "invoices", "org/party": "parties", "org/item": "items"}


def create(workspace: Workspace, entry_id: str, body: Json, signer: Signer) -> SiloEntry:
    """Puts a new entry into the workspace: `body` is that of POST or PUT.

    Raises a refusal: 409 for an id or key in use, 422 for an invalid document.
    """
    key = str(body.get("key", ""))
    if entry_id in workspace.entries:
        raise conflict("entry already exists with same id")
    if key and key in workspace.entry_keys:
        raise conflict("entry already exists with same key")
    built = build(_source(workspace, body), allow_invalid=body.get("allow_invalid", False))
    if body.get("sign"):
        built = sign(built, signer)
    folder = str(body.get("folder") or _folder(str(built.envelope["doc"].get("$schema", ""))))
    if folder == "invoices" and version_of(entry_id) not in TIME_BASED:
        raise invalid_field("id", "must be a UUID of version 1 or 7 in this folder")
    now = timestamp()
    entry = SiloEntry(
        id=entry_id, key=key, folder=folder, created_at=now, updated_at=now, versions=[]
    )
    keep(entry, built)
    workspace.entries[entry_id] = entry
    if key:
        workspace.entry_keys[key] = entry_id
    return entry


def update(entry: SiloEntry, body: Json, signer: Signer) -> None:
    """Changes an entry as PATCH asks, all of it or nothing.

    Raises a refusal: 409 for other contents of a signed entry, 422 for an invalid result.
    """
    if "data" in body or body.get("sign"):
        if entry.signed and "data" in body:
            raise conflict("a signed envelope cannot be changed")
        built = _rebuilt(entry, body)
        keep(entry, sign(built, signer) if body.get("sign") else built)
    entry.folder = str(body.get("folder") or entry.folder)
    entry.updated_at = timestamp()


def keep(entry: SiloEntry, built: Built) -> None:
    """Makes an envelope the entry's current version."""
    now = timestamp()
    version = digest(built.envelope)[:10]
    entry.faults = [
        {"provider": "silo", "message": fault.message, "paths": [fault.json_path]}
        for fault in built.faults
    ]
    if not entry.versions or entry.versions[-1].version != version:
        entry.versions.append(
            Version(version=version, at=now, envelope=built.envelope, invalid=bool(built.faults))
        )
    entry.updated_at = now


def shown(entry: SiloEntry, state: State, *, data: bool = True) -> Json:
    """An entry as the API shows it; lists leave the envelope out."""
    envelope = entry.envelope
    answer: Json = {
        "id": entry.id,
        "created_at": entry.created_at,
        "updated_at": entry.updated_at,
        "folder": entry.folder,
        "env_schema": ENVELOPE,
        "doc_schema": envelope["doc"].get("$schema", ""),
        "draft": not entry.signed,
        "signed": entry.signed,
        "invalid": entry.invalid,
        "digest": envelope["head"]["dig"],
        "snippet": snippet_of(envelope["doc"]),
        "version": entry.versions[-1].version,
        "versions": [_shown_version(version) for version in reversed(entry.versions)],
        "attachments": [
            shown_file(file, state) for file in entry.files.values() if not file.superseded
        ],
        "meta": [row for row in entry.meta.values() if not row.get("secure")],
    }
    optional = {
        "key": entry.key,
        "state": current_state(entry),
        "faults": entry.faults,
        "tags": envelope["head"].get("tags"),
    }
    answer |= {name: value for name, value in optional.items() if value}
    return answer | ({"data": envelope} if data else {})


def current_state(entry: SiloEntry) -> str:
    """The key of the latest state, or ""."""
    return str(entry.states[max(entry.states)]["key"]) if entry.states else ""


def _shown_version(version: Version) -> Json:
    return {
        "version": version.version,
        "at": version.at,
        "signed": bool(version.envelope.get("sigs")),
        "invalid": version.invalid,
        "src": "api",
    }


def _source(workspace: Workspace, body: Json) -> Json:
    """The data of a new entry: its own, or made from the previous entry that it names."""
    previous_id = body.get("previous_id")
    if previous_id is None:
        return _object(body.get("data"))
    previous = workspace.entries.get(previous_id)
    if previous is None:
        raise invalid_field("previous_id", "not found")
    if "correct" in body:
        return correct(previous.envelope, body["correct"])
    copied = deepcopy(previous.envelope["doc"])
    copied.pop("uuid", None)
    return _patched(copied, body) if "data" in body else copied


def _rebuilt(entry: SiloEntry, body: Json) -> Built:
    data = entry.envelope
    if "data" in body:
        data = _patched(entry.envelope, body)
    if data.get("$schema") != ENVELOPE:
        data = {"$schema": ENVELOPE, "head": entry.envelope["head"], "doc": data}
    return build(data, allow_invalid=body.get("allow_invalid", False))


def _patched(current: Json, body: Json) -> Json:
    """The data of a request, as a whole or as a patch of `current`.

    A patch fits the document, unless it speaks of the envelope's own members.
    """
    kind, data = body.get("content_type", "application/json"), body["data"]
    if kind == "application/json":
        return _object(data)
    if kind == MERGE_PATCH:
        whole = isinstance(data, dict) and ("doc" in data or "head" in data)
        return _object(patches.merge(current if whole else document_of(current), data))
    if kind == JSON_PATCH and isinstance(data, list):
        paths = [str(step.get("path")) for step in data if isinstance(step, dict)]
        whole = bool(paths) and all(path.startswith(("/doc", "/head")) for path in paths)
        return _object(patches.apply(current if whole else document_of(current), data))
    raise bad_request("content_type does not fit data")


def _object(data: Any) -> Json:
    if not isinstance(data, dict) or not data:
        raise invalid_field("data", "cannot be blank")
    return data


def _folder(schema: str) -> str:
    short = schema.removeprefix(SCHEMAS)
    return next((folder for start, folder in _FOLDERS.items() if short.startswith(start)), "docs")
