"""A private Redis Cluster."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from servers.process import PATIENCE, program
from servers.redis import RedisServer

_NODES, _REPLICAS = 6, 1
_TIMEOUT = 1000
"""Milliseconds after which a node that does not answer counts as gone."""


class RedisCluster:
    """Six nodes: three primaries, each with a replica. `start` and `stop`, or `with`.

    Args:
        settings: of every node.
    """

    def __init__(self, **settings: str | int) -> None:
        self.nodes = [
            RedisServer(
                cluster_enabled="yes",
                cluster_node_timeout=_TIMEOUT,
                cluster_require_full_coverage="no",
                repl_diskless_sync_delay=0,
                **settings,
            )
            for _ in range(_NODES)
        ]

    @property
    def url(self) -> str:
        return f"redis+cluster://127.0.0.1:{self.nodes[0].port}"

    def start(self) -> Self:
        try:
            for node in self.nodes:
                node.start()
            self.nodes[0].run(
                *(program("redis-cli"), "--cluster", "create"),
                *(f"127.0.0.1:{node.port}" for node in self.nodes),
                *("--cluster-replicas", str(_REPLICAS), "--cluster-yes"),
            )
            self._wait()
        except BaseException:
            self.stop()
            raise
        return self

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not all(self._is_whole(node) for node in self.nodes):
            if time.monotonic() > deadline:
                raise RuntimeError("the Cluster did not come together")
            time.sleep(0.05)

    def _is_whole(self, node: RedisServer) -> bool:
        import redis

        with redis.Redis(port=node.port, decode_responses=True) as client:
            info = client.cluster("info")
            replication = client.info("replication")
            linked = replication.get("master_link_status", "up") == "up"
            return info["cluster_state"] == "ok" and linked

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
