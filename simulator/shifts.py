"""The rota of the artificial clinic, and how long its appointments were planned to take.

It follows from the visits and from a stream of random numbers of its own: the stories stay as they were.
Hard cases are planted among ordinary shifts: overlaps, rooms and beds without a doctor, shifts that lack a
branch or a room, nights in which the clocks change, months of which no rota was kept.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from typing import Final

from simulator import clinic
from simulator.arithmetic import month_end, month_of
from simulator.model import DAY, HOUR, MINUTE, Visit, World, instant, local, local_day

# Nobody writes this doctor's shifts down, nor how long the appointments are.
_UNPLANNED: Final = "dr. Nina Saric"
NEWCOMER: Final = "dr. Filip Kosic"  # has shifts and no visits yet
_BLOCKS: Final = ((8, 14), (14, 20))
_MINUTES: Final = {
    "ENT consultation": 20,
    "Paediatric ENT consultation": 25,
    "Allergy consultation": 30,
    "Follow-up consultation": 15,
    "Audiometry": 20,
    "Nasal endoscopy": 15,
    "Allergy panel": 10,
    "Earwax removal": 10,
    "Sleep study": 540,
    "Septoplasty": 95,
    "Tonsillectomy": 70,
}
PLANNED_MINUTES: Final = 20  # of every appointment in the list of what lies ahead
_UNKNOWN_MONTHS: Final = 2
_AHEAD: Final = 14


@dataclass(frozen=True, slots=True)
class Shift:
    """A line of the clinic's table of shifts."""

    resource: str
    doctor: str | None
    room: str | None
    branch: str | None
    starts: int
    ends: int

    @property
    def written(self) -> tuple[str, ...]:
        """As the clinic writes it."""
        return (
            self.resource,
            self.doctor or "",
            self.room or "",
            self.branch or "",
            f"{local(self.starts):%Y-%m-%d %H:%M}",
            f"{local(self.ends):%Y-%m-%d %H:%M}",
        )


@dataclass(slots=True)
class Rota:
    """Shifts, and the planned minutes of each appointment (None where nobody wrote them)."""

    shifts: list[Shift] = field(default_factory=list)
    minutes: dict[str, int | None] = field(default_factory=dict)


def rota(world: World) -> Rota:
    """The rota of a world whose stories are told. Equal worlds have equal ones."""
    rng = random.Random(f"{world.seed}:shifts")
    found = Rota(minutes=_minutes(world, rng))
    known_from = world.start
    for _ in range(_UNKNOWN_MONTHS):
        known_from = month_end(known_from) + timedelta(days=1)
    days = [known_from + timedelta(days=n) for n in range((world.end - known_from).days + 1 + _AHEAD)]
    _ordinary(world, days, rng, found)
    _overlaps(found)
    _rooms(world, days, rng, found)
    _nights(world, days, found)
    _incomplete(days, found)
    found.shifts = list(dict.fromkeys(found.shifts))  # the clinic's table has no line twice
    rng.shuffle(found.shifts)
    return found


def _minutes(world: World, rng: random.Random) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for visit in world.visits:
        minutes = sum(_MINUTES[line.service] for line in visit.lines)
        minutes += rng.choice((0, 0, 0, 5, 10))
        roll = rng.random()
        if visit.doctor == _UNPLANNED or roll < 0.25:
            found[visit.appointment_id] = None
        else:
            # A length of nothing is what an empty form leaves behind.
            found[visit.appointment_id] = 0 if roll < 0.27 else minutes
    found.update((visit.appointment_id, PLANNED_MINUTES) for visit in world.planned)
    return found


def _room(branch: str, rng: random.Random) -> str:
    return f"{branch[0]}{rng.randint(1, 4)}"


