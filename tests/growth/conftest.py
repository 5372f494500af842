"""Stores by kind, and silence about branches, which these tests make on purpose."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines import KINDS, open_kind
from threadloom.checkpoint import kin
from threadloom.store import Store


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, logger="threadloom.checkpoint")


@pytest.fixture
def any_run_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refer to the conversation at the head for runs of any length, as else for long ones."""
    monkeypatch.setattr(kin, "_LEAST", 1)


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A new, empty store."""
    with open_kind(request.param, tmp_path, "a") as opened:
        yield opened
