"""The webhooks' certificate: made, renewed and given."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from conformance.errors import UsageError
from conformance.reference.edges.certificates import (
    VALID_FOR,
    Certificate,
    Given,
    Material,
    Own,
    is_due,
    joined,
    made,
)

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
NAMES = ("127.0.0.1", "localhost", "queueing.default.svc")


async def shake_hands(server: ssl.SSLContext, bundle: bytes, name: str = "127.0.0.1") -> bool:
    """Whether a client that trusts `bundle` accepts what the server shows under this name."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    listening = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=server)
    client = ssl.create_default_context(cadata=bundle.decode())
    try:
        port = listening.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=name)
        writer.close()
        return True
    except ssl.SSLCertVerificationError:
        return False
    finally:
        listening.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_client_that_trusts_the_bundle_accepts_the_certificate(name: str) -> None:
    """By every name and address that was asked for."""
    material = made(NAMES, NOW)
    certificate = Certificate(Own(NAMES), material)
    assert asyncio.run(shake_hands(certificate.context, material.bundle, name))


def test_another_name_or_authority_is_not_accepted() -> None:
    """A certificate is accepted neither under another name nor by who trusts another authority."""
    material, other = made(NAMES, NOW), made(NAMES, NOW)
    context = Certificate(Own(NAMES), material).context
    assert not asyncio.run(shake_hands(context, material.bundle, "elsewhere.example.com"))
    assert not asyncio.run(shake_hands(context, other.bundle))


def test_renewal_is_due_after_two_thirds_of_its_life() -> None:
    """Not earlier, so that nothing is renewed for nothing; not later, so that a failure leaves time."""
    material = made(NAMES, NOW)
    assert not is_due(material, NOW + VALID_FOR * 0.65)
    assert is_due(material, NOW + VALID_FOR * 0.68)


def test_expired_authorities_leave_the_bundle() -> None:
    """A bundle carries what may still be in use, and does not grow for ever."""
    old, new = made(NAMES, NOW - VALID_FOR * 2), made(NAMES, NOW)
    assert joined(old.bundle, new.bundle, NOW) == new.bundle
    assert len(x509.load_pem_x509_certificates(joined(new.bundle, made(NAMES, NOW).bundle, NOW))) == 2


class _Aged(Own):
    """Certificates whose first one was made long ago."""

    async def first(self) -> Material:
        return made(NAMES, NOW - VALID_FOR * 0.9)


def test_a_rotation_never_breaks_a_call() -> None:
    """The new authority is announced while the old certificate is shown; both are trusted before and after the swap."""

    async def rotate() -> list[bool]:
        source = _Aged(NAMES)
        certificate = Certificate(source, first := await source.first())
        accepted = []

        async def announce(bundle: bytes) -> None:
            accepted.append(await shake_hands(certificate.context, bundle))
            accepted.append(certificate.material is first)

        accepted.append(await certificate.renew(announce, settling=0))
        accepted.append(await shake_hands(certificate.context, certificate.material.bundle))
        accepted.append(not await shake_hands(certificate.context, first.bundle))
        accepted.append(not await certificate.renew(announce, settling=0))
        return accepted

    assert asyncio.run(rotate()) == [True] * 6


def test_given_files_are_read_again_when_they_change(tmp_path: Path) -> None:
    """Files that were replaced are used without a restart; files in the middle of being replaced change nothing."""

    def write(material: Material) -> None:
        (tmp_path / "ca.crt").write_bytes(material.bundle)
        (tmp_path / "tls.crt").write_bytes(material.certificate)
        (tmp_path / "tls.key").write_bytes(material.key)

    async def replaced() -> list[bool]:
        write(old := made(NAMES, NOW))
        source = Given(tmp_path)
        certificate = Certificate(source, await source.first())
        announced: list[bytes] = []

        async def announce(bundle: bytes) -> None:
            announced.append(bundle)

        seen = [not await certificate.renew(announce, settling=0)]
        write(new := made(NAMES, NOW))
        (tmp_path / "tls.key").write_bytes(old.key)
        seen.append(not await certificate.renew(announce, settling=0))
        write(new)
        seen.append(await certificate.renew(announce, settling=0))
        seen.append(await shake_hands(certificate.context, new.bundle))
        return [*seen, announced == [new.bundle]]

    assert asyncio.run(replaced()) == [True] * 5


def test_a_folder_without_the_files_is_one_sentence(tmp_path: Path) -> None:
    """A folder that lacks a file, or whose files do not fit each other, cannot be used: said in one line."""
    with pytest.raises(UsageError, match=r"ca\.crt"):
        asyncio.run(Given(tmp_path).first())
