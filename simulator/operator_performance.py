"""What operator_performance must show: what each operator made of the people who got in touch."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from fractions import Fraction
from typing import Any, Final

from simulator.arithmetic import euros, month_end, month_of, number, quotient
from simulator.enquiries import FEWEST, Desk, Enquiry, of_last_months
from simulator.model import Target
from simulator.truth import Truth

Cells = dict[str, Any]
UNKNOWN: Final = "(unknown)"
_Z: Final = 1.959963984540054
_TARGETED: Final = ("bookings", "new_patients", "new_patient_rate")
# Month, operator's name in lower case, branch.
Cell = tuple[date, str, str]


def operator_performance(truth: Truth) -> list[Cells]:
    """Month, operator, branch."""
    desk = Desk(truth)
    cells: dict[Cell, list[Enquiry]] = defaultdict(list)
    for enquiry in desk.enquiries:
        cells[enquiry.month, _key(enquiry), enquiry.branch or UNKNOWN].append(enquiry)
    wages = _wages(truth, cells)
    names = _names(truth, desk)
    team = _Team(desk)
    rows = []
    for cell in sorted({*cells, *wages}):
        month, key, branch = cell
        row: Cells = {"month": month, "operator": names.get(key, UNKNOWN), "branch": branch}
        row |= _counts(cells.get(cell, []))
        row |= _rates(desk, team, month, key, [e for e in cells.get(cell, []) if e.is_eligible])
        row |= {
            f"target_{metric}": number(_target(truth.world.targets, metric, key, month))
            for metric in _TARGETED
        }
        rows.append(row | {"wage": euros(wages.get(cell))})
    return rows


def _key(enquiry: Enquiry) -> str:
    return UNKNOWN if enquiry.operator is None else enquiry.operator.lower()


def _names(truth: Truth, desk: Desk) -> dict[str, str]:
    """The first spelling by alphabet of each name: of those that took contacts, else of those paid."""
    found: dict[str, str] = {}
    for spellings in (
        {e.operator for e in desk.enquiries if e.operator is not None},
        {o.scope_value for o in truth.world.observations if o.metric == "wage"},
    ):
        known = set(found)
        for name in sorted(spellings, reverse=True):
            if name.lower() not in known:
                found[name.lower()] = name
    return found


def _counts(enquiries: Sequence[Enquiry]) -> Cells:
    eligible = [e for e in enquiries if e.is_eligible]
    scores = [e.score for e in eligible if e.score is not None]
    missed = sum(e.told.is_missed for e in eligible)
    left = sum(e.is_left for e in eligible)
    bookings = sum(e.is_booked for e in eligible)
    return {
        "contacts": len(enquiries),
        "spam": sum(e.standing == "spam" for e in enquiries),
        "irrelevant": sum(e.standing == "irrelevant" for e in enquiries),
        "existing_patients": sum(e.standing == "existing_patient" for e in enquiries),
        "eligible": len(eligible),
        "missed": missed,
        "contacts_left": left,
        "bookings": bookings,
        "new_patients": sum(e.new_patients for e in eligible),
        "converted": sum(e.new_patients > 0 for e in eligible),
        "scored": len(scores),
        "missed_rate": number(quotient(missed, len(eligible))),
        "contact_left_rate": number(quotient(left, len(eligible))),
        "booking_rate": number(quotient(bookings, len(eligible))),
        "tag_score": number(quotient(sum(scores, Fraction(0)), len(scores))),
    }


class _Team:
    """What the team makes of contacts of one kind, and its best quarter of all."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._known = [
            e for e in desk.enquiries if e.is_eligible and e.operator is not None and desk.is_over(e.month)
        ]
        self._rates = {month: self._rates_of(month) for month in {e.month for e in self._known}}
        self._best = {month: self._best_of(month) for month in self._rates}

    def _rates_of(self, month: date) -> dict[tuple[str, int, str], Fraction]:
        kinds: dict[tuple[str, int, str], list[bool]] = defaultdict(list)
        for enquiry in of_last_months(self._known, month):
            kinds[_kind(enquiry)].append(enquiry.new_patients > 0)
        return {kind: Fraction(sum(hits), len(hits)) for kind, hits in kinds.items()}

    def expected(self, enquiries: Sequence[Enquiry]) -> Fraction:
        """Enquiries that would have brought a new patient at the team's rates."""
        return sum((self._rates[e.month][_kind(e)] for e in enquiries), Fraction(0))

    def _best_of(self, month: date) -> Fraction | None:
        """The upper quartile of the operators' results, each against what was to be expected."""
        people: dict[str, list[Enquiry]] = defaultdict(list)
        for enquiry in self._known:
            if enquiry.month == month:
                people[_key(enquiry)].append(enquiry)
        results = sorted(
            Fraction(sum(e.new_patients > 0 for e in taken)) / expected
            for taken in people.values()
            if len(taken) >= FEWEST and (expected := self.expected(taken))
        )
        if len(results) < 2:
            return None
        place = Fraction(3, 4) * (len(results) - 1)
        below = math.floor(place)
        above = min(below + 1, len(results) - 1)
        return results[below] + (results[above] - results[below]) * (place - below)

    def benchmark(self, enquiries: Sequence[Enquiry]) -> Fraction | None:
        """The rate that the best quarter would have reached with these contacts."""
        best = self._best[enquiries[0].month]
        if len(enquiries) < FEWEST or best is None:
            return None
        return min(Fraction(1), best * self.expected(enquiries) / len(enquiries))


