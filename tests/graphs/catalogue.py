"""Importing this module registers every scenario."""

from __future__ import annotations

import importlib
from pathlib import Path

from .harness import SCENARIOS

for _module in sorted(Path(__file__).parent.glob("scenarios_*.py")):
    importlib.import_module(f"{__package__}.{_module.stem}")

__all__ = ["SCENARIOS"]
