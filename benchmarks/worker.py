"""One measurement in a process of its own: `python -m benchmarks.worker JOB`, by `runner`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.savers import SAVERS
from benchmarks.scenario import Job
from benchmarks.scenarios import load
from benchmarks.sizes import Size


def main(description: str) -> None:
    """Do what a JSON object describes, and write the figures to the file that it names."""
    told = json.loads(description)
    scenario = load(told["scenario"])
    job = Job(
        saver=SAVERS[told["saver"]],
        variant=told["variant"],
        size=Size(**told["size"]),
        folder=Path(told["folder"]),
        prepared=Path(told["prepared"]) if told["prepared"] else None,
    )
    figures = scenario.prepare(job) if told["preparing"] else scenario.measure(job)
    Path(told["result"]).write_text(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1])
