"""The codec: nothing in stored bytes is trusted, and classes may change between runs."""

from __future__ import annotations

import dataclasses
import enum
import gc
import importlib
import importlib.util
import logging
import pathlib
import random
import sys
import textwrap
import types
from collections import defaultdict
from typing import Any, NamedTuple
from zlib import crc32

import ormsgpack
import pydantic
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.types import Command, Send

from threadloom.errors import CorruptRecord, SchemaTooNew, SerializationError, UntrustedType
from threadloom.serde import Codec, Opaque
from threadloom.serde import format as f

CODEC = Codec(strict=False)
HERE = __name__
KINDS = {
    f.ENUM: lambda name: [name, "A"],
    f.FLAG: lambda name: [name, 1],
    f.NAMED_TUPLE: lambda name: [name, {"a": 1}],
    f.DATACLASS: lambda name: [name, {"a": 1}],
    f.MODEL: lambda name: [name, {"a": 1}],
    f.SLOTTED: lambda name: [name, {"a": 1}],
    f.BUILTIN: lambda name: [name, "dict", []],
}


def forge(tag: int, content: Any) -> bytes:
    """A record with a right checksum around whatever one likes."""
    body = content if isinstance(content, bytes) else f.pack(content)
    return f.frame(f.pack(ormsgpack.Ext(tag, body)))


def forge_all(name: str) -> list[bytes]:
    return [forge(tag, make(name)) for tag, make in KINDS.items()]


@pytest.fixture
def write_module(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes an importable module; forgets all of them afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    names: list[str] = []

    def write(name: str, source: str, *, load: bool = True) -> Any:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source), encoding="utf-8")
        names.append(name)
        importlib.invalidate_caches()
        sys.modules.pop(name, None)
        cached = tmp_path / "__pycache__"
        for file in cached.glob("*.pyc") if cached.exists() else ():
            file.unlink()
        return importlib.import_module(name) if load else None

    yield write
    for name in names:
        sys.modules.pop(name, None)


# --- nothing is imported, nothing runs -----------------------------------------------------------


def test_a_module_is_never_imported(write_module: Any) -> None:
    write_module("serde_bait", "import sys\nsys.serde_bait_ran = True\nA = 1\n", load=False)
    for data in forge_all("serde_bait:A"):
        with pytest.raises(UntrustedType, match="import serde_bait first") as caught:
            CODEC.loads(data)
        assert caught.value.type_name == "serde_bait:A"
        assert isinstance(CODEC.loads_opaque(data), Opaque)
    assert "serde_bait" not in sys.modules
    assert not hasattr(sys, "serde_bait_ran")


ARMED = False


def trap(*_: Any, **__: Any) -> Any:
    if ARMED:
        raise AssertionError("application code ran")


