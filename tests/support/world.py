"""The gateway as a process between callers made of bare sockets and an origin that is scripted.

`World.check_invariants` is what must hold after any case whatever.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import h11

from tests.support.caller import PATIENCE, Connection, Reply
from tests.support.certificates import Authority, server_context
from tests.support.gateway import GatewayProcess, eventually, token_hash, tracebacks
from tests.support.jwt import Issuer, compact, hs256
from tests.support.scripted_origin import ScriptedOrigin
from tests.support.tls_server import Seen

KEY_A = "sentinel-key-of-acme-00000000000000000aa"
KEY_B = "sentinel-key-of-globex-000000000000000bb"
TOK_A = "igw_sentinel-token-of-billing-0000000000a"
TOK_B = "igw_sentinel-token-of-ledger-00000000000b"
TOK_S = "igw_sentinel-token-of-shared-00000000000s"
TOK_T = "igw_sentinel-token-of-tokens-only-00000t"
HS_SECRET = "sentinel-shared-secret-of-an-issuer-0001"
BOTH = frozenset({KEY_A, KEY_B})
SECRETS = (KEY_A, KEY_B, TOK_A, TOK_B, TOK_S, TOK_T, HS_SECRET)

ISSUER = "https://id.internal"
PEM_ISSUER = "https://pem.internal"
SHARED_ISSUER = "https://shared.internal"
STRICT_ISSUER = "https://strict.internal"
AUDIENCE = "invopop-gateway"

SERIES_PER_CASE = 200
"""How many metric series one case may add: a few routes and statuses, with their buckets."""


def request(
    line: str | bytes,
    *fields: str | bytes,
    body: bytes = b"",
    host: str | None = "gw",
    token: str | None = TOK_A,
) -> bytes:
    """A request's bytes, HTTP/1.1, with a Host and a Bearer token unless they are None."""
    made = [_bytes(line) + b" HTTP/1.1"]
    made += [f"Host: {host}".encode()] if host is not None else []
    made += [f"Authorization: Bearer {token}".encode("latin-1")] if token is not None else []
    made += [_bytes(field) for field in fields]
    return b"\r\n".join(made) + b"\r\n\r\n" + body


def fields(status: str, *lines: str | bytes) -> bytes:
    """The head of a reply."""
    return b"\r\n".join([f"HTTP/1.1 {status}".encode(), *map(_bytes, lines)]) + b"\r\n\r\n"


