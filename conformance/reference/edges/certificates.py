"""The certificate of the webhooks: made here, shared by replicas through a Secret, or given as files.

A rotation never breaks a call: the new authority is announced beside the old one first, so that the API server trusts
both; only when it has had time to learn that is the certificate swapped, in the running server. Each rotation makes an
authority of its own, whose key is thrown away once the one certificate is signed: there is nothing to steal.
"""

from __future__ import annotations

import asyncio
import base64
import datetime
import ipaddress
import itertools
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from conformance.errors import UsageError
from conformance.names import KINDS
from conformance.reference.edges import logs
from conformance.reference.edges.connection import MERGE_PATCH, ApiError, Connection, NoAnswer, load_chain

VALID_FOR: Final = datetime.timedelta(days=365)
CHECK_EVERY: Final = 60.0
ANNOUNCE_EVERY: Final = 10
"""Checks after which the API server is told again, although nothing changed."""
SETTLING: Final = 5.0
"""Seconds from the announcement of a new authority to the use of its certificate."""


@dataclass(frozen=True, slots=True)
class Material:
    """What the server shows and what the API server is to trust, in PEM."""

    bundle: bytes
    certificate: bytes
    key: bytes


def made(names: Sequence[str], now: datetime.datetime) -> Material:
    """A new authority and a certificate of it for these names and addresses."""
    signing, serving = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"queueing-{x509.random_serial_number():x}"[:60])])
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    ca = (
        _begun(authority, authority, signing.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(signing, hashes.SHA256())
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "queueing-webhooks")])
    leaf = (
        _begun(subject, authority, serving.public_key(), now)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(signing, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    key = serving.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    return Material(ca.public_bytes(pem), leaf.public_bytes(pem), key)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime.datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    # The API server's clock may be behind ours.
    return builder.not_valid_before(now - datetime.timedelta(minutes=5)).not_valid_after(now + VALID_FOR)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def is_due(material: Material, now: datetime.datetime) -> bool:
    """Whether two thirds of the certificate's life are over."""
    certificate = x509.load_pem_x509_certificate(material.certificate)
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return now >= certificate.not_valid_before_utc + life * 2 / 3


def joined(old: bytes, new: bytes, now: datetime.datetime) -> bytes:
    """A bundle with the authorities of both, without those that have expired."""
    authorities = [*x509.load_pem_x509_certificates(old), *x509.load_pem_x509_certificates(new)]
    kept = [authority for authority in authorities if authority.not_valid_after_utc > now]
    return b"".join(authority.public_bytes(serialization.Encoding.PEM) for authority in kept)


def _next(current: Material, names: Sequence[str], now: datetime.datetime) -> Material:
    new = made(names, now)
    return Material(joined(current.bundle, new.bundle, now), new.certificate, new.key)


class Source(Protocol):
    """Where certificates come from."""

    async def first(self) -> Material: ...

    async def later(self, current: Material) -> Material:
        """What is to be used from now on; `current` itself if nothing changes."""

    async def settled(self, current: Material) -> None:
        """`current`, which `later` gave, is in use."""


class Own:
    """Made here, kept in memory: for one process beside a cluster."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    async def first(self) -> Material:
        return made(self._names, _now())

    async def later(self, current: Material) -> Material:
        return _next(current, self._names, _now()) if is_due(current, _now()) else current

    async def settled(self, current: Material) -> None:
        return None


class Given:
    """Files in a folder, as a mounted Secret has them: `tls.crt`, `tls.key` and, for the bundle, `ca.crt`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def first(self) -> Material:
        """Raises UsageError."""
        try:
            return self._read()
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot use the certificates in {self._folder}: {error}") from error

    async def later(self, current: Material) -> Material:
        try:
            return self._read()
        except (OSError, ValueError) as error:  # in the middle of being replaced
            logs.warn("the certificates cannot be read", folder=str(self._folder), error=str(error))
            return current

    async def settled(self, current: Material) -> None:
        return None

    def _read(self) -> Material:
        bundle, certificate, key = ((self._folder / name).read_bytes() for name in ("ca.crt", "tls.crt", "tls.key"))
        material = Material(bundle, certificate, key)
        try:
            load_chain(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate, key)
            x509.load_pem_x509_certificates(bundle)
        except ssl.SSLError as error:
            raise ValueError(f"tls.crt and tls.key do not belong together: {error}") from error
        return material


class Shared:
    """In a Secret, so that all replicas show certificates of the same authorities; the first replica makes it.

    A rotation is written down as `next.crt` and `next.key` before it begins. So whichever replica sees it announces the
    new authority before it uses the certificate, and one that died halfway is continued by any other.
    """

    def __init__(self, connection: Connection, namespace: str, name: str, names: Sequence[str]) -> None:
        self._connection, self._names = connection, names
        self._namespace, self._name = namespace, name
        self._path = KINDS["Secret"].path(namespace, name)
        self._revision = ""
        self._rotating = False

    async def first(self) -> Material:
        found = await self._read()
        while found is None:
            new = made(self._names, _now())
            meta = {"namespace": self._namespace, "name": self._name}
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": _data(new)}
            try:
                await self._connection.request("POST", KINDS["Secret"].path(self._namespace), secret)
            except ApiError as error:
                if error.status != 409:  # another replica was faster
                    raise
            found = await self._read()
        return found

    async def later(self, current: Material) -> Material:
        try:
            found = await self._read() or current
            if self._rotating or not is_due(found, _now()):
                return found
            new = _next(found, self._names, _now())
            data = {**_data(found), "ca.crt": _text(new.bundle), "next.crt": _text(new.certificate)}
            await self._write(data | {"next.key": _text(new.key)})
            self._rotating = True
            return new
        except (ApiError, NoAnswer) as error:
            if not isinstance(error, ApiError) or error.status != 409:
                logs.warn("the Secret with the certificate cannot be kept", error=str(error))
            return current

    async def settled(self, current: Material) -> None:
        if self._rotating:
            try:
                await self._write({**_data(current), "next.crt": None, "next.key": None})
            except (ApiError, NoAnswer):  # another replica was faster, or whoever looks next will do it
                return

    async def _read(self) -> Material | None:
        try:
            secret = msgspec.json.decode(await self._connection.request("GET", self._path))
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        self._revision = secret["metadata"]["resourceVersion"]
        data = {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}
        self._rotating = "next.crt" in data
        prefix = "next" if self._rotating else "tls"
        return Material(data["ca.crt"], data[f"{prefix}.crt"], data[f"{prefix}.key"])

    async def _write(self, data: dict[str, str | None]) -> None:
        body = {"metadata": {"resourceVersion": self._revision}, "data": data}
        answer = await self._connection.request("PATCH", self._path, body, content_type=MERGE_PATCH)
        self._revision = msgspec.json.decode(answer)["metadata"]["resourceVersion"]


def _data(material: Material) -> dict[str, Any]:
    return {
        "ca.crt": _text(material.bundle),
        "tls.crt": _text(material.certificate),
        "tls.key": _text(material.key),
    }


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Certificate:
    """The certificate in use; what is put into `context`, the running server's, counts from the next connection."""

    def __init__(self, source: Source, material: Material) -> None:
        self._source, self.material = source, material
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        load_chain(self.context, material.certificate, material.key)

    async def renew(self, announce: Callable[[bytes], Awaitable[None]], settling: float = SETTLING) -> bool:
        """Use what the source has by now, after the API server was told its authorities; whether anything changed."""
        new = await self._source.later(self.material)
        changed = new != self.material
        if new.bundle != self.material.bundle:
            await announce(new.bundle)
            await asyncio.sleep(settling)
        if changed:
            load_chain(self.context, new.certificate, new.key)
            self.material = new
            logs.info("the certificate was renewed")
        await self._source.settled(new)
        return changed

    async def keep(self, announce: Callable[[bytes], Awaitable[None]]) -> None:
        """Renew it whenever that is due, and see to it that the API server knows it, for ever."""
        for check in itertools.count(1):
            await asyncio.sleep(CHECK_EVERY)
            try:
                if not await self.renew(announce) and check % ANNOUNCE_EVERY == 0:
                    await announce(self.material.bundle)  # somebody may have deleted or changed our entry
            except Exception:  # the present certificate goes on serving; the next look tries again
                logs.error("the certificate could not be renewed", traceback=True)
