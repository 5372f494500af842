"""What holds for the repository as a whole: what may be in it, and what is built from it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import threadloom
from threadloom import errors

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "threadloom"
LONGEST_MODULE = 450  # lines


# ── What is in git ────────────────────────────────────────────────────────────────────────────
# The patterns are put together from pieces, so that this file passes its own test.
UNWANTED: dict[str, re.Pattern[str]] = {
    "a registry's address": re.compile(
        r"py" r"pi\.(org|io)|pythonhos" r"ted\.org|anacon" r"da\.org|npm" r"js\.(org|com)"
        r"|(https?|file)://[^\s\"'<>]*/simple\b"
        r"|--(extra-)?index-" r"url|--find-" r"links",
        re.IGNORECASE,
    ),
    "a folder of one machine": re.compile(
        r"(?<![\w./:~-])/(home|root|Users|work)" r"/[\w.]" r"|\b[A-Z]:\\Users" r"\\"
    ),
}  # fmt: skip
LOCK_FILE = re.compile(r"(^|/)([^/]*\.lock|[^/]*lock\.(json|ya?ml)|pylock[^/]*\.toml)$")


def files_of_git() -> list[str]:
    """What git has or would take; also what is new and not ignored, before it is too late."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())


def unwanted(text: str) -> list[str]:
    return [
        f"{what}: {text[max(0, hit.start() - 20) : hit.end() + 40]!r}"
        for what, pattern in UNWANTED.items()
        if (hit := pattern.search(text))
    ]


def test_no_file_names_a_registry_or_a_machine() -> None:
    names = files_of_git()
    assert "pyproject.toml" in names
    found = []
    for name in names:
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture
        found += [f"{name}: {line}" for line in unwanted(text)]
    assert not found, "\n".join(found)


def test_there_is_no_lock_file() -> None:
    assert [name for name in files_of_git() if LOCK_FILE.search(name)] == []


@pytest.mark.parametrize(
    "text",
    [
        "https://py" + "pi.org/project/threadloom",
        "pip install --extra-index-" + "url x",
        "see https://packages.example/team/" + "simple/threadloom",
        "open('/home" + "/ana/sessions.db')",
        "/work" + "/main/src",
        "C:" + "\\Users" + "\\ana",
    ],
)
def test_what_is_unwanted_is_noticed(text: str) -> None:
    assert len(unwanted(text)) == 1


@pytest.mark.parametrize(
    "text", ["a/home/page", "https://docs.example/work/x", "sqlite:////var/lib/x.db", "~/work/x"]
)
def test_what_is_harmless_passes(text: str) -> None:
    assert unwanted(text) == []


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("uv.lock", True),
        ("adapters/redis/poetry.lock", True),
        ("package-lock.json", True),
        ("pylock.dev.toml", True),
        ("src/threadloom/stores/locks.py", False),
        ("constraints.txt", False),
    ],
)
def test_lock_files_are_known_by_name(name: str, is_one: bool) -> None:
    assert bool(LOCK_FILE.search(name)) is is_one


# ── Pins ──────────────────────────────────────────────────────────────────────────────────────
def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_constraints_are_pins_and_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pin = re.compile(r"[a-z0-9-]+==[0-9][A-Za-z0-9.]*")
    assert [line for line in lines if not pin.fullmatch(line)] == []
    assert lines == sorted(lines)
    names = {line.partition("==")[0] for line in lines}
    assert len(names) == len(lines)

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        wanted += extra
    needed = {canonical(re.match(r"[\w.-]+", line)[0]) for line in wanted}  # type: ignore[index]
    assert needed - names == {"threadloom", "threadloom-postgres", "threadloom-redis"}


# ── Modules ───────────────────────────────────────────────────────────────────────────────────
def test_no_module_is_too_long() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in PACKAGE.rglob("*.py")
    }
    assert {name: n for name, n in lengths.items() if n > LONGEST_MODULE} == {}


def test_importing_is_silent_and_light() -> None:
    """No warning, and none of what only tests, people or one engine need."""
    program = (
        "import sys, threadloom\n"
        "heavy = ['pytest', 'hypothesis', 'threadloom.testing', 'rich', 'typer', 'IPython',\n"
        "         'sqlite3', 'aiofiles', 'psycopg', 'redis', 'numpy', 'pandas', 'langchain']\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout.strip()) == (0, "", "[]")


def test_using_every_public_name_is_silent() -> None:
    program = "import threadloom\nfor name in threadloom.__all__: getattr(threadloom, name)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_public_face_is_whole() -> None:
    names = list(threadloom.__all__)
    assert len(names) == len(set(names))
    assert [name for name in names if getattr(threadloom, name, None) is None] == []
    assert [name for name in names if name.startswith("_") and name != "__version__"] == []
    assert set(errors.__all__) <= set(names)
    assert "SessionManager" in names
    assert set(names) <= set(dir(threadloom))


def groups_of(source: str) -> dict[str, list[str]]:
    """The names of `__all__` under the comment that stands above them."""
    [block] = [
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and ast.unparse(node).startswith("__all__")
    ]
    groups: dict[str, list[str]] = {}
    heading = ""
    for line in source.splitlines()[block.lineno : (block.end_lineno or 0) - 1]:
        if line.strip().startswith("#"):
            heading = line.strip("# ")
            assert heading not in groups, f"'{heading}' stands twice in __all__"
            groups[heading] = []
        elif line.strip():
            groups.setdefault(heading, []).extend(re.findall(r'"(\w+)"', line))
    return groups


def test_the_public_face_is_sorted_by_subject() -> None:
    groups = groups_of((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    assert "" not in groups, f"without a heading: {groups['']}"
    assert [heading for heading, names in groups.items() if not names] == []
    assert [name for names in groups.values() for name in names] == list(threadloom.__all__)
    homes = {heading for heading, names in groups.items() if set(names) & set(errors.__all__)}
    assert len(homes) == 1, "the errors belong together"


# ── The wheel ─────────────────────────────────────────────────────────────────────────────────
def test_the_wheel_has_what_it_needs_and_no_more(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [wheel] = tmp_path.glob("threadloom-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    info = f"threadloom-{threadloom.__version__}.dist-info/"
    assert {"threadloom/py.typed", info + "METADATA", info + "licenses/LICENSE"} <= inside
    ours = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.is_file()
    }
    assert ours <= inside
    extra = {n for n in inside - ours if not n.startswith(info)} - {"threadloom/py.typed"}
    assert extra == set()
