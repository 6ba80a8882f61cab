"""What to do about each failure. Pure.

An error's own remedy is in `gateway.errors`; here is what its cause, or a key's state, adds.
"""

from typing import Final, Literal

from gateway.errors import REMEDIES, ErrorKey, about_file_host
from gateway.upstream.edge import ADVICE as EDGE_ADVICE

# What a cause says more exactly, in the place of its error's remedy.
BY_CAUSE: Final = {
    "expired": "The token has expired: give the caller a new one.",
    "no_credential": (
        "No token was sent, and the address belongs to no caller: send Authorization: Bearer."
    ),
    "unknown_token": "The token is in no caller's tokens: it is misspelt, or was revoked.",
    "unknown_issuer": "The token's issuer is in no [[issuers]]: add it, or use another token.",
    "unknown_key": "The issuer's keys lack the one that signed the token; see Issuers.",
    "bad_signature": "The token was altered, or signed by somebody else: get a new one.",
    "audience": "The token was issued for another audience: compare the issuer's audience.",
    "not_yet_valid": "The token is not valid yet: compare the clocks.",
    "issued_in_future": "The token was issued in the future: compare the clocks.",
    "host_name": (
        "The name in Host may belong to a web page: send a token, or call by a local name."
    ),
    "deadline": "The time in X-Request-Timeout is over: allow more, or compare the latency above.",
    "caller_left": "The caller gave up: compare its timeout with the latency above.",
    "caller_stalled": "The caller did not read its reply.",
    "caller_too_slow": "The caller read its reply more slowly than listen.min_rate.",
    "fair_share": (
        "The caller, or its tenant, has so many requests in flight that the rest is for others."
    ),
    "body_rate": "The caller sent its body more slowly than listen.min_rate.",
    "drain_timeout": "The request was cut at the end of a drain: raise listen.drain_timeout.",
    "truncated": "Invopop broke its reply off; the connection to the caller was cut as well.",
    "connect_refused": "Nothing listens at upstream.url: correct it, or start what should.",
    "edge_refused": f"{EDGE_ADVICE}.",
    "dns": "The name of upstream.url cannot be resolved: correct it, or the name server.",
}

BY_KEY_STATE: Final = {
    "ok": "",
    "loading": "The key has not been read yet.",
    "on_demand": "Invopop issues the key when it is used next.",
    "unchecked": "The key is used once Invopop has confirmed its workspace.",
    "rejected": "Invopop answered 401 to the key: rotate it.",
    "not_found": "The key is not at its source: put it there.",
    "denied": "The source refuses access to the key: check the gateway's permissions there.",
    "unavailable": "The source does not answer; the last good key, if there is one, is used.",
    "malformed": "What is at the source is not a key; see check.",
    "disabled": "The workspace has disabled the application: enable its enrollment at Invopop.",
    "pin_unchecked": "Invopop did not say whose workspace the key opens; it is asked again soon.",
    "pin_mismatch": (
        "The key opens another workspace than vault.toml says: put the right key there."
    ),
    "pin_mismatch_sandbox": (
        "The key's workspace is not what `sandbox` in vault.toml says: put the right key there."
    ),
    "pin_mismatch_country": (
        "The key's workspace is not in the country that vault.toml says: put the right key there."
    ),
}


# The same of one kind of source, by the first word of how it is described.
_BY_SOURCE: Final = {
    ("not_found", "env"): "The variable is not set: set it and restart the gateway.",
    ("not_found", "file"): "The file is not there: put the key into it; no restart is needed.",
    ("not_found", "invopop"): (
        "Invopop knows no enrollment of that owner: correct the id in vault.toml, or have the"
        " company enroll the application."
    ),
    ("not_found", "invopop_enrollment"): (
        "Invopop knows no such enrollment: correct the id in vault.toml."
    ),
    ("denied", "invopop"): (
        "Invopop refuses the application: correct client_id and client_secret in [vault.invopop]."
    ),
    ("unavailable", "invopop"): "Invopop issues no key now; the last one is used until it ends.",
}


def key_advice(state: str, source: str) -> str:
    """What to do about a key in that state, read from that source, such as "env ACME_KEY"."""
    kind, _, name = source.partition(" ")
    if kind == "use" and BY_KEY_STATE.get(state):
        return f"The key is that of {name}: see there."
    kind = "invopop" if (kind, state) == ("invopop_enrollment", "denied") else kind
    return _BY_SOURCE.get((state, kind), BY_KEY_STATE.get(state, ""))


def advice(
    status: int, error: ErrorKey | Literal[""], cause: str, *, file_host: bool = False
) -> str:
    """What to do about an exchange, with a file host or Invopop, that ended so; "" for nothing."""
    said = _advice(status, error, cause)
    return about_file_host(said) if file_host else said


def _advice(status: int, error: ErrorKey | Literal[""], cause: str) -> str:
    if error == "key_unavailable" and BY_KEY_STATE.get(cause):
        return BY_KEY_STATE[cause]
    kind = cause.partition(":")[0]  # a failure at Invopop goes on with whom it was about
    if kind in BY_CAUSE:
        return BY_CAUSE[kind]
    if error:
        return REMEDIES[error]
    return "Invopop's own answer: its status page may say more." if status >= 500 else ""