def chunked(body: bytes, size: int) -> bytes:
    """A body in chunks of `size` bytes, with the last chunk."""
    pieces = (body[i : i + size] for i in range(0, len(body), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


def settings(origin: ScriptedOrigin, ca_file: Path, issuer: Issuer) -> dict[str, Any]:
    """The configuration that most cases share."""
    every = [ISSUER, PEM_ISSUER, SHARED_ISSUER]
    tenant_claim = {"tenant_claim": "tenant", "tenant_claim_required": False}
    return {
        "listen": {"host": "127.0.0.1", "port": 0},
        "admin": {"host": "127.0.0.1", "port": 0},
        "upstream": {
            "url": f"https://{origin.authority}",
            "ca_file": str(ca_file),
            "ca_only": True,
            "read_timeout": 10.0,
            "circuit_failure_ratio": 0,
        },
        "vault": {"file": "vault.toml"},
        "issuers": [
            {"issuer": ISSUER, "audience": AUDIENCE, "algorithms": ["RS256", "ES256", "EdDSA"],
             "jwks_file": str(issuer.jwks_file), **tenant_claim},
            {"issuer": PEM_ISSUER, "audience": AUDIENCE, "algorithms": ["RS256"],
             "public_key_file": str(issuer.public_key_file)},
            {"issuer": SHARED_ISSUER, "audience": AUDIENCE, "algorithms": ["HS256"],
             "secret": {"env": "TEST_HS_SECRET"}},
            {"issuer": STRICT_ISSUER, "audience": AUDIENCE, "algorithms": ["RS256"],
             "jwks_file": str(issuer.jwks_file), "tenant_claim": "tenant"},
        ],
        "callers": {
            "billing": {"tokens": [token_hash(TOK_A)], "issuers": every, "tenants": ["acme"]},
            "ledger": {"tokens": [token_hash(TOK_B)], "issuers": [], "tenants": ["globex"]},
            "shared": {"tokens": [token_hash(TOK_S)], "issuers": [ISSUER, STRICT_ISSUER],
                       "tenants": ["acme", "globex"]},
            "tokens-only": {"tokens": [token_hash(TOK_T)], "issuers": [], "tenants": ["acme"]},
        },
        "log": {"level": "debug", "format": "json"},
    }  # fmt: skip


VAULT: Mapping[str, Any] = {
    "tenants": {"acme": {"key": {"env": "TEST_KEY_A"}}, "globex": {"key": {"env": "TEST_KEY_B"}}}
}
TWO_KEYS: Mapping[str, Any] = {
    "tenants": {
        "acme": {"key": {"env": "TEST_KEY_A"}, "previous": {"env": "TEST_KEY_B"}},
        "globex": {"key": {"env": "TEST_KEY_B"}},
    }
}
ENVIRON = {"TEST_KEY_A": KEY_A, "TEST_KEY_B": KEY_B, "TEST_HS_SECRET": HS_SECRET}


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`under` with the members of `over`, table by table."""
    made = dict(under)
    for name, value in over.items():
        both = isinstance(value, Mapping) and isinstance(made.get(name), Mapping)
        made[name] = merged(made[name], value) if both else value
    return made


class World:
    """One running gateway with its origin; a context manager."""

    def __init__(
        self,
        directory: Path,
        changes: Mapping[str, Any] | None = None,
        vault: Mapping[str, Any] = VAULT,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.authority = Authority(directory)
        self.issuer = Issuer(directory, ISSUER, AUDIENCE)
        self.origin = ScriptedOrigin(server_context(self.authority.certificate("localhost")))
        self.files = ScriptedOrigin(server_context(self.authority.certificate("localhost")))
        configured = merged(
            settings(self.origin, self.authority.ca_file, self.issuer),
            merged({"upstream": {"file_hosts": [self.files.authority]}}, changes or {}),
        )
        self.gateway = GatewayProcess(directory, configured, vault, {**ENVIRON, **(environ or {})})
        self.configured = configured
        self.constants: dict[str, Any] = {}
        self._usual_keys = vault is VAULT  # else either may be anyone's
        self._connections: list[Connection] = []
        self._checked_lines = 0
        self._series = 0
        self._files = 0

    def __enter__(self) -> Self:
        self.gateway.__enter__()
        self.take_baseline()
        return self

    def __exit__(self, *error: object) -> None:
        self._close_connections()
        self.gateway.__exit__(None, None, None)
        self.origin.hang_up()
        self.files.hang_up()

    def take_baseline(self) -> None:
        """What the process holds after one request, with nothing going on."""
        assert self.get("/warm").status == 200, self.gateway.lines()
        self._close_connections()
        self._files = self.gateway.open_files()
        self._series = series(self.gateway.metrics_text())
        self.origin.forget()

    def token_of(self, issuer: str, subject: str) -> str:
        """A lawful JWT of one of the configured issuers."""
        claims = self.issuer.claims(subject, iss=issuer)
        if issuer != SHARED_ISSUER:
            return self.issuer.token(claims)
        header, payload = json.dumps({"alg": "HS256"}), json.dumps(claims)
        return compact(header.encode(), payload.encode(), hs256(HS_SECRET.encode()))

    def connect(self) -> Connection:
        """A new connection to the callers' listener, closed after the case."""
        connection = Connection("127.0.0.1", self.gateway.port)
        self._connections.append(connection)
        return connection

    def exchange(self, raw: bytes, method: str = "GET", timeout: float = PATIENCE) -> Reply:
        """One request of exactly these bytes on a connection of its own; its reply."""
        connection = self.connect()
        connection.send(raw, lenient=True)
        reply = connection.reply(method, timeout)
        if not reply.get("x-gateway-error") or not connection.closed(0):
            connection.close()
        return reply

    def get(
        self,
        target: str,
        *fields: str | bytes,
        token: str | None = TOK_A,
        timeout: float = PATIENCE,
    ) -> Reply:
        """A GET on a connection of its own."""
        return self.exchange(request(f"GET {target}", *fields, token=token), "GET", timeout)

    def refused(self, raw: bytes, *statuses: int, close: bool = True) -> Reply:
        """The bytes are refused with one of `statuses`, in our shape; the origin sees nothing."""
        connection = self.connect()
        connection.send(raw, lenient=True)
        reply = connection.reply("HEAD" if raw.startswith(b"HEAD ") else "GET")
        assert reply.status in statuses, reply
        assert reply.get("content-type") == "application/problem+json"
        assert reply.get("x-gateway-error"), reply
        if close:
            assert reply.get("connection") == "close"
            assert connection.closed()
        assert not self.origin.requests
        return reply

    def passed(self, raw: bytes, method: str | None = None) -> tuple[Reply, Seen]:
        """The bytes are answered 200 by the origin, which saw exactly one whole request."""
        reply = self.exchange(raw, method or raw.lstrip().split(b" ", 1)[0].decode("latin-1"))
        assert reply.status == 200, (reply, self.gateway.lines()[-3:])
        (seen,) = self.origin.requests
        assert seen.complete
        return reply, seen

    def take_series_baseline(self) -> None:
        """Lets the next case count its series from here."""
        self._series = series(self.gateway.metrics_text())

    def check_invariants(self) -> None:
        """What holds after every case: nothing leaked, split, stuck, crashed or piled up."""
        received = b"".join(bytes(connection.received) for connection in self._connections)
        said = b"".join(bytes(connection.said) for connection in self._connections)
        lawful = keys_of(said) if self._usual_keys else BOTH
        seen = self.origin.requests
        self._close_connections()
        self.origin.forget()
        for one in seen:
            check_request(one, lawful)
        for one in self.files.requests:
            check_request(one, None)
        self.files.forget()
        follow_up = self.get("/follow-up", token=TOK_B)
        assert follow_up.status == 200, follow_up
        self._close_connections()
        text = eventually(self._settled)
        lines = self.gateway.lines()
        fresh, self._checked_lines = lines[self._checked_lines :], len(lines)
        crashed = tracebacks(fresh)
        assert not crashed, crashed
        told = received + "\n".join([*fresh, text]).encode()
        leaked = [secret for secret in SECRETS if secret.encode() in told]
        assert not leaked, leaked
        grown, self._series = series(text) - self._series, series(text)
        assert grown <= SERIES_PER_CASE, grown
        self.origin.forget()

    def _settled(self) -> str:
        """The metrics text, once nothing is in flight and no descriptor is left over."""
        text = self.gateway.metrics_text()
        idle = re.search(r"^invopop_gateway_requests_in_flight 0\.0$", text, re.MULTILINE)
        return text if idle and self.gateway.open_files() <= self._files else ""

    def _close_connections(self) -> None:
        for connection in self._connections:
            connection.close()
        self._connections.clear()


def series(text: str) -> int:
    """How many series an exposition holds, the birth times of counters aside."""
    return len(re.findall(r"^(?!#|\w+_created\b)", text, re.MULTILINE))


def keys_of(said: bytes) -> frozenset[str]:
    """The keys of those tenants that the callers who said this may use.

    Both, where it takes more than a look at their opaque tokens to tell.
    """
    opaque = {token.encode() for token in re.findall(r"igw_sentinel[\w-]+", said.decode("latin-1"))}
    if not opaque or TOK_S.encode() in opaque or re.search(rb"(?i)basic |eyJ", said):
        return BOTH
    return frozenset(KEY_B if token == TOK_B.encode() else KEY_A for token in opaque)


def check_request(seen: Seen, keys: frozenset[str] | None = BOTH) -> None:
    """A second strict parser agrees on what went up; it bears exactly one of these keys.

    None: it bears no key, and no credential of any kind.
    """
    if keys is None:
        assert not seen.all("authorization"), seen
        assert not [secret for secret in SECRETS if secret.encode() in seen.raw], seen
    else:
        assert seen.all("authorization") in [[f"Bearer {key}"] for key in keys], seen
    assert len(seen.all("host")) == 1
    assert len(seen.all("content-length") + seen.all("transfer-encoding")) <= 1
    if len(seen.raw) > 1 << 20:
        return
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 18)
    parser.receive_data(bytes(seen.raw))
    ended = False
    while (event := parser.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
        if isinstance(event, h11.EndOfMessage):
            ended = True
            break
    assert ended == seen.complete, seen
    assert not ended or parser.trailing_data[0] == b"", seen
