"""Imports point down only. `LAYERS` is the whole rule; docs/architecture.md draws it.

Every import counts: at the top, inside a function, under TYPE_CHECKING, relative or not. One
exception: `threadloom/__init__.py` may show the stores' classes to type checkers under
TYPE_CHECKING; at run time it gets them from the registry, when somebody asks.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

SRC = Path(__file__).parents[2] / "src"
PACKAGE = "threadloom"


STORE_ONLY = ("langgraph.store.base",)
ANY = ("langgraph", "langchain_core", "langchain")


class Layer(NamedTuple):
    modules: tuple[str, ...]  # below `threadloom`; a package speaks for what is in it
    may_import: tuple[str, ...]  # layers, besides itself
    frameworks: tuple[str, ...] = STORE_ONLY  # what of LangGraph and LangChain
    drivers: bool = False  # sqlite3 and its like


LAYERS: dict[str, Layer] = {
    "people": Layer(
        ("cli", "display", "__main__"),
        (
            "words",
            "migrate",
            "public face",
            "frameworks",
            "logic",
            "registry",
            "serde",
            "port",
            "errors",
        ),
        frameworks=ANY,
    ),
    # What is stored, in words: how it looks is for the command line and for notebooks.
    "words": Layer(
        ("words",),
        ("public face", "frameworks", "logic", "port", "errors"),
        frameworks=ANY,
    ),
    # Reads the databases of others itself; nothing but the command line needs it.
    "migrate": Layer(
        ("migrate",),
        ("public face", "frameworks", "logic", "registry", "wrappers", "serde", "port", "errors"),
        frameworks=ANY,
        drivers=True,
    ),
    "public face": Layer(
        ("", "_version"),
        ("frameworks", "logic", "registry", "serde", "port", "errors"),
        frameworks=ANY,
    ),
    "frameworks": Layer(
        ("checkpoint", "history", "sessions", "streams", "values", "views"),
        ("logic", "registry", "wrappers", "serde", "port", "errors"),
        frameworks=ANY,
    ),
    "logic": Layer(
        ("blocks", "displayed", "fences", "messages", "index", "models", "scope", "shared"),
        ("port", "errors"),
        frameworks=(*STORE_ONLY, "langchain_core.messages", "langchain_core.runnables"),
    ),
    "serde": Layer(("serde",), ("errors",), frameworks=ANY),
    "port": Layer(
        (
            "store",
            "basestore",
            "items",
            "itemstore",
            "nearest",
            "semantic",
            "sweeping",
            "vectors",
            "plans",
            "ops",
            "keys",
            "documents",
            "filters",
            "text",
            "clock",
            "garbage",
            "records",
            "closing",
        ),
        ("errors",),
    ),
    "errors": Layer(("errors",), ()),
    # Engines know the port and nothing else, not even each other. The registry names them,
    # as strings.
    # Types of wrappers may be named: what `encryption=` takes.
    "registry": Layer(("stores", "stores.registry"), ("wrappers", "port", "errors")),
    "engine tools": Layer(
        (
            *("stores.forking", "stores.shielding", "stores.spaces"),
            *("stores.waiting", "stores.working"),
        ),
        ("port", "errors"),
    ),
    # For engines with tables in SQLite.
    "sql tools": Layer(
        ("stores.fulltext", "stores.likely", "stores.listing"), ("port", "errors"), drivers=True
    ),
    "memory": Layer(("stores.memory",), ("engine tools", "port", "errors")),
    "sqlite": Layer(
        ("stores.sqlite",), ("engine tools", "sql tools", "port", "errors"), drivers=True
    ),
    "file": Layer(("stores.file",), ("engine tools", "sql tools", "port", "errors"), drivers=True),
    "langgraph": Layer(("stores.langgraph",), ("engine tools", "port", "errors")),
    # Stores around stores; what is encrypted is searched by the tools of engines.
    "wrappers": Layer(("wrappers",), ("engine tools", "port", "errors")),
    # For the tests of others; nothing here imports it.
    "testing": Layer(
        ("testing",), ("public face", "registry", "wrappers", "port", "errors"), frameworks=ANY
    ),
}
ENGINES = ("memory", "sqlite", "file", "langgraph", "wrappers")

FRAMEWORKS = re.compile(r"(langgraph|langchain)\w*(\.|$)")
DRIVERS = re.compile(r"(sqlite3|aiosqlite|psycopg\w*|redis|valkey|aiofiles)(\.|$)")
UNSAFE = re.compile(r"(pickle|_pickle|marshal|shelve|dill|cloudpickle|joblib)(\.|$)")


def within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def layer_of(module: str) -> str | None:
    """The layer whose entry fits ``threadloom.…`` best; None if the table has none."""
    inner = module.removeprefix(PACKAGE).removeprefix(".")
    best = (-1, "")
    for name, layer in LAYERS.items():
        for entry in layer.modules:
            # What is in `stores` is named one by one: an engine is no registry.
            whole = entry not in ("", "stores")
            if inner == entry or (whole and inner.startswith(entry + ".")):
                best = max(best, (len(entry), name))
    return best[1] or None


def nodes(tree: ast.AST, *, types: bool) -> Iterator[ast.AST]:
    """All of the tree; without ``types`` not what stands under ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if not types and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for other in node.orelse:
                yield from (other, *nodes(other, types=types))
        else:
            yield from nodes(node, types=types)


