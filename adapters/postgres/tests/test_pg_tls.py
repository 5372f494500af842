"""Encrypted connections, and servers that are not who they say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from servers.certificate import certificate
from servers.postgres import Postgres
from servers.started import temporary_folder
from threadloom import SessionManager, StoreUnavailable


def test_the_server_is_known_by_its_certificate(tmp_path: Path) -> None:
    owner = "postgres" if os.geteuid() == 0 else None
    made = certificate(temporary_folder("tls", owner=owner), owner=owner)
    other = certificate(tmp_path / "other")
    known = tmp_path / "authority.pem"
    known.write_bytes(made.authority.read_bytes())
    server = Postgres(ssl="on", ssl_cert_file=str(made.server), ssl_key_file=str(made.key))
    try:
        with SessionManager(server.url(sslmode="verify-full", sslrootcert=str(known))) as sessions:
            assert sessions.create_session(id="s").id == "s"
        wrong = server.url(sslmode="verify-full", sslrootcert=str(other.authority))
        with pytest.raises(StoreUnavailable, match="certificate verify failed"):
            SessionManager(wrong)
    finally:
        server.stop()
