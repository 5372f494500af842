"""Every notebook runs from top to bottom in an empty folder, and is kept without its outputs."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
import pytest

from .programs import ROOT, run_program

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
OF_ADAPTERS = {"05_several_frameworks.ipynb"}
"""Those that need other frameworks: they run with the tests of adapters."""

# In a process of its own: a kernel brings sockets, threads and a loop.
RUNNER = """
import os, sys, nbformat
from nbclient import NotebookClient

os.environ["IPYTHONDIR"] = os.environ["HOME"]
os.environ["JUPYTER_PLATFORM_DIRS"] = "1"
book = nbformat.read({path!r}, as_version=4)
here = {{"metadata": {{"path": "."}}}}
NotebookClient(book, timeout=60, kernel_name="python3", resources=here).execute()
for cell in book.cells:
    for output in cell.get("outputs", []):
        if output.get("name") == "stderr":
            print(output["text"], file=sys.stderr)
        elif output.get("output_type") == "stream":
            print(output["text"], end="")
"""


def run_notebook(path: Path, folder: Path) -> str:
    program = folder / f"{path.stem}.py"
    program.write_text(RUNNER.format(path=str(path)), encoding="utf-8")
    return run_program(program, folder, timeout=110)


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize(
    "notebook",
    [path for path in NOTEBOOKS if path.name not in OF_ADAPTERS],
    ids=lambda path: path.name,
)
def test_notebook_runs(notebook: Path, tmp_path: Path) -> None:
    run_notebook(notebook, tmp_path)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_is_stripped(notebook: Path) -> None:
    book = nbformat.read(notebook, as_version=4)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert code
    assert [cell.id for cell in code if cell.outputs or cell.execution_count is not None] == []
    assert book.metadata.kernelspec.name == "python3"
    assert book.cells[0].cell_type == "markdown", "it begins with what it is about"


def write_notebook(path: Path, source: str) -> Path:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    nbformat.write(book, path)
    return path


def test_a_notebook_runs_here(tmp_path: Path) -> None:
    sample = write_notebook(
        tmp_path / "good.ipynb", "import os, sys; print(sys.executable, os.getcwd(), sep='\\n')"
    )
    python, folder = run_notebook(sample, tmp_path).split()
    assert Path(python).resolve() == Path(sys.executable).resolve()
    assert Path(folder) == (tmp_path / "here").resolve()


@pytest.mark.parametrize("source", ["1 / 0", "import warnings; warnings.warn('old')"])
def test_a_bad_notebook_is_noticed(source: str, tmp_path: Path) -> None:
    sample = write_notebook(tmp_path / "bad.ipynb", source)
    with pytest.raises(AssertionError, match=r"bad\.py ended with"):
        run_notebook(sample, tmp_path)
