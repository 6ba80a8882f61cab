"""The types of values that settings are made of: each is strict, and says what it expects.

Rule: no error of these types quotes its input, which may be a secret in the wrong place.
"""

import ipaddress
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from gateway.model import TENANT_GLOB, TENANT_NAME
from gateway.settings.wording import TOKEN

TABLE: Final = ConfigDict(extra="forbid", hide_input_in_errors=True)

# Only labels of valid length: for others name look-up raises errors of another type.
_NAME: Final = r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?"
_HOST_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_NAME}")
_FOUR_NUMBERS: Final = re.compile(r"[0-9]+(?:\.[0-9]+){3}")  # meant as an address, not as a name
_SIZE: Final = re.compile(r"([0-9]{1,18}) ?(B|KB|MB|GB|KiB|MiB|GiB)")
_UNITS: Final = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_BINARY_UNITS: Final = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_AUTHORITY: Final = rf"(?:{_NAME}|\[[0-9A-Fa-f:.]+\])(?::[0-9]{{1,5}})?"
_LOOPBACK: Final = r"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?"
_PATH: Final = r"(?:/[!$-;=?-Z_a-z~]*)?"  # path and query of RFC 3986, no fragment
_NOT_A_TOKEN: Final = rf"(?!.*(?:{TOKEN.pattern}))"
_LONGEST: Final = 31_536_000.0  # a year: more seconds are a mistake, and timers overflow
_LARGEST: Final = 2**53
STDOUT: Final = Path("stdout")  # relative, as no path of a file is
_TRACES: Final = "/v1/traces"  # where OTLP over HTTP is received if an endpoint names no path


