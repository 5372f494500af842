"""A Redis Cluster of tests: three primaries with a replica each, on loopback, in one folder."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from functools import cache

from servers.redis import PACKAGE, answers
from servers.started import HOST, Started, free_port, listens, program, temporary_folder

NODE_TIMEOUT = 1_000
"""Milliseconds after which a primary that does not answer is given up."""
_SLOTS = 16_384
_PRIMARIES = 3
_AT_ONCE = 1_000
_HIGHEST = 65_535
_BUS = 10_000
"""How far above its port a node listens for the others, where it is not told otherwise (which only
Redis 7 can be)."""


def _free_port() -> int:
    while (port := free_port()) + _BUS > _HIGHEST or listens(port + _BUS):
        pass
    return port


class Node:
    """One server of a Cluster."""

    def __init__(self) -> None:
        self.port = _free_port()
        self.folder = temporary_folder("cluster")
        self._argv = [
            *(program("redis-server", PACKAGE), "--port", str(self.port), "--bind", HOST),
            *("--dir", str(self.folder), "--save", "", "--appendonly", "yes"),
            *("--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT)),
            *("--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"),
            *("--cluster-config-file", "nodes.conf"),
        ]
        self.start()

    def start(self) -> None:
        self._process = Started(self._argv, log=self.folder / "server.log")
        self._process.wait_until(lambda: answers(self.port))

    def kill(self) -> None:
        self._process.kill()

    def ask(self, *words: str) -> str:
        """A command; its answer as the protocol has it."""
        with socket.create_connection((HOST, self.port), timeout=5.0) as client:
            client.sendall((" ".join(words) + "\r\n").encode())
            answer = client.recv(65_536)
            if answer.startswith(b"$"):
                size, _, body = answer.partition(b"\r\n")
                while len(body) < int(size[1:]):
                    more = client.recv(65_536)
                    if not more:
                        break
                    body += more
                answer = body
        return answer.decode()

    def order(self, *words: str) -> None:
        """A command that must succeed."""
        answer = self.ask(*words)
        if not answer.startswith("+OK"):
            raise RuntimeError(f"{' '.join(words)}: {answer}")

    @property
    def id(self) -> str:
        return self.ask("CLUSTER", "MYID").strip()


class Cluster:
    """Six nodes: the first three begin as primaries, the others are their replicas."""

    def __init__(self) -> None:
        self.nodes = [Node() for _ in range(2 * _PRIMARIES)]
        share = -(-_SLOTS // _PRIMARIES)
        for number, node in enumerate(self.nodes[:_PRIMARIES]):
            low, high = number * share, min((number + 1) * share, _SLOTS)
            for start in range(low, high, _AT_ONCE):
                slots = range(start, min(start + _AT_ONCE, high))
                node.order("CLUSTER", "ADDSLOTS", *map(str, slots))
            node.order("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        first = self.nodes[0]
        for node in self.nodes[1:]:
            first.order("CLUSTER", "MEET", HOST, str(node.port))
        self._wait(lambda: all(node.ask("CLUSTER", "NODES").count("connected") >= 6
                               for node in self.nodes))  # fmt: skip
        for number, node in enumerate(self.nodes[_PRIMARIES:]):
            node.order("CLUSTER", "REPLICATE", self.nodes[number].id)
        self._wait(self.is_whole)

    @property
    def url(self) -> str:
        return f"redis+cluster://{HOST}:{self.nodes[0].port}"

    def is_whole(self) -> bool:
        """Whether all slots are served, and all replicas that run are in step."""
        return all(
            "cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in self.running()
        ) and all("master_link_status:down" not in node.ask("INFO", "replication")
                  for node in self.running())  # fmt: skip

    def running(self) -> list[Node]:
        return [node for node in self.nodes if answers(node.port)]

    def primaries(self) -> list[Node]:
        """The nodes that are primaries now and answer."""
        return [n for n in self.running() if "role:master" in n.ask("INFO", "replication")]

    def wait_for_failover(self, dead: Node, *, seconds: float = 30.0) -> None:
        """Wait until a replica has taken the place of a primary that was killed."""

        def is_done() -> bool:
            return dead not in self.primaries() and len(self.primaries()) == _PRIMARIES

        self._wait(is_done, seconds=seconds)
        self._wait(self.is_whole, seconds=seconds)

    def _wait(self, ready: Callable[[], bool], *, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline:
                told = self.running()[0].ask("CLUSTER", "NODES")
                raise TimeoutError(f"the Cluster did not come up:\n{told}")
            time.sleep(0.05)


@cache
def cluster() -> Cluster:
    """The Cluster that the tests of this process share."""
    return Cluster()