@pytest.fixture
def armed(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda: monkeypatch.setattr(sys.modules[HERE], "ARMED", True)


class TrapMeta(type):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        trap()
        return super().__call__(*args, **kwargs)

    def __getattribute__(cls, name: str) -> Any:
        trap()
        return super().__getattribute__(name)


class Watched:
    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        trap()
        return super().__new__(cls)

    def __setattr__(self, name: str, value: Any) -> None:
        trap()
        object.__setattr__(self, name, value)

    def __setstate__(self, state: Any) -> None:
        trap()

    def __reduce__(self) -> Any:
        trap()
        return super().__reduce__()

    def __init_subclass__(cls) -> None:
        trap()


@dataclasses.dataclass
class TrapData(Watched, metaclass=TrapMeta):
    a: int

    def __post_init__(self) -> None:
        trap()

    @property
    def b(self) -> int:
        trap()
        return 1

    @b.setter
    def b(self, value: int) -> None:
        trap()


@dataclasses.dataclass
class TrapUnseen(Watched, metaclass=TrapMeta):
    """Only ever read, never written."""

    a: int


@dataclasses.dataclass
class TrapSlots(Watched):
    __slots__ = ("a",)
    a: int

    def __post_init__(self) -> None:
        trap()


class TrapModel(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", validate_assignment=True)
    a: int
    _p: int = pydantic.PrivateAttr(default=1)

    def __init__(self, **data: Any) -> None:
        trap()
        super().__init__(**data)

    def __setattr__(self, name: str, value: Any) -> None:
        trap()
        super().__setattr__(name, value)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _before(cls, data: Any) -> Any:
        trap()
        return data

    @pydantic.field_validator("a")
    @classmethod
    def _field(cls, value: int) -> int:
        trap()
        return value

    def model_post_init(self, context: Any) -> None:
        trap()
        super().model_post_init(context)


class _TupleBase(NamedTuple):
    a: int


class TrapTuple(_TupleBase):
    def __new__(cls, *args: Any) -> Any:
        trap()
        return super().__new__(cls, *args)

    @classmethod
    def _make(cls, iterable: Any) -> Any:
        trap()
        return super()._make(iterable)


class TrapDict(dict):
    def __new__(cls, *args: Any) -> Any:
        trap()
        return super().__new__(cls)

    def __init__(self, *args: Any) -> None:
        trap()
        super().__init__(*args)

    def __setitem__(self, key: Any, value: Any) -> None:
        trap()
        super().__setitem__(key, value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        trap()


class TrapList(list):
    def __init__(self, *args: Any) -> None:
        trap()
        super().__init__(*args)

    def append(self, item: Any) -> None:
        trap()

    def extend(self, items: Any) -> None:
        trap()


class TrapDefault(defaultdict):
    def __missing__(self, key: Any) -> Any:
        trap()

    def __init__(self, *args: Any) -> None:
        trap()
        super().__init__(*args)


class TrapStr(str):
    def __new__(cls, value: str) -> Any:
        trap()
        return super().__new__(cls, value)

    def __eq__(self, other: object) -> bool:
        trap()
        return str.__eq__(self, other)

    __hash__ = str.__hash__


class TrapFlag(enum.Flag):
    ONE = 1
    TWO = 2
    FOUR = 4

    @classmethod
    def _missing_(cls, value: Any) -> Any:
        trap()
        return super()._missing_(value)


class TrapEnum(enum.Enum):
    A = 1

    @classmethod
    def _missing_(cls, value: Any) -> Any:
        trap()


def test_no_code_of_a_class_runs(armed: Any) -> None:
    extra = TrapModel(a=1, more=(1,))
    values = [
        *(TrapData(1), TrapSlots(1), extra, TrapTuple(1), TrapDict({1: 2}), TrapList([1])),
        *(TrapDefault(list, {1: [2]}), TrapStr("x"), TrapFlag.ONE | TrapFlag.TWO, TrapEnum.A),
    ]
    stored = [CODEC.dumps(value) for value in values]
    stored.append(forge(f.DATACLASS, [f"{HERE}:TrapUnseen", {"a": 1}]))
    six = forge(f.FLAG, [f"{HERE}:TrapFlag", 6])
    armed()
    with pytest.raises(AssertionError, match="code ran"):  # the traps do work
        TrapData(1)
    loaded = [CODEC.loads(data) for data in stored]
    flag = CODEC.loads(six)
    assert [type(value) for value in loaded[:-1]] == [type(value) for value in values]
    assert type(loaded[-1]) is TrapUnseen
    assert loaded[-1].__dict__ == {"a": 1}
    assert loaded[0].__dict__ == {"a": 1}
    assert loaded[1].a == 1
    assert loaded[2].__dict__ == {"a": 1}
    assert loaded[2].__pydantic_extra__ == {"more": (1,)}
    assert tuple(loaded[3]) == (1,)
    assert dict.items(loaded[4]) == {1: 2}.items()
    assert list.__eq__(loaded[5], [1])
    assert dict.items(loaded[6]) == {1: [2]}.items()
    assert loaded[6].default_factory is list
    assert str.__eq__(loaded[7], "x")
    assert loaded[8] is values[8]
    assert (flag.value, flag.name, flag in TrapFlag(6)) == (6, "TWO|FOUR", True)
    assert flag is TrapFlag(6)
    assert TrapFlag.FOUR in flag


def test_the_flag_made_by_hand_is_the_one_enum_makes() -> None:
    for boundary in (enum.STRICT, enum.CONFORM, enum.KEEP):
        made = enum.IntFlag("Made", {"A": 1, "B": 2, "C": 8}, boundary=boundary)
        twin = enum.IntFlag("Twin", {"A": 1, "B": 2, "C": 8}, boundary=boundary)
        codec = Codec(aliases={"m:Made": made})
        for value in (0, 3, 9, 11):
            flag = codec.loads(forge(f.FLAG, ["m:Made", value]))
            assert (flag.name, flag.value, int(flag)) == (twin(value).name, value, value)
            assert flag is made(value)
            assert ~flag == made(11) - flag if boundary is enum.STRICT else True
        unknown = forge(f.FLAG, ["m:Made", 4])
        if boundary is enum.KEEP:
            assert codec.loads(unknown) is made(4)
        else:
            with pytest.raises(UntrustedType, match="no member"):
                codec.loads(unknown)


called: list[str] = []


def function(*args: Any, **kwargs: Any) -> None:
    called.append("function")


class Chameleon:
    """An object whose class and attributes are answered by code."""

    @property
    def __class__(self) -> Any:
        called.append("__class__")
        return type

    def __getattr__(self, name: str) -> Any:
        called.append(name)
        return TrapData


chameleon = Chameleon()


class WithAttribute:
    @property
    def Inner(self) -> Any:
        called.append("Inner")
        return TrapData

    class Real:
        """Not a data class."""


NOT_CLASSES = [
    f"{HERE}:function",
    f"{HERE}:chameleon",
    f"{HERE}:chameleon.Inner",
    f"{HERE}:WithAttribute",
    f"{HERE}:WithAttribute.Inner",
    f"{HERE}:WithAttribute.Real",
    f"{HERE}:missing",
    f"{HERE}:function.__globals__",
    f"{HERE}:sys",
    f"{HERE}:sys.modules",
    "builtins:eval",
    "builtins:dict",
    "builtins:object",
    "builtins:type",
    "builtins:ValueError",
    "os:system",
    "subprocess:Popen",
    "sys:exit",
    "threading:Thread",
    f"{HERE}:<locals>",
    f"{HERE}:.",
    f"{HERE}:a..b",
    "a\x00b:c",
]


@pytest.mark.parametrize("name", NOT_CLASSES)
def test_only_data_classes_are_rebuilt(name: str) -> None:
    called.clear()
    for data in forge_all(name):
        with pytest.raises(UntrustedType) as caught:
            CODEC.loads(data)
        assert name in str(caught.value)
        assert caught.value.type_name == name
    assert called == []


def test_neither_a_modules_getattr_nor_a_lazy_module_runs(
    write_module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = write_module("serde_getattr", "ran = []\ndef __getattr__(n):\n    ran.append(n)\n")
    write_module("serde_lazy", "import sys\nsys.serde_lazy_ran = True\n", load=False)
    spec = importlib.util.find_spec("serde_lazy")
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    lazy = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "serde_lazy", lazy)
    spec.loader.exec_module(lazy)
    monkeypatch.setitem(sys.modules, "serde_odd", chameleon)
    called.clear()
    for name in ("serde_getattr:Thing", "serde_getattr:Thing.Inner", "serde_lazy:Thing"):
        for data in forge_all(name):
            with pytest.raises(UntrustedType):
                CODEC.loads(data)
    for data in forge_all("serde_odd:Thing"):
        with pytest.raises(UntrustedType):
            CODEC.loads(data)
    assert module.ran == []
    assert not hasattr(sys, "serde_lazy_ran")
    assert called == []


def test_the_stored_kind_must_be_the_kind_of_the_class() -> None:
    names = {
        f"{HERE}:TrapData": f.DATACLASS,
        f"{HERE}:TrapModel": f.MODEL,
        f"{HERE}:TrapTuple": f.NAMED_TUPLE,
        f"{HERE}:TrapDict": f.BUILTIN,
        f"{HERE}:TrapEnum": f.ENUM,
        f"{HERE}:TrapFlag": f.FLAG,
    }
    for name, own in names.items():
        for tag, make in KINDS.items():
            if tag != own:
                with pytest.raises(UntrustedType, match="it was stored as"):
                    CODEC.loads(forge(tag, make(name)))
    with pytest.raises(UntrustedType, match="no longer extends list"):
        CODEC.loads(forge(f.BUILTIN, [f"{HERE}:TrapDict", "list", []]))
    with pytest.raises(UntrustedType, match="does not have it as it was stored"):
        CODEC.loads(forge(f.DATACLASS, [4, {}]))


@dataclasses.dataclass
class Finalised:
    a: int

    def __del__(self) -> None:
        called.append("__del__")


def test_a_class_with_a_finalizer_has_to_be_allowed() -> None:
    data = CODEC.dumps(Finalised(1))
    gc.collect()
    called.clear()
    with pytest.raises(UntrustedType, match="__del__"):
        CODEC.loads(data)
    gc.collect()
    assert called == []
    assert Codec(allow=[Finalised]).loads(data).a == 1


def test_a_time_zone_is_a_name_and_not_a_path() -> None:
    for key in ("../../../etc/passwd", "/etc/passwd", "Europe/../Europe/Oslo", "a\\b", "a.b", ""):
        for content in ([1, 1, 1, 1, 1, 1, 1, 0, key],):
            with pytest.raises(CorruptRecord):
                CODEC.loads(forge(f.DATETIME, content))
    stored = forge(f.DATETIME, [1, 1, 1, 1, 1, 1, 1, 0, "Nowhere/Town"])
    with pytest.raises(UntrustedType, match="tzdata"):
        CODEC.loads(stored)
    assert CODEC.loads_opaque(stored).type_name == "datetime:datetime"


def test_a_pattern_cannot_print(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CorruptRecord):
        CODEC.loads(forge(f.PATTERN, ["a", 128 | 32]))
    assert capsys.readouterr().out == ""


# --- damage ------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Line:
    n: int
    text: str = ""


class Colour(enum.Enum):
    RED = 1


class Order(pydantic.BaseModel):
    id: int
    lines: list[Line] = []
    _note: str = pydantic.PrivateAttr(default="n")


class Words(list): ...


RICH = {
    "messages": [
        HumanMessage("é" * 20, id="1"),
        AIMessage("", tool_calls=[{"name": "t", "args": {"a": 1}, "id": "c"}]),
        ToolMessage("x", tool_call_id="c", artifact={1: (2, {3})}),
    ],
    "order": Order(id=2**70, lines=[Line(1)]),
    "colour": {Colour.RED: Words(["a"]), (1, None): 1.5},
    "send": Command(goto=[Send("n", {"a": b"x"})]),
    "odd": ["\ud800", bytearray(b"x"), complex(1, 2)],
}


def test_cut_or_lengthened_or_flipped_bytes_are_damage() -> None:
    data = CODEC.dumps(RICH)
    for length in range(len(data)):
        with pytest.raises(CorruptRecord):
            CODEC.loads(data[:length])
    for tail in (b"\x00", b"\xc0", data):
        with pytest.raises(CorruptRecord):
            CODEC.loads(data + tail)
    for at in range(len(data)):
        with pytest.raises(CorruptRecord):
            CODEC.loads(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        with pytest.raises(CorruptRecord):
            CODEC.loads_opaque(data[:at] + bytes([data[at] ^ 0x01]) + data[at + 1 :])


def test_a_newer_format_is_named() -> None:
    newer = b"\x03" + CODEC.dumps(1)[1:-4]
    with pytest.raises(SchemaTooNew, match=r"version 3.*upgrade"):
        CODEC.loads(newer + crc32(newer).to_bytes(4, "little"))
    with pytest.raises(CorruptRecord):
        CODEC.loads(b"\x03" + CODEC.dumps(1)[1:])
    for other in ("text", None, 3):
        with pytest.raises(CorruptRecord):
            CODEC.loads(other)  # type: ignore[arg-type]
    assert CODEC.loads(memoryview(CODEC.dumps([1]))) == [1]  # type: ignore[arg-type]
    assert CODEC.loads(bytearray(CODEC.dumps([1]))) == [1]  # type: ignore[arg-type]


def test_random_damage_below_the_checksum(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "threadloom.serde")
    rng = random.Random(20)
    _, body = f.unframe(CODEC.dumps(RICH))
    seen = {CorruptRecord: 0, UntrustedType: 0, object: 0}
    for _ in range(6000):
        forged = bytearray(body)
        for _ in range(rng.choice((1, 1, 1, 2, 5))):
            at = rng.randrange(len(forged))
            match rng.randrange(4):
                case 0:
                    forged[at] = rng.randrange(256)
                case 1:
                    del forged[at : at + rng.randrange(1, 4)]
                case 2:
                    forged[at:at] = rng.randbytes(rng.randrange(1, 4))
                case _:
                    forged[at] ^= 1 << rng.randrange(8)
        try:
            CODEC.loads(f.frame(bytes(forged)))
            seen[object] += 1
        except (CorruptRecord, UntrustedType) as error:
            seen[type(error)] += 1
        try:
            CODEC.loads_opaque(f.frame(bytes(forged)))
        except CorruptRecord:
            pass
    assert all(seen.values())


ODD_CONTENT: list[Any] = [
    *(None, True, -1, 2**63, 0.5, "", "x", "a:b", b"", b"x", [], {}, [None], ["a:b"], [4]),
    *([[]], [{}], [1, {}], [4, []], [4, {"content": 1}, 3], [4, {}, ["a"], 5], ["list", 3]),
    *([None, None], [0, 0], [1, 0], ["x", "y"], [None, 3], [3, []], [-1, []], [0, [1]], [1, [2]]),
    *([[1], 2], [1, 1, 1], [None] * 4, [1] * 7, [None] * 7, [1] * 8, [0] * 9, ["a"] * 9),
    *(
        ["a:b", "dict", 3],
        ["a:b", "nope", []],
        ["a:b", {}, ormsgpack.Ext(f.PAIRS, b"\x92\x01\x02")],
        ["<f8", [-1], "C", b""],
    ),
    *([f"{HERE}:TrapDict", "dict", 3], [f"{HERE}:TrapDict", "dict", [1]]),
    *([f"{HERE}:TrapDict", "dict", [[], 1]], [f"{HERE}:Line", {"n": 1}, 3], [f"{HERE}:Line", 3]),
    *([f"{HERE}:Colour", 3], [f"{HERE}:Order", {}, None, 7], [f"{HERE}:Order", {}, None, None, 7]),
]


@pytest.mark.parametrize("tag", range(128))
def test_every_extension_with_odd_content(tag: int) -> None:
    outcomes = set()
    for content in ODD_CONTENT:
        for data in (forge(tag, content), forge(tag, f.pack(content) + b"\xc1")):
            try:
                CODEC.loads(data)
                outcomes.add("value")
            except (CorruptRecord, UntrustedType) as error:
                outcomes.add(type(error).__name__)
            try:
                CODEC.loads_opaque(data)
            except CorruptRecord:
                pass
    for raw in (b"", b"\xc1", b"\xff\xfe", b"\xc0"):
        try:
            CODEC.loads(forge(tag, raw))
        except (CorruptRecord, UntrustedType):
            outcomes.add("CorruptRecord")
    assert "CorruptRecord" in outcomes or tag in (f.BYTEARRAY, f.BIG_INT)


@pytest.mark.parametrize(
    ("tag", "content"),
    [
        (f.TUPLE, {"a": 1}),
        (f.PAIRS, [1]),
        (f.PAIRS, [[], 1]),
        (f.PAIRS, ["a", 1, "a", 2]),
        (f.SET, [[]]),
        (f.DEQUE, [1, [1, 2]]),
        (f.DEFAULT_DICT, ["eval", []]),
        (f.DEFAULT_DICT, ["object", []]),
        (f.COMPLEX, ["1", 2.0]),
        (f.DECIMAL, b"ten"),
        (f.DECIMAL, b" 1 "),
        (f.FRACTION, [1, 0]),
        (f.FRACTION, ["1", 2]),
        (f.RANGE, [1, 2, 0]),
        (f.DATE, [2024, 13, 1]),
        (f.TIME, [25, 0, 0, 0, 0, None]),
        (f.DATETIME, [2024, 1, 1, 0, 0, 0, 0, 0, [999999, 0, 0]]),
        (f.TIMEDELTA, [10**12, 0, 0]),
        (f.ZONE, None),
        (f.UUID_, b"short"),
        (f.PATH, b"\x09x"),
        (f.PATTERN, ["(", 32]),
        (f.IP, b"\x00999.1.1.1"),
        (f.SECRET, 3),
        (f.URL, [1, "not a url"]),
        (f.MODEL, [4, {"content": "x"}, [1]]),
        (f.MODEL, [4, {"content": "x"}, None, [1]]),
        (f.MODEL, [999, {}]),
        (f.MODEL, ["no colon", {}]),
        (f.DATACLASS, [f"{HERE}:Line", [1]]),
        (39, 1),
    ],
)
def test_wrong_inner_shapes_are_damage(tag: int, content: Any) -> None:
    with pytest.raises(CorruptRecord):
        CODEC.loads(forge(tag, content))


def test_a_forged_depth_does_not_end_the_interpreter() -> None:
    plain = b"\x91" * 100_000 + b"\xc0"
    extensions = b"\xc0"
    for _ in range(3000):
        extensions = f.pack(ormsgpack.Ext(f.TUPLE, b"\x91" + extensions))
    both = b"\xc0"
    for _ in range(100):
        both = b"\x91" * 1000 + f.pack(ormsgpack.Ext(f.TUPLE, both))
    hidden = b"\xc0"
    for _ in range(100):
        hidden = b"\x92\xa1\xc2" * 900 + f.pack(ormsgpack.Ext(f.TUPLE, hidden))
    maps = b"\xc0"
    for _ in range(60):
        maps = b"\x81\xa1a" * 1000 + f.pack(ormsgpack.Ext(f.TUPLE, b"\x91" + maps))
    for body in (plain, extensions, both, hidden, maps):
        with pytest.raises(CorruptRecord):
            CODEC.loads(f.frame(body))


def test_the_depth_of_a_body_is_counted_exactly() -> None:
    samples: list[tuple[Any, int]] = [
        (1, 0),
        ([], 1),
        ([1, "é" * 300, b"x" * 70_000, 1.5, 2**40, -5, None, True], 1),
        ({"a": [1, {"b": []}], "c": {}}, 4),
        ([[], [[]], []], 3),
        ([list(range(20)), {str(n): [n] for n in range(20)}], 3),
        ([ormsgpack.Ext(5, f.pack([[[[]]]])), [ormsgpack.Ext(6, b"x" * 300)]], 2),
        ([300, 70_000, -300, -70_000, 2**63, -(2**40), "x" * 40, "x" * 300, "x" * 70_000], 1),
    ]
    for value, depth in samples:
        assert f.nesting(f.pack(value)) == depth
        assert f.nesting_at_most(f.pack(value)) >= depth
    assert f.nesting(b"\xdd\x00\x00\x00\x02\xdc\x00\x01\xc0\xdf\x00\x00\x00\x01\xa1a\x90") == 3


# --- classes that changed ------------------------------------------------------------------------


BEFORE = """
    import dataclasses, enum, pydantic
    from typing import NamedTuple
    @dataclasses.dataclass
    class Data:
        kept: int
        lost: int = 1
        def __post_init__(self):
            self.attribute = "stays"
    class Model(pydantic.BaseModel):
        kept: int
        lost: int = 1
    class Tuple(NamedTuple):
        kept: int
        lost: int = 1
    class Enum(enum.Enum):
        KEPT = 1
        LOST = 2
    class Turned(pydantic.BaseModel):
        a: int = 1
    @dataclasses.dataclass(slots=True)
    class Slots:
        kept: int
        lost: int = 1
"""
AFTER = """
    import dataclasses, enum, pydantic
    from typing import NamedTuple, Any
    def forbidden():
        raise AssertionError("a factory ran")
    @dataclasses.dataclass
    class Data:
        needed: int
        kept: int = 5
        plain: str = "p"
        made: list = dataclasses.field(default_factory=list)
        code: Any = dataclasses.field(default_factory=forbidden)
    class Model(pydantic.BaseModel):
        needed: int
        kept: int = 5
        plain: str = "p"
        made: dict = pydantic.Field(default_factory=dict)
        code: Any = pydantic.Field(default_factory=forbidden)
        _private: list = pydantic.PrivateAttr(default_factory=list)
    class Tuple(NamedTuple):
        needed: int
        kept: int
        plain: str = "p"
    class Enum(enum.Enum):
        KEPT = "other value"
    @dataclasses.dataclass
    class Turned:
        a: int = 1
    @dataclasses.dataclass(slots=True)
    class Slots:
        kept: int
        needed: int
        plain: str = "p"
"""


def test_a_class_that_changed_loads_with_what_fits(
    write_module: Any, caplog: pytest.LogCaptureFixture
) -> None:
    from threadloom.serde import types_records

    types_records._told.clear()
    old = write_module("serde_app", BEFORE)
    stored = {
        name: CODEC.dumps(getattr(old, name)(kept=3))
        for name in ("Data", "Model", "Tuple", "Slots")
    }
    members = [CODEC.dumps(member) for member in old.Enum]
    turned = CODEC.dumps(old.Turned())
    new = write_module("serde_app", AFTER)
    with caplog.at_level(logging.WARNING, "threadloom.serde"):
        data, model, pair, slots = (CODEC.loads(item) for item in stored.values())
        first = len(caplog.records)
        for item in stored.values():
            CODEC.loads(item)
    assert len(caplog.records) == first  # each difference once
    for name, fields in {
        "Data": ("needed", "plain", "made", "code", "lost"),
        "Model": ("needed", "plain", "made", "code", "lost"),
        "Tuple": ("needed", "plain", "lost"),
        "Slots": ("needed", "plain", "lost"),
    }.items():
        said = [r.getMessage() for r in caplog.records if f"serde_app:{name}:" in r.getMessage()]
        assert len(said) == len(fields)
        assert all(any(f"{field!r}" in text for text in said) for field in fields)
    assert type(data) is new.Data
    assert data.__dict__ == {"kept": 3, "plain": "p", "made": [], "attribute": "stays"}
    assert CODEC.loads(stored["Data"]).made is not data.made
    assert type(model) is new.Model
    assert model.__dict__ == {"kept": 3, "plain": "p", "made": {}}
    assert model.__pydantic_fields_set__ == {"kept"}
    assert model._private == []
    assert pair == new.Tuple(None, 3, "p")
    assert (slots.kept, slots.plain, hasattr(slots, "needed")) == (3, "p", False)
    assert CODEC.loads(members[0]) is new.Enum.KEPT
    with pytest.raises(UntrustedType, match="no member 'LOST'"):
        CODEC.loads(members[1])
    with pytest.raises(UntrustedType, match="stored as a pydantic model and is a dataclass"):
        CODEC.loads(turned)


def test_a_class_that_did_not_change_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "threadloom.serde"):
        CODEC.loads(CODEC.dumps(RICH))
        CODEC.loads(CODEC.dumps(HumanMessage.model_construct(id="1")))
        CODEC.loads(CODEC.dumps(Order.model_construct()))
    assert caplog.records == []


def test_a_renamed_class_loads_by_its_alias(write_module: Any) -> None:
    old = write_module("serde_app", BEFORE)
    stored = CODEC.dumps([old.Data(3), old.Model(kept=1), old.Enum.KEPT])
    del sys.modules["serde_app"], old
    gc.collect()
    with pytest.raises(UntrustedType, match=r"aliases=\{'serde_app:Data'") as caught:
        CODEC.loads(stored)
    assert caught.value.type_name == "serde_app:Data"
    moved = write_module("serde_moved", BEFORE)
    names = {f"serde_app:{name}": getattr(moved, name) for name in ("Data", "Model", "Enum")}
    for strict in (False, True):
        data, model, member = Codec(aliases=names, strict=strict).loads(stored)
        assert type(data) is moved.Data
        assert type(model) is moved.Model
        assert member is moved.Enum.KEPT


def test_opaque_loading_shows_what_the_process_lacks(write_module: Any) -> None:
    old = write_module("serde_app", BEFORE + "    class Words(list): pass\n")
    value = {
        "message": HumanMessage("hi", additional_kwargs={"data": old.Data(3)}),
        "list": [old.Model(kept=1), old.Enum.KEPT, old.Tuple(1), old.Words([1, (2,)])],
        "keys": {old.Enum.KEPT: 1, old.Tuple(1): {old.Enum.LOST}},
        "mine": Line(1),
    }
    stored = CODEC.dumps(value)
    again = CODEC.loads_opaque(stored)
    assert again == value  # all classes are there
    del sys.modules["serde_app"], old, value, again
    gc.collect()
    with pytest.raises(UntrustedType, match="import serde_app first"):
        CODEC.loads(stored)
    shown = CODEC.loads_opaque(stored)
    assert type(shown["message"]) is HumanMessage
    assert shown["message"].additional_kwargs["data"] == Opaque(
        "serde_app:Data", {"kept": 3, "lost": 1, "attribute": "stays"}
    )
    assert shown["list"] == [
        Opaque("serde_app:Model", {"kept": 1, "lost": 1}),
        Opaque("serde_app:Enum", "KEPT"),
        Opaque("serde_app:Tuple", {"kept": 1, "lost": 1}),
        Opaque("serde_app:Words", [1, (2,)]),
    ]
    assert shown["keys"][Opaque("serde_app:Enum", "KEPT")] == 1
    assert shown["mine"] == Line(1)
    assert "serde_app" not in sys.modules


# --- strict and narrowed -------------------------------------------------------------------------


def test_strict_loads_the_list_only(monkeypatch: pytest.MonkeyPatch) -> None:
    safe = [RICH["messages"][0], RICH["send"], {1: (2, {3})}, pathlib.PurePosixPath("/x")]
    for raw, strict in {"1": True, "true": True, "YES": True, "0": False, "": False}.items():
        monkeypatch.setenv("LANGGRAPH_STRICT_MSGPACK", raw)
        assert Codec().strict is strict
    monkeypatch.delenv("LANGGRAPH_STRICT_MSGPACK")
    assert Codec().strict is False
    monkeypatch.setenv("LANGGRAPH_STRICT_MSGPACK", "true")
    assert Codec(strict=False).strict is False
    codec = Codec()
    assert codec.loads(codec.dumps(safe)) == safe
    for value in (Line(1), Order(id=1), Colour.RED, Words([1]), _TupleBase(1)):
        data = codec.dumps([value])
        with pytest.raises(UntrustedType, match="not in the list") as caught:
            codec.loads(data)
        name = type(value).__qualname__
        assert caught.value.type_name == f"{HERE}:{name}"
        shown = codec.loads_opaque(data)[0]
        assert shown.type_name == f"{HERE}:{name}"
        for allow in (type(value), (HERE, name)):
            assert Codec(allow=[allow], strict=True).loads(data) == [value]
        with pytest.raises(UntrustedType):
            Codec(allow=[("elsewhere", name)], strict=True).loads(data)


class Shell:
    @dataclasses.dataclass
    class Core:
        a: int


def test_narrowed_is_the_list_and_what_is_added() -> None:
    wide = Codec(allow=[Line], strict=False)
    narrow = wide.narrowed([Order, (HERE, "Core"), ("datetime", "datetime", "fromisoformat")])
    values = [Line(1), Order(id=1), Shell.Core(2), HumanMessage("x")]
    assert narrow.loads(narrow.dumps(values)) == values
    assert narrow.strict
    assert not wide.strict
    red = wide.dumps(Colour.RED)
    assert wide.loads(red) is Colour.RED
    with pytest.raises(UntrustedType, match="Colour"):
        narrow.loads(red)
    assert narrow.narrowed({(HERE, "Colour")}).loads(red) is Colour.RED
    assert narrow.narrowed([]).loads(wide.dumps(Line(2))) == Line(2)
    assert narrow.narrowed([str, dict]).loads(wide.dumps(Line(2))) == Line(2)
    with pytest.raises(UntrustedType):
        Codec(strict=False).narrowed([]).loads(wide.dumps(Line(2)))


def test_an_allowed_name_is_still_never_imported(write_module: Any) -> None:
    write_module("serde_bait", "import dataclasses\n", load=False)
    for data in forge_all("serde_bait:A"):
        with pytest.raises(UntrustedType, match="import serde_bait first"):
            Codec(allow=[("serde_bait", "A")]).loads(data)
    assert "serde_bait" not in sys.modules


def test_wrong_settings_are_refused_at_once() -> None:
    for bad in ("text", ("a",), ("a", "b", "c"), 3, Watched, dict, types.ModuleType):
        with pytest.raises(TypeError):
            Codec(allow=[bad])  # type: ignore[list-item]
    for alias in ({"no colon": Line}, {"a:b": dict}, {"a:b": "c:d"}):
        with pytest.raises(TypeError):
            Codec(aliases=alias)  # type: ignore[arg-type]


def test_errors_are_of_the_tree() -> None:
    assert issubclass(UntrustedType, SerializationError)
    assert issubclass(SerializationError, TypeError)
    assert issubclass(CorruptRecord, ValueError)