class Table(BaseModel):
    """A TOML table: frozen, without unknown keys; its errors never quote what they found."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)


def refuse(expected: str) -> PydanticCustomError:
    """The error of a validator: it says what would be right, never what was there."""
    # The text goes through as context: a template would read its braces.
    return PydanticCustomError("expected", "{expected}", {"expected": expected})


def expects(expected: str, holds: Callable[[Any], bool] = lambda _: True) -> WrapValidator:
    """Replaces every error of the annotated type, or of `holds`, by `expected`."""

    def check(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            value = handler(value)
        except ValidationError:
            raise refuse(expected) from None
        if not holds(value):
            raise refuse(expected)
        return value

    return WrapValidator(check)


def matching(pattern: str, expected: str) -> WrapValidator:
    """Accepts text that `pattern` matches in full."""
    compiled = re.compile(pattern)
    return expects(expected, lambda text: compiled.fullmatch(text) is not None)


def _size(value: Any) -> Any:
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    return int(match[1]) * (_UNITS | _BINARY_UNITS)[match[2]] if match else value


def _path(value: Any, info: ValidationInfo) -> Path:
    """Resolves a path against the directory of the file that names it (context `directory`)."""
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise refuse("the path of a file")
    directory: Path = (info.context or {}).get("directory", Path())
    return directory / value


def _outlet(value: Any, info: ValidationInfo) -> Path:
    return STDOUT if value == str(STDOUT) else _path(value, info)


def _host(text: str) -> str:
    if ":" in text:
        ipaddress.IPv6Address(text)
    elif _HOST_NAME.fullmatch(text) is None:
        raise ValueError
    elif _FOUR_NUMBERS.fullmatch(text):
        ipaddress.IPv4Address(text)
    return text


def _network(text: str) -> str:
    if "%" in text:  # a peer's address is compared without its zone (RFC 4007 11)
        raise refuse("a network without a zone: leave out % and what follows it")
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise refuse(_suggestion(text)) from None
    mapped = network.version == 6 and network.network_address.ipv4_mapped
    if mapped and network.prefixlen >= 96:
        raise refuse(f"the IPv4 network itself, {mapped}/{network.prefixlen - 96}")
    return str(network)


def _suggestion(text: str) -> str:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return 'a network such as "10.1.0.0/16" or "127.0.0.1/32"'
    return f'a network whose host bits are zero: "{network}"'


def _peer(text: str) -> str:
    if text == "unix" or re.fullmatch(r"unix:(0|[1-9][0-9]{0,9})", text):
        return text
    if text.startswith("unix"):
        raise refuse('"unix", or "unix:1000" for the peer\'s uid')
    return _network(text)


def _url(pattern: str, expected: str, scheme: str = "") -> WrapValidator:
    compiled = re.compile(pattern)

    def holds(text: str) -> bool:
        try:
            return compiled.fullmatch(text) is not None and urlsplit(scheme + text).port != 0
        except ValueError:
            return False

    return expects(expected, holds)


def _origin(text: str) -> str:
    return text.removesuffix("/").lower()


def _collector(text: str) -> str:
    return text if urlsplit(text).path.strip("/") else text.rstrip("/") + _TRACES


def _reference(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9._/+=@:{}-]+", text) is None:
        raise ValueError
    if any(segment in {"", ".", ".."} for segment in text.split("/")):
        raise ValueError
    return text


Flag = Annotated[bool, Strict(), expects("true or false")]
Text = Annotated[str, Strict(), Field(min_length=1), expects("a string that is not empty")]
Word = Annotated[Text, matching(r"[!-~]+", "a string of visible ASCII characters, without spaces")]
Date = Annotated[date, Strict(), expects("a date such as 2027-01-31, without quotes or time")]
Port = Annotated[int, Strict(), Field(ge=0, le=65535), expects("a port from 0 to 65535")]
Count = Annotated[int, Strict(), Field(ge=0, le=_LARGEST), expects("a whole number, at least 0")]
Positive = Annotated[int, Strict(), Field(gt=0, le=_LARGEST), expects("a whole number, at least 1")]
Rate = Annotated[
    float,
    Strict(),
    Field(ge=0, le=1e9, allow_inf_nan=False),
    expects("a number of requests per second, at least 0"),
]
Ratio = Annotated[float, Strict(), Field(ge=0, le=1), expects("a number from 0 to 1")]
Seconds = Annotated[
    float,
    Strict(),
    Field(gt=0, le=_LONGEST, allow_inf_nan=False),
    expects("a number of seconds greater than 0, at most a year"),
]
SecondsOrZero = Annotated[
    float,
    Strict(),
    Field(ge=0, le=_LONGEST, allow_inf_nan=False),
    expects("a number of seconds, at least 0 and at most a year"),
]
Size = Annotated[
    int,
    Strict(),
    Field(ge=0, le=_LARGEST),
    BeforeValidator(_size),
    expects('a number of bytes, or a string such as "64KiB", "10MB" or "32MiB"'),
    WithJsonSchema({"type": ["integer", "string"], "minimum": 0, "pattern": f"^{_SIZE.pattern}$"}),
]
FilePath = Annotated[Path, BeforeValidator(_path), expects("the path of a file")]
Outlet = Annotated[Path, BeforeValidator(_outlet), expects('the path of a file, or "stdout"')]
Host = Annotated[
    str,
    Strict(),
    AfterValidator(_host),
    expects('an address such as "127.0.0.1" or "::", or a host name, without port'),
]
Network = Annotated[str, Strict(), AfterValidator(_network)]
PeerNetwork = Annotated[str, Strict(), AfterValidator(_peer)]
Origin = Annotated[
    str,
    Strict(),
    _url(
        rf"https://{_AUTHORITY}/?",
        "https:// with a host and perhaps a port; no path, query, fragment or user name",
    ),
    AfterValidator(_origin),
]
HostAndPort = Annotated[
    str, Strict(), _url(_AUTHORITY, 'a host, perhaps with a port, without https://: "a.com"', "//")
]
HttpsUrl = Annotated[
    str,
    Strict(),
    _url(rf"https://{_AUTHORITY}{_PATH}", "https:// with a host; no user name or fragment"),
]
StoreUrl = Annotated[
    str,
    Strict(),
    _url(
        rf"https://{_AUTHORITY}{_PATH}|http://{_LOOPBACK}{_PATH}",
        "https:// with a host (http:// to a loopback address only); no user name",
    ),
]
CollectorUrl = Annotated[
    str,
    Strict(),
    _url(
        rf"https?://{_AUTHORITY}(?:/[!$-;=@-Z_a-z~]*)?",
        "http:// or https:// with a host, perhaps a port and a path; no user name or query",
    ),
    AfterValidator(_collector),
]
ProxyUrl = Annotated[
    str,
    Strict(),
    _url(rf"http://{_AUTHORITY}/?", "http:// with a host and a port; no path or user name"),
    AfterValidator(_origin),
]
StorageUrl = Annotated[
    str,
    Strict(),
    _url(
        rf"memory://|rediss?://{_AUTHORITY}(?:/[0-9]{{1,4}})?",
        "redis:// or rediss:// with a host, perhaps a port and a database number, or memory://; "
        "no user name or password (storage_password)",
    ),
]
TenantName = Annotated[
    str,
    Strict(),
    matching(
        rf"{_NOT_A_TOKEN}(?!other\Z){TENANT_NAME}",
        "a tenant's name, not a token: a letter or digit, then letters, digits, `.`, `_` and `-`, "
        "at most 128; not `other`, which metrics use",
    ),
]
TenantPattern = Annotated[
    str,
    Strict(),
    matching(
        rf"{_NOT_A_TOKEN}(?!other\Z){TENANT_GLOB}",
        'a tenant\'s name (not `other`, and not a token), or a glob such as "globex-*"',
    ),
]
Reference = Annotated[
    str,
    Strict(),
    AfterValidator(_reference),
    expects("the secret's name or path in the store, without empty or dot segments"),
]
EnvironmentName = Annotated[
    str,
    Strict(),
    matching(r"[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable, not its value"),
]
FieldName = Annotated[
    str,
    Strict(),
    matching(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", "the name of a header field"),
]
Algorithm = Annotated[
    Literal[
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
        "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512",
    ],
    expects("one of RS256/384/512, PS256/384/512, ES256/384/512, EdDSA, HS256/384/512"),
]  # fmt: skip
