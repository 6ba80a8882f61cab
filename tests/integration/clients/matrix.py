"""Which client works in which form, by trying all of them; run as a module, it writes the table.

Rule: a client is used as its own documents say, with nothing of ours but its settings.
"""

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple, Self

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509 import load_pem_x509_certificate

from tests.integration.clients.known import CLIENTS, FORMS
from tests.support.certificates import Authority, server_context
from tests.support.client_certificates import ClientAuthority
from tests.support.connect_proxy import ConnectProxy
from tests.support.counting_origin import CountingOrigin
from tests.support.gateway import eventually, token_hash
from tests.support.listeners import ListenerProcess
from tests.support.tunnels import tunnel_settings
from tests.support.world import ENVIRON, TOK_A, VAULT, merged

PROGRAMS: Final = Path(__file__).parent / "programs"
PAGE: Final = Path(__file__).parents[3] / "config" / "clients.md"
BEGIN: Final = "<!-- From here on: uv run python -m tests.integration.clients.matrix -->\n"
END: Final = "<!-- To here -->\n"
API: Final = "api.invopop.com"
SERVICE: Final = "spiffe://prod/billing"
ASKED_FOR_PROOF: Final = 407
_PASSWORD: Final = "changeit"


class Seen(NamedTuple):
    """What one client saw in one form, by exercise; and the ids of its requests."""

    told: dict[str, str]
    stderr: str
    label: str

    def request_id(self, exercise: str) -> str:
        """As the client sent it."""
        return f"{self.label}-{exercise}"


