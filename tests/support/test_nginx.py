import ssl

import aiohttp
import pytest

from tests.support.authority import Authority
from tests.support.fixtures import StartNginx


async def test_serves_its_page_and_the_snippet(nginx: StartNginx) -> None:
    server = nginx("location /teapot { return 418 short; }")
    async with aiohttp.ClientSession() as session:
        async with session.get(server.url) as page:
            assert (page.status, await page.text()) == (200, "nginx is here\n")
        async with session.get(f"{server.url}/teapot") as teapot:
            assert (teapot.status, await teapot.text()) == (418, "short")
    assert "GET /teapot" in server.access_log


async def test_two_at_once_have_ports_of_their_own(nginx: StartNginx) -> None:
    assert nginx().port != nginx().port


async def test_speaks_tls_that_the_authority_vouches_for(nginx: StartNginx, authority: Authority) -> None:
    server = nginx(tls="valid")
    async with (
        aiohttp.ClientSession() as session,
        session.get(server.url, ssl=authority.client_context()) as page,
    ):
        assert page.status == 200


@pytest.mark.parametrize(("kind", "says"), [("expired", "expired"), ("wrong_name", "not valid for")])
async def test_bad_certificates_are_bad_in_just_one_way(
    nginx: StartNginx, authority: Authority, kind: str, says: str
) -> None:
    server = nginx(tls=getattr(authority, kind))
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorCertificateError) as refused:
            await session.get(server.url, ssl=authority.client_context())
    assert isinstance(refused.value.certificate_error, ssl.SSLCertVerificationError)
    assert says in refused.value.certificate_error.verify_message
