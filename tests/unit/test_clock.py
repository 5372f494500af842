"""Times: microseconds inside, aware datetimes outside, exactly."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadloom.clock import from_micros, now_micros, to_micros

MOMENTS = st.datetimes(timezones=st.just(UTC))


@given(MOMENTS)
def test_a_moment_comes_back_exactly(moment: datetime) -> None:
    assert from_micros(to_micros(moment)) == moment
    assert from_micros(to_micros(moment)).tzinfo is UTC


@given(MOMENTS, MOMENTS)
def test_the_order_is_kept(one: datetime, other: datetime) -> None:
    assert (to_micros(one) < to_micros(other)) is (one < other)


@pytest.mark.parametrize(
    ("moment", "micros"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), 0),
        (datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC), 1),
        (datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), -1),
        (datetime(2026, 3, 4, 5, 6, 7, 891_011, tzinfo=UTC), 1_772_600_767_891_011),
        (datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), 0),
        (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), 253_402_300_799_999_999),
    ],
)
def test_known_moments(moment: datetime, micros: int) -> None:
    assert to_micros(moment) == micros
    assert from_micros(micros) == moment


def test_a_naive_moment_is_refused() -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    with pytest.raises(ValueError, match="time zone"):
        to_micros(naive)
    with pytest.raises(ValueError, match="time zone"):
        now_micros(lambda: naive)


def test_now_is_the_clocks_or_the_systems() -> None:
    assert now_micros(lambda: datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)) == 1_000_000
    before = time.time_ns() // 1000
    assert before <= now_micros(None) <= time.time_ns() // 1000
