"""Encrypted connections, and servers that are not who they say."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import quote

import pytest

from servers.certificate import certificate
from servers.redis import RedisServer
from servers.started import HOST, free_port
from threadloom import SessionManager, StoreUnavailable
from threadloom_redis import RedisStore


def test_the_server_is_known_by_its_certificate(tmp_path: Path) -> None:
    made, other = certificate(tmp_path / "tls"), certificate(tmp_path / "other")
    port = free_port()
    server = RedisServer(
        options=[
            *("--tls-port", str(port), "--tls-auth-clients", "no"),
            *("--tls-cert-file", str(made.server), "--tls-key-file", str(made.key)),
            *("--tls-ca-cert-file", str(made.authority)),
        ]
    )
    try:
        url = f"rediss://{HOST}:{port}/0?ssl_ca_certs="
        with SessionManager(url + quote(str(made.authority))) as sessions:
            assert sessions.create_session(id="s").id == "s"

        async def native() -> list[str]:
            async with RedisStore(url + quote(str(made.authority))) as store:
                return [info.id for info in await SessionManager(store).alist_sessions()]

        assert asyncio.run(native()) == ["s"]
        with pytest.raises(StoreUnavailable, match="certificate verify failed"):
            SessionManager(f"{url}{quote(str(other.authority))}&retry_for=0")
    finally:
        server.stop()
