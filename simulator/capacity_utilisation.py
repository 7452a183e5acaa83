"""What capacity_utilisation must show: the time of shifts, what of it was taken and what is free."""

from __future__ import annotations

import bisect
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from functools import cached_property
from typing import Any, Final

from simulator.arithmetic import euros, half_up, number, quotient
from simulator.model import HOUR, MINUTE, US, Visit, local
from simulator.shifts import Shift, rota
from simulator.truth import Truth

Cells = dict[str, Any]
Span = tuple[int, int]
UNKNOWN: Final = "(unknown)"
NO_SHIFT: Final = "(no shift)"
FEWEST_FOR_A_MEAN: Final = 5
_GIVEN_BACK: Final = frozenset({"cancelled_by_patient", "cancelled_by_clinic", "rescheduled"})


@dataclass(frozen=True, slots=True)
class Spot:
    """What a stretch of shift time belongs to; None where the shift names none."""

    branch: str | None
    resource: str
    room: str | None
    doctor: str | None

    @property
    def shown(self) -> tuple[str, str, str, str]:
        """As the mart names it."""
        return self.branch or UNKNOWN, self.resource, self.room or UNKNOWN, self.doctor or UNKNOWN


@dataclass(frozen=True, slots=True)
class Stretch:
    """Shift time that counts. Stretches of one lane (a doctor, a room, a nameless shift) never overlap."""

    lane: str
    spot: Spot
    starts: int
    ends: int


@dataclass(frozen=True, slots=True)
class Taken:
    """An appointment that was not given back: the time it takes, and whose."""

    visit: Visit
    lane: str | None
    spot: Spot
    starts: int
    ends: int


def minus(span: Span, others: Iterable[Span]) -> list[Span]:
    """What is left of a span without others."""
    found = []
    at, last = span
    for start, end in sorted(others):
        found.append((at, min(start, last)))
        at = max(at, end)
    found.append((at, last))
    return [(start, end) for start, end in found if start < end]


