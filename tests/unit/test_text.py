"""The tokenizer that all engines share."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadloom.text import _word_pattern, tokens


@pytest.mark.parametrize(
    ("text", "words"),
    [
        # Words
        ("", []),
        ("Hello, world!", ["hello", "world"]),
        ("one two  one\n\tthree", ["one", "two", "one", "three"]),
        ("snake_case kebab-case dotted.name", ["snake", "case", "kebab", "case", "dotted", "name"]),
        ("it's 3.14 and 42", ["it", "s", "3", "14", "and", "42"]),
        ("x1 1x", ["x1", "1x"]),
        ('"quoted" (a*b) -c NEAR', ["quoted", "a", "b", "c", "near"]),
        ("!?… 🧵 — _ __", []),
        ("nul\x00and\ud800surrogate", ["nul", "and", "surrogate"]),
        ("zero\u200bwidth soft\u00adhyphen", ["zero", "width", "soft", "hyphen"]),
        # Case and compatibility
        ("STRASSE straße", ["strasse", "strasse"]),
        ("ΣΟΦΟΣ σοφος", ["σοφοσ", "σοφοσ"]),
        ("ÉCOLE E\u0301cole école", ["école", "école", "école"]),
        ("\uff26\uff35\uff2c\uff2c \ufb01ne \u2460", ["full", "fine", "1"]),
        ("\u212a", ["k"]),
        # Marks belong to their words
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("தமிழ்", ["தமிழ்"]),
        ("שָׁלוֹם", ["שָׁלוֹם"]),
        ("مُحَمَّد", ["مُحَمَّد"]),
        # Scripts with spaces
        ("Привет, мир", ["привет", "мир"]),
        ("서울 타워", ["서울", "타워"]),
        # Scripts without spaces: characters, then pairs
        ("東", ["東"]),
        ("東京都", ["東", "京", "都", "東京", "京都"]),
        ("タワー", ["タ", "ワ", "ー", "タワ", "ワー"]),
        ("2024年abc京", ["2024", "年", "abc", "京"]),
        ("東京、大阪", ["東", "京", "東京", "大", "阪", "大阪"]),
        ("กา", ["ก", "า", "กา"]),
        ("\U00020000\U00020001", ["\U00020000", "\U00020001", "\U00020000\U00020001"]),
        ("\uff76\uff85", ["カ", "ナ", "カナ"]),
    ],
)
def test_tokens(text: str, words: list[str]) -> None:
    assert tokens(text) == words


@given(st.text())
def test_a_token_holds_nothing_that_separates(text: str) -> None:
    for token in tokens(text):
        assert token
        assert not any(char.isspace() or char in "\"'*_-.,:()\x00" for char in token)
        assert not any("\ud800" <= char <= "\udfff" for char in token)


@given(st.text())
def test_what_is_quoted_for_a_search_is_found_again(text: str) -> None:
    """Every token of a text is found by searching for it, and for the text as a whole."""
    found = set(tokens(text))
    assert found == set(tokens(f'"{text}" '))
    assert found <= set(tokens(f"{text} and more"))


@given(st.text(st.characters(codec="ascii")))
def test_case_does_not_matter_in_ascii(text: str) -> None:
    assert tokens(text.upper()) == tokens(text.lower()) == tokens(text)


@given(
    st.text(st.sampled_from("東京都大阪タワー"), min_size=1),
    st.integers(0, 8),
    st.integers(1, 8),
)
def test_a_part_of_a_sentence_is_in_the_sentence(text: str, start: int, size: int) -> None:
    assert set(tokens(text[start : start + size])) <= set(tokens(text))


def test_every_combining_mark_is_part_of_a_word() -> None:
    marks = [chr(code) for code in range(sys.maxunicode + 1)]
    marks = [mark for mark in marks if unicodedata.category(mark).startswith("M")]
    assert len(marks) > 2_000
    assert [mark for mark in marks if not _word_pattern().fullmatch(f"a{mark}b")] == []
