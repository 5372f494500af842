"""What every test gets: Hypothesis profiles, `rounds`, and rules for the whole suite.

- A test that leaves a thread behind which would keep the process from exiting fails.
- Under CI a skipped test is a failed test.
- `THREADLOOM_TEST_ENGINES=postgres,redis` leaves the tests that have one of those as a parameter.
- `THREADLOOM_TEST_ONE_IN=3` leaves one in three of the tests.
- Under `make soak` (`THREADLOOM_SOAK=1`) counts are full, otherwise a tenth, and large grids of
  parameters are whole, otherwise a part.
"""

from __future__ import annotations

import concurrent.futures.thread
import gc
import os
import sys
import threading
import time
import weakref
from collections.abc import Generator, Iterable
from typing import Any
from zlib import crc32

import pytest
from hypothesis import HealthCheck, settings

SOAK = os.environ.get("THREADLOOM_SOAK") == "1"
ON_SERVERS = {"postgres", "redis"} & set(os.environ.get("THREADLOOM_TEST_ENGINES", "").split(","))
ONE_IN = int(os.environ.get("THREADLOOM_TEST_ONE_IN") or (5 if ON_SERVERS else 1))
"""One in how many tests runs: of the suites on engines with a server one in five, for each takes
a schema or a process; under soak all do."""
IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}

# ── Hypothesis ────────────────────────────────────────────────────────────────────────────────
# No deadlines: a loaded machine is no bug. Never derandomized, so that CI keeps searching; what
# it finds it prints as a blob that reproduces it.
_common: dict[str, Any] = {
    "deadline": None,
    "derandomize": False,
    "suppress_health_check": [HealthCheck.too_slow],
}
settings.register_profile("dev", max_examples=50, **_common)
settings.register_profile("ci", max_examples=100, print_blob=True, **_common)
settings.register_profile("soak", max_examples=2_000, print_blob=True, **_common)
settings.load_profile("soak" if SOAK else "ci" if IN_CI else "dev")


# ── Soak ──────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """How often a test marked ``@pytest.mark.soak(full=200)`` is to repeat itself."""
    marker = request.node.get_closest_marker("soak")
    if marker is None:
        pytest.fail("`rounds` needs @pytest.mark.soak(full=…) on the test", pytrace=False)
    full: int = marker.kwargs["full"] if "full" in marker.kwargs else marker.args[0]
    return full if SOAK else max(1, full // 10)


# ── Workers ───────────────────────────────────────────────────────────────────────────────────
@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than processors: while a test waits for a lock or a process, another one works."""
    return (os.cpu_count() or 1) + 1


# ── Grids ─────────────────────────────────────────────────────────────────────────────────────
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave all but one in `every` of the tests out that are marked as a grid, but under soak.

    Which ones follows from their names, so every run and every worker takes the same. One in
    `ONE_IN` is taken of what is no grid. Where engines with a server are named (see
    `tests/kinds.py`), whatever does not run on one is left out.
    """
    left = [item for item in items if not _is_taken(item)]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if _is_taken(item)]


def _is_taken(item: pytest.Item) -> bool:
    if ON_SERVERS and not _takes_one_of(item, ON_SERVERS):
        return False
    marker = item.get_closest_marker("grid")
    every = max(ONE_IN, 1 if marker is None else marker.kwargs["every"])
    return SOAK or crc32(item.name.encode()) % every == 0


def _takes_one_of(item: pytest.Item, engines: set[str]) -> bool:
    call = getattr(item, "callspec", None)
    values = [] if call is None else [v for v in call.params.values() if isinstance(v, str)]
    return not set(values).isdisjoint(engines)


# ── Threads ───────────────────────────────────────────────────────────────────────────────────
# Seconds that threads which are on their way out get.
GRACE = 5.0

_of_wider_fixtures: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def _lingering(before: Iterable[threading.Thread]) -> list[threading.Thread]:
    """Threads that are not in ``before`` and that would keep the interpreter from exiting.

    Workers of a ``ThreadPoolExecutor`` do not: the interpreter ends idle ones by itself, and
    a pool may outlive a test on purpose.
    """
    known = set(before)
    pools = concurrent.futures.thread._threads_queues  # type: ignore[attr-defined]
    return [
        thread
        for thread in threading.enumerate()
        if not thread.daemon
        and thread not in known
        and thread not in _of_wider_fixtures
        and thread not in pools
    ]


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    if fixturedef.scope == "function":
        return (yield)
    before = set(threading.enumerate())
    try:
        return (yield)
    finally:
        _of_wider_fixtures.update(set(threading.enumerate()) - before)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    item.stash[_before] = weakref.WeakSet(threading.enumerate())
    result = yield
    if lender := sys.modules.get("servers.postgres"):
        lender.give_back()
    return result


_before = pytest.StashKey[weakref.WeakSet[threading.Thread]]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    result = yield
    before = item.stash[_before]
    if _lingering(before):
        gc.collect()
        deadline = time.monotonic() + GRACE
        for thread in _lingering(before):
            thread.join(max(0.0, deadline - time.monotonic()))
        if left := _lingering(before):
            names = ", ".join(sorted(thread.name for thread in left))
            pytest.fail(f"the test left threads running: {names}", pytrace=False)
    return result


# ── Skips ─────────────────────────────────────────────────────────────────────────────────────
def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"Nothing may be skipped in CI. {why}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report
