"""Real servers for tests: private ones, on loopback, in temporary folders, stopped by process id.

`postgres()` and `redis()` start one for this process when first asked, or take the one that
``THREADLOOM_TEST_POSTGRES_URL`` or ``THREADLOOM_TEST_REDIS_URL`` names. A test that does harm to
its server (`PostgresServer`, `RedisServer`, `RedisCluster`, `Bouncer`) starts one of its own by
``with``. Where the server's program is missing, tests skip; in CI a skip is a failure.
"""

from __future__ import annotations

import atexit
import os
from functools import cache

from servers.bouncer import Bouncer
from servers.cluster import RedisCluster
from servers.postgres import PostgresServer
from servers.proxy import Proxy
from servers.redis import RedisServer

__all__ = [
    "Bouncer",
    "PostgresServer",
    "Proxy",
    "RedisCluster",
    "RedisServer",
    "postgres",
    "redis",
    "redis_cluster",
]


def postgres() -> str:
    """The URL of a database that tests share; each takes a schema of its own in it."""
    return os.environ.get("THREADLOOM_TEST_POSTGRES_URL") or _started_postgres().url


def redis() -> str:
    """The URL of a Redis that tests share; each takes a prefix of its own in it."""
    return os.environ.get("THREADLOOM_TEST_REDIS_URL") or _started_redis().url


@cache
def redis_cluster() -> RedisCluster:
    """A Cluster of six nodes that tests share."""
    cluster = RedisCluster()
    atexit.register(cluster.stop)
    return cluster.start()


@cache
def _started_postgres() -> PostgresServer:
    server = PostgresServer(fsync=False)
    atexit.register(server.stop)
    return server.start()


@cache
def _started_redis() -> RedisServer:
    server = RedisServer()
    atexit.register(server.stop)
    return server.start()
