"""The command line: `python -m benchmarks SCENARIO…`."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import runner
from benchmarks.process import busy
from benchmarks.report import Report, write
from benchmarks.savers import SAVERS
from benchmarks.scenarios import NAMES, load
from benchmarks.sizes import Size


def main(arguments: Sequence[str] | None = None) -> int:
    """Run scenarios, print their tables, write what was asked for."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = _parser()
    told = parser.parse_args(arguments)
    if told.data is not None and not Path(told.data).is_file():
        parser.error(f"--data: there is no file {told.data}")
    for file in (told.json, told.write):
        if file is not None and not file.parent.is_dir():
            parser.error(f"the folder of {file} does not exist")
    names = NAMES if "all" in told.scenarios else tuple(dict.fromkeys(told.scenarios))
    size = Size(turns=told.turns, small=told.small, data=_absolute(told.data))
    warning = busy()
    report = Report(size, told.runs, (_command(arguments),), [], warning)

    if warning is not None:
        _say(warning)
    for name in names:
        scenario = load(name)
        results = runner.run(scenario, told.only, size, told.runs, _say)
        report.found.append((scenario, results))
        for table in report.tables(scenario, results):
            sys.stdout.write(f"\n{table.plain()}\n")
        sys.stdout.flush()
        # After each scenario, so that an interrupted run leaves what it has.
        if told.json is not None:
            text = json.dumps(report.data(), indent=1, ensure_ascii=False)
            told.json.write_text(text + "\n", encoding="utf-8")
        if told.write is not None:
            write(report, told.write)

    errors = report.errors()
    for error in errors:
        _say(f"failed: {error}")
    return 1 if errors else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Compares Threadloom with LangGraph's own savers, in one run.",
        epilog=f"savers: {', '.join(SAVERS)}",
    )
    parser.add_argument(
        "scenarios",
        nargs="+",
        choices=[*NAMES, "all"],
        metavar="SCENARIO",
        help=f"{', '.join(NAMES)}, or all",
    )
    parser.add_argument(
        "--turns", type=_positive, default=1_000, help="turns of a long chat; all follows it"
    )
    parser.add_argument("--runs", type=_positive, default=3, help="the best of so many runs")
    parser.add_argument(
        "--only",
        type=_savers,
        default=(),
        metavar="NAME,…",
        help="these savers alone, with the floor that they are compared with",
    )
    parser.add_argument("--small", action="store_true", help="shrink what does not follow --turns")
    parser.add_argument(
        "--data", metavar="FILE", help="JSON Lines of conversations for the scenario agent"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="write a page, and its chart beside it"
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _savers(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if unknown := [name for name in names if name not in SAVERS]:
        raise argparse.ArgumentTypeError(f"no saver is called {', '.join(unknown)}")
    return names


def _absolute(path: str | None) -> str | None:
    return None if path is None else str(Path(path).resolve())


def _command(arguments: Sequence[str]) -> str:
    """What was typed, with the places of the reader's own machine left out."""
    shown = [
        Path(argument).name if Path(argument).is_absolute() else argument for argument in arguments
    ]
    return shlex.join(["python", "-m", "benchmarks", *shown])


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