def _kind(enquiry: Enquiry) -> tuple[str, int, str]:
    return enquiry.told.place.channel, enquiry.hour, enquiry.branch or UNKNOWN


def _rates(desk: Desk, team: _Team, month: date, key: str, eligible: Sequence[Enquiry]) -> Cells:
    names = (
        "new_patient_rate",
        "new_patient_rate_low",
        "new_patient_rate_high",
        "expected_rate",
        "times_expected",
        "benchmark_rate",
        "is_below_benchmark",
    )
    row: Cells = dict.fromkeys(names, "")
    worth = desk.year_of_a_patient
    row |= {"clv_365d_avg": euros(worth), "revenue_lost": ""}
    if not eligible or not desk.is_over(month):
        return row
    hits, n = sum(e.new_patients > 0 for e in eligible), len(eligible)
    low, high = _wilson(hits, n)
    row |= {
        "new_patient_rate": number(Fraction(hits, n)),
        "new_patient_rate_low": number(low),
        "new_patient_rate_high": number(high),
    }
    if key == UNKNOWN:
        return row
    expected, benchmark = team.expected(eligible), team.benchmark(eligible)
    row["expected_rate"] = number(expected / n)
    if n >= FEWEST:
        row["times_expected"] = number(quotient(hits, expected))
    if benchmark is not None:
        lost = None if worth is None else n * max(benchmark - Fraction(hits, n), Fraction(0)) * worth
        row |= {
            "benchmark_rate": number(benchmark),
            "is_below_benchmark": benchmark > high,
            "revenue_lost": euros(lost),
        }
    return row


def _wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % score interval: the shares that lie 1.96 of their own standard errors from the one found."""
    share, square = hits / n, _Z * _Z
    middle = (hits + square / 2) / (n + square)
    half = _Z / (n + square) * math.sqrt(n * share * (1 - share) + square / 4)
    return middle - half, middle + half


def _wages(truth: Truth, cells: Mapping[Cell, Sequence[Enquiry]]) -> dict[Cell, int]:
    """Cents by branch: shared by contacts, the cents that are left to the largest remainders."""
    paid: dict[tuple[date, str], int] = defaultdict(int)
    for observation in truth.world.observations:
        if (observation.metric, observation.scope) == ("wage", "operator"):
            paid[month_of(observation.day), observation.scope_value.lower()] += observation.hundredths
    found: dict[Cell, int] = {}
    for (month, key), cents in paid.items():
        branches = {cell[2]: len(taken) for cell, taken in cells.items() if cell[:2] == (month, key)}
        branches = branches or {UNKNOWN: 1}
        exact = {b: Fraction(cents * n, sum(branches.values())) for b, n in branches.items()}
        down = {b: math.floor(share) for b, share in exact.items()}
        order = sorted(exact, key=lambda b: (down[b] - exact[b], b))
        for rank, branch in enumerate(order):
            found[month, key, branch] = down[branch] + (rank < cents - sum(down.values()))
    return found


def _target(targets: Sequence[Target], metric: str, key: str, month: date) -> float | None:
    """The target in force that began last; of equals the one due first."""
    inside = [
        t
        for t in targets
        if (t.metric, t.scope, t.scope_value.lower()) == (metric, "operator", key)
        and (t.starts is None or t.starts <= month_end(month))
        and (t.due is None or month <= t.due)
    ]
    if not inside:
        return None
    chosen = max(inside, key=lambda t: (t.starts or date.min, -(t.due or date.max).toordinal(), -t.value))
    if not chosen.is_relative:
        return chosen.value
    return None if chosen.baseline is None else chosen.baseline * (1 + chosen.value)
