"""What ltv_cohorts must show: what patients of one month, channel and doctor paid, and who came again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate
from typing import Any, Final

from simulator.arithmetic import euros, month_end, month_of, number, quotient
from simulator.model import DAY, local_day
from simulator.sharing import largest_remainders
from simulator.truth import DEFAULT_MODEL, Journey, Truth

Cells = dict[str, Any]
ALL: Final = "(all)"
NONE: Final = "(none)"
_MONTH: Final = 30


@dataclass(frozen=True, slots=True)
class _Member:
    """A patient: cents by month since the first visit, and the months with another visit."""

    paid: dict[int, int]
    came: set[int]


@dataclass(slots=True)
class _Cohort:
    """Patients of one month; the default model gives each of them to one channel."""

    members: list[_Member]
    cents: int = 0

    def paid_in(self, month: int) -> int:
        return sum(member.paid.get(month, 0) for member in self.members)

    def came_in(self, month: int) -> int:
        return sum(month in member.came for member in self.members)

    def came_by(self, month: int) -> int:
        return sum(min(member.came, default=month + 1) <= month for member in self.members)


def _member(journey: Journey) -> _Member:
    start = journey.first.scheduled_at
    paid: dict[int, int] = defaultdict(int)
    for at, cents, _ in journey.money:
        paid[max((at - start) // (_MONTH * DAY), 0) + 1] += cents
    came = {
        (visit.scheduled_at - start) // (_MONTH * DAY) + 1
        for visit in journey.visits
        if local_day(visit.scheduled_at) > journey.first_day
    }
    return _Member(paid, came)


def ltv_cohorts(truth: Truth) -> list[Cells]:
    """Month of first visit, month since, channel, first doctor."""
    rows = []
    for month, cohorts in sorted(_cohorts(truth).items()):
        reached = (truth.as_of - month_end(month)) // timedelta(days=_MONTH)
        for channel in sorted({channel for channel, _ in cohorts} | {ALL}):
            for doctor in sorted({doctor for _, doctor in cohorts} | {ALL}):
                chosen = [
                    cohort
                    for key, cohort in cohorts.items()
                    if channel in (ALL, key[0]) and doctor in (ALL, key[1])
                ]
                if chosen:
                    rows += _rows(month, reached, channel, doctor, chosen)
    return rows


def _cohorts(truth: Truth) -> dict[date, dict[tuple[str, str], _Cohort]]:
    """Cohorts of each month by channel and doctor, with their share of the channel's cost."""
    costs: dict[date, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for day, place, cents, _, _ in truth.daily_costs:
        costs[month_of(day)][place.channel] += cents
    found: dict[date, dict[tuple[str, str], _Cohort]] = defaultdict(dict)
    for journey in truth.journeys:
        ((place, _, _),) = journey.credits[DEFAULT_MODEL]
        key = place.channel, journey.first.doctor
        found[month_of(journey.first_day)].setdefault(key, _Cohort([])).members.append(_member(journey))
    for month, by_channel in costs.items():
        for channel, cents in by_channel.items():
            cohorts = [cohort for key, cohort in sorted(found[month].items()) if key[0] == channel]
            if cohorts:
                shares = largest_remainders(cents, [len(cohort.members) for cohort in cohorts])
                for cohort, share in zip(cohorts, shares, strict=True):
                    cohort.cents = share
            else:
                found[month][channel, NONE] = _Cohort([], cents)
    return found


def _rows(month: date, reached: int, channel: str, doctor: str, cohorts: Sequence[_Cohort]) -> list[Cells]:
    whole = _Cohort([m for c in cohorts for m in c.members], sum(c.cents for c in cohorts))
    patients, cost = len(whole.members), whole.cents
    reached_months = range(1, reached + 1)
    paid = dict(zip(reached_months, accumulate(map(whole.paid_in, reached_months)), strict=True))
    payback = next((since for since, cents in paid.items() if cost > 0 and cents >= cost), None)
    rows = []
    for since in range(1, max(reached, 1) + 1):
        cents = paid.get(since)
        came = None if cents is None else whole.came_in(since)
        back = None if cents is None else whole.came_by(since)
        rows.append(
            {
                "cohort_month": month,
                "month_since": since,
                "channel": channel,
                "first_doctor": doctor,
                "new_patients": number(patients),
                "cost": euros(cost),
                "cost_per_patient": euros(quotient(cost, patients)),
                "cumulative_revenue": euros(cents),
                "revenue_per_patient": euros(None if cents is None else quotient(cents, patients)),
                "revenue_to_cost": number(None if cents is None else quotient(cents, cost)),
                "returning_patients": number(came),
                "returning_share": number(None if came is None else quotient(came, patients)),
                "returned_patients": number(back),
                "returned_share": number(None if back is None else quotient(back, patients)),
                "payback_month": "" if payback is None else payback,
            }
        )
    return rows
