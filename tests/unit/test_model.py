"""`model`: the table of credential fields."""

import subprocess
import sys

import pytest

from gateway import is_compiled

MADE_UP = """
import gateway.model

gateway.model.CREDENTIAL_FIELDS += (b"x-made-up",)

from gateway.asgi import CONTENT_LENGTH, PEER, TARGET
from gateway.errors import CallerError
from gateway.inbound import read_inbound
from gateway.model import Key, Peer
from gateway.secret import Secret
from gateway.server.http1 import parse_request_head
from gateway.upstream.headers import outbound_headers
from gateway.upstream.target import Authority


def parse(*names):
    fields = b"".join(b"%b: Bearer mine\\r\\n" % name for name in names)
    return parse_request_head(b"GET / HTTP/1.1\\r\\nHost: gw\\r\\n" + fields + b"\\r\\n", 9)


def read(headers):
    known = {TARGET: b"/", PEER: Peer(""), CONTENT_LENGTH: 0}
    scope = {"method": "GET", "headers": headers, "extensions": known}
    return read_inbound(scope, "id", Authority(b"api.invopop.com", 443))


def refused(step, *arguments):
    try:
        step(*arguments)
    except CallerError as error:
        return error.key == "bad_request"


assert read(parse(b"X-Made-Up").headers).credential == b"Bearer mine"
assert refused(parse, b"X-Made-Up", b"x-made-up")
for name in (b"X-Made-Up", b"x_made_up", b"X.Made.Up"):
    inbound = read(parse(name).headers).inbound
    sent = outbound_headers(inbound, b"api.invopop.com", Key("t", "key", Secret("k")))
    assert not any(b"mine" in value for _, value in sent), sent
print("as it should be")
"""


@pytest.mark.skipif(is_compiled(), reason="the table is inlined where the source is compiled")
def test_a_new_credential_field_is_read_and_never_sent() -> None:
    """A field that is added to the table is read as a credential, may occur once, and is removed.

    So a new one cannot reach Invopop because another list was forgotten.
    """
    done = subprocess.run(
        [sys.executable, "-c", MADE_UP], check=False, capture_output=True, text=True
    )
    assert (done.stderr, done.stdout) == ("", "as it should be\n")