def imports(module: str, source: str, known: set[str], packages: set[str]) -> Iterator[str]:
    """Every module that the source imports, and every one of ours that a string names."""
    package = module if module in packages else module.rpartition(".")[0]
    for node in nodes(ast.parse(source), types=module != PACKAGE):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                # `from langgraph.store import base` names langgraph.store.base, too
                ours = base == PACKAGE or base.startswith(PACKAGE + ".")
                yield inner if inner in known or (not ours and base != "") else base
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value.partition(":")[0]
            if name in known and name != PACKAGE and "." in name:
                yield f"'{name}'"


def violations(sources: dict[str, str], packages: set[str]) -> list[str]:
    """What is wrong with the imports of these modules (dotted name → source)."""
    known = set(sources)
    found: list[str] = []
    for module, source in sorted(sources.items()):
        name = layer_of(module)
        if name is None:
            found.append(f"{module}: LAYERS does not know it")
            continue
        layer = LAYERS[name]
        for target in sorted(set(imports(module, source, known, packages))):
            bare = target.strip("'")
            wrong = None
            if UNSAFE.match(bare):
                wrong = "runs code on load"
            elif DRIVERS.match(bare) and not layer.drivers:
                wrong = "is a driver"
            elif FRAMEWORKS.match(bare) and not within(bare, layer.frameworks):
                wrong = "is a framework"
            elif bare == PACKAGE or bare.startswith(PACKAGE + "."):
                other = layer_of(bare)
                if other is None:
                    wrong = "is not in LAYERS"
                elif target != bare:
                    # a string: the registry may name engines, and nobody anybody else's
                    if other in ENGINES and name not in {"registry", other}:
                        wrong = "is an engine; only the registry names those"
                elif other not in (name, *layer.may_import):
                    wrong = f"is of layer '{other}'"
            if wrong:
                found.append(f"{module} (layer '{name}') → {target}: {wrong}")
    return found


