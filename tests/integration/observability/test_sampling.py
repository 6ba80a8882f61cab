"""Sampling of the access log: what went well may go untold, nothing else ever does."""

from pathlib import Path

from tests.support.gateway import eventually
from tests.support.world import World, fields


def test_only_successes_go_untold(tmp_path: Path) -> None:
    """`sample_success = 0`: refused, failed, let through by `enforce = false`, and left are told.

    Metrics and the audit log count every one.
    """
    changes = {
        "log": {"sample_success": 0.0},
        "audit": {"file": "audit.jsonl"},
        "callers": {"billing": {"allow": ["access.workspace.fetch"], "enforce": False}},
    }
    with World(tmp_path, changes) as world:
        for n in range(10):
            world.get("/access/v1/workspace", f"X-Request-Id: well-{n}")
        world.get("/utils/v1/ping", "X-Request-Id: would-deny")
        world.get("/x", "X-Request-Id: refused", token="igw_nobody")
        world.origin.answer(fields("500 Oops", "Content-Length: 0"))
        world.get("/access/v1/workspace", "X-Request-Id: failed")
        told = {"would-deny", "refused", "failed"}

        def lines() -> set[str]:
            return {record["request_id"] for record in world.gateway.events("exchange")}

        eventually(lambda: lines() >= told)
        assert not [request_id for request_id in lines() if request_id.startswith("well-")]
        assert world.gateway.metric("requests_total", caller="billing", status="200") >= 11
        assert world.gateway.stop() == 0
        audit = (tmp_path / "audit.jsonl").read_text()
        assert all(f'"well-{n}"' in audit for n in range(10))
