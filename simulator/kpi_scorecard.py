"""What kpi_scorecard must show: where each of the clinic's targets stands.

The figures come from the truth of the other marts, as exact fractions; floats only where a root is drawn.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from functools import cached_property
from typing import Any, Final

from simulator.acquisition_funnel import acquisition_funnel
from simulator.arithmetic import half_up, month_end, month_of, number, quotient, student_t_975
from simulator.capacity_utilisation import capacity_utilisation
from simulator.doctor_performance import doctor_performance
from simulator.enquiries import month_number
from simulator.marts import Marts
from simulator.missed_contacts import missed_contacts
from simulator.model import Target, local_day
from simulator.operator_performance import operator_performance
from simulator.revenue_structure import revenue_structure
from simulator.site_traffic import site_traffic
from simulator.truth import Truth

Cells = dict[str, Any]
Row = Mapping[str, Any]
LINE_MONTHS: Final = 12
PAST_MONTHS: Final = 24
FEWEST_MONTHS: Final = 6
LOOK_BACK: Final = 90


@dataclass(frozen=True, slots=True)
class Measure:
    """How a month's figure is made of rows: the sum of `top`, or that over the sum of `bottom`."""

    top: str
    bottom: str | None = None
    kind: str = "flow"
    unit: str = "number"
    lower: bool = False
    days: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """A mart: its rows with their month, what each scope's column is, and its measures."""

    mart: str
    rows: Callable[[], Sequence[Row]]
    scopes: Mapping[str, str]
    measures: Mapping[str, Measure]


@dataclass(frozen=True, slots=True)
class Figure:
    """What is known of one month."""

    value: Fraction
    known_on: date
    is_known: bool
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a metric's name stands for."""

    mart: str
    measure: str
    kind: str
    unit: str
    lower: bool
    days: int
    has_scope: bool
    table: Table | None


def _money(top: str, bottom: str | None = None, *, lower: bool = False, days: int = 0) -> Measure:
    return Measure(top, bottom, "flow" if bottom is None else "ratio", "EUR", lower, days)


def _nine(value: Fraction) -> Fraction:
    """To nine places, as figures are published and compared."""
    return Fraction(half_up(value * 10**9), 10**9)


def _exact(value: object) -> Fraction | None:
    text = str(value)
    return None if value is None or text == "" else Fraction(text)


def kpi_scorecard(truth: Truth) -> list[Cells]:
    """One row per target."""
    board = _Board(truth)
    lines = sorted({_Line.of(target) for target in truth.world.targets}, key=_Line.order)
    return [board.row(number, line) for number, line in enumerate(lines, start=1)]


@dataclass(frozen=True, slots=True)
class _Line:
    """A target as it is read: without spaces, its scope in lower case, empty texts nothing."""

    metric: str
    scope: str
    which: str | None
    baseline: Fraction | None
    value: Fraction
    is_relative: bool
    starts: date | None
    due: date | None
    owner: str | None
    horizon: str | None

    @classmethod
    def of(cls, target: Target) -> _Line:
        which = target.scope_value.strip() or None
        return cls(
            target.metric.strip(),
            target.scope.strip().lower() or ("clinic" if which is None else "(none)"),
            which,
            None if target.baseline is None else Fraction(str(target.baseline)),
            Fraction(str(target.value)),
            target.is_relative,
            target.starts,
            target.due,
            target.owner,
            target.horizon,
        )

    def order(self) -> tuple[Any, ...]:
        """Nothing before everything."""
        first = date.min
        return (
            self.metric,
            self.scope,
            self.which or "",
            self.starts or first,
            self.due or first,
            self.horizon or "",
            self.owner or "",
            -1 if self.baseline is None else self.baseline,
            self.value,
            self.is_relative,
        )

    @property
    def is_total(self) -> bool:
        return self.metric.lower().startswith("total:")

    @property
    def name(self) -> str:
        return self.metric.lower().removeprefix("total:").strip()

    @property
    def target(self) -> Fraction | None:
        if not self.is_relative:
            return self.value
        return None if self.baseline is None else self.baseline * (1 + self.value)


