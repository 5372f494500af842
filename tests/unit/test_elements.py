"""Long texts as records, and back."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadloom import CorruptRecord
from threadloom.checkpoint.elements import text_blob, text_in
from threadloom.ops import Record


def record(blob: bytes | None, text: str | None = None) -> Record:
    return Record(("texts",), "k", None, blob, text, 1, 0, 0)


@given(st.text() | st.binary(), st.integers(1, 3_000))
def test_a_text_comes_back(part: str | bytes, times: int) -> None:
    text = part * times
    found = text_in(record(text_blob(text)))
    assert found == text
    assert type(found) is type(text)
    if isinstance(text, str):
        assert text_in(record(None, text)) == text


def test_a_large_text_takes_less_than_it_has() -> None:
    prose = " ".join(random.Random(1).choices(["one", "word", "after", "another"], k=600))
    assert len(text_blob(prose)) < len(prose) / 3
    noise = "".join(chr(random.Random(at).randrange(0x4E00, 0x9FFF)) for at in range(2_000))
    assert len(text_blob(noise)) <= len(noise.encode()) + 1
    assert len(text_blob(b"x" * 5_000)) == 5_001  # bytes are mostly compressed already


@pytest.mark.parametrize(
    "blob", [None, b"", b"?x", b"s\xff", b"z", b"znot compressed", text_blob("x" * 5_000)[:-3]]
)
def test_a_damaged_text_says_so(blob: bytes | None) -> None:
    with pytest.raises(CorruptRecord, match="damaged"):
        text_in(record(blob))
