"""Which days are asked of an API: restated, missing, ahead; and how they are cut into windows."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pipelines.windows import FIRST_RUN_DAYS, wanted, windows

TODAY = date(2026, 3, 10)
DAYS = st.sets(st.integers(0, 400).map(lambda n: date(2025, 6, 1) + timedelta(days=n)), max_size=60)


def ask(held: set[date], **changes: object) -> set[date]:
    settings: dict[str, object] = {
        "since": date(2026, 3, 1),
        "today": TODAY,
        "held": held,
        "restatement_days": 3,
        "ahead_days": 0,
        **changes,
    }
    return wanted(**settings)  # type: ignore[arg-type]


def march(*days: int) -> set[date]:
    return {date(2026, 3, day) for day in days}


def test_the_first_run_reads_every_day_that_is_over() -> None:
    assert ask(set()) == march(*range(1, 10))


def test_without_since_a_year_is_read() -> None:
    assert len(ask(set(), since=None)) == FIRST_RUN_DAYS
    assert max(ask(set(), since=None)) == date(2026, 3, 9)


def test_a_later_night_reads_what_may_be_restated_and_what_is_missing() -> None:
    held = march(1, 2, 4, 5, 6, 7, 8)
    assert ask(held) == march(3, 7, 8, 9)


def test_today_is_asked_only_by_who_looks_ahead_and_is_never_held() -> None:
    assert ask(march(*range(1, 14)), ahead_days=3) == march(7, 8, 9, 10, 11, 12)


def test_a_source_that_begins_tomorrow_is_not_asked() -> None:
    assert ask(set(), since=date(2026, 3, 11)) == set()


@given(days=DAYS, longest=st.integers(1, 40))
def test_windows_hold_each_day_once_and_no_other(days: set[date], longest: int) -> None:
    cut = windows(days, longest)
    held = [first + timedelta(days=n) for first, last in cut for n in range((last - first).days + 1)]
    assert sorted(held) == sorted(days)
    assert all((last - first).days < longest for first, last in cut)
    assert cut == sorted(cut, reverse=True)
