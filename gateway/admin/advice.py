"""What an operator can do about a failure, in one sentence. Pure.

An error's own remedy is in `gateway.errors`; here is what its cause, or a key's state, adds.
"""

from typing import Final, Literal

from gateway.errors import REMEDIES, ErrorKey

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
    "drain_timeout": "The request was cut at the end of a drain: raise listen.drain_timeout.",
    "truncated": "Invopop broke its reply off; the connection to the caller was cut as well.",
    "connect_refused": "Nothing listens at upstream.url: correct it, or start what should.",
    "dns": "The name in upstream.url cannot be resolved: correct it, or the name server.",
}

BY_KEY_STATE: Final = {
    "ok": "",
    "loading": "The key has not been read yet.",
    "unchecked": "The key is used once Invopop has named its workspace.",
    "rejected": "Invopop answered 401 to the key: rotate it.",
    "not_found": "The key is not at its source: put it there.",
    "denied": "The source refuses access to the key: check the gateway's permissions there.",
    "unavailable": "The source does not answer; the last good key is used meanwhile.",
    "malformed": "What is at the source is not a key; see check.",
    "pin_unchecked": "Invopop did not say whose workspace the key opens; it is asked again soon.",
    "pin_mismatch": (
        "The key opens another workspace than vault.toml says: put the right key there."
    ),
}


def advice(status: int, error: ErrorKey | Literal[""], cause: str) -> str:
    """What to do about an exchange that ended so; "" for nothing."""
    if error == "key_unavailable" and BY_KEY_STATE.get(cause):
        return BY_KEY_STATE[cause]
    if cause in BY_CAUSE:
        return BY_CAUSE[cause]
    if error:
        return REMEDIES[error]
    return "Invopop's own answer: its status page may say more." if status >= 500 else ""
