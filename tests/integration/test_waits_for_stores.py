"""A request that waits for the shared rate storage, or for the audit log, is judged again then."""

import signal
from pathlib import Path
from typing import Any

from tests.support.edited_gateway import Operated
from tests.support.gateway import eventually
from tests.support.redis_server import PASSWORD, RedisServer
from tests.support.world import TOK_A, TOK_B, request

# The program, patient with its storage, and with a disk that is not ready while `held` is there.
PROGRAM = """
import os, time
from gateway.observe import audit_file
from gateway.policy import rates_shared
real = os.fdatasync
def fdatasync(descriptor):
    while os.path.exists("{held}"):
        open("{held}.reached", "w").close()
        time.sleep(0.01)
    real(descriptor)
os.fdatasync = fdatasync
audit_file.PATIENCE = rates_shared.TIMEOUT = 30.0
from gateway.__main__ import main
main()
"""


class Waiting(Operated):
    """An operator's gateway of that program, with these settings besides."""

    def __init__(self, directory: Path, changes: dict[str, Any], **environ: str) -> None:
        super().__init__(directory)
        self.held = directory / "held"
        self.settings |= changes
        self.configure({})
        self.gateway._environ |= environ
        self.gateway.program = ("-c", PROGRAM.format(held=self.held))

    def remove_the_caller(self) -> None:
        """While its request waits."""
        self.configure({}, "billing")
        self.reload()


def targets(operated: Operated) -> list[bytes]:
    """What reached Invopop."""
    return [bytes(seen.target) for seen in operated.origin.requests]


def unread_at(port: int) -> bool:
    """Whether a connection to that local port holds bytes that its owner has not read."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ends = f":{port:04X}"
    return any(
        row[1].endswith(ends) and int(row[4].partition(":")[2], 16)
        for row in rows
        if row[3] == "01"
    )


def test_a_caller_removed_while_the_audit_log_is_written(tmp_path: Path) -> None:
    """That its key is about to be used is on record; it is not used."""
    audit = {"file": str(tmp_path / "audit.jsonl"), "write_before_forward": True}
    with Waiting(tmp_path, {"audit": audit}) as operated:
        operated.held.touch()
        connection = operated.connect()
        connection.send(request("GET /removed", token=TOK_A))
        eventually((tmp_path / "held.reached").exists)
        operated.remove_the_caller()
        operated.held.unlink()
        reply = connection.reply(timeout=15)
        assert (reply.status, reply.get("x-gateway-error")) == (401, "unauthenticated")
        assert operated.get("/kept", token=TOK_B).status == 200
        assert targets(operated) == [b"/kept"]


def test_a_caller_removed_while_the_rate_storage_is_slow(tmp_path: Path) -> None:
    """Redis answers only after the reload."""
    with RedisServer(tmp_path) as redis:
        limits = {
            "requests_per_second": 50,
            "storage": redis.url,
            "storage_password": {"env": "REDIS_PASSWORD"},
        }
        with Waiting(tmp_path, {"limits": limits}, REDIS_PASSWORD=PASSWORD) as operated:
            process = redis._process
            assert process is not None
            process.send_signal(signal.SIGSTOP)
            connection = operated.connect()
            connection.send(request("GET /removed", token=TOK_A))
            eventually(lambda: unread_at(redis.port))
            operated.remove_the_caller()
            process.send_signal(signal.SIGCONT)
            reply = connection.reply(timeout=15)
            assert (reply.status, reply.get("x-gateway-error")) == (401, "unauthenticated")
            assert operated.get("/kept", token=TOK_B).status == 200
            assert targets(operated) == [b"/kept"]