def _ordinary(world: World, days: list[date], rng: random.Random, found: Rota) -> None:
    """Half-days of six hours, at one branch a day: most that have visits, and some that have none."""
    visits: dict[tuple[str, date], list[Visit]] = defaultdict(list)
    for visit in world.visits:
        visits[visit.doctor, local_day(visit.scheduled_at)].append(visit)
    for day in days:
        for doctor, (branches, *_) in clinic.DOCTORS.items():
            if doctor == _UNPLANNED or day.weekday() == 6:
                continue
            of_day = visits[doctor, day]
            places = Counter(v.branch for v in of_day)
            branch = max(sorted(places), key=lambda b: places[b]) if places else rng.choice(branches)
            room = _room(branch, rng)
            for first, last in _BLOCKS:
                coming = [
                    v for v in of_day if v.branch == branch and first <= local(v.scheduled_at).hour < last
                ]
                operates = any(line.service in clinic.SURGERY for v in coming for line in v.lines)
                resource, place = ("theatre", f"OR {branch}") if operates else ("outpatient", room)
                if rng.random() < (0.93 if coming else 0.2):
                    found.shifts.append(
                        Shift(resource, doctor, place, branch, instant(day, first), instant(day, last))
                    )
    for day in days[::9]:
        found.shifts.append(
            Shift("outpatient", NEWCOMER, "C5", "Centar", instant(day, 9), instant(day, 12, 30))
        )


def _overlaps(found: Rota) -> None:
    """A theatre list that begins before the consulting hours end, one within them, and one line twice."""
    for index, shift in enumerate(list(found.shifts)):
        theatre = f"OR {shift.branch}"
        if index % 23 == 0:
            found.shifts.append(
                Shift(
                    "theatre", shift.doctor, theatre, shift.branch, shift.ends - HOUR, shift.ends + 2 * HOUR
                )
            )
        elif index % 31 == 0:
            found.shifts.append(
                Shift("theatre", shift.doctor, theatre, shift.branch, shift.starts + HOUR, shift.ends - HOUR)
            )
        elif index % 37 == 0:
            found.shifts.append(
                Shift("outpatient", shift.doctor, shift.room, shift.branch, shift.starts, shift.starts + HOUR)
            )
        elif index % 41 == 0:
            found.shifts.append(
                Shift("theatre", shift.doctor, theatre, shift.branch, shift.starts, shift.ends)
            )


def _rooms(world: World, days: list[date], rng: random.Random, found: Rota) -> None:
    """Rooms that are open whoever is in them, and theatres: two such shifts of a room may overlap."""
    for visit in [v for v in world.visits if v.doctor == _UNPLANNED][::2]:
        # Begins in the middle of the visit.
        starts = visit.scheduled_at + rng.choice((-HOUR, 10 * MINUTE))
        found.shifts.append(Shift("outpatient", None, visit.room, visit.branch, starts, starts + 3 * HOUR))
    for day in days:
        if day.weekday() in (1, 4):
            for branch in ("Centar", "Maksimir"):
                found.shifts.append(
                    Shift("theatre", None, f"OR {branch}", branch, instant(day, 8), instant(day, 16))
                )
        if day.weekday() == 2:
            branch = rng.choice(("Centar", "Maksimir"))
            room = _room(branch, rng)
            found.shifts += [
                Shift("outpatient", None, room, branch, instant(day, 8), instant(day, 15)),
                Shift("outpatient", None, room, branch, instant(day, 13, 10), instant(day, 20)),
            ]


def _nights(world: World, days: list[date], found: Rota) -> None:
    """On call over the end of each month; in the ward while the clocks change."""
    for month in sorted({month_of(day) for day in days if day <= world.end}):
        last = month_end(month)
        found.shifts.append(
            Shift(
                "bed",
                "dr. Tomislav Grgic",
                None,
                "Centar",
                instant(last, 21, 15),
                instant(last + timedelta(days=1), 2, 45),
            )
        )
    for eve, day in pairwise(days):
        if instant(day + timedelta(days=1)) - instant(day) == DAY:
            continue
        found.shifts += [
            Shift("bed", "dr. Petar Vukovic", "Ward", "Maksimir", instant(eve, 20), instant(day, 8)),
            Shift("bed", None, "Bed 1", "Maksimir", instant(day), instant(day + timedelta(days=1))),
            # The clock shows this time twice in autumn and never in spring.
            Shift("bed", None, "Bed 2", "Maksimir", instant(day, 2, 30), instant(day, 4)),
        ]


def _incomplete(days: list[date], found: Rota) -> None:
    """Lines that name no branch, no room, or neither doctor nor room."""
    for day in days[5::28]:
        if day.weekday() == 6:
            continue
        found.shifts += [
            Shift("outpatient", "dr. Marta Kolar", None, None, instant(day, 12), instant(day, 19)),
            Shift("bed", None, None, "Centar", instant(day, 7), instant(day, 19)),
            Shift("bed", None, None, None, instant(day, 6), instant(day, 18, 30)),
        ]
