"""The HTTP session to the receiver of traces: verified by our context, and it keeps why it failed.

Rule: takes nothing from the environment, and repeats no text that the receiver sent.
"""

import ssl
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from gateway.network.failures import reason_of
from gateway.network.tls import client_context
from gateway.settings.schema import TracingSettings


class ReceiverSession(requests.Session):
    """Without the environment's proxies, credentials and trust anchors.

    `failure` says why the last message was not taken, "" if it was; the library keeps that to
    itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.failure = ""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Sends it. Raises what `requests` raises."""
        try:
            reply = super().send(request, **options)
        except requests.RequestException as error:
            self.failure = _failure(error)
            raise
        self.failure = "" if reply.ok else f"status {reply.status_code}"
        return reply


def _failure(error: BaseException) -> str:
    """The type of what failed, and the words of the system or OpenSSL: others could hold anything.

    The libraries between do not always chain their errors, but keep them as `reason` or argument.
    """
    known: list[Any] = [error]
    for cause in known:  # grows while it is gone through
        if isinstance(cause, OSError) and (said := reason_of(cause)):
            return f"{type(error).__name__}: {said}"
        if isinstance(cause, ConnectionRefusedError):
            return f"{type(error).__name__}: connection refused"
        nearest = (cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args)
        known += [e for e in nearest if isinstance(e, BaseException) and e not in known]
    return type(error).__name__


class _VerifiedAdapter(HTTPAdapter):
    """Connections whose peer is verified by our context, and by nothing else."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Makes connections with the context."""
        super().init_poolmanager(*args, ssl_context=self._context, **options)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Adds no trust anchor of the library's own."""

    def build_connection_pool_key_attributes(
        self, request: Any, verify: Any, cert: Any = None
    ) -> Any:
        """The same for later versions of the library, which call this instead."""
        del verify, cert
        return super().build_connection_pool_key_attributes(request, True)


def session_for(tracing: TracingSettings) -> ReceiverSession:
    """One that verifies the receiver as the settings say."""
    session = ReceiverSession()
    if (tracing.endpoint or "").startswith("https:"):
        context = client_context(tracing.ca_file, ca_only=tracing.ca_file is not None)
        session.mount("https://", _VerifiedAdapter(context))
    return session
