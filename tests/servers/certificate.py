"""An authority and a server's certificate, made for one test process."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from servers.started import HOST


class Certificate(NamedTuple):
    """Files in PEM.

    Attributes:
        authority: who has signed.
        server: the certificate, for 127.0.0.1.
        key: its key; only its owner may read it.
    """

    authority: Path
    server: Path
    key: Path


def certificate(folder: Path, *, owner: str | None = None) -> Certificate:
    """Make both, into a folder.

    Args:
        folder: where to.
        owner: the user that is to read the key; None for this process's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = Certificate(folder / "authority.pem", folder / "server.pem", folder / "server.key")
    now = datetime.now(UTC)

    def signed(name: str, key: ec.EllipticCurvePrivateKey, issuer: str) -> x509.CertificateBuilder:
        subject, by = (
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (name, issuer)
        )
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(by)
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1))
        return builder.not_valid_after(now + timedelta(days=1))

    root, leaf = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = f"authority of {folder}"[-64:]
    authority = signed(name, root, name).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    server = signed("server", leaf, name).add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False
    )
    for path, builder in ((found.authority, authority), (found.server, server)):
        made = builder.sign(root, hashes.SHA256())
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    found.key.write_bytes(
        leaf.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    found.key.chmod(0o600)
    if owner is not None:
        for path in (folder, *found):
            shutil.chown(path, owner)
    return found
