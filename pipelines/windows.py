"""Which days of an API are read tonight: those it may have changed, those that were never read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date, timedelta

# How far back the first run reads when the source says no `since`, days.
FIRST_RUN_DAYS = 365
_DAY = timedelta(days=1)


def wanted(
    *, since: date | None, today: date, held: Collection[date], restatement_days: int, ahead_days: int
) -> set[date]:
    """Days to read: the last `restatement_days`, what is missing since `since`, `ahead_days` from today on.

    Today is over for nobody, so it counts as held by none; without `ahead_days` it is not asked for.
    """
    first = since if since is not None else today - timedelta(days=FIRST_RUN_DAYS)
    past = {first + timedelta(days=n) for n in range((today - first).days)}
    restated = {day for day in past if (today - day).days <= restatement_days}
    ahead = {today + timedelta(days=n) for n in range(ahead_days)}
    return (past - set(held)) | restated | {day for day in ahead if day >= first}


def spans(days: Collection[date]) -> Iterator[tuple[date, date]]:
    """Runs of consecutive days as (first, last), oldest first."""
    first = last = None
    for day in sorted(days):
        if first is None or last is None:
            first = day
        elif day - last > _DAY:
            yield first, last
            first = day
        last = day
    if first is not None and last is not None:
        yield first, last


def windows(days: Collection[date], longest: int) -> list[tuple[date, date]]:
    """The days as windows of at most `longest` days, newest first: before trouble, read what matters.

    Every day lies in exactly one window, and no window holds another day.
    """
    found: list[tuple[date, date]] = []
    for first, last in spans(days):
        end = last
        while end >= first:
            begin = max(first, end - timedelta(days=longest - 1))
            found.append((begin, end))
            end = begin - _DAY
    return sorted(found, reverse=True)
