"""The commands that move sessions: export, import, copy; and encrypted stores."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from threadloom import Keyring, SessionManager

from .running import Result, fails, rows, told

ALL = ["oslo-trip", "waiting", "broken", "chat", "both"]


def everything(path: Path) -> list[Any]:
    """What `show` and `tree` say of all sessions of a store."""
    found = []
    for id in ALL:
        shown = told("show", path, id, "--state")
        shown["session"].pop("version")
        found.append([shown, told("tree", path, id)["checkpoints"]])
        for part in (shown, found[-1][0]):
            part.pop("store", None)
    return found


def test_export_import_and_copy_lose_nothing(made_trips: Path, tmp_path: Path) -> None:
    file, new, folder = tmp_path / "all.jsonl", tmp_path / "new.db", tmp_path / "folder"
    assert rows("export", made_trips, file) == [[id, "exported"] for id in ALL]
    assert told("export", made_trips, file)["skipped"] == ALL, "an export is gone on with"
    assert told("import", new, file, "--dry-run")["moved"] == ALL
    assert not new.exists()
    assert rows("import", new, file) == [[id, "imported"] for id in ALL]
    assert everything(new) == everything(made_trips)
    found = told("copy", new, f"file:///{folder}", "chat", "--dry-run")
    assert (found["moved"], found["dry_run"], folder.exists()) == (["chat"], True, False)
    assert rows("copy", new, f"file:///{folder}", "chat") == [["chat", "copied"]]
    assert told("copy", new, folder)["skipped"] == ["chat"]
    assert everything(folder) == everything(made_trips)


def test_what_is_there_already(trips: Path, tmp_path: Path) -> None:
    file = tmp_path / "one.jsonl"
    rows("export", trips, file, "chat")
    rows("rename", trips, "chat", "Another name")
    assert rows("import", trips, file) == [["chat", "skipped"]]
    assert "exists already" in fails(1, "import", trips, file, "--if-exists", "raise")
    assert "add --yes" in fails(2, "import", trips, file, "--if-exists", "replace")
    found = told("import", trips, file, "--if-exists", "replace", "--dry-run")
    assert found["moved"] == ["chat"]
    assert told("show", trips, "chat")["session"]["name"] == "Another name"
    assert rows("import", trips, file, "--if-exists", "replace", "--yes") == [["chat", "imported"]]
    assert told("show", trips, "chat")["session"]["name"].startswith("Only a chat")
    assert "--if-exists" in fails(2, "import", trips, file, "--if-exists", "perhaps")


def test_tenants(trips: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    assert rows("copy", trips, new, "--tenant", "acme") == [["theirs", "copied"]]
    assert rows("list", new) == []
    assert rows("copy", trips, new, "--tenant", "acme", "--to-tenant", "zenith", "theirs")
    assert rows("list", new, "--tenant", "zenith")[0][0] == "theirs"
    assert rows("copy", trips, trips, "chat", "--to-tenant", "acme") == [["chat", "copied"]]
    assert "are the same" in fails(2, "copy", trips, f"sqlite:///{trips}")


def test_what_cannot_be_moved(trips: Path, tmp_path: Path, made: Path) -> None:
    file, torn = tmp_path / "all.jsonl", tmp_path / "torn.jsonl"
    rows("export", trips, file)
    content = file.read_bytes()
    torn.write_bytes(content[: len(content) // 2])
    new = tmp_path / "new.db"
    for said, given in {
        "is torn at its end": torn,
        "is no file": tmp_path / "missing.jsonl",
        "is no exported session": trips,
        f"{tmp_path} is no file": tmp_path,
    }.items():
        assert said in fails(1, "import", new, given), given
    torn.write_bytes(content[:1000] + b"x" + content[1001:])
    assert "line 1 is damaged" in fails(1, "import", new, torn)
    assert not new.exists(), "a store is made for what can be read"
    assert "damaged" in fails(1, "export", trips, torn), "nothing goes on behind what is damaged"
    assert "does not exist: make it" in fails(1, "import", tmp_path / "no/new.db", file)
    assert "does not exist: make it" in fails(1, "copy", trips, tmp_path / "no/new.db")
    assert "is a directory" in fails(1, "export", trips, tmp_path)
    assert "no such file" in fails(1, "export", trips, tmp_path / "no/all.jsonl")
    both = Result("export", trips, "-", "--json")
    assert (both.code, both.out) == (2, "")
    assert "--json says what was done" in json.loads(both.err)["message"]
    assert "database of LangGraph" in fails(1, "import", made, file)
    assert "database of LangGraph" in fails(1, "copy", trips, made)


def test_an_export_into_a_pipe(made_trips: Path, tmp_path: Path) -> None:
    done = Result("export", made_trips, "-", "chat", "both")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert [json.loads(line)["session"]["id"] for line in lines] == ["chat", "both"]
    file = tmp_path / "piped.jsonl"
    file.write_text(done.out)
    assert rows("import", tmp_path / "new.db", file) == [["chat", "imported"], ["both", "imported"]]


# ── Encrypted stores ──────────────────────────────────────────────────────────────────────────
@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    text = b64encode(os.urandom(32)).decode()
    path.write_text(json.dumps({"keys": {"k1": text}}))
    return path


def test_encrypted_stores(
    trips: Path, tmp_path: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, back = tmp_path / "secret.db", tmp_path / "back.db"
    assert rows("copy", trips, secret, "--to-key-file", key_file) == [[id, "copied"] for id in ALL]
    assert b"Bergen" not in secret.read_bytes()
    for command in (["list"], ["show", "chat"], ["export", tmp_path / "x"], ["check"], ["stats"]):
        line = fails(1, command[0], secret, *command[1:])
        assert "is encrypted: --key-file FILE gives its keys" in line
    text = Result("show", secret, "chat", "--key-file", key_file).out
    assert "Bergen is wet" in text
    monkeypatch.setenv("THREADLOOM_KEYS", str(key_file))
    assert len(rows("list", secret)) == 5
    assert [row[0] for row in rows("search", secret, "bergen")] == ["chat"]
    assert Result("tag", secret, "chat", "x").out == "x\n"
    result = Result("copy", secret, back)
    assert result.code == 0
    assert result.err == f"threadloom: what is in {back} is not encrypted\n"
    assert everything(secret)[:3] == everything_in_clear(back, monkeypatch)[:3]


def everything_in_clear(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    monkeypatch.delenv("THREADLOOM_KEYS")
    return everything(path)


def test_key_files(trips: Path, tmp_path: Path) -> None:
    path, secret = tmp_path / "keys.toml", tmp_path / "secret.db"
    keys = Keyring({"old": b"\x01" * 16, "new": b"\x02" * 32}, current="new")
    with SessionManager(f"sqlite:///{secret}", encryption=keys) as sessions:
        sessions.create_session(id="x")
    path.write_text(f'current = "new"\n[keys]\nold = "{"01" * 16}"\nnew = "{"02" * 32}"\n')
    assert [row[0] for row in rows("list", secret, "--key-file", path)] == ["x"]
    word = "passwordpassword"
    for said, text in {
        "holds no keys": "nonsense " + word,
        "holds no keys: write": f'current = 3\n[keys]\nold = "{word}"',
        "neither base64 nor hex": f'[keys]\nold = "{word}!"',
        "has 12 bytes": f'[keys]\nold = "{word}"',
        "holds no keys: ": "[keys]\nold = 3",
    }.items():
        path.write_text(text)
        line = fails(1, "list", secret, "--key-file", path)
        assert said in line, text
        assert word not in line
    assert "cannot be read" in fails(1, "list", secret, "--key-file", tmp_path / "missing")
