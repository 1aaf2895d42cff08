"""The certificates of a local cluster: one authority, the API server's certificate, one client identity per component.

Everything is made anew for each run, lives in the run folder (mode 0700) and is worthless afterwards. EC P-256 keys
cost microseconds. Each component has its own identity, so that it has exactly its own rights and the audit log tells
them apart.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID_FOR: Final = datetime.timedelta(days=30)
SERVER_NAMES: Final = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
SERVER_ADDRESSES: Final = ("127.0.0.1", "::1", "10.0.0.1")


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a component is to the API server: user name and groups."""

    user: str
    groups: tuple[str, ...] = ()


def service_account(namespace: str, name: str) -> Identity:
    """The identity that a pod running under this ServiceAccount has."""
    user = f"system:serviceaccount:{namespace}:{name}"
    return Identity(user, ("system:serviceaccounts", f"system:serviceaccounts:{namespace}"))


ADMIN: Final = Identity("conformance-admin", ("system:masters",))
CONTROLLER_MANAGER: Final = Identity("system:kube-controller-manager")
SCHEDULER: Final = Identity("system:kube-scheduler")
KWOK: Final = service_account("kube-system", "kwok-controller")


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate file and its key file."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path) -> None:
        """Make a new authority; `ca.crt` and the service account signing key `sa.key` are written at once."""
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kueue-lws-conformance")])
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        self.certificate = self._sign(
            self._name,
            self._key.public_key(),
            [(x509.BasicConstraints(ca=True, path_length=None), True), (usage, True)],
        )
        self.certificate_file = folder / "ca.crt"
        self.certificate_file.write_bytes(_pem(self.certificate))
        self.service_account_key = folder / "sa.key"
        _write_key(self.service_account_key, ec.generate_private_key(ec.SECP256R1()))

    def server(self, name: str) -> Pair:
        """A serving certificate for every name and address by which the API server is reached."""
        names: list[x509.GeneralName] = [x509.DNSName(known) for known in SERVER_NAMES]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in SERVER_ADDRESSES]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        return self._issue(name, subject, [(usage, False), (x509.SubjectAlternativeName(names), False)])

    def client(self, name: str, identity: Identity) -> Pair:
        """A client certificate: common name = user, organisations = groups."""
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in identity.groups]
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, identity.user))
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        return self._issue(name, x509.Name(attributes), [(usage, False)])

    def _issue(self, name: str, subject: x509.Name, extensions: Sequence[tuple[Any, bool]]) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        pair = Pair(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        pair.certificate.write_bytes(_pem(self._sign(subject, key.public_key(), extensions)))
        _write_key(pair.key, key)
        return pair

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, extensions: Sequence[tuple[Any, bool]]
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))  # a virtual machine's clock may be set back
            .not_valid_after(now + VALID_FOR)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self._key, hashes.SHA256())


def write_kubeconfig(path: Path, server: str, authority: Path, client: Pair, *, name: str) -> Path:
    """A kubeconfig (JSON, which is YAML) that names the certificate files by absolute path; mode 0600.

    Files, not embedded data: the Python client would copy embedded keys into temporary files and leave them behind
    when it is killed.
    """
    cluster = {"server": server, "certificate-authority": str(authority.absolute())}
    user = {"client-certificate": str(client.certificate.absolute()), "client-key": str(client.key.absolute())}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    _write_private(path, msgspec.json.format(msgspec.json.encode(content)) + b"\n")
    return path


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = serialization.PrivateFormat.TraditionalOpenSSL
    _write_private(path, key.private_bytes(serialization.Encoding.PEM, pem, serialization.NoEncryption()))


def _write_private(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