class _Board:
    """Every mart's months, each worked out when a target asks for it."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._as_of = truth.as_of
        self._marts = Marts(truth)
        self._rows: dict[str, Sequence[Row]] = {}
        self.tables = self._make_tables()

    def _of(self, name: str, make: Callable[[], Sequence[Row]]) -> Callable[[], Sequence[Row]]:
        def rows() -> Sequence[Row]:
            if name not in self._rows:
                self._rows[name] = make()
            return self._rows[name]

        return rows

    def _make_tables(self) -> list[Table]:
        truth, marts = self._truth, self._marts
        places = {"channel": "channel", "source": "source", "campaign": "campaign", "event": "event"}
        mapped = places | {"branch": "branch", "service_line": "service_line"}
        of_patients = {
            "new_patients": Measure("one"),
            "revenue_90d": _money("revenue_90d", days=90),
            "clv_365d_avg": _money("revenue_365d", "one", days=365),
        }
        persons = {"doctor": "doctor", "branch": "branch"}
        patients = self._of("patients", self._patients)
        return [
            Table(
                "monthly_summary",
                self._of("summary", marts.monthly_summary),
                {},
                {
                    "cost": _money("cost", lower=True),
                    "calls": Measure("calls"),
                    "contacts": Measure("contacts"),
                    "bookings": Measure("bookings"),
                    "new_patients": Measure("new_patients"),
                    "revenue": _money("revenue"),
                    "cost_per_call": _money("cost", "calls", lower=True),
                    "cost_per_patient": _money("cost", "new_patients", lower=True),
                },
            ),
            Table("patient_journeys", patients, persons, of_patients),
            Table("clv_by_first_doctor", patients, persons, of_patients),
            Table(
                "clv_by_first_doctor",
                self._of("reviews", self._reviews),
                persons,
                {"avg_rating": Measure("rating", "one", "ratio", "ratio")},
            ),
            Table(
                "cost_per_patient",
                self._of("patient", lambda: _with_event(marts.cost_per_patient())),
                mapped,
                {
                    "cost": _money("cost", lower=True),
                    "new_patients": Measure("new_patients"),
                    "cost_per_patient": _money("cost", "new_patients", lower=True),
                    "roas": Measure("revenue_365d", "cost", "ratio", "ratio"),
                },
            ),
            Table(
                "cost_per_call",
                self._of("call", lambda: _with_event(marts.cost_per_call())),
                mapped,
                {
                    "cost": _money("cost", lower=True),
                    "sessions": Measure("sessions"),
                    "calls": Measure("calls"),
                    "missed_calls": Measure("missed_calls", lower=True),
                    "cost_per_call": _money("cost", "calls", lower=True),
                },
            ),
            Table(
                "acquisition_funnel",
                self._of("funnel", lambda: _with_event(acquisition_funnel(truth))),
                places,
                {
                    "sessions": Measure("sessions"),
                    "bookings": Measure("bookings", days=LOOK_BACK),
                    "arrivals": Measure("arrivals", days=LOOK_BACK),
                    "new_patients": Measure("new_patients", days=LOOK_BACK),
                    "booking_rate": Measure("bookings", "valid", "ratio", "ratio", days=LOOK_BACK),
                    "show_rate": Measure("arrivals", "bookings_due", "share", "share", days=LOOK_BACK),
                },
            ),
            Table(
                "operator_performance",
                self._of("operators", lambda: operator_performance(truth)),
                {"operator": "operator", "branch": "branch"},
                {
                    "contacts": Measure("contacts"),
                    "spam": Measure("spam", lower=True),
                    "bookings": Measure("bookings", days=LOOK_BACK),
                    "new_patients": Measure("new_patients", days=LOOK_BACK),
                    "booking_rate": Measure("bookings", "eligible", "share", "share", days=LOOK_BACK),
                    "new_patient_rate": Measure("converted", "eligible", "share", "share", days=LOOK_BACK),
                },
            ),
            Table(
                "missed_contacts",
                self._of("missed", lambda: missed_contacts(truth)),
                {"channel": "channel", "source": "source"},
                {"missed_rate": Measure("missed", "first_contacts", "share", "share", lower=True)},
            ),
            Table(
                "site_traffic",
                self._of("site", lambda: site_traffic(truth)),
                {name: name for name in ("channel", "region", "device", "landing_page")},
                {"sessions": Measure("sessions")},
            ),
            Table(
                "doctor_performance",
                self._of("doctors", lambda: doctor_performance(truth)),
                persons,
                {
                    "new_patients": Measure("new_patients"),
                    "revenue": _money("revenue"),
                    "visits": Measure("visits"),
                },
            ),
            Table(
                "revenue_structure",
                self._of("revenue", lambda: revenue_structure(truth)),
                persons | {"service_group": "service_group", "payer": "payer"},
                {"revenue": _money("revenue")},
            ),
            Table(
                "capacity_utilisation",
                self._of("capacity", lambda: capacity_utilisation(truth)),
                persons | {"resource": "resource", "room": "room"},
                {
                    "utilisation": Measure(
                        "booked_in_shift_minutes", "maximum_minutes", "share", "share", days=6
                    ),
                },
            ),
        ]

    def _patients(self) -> list[Row]:
        return [
            {
                "month": month_of(j.first_day),
                "doctor": j.first.doctor,
                "branch": j.first.branch,
                "one": 1,
                **{
                    f"revenue_{days}d": None if cents is None else Fraction(cents, 100)
                    for days in (90, 365)
                    for cents in (j.within(days, self._as_of),)
                },
            }
            for j in self._truth.journeys
        ]

    def _reviews(self) -> list[Row]:
        return [
            {
                "month": month_of(local_day(r.at)),
                "doctor": r.doctor,
                "branch": r.branch,
                "rating": r.rating,
                "one": 1,
            }
            for r in self._truth.world.reviews
        ]

    # what a name means

    def _meaning(self, line: _Line) -> Meaning | None:
        found: list[tuple[int, Meaning]] = []
        mart, dot, name = line.name.partition(".")
        for table in self.tables:
            if dot and table.mart != mart:
                continue
            measure = table.measures.get(name if dot else line.name)
            if measure is None or (line.is_total and measure.kind != "flow"):
                continue
            has = line.scope == "clinic" or line.scope in table.scopes
            found.append(
                (
                    1 if has else 3,
                    Meaning(
                        table.mart,
                        name if dot else line.name,
                        measure.kind,
                        measure.unit,
                        measure.lower,
                        measure.days,
                        has,
                        table,
                    ),
                )
            )
        name = line.name.removeprefix("metric_observations.")
        scopes = {scope for metric, scope, *_ in self._observed if metric == name}
        if scopes:
            has = line.scope in scopes
            kind = "flow" if line.is_total else "level"
            found.append(
                (2 if has else 4, Meaning("metric_observations", name, kind, "", False, 0, has, None))
            )
        return min(found, key=lambda f: f[0])[1] if found else None

    @cached_property
    def _observed(self) -> list[tuple[str, str, str, date, Fraction]]:
        return [
            (
                o.metric.lower(),
                o.scope.lower() or ("clinic" if not o.scope_value else "(none)"),
                o.scope_value.lower(),
                o.day,
                Fraction(o.hundredths, 100),
            )
            for o in self._truth.world.observations
        ]

    # the months

    def _months(self, line: _Line, meaning: Meaning) -> dict[date, Figure]:
        if meaning.table is None:
            return self._observed_months(line, meaning)
        measure = meaning.table.measures[meaning.measure]
        clinic: dict[date, list[Fraction]] = defaultdict(list)
        tops: dict[date, list[Fraction]] = defaultdict(list)
        bottoms: dict[date, list[Fraction]] = defaultdict(list)
        seen: set[date] = set()
        every: set[date] = set()
        column = meaning.table.scopes.get(line.scope)
        for row in meaning.table.rows():
            month = month_of(next(row[name] for name in ("month", "day", "week") if name in row))
            every.add(month)
            top = _exact(row[measure.top])
            clinic[month] += [] if top is None else [top]
            if column is not None and str(row[column] or "").lower() != (line.which or "").lower():
                continue
            seen.add(month)
            tops[month] += [] if top is None else [top]
            if measure.bottom is not None and (bottom := _exact(row[measure.bottom])) is not None:
                bottoms[month].append(bottom)
        if not seen:
            return {}
        begun = [month for month in every if sum(clinic[month])]
        first = min(begun or every)
        found = {}
        for month in sorted(self._calendar(first)):
            value: Fraction | None
            if measure.bottom is not None:
                value = quotient(sum(tops[month]), sum(bottoms[month])) if tops[month] else None
            elif month in seen:
                value = sum(tops[month], Fraction(0)) if tops[month] else None
            else:
                value = None if month in every and not clinic[month] else Fraction(0)
            if value is not None:
                known = month_end(month) + timedelta(days=meaning.days) <= self._as_of
                found[month] = Figure(value, month_end(month), known, month > first)
        return found

    def _calendar(self, first: date) -> list[date]:
        found = []
        while first <= self._as_of:
            found.append(first)
            first = month_end(first) + timedelta(days=1)
        return found

    def _observed_months(self, line: _Line, meaning: Meaning) -> dict[date, Figure]:
        days: dict[date, list[Fraction]] = defaultdict(list)
        for metric, scope, which, day, value in self._observed:
            if (
                metric == meaning.measure
                and scope == line.scope
                and (scope == "clinic" or which == (line.which or "").lower())
                and day <= self._as_of
                and (meaning.kind == "flow" or line.due is None or day <= line.due)
            ):
                days[day].append(value)
        if not days:
            return {}
        found: dict[date, Figure] = {}
        if meaning.kind == "level":
            for day in sorted(days):
                value = sum(days[day], Fraction(0)) / len(days[day])
                found[month_of(day)] = Figure(value, day, is_known=True, is_whole=True)
            return found
        first = month_of(min(days))
        for month in self._calendar(first):
            of_month = [day for day in days if month_of(day) == month]
            value = sum((v for day in of_month for v in days[day]), Fraction(0))
            known_on = max(of_month, default=month_end(month))
            found[month] = Figure(value, known_on, month_end(month) <= self._as_of, month > first)
        return found

    # one target

    def row(self, target_no: int, line: _Line) -> Cells:
        meaning = self._meaning(line)
        target = line.target
        defect = _defect(line, meaning)
        lower = meaning.lower if meaning is not None else False
        if target is not None and line.baseline is not None and target != line.baseline:
            lower = target < line.baseline
        row: Cells = {
            "target_no": target_no,
            "metric": line.metric,
            "scope": line.scope,
            "scope_value": line.which or "",
            "horizon": line.horizon or "",
            "owner": line.owner or "",
            "starts_on": line.starts or "",
            "due_on": line.due or "",
            "baseline": number(line.baseline),
            "value": number(line.value),
            "is_relative": line.is_relative,
            "target": number(None if target is None else _nine(target)),
            "mart": "" if meaning is None else meaning.mart,
            "measure": "" if meaning is None else meaning.measure,
            "measured_as": "total" if line.is_total else "" if meaning is None else meaning.kind,
            "unit": "" if meaning is None else meaning.unit,
            "better": "down" if lower else "up",
        }
        figures = (
            {"past_months": 0, "status": defect}
            if defect is not None or meaning is None or target is None
            else _Standing(
                line, meaning, target, self._months(line, meaning), self._as_of, lower=lower
            ).cells()
        )
        return row | {name: figures.get(name, "") for name in _FIGURES}


_FIGURES: Final = (
    "measured_on",
    "actual",
    "attainment",
    "progress",
    "expected",
    "forecast",
    "forecast_low",
    "forecast_high",
    "months_left",
    "needed_pace",
    "past_months",
    "past_lower_quartile",
    "past_median",
    "past_upper_quartile",
    "past_share_at_pace",
    "achievability",
    "status",
)


def _with_event(rows: Sequence[Row]) -> list[Row]:
    return [{**row, "event": row["campaign"] if row["channel"] == "event" else None} for row in rows]


def _defect(line: _Line, meaning: Meaning | None) -> str | None:
    if meaning is None:
        return "unknown_metric"
    if not meaning.has_scope:
        return "unknown_scope"
    if (
        line.target is None
        or (line.scope != "clinic" and line.which is None)
        or (line.is_total and (line.starts is None or line.due is None))
        or (line.starts is not None and line.due is not None and line.due < line.starts)
    ):
        return "incomplete"
    return None


class _Standing:
    """A target that can be measured, against its months."""

    def __init__(
        self,
        line: _Line,
        meaning: Meaning,
        target: Fraction,
        months: Mapping[date, Figure],
        as_of: date,
        *,
        lower: bool,
    ) -> None:
        self.line, self.meaning, self.target, self.months = line, meaning, target, months
        self.as_of, self.lower = as_of, lower
        self.known = {month: figure for month, figure in months.items() if figure.is_known}
        self.past = {month: figure for month, figure in self.known.items() if figure.is_whole}
        self.latest = max(self.known, default=None)

    @property
    def is_level(self) -> bool:
        return self.meaning.kind == "level"

    def _within(self, month: date, figure: Figure) -> bool:
        starts, due = self.line.starts, self.line.due
        if starts is not None and (
            starts > self.as_of or month < month_of(starts) or (self.is_level and figure.known_on < starts)
        ):
            return False
        return due is None or month <= month_of(due)

    @cached_property
    def actual(self) -> tuple[Fraction, date] | None:
        """The figure, and the day up to which it is."""
        mine = {month: figure for month, figure in self.months.items() if self._within(month, figure)}
        if self.line.is_total:
            if not mine or self.line.due is None:
                return None
            day = min(self.as_of, month_end(month_of(self.line.due)))
            return _nine(sum((f.value for f in mine.values()), Fraction(0))), day
        known = [month for month in mine if month in self.known]
        if not known:
            return None
        figure = mine[max(known)]
        return _nine(figure.value), figure.known_on

    @cached_property
    def is_final(self) -> bool:
        due = self.line.due
        if due is None:
            return False
        if self.is_level:
            return due <= self.as_of
        return self.latest is not None and month_of(due) <= self.latest

    @cached_property
    def months_left(self) -> int | None:
        due, starts = self.line.due, self.line.starts
        if due is None:
            return None
        after = None if self.latest is None else month_number(self.latest)
        if self.line.is_total and starts is not None:
            before = month_number(starts) - 1
            after = before if after is None else max(after, before)
        return None if after is None else max(month_number(due) - after, 0)

    @cached_property
    def sum_known(self) -> Fraction:
        return sum((f.value for m, f in self.known.items() if self._within(m, f)), Fraction(0))

    def _expected(self, day: date) -> Fraction:
        starts, due, baseline = self.line.starts, self.line.due, self.line.baseline
        if self.line.is_total and starts is not None and due is not None:
            first, last = month_of(starts), month_end(month_of(due))
            return self.target * Fraction((day - first).days + 1, (last - first).days + 1)
        if baseline is None or starts is None or due is None or due == starts:
            return self.target
        way = Fraction((day - starts).days, (due - starts).days)
        return baseline + (self.target - baseline) * min(max(way, Fraction(0)), Fraction(1))

    def _forecast(self) -> tuple[float | Fraction | None, float | None, float | None]:
        """The line's figure when it is due, and the ends of its 95 % prediction interval."""
        actual = None if self.actual is None else self.actual[0]
        if self.is_final or self.months_left == 0:
            return actual, None, None
        if self.months_left is None or self.line.due is None or not self.past:
            return None, None, None
        last = month_number(max(self.past))
        points = [
            (month_number(month) - last, figure.value)
            for month, figure in sorted(self.past.items())
            if last - month_number(month) < LINE_MONTHS
        ]
        n = len(points)
        if n < FEWEST_MONTHS:
            return None, None, None
        mean_x = Fraction(sum(x for x, _ in points), n)
        mean_y = sum((y for _, y in points), Fraction(0)) / n
        sxx = sum(((x - mean_x) ** 2 for x, _ in points), Fraction(0))
        sxy = sum(((x - mean_x) * (y - mean_y) for x, y in points), Fraction(0))
        syy = sum(((y - mean_y) ** 2 for _, y in points), Fraction(0))
        asked = [month_number(self.line.due) - last]
        base = Fraction(0)
        if self.line.is_total:
            asked = [asked[0] - back for back in range(self.months_left)]
            base = self.sum_known
        each = sum((mean_y + sxy / sxx * (x - mean_x) for x in asked), Fraction(0))
        k = len(asked)
        away = Fraction(sum(asked), k) - mean_x
        spread = (syy - sxy**2 / sxx) / (n - 2) * (k + k**2 * (Fraction(1, n) + away**2 / sxx))
        half = student_t_975(n - 2) * math.sqrt(spread)
        point = float(base + each)
        return self._bound(point), self._bound(point - half), self._bound(point + half)

    def _bound(self, figure: float) -> float:
        if min(f.value for f in self.past.values()) >= 0:
            so_far = Fraction(0) if self.actual is None or not self.line.is_total else self.actual[0]
            if figure < so_far:
                return float(so_far)
        return min(figure, 1.0) if self.meaning.kind == "share" else figure

    @cached_property
    def needed(self) -> Fraction | None:
        if self.is_final:
            return None
        if self.line.is_total:
            if not self.lower and self.sum_known >= self.target:
                return Fraction(0)
            left = self.months_left or 0
            return None if not left else _nine((self.target - self.sum_known) / left)
        if self.is_level:
            if not self.months_left or self.latest is None:
                return None
            return _nine((self.target - self.known[self.latest].value) / self.months_left)
        return _nine(self.target)

    def _paces(self) -> list[Fraction]:
        if not self.past:
            return []
        latest = month_number(max(self.past))
        found: list[Fraction] = []
        before: tuple[int, Fraction] | None = None
        for month, figure in sorted(self.past.items()):
            at = month_number(month)
            pace = figure.value
            if self.is_level:
                if before is None:
                    before = at, figure.value
                    continue
                pace = (figure.value - before[1]) / (at - before[0])
                before = at, figure.value
            if latest - at < PAST_MONTHS:
                found.append(pace)
        return found

    def cells(self) -> Cells:
        actual, day = self.actual or (None, None)
        expected = None if day is None else _nine(self._expected(day))
        forecast, low, high = self._forecast()
        paces = self._paces()
        cells: Cells = {
            "measured_on": day or "",
            "actual": number(actual),
            "expected": number(expected),
            "forecast": number(forecast),
            "forecast_low": number(low),
            "forecast_high": number(high),
            "months_left": "" if self.months_left is None else self.months_left,
            "needed_pace": number(self.needed),
            "past_months": len(paces),
            "past_lower_quartile": number(_quantile(paces, Fraction(1, 4))),
            "past_median": number(_quantile(paces, Fraction(1, 2))),
            "past_upper_quartile": number(_quantile(paces, Fraction(3, 4))),
            "status": self._status(actual, expected),
        }
        if actual is not None:
            reached = quotient(_nine(self.target), actual)
            if self.line.is_total or not self.lower:
                reached = quotient(actual, _nine(self.target))
            cells["attainment"] = number(reached)
            base = self.line.baseline
            if not self.line.is_total and base is not None:
                cells["progress"] = number(quotient(actual - base, _nine(self.target) - base))
        if self.needed is not None and len(paces) >= FEWEST_MONTHS:
            at_pace = sum(self._is_met(pace, self.needed) for pace in paces)
            cells["past_share_at_pace"] = number(Fraction(at_pace, len(paces)))
            cells["achievability"] = (
                "usual" if 2 * at_pace >= len(paces) else "seldom" if at_pace else "never"
            )
        return cells

    def _is_met(self, figure: Fraction, by: Fraction) -> bool:
        return figure <= by if self.lower else figure >= by

    def _status(self, actual: Fraction | None, expected: Fraction | None) -> str:
        starts = self.line.starts
        if starts is not None:
            days = 0 if self.is_level else self.meaning.days
            known = month_end(month_of(starts)) + timedelta(days=days)
            if starts > self.as_of or (actual is None and known > self.as_of):
                return "waiting"
        if actual is None or expected is None:
            return "no_data"
        is_met = self._is_met(actual, _nine(self.target))
        if self.line.is_total and self.lower:
            if not is_met:
                return "missed"
            if not self.is_final:
                return "on_track" if self._is_met(actual, expected) else "behind"
        if is_met:
            return "reached"
        if self.is_final:
            return "missed"
        return "on_track" if self._is_met(actual, expected) else "behind"


def _quantile(values: Sequence[Fraction], share: Fraction) -> Fraction | None:
    """Interpolated between the two nearest."""
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
