"""What the desk does about people who slipped away, and the list of them that each morning must show.

The desk's calls and the appointments that come of them are told after all stories, from a stream of random
numbers of its own.
"""

from __future__ import annotations

import bisect
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any, Final

from simulator import clinic
from simulator.acquisition_funnel import Bookings
from simulator.arithmetic import number, quotient
from simulator.desk import IRRELEVANT, SPAM
from simulator.enquiries import Desk
from simulator.model import (
    DAY,
    HOUR,
    MINUTE,
    US,
    Contact,
    Line,
    Visit,
    World,
    end_of_day,
    instant,
    local,
    local_day,
)
from simulator.truth import Told, Truth

Cells = dict[str, Any]
ON_THE_LIST: Final = 30 * DAY
TO_BE_REACHED: Final = 72 * HOUR
_NEVER: Final = 1 << 62
_RING_BACK_SHARE: Final = 0.55
_ANSWERED: Final = 0.7
_FIRST_ID: Final = 97_000_000


def call_back(world: World) -> None:
    """Ring back some of those who missed their appointment or did not book; some of them come after all."""
    rng = random.Random(f"{world.seed}:follow_ups")
    _ring_back_no_shows(world, rng)
    _ring_back_callers(world, rng)


def _ring_back_no_shows(world: World, rng: random.Random) -> None:
    seen = {v.card for v in world.visits if v.is_completed}
    missed = sorted(
        (v for v in world.visits if v.status == "no_show"), key=lambda v: (v.scheduled_at, v.visit_id)
    )
    for index, visit in enumerate(missed):
        phones = world.cards[visit.card].phones
        if not phones or rng.random() > _RING_BACK_SHARE:
            continue
        days = rng.choices((0, 1, 2, 3, 4, 6), (15, 40, 20, 10, 10, 5))[0]
        day = local_day(visit.scheduled_at) + timedelta(days=days)
        at = instant(day, 20 if days == 0 else rng.randint(8, 19), rng.randrange(60), 7)
        if day > world.end:
            continue
        answered = rng.random() < _ANSWERED
        _ring(world, index, phones[0], at, answered=answered, talk=rng.randint(20, 200))
        if answered and rng.random() < 0.5:
            _book_again(world, index, visit, at, rng, has_come=visit.card in seen)


def _ring_back_callers(world: World, rng: random.Random) -> None:
    """Of people who called and are nobody's patient, one in eight; mostly in vain."""
    known = {phone for card in world.cards.values() for phone in card.phones}
    callers = sorted(
        (
            c
            for c in world.contacts
            if c.kind == "call" and c.direction == "inbound" and not c.internal and c.target
        ),
        key=lambda c: (c.at, c.global_id),
    )
    for index, call in enumerate(callers):
        if call.phone is None or call.phone in known or rng.random() > 0.125:
            continue
        at = call.at + rng.randint(20, 100) * HOUR
        if local_day(at) <= world.end:
            answered = rng.random() < 0.4
            _ring(world, 100_000 + index, call.phone, at, answered=answered, talk=rng.randint(20, 200))


def _ring(world: World, index: int, phone: str, at: int, *, answered: bool, talk: int) -> None:
    world.contacts.append(
        Contact(
            contact_id=str(_FIRST_ID + index),
            source_name="calltouch",
            kind="call",
            at=at // US * US,
            phone=phone,
            direction="callback",
            answered=answered,
            talk=talk if answered else 0,
            target=answered and talk >= 45,
        )
    )


def _book_again(
    world: World, index: int, missed: Visit, rung_at: int, rng: random.Random, *, has_come: bool
) -> None:
    """A new appointment. Who never came before does not come now either, so that no journey changes."""
    day = local_day(rung_at) + timedelta(days=rng.randint(2, 12))
    at = instant(day, rng.randint(8, 19), rng.choice((0, 20, 40)))
    is_ahead = day > world.end
    status = rng.choice(("completed", "completed", "no_show", "cancelled_by_patient"))
    if is_ahead:
        status = "booked"
    elif status == "completed" and not has_come:
        status = "cancelled_by_patient"
    service = "Follow-up consultation"
    price = clinic.SERVICES[service][3]
    visit = Visit(
        visit_id=f"V9{index:05d}",
        appointment_id=f"A9{index:05d}",
        card=missed.card,
        scheduled_at=at,
        branch=missed.branch,
        doctor=missed.doctor,
        room=missed.room,
        status=status,
        lines=[Line(service, price, paid=price if status == "completed" else 0)],
        booked_at=(rung_at + 2 * MINUTE) // MINUTE * MINUTE if rng.random() < 0.8 else None,
        says_primary=False if status == "completed" else None,
    )
    (world.planned if is_ahead else world.visits).append(visit)


