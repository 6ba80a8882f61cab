"""What one workspace holds, in memory. Rule: plain data; who may change it, and how, is elsewhere.

A handler reads and writes between two awaits, so within one event loop each change is atomic.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class File:
    """A file of an entry. `content` is None until it has been uploaded.

    `link` is the secret of the URL that was shown last, or "".
    """

    id: str
    entry_id: str
    request: Json
    name: str
    mime: str
    sha256: str
    size: int
    created_at: str
    content: bytes | None
    link: str = ""
    previous: list[Json] = field(default_factory=list)
    superseded: bool = False


@dataclass(slots=True, kw_only=True)
class Version:
    """An envelope as it once was; `version` is made from its content."""

    version: str
    at: str
    envelope: Json
    invalid: bool


@dataclass(slots=True, kw_only=True)
class SiloEntry:
    """A silo entry: one GOBL envelope with its files, states and former versions (oldest first)."""

    id: str
    key: str
    folder: str
    created_at: str
    updated_at: str
    versions: list[Version]
    files: dict[str, File] = field(default_factory=dict)
    states: dict[str, Json] = field(default_factory=dict)
    faults: list[Json] = field(default_factory=list)
    meta: dict[str, Json] = field(default_factory=dict)

    @property
    def envelope(self) -> Json:
        """The current envelope."""
        return self.versions[-1].envelope

    @property
    def invalid(self) -> bool:
        """Whether the current envelope has faults that its uploader allowed."""
        return self.versions[-1].invalid

    @property
    def signed(self) -> bool:
        """Whether the document may no longer change."""
        return bool(self.envelope.get("sigs"))


@dataclass(slots=True, kw_only=True)
class Workflow:
    """Steps to run on an entry. `request` made it, `content` is what PATCH has made of it."""

    id: str
    request: Json
    content: Json
    created_at: str
    updated_at: str
    versions: list[Json] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Job:
    """A workflow at work on an entry. It starts when the loop's time reaches `due`.

    `resume` goes on with the intent of that id, which waits for somebody else.
    """

    id: str
    key: str
    request: Json
    entry: SiloEntry | None
    workflow: Json
    created_at: str
    due: float
    status: str = "RUN"
    completed_at: str = ""
    intents: list[Json] = field(default_factory=list)
    faults: list[Json] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    envelope: Json | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)
    waiting_for: str = ""
    reference: str = ""
    resume: Callable[[Any], None] | None = None


@dataclass(slots=True, kw_only=True)
class Series:
    """A counter with its format. `entries` is in the order of the numbers given out."""

    id: str
    request: Json
    created_at: str
    updated_at: str
    last_index: int
    entries: dict[str, Json] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Enrollment:
    """The application's place in a workspace, with data of its own."""

    id: str
    created_at: str
    updated_at: str
    data: Any = None
    disabled: bool = False


@dataclass(slots=True, kw_only=True)
class Workspace:
    """A tenant's world at Invopop. Dictionaries keep the order of creation."""

    id: str
    slug: str
    name: str
    country: str
    sandbox: bool
    enrollment: Enrollment | None
    created_at: str
    updated_at: str
    logo_url: str = ""
    entries: dict[str, SiloEntry] = field(default_factory=dict)
    entry_keys: dict[str, str] = field(default_factory=dict)
    spool: dict[str, tuple[str, str, bytes]] = field(default_factory=dict)
    workflows: dict[str, Workflow] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    pending: list[Job] = field(default_factory=list)
    job_keys: dict[str, str] = field(default_factory=dict)
    series: dict[str, Series] = field(default_factory=dict)
