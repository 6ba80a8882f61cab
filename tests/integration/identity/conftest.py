"""Gateways whose callers are known by remote issuers, certificates, sockets and rules."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import Authority, server_context
from tests.support.identity_world import Worlds
from tests.support.key_server import JWKS, KeyServer
from tests.support.world import World


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[Worlds]:
    """Starts gateways for one test, each in a directory of its own."""
    with ExitStack() as stack:

        def start(changes: Mapping[str, Any], **more: Any) -> World:
            directory = tmp_path / f"world-{len(list(tmp_path.iterdir()))}"
            directory.mkdir()
            return stack.enter_context(World(directory, changes, **more))

        yield start


@pytest.fixture(scope="module")
def issuer_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The CA that only the issuers' server uses."""
    return Authority(tmp_path_factory.mktemp("issuer-ca"), "issuer-ca")


@pytest.fixture
def key_server(issuer_authority: Authority) -> Iterator[KeyServer]:
    """An issuer's endpoint that has nothing published yet."""
    server = KeyServer(server_context(issuer_authority.certificate("localhost")))
    server.put(JWKS, {"keys": []})
    yield server
    server.close()