@dataclass(frozen=True, slots=True)
class Item:
    """What belonged on a list: a missed appointment, or a contact after which nothing was booked."""

    reason: str
    person: str
    at: int
    identity: str
    visit: Visit | None = None
    told: Told | None = None

    @property
    def day(self) -> date:
        """The clinic's day on which it happened."""
        return local_day(self.at)

    @property
    def listed_at(self) -> int:
        """When that day was over."""
        return instant(self.day + timedelta(days=1))


class _Links(Bookings):
    """When what each contact led to was agreed."""

    def agreed(self) -> list[tuple[Told, int]]:
        """(contact, moment) of every booking that came of one."""
        found = []
        for patient, visits in self.truth.appointments_of.items():
            for visit in visits:
                if visit.status == "rescheduled" and self._is_replaced(visit, visits):
                    continue
                booked, agreed = _booked(visit), _agreed(visit)
                journey = self._journey_of.get(visit.visit_id)
                if journey is not None:
                    told = None if journey.acquiring is None else self._told[id(journey.acquiring)]
                else:
                    came = [v.scheduled_at for v in self.truth.completed_of.get(patient, [])]
                    seen = max((at for at in came if at < agreed), default=None)
                    told = self._contact_of(patient, visit, booked, agreed, seen)
                if told is not None:
                    found.append((told, agreed))
        return found


def _booked(visit: Visit) -> int | None:
    return end_of_day(visit.booked_on) if visit.booked_on is not None else visit.booked_at


def _agreed(visit: Visit) -> int:
    booked = _booked(visit)
    return visit.scheduled_at if booked is None else min(booked, visit.scheduled_at)


