"""What the random tests put into channels, and how they change it.

Every change is `(kind, at, what)`, drawn by Hypothesis and applied by `change`. About half of
the kinds change the value in place, as nodes do; the others make a new one of the old elements,
as reducers do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

Change = tuple[str, int, Any]

MISSING = object()
SIZES = (0, 1, 60, 400, 1_500, 9_000)
CHANNELS = (
    "messages",
    "files",
    "plain",
    "nested",
    "text",
    "blob",
    "scalar",
    "pair",
    "__start__",
)

# ── Values ────────────────────────────────────────────────────────────────────────────────────
words = st.sampled_from(["a", "b", "Ähre", "yes", "", "0"])
scalars = st.sampled_from(
    [None, True, False, 0, 1, 1.0, 0.0, -0.0, float("nan"), -1, 2**70, "1", "", b"", b"1"]
)
long_texts = st.builds(lambda n, word: f"{n}{word}" * (n // 2 + 1), st.sampled_from(SIZES), words)
keys = st.sampled_from(["a", "b", "c", "", "1", 1, 2, 2.5, True, None, ("a", 1), b"k"])


def kwargs() -> st.SearchStrategy[dict[str, Any]]:
    inner = st.builds(lambda n, w: {"deep": [n, {"w": w}], "n": n}, scalars, words)
    return st.one_of(st.builds(dict), st.fixed_dictionaries({"more": inner, "flag": scalars}))


def _content() -> st.SearchStrategy[Any]:
    block = st.builds(lambda text: {"type": "text", "text": text}, words)
    return st.one_of(words, long_texts, st.lists(block, min_size=1, max_size=2))


_ids = st.one_of(st.none(), st.sampled_from(["m1", "m2", "m3", "m4"]))


def messages() -> st.SearchStrategy[BaseMessage]:
    """Messages of several classes, new objects each time."""
    call = st.builds(lambda w: {"name": "look", "args": {"w": w}, "id": "c1"}, words)
    return st.one_of(
        st.builds(HumanMessage, content=_content(), id=_ids, additional_kwargs=kwargs()),
        st.builds(AIMessage, content=_content(), id=_ids, tool_calls=st.lists(call, max_size=1)),
        st.builds(lambda c: SystemMessage(c), words),
        st.builds(lambda c, e: HumanMessage(c, beside=[e], usage={"n": 1}), words, scalars),
        st.builds(lambda c, i: AIMessageChunk(content=c, id=i), words, _ids),
        st.builds(lambda c, i: ToolMessage(c, tool_call_id="c1", id=i), words, _ids),
        st.builds(lambda: RemoveMessage(id="m1")),
    )


def plain_items() -> st.SearchStrategy[Any]:
    return st.one_of(scalars, words, long_texts, st.builds(lambda w, s: {w: [s]}, words, scalars))


# ── Changes ───────────────────────────────────────────────────────────────────────────────────
LIST_CHANGES = (
    "append",
    "append in place",
    "extend",
    "edit",
    "edit in place",
    *("change inside",) * 4,
    "remove",
    "remove in place",
    "trim",
    "window",
    "front",
    "replace all",
    "clear",
    "reverse",
    "rotate",
    "twice",
    "twice a copy",
    *("equal",) * 2,
    "as it is",
    "insert",
)
DICT_CHANGES = (
    "set",
    "set in place",
    *("change inside",) * 2,
    "delete",
    "delete in place",
    "reverse",
    "to the end",
    "equal",
    "clear",
    "as it is",
    "replace all",
)


def _changes(kinds: tuple[str, ...], what: st.SearchStrategy[Any]) -> st.SearchStrategy[Change]:
    return st.tuples(st.sampled_from(kinds), st.integers(0, 40), what)


def changes() -> st.SearchStrategy[tuple[str, Change]]:
    """A channel and what happens to its value."""
    entries = st.tuples(keys, plain_items())
    by_channel: dict[str, st.SearchStrategy[Change]] = {
        "messages": _changes(LIST_CHANGES, messages()),
        "plain": _changes(LIST_CHANGES, plain_items()),
        "files": _changes(DICT_CHANGES, entries),
        "nested": _changes(("nest", "change inside", "as it is"), plain_items()),
        "text": _changes(("set whole", "grow", "as it is"), long_texts),
        "blob": _changes(("set whole", "as it is"), long_texts.map(str.encode)),
        "scalar": _changes(("set whole",), scalars),
        "pair": _changes(("set whole",), st.tuples(scalars, words, st.lists(scalars, max_size=2))),
        "__start__": _changes(
            ("set whole", "go"), st.builds(lambda m: {"messages": [m]}, messages())
        ),
    }
    often = ("messages",) * 5 + ("files",) * 4 + CHANNELS
    return st.sampled_from(often).flatmap(
        lambda channel: st.tuples(st.just(channel), by_channel[channel])
    )


def change(channel: str, value: Any, how: Change) -> Any:
    """The value that a channel has after a change; `MISSING` if it has none."""
    kind, at, what = how
    if kind == "set whole":
        return what
    if kind == "go":
        return MISSING
    if kind == "as it is":
        return value
    if kind == "change inside":
        scribble(value, at, "inside")
        return value
    if channel == "files":
        return _change_dict(value, kind, at, *what)
    if channel == "nested":
        return {"list": [what, value.get("list")], "count": {"at": at, "pair": (at, what)}}
    if channel == "text":
        return value + what
    return _change_list(value, kind, at, what)


def _change_list(value: list[Any], kind: str, at: int, what: Any) -> list[Any]:
    place = at % len(value) if value else 0
    if kind.endswith("in place"):
        if kind == "append in place" or not value:
            value.append(what)
        elif kind == "edit in place":
            value[place] = what
        else:
            del value[place]
        return value
    made: dict[str, Callable[[], list[Any]]] = {
        "append": lambda: [*value, what],
        "extend": lambda: [*value, what, *value[place : place + 2]],
        "edit": lambda: [*value[:place], what, *value[place + 1 :]],
        "remove": lambda: [*value[:place], *value[place + 1 :]],
        "insert": lambda: [*value[:place], what, *value[place:]],
        "trim": lambda: value[-3:],
        "window": lambda: [*value, what][-4:],
        "front": lambda: [what, *value[place:]],
        "replace all": lambda: [what, what],
        "clear": lambda: [],
        "reverse": lambda: value[::-1],
        "rotate": lambda: [*value[place:], *value[:place]],
        "twice": lambda: [*value, *value[place : place + 1]],
        "equal": lambda: [twin(item) for item in value],
        "twice a copy": lambda: [*value, *(_copy(item) for item in value[place : place + 1])],
    }
    return made[kind]()


def twin(value: Any) -> Any:
    """Something equal of another type, if there is one."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int) and value in (0, 1):
        return float(value)
    if isinstance(value, float) and value in (0, 1):
        return bool(value)
    if isinstance(value, list):
        return [twin(item) for item in value]
    return value


