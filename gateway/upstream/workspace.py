"""What the workspace is that a key belongs to: `GET /access/v1/workspace`, called with that key."""

import os

import orjson

from gateway.errors import GatewayFault, UpstreamError
from gateway.model import Exchange, Inbound, Key, Peer
from gateway.pin import WorkspaceFacts
from gateway.secret import Secret
from gateway.upstream.edge import ADVICE, is_signature
from gateway.upstream.own_calls import whole_body
from gateway.upstream.sender import Sender


class WorkspaceCheck:
    """Asks over the same connections as every request, so with the same verification.

    Its sender is its own: its attempts are not tenants' traffic, and open no circuit.
    """

    def __init__(self, sender: Sender) -> None:
        self.sender = sender

    async def ask(self, secret: Secret) -> WorkspaceFacts:
        """The key's workspace.

        Raises `GatewayError`: `key_rejected` after a 401, or why there was no usable answer.
        """
        request_id = os.urandom(16).hex()
        inbound = Inbound(
            method="GET",
            target=b"/access/v1/workspace",
            path=b"/access/v1/workspace",
            headers=[(b"accept", b"application/json")],
            peer=Peer(""),
            content_length=0,
            request_id=request_id,
            proxy_form=False,
        )
        key = Key("", "key", secret)
        outbound = self.sender.forwarder.prepare(inbound, key, None)
        reply = await self.sender.send(outbound, key, Exchange(0.0, request_id))
        body, failure = None, None
        try:
            body = await whole_body(reply)
        except BaseException as error:  # noqa: BLE001 - raised again below
            failure = error
        await reply.body.aclose()
        if failure is not None:
            raise failure
        if body is None:
            raise _unusable("Invopop's answer was too long.")
        if reply.status == 401:
            raise GatewayFault("key_rejected", "Invopop rejects this key (401).")
        if reply.status == 403 and is_signature(body):
            raise _unusable(f"{ADVICE}.")
        if reply.status != 200:
            raise _unusable(f"Invopop answered {reply.status}.")
        found = _workspace(body)
        if found is None:
            raise _unusable("Invopop's answer names no workspace.")
        return found


def _unusable(detail: str) -> UpstreamError:
    return UpstreamError("upstream_protocol_error", "protocol", sent=True, detail=detail)


def _workspace(body: bytes) -> WorkspaceFacts | None:
    """What an answer says; None if it names no workspace.

    One without `sandbox` says that it is none: no member is required by Invopop's API description
    (access_v1, AccessWorkspace), and its Go client (v0.59.0, access_workspace.go) then reads false.
    Any value but true and false says nothing.
    """
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    found = answer.get("id") if isinstance(answer, dict) else None
    if not isinstance(found, str) or not found:
        return None
    sandbox, country = answer.get("sandbox", False), answer.get("country")
    return WorkspaceFacts(
        found,
        sandbox if isinstance(sandbox, bool) else None,
        country if isinstance(country, str) else None,
    )
