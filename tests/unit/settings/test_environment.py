"""Overrides from the environment: every scalar, of its own type; nothing else, nothing unknown."""

from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Problem
from gateway.settings.environment import attributed, variables

SET = [
    ("LISTEN__PORT", "8080", ("listen", "port"), 8080),
    ("LISTEN__HOST", "0", ("listen", "host"), "0"),
    ("LISTEN__REUSE_PORT", "true", ("listen", "reuse_port"), True),
    ("LISTEN__DRAIN_DELAY", "5", ("listen", "drain_delay"), 5.0),
    ("LISTEN__SOCKET_MODE", "0600", ("listen", "socket_mode"), "0600"),
    ("ADMIN__PORT", "0", ("admin", "port"), 0),
    ("UPSTREAM__URL", "https://127.0.0.1:4443", ("upstream", "url"), "https://127.0.0.1:4443"),
    ("UPSTREAM__CIRCUIT_FAILURE_RATIO", "0.25", ("upstream", "circuit_failure_ratio"), 0.25),
    ("VAULT__STRICT", "false", ("vault", "strict"), False),
    ("LIMITS__MAX_BODY", "10MiB", ("limits", "max_body"), 10 * 2**20),
    ("LIMITS__MAX_BODY", "1048576", ("limits", "max_body"), 2**20),
    ("METRICS__MAX_SERIES", "5", ("metrics", "max_series"), 5),
    ("LOG__FORMAT", "console", ("log", "format"), "console"),
    ("AUDIT__FILE", "stdout", ("audit", "file"), Path("stdout")),
    ("AUDIT__WRITE_BEFORE_FORWARD", "false", ("audit", "write_before_forward"), False),
    ("TRACING__SAMPLE_RATIO", "0.1", ("tracing", "sample_ratio"), 0.1),
    ("TRACING__ENDPOINT", "http://o:4318", ("tracing", "endpoint"), "http://o:4318/v1/traces"),
]
REFUSED = [
    ("LISTEN__PORT", "", "a port"),
    ("LISTEN__PORT", "eighty", "a port"),
    ("LISTEN__PORT", "8080.0", "a port"),
    ("LISTEN__PORT", "0x50", "a port"),
    ("LISTEN__PORT", " 80", "a port"),
    ("LISTEN__PORT", "9" * 5000, "a port"),
    ("LISTEN__REUSE_PORT", "1", "true or false"),
    ("LISTEN__REUSE_PORT", "True", "true or false"),
    ("LISTEN__REUSE_PORT", "no", "true or false"),
    ("LISTEN__BODY_TIMEOUT", "nan", "a number of seconds"),
    ("LISTEN__BODY_TIMEOUT", "1e400", "a number of seconds"),
    ("LISTEN__BODY_TIMEOUT", "0", "greater than 0"),
    ("UPSTREAM__CA_FILE", "", "the path of a file"),
    ("UPSTREAM__URL", "http://x", "https://"),
    ("LIMITS__MAX_BODY", "10M", "a number of bytes"),
    ("LOG__LEVEL", "INFO", "'info'"),
]
UNKNOWN = [
    ("LISTEN__PROT", "`INVOPOP_GATEWAY__LISTEN__PORT`"),
    ("LISTEN", "`INVOPOP_GATEWAY__LISTEN__"),
    ("", "`INVOPOP_GATEWAY__"),
    ("listen__port", "INVOPOP_GATEWAY__LISTEN__PORT, in capitals"),
    ("LISTEN__PLACEHOLDER_TOKENS", "listen.placeholder_tokens is not a single value"),
    ("ADMIN__STATUS_NETWORKS", "admin.status_networks is not a single value"),
    ("UPSTREAM__RETRY_METHODS", "upstream.retry_methods is not a single value"),
    ("VAULT__OPENBAO", "vault.openbao is not a single value"),
    ("LIMITS__STORAGE_PASSWORD", "limits.storage_password is not a single value"),
    ("CALLERS__BILLING__ENFORCE", "callers cannot come from the environment"),
    ("ISSUERS", "issuers cannot come from the environment"),
    ("TENANTS__ACME", "`INVOPOP_GATEWAY__"),
]


@pytest.mark.parametrize(("name", "text", "path", "value"), SET)
def test_override(
    workshop: Any, name: str, text: str, path: tuple[str, str], value: object
) -> None:
    """A variable sets its setting, whether the file has the section or not."""
    environ = {f"INVOPOP_GATEWAY__{name}": text}
    settings = workshop.load(environ=environ).settings
    assert getattr(getattr(settings, path[0]), path[1]) == value


