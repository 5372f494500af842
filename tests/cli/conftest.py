"""A database of LangGraph's savers, a store of sessions, and copies for tests that write."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from threadloom import SessionManager
from threadloom.migrate import MigrationReport, migrate_langgraph
from threadloom.stores import registry

from . import threads


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database; nobody may write to it."""
    path = tmp_path_factory.mktemp("langgraph") / "checkpoints.db"
    threads.build(path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    path.chmod(0o444)
    return path


@pytest.fixture(scope="session")
def migrated(made: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[MigrationReport, Path]:
    """The database brought over; nobody may write to the result."""
    path = tmp_path_factory.mktemp("threadloom") / "sessions.db"
    before = hashlib.sha256(made.read_bytes()).hexdigest()
    report = migrate_langgraph(made, f"sqlite:///{path}")
    assert hashlib.sha256(made.read_bytes()).hexdigest() == before
    assert [file.name for file in made.parent.iterdir()] == [made.name]
    return report, path


@pytest.fixture(scope="session")
def made_small(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database without its long thread; nobody may write to it."""
    path = tmp_path_factory.mktemp("small") / "checkpoints.db"
    shutil.copyfile(made, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for table in ("checkpoints", "writes"):
            connection.execute(f"DELETE FROM {table} WHERE thread_id = 'long'")
        connection.execute("VACUUM")
    return path


@pytest.fixture
def small(made_small: Path, tmp_path: Path) -> Path:
    """A copy of the database without its long thread."""
    path = tmp_path / "small" / "checkpoints.db"
    path.parent.mkdir()
    shutil.copyfile(made_small, path)
    return path


@pytest.fixture
def old(made: Path, tmp_path: Path) -> Path:
    """A copy of the database."""
    path = tmp_path / "old" / "checkpoints.db"
    path.parent.mkdir()
    shutil.copyfile(made, path)
    return path


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """Where to migrate to."""
    return tmp_path / "sessions.db"


@pytest.fixture
def brought(migrated: tuple[MigrationReport, Path], tmp_path: Path) -> Iterator[SessionManager]:
    """The sessions of a copy of what was brought over."""
    path = tmp_path / "brought.db"
    shutil.copyfile(migrated[1], path)
    with SessionManager(f"sqlite:///{path}") as sessions:
        yield sessions


MAKE_TRIPS = (
    "import sys; from pathlib import Path; from cli.trips import build; build(Path(sys.argv[1]))"
)


@pytest.fixture(scope="session")
def made_trips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sessions of `trips`, made by a process that has their classes; nobody may write to it."""
    path = tmp_path_factory.mktemp("trips") / "trips.db"
    subprocess.run(
        [sys.executable, "-c", MAKE_TRIPS, str(path)],
        cwd=Path(__file__).parents[1],
        check=True,
        timeout=60,
    )
    return path


@pytest.fixture
def trips(made_trips: Path, tmp_path: Path) -> Path:
    """A copy of the sessions of `trips`."""
    path = tmp_path / "trips.db"
    shutil.copyfile(made_trips, path)
    return path


@pytest.fixture
def no_adapters(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where no adapter of an engine is installed."""
    monkeypatch.setattr(registry, "entry_points", lambda group: ())
