"""What a job does: runs its workflow's steps on its entry, and records each as an intent.

Emulated are `silo.close` (sign), `silo.state`, `sequence.enumerate`, the providers `pdf` and
`webhook`, and waiting: an action with a part `wait`, such as `agreement.wait.approval`, goes on
once an application pokes it. Any other action succeeds and does nothing. Between two waits a job
runs within one call, so nobody sees it halfway.
"""

import base64
import contextlib
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from gateway.sandbox import entries
from gateway.sandbox.files import attach
from gateway.sandbox.gobl import build, sign
from gateway.sandbox.identifiers import timestamp, uuid7
from gateway.sandbox.pdf import render
from gateway.sandbox.refusals import Refusal, invalid_field
from gateway.sandbox.sequence import number
from gateway.sandbox.state import Outcome, State
from gateway.sandbox.store import Job, Json, SiloEntry, Workspace

FINAL: Final = ("OK", "KO", "SKIP", "TIMEOUT")
# A step that waits is sent what somebody else says of it; a run of steps ends with its status.
Steps = Generator[None, Outcome, str]


class _Run(NamedTuple):
    state: State
    workspace: Workspace
    job: Job


def settle(state: State, workspace: Workspace, now: float) -> None:
    """Starts every job of the workspace whose time has come; `now` is the loop's time."""
    due = [job for job in workspace.pending if job.due <= now]
    for job in due:
        workspace.pending.remove(job)
        steps = _job(_Run(state, workspace, job))
        job.resume = partial(_go_on, steps)
        _go_on(steps, None)


def _go_on(steps: Generator[None, Any, None], outcome: Outcome | None) -> None:
    """Runs up to the next wait, or to the end."""
    with contextlib.suppress(StopIteration):
        steps.send(outcome)


def _job(run: _Run) -> Generator[None, Outcome, None]:
    """The whole of a job. One that was rescued ends well, its faults kept."""
    job = run.job
    status = yield from _steps(run, job.workflow.get("steps") or [])
    rescue = job.workflow.get("rescue") or []
    if status == "KO" and rescue:
        status = yield from _steps(run, rescue)
    job.status = "KO" if status == "KO" else "OK"
    job.completed_at = timestamp()
    job.envelope = job.entry.envelope if job.entry else None
    job.done.set()


def _steps(run: _Run, steps: Sequence[Json]) -> Steps:
    """Runs steps in turn: "OK" at the end, "STOP" where one says so, "KO" at an unmanaged one."""
    for step in steps:
        status = yield from _step(run, step)
        following = [n for n in step.get("next") or [] if n.get("status") in (None, "", status)]
        for branch in following:
            outcome = yield from _steps(run, branch.get("steps") or [])
            if outcome != "OK" or branch.get("stop"):
                return "STOP" if outcome == "OK" else outcome
        if status == "KO" and not following:
            return "KO"
    return "OK"


def _step(run: _Run, step: Json) -> Steps:
    """Runs one step and records its intent; its status."""
    action = str(step["action"])
    provider = action.partition(".")[0]
    intent = _intent(step, provider)
    run.job.intents.append(intent)
    if provider == "webhook" and run.state.deliver is not None:
        outcome = yield from _delivered(run, step, intent)
    elif "wait" in action.split("."):
        outcome = yield from _waited(run, step, intent)
    else:
        outcome = _acted(run, step)
    _record(intent, outcome)
    if outcome.status == "KO":
        fault = {"provider": provider, "code": outcome.code, "message": outcome.message}
        run.job.faults.append({name: value for name, value in fault.items() if value})
    intent["completed"] = True
    return outcome.status


def _acted(run: _Run, step: Json) -> Outcome:
    action = str(step["action"])
    act = _pdf if action.partition(".")[0] == "pdf" else _ACTIONS.get(action)
    if act is None:
        return Outcome("OK")
    try:
        act(run, _entry(run), step.get("config") or {})
    except Refusal as refusal:
        return Outcome("KO", refusal.message, refusal.key)
    return Outcome("OK")


def _delivered(run: _Run, step: Json, intent: Json) -> Generator[None, Outcome, Outcome]:
    """Sends a webhook, and waits for what comes of it."""
    job, deliver = run.job, run.state.deliver
    if deliver is None or job.resume is None:
        return Outcome("OK")
    body = {
        "id": intent["id"],
        "event": str((step.get("config") or {}).get("event", "")),
        "transform_job_id": job.id,
        "silo_entry_id": job.entry.id if job.entry else "",
        "owner_id": run.workspace.id,
        "key": job.key,
        "args": job.request.get("args") or {},
        "faults": list(job.faults),
    }
    deliver(body, job.resume)
    outcome = yield
    return outcome


def _waited(run: _Run, step: Json, intent: Json) -> Generator[None, Outcome, Outcome]:
    """Waits to be poked, or for a final status; anything else is only recorded."""
    job = run.job
    job.waiting_for = intent["id"]
    job.reference = str((step.get("config") or {}).get("ref", ""))
    outcome = yield
    while outcome.status not in (*FINAL, "POKE"):
        _record(intent, outcome)
        outcome = yield
    job.waiting_for = job.reference = ""
    if outcome.status == "POKE":
        _record(intent, outcome)
        outcome = Outcome("OK")
    return outcome


def _intent(step: Json, provider: str) -> Json:
    now = timestamp()
    intent: Json = {
        "id": uuid7(),
        "step_id": step.get("id", ""),
        "name": step.get("name", ""),
        "provider": provider,
        "created_at": now,
        "updated_at": now,
        "completed": False,
        "events": [],
    }
    for status in ("QUEUED", "RUN"):
        _record(intent, Outcome(status))
    return intent


def _record(intent: Json, outcome: Outcome) -> None:
    at = timestamp()
    event: Json = {"index": len(intent["events"]), "status": outcome.status, "at": at}
    event |= {name: value for name, value in outcome._asdict().items() if value}
    intent["events"].append(event)
    intent["updated_at"] = at


def _entry(run: _Run) -> SiloEntry:
    if run.job.entry is None:
        raise invalid_field("silo_entry_id", "this step needs a silo entry")
    return run.job.entry


def _close(run: _Run, entry: SiloEntry, _config: Json) -> None:
    entries.keep(entry, sign(build(entry.envelope), run.state.signer))


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