def read_package() -> tuple[dict[str, str], set[str]]:
    sources: dict[str, str] = {}
    packages: set[str] = set()
    for path in sorted((SRC / PACKAGE).rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
            packages.add(".".join(parts))
        sources[".".join(parts)] = path.read_text(encoding="utf-8")
    return sources, packages


def test_imports_point_down() -> None:
    sources, packages = read_package()
    assert len(sources) > 5
    found = violations(sources, packages)
    assert not found, "\n" + "\n".join(found)


def test_the_table_names_nothing_that_is_not_there() -> None:
    sources, _ = read_package()
    named = {entry for layer in LAYERS.values() for entry in layer.modules if entry}
    missing = {entry for entry in named if f"{PACKAGE}.{entry}" not in sources}
    assert missing == set()


def test_the_table_refers_to_its_own_layers() -> None:
    for layer in LAYERS.values():
        assert set(layer.may_import) <= set(LAYERS)


# What must be noticed: module → source, and a word of the complaint.
BAD: list[tuple[str, str, str]] = [
    ("threadloom.ops", "import threadloom.sessions.manager", "'frameworks'"),
    ("threadloom.ops", "from threadloom.sessions import manager", "'frameworks'"),
    ("threadloom.ops", "from .sessions.manager import SessionManager", "'frameworks'"),
    ("threadloom.ops", "from . import sessions", "'frameworks'"),
    ("threadloom.ops", "def f():\n    from threadloom import SessionManager", "'public face'"),
    (
        "threadloom.keys",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from threadloom.cli import main",
        "'people'",
    ),
    ("threadloom.ops", "import sqlite3", "driver"),
    ("threadloom.sessions.manager", "from psycopg_pool import ConnectionPool", "driver"),
    ("threadloom.stores.memory", "import aiofiles.os", "driver"),
    ("threadloom.store", "from langgraph.checkpoint.base import Checkpoint", "framework"),
    ("threadloom.store", "from langgraph.store.memory import InMemoryStore", "framework"),
    ("threadloom.plans", "import langchain_core.messages", "framework"),
    ("threadloom.index", "from langchain_core.chat_history import History", "framework"),
    ("threadloom.index", "from .checkpoint import layout", "'frameworks'"),
    ("threadloom.ops", "from . import index", "'logic'"),
    ("threadloom.checkpoint", "from langchain_community import chat", "framework"),
    ("threadloom.stores.sqlite.store", "import langgraph", "framework"),
    ("threadloom.stores.sqlite.store", "from threadloom.serde import loads", "'serde'"),
    ("threadloom.stores.sqlite.store", "from ..memory import MemoryStore", "'memory'"),
    ("threadloom.stores.sqlite", "from . import search\nfrom .. import memory", "'memory'"),
    ("threadloom.sessions.manager", "from threadloom.stores.memory import M", "'memory'"),
    ("threadloom.sessions.manager", "X = 'threadloom.stores.memory:MemoryStore'", "only the reg"),
    ("threadloom.stores.registry", "from threadloom.stores.memory import M", "'memory'"),
    ("threadloom.serde", "from ..ops import Put", "'port'"),
    ("threadloom.checkpoint", "from threadloom.testing import StoreContract", "'testing'"),
    ("threadloom.testing", "from threadloom.sessions.manager import X", "'frameworks'"),
    ("threadloom.sessions.manager", "import pickle", "runs code"),
    ("threadloom.newcomer", "", "does not know"),
    ("threadloom", "from threadloom.stores.memory import MemoryStore", "'memory'"),
    (
        "threadloom",
        "if TYPE_CHECKING:\n    pass\nelse:\n    from .stores.memory import MemoryStore",
        "'memory'",
    ),
]
WORLD = {
    "threadloom": (
        "from threadloom.sessions.manager import SessionManager\n"
        "if TYPE_CHECKING:\n    from threadloom.stores.memory import MemoryStore"
    ),
    "threadloom.cli": "from threadloom import SessionManager",
    "threadloom.sessions": "",
    "threadloom.sessions.manager": "from .. import ops\nfrom ..serde import dumps",
    "threadloom.checkpoint": "from langgraph.checkpoint.base import BaseCheckpointSaver",
    "threadloom.serde": "import ormsgpack\nfrom ..errors import UntrustedType",
    "threadloom.errors": "",
    "threadloom.index": "from langchain_core.messages import BaseMessage\nfrom . import ops",
    "threadloom.keys": "from .errors import InvalidKey",
    "threadloom.ops": "from . import keys",
    "threadloom.plans": "from threadloom import ops",
    "threadloom.store": "from langgraph.store.base import BaseStore",
    "threadloom.stores": "",
    "threadloom.stores.registry": "ENGINES = ['threadloom.stores.memory:MemoryStore']",
    "threadloom.stores.memory": "from langgraph.store import base\nfrom threadloom.store import S",
    "threadloom.stores.sqlite": "from .store import SQLiteStore",
    "threadloom.stores.sqlite.search": "from ...ops import Match",
    "threadloom.stores.sqlite.store": "import sqlite3\nfrom . import search",
    "threadloom.testing": "from threadloom import SessionManager\nfrom threadloom import ops",
}
WORLD_PACKAGES = {
    "threadloom",
    "threadloom.sessions",
    "threadloom.serde",
    "threadloom.stores",
    "threadloom.stores.sqlite",
    "threadloom.testing",
}


def test_a_good_package_passes() -> None:
    assert violations(WORLD, WORLD_PACKAGES) == []


@pytest.mark.parametrize(("module", "source", "complaint"), BAD)
def test_a_wrong_import_is_noticed(module: str, source: str, complaint: str) -> None:
    found = violations(WORLD | {module: source}, WORLD_PACKAGES)
    assert len(found) == 1, found
    assert found[0].startswith(module)
    assert complaint in found[0]