def _copy(item: Any) -> Any:
    return item.model_copy(deep=True) if isinstance(item, BaseMessage) else item


def _change_dict(value: dict[Any, Any], kind: str, at: int, key: Any, item: Any) -> dict[Any, Any]:
    present = list(value)
    chosen = present[at % len(present)] if present else key
    if kind == "set in place":
        value[key] = item
        return value
    if kind == "delete in place":
        value.pop(chosen, None)
        return value
    made: dict[str, Callable[[], dict[Any, Any]]] = {
        "set": lambda: {**value, key: item},
        "delete": lambda: {k: v for k, v in value.items() if k is not chosen},
        "reverse": lambda: dict(reversed(value.items())),
        "to the end": lambda: {
            **{k: v for k, v in value.items() if k is not chosen},
            **{k: v for k, v in value.items() if k is chosen},
        },
        "equal": lambda: {twin(k): twin(v) for k, v in value.items()},
        "clear": lambda: {},
        "replace all": lambda: {key: item},
    }
    return made[kind]()


def empty(channel: str) -> Any:
    """What a channel begins with."""
    return {
        "messages": list,
        "plain": list,
        "files": dict,
        "nested": dict,
        "text": str,
        "blob": bytes,
    }.get(channel, lambda: None)()


# ── Changes by whoever holds a value ──────────────────────────────────────────────────────────
def scribble(value: Any, at: int, word: str) -> bool:
    """Change one of the mutable objects that a value is made of; whether there was one."""
    found: list[Any] = []
    _mutable(value, found, set())
    if not found:
        return False
    target = found[at % len(found)]
    if isinstance(target, BaseMessage):
        if at % 3 == 0:
            target.id = f"{word}-{at}"
        elif at % 3 == 1 and target.content:
            target.content = [{"type": "text", "text": word}, {"type": "text", "text": f"{at}"}]
        elif isinstance(target.content, str):
            target.content = f"{target.content}{word}"
        else:
            target.additional_kwargs = {word: [at]}
    elif isinstance(target, list):
        if target and at % 3 == 0:
            target.pop(0)
        elif target and at % 3 == 1:
            target[-1] = {word: at}
        else:
            target.append(word)
    elif isinstance(target, dict):
        if target and at % 3 == 0:
            target.pop(next(iter(target)))
        elif target and at % 3 == 1:
            target[next(iter(target))] = [word]
        else:
            target[word] = at
    return True


def _mutable(value: Any, found: list[Any], met: set[int]) -> None:
    if id(value) in met:
        return
    met.add(id(value))
    if isinstance(value, BaseMessage):
        found.append(value)
        for name in sorted(value.__dict__):
            _mutable(value.__dict__[name], found, met)
    elif isinstance(value, dict):
        found.append(value)
        for item in value.values():
            _mutable(item, found, met)
    elif isinstance(value, list | tuple):
        if isinstance(value, list):
            found.append(value)
        for item in value:
            _mutable(item, found, met)
