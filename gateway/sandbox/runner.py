"""What a job does: runs its workflow's steps on its entry, and tells each as an intent.

Emulated are `silo.close` (sign), `silo.state`, `sequence.enumerate` and the provider `pdf`;
any other action succeeds and does nothing. A job runs within one call, so it never runs halfway.
"""

import base64
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from gateway.sandbox import entries
from gateway.sandbox.files import attach
from gateway.sandbox.gobl import build, sign
from gateway.sandbox.identifiers import timestamp, uuid7
from gateway.sandbox.pdf import render
from gateway.sandbox.refusals import Refusal, invalid_field
from gateway.sandbox.sequence import number
from gateway.sandbox.signing import Signer
from gateway.sandbox.store import Job, Json, SiloEntry, Workspace


class _Run(NamedTuple):
    workspace: Workspace
    job: Job
    signer: Signer


def settle(workspace: Workspace, signer: Signer, now: float) -> None:
    """Runs every job of the workspace whose time has come; `now` is the loop's time."""
    due = [job for job in workspace.pending if job.due <= now]
    for job in due:
        workspace.pending.remove(job)
        _finish(_Run(workspace, job, signer))


def _finish(run: _Run) -> None:
    job = run.job
    outcome = _steps(run, job.workflow.get("steps") or [])
    if outcome == "KO":
        _steps(run, job.workflow.get("rescue") or [])
    job.status = "KO" if outcome == "KO" else "OK"
    job.completed_at = timestamp()
    job.envelope = job.entry.envelope if job.entry else None


def _steps(run: _Run, steps: Sequence[Json]) -> str:
    """Runs steps in turn: "OK" at the end, "STOP" where one says so, "KO" at an unmanaged one."""
    for step in steps:
        status = _step(run, step)
        following = [n for n in step.get("next") or [] if n.get("status") in (None, "", status)]
        for branch in following:
            outcome = _steps(run, branch.get("steps") or [])
            if outcome != "OK" or branch.get("stop"):
                return "STOP" if outcome == "OK" else outcome
        if status == "KO" and not following:
            return "KO"
    return "OK"


def _step(run: _Run, step: Json) -> str:
    """Runs one step and records its intent; its status."""
    action = str(step["action"])
    provider = action.partition(".")[0]
    act = _pdf if provider == "pdf" else _ACTIONS.get(action)
    status, message = "OK", ""
    if act is not None:
        try:
            act(run, _entry(run), step.get("config") or {})
        except Refusal as refusal:
            status, message = "KO", refusal.message
            run.job.faults.append({"provider": provider, "code": refusal.key, "message": message})
    run.job.intents.append(_intent(step, provider, status, message))
    return status


def _intent(step: Json, provider: str, status: str, message: str) -> Json:
    now = timestamp()
    events: list[Json] = [
        {"index": index, "status": told, "at": now}
        for index, told in enumerate(("QUEUED", "RUN", status))
    ]
    if message:
        events[-1]["message"] = message
    return {
        "id": uuid7(),
        "step_id": step.get("id", ""),
        "name": step.get("name", ""),
        "provider": provider,
        "created_at": now,
        "updated_at": now,
        "completed": True,
        "events": events,
    }


def _entry(run: _Run) -> SiloEntry:
    if run.job.entry is None:
        raise invalid_field("silo_entry_id", "this step needs a silo entry")
    return run.job.entry


def _close(run: _Run, entry: SiloEntry, _config: Json) -> None:
    entries.keep(entry, sign(build(entry.envelope), run.signer))


def _state(run: _Run, entry: SiloEntry, config: Json) -> None:
    at = timestamp()
    state = {"id": f"{entry.id}:{at}", "created_at": at, "key": str(config.get("state") or "sent")}
    entry.states[at] = state | {"src": "job", "src_id": run.job.id}


def _enumerate(run: _Run, entry: SiloEntry, config: Json) -> None:
    series = run.workspace.series.get(str(config.get("series_id", "")))
    if series is None:
        raise invalid_field("series_id", "not found")
    document = entry.envelope["doc"]
    if not document.get("code") and not entry.signed:
        code = number(series, entry.id, {})["code"]
        entries.keep(entry, build(entry.envelope | {"doc": document | {"code": code}}))


def _pdf(run: _Run, entry: SiloEntry, _config: Json) -> None:
    document = entry.envelope["doc"]
    code = "-".join(str(document[part]) for part in ("series", "code") if document.get(part))
    request: dict[str, Any] = {
        "name": f"{code or 'document'}.pdf",
        "mime": "application/pdf",
        "category": "format",
        "key": "pdf",
        "data": base64.b64encode(render(document)).decode(),
    }
    run.job.files.append(attach(entry, uuid7(), request))


_ACTIONS: Final[dict[str, Callable[[_Run, SiloEntry, Json], None]]] = {
    "silo.close": _close,
    "silo.state": _state,
    "sequence.enumerate": _enumerate,
}
