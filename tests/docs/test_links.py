"""Links of the pages lead somewhere: to files, and to headings in them.

The built site is checked by `make docs`, which takes every warning of mkdocs for an error.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from .pages import PAGES, anchors_of, links_of, name_of, read
from .programs import ROOT


def wrong_with(link: str, page: Path) -> str | None:
    """What is wrong with a link of a page; None where nothing is."""
    parts = urlsplit(link)
    if parts.scheme:
        if parts.scheme == "mailto":
            return None if "@" in parts.path else "no address"
        good = parts.scheme in ("https", "http") and re.fullmatch(r"[\w.-]+(:\d+)?", parts.netloc)
        return None if good else "no URL"
    if parts.path.startswith("/") or not link:
        return "neither relative nor a URL"
    target = (page.parent / parts.path).resolve() if parts.path else page
    if not target.exists():
        return "no such file"
    if not target.is_relative_to(ROOT):
        return "outside of the repository"
    if parts.fragment and parts.fragment not in anchors_of(read(target)):
        return "no such heading"
    return None


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    found = {link: wrong_with(link, page) for link in links_of(read(page))}
    assert {link: why for link, why in found.items() if why} == {}


def test_there_are_links() -> None:
    assert sum(len(links_of(read(page))) for page in PAGES) > 100


def test_links_are_found_and_judged(tmp_path: Path) -> None:
    page = ROOT / "docs" / "stores.md"
    text = """# A `b` – c: d

[one](stores.md#files), ![two](missing.svg) and [three](stores.md#no-such-heading), not `[x](y)`

```sh
[no](link)
```

[four](https://docs.example/x) [five](https:docs.example) [six](/etc) [seven](#files)
"""
    links = links_of(text)
    assert len(links) == 7
    assert [wrong_with(link, page) for link in links] == [
        *(None, "no such file", "no such heading"),
        *(None, "no URL", "neither relative nor a URL", None),
    ]
    assert anchors_of(text) == ["a-b--c-d"]


# ── The guide ─────────────────────────────────────────────────────────────────────────────────
def test_every_page_has_its_place_in_the_guide() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    named = re.findall(r"[\w./-]+\.md\b", navigation)
    assert len(named) == len(set(named))
    docs = ROOT / "docs"
    assert {page.relative_to(docs).as_posix() for page in docs.rglob("*.md")} <= set(named)
    pages = [page for page in (ROOT / "adapters").rglob("README.md") if ".venv" not in str(page)]
    assert {name_of(page) for page in pages} <= set(named)


def test_every_public_name_is_in_the_reference() -> None:
    import threadloom
    from threadloom import migrate, testing

    shown = set()
    for page in (ROOT / "docs" / "reference").glob("*.md"):
        shown |= set(re.findall(r"^::: (\S+)$", read(page), re.MULTILINE))
    names = {f"threadloom.{name}" for name in threadloom.__all__ if name != "__version__"}
    names |= {f"threadloom.migrate.{name}" for name in migrate.__all__}
    manager = {name for name in dir(threadloom.SessionManager) if not name.startswith("_")}
    names |= {f"threadloom.SessionManager.{name}" for name in manager}
    of_tests = {f"threadloom.testing.{name}" for name in testing.__all__}
    assert names <= shown
    assert of_tests & shown
    for init in (ROOT / "adapters").glob("*/src/*/__init__.py"):
        exported = re.findall(r'"(\w+)"', read(init).partition("__all__ =")[2])
        classes = {name for name in exported if name[0].isupper() and not name.isupper()}
        assert {f"{init.parent.name}.{name}" for name in classes} <= shown
