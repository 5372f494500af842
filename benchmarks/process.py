"""What the operating system says about this process and this machine."""

from __future__ import annotations

import contextlib
import gc
import os
import platform
import sqlite3
import sys
from importlib import metadata
from pathlib import Path

LIBRARIES = (
    "threadloom",
    "langgraph",
    "langgraph-checkpoint",
    "langgraph-checkpoint-sqlite",
    "langchain-core",
    "aiosqlite",
)


def memory_now() -> int | None:
    """The resident memory of this process in bytes, after a collection; None if unknown."""
    gc.collect()
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def memory_peak() -> int | None:
    """The most resident memory this process ever had, in bytes; None if unknown.

    Linux is asked for the peak of this program alone: its `ru_maxrss` starts from the memory of
    the process that started this one.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def busy() -> str | None:
    """A warning if others use this machine; None if it is quiet or nobody can tell."""
    try:
        load = os.getloadavg()[0]
    except (AttributeError, OSError):
        return None
    if load < 0.5:
        return None
    return f"the machine is busy (load {load:.1f}, {os.cpu_count()} cores): times will be too high"


def machine() -> dict[str, str]:
    """What the figures depend on: processor, system, Python and library versions."""
    found = {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "SQLite": sqlite3.sqlite_version,
    }
    for name in LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
