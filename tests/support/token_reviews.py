"""The one call of a Kubernetes API server that OpenBao's Kubernetes login makes: TokenReview."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

_AUDIENCE = "https://kubernetes.default.svc.cluster.local"


def service_account_jwt(namespace: str, name: str) -> str:
    """A projected service-account token in the shape that Kubernetes issues."""
    now = int(time.time())
    account = {"name": name, "uid": "c2f4"}
    claims = {
        "iss": _AUDIENCE,
        "aud": [_AUDIENCE],
        "sub": f"system:serviceaccount:{namespace}:{name}",
        "iat": now,
        "exp": now + 3600,
        "kubernetes.io": {"namespace": namespace, "serviceaccount": account},
    }
    return jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), algorithm="ES256")


class TokenReviews:
    """Answers every TokenReview with one user name."""

    def __init__(self, user: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                status = {
                    "authenticated": True,
                    "user": {"username": user, "uid": "c2f4"},
                    "audiences": [_AUDIENCE],
                }
                body = json.dumps(
                    {
                        "apiVersion": "authentication.k8s.io/v1",
                        "kind": "TokenReview",
                        "status": status,
                    }
                ).encode()
                self.send_response(201)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
