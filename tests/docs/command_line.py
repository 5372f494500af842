"""The help of every command: `python -m tests.docs.command_line` writes docs/command-line.md."""

from __future__ import annotations

import os
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from typer.main import get_command

from threadloom.cli.app import app

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "command-line.md"
_COLUMNS = "88"

HEAD = """\
# The command line

`threadloom COMMAND STORE …` looks at sessions, changes them, looks after them and moves them. It
comes with `threadloom[cli]` (from a clone: `pip install ".[cli]"`) and needs nothing of the
application: types that it does not have are shown as what is stored of them, and never imported or
made.

```
threadloom list sessions.db                        # a file, a folder of journals, or a URL
threadloom show sessions.db ID                     # a session as a chat
threadloom tree sessions.db ID                     # its checkpoints, branches and head
threadloom diff sessions.db ID head~1              # what the last step changed
threadloom fork sessions.db ID --checkpoint head~4 # prints the id of the copy
threadloom delete sessions.db --older-than 90d --dry-run
threadloom export sessions.db - | gzip > sessions.jsonl.gz
threadloom copy sessions.db postgresql://host/db   # goes on where it was interrupted
```

**STORE** is the path of a file (`sqlite://`) or of a folder (`file://`), or any URL that
`open_store` takes. Commands that only look never make a store; `import`, `copy` and `migrate`
make the one that they bring something into. `list` and `stats` also read a database of
LangGraph's `SqliteSaver`; `migrate` brings it over.

**OLD** of `migrate` may also be what LangChain's chat histories wrote: an SQLite file or a
PostgreSQL database with a table of the columns `id`, `session_id` and `message`, a JSON file, or
a folder whose files end in `.json` (one session each, called as the file). The table is found by
its columns; where several have them, and where there are checkpoints of LangGraph as well, which
then come alone, `--table` names it. Messages keep their order and ids, and have the time of their
row's `created_at`. If there is none they have the latest time that they can have been written at:
that of the file's last change, or of a server the present one. A message without an id gets that
of its row, such as `message_store-12`. What has grown is completed; a session that was changed in
the target, or whose messages were changed in the source, is refused and left as it is. Where the
same ids are in both, bring them into different stores, or for different tenants.

**Output.** On a terminal: tables, colours, pictures; a narrow terminal leaves columns out. Into a
pipe or a file: one line for each thing, its parts separated by tabs, no headings, no colours.
`--json` prints one JSON document. Progress, questions and remarks go to stderr, progress only
where that is a terminal. `messages`, `list --json` and `export -` print as they read. `NO_COLOR`
is heeded.

**Questions.** Before anything is destroyed there is a question; `--yes` answers it, and where
nobody is there to be asked the command is refused without it. `--dry-run` tells what would be.

**Checkpoints** are named by their id, its beginning or its end as far as no other has it, or
`head`; `~2` behind it goes two checkpoints back.

**Exit codes**: 0 if all is well; 1 if something was refused, failed, or was left undone; 2 if the
command line makes no sense, or needs `--yes` where nobody can be asked; 130 after Ctrl-C. An error
is one line on stderr that says what to do, or with `--json` a document with `error`, `message` and
`exit_code`.

**Encrypted stores** need `--key-file FILE`, or the variable `THREADLOOM_KEYS` with the path of
the file: JSON such as `{"current": "k1", "keys": {"k1": "…"}}`, or the same as TOML. Keys are
base64 or hexadecimal. Nobody else should be able to read it.

**Completion** of commands, options and ids of sessions: `threadloom --install-completion`.

What follows is the help of every command. It is written by `python -m tests.docs.command_line`,
and a test fails where it is out of date.
"""


def help_of(*names: str) -> str:
    """What a command says of itself."""
    out = StringIO()
    plain = {"COLUMNS": _COLUMNS, "TERMINAL_WIDTH": _COLUMNS, "TERM": "dumb", "NO_COLOR": "1"}
    with patch.dict(os.environ, plain), redirect_stdout(out):
        get_command(app).main([*names, "--help"], standalone_mode=False)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()).strip()


def page() -> str:
    """The page as it should be."""
    parts = [HEAD]
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "")
        parts.append(f"## threadloom {name}\n\n```\n{help_of(name)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
