"""What to do about a failure, in one sentence. Pure; the README's table of errors says the same."""

from typing import Final

ADVICE: Final = {
    "bad_request": "mend the request's framing, target or header; detail says which",
    "unauthenticated": "show a valid token; cause in the gateway's log says what was wrong",
    "caller_unknown": "add the caller to [callers], or list the issuer it uses",
    "browser_refused": "a web page may not borrow an address: use a token, or a local name in Host",
    "tenant_required": "name the tenant: X-Invopop-Tenant or the token's claim",
    "tenant_denied": "not this caller's tenant, or none at all; see explain",
    "operation_denied": "not in allow, or in deny; see explain",
    "method_not_allowed": "Invopop's API has no such method",
    "request_timeout": "send head and body without stalling",
    "body_too_large": "raise limits.max_body or send less",
    "misdirected": "the absolute URL names another host than the upstream",
    "rate_limited": "wait for Retry-After",
    "headers_too_large": "send fewer or smaller headers",
    "internal_error": "a defect: report it with the request id",
    "upstream_unreachable": "Invopop, or the network on the way, is down",
    "upstream_protocol_error": (
        "Invopop's reply was broken; explain cannot help, its status page may"
    ),
    "upstream_tls_error": "certificate not trusted: see upstream.ca_file",
    "key_rejected": "Invopop refuses the tenant's key: rotate it",
    "overloaded": "wait for Retry-After; raise limits.max_in_flight or add replicas",
    "circuit_open": "Invopop is failing; requests are held back for some seconds",
    "key_unavailable": "the key's source cannot be read; see the log and check",
    "audit_unavailable": (
        "the audit log, to be written first, cannot be written: see audit_failed in the log"
    ),
    "upstream_timeout": "Invopop did not answer in time, or X-Request-Timeout ran out",
    "loop_detected": "the gateway's upstream leads back to a gateway",
}

# What a cause says more closely, in place of its key's advice.
BY_CAUSE: Final = {
    "expired": "the token has expired: give the caller a new one",
    "no_credential": "no token was shown, and the address is nobody's: send Authorization: Bearer",
    "unknown_token": "the token is in no caller's tokens: a typo, or one that was revoked",
    "unknown_issuer": "the token's issuer is in no [[issuers]]",
    "unknown_key": "the issuer's keys lack the one that signed the token: see Issuers",
    "bad_signature": "the token was altered, or signed by somebody else",
    "audience": "the token was made for another audience: see the issuer's audience",
    "not_yet_valid": "the token is not valid yet: compare the clocks",
    "issued_in_future": "the token comes from the future: compare the clocks",
    "host_name": "the name in Host may be a web page's: show a token, or call by a local name",
    "deadline": "X-Request-Timeout ran out: allow more, or compare it with the latency above",
    "caller_left": "the caller gave up: compare its own timeout with the latency above",
    "caller_stalled": "the caller did not read its reply",
    "drain_timeout": "cut at the end of a drain: raise listen.drain_timeout",
    "truncated": "Invopop broke its reply off; the caller was told by the cut connection",
    "connect_refused": "nothing listens at upstream.url",
    "dns": "the name in upstream.url cannot be resolved",
}

BY_KEY_STATE: Final = {
    "ok": "",
    "loading": "not read yet",
    "unchecked": "waits for Invopop to name its workspace",
    "rejected": "Invopop answered 401: rotate it",
    "not_found": "not at its source: put it there",
    "denied": "the source refuses: check the gateway's permissions there",
    "unavailable": "the source is away; the last good key serves meanwhile",
    "malformed": "what is there is no key: see check",
    "pin_unchecked": "Invopop did not say whose workspace it is; asked again soon",
    "pin_mismatch": "of another workspace than vault.toml says: put the right key there",
}


def advice(status: int, error: str, cause: str) -> str:
    """What to do about an exchange that ended so."""
    if error == "key_unavailable" and BY_KEY_STATE.get(cause):
        return f"the tenant's key: {BY_KEY_STATE[cause]}"
    if found := BY_CAUSE.get(cause) or ADVICE.get(error):
        return found
    return "passed on as it came; Invopop's status page may say more" if status >= 500 else ""
