"""Kubernetes' projected service-account tokens: its issuer, its CA, its bearer file, its claims."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import Authority
from tests.support.gateway import eventually
from tests.support.identity_world import NO_ISSUERS, Worlds
from tests.support.jwt import Issuer
from tests.support.key_server import JWKS, KeyServer
from tests.support.world import AUDIENCE, KEY_A, World, request

CLUSTER = "https://kubernetes.default.svc"
PLAIN = "https://plain.cluster"


def projected(issuer: Issuer, namespace: object, account: object, **changes: Any) -> str:
    """A token in the shape that Kubernetes issues, for our audience."""
    now = int(time.time())
    claims = {
        "aud": [AUDIENCE], "exp": now + 3607, "iat": now, "nbf": now, "iss": CLUSTER,
        "jti": "8a1ee9cd-8f6e-4f6e-a6ab-57a2a4b1b1e0",
        "kubernetes.io": {
            "namespace": namespace,
            "node": {"name": "worker-1", "uid": "d6b1"},
            "pod": {"name": "billing-7d9c", "uid": "5a92"},
            "serviceaccount": {"name": account, "uid": "f4ff"},
        },
        "sub": f"system:serviceaccount:{namespace}:{account}",
    }  # fmt: skip
    return issuer.token({**claims, **changes})


@pytest.fixture
def bearer_file(tmp_path: Path) -> Path:
    """The gateway's own projected token, which the API server wants to be shown."""
    path = tmp_path / "projected"
    path.write_text("first-own-token\n")
    return path


@pytest.fixture
def cluster(
    worlds: Worlds, key_server: KeyServer, issuer_authority: Authority, bearer_file: Path,
    issuer: Issuer,
) -> World:  # fmt: skip
    """A gateway in a cluster: callers by `{namespace}/{serviceaccount}`, or by the account."""
    key_server.bearer = "first-own-token"
    key_server.put(JWKS, issuer.jwks())
    shared = {
        "audience": AUDIENCE, "algorithms": ["RS256"], "jwks_url": key_server.url + JWKS,
        "jwks_ca_file": str(issuer_authority.ca_file), "jwks_refresh": 0.25,
        "jwks_bearer_file": str(bearer_file), "max_token_age": 3600.0,
    }  # fmt: skip
    by_template = {"issuer": CLUSTER, "caller_template": "{namespace}/{serviceaccount}", **shared}
    by_claim = {"issuer": PLAIN, "caller_claim": "kubernetes.io.serviceaccount.name", **shared}
    callers = {
        "prod/billing": {"issuers": [CLUSTER], "tenants": ["acme"]},
        "robot": {"issuers": [PLAIN], "tenants": ["acme"]},
    }
    return worlds({"issuers": [by_template, by_claim], "callers": {**NO_ISSUERS, **callers}})


@pytest.fixture
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    """The cluster's."""
    return Issuer(tmp_path_factory.mktemp("cluster"), CLUSTER, AUDIENCE)


def test_projected_tokens(
    cluster: World, issuer: Issuer, key_server: KeyServer, bearer_file: Path
) -> None:
    """An account is the caller of its name; no other account, namespace or claim makes it so."""
    _, seen = cluster.passed(
        request("GET /x", "X-Request-Id: pod", token=projected(issuer, "prod", "billing"))
    )
    assert seen.all("authorization") == [f"Bearer {KEY_A}"]
    record = cluster.gateway.exchange("pod")
    assert (record["caller"], record["by"]) == ("prod/billing", "jwt")
    cluster.origin.start_over()
    for namespace, account, changes, status in (
        ("dev", "billing", {}, 403),
        ("prod", "ledger", {}, 403),
        ("prod", "billing", {"iss": PLAIN}, 403),
        ("prod", "robot", {}, 403),
        ("prod/billing", "x", {}, 401),
        ("prod", "", {}, 401),
        ("prod", None, {}, 401),
        ("prod", ["billing"], {}, 401),
        ("prod", "billing", {"kubernetes.io": None}, 401),
        ("prod", "billing", {"kubernetes.io": {"namespace": "prod"}}, 401),
        ("prod", "ledger", {"aud": [AUDIENCE, "https://kubernetes.default.svc"]}, 403),
        ("prod", "billing", {"aud": ["https://kubernetes.default.svc"]}, 401),
        ("prod", "billing", {"iat": int(time.time()) - 3700}, 401),
        ("prod", "billing", {"iss": CLUSTER + "/"}, 401),
    ):
        token = projected(issuer, namespace, account, **changes)
        assert cluster.get("/x", token=token).status == status, (namespace, account, changes)
    assert not cluster.origin.requests
    token = projected(issuer, "any", "robot", iss=PLAIN)
    assert cluster.get("/x", token=token).status == 200

    # Kubernetes renews the gateway's own token in place: the next fetch shows the new one.
    assert {asked.authorization for asked in key_server.asked} == {"Bearer first-own-token"}
    key_server.bearer = "second-own-token"
    bearer_file.write_text("second-own-token")
    eventually(lambda: key_server.asked[-1].authorization == "Bearer second-own-token")
    assert cluster.get("/x", token=projected(issuer, "prod", "billing")).status == 200
    told = "\n".join([*cluster.gateway.lines(), cluster.gateway.metrics_text()])
    assert "own-token" not in told
