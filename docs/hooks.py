"""What mkdocs does not do by itself for this guide.

Pages keep the links that work in the repository. The built site has them, too: what a page links
to outside of this folder becomes a part of the site (pages such as an adapter's README, and files
such as a notebook), and links are turned to where it then is.
"""

from __future__ import annotations

import logging
import os
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

logger = logging.getLogger("mkdocs.hooks.guide")

ROOT = Path(__file__).parents[1]
DOCS = "docs"
RENAMED = {"README.md": "overview.md"}
"""Pages that cannot have their own path on the site: its home is docs/index.md."""

_CODE = re.compile(r"^```.*?^```\s*$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(\]\()([^)#\s:]+)(?=[)#])")
_ASKS = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\ssrc=["']?(?:https?:)?//[^"'\s>]*"""
    r"""|<link\b(?![^>]*rel=["']?canonical)[^>]*\shref=["']?(?:https?:)?//[^"'\s>]*"""
    r"""|url\(["']?(?:https?:)?//[^)]*|@import\s+["'](?:https?:)?//[^"']*"""
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Bring in what pages link to outside of docs/, and what that links to."""
    waiting = [file for file in files if file.src_uri.endswith(".md")]
    while waiting:
        file = waiting.pop()
        for link in _links(Path(file.abs_src_path or "").read_text(encoding="utf-8")):
            path = _in_repository(_place(file), link)
            known = path is None or files.get_file_from_path(_on_site(path)) is not None
            if path is None or known or not (ROOT / path).is_file():
                continue
            new = File.generated(config, _on_site(path), abs_src_path=str(ROOT / path))
            files.append(new)
            if path.endswith(".md"):
                waiting.append(new)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to where their targets are on the site."""
    here = _place(page.file)

    def turned(match: re.Match[str]) -> str:
        path = _in_repository(here, match[2])
        if path is None or files.get_file_from_path(_on_site(path)) is None:
            return match[0]  # mkdocs says what is wrong with it
        base = posixpath.dirname(page.file.src_uri) or "."
        return match[1] + posixpath.relpath(_on_site(path), base)

    done, last = [], 0
    for code in _CODE.finditer(markdown):
        done += [_LINK.sub(turned, markdown[last : code.start()]), code[0]]
        last = code.end()
    return "".join([*done, _LINK.sub(turned, markdown[last:])])


def on_post_build(config: MkDocsConfig) -> None:
    """A site that asks others for something would not be whole without a network."""
    for path in sorted(Path(config.site_dir).rglob("*")):
        if path.suffix in {".html", ".css"}:
            for found in _ASKS.findall(path.read_text(encoding="utf-8")):
                name = path.relative_to(config.site_dir)
                logger.warning("%s asks another server: %s", name, found)


def _links(markdown: str) -> list[str]:
    return [link for _, link in _LINK.findall(_CODE.sub("", markdown))]


def _place(file: File) -> str:
    """Where a page is in the repository."""
    return Path(os.path.relpath(file.abs_src_path or "", ROOT)).as_posix()


def _in_repository(page: str, link: str) -> str | None:
    """What a page links to, as a path in the repository."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), link))
    return None if path.startswith("..") or link.startswith("/") else path


def _on_site(path: str) -> str:
    """Where a file of the repository is among the site's sources."""
    return RENAMED.get(path) or path.removeprefix(f"{DOCS}/")