class _People:
    """Who slipped away, and what became of them."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.desk = Desk(truth)
        # person -> when something was agreed and until when it lay ahead; when somebody spoke with the person
        self.agreed: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self.reached: dict[str, list[int]] = defaultdict(list)
        self._patients_of: dict[str, list[str]] = defaultdict(list)
        for patient, phones in truth.linking_phones_of.items():
            for phone in phones:
                self._patients_of[phone].append(patient)
        self._collect()

    def _collect(self) -> None:
        truth = self.truth
        for patient, visits in truth.appointments_of.items():
            phones = truth.linking_phones_of[patient]
            for visit in visits:
                at = visit.scheduled_at
                events = [(_agreed(visit), at, at)]
                if visit.is_completed:
                    events.append((at, at, instant(local_day(at) + timedelta(days=1))))
                for agreed, until, day_over in events:
                    self.agreed[patient].append((agreed, day_over))
                    for phone in phones:
                        self.agreed[_number(phone)].append((agreed, until))
        for told, agreed in _Links(truth).agreed():
            self.agreed[_person(told)].append((max(agreed, told.at), told.at))
        for told in truth.contacts:
            if self._says_booked(told):
                self.agreed[_person(told)].append((told.at, told.at))
            if not told.is_missed:
                self._reach(_person(told), told.contact.phone, told.at)
        for call in truth.world.contacts:
            if call.direction != "inbound" and call.answered and call.phone is not None:
                self._reach(_number(call.phone), call.phone, call.at)
        for moments in self.reached.values():
            moments.sort()

    def _reach(self, person: str, phone: str | None, at: int) -> None:
        self.reached[person].append(at)
        for patient in self._patients_of.get(phone or "", []):
            self.reached[patient].append(at)

    def _says_booked(self, told: Told) -> bool:
        rows = self.desk.rows_of[told.contact.global_id]
        return any(row.flags.get("is_booked", False) or row.appointment_ref is not None for row in rows)

    @cached_property
    def items(self) -> list[Item]:
        """Missed appointments and contacts, whether they were settled or not."""
        truth = self.truth
        found = [
            Item("no_show", patient, visit.scheduled_at, visit.appointment_id, visit=visit)
            for patient, visits in truth.appointments_of.items()
            for visit in visits
            if visit.status == "no_show"
        ]
        for told in truth.contacts:
            rows = self.desk.rows_of[told.contact.global_id]
            tags = {name for row in rows for _, name in row.tags}
            is_valid = any(r.target if r.kind == "call" else r.flags["is_valid"] for r in rows)
            if (
                is_valid
                and not self._says_booked(told)
                and not tags & {*SPAM, *IRRELEVANT}
                and (told.contact.phone is not None or not told.is_call)
            ):
                found.append(Item("not_booked", _person(told), told.at, told.contact.global_id, told=told))
        return found

    def settled_at(self, item: Item) -> int | None:
        """When the person had agreed to come after all."""
        events = self.agreed.get(item.person, [])
        if any(agreed <= item.at < until for agreed, until in events):
            return item.at
        since = item.at + 1 if item.reason == "no_show" else item.at - 5 * MINUTE
        later = [agreed for agreed, _ in events if agreed >= since]
        return max(min(later), item.at) if later else None

    def reached_at(self, item: Item) -> int | None:
        """When somebody first spoke with the person once the day was over."""
        moments = self.reached.get(item.person, [])
        place = bisect.bisect_left(moments, item.listed_at)
        return moments[place] if place < len(moments) else None

    def last_reached_at(self, item: Item) -> int | None:
        """When somebody last did since it happened."""
        moments = self.reached.get(item.person, [])
        return moments[-1] if moments and moments[-1] > item.at else None


def _number(phone: str) -> str:
    return f"number {phone}"


def _person(told: Told) -> str:
    contact = told.contact
    if contact.phone is not None:
        return _number(contact.phone)
    browser = contact.visitor if contact.dialled is None else None
    return contact.email or browser or contact.global_id


def _latest(items: Iterable[Item], *, by_day: bool) -> list[Item]:
    """Of each person, reason and, where asked, day what happened last."""
    found: dict[tuple[object, ...], Item] = {}
    for item in sorted(items, key=lambda i: (-i.at, i.identity)):
        found.setdefault((item.reason, item.person, item.day if by_day else None), item)
    return list(found.values())


def follow_up_results(truth: Truth) -> list[Cells]:
    """Day of the list and reason."""
    people = _People(truth)
    listed = []
    for item in people.items:
        settled = people.settled_at(item)
        if item.day <= truth.as_of and (settled is None or settled >= item.listed_at):
            listed.append(item)
    found: dict[tuple[date, str], Counter[str]] = defaultdict(Counter)
    for item in _latest(listed, by_day=True):
        settled = people.settled_at(item)
        reached = people.reached_at(item)
        booked_after = _NEVER if settled is None else settled - item.listed_at
        reached_after = min(booked_after, _NEVER if reached is None else reached - item.listed_at)
        found[item.day, item.reason].update(
            listed=1,
            reached_72h=reached_after <= TO_BE_REACHED,
            booked_72h=booked_after <= TO_BE_REACHED,
            booked_30d=booked_after <= ON_THE_LIST,
        )
    rows = []
    for (day, reason), count in sorted(found.items()):
        known = {days: day + timedelta(days=days) <= truth.as_of for days in (3, 30)}
        rows.append(
            {
                "listed_on": day,
                "reason": reason,
                "listed": count["listed"],
                "reached_72h": int(count["reached_72h"]) if known[3] else "",
                "booked_72h": int(count["booked_72h"]) if known[3] else "",
                "booked_30d": int(count["booked_30d"]) if known[30] else "",
                "reached_72h_rate": _share(count["reached_72h"], count["listed"], is_known=known[3]),
                "booked_30d_rate": _share(count["booked_30d"], count["listed"], is_known=known[30]),
            }
        )
    return rows


def _share(part: int, whole: int, *, is_known: bool) -> str:
    return number(quotient(part, whole) if is_known else None)


def follow_ups(truth: Truth) -> list[Cells]:
    """The list itself, as it is written for the desk."""
    people = _People(truth)
    over = instant(truth.as_of + timedelta(days=1))
    standing = [
        item
        for item in people.items
        if people.settled_at(item) is None and item.day <= truth.as_of and over - item.at < ON_THE_LIST
    ]
    rows: list[Cells] = []
    for place, item in enumerate(_latest(standing, by_day=False), start=1):
        visit, told = item.visit, item.told
        lines = [] if told is None else people.desk.rows_of[told.contact.global_id]
        rows.append(
            {
                "as_of": truth.as_of,
                "position": place,
                "is_new": str(over - item.at < TO_BE_REACHED).lower(),
                "reason": item.reason,
                "happened_at": _clock(item.at),
                "source_name": "mis" if told is None else told.contact.source_name,
                "appointment_id": "" if visit is None else visit.appointment_id,
                "patient_id": "" if visit is None else visit.card,
                "contact_id": "" if told is None else told.contact.contact_id,
                "contact_kind": "" if told is None else told.kind,
                "branch": _first(row.branch for row in lines) if visit is None else visit.branch,
                "doctor": "" if visit is None else visit.doctor,
                "service": "" if visit is None else visit.lines[0].service,
                "operator": _first(row.operator for row in lines),
                "is_existing_patient": str(
                    item.person in truth.completed_of if told is None else told.is_existing_patient
                ).lower(),
                "last_reached_at": _clock(people.last_reached_at(item)),
            }
        )
    return rows


def _first(texts: Iterable[str | None]) -> str:
    return next((text for text in texts if text is not None), "")


def _clock(at: int | None) -> str:
    return "" if at is None else f"{local(at):%Y-%m-%d %H:%M}"