def union(spans: Iterable[Span]) -> list[Span]:
    """Spans without overlaps, in order."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def by_hour(start: int, end: int) -> Iterator[tuple[date, int, int]]:
    """(local day, hour on the clock, microseconds) of a span. The clinic's zone is whole hours off UTC."""
    at = start
    while at < end:
        until = min((at // HOUR + 1) * HOUR, end)
        moment = local(at)
        yield moment.date(), moment.hour, until - at
        at = until


class Capacity:
    """Shift time, and who took it."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self._rota = rota(truth.world)

    @cached_property
    def stretches(self) -> list[Stretch]:
        """The time of all shifts: a doctor's once, a room's own while no doctor has a shift in it."""
        lines: dict[tuple[str, str | None, str | None, int], Shift] = {}
        for shift in self._rota.shifts:  # of lines that differ by their end only, the longest counts
            key = shift.resource, shift.doctor, shift.room, shift.starts
            if key not in lines or lines[key].ends < shift.ends:
                lines[key] = shift
        found: list[Stretch] = []
        of_doctors: dict[str, list[Shift]] = defaultdict(list)
        of_rooms: dict[tuple[str | None, str, str], list[Shift]] = defaultdict(list)
        for shift in lines.values():
            if shift.doctor is not None:
                of_doctors[shift.doctor].append(shift)
            elif shift.room is not None:
                of_rooms[shift.branch, shift.room, shift.resource].append(shift)
            else:
                lane = f"shift {shift}"
                found.append(
                    Stretch(lane, Spot(shift.branch, shift.resource, None, None), shift.starts, shift.ends)
                )
        occupied: dict[tuple[str | None, str | None], list[Span]] = defaultdict(list)
        for doctor, shifts in of_doctors.items():
            counted: list[Span] = []
            for shift in sorted(shifts, key=lambda s: (s.starts, -s.ends, _name(s))):
                near = [span for span in counted if span[1] > shift.starts]
                for start, end in minus((shift.starts, shift.ends), near):
                    spot = Spot(shift.branch, shift.resource, shift.room, doctor)
                    found.append(Stretch(f"doctor / {doctor}", spot, start, end))
                    counted.append((start, end))
                    occupied[shift.branch, shift.room].append((start, end))
        for (branch, room, resource), shifts in of_rooms.items():
            lane = " / ".join(("room", branch or "", room, resource))
            for span in union((s.starts, s.ends) for s in shifts):
                near = [o for o in occupied[branch, room] if o[0] < span[1] and span[0] < o[1]]
                found += [
                    Stretch(lane, Spot(branch, resource, room, None), *part) for part in minus(span, near)
                ]
        return found

    @cached_property
    def taken(self) -> list[Taken]:
        """Appointments that were not given back, each at the shift whose time it takes."""
        visits = [*self.truth.world.visits, *self.truth.world.planned]
        lengths = _Lengths(visits, self._rota.minutes)
        of_doctor, of_room = _Index(), _Index()
        for stretch in self.stretches:
            of_doctor.add(stretch.spot.doctor, stretch)
            if stretch.spot.doctor is None:
                of_room.add(stretch.spot.room, stretch)
        planned = {id(v) for v in self.truth.world.planned}
        found = []
        for visit in visits:
            if visit.status in _GIVEN_BACK:
                continue
            start = visit.scheduled_at
            end = start + lengths.of(visit)
            # The list of what lies ahead names no room.
            room = None if id(visit) in planned else visit.room
            mine = of_doctor.first(visit.doctor, visit.branch, start, end)
            shift = mine or of_room.first(room, visit.branch, start, end)
            if shift is None:
                spot = Spot(visit.branch, NO_SHIFT, room, visit.doctor)
                found.append(Taken(visit, None, spot, start, end))
            else:
                found.append(Taken(visit, shift.lane, shift.spot, start, end))
        return found

    def shift_time(self, until: date) -> Counter[tuple[date, str, str]]:
        """Microseconds of shifts by day, doctor and branch, to a day."""
        found: Counter[tuple[date, str, str]] = Counter()
        for stretch in self.stretches:
            if stretch.spot.doctor is not None:
                for day, _, length in by_hour(stretch.starts, stretch.ends):
                    if day <= until:
                        found[day, stretch.spot.doctor, stretch.spot.branch or UNKNOWN] += length
        return found

    def rows(self) -> list[Cells]:
        """Branch, resource, room, doctor, week, weekday, hour."""
        cells: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
        known: set[tuple[str, date]] = set()
        for stretch in self.stretches:
            for day, hour, length in by_hour(stretch.starts, stretch.ends):
                cells[_key(stretch.spot, day, hour)]["maximum"] += length
                if stretch.spot.doctor is not None:
                    known.add((stretch.spot.doctor, _monday(day)))
        for name, taken in (("booked", self.taken), ("attended", [t for t in self.taken if _is_kept(t)])):
            for t in taken:
                moment = local(t.starts)
                cells[_key(t.spot, moment.date(), moment.hour)][f"{name} visits"] += 1
                for day, hour, length in by_hour(t.starts, t.ends):
                    cells[_key(t.spot, day, hour)][name] += length
            for spot, start, end in self._covered(taken):
                for day, hour, length in by_hour(start, end):
                    cells[_key(spot, day, hour)][f"{name} in shift"] += length
        means = _Means(self.taken, self.truth)
        return [
            _row(key, cell, means, is_known=key[1] != NO_SHIFT or (key[3], key[4]) in known)
            for key, cell in sorted(cells.items())
        ]

    def _covered(self, taken: Sequence[Taken]) -> Iterator[tuple[Spot, int, int]]:
        """Shift time that appointments take, each moment once."""
        of_lane: dict[str, list[Span]] = defaultdict(list)
        for t in taken:
            if t.lane is not None:
                of_lane[t.lane].append((t.starts, t.ends))
        stretches: dict[str, list[Stretch]] = defaultdict(list)
        for stretch in self.stretches:
            stretches[stretch.lane].append(stretch)
        for lane, spans in of_lane.items():
            ordered = sorted(stretches[lane], key=lambda s: s.starts)
            ends = [s.ends for s in ordered]
            for start, end in union(spans):
                for stretch in ordered[bisect.bisect_right(ends, start) :]:
                    if stretch.starts >= end:
                        break
                    yield stretch.spot, max(start, stretch.starts), min(end, stretch.ends)


def capacity_utilisation(truth: Truth) -> list[Cells]:
    """Branch, resource, room, doctor, week, weekday, hour."""
    return Capacity(truth).rows()


class _Lengths:
    """How long appointments take: as planned, else the mean of their doctor, else of the clinic."""

    def __init__(self, visits: Sequence[Visit], minutes: dict[str, int | None]) -> None:
        self._minutes = minutes
        known: dict[str, list[int]] = defaultdict(list)
        for visit in visits:
            if planned := minutes[visit.appointment_id]:
                known[visit.doctor].append(planned)
        self._of_doctor = {doctor: _mean(values) for doctor, values in known.items()}
        self._of_clinic = _mean([value for values in known.values() for value in values])

    def of(self, visit: Visit) -> int:
        """Microseconds."""
        if planned := self._minutes[visit.appointment_id]:
            return planned * MINUTE
        return self._of_doctor.get(visit.doctor, self._of_clinic)


class _Means:
    """Length and money of visits: of the doctor at the resource, else of the resource."""

    def __init__(self, taken: Sequence[Taken], truth: Truth) -> None:
        money: Counter[str | None] = Counter()
        for _, _, cents, visit_id in truth.payments:
            money[visit_id] += cents
        self._of: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
        for t in taken:
            if t.visit.is_completed:
                _, resource, _, doctor = t.spot.shown
                for key in ((resource, doctor), (resource,)):
                    sums = self._of[key]
                    sums[0] += 1
                    sums[1] += t.ends - t.starts
                    sums[2] += money[t.visit.visit_id]

    def of(self, resource: str, doctor: str) -> tuple[Fraction, Fraction] | tuple[None, None]:
        """Microseconds and cents of a visit; none of both where too few visits tell."""
        for key in ((resource, doctor), (resource,)):
            visits, length, cents = self._of.get(key, (0, 0, 0))
            if visits >= FEWEST_FOR_A_MEAN:
                return Fraction(length, visits), Fraction(cents, visits)
        return None, None


class _Index:
    """Stretches of shift time by doctor or room, found by time."""

    def __init__(self) -> None:
        self._by_day: dict[tuple[str, int], list[Stretch]] = defaultdict(list)

    def add(self, name: str | None, stretch: Stretch) -> None:
        """Add a stretch under a doctor or room; none without a name."""
        if name is not None:
            for day in _days(stretch.starts, stretch.ends):
                self._by_day[name, day].append(stretch)

    def first(self, name: str | None, branch: str, start: int, end: int) -> Stretch | None:
        """The stretch that a span meets first, at the same branch unless the shift names none."""
        if name is None:
            return None
        met = [
            s
            for day in _days(start, end)
            for s in self._by_day.get((name, day), ())
            if s.starts < end and start < s.ends and s.spot.branch in (None, branch)
        ]
        return min(met, key=lambda s: (max(s.starts, start), s.lane), default=None)


def _days(start: int, end: int) -> range:
    return range(start // (24 * HOUR), (end - 1) // (24 * HOUR) + 1)


def _mean(minutes: Sequence[int]) -> int:
    """To the second, in microseconds."""
    return half_up(Fraction(sum(minutes) * 60, len(minutes))) * US


def _name(shift: Shift) -> str:
    return " / ".join((shift.resource, shift.doctor or "", shift.room or "", str(shift.starts)))


def _is_kept(taken: Taken) -> bool:
    return taken.visit.is_completed


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _key(spot: Spot, day: date, hour: int) -> tuple[Any, ...]:
    return *spot.shown, _monday(day), day.isoweekday(), hour


def _row(key: tuple[Any, ...], cell: Counter[str], means: _Means, *, is_known: bool) -> Cells:
    branch, resource, room, doctor, week, weekday, hour = key
    maximum = cell["maximum"] if is_known else None
    length, cents = means.of(resource, doctor)
    free = None if maximum is None else maximum - cell["booked in shift"]
    return {
        "branch": branch,
        "resource": resource,
        "room": room,
        "doctor": doctor,
        "week": week,
        "weekday": weekday,
        "hour": hour,
        "maximum_minutes": _over(maximum, MINUTE),
        "booked_minutes": _over(cell["booked"], MINUTE),
        "attended_minutes": _over(cell["attended"], MINUTE),
        "booked_in_shift_minutes": _over(None if maximum is None else cell["booked in shift"], MINUTE),
        "attended_in_shift_minutes": _over(None if maximum is None else cell["attended in shift"], MINUTE),
        "free_minutes": _over(free, MINUTE),
        "maximum_visits": _over(maximum, length),
        "booked_visits": int(cell["booked visits"]),
        "attended_visits": int(cell["attended visits"]),
        "free_visits": _over(free, length),
        "utilisation": _over(None if maximum is None else cell["booked in shift"], maximum),
        "attended_utilisation": _over(None if maximum is None else cell["attended in shift"], maximum),
        "minutes_per_visit": _over(length, MINUTE),
        "revenue_per_visit": euros(cents),
        "free_value": euros(
            None if free is None or length is None or cents is None else free / length * cents
        ),
    }


def _over(value: Fraction | int | None, unit: Fraction | int | None) -> str:
    return "" if value is None or unit is None else number(quotient(value, unit))