def test_variable_wins_over_file(workshop: Any) -> None:
    """Case 185: the environment has the last word, and leaves the rest of the section alone."""
    gateway = '[listen]\nport = "wrong"\nidle_timeout = 7.0\n'
    listen = workshop.load(gateway, environ={"INVOPOP_GATEWAY__LISTEN__PORT": "81"}).settings.listen
    assert (listen.port, listen.idle_timeout) == (81, 7.0)


def test_paths_in_variables(workshop: Any, tmp_path: Path) -> None:
    """A relative path in a variable is relative to the configuration file."""
    environ = {"INVOPOP_GATEWAY__UPSTREAM__CA_FILE": "ca.pem"}
    assert workshop.load(environ=environ).settings.upstream.ca_file == tmp_path / "ca.pem"


@pytest.mark.parametrize(("name", "text", "expected"), REFUSED)
def test_wrong_override(workshop: Any, name: str, text: str, expected: str) -> None:
    """A variable whose text is not of the setting's type is the problem, under its own name."""
    (problem,) = workshop.problems(environ={f"INVOPOP_GATEWAY__{name}": text})
    assert (problem.file, problem.key) == ("environment", f"INVOPOP_GATEWAY__{name}")
    assert expected in problem.expected


@pytest.mark.parametrize(("name", "expected"), UNKNOWN)
def test_unknown_override(workshop: Any, name: str, expected: str) -> None:
    """Case 185: a variable with our prefix that sets nothing is an error with a hint."""
    (problem,) = workshop.problems(environ={f"INVOPOP_GATEWAY__{name}": "secret-canary"})
    assert (problem.file, problem.key) == ("environment", f"INVOPOP_GATEWAY__{name}")
    assert expected in problem.expected


def test_rule_broken_by_a_variable(workshop: Any) -> None:
    """A rule between settings names the variable where the setting came from one."""
    (problem,) = workshop.problems(environ={"INVOPOP_GATEWAY__ADMIN__PORT": "8585"})
    assert (problem.file, problem.key) == ("environment", "INVOPOP_GATEWAY__ADMIN__PORT")


@pytest.mark.parametrize(
    "name",
    [
        "INVOPOP_GATEWAY_CONFIG",
        "INVOPOP_GATEWAY_PORT_8585_TCP",
        "INVOPOP_GATEWAY_SERVICE_HOST",
        "INVOPOP_API_KEY",
    ],
)
def test_other_variables(workshop: Any, name: str) -> None:
    """Case 185: what Kubernetes and others set beside our prefix is none of our business."""
    assert workshop.load(environ={name: "x"})


def test_every_scalar_has_its_variable() -> None:
    """All ten sections can be overridden, callers, issuers and tables never."""
    sections = {path[0] for path in variables().values()}
    assert sections == {
        *("listen", "admin", "upstream", "vault", "limits", "metrics", "log", "audit", "tracing"),
        "tunnel",
    }
    assert ("vault", "openbao") not in variables().values()
    assert variables()["INVOPOP_GATEWAY__LISTEN__TLS_KEY"] == ("listen", "tls_key")


@pytest.mark.parametrize("name", ["INVOPOP_GATEWAY_LISTEN__PORT", "invopop_gateway_listen_port"])
def test_too_few_underscores_are_noticed(workshop: Any, name: str) -> None:
    """A warning names the right variable; a service's variables of Kubernetes are none of ours."""
    service = {"INVOPOP_GATEWAY_PORT": "tcp://10.0.0.1:8585", "INVOPOP_GATEWAY_SERVICE_HOST": "x"}
    (warning,) = [
        text
        for text in workshop.load(environ={name: "1", **service}).warnings
        if text.startswith("environment")
    ]
    assert warning.endswith("two underscores make INVOPOP_GATEWAY__LISTEN__PORT")


def test_what_is_wrong_with_a_variable_is_said_of_the_variable() -> None:
    """Of a setting that it overrides; of others, and of other files, what was said stays."""
    environ = {"INVOPOP_GATEWAY__UPSTREAM__CA_FILE": "ca.pem"}
    wrong = ("a", "b")
    told = attributed(
        [
            Problem("", "upstream.ca_file", *wrong),
            Problem("gateway.toml", "upstream.ca_file", *wrong),
            Problem("vault.toml", "upstream.ca_file", *wrong),
            Problem("", "upstream.url", *wrong),
        ],
        "gateway.toml",
        environ,
    )
    assert told == [
        Problem("environment", "INVOPOP_GATEWAY__UPSTREAM__CA_FILE", *wrong),
        Problem("environment", "INVOPOP_GATEWAY__UPSTREAM__CA_FILE", *wrong),
        Problem("vault.toml", "upstream.ca_file", *wrong),
        Problem("gateway.toml", "upstream.url", *wrong),
    ]
