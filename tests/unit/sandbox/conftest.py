"""A sandbox over real TLS, and a client for each of its workspaces."""

import ssl
from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.sandbox.sandbox import Sandbox
from gateway.sandbox.serve import RunningSandbox, running


@pytest.fixture
def sandbox() -> Sandbox:
    """Jobs are done before a test can look twice."""
    return Sandbox(job_seconds=0.001)


@pytest.fixture
async def invopop(sandbox: Sandbox) -> AsyncIterator[RunningSandbox]:
    """The sandbox, listening on a free loopback port."""
    async with running(sandbox) as served:
        yield served


@pytest.fixture
def trust(invopop: RunningSandbox) -> ssl.SSLContext:
    """Trusts the sandbox's CA and no other, as strictly as OpenSSL can."""
    context = ssl.create_default_context(cadata=invopop.ca_pem.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


@pytest.fixture
async def nobody(
    invopop: RunningSandbox, trust: ssl.SSLContext
) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key."""
    async with httpx.AsyncClient(base_url=invopop.url, verify=trust) as client:
        yield client


@pytest.fixture
async def acme(invopop: RunningSandbox, trust: ssl.SSLContext) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a key of the workspace acme."""
    key = {"Authorization": f"Bearer {invopop.sandbox.mint_key('acme')}"}
    async with httpx.AsyncClient(base_url=invopop.url, verify=trust, headers=key) as client:
        yield client


@pytest.fixture
async def globex(
    invopop: RunningSandbox, trust: ssl.SSLContext
) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a key of the workspace globex."""
    key = {"Authorization": f"Bearer {invopop.sandbox.mint_key('globex')}"}
    async with httpx.AsyncClient(base_url=invopop.url, verify=trust, headers=key) as client:
        yield client


@pytest.fixture
async def application(
    invopop: RunningSandbox, trust: ssl.SSLContext
) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the application's token in the workspace acme."""
    sandbox = invopop.sandbox
    token = sandbox.signer.mint(sandbox.workspaces["acme"].id, 600, "enrolled")
    key = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=invopop.url, verify=trust, headers=key) as client:
        yield client
