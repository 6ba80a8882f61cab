"""All that one sandbox holds: its workspaces, its application, its file links; and its pace."""

import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from gateway.sandbox.signing import Signer
from gateway.sandbox.store import File, Json, Workspace

DOWNLOADS: Final = "https://silo.invalid"
UPLOADS: Final = "https://storage.invalid"


class Outcome(NamedTuple):
    """What became of a step that somebody else had to finish: its status, and why."""

    status: str
    message: str = ""
    code: str = ""


# Sends a webhook's body; calls back once with what came of it, after all retries.
Deliver = Callable[[Json, Callable[[Outcome], None]], None]


class FileOrigins(NamedTuple):
    """Where files are downloaded from and uploaded to: https origins other than the API's."""

    downloads: str = DOWNLOADS
    uploads: str = UPLOADS


@dataclass(slots=True, kw_only=True)
class Application:
    """The one application of a sandbox, which may enrol in its workspaces."""

    id: str
    client_id: str = field(default_factory=lambda: secrets.token_urlsafe(10))
    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))


@dataclass(slots=True, kw_only=True)
class Link:
    """A file's unguessable URL; `expires` is Unix time. An upload's ends once it is used."""

    file: File
    upload: bool
    expires: float


class State:
    """Everything of one sandbox that outlives a request.

    Seconds, which tests may shorten at any time: `job_seconds` is how long a job takes,
    `token_seconds` how long an application's token is valid, `upload_seconds` and
    `download_seconds` how long the URL of a file is.
    """

    def __init__(self, application: Application) -> None:
        self.signer = Signer()
        self.application = application
        self.workspaces: dict[str, Workspace] = {}
        self.by_id: dict[str, Workspace] = {}
        self.links: dict[str, Link] = {}
        self.files = FileOrigins()
        self.deliver: Deliver | None = None
        self.job_seconds = 0.15
        self.token_seconds = 3600.0
        self.upload_seconds = 3600.0
        self.download_seconds = math.inf

    def link(self, file: File) -> str:
        """The secret of the file's current URL; a new one if the last has expired or was used."""
        upload, now = file.content is None, time.time()
        known = self.links.get(file.link)
        if known is None or known.upload is not upload or known.expires <= now:
            self.links.pop(file.link, None)
            file.link = secrets.token_urlsafe(16)
            lifetime = self.upload_seconds if upload else self.download_seconds
            self.links[file.link] = Link(file=file, upload=upload, expires=now + lifetime)
        return file.link

    def linked(self, secret: str, *, upload: bool) -> File | None:
        """The file whose current URL has that secret, or None: guessed, expired, or used."""
        link = self.links.get(secret)
        if link is None or link.upload is not upload or link.expires <= time.time():
            return None
        return link.file