class Matrix:
    """The gateways, one for each kind of listener, and their origin; a context manager."""

    def __init__(self, directory: Path, go_cache: Path) -> None:
        self._directory = directory
        self._go_cache = go_cache
        self._stack = ExitStack()
        self._authority = Authority(directory)
        self.origin = CountingOrigin(server_context(self._authority.certificate(API)))
        self.ca_file = self._authority.ca_file
        self._clients = ClientAuthority(directory, "services")
        self.seen: dict[tuple[str, str], Seen] = {}
        self.missing: dict[str, str] = {}  # client -> the program that is not here

    def __enter__(self) -> Self:
        origin = self._stack.enter_context(self.origin)
        self._proxy = self._stack.enter_context(ConnectProxy(origin.port))
        self.certificate = self._clients.certificate(SERVICE)
        server = str(self._authority.certificate("localhost"))
        self.socket = self._directory / "socket" / "callers.sock"
        tls = {"tls_certificate": server, "tls_key": server}
        self.tcp = self._gateway("tcp", {
            "listen": {"port": 0}, "callers": {"billing": {"tokens": [token_hash(TOK_A)]}},
            "tunnel": tunnel_settings(self._directory, API),
        })  # fmt: skip
        self.unix = self._gateway("socket", {
            "listen": {"socket": str(self.socket)}, "callers": {"billing": {"networks": ["unix"]}},
        })  # fmt: skip
        self.mutual = self._gateway("tls", {
            "listen": {"port": 0, **tls, "client_ca": str(self._clients.ca_file)},
            "callers": {"billing": {"certificates": [SERVICE]}},
        })  # fmt: skip
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _gateway(self, name: str, changes: dict[str, Any]) -> ListenerProcess:
        upstream = {
            "url": f"https://{API}",
            "proxy": f"http://127.0.0.1:{self._proxy.port}",
            "ca_file": str(self._authority.ca_file),
        }
        shared = {
            "admin": {"port": 0}, "upstream": upstream, "limits": {"max_body": "16MiB"},
            "callers": {"billing": {"tenants": ["acme"]}},
        }  # fmt: skip
        (directory := self._directory / name).mkdir()
        process = ListenerProcess(directory, merged(shared, changes), VAULT, ENVIRON)
        return self._stack.enter_context(process)

    def gateway_of(self, form: str) -> ListenerProcess:
        """Which of them serves a form."""
        return {"socket": self.unix, "mutual TLS": self.mutual}.get(form, self.tcp)

    def run(self) -> None:
        """Runs every client in every form that it knows."""
        shutil.copytree(PROGRAMS, work := self._directory / "work")
        self._keystores(work)
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda name: self._client(name, work), CLIENTS))

    def _client(self, name: str, work: Path) -> None:
        client = CLIENTS[name]
        for program in filter(None, (client.command[0], *client.build[:1])):
            if not program.startswith("./") and _found(program) is None:
                self.missing[name] = program
                return
        if client.build:
            build = [_found(client.build[0]) or "", *client.build[1:]]
            subprocess.run(build, cwd=work, env=self._environ(), check=True, timeout=300)
        for form in FORMS:
            if form not in client.unable:
                self.seen[name, form] = self._seen(name, form, work)

    def _seen(self, name: str, form: str, work: Path) -> Seen:
        label = "".join(c for c in f"{name}-{form}" if c.isalnum() or c == "-")
        own = work / label
        own.mkdir()
        command = list(CLIENTS[name].command)
        command[0] = str(work / command[0]) if command[0][0] == "." else _found(command[0]) or ""
        if command[0].endswith("java"):
            command[1:1] = ["-cp", str(work), *self._properties(form, work)]
        elif len(command) > 1:
            command[1] = str(work / command[1])
        environ = {**self._environ(), **self._of_form(form), "FORM": form, "LABEL": label}
        done = subprocess.run(
            command, cwd=own, env=environ, capture_output=True, text=True, timeout=120, check=False
        )
        told = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
        return Seen(told, done.stderr, label)

    def _environ(self) -> dict[str, str]:
        return {
            "PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}",
            "HOME": str(self._directory),
            "PYTHONPATH": str(PAGE.parents[1]),
            "GOCACHE": str(self._go_cache),
            "CGO_ENABLED": "0",
            "GOTOOLCHAIN": "local",
        }

    def _of_form(self, form: str) -> dict[str, str]:
        """What a program of any language is told about the form."""
        ca = str(self._directory / "tunnel-ca.pem")
        proxy = f"http://any:{TOK_A}@127.0.0.1:{self.tcp.port}"
        proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"), proxy)
        trust = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
        mutual = {"CLIENT_CERTIFICATE": str(self.certificate),
                  "CLIENT_CA": str(self._authority.ca_file)}  # fmt: skip
        own = {
            "base URL": {"URL": self.tcp.url, "AUTHORIZATION": f"Bearer {TOK_A}"},
            "proxy": {"URL": f"http://{API}", "NODE_USE_ENV_PROXY": "1", **proxies},
            "tunnel": {
                "URL": f"https://{API}", "NODE_USE_ENV_PROXY": "1", **proxies,
                **dict.fromkeys(trust, ca), "AUTHORIZATION": "Bearer an-sdks-own-key",
            },
            "socket": {"URL": "http://gateway", "CLIENT_SOCKET": str(self.socket)},
            "mutual TLS": {"URL": f"https://localhost:{self.mutual.port}", **mutual},
        }  # fmt: skip
        empty = dict.fromkeys(("AUTHORIZATION", "CLIENT_SOCKET", "CLIENT_CERTIFICATE"), "")
        return {**empty, **own[form]}

    def _properties(self, form: str, work: Path) -> list[str]:
        """The same for Java, which reads no variables."""
        port, keys, trust = str(self.tcp.port), work / "keys.p12", work / "trust.p12"
        tunnel = work / "tunnel.p12"
        proxy = {f"{scheme}.{part}": value for scheme in ("http", "https")
                 for part, value in (("proxyHost", "127.0.0.1"), ("proxyPort", port))}  # fmt: skip
        proxy |= {"proxy.token": TOK_A, "jdk.http.auth.tunneling.disabledSchemes": ""}
        trusted = {
            "javax.net.ssl.trustStore": tunnel,
            "javax.net.ssl.trustStorePassword": _PASSWORD,
        }
        named: dict[str, dict[str, Any]] = {
            "proxy": proxy,
            "tunnel": {**proxy, **trusted},
            "mutual TLS": {"client.keys": keys, "client.trust": trust},
        }
        return [f"-D{name}={value}" for name, value in named.get(form, {}).items()]

    def _keystores(self, work: Path) -> None:
        """What Java reads in the place of PEM files."""
        encryption = BestAvailableEncryption(_PASSWORD.encode())
        pem = self.certificate.read_bytes()
        key: Any = load_pem_private_key(pem, None)
        own = pkcs12.serialize_key_and_certificates(
            b"client", key, load_pem_x509_certificate(pem), None, encryption
        )
        (work / "keys.p12").write_bytes(own)
        for name, file in (
            ("trust", self._authority.ca_file), ("tunnel", self._directory / "tunnel-ca.pem"),
        ):  # fmt: skip
            ca = pkcs12.PKCS12Certificate(load_pem_x509_certificate(file.read_bytes()), b"ca")
            store = pkcs12.serialize_java_truststore([ca], encryption)
            (work / f"{name}.p12").write_bytes(store)

    def cell(self, name: str, form: str) -> str:
        """What the table says of a client in a form."""
        if reason := CLIENTS[name].unable.get(form):
            return reason
        told = self.seen[name, form].told
        if not self.works(name, form):
            return f"`{told.get('get', 'nothing')}`"
        given_up = str(self.status(name, form, "cancelled"))
        return " ".join([told["get"], told["post"], given_up, told["refused"]])

    def works(self, name: str, form: str) -> bool:
        """Whether the client's first request in that form was answered at all."""
        return self.seen[name, form].told.get("get", "").isdigit()

    def status(self, name: str, form: str, exercise: str) -> int:
        """What the gateway's log says of a request, once a client has shown what it was asked for.

        Java shows its token only after a 407.
        """
        request_id = self.seen[name, form].request_id(exercise)

        def statuses() -> list[int]:
            lines = [one for one in self.log_of(name, form) if one["request_id"] == request_id]
            return [int(one["status"]) for one in lines if one["status"] != ASKED_FOR_PROOF]

        return eventually(statuses)[0]

    def log_of(self, name: str, form: str) -> list[dict[str, Any]]:
        """The gateway's log lines of what a client sent in a form."""
        label, events = self.seen[name, form].label, self.gateway_of(form).events("exchange")
        return [one for one in events if one["request_id"].startswith(f"{label}-")]

    def row(self, name: str) -> str:
        """One line of the table."""
        tried = [form for form in FORMS if form not in CLIENTS[name].unable]
        gives_up = {
            self.seen[name, form].told["cancelled"] for form in tried if self.works(name, form)
        }
        cells = [name, *(self.cell(name, form) for form in FORMS)]
        return f"| {' | '.join(cells)} | {', '.join(f'`{one}`' for one in sorted(gives_up))} |"


def _found(program: str) -> str | None:
    return shutil.which(program, path=f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}")


def rows_of_page() -> Iterator[str]:
    """The table's lines as the page has them, one for each client."""
    table = PAGE.read_text().split(BEGIN)[1].split(END)[0]
    yield from table.splitlines()[2:]


def main() -> None:
    """Writes the table anew. Raises KeyError for a client that is not on this machine."""
    with (
        TemporaryDirectory() as directory,
        TemporaryDirectory() as cache,
        Matrix(Path(directory), Path(cache)) as matrix,
    ):
        matrix.run()
        rows = [matrix.row(name) for name in CLIENTS]
    titles = ["client", *FORMS, "its own timeout shows as"]
    lines = [titles, ["---"] * len(titles)]
    table = [*(f"| {' | '.join(line)} |" for line in lines), *rows]
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text("\n".join([before + BEGIN + table[0], *table[1:], END + after]))


if __name__ == "__main__":
    main()
