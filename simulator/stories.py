"""What the people of the artificial clinic do: an ordinary life at random, and hard cases planted on purpose.

Each hard case is a method of `HardCases` and happens a known number of times: at least three times
whatever the scale. `World.case` names the case of each planted card, `World.cause` the contact that truly
brought the person.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, timedelta
from typing import Final

from simulator import clinic
from simulator.model import (
    DAY,
    HOUR,
    MINUTE,
    US,
    Card,
    Contact,
    Line,
    Origin,
    Review,
    Visit,
    World,
    end_of_day,
    instant,
    local_day,
)
from simulator.people import Stage
from simulator.traffic import DIRECT

# At scale 1, over 18 months.
_NEW_PATIENTS: Final = 2_150
_KNOWN_PATIENTS: Final = 520
_STRANGERS: Final = 6_600
_BACKGROUND_SESSIONS: Final = 50_000

WHATSAPP: Final = Origin("messenger", "whatsapp", None, "none", "whatsapp", "messenger")
WALK_IN: Final = Origin("offline", "walk_in", None, "none", "walk_in", "offline")
EVENT: Final = Origin(
    "event", "open_day", clinic.EVENT_CAMPAIGN, "none", "open_day", "event", clinic.EVENT_CAMPAIGN
)


def populate(world: World, scale: float, *, flaws: bool = False) -> None:
    """Fill the world with people. Everything random hangs from the world's seed."""
    stage = Stage(world, random.Random(f"{world.seed}/people"))
    cases = HardCases(stage, scale)
    cases.plant()
    if flaws:
        cases.plant_flaws()
    life = OrdinaryLife(stage, scale)
    life.known_patients()
    life.new_patients()
    life.strangers()
    life.background()
    life.reviews()
    life.restate()
    world.clicks = stage.traffic.clicks


class OrdinaryLife:
    """The bulk: patients, callers who never come, visitors who never call."""

    def __init__(self, stage: Stage, scale: float) -> None:
        self.stage = stage
        self.world = stage.world
        self.rng = stage.rng
        self.scale = scale

    def _count(self, base: int) -> int:
        span = (self.world.end - self.world.start).days / 549
        return max(1, round(base * self.scale * span))

    def known_patients(self) -> None:
        """People who were patients before the exports begin: no new patients, whatever they do."""
        stage, rng = self.stage, self.rng
        for index in range(self._count(_KNOWN_PATIENTS)):
            registered = end_of_day(self.world.start - timedelta(days=rng.randint(1, 2000)))
            phone = stage.phone()
            card = stage.card([phone], registered_at=registered)
            # The very first and the very last day have a completed visit: they bound what is known.
            if index < 2:
                edge = instant(self.world.start, 8) if index == 0 else instant(self.world.end, 8, 20)
                stage.visit(card, edge, says_primary=False)
                continue
            at = stage.slot(stage.first, stage.last)
            if at is None:
                continue
            booked = stage.open_moment(max(stage.first, at - 20 * DAY), at - HOUR)
            if rng.random() < 0.7 and booked > stage.first:
                stage.call(phone, booked - rng.randint(30, 200) * US)
            visit = stage.visit(
                card,
                at,
                booked_at=booked if rng.random() < 0.8 else None,
                says_primary=False if rng.random() < 0.9 else None,
            )
            stage.later_visits(card, visit)

    def new_patients(self) -> None:
        """People who come for the first time, in the proportions a clinic sees."""
        ways: tuple[tuple[Callable[[int], None], int], ...] = (
            (self._booked_by_phone, 58),
            (self._booked_online, 13),
            (self._called_then_came, 6),
            (self._chatted, 6),
            (self._wrote, 3),
            (self._recovered, 4),
            (self._told_the_desk, 4),
            (self._unseen, 6),
        )
        tellers, weights = zip(*ways, strict=True)
        for _ in range(self._count(_NEW_PATIENTS)):
            at = self.stage.open_moment(self.stage.first + 2 * HOUR, self.stage.last - 2 * DAY)
            self.rng.choices(tellers, weights)[0](at)

    def _first_visit(
        self,
        phone: str,
        booked: int,
        cause: Contact | None,
        *,
        booked_at: int | None,
        self_reported: str | None = None,
        contact_ref: str | None = None,
        visitor: str | None = None,
    ) -> tuple[Card, Visit] | None:
        """The card and first visit that a booking leads to; None when the day lies beyond the period."""
        stage, rng = self.stage, self.rng
        lag = rng.choice((1, 2, 4, 7, 14, 21))
        at = stage.slot(booked + 3 * HOUR, booked + lag * DAY + 12 * HOUR)
        if at is None:
            return None
        registered: int | None = booked // MINUTE * MINUTE
        if rng.random() < 0.5:
            registered = end_of_day(local_day(booked))
        if rng.random() < 0.15:
            registered = None
        if self_reported is None and rng.random() < 0.3:
            self_reported = rng.choice(list(clinic.SELF_REPORTED))
        card = stage.card([phone], registered_at=registered, self_reported=self_reported)
        says = True if rng.random() < 0.88 else None
        if at > stage.last:
            planned = stage.visit(
                card, at, status="booked", first=True, booked_at=booked_at, contact_ref=contact_ref
            )
            self.world.visits.remove(planned)
            self.world.planned.append(planned)
            return None
        status = rng.choices(
            ("completed", "no_show", "cancelled_by_patient", "cancelled_by_clinic"), (87, 7, 4, 2)
        )[0]
        visit = stage.visit(
            card,
            at,
            first=True,
            says_primary=says,
            booked_at=booked_at,
            contact_ref=contact_ref,
            visitor=visitor,
            status=status,
        )
        if status == "completed":
            self.world.cause[card.card] = cause
            stage.later_visits(card, visit)
        return card, visit

    def _booked_by_phone(self, at: int) -> None:
        stage, rng = self.stage, self.rng
        phone = stage.phone()
        visitor = stage.visitor(at - 40 * DAY)
        stage.browse(visitor, at, rng.choices((0, 1, 2, 3, 4), (34, 30, 18, 12, 6))[0])
        if rng.random() < 0.12:  # asked about prices earlier
            earlier = stage.open_moment(at - 50 * DAY, at - 2 * DAY)
            if earlier > stage.first:
                stage.call(phone, earlier, own=stage.traffic.any(earlier))
        cause = stage.booking_call(phone, at, visitor if rng.random() < 0.85 else None)
        booked = cause.at + rng.randint(20, 200) * US
        self._first_visit(phone, booked, cause, booked_at=booked)

    def _booked_online(self, at: int) -> None:
        stage, rng = self.stage, self.rng
        phone = stage.phone()
        visitor = stage.visitor(at - 30 * DAY)
        stage.browse(visitor, at, rng.choices((0, 1, 2, 3), (40, 30, 20, 10))[0])
        started = at - rng.randint(90, 1500) * US + rng.randrange(US)
        session = stage.session(
            visitor, started, stage.traffic.any(started, late=rng.random() < 0.5), number=3
        )
        if session is None:
            return
        cause = stage.contact("online_booking", at, phone, session=session)
        cause.flags["is_booked"] = True
        told = self._first_visit(
            phone,
            cause.at,
            cause,
            booked_at=cause.at,
            contact_ref=cause.contact_id if rng.random() < 0.6 else None,
            visitor=visitor if rng.random() < 0.7 else None,
        )
        if told is not None and rng.random() < 0.5:
            cause.appointment_ref = told[1].appointment_id

    def _called_then_came(self, at: int) -> None:
        """Called, thought about it, and booked at the desk days later."""
        stage, rng = self.stage, self.rng
        phone = stage.phone()
        visitor = stage.visitor(at - 20 * DAY)
        stage.browse(visitor, at, rng.choice((0, 1, 2)))
        cause = stage.booking_call(phone, at, visitor)
        booked = stage.open_moment(cause.at + 3 * HOUR, cause.at + 40 * DAY)
        if booked > cause.at + 2 * HOUR and booked < stage.last - 2 * DAY:
            self._first_visit(phone, booked, cause, booked_at=booked)

    def _chatted(self, at: int) -> None:
        stage = self.stage
        phone = stage.phone()
        visitor = stage.visitor(at - 10 * DAY)
        stage.browse(visitor, at, self.rng.choice((0, 1)))
        started = at - self.rng.randint(60, 1200) * US + self.rng.randrange(US)
        session = stage.session(visitor, started, stage.traffic.any(started))
        cause = stage.contact(self.rng.choice(("chat", "form")), at, phone, session=session)
        booked = cause.at + self.rng.randint(120, 2400) * US
        self._first_visit(phone, booked, cause, booked_at=booked)

    def _wrote(self, at: int) -> None:
        phone = self.stage.phone()
        cause = self.stage.contact("messenger", at, phone, own=WHATSAPP)
        booked = cause.at + self.rng.randint(120, 1800) * US
        self._first_visit(phone, booked, cause, booked_at=booked)

    def _recovered(self, at: int) -> None:
        """A missed call, rung back: the booking belongs to the call that was missed."""
        stage, rng = self.stage, self.rng
        phone = stage.phone()
        cause = stage.booking_call(phone, at, stage.visitor(at - 5 * DAY))
        cause.answered, cause.target, cause.talk, cause.operator = False, False, 0, None
        back = stage.call(
            phone,
            cause.at + rng.randint(5, 50 if rng.random() < 0.7 else 600) * MINUTE,
            direction="callback",
            dialled=cause.dialled,
        )
        booked = back.at + rng.randint(30, 180) * US
        self._first_visit(phone, booked, cause, booked_at=booked)

    def _told_the_desk(self, at: int) -> None:
        text = self.rng.choice(list(clinic.SELF_REPORTED))
        self._first_visit(
            self.stage.phone(),
            at,
            None,
            booked_at=at if self.rng.random() < 0.5 else None,
            self_reported=text,
        )

    def _unseen(self, at: int) -> None:
        self._first_visit(self.stage.phone(), at, None, booked_at=at if self.rng.random() < 0.5 else None)

    def strangers(self) -> None:
        """Callers and writers who never become patients."""
        stage, rng = self.stage, self.rng
        for _ in range(self._count(_STRANGERS)):
            at = stage.open_moment(stage.first + HOUR, stage.last - HOUR)
            phone = stage.phone() if rng.random() < 0.96 else None
            visitor = stage.visitor(at - 10 * DAY)
            stage.browse(visitor, at, rng.choices((0, 1, 2), (60, 30, 10))[0])
            kind = rng.choices(
                ("call", "chat", "form", "messenger", "event", "walk_in"), (80, 7, 6, 3, 2, 2)
            )[0]
            if kind == "call":
                self._stranger_calls(phone, at, visitor)
            elif kind in ("chat", "form"):
                started = at - rng.randint(60, 900) * US + rng.randrange(US)
                stage.contact(
                    kind, at, phone, session=stage.session(visitor, started, stage.traffic.any(started))
                )
            else:
                stage.contact(
                    kind, at, phone, own={"messenger": WHATSAPP, "event": EVENT, "walk_in": WALK_IN}[kind]
                )

    def _stranger_calls(self, phone: str | None, at: int, visitor: str) -> None:
        stage, rng = self.stage, self.rng
        for _ in range(rng.choices((1, 2, 3), (70, 22, 8))[0]):
            if at > stage.last - HOUR:
                return
            if phone is None:
                stage.call(None, at, own=stage.traffic.any(at), answered=rng.random() < 0.6)
            else:
                first = stage.booking_call(phone, at, visitor if rng.random() < 0.7 else None)
                if rng.random() < 0.16:
                    first.answered, first.target, first.talk, first.operator = False, False, 0, None
                    if rng.random() < 0.6:
                        stage.call(
                            phone,
                            first.at + rng.randint(2, 90) * MINUTE,
                            direction="callback",
                            answered=rng.random() < 0.8,
                            dialled=first.dialled,
                        )
            at += rng.randint(1, 45) * DAY + rng.randrange(3600) * US

    def background(self) -> None:
        """Visitors of the site who never get in touch."""
        stage, rng = self.stage, self.rng
        left = self._count(_BACKGROUND_SESSIONS)
        span = (stage.last - stage.first - 2 * DAY) // US
        while left > 0:
            at = stage.first + DAY + rng.randrange(span) * US
            visitor = stage.visitor(at)
            for number in range(1, rng.choices((1, 2, 3, 5), (68, 20, 8, 4))[0] + 1):
                moment = stage.free(visitor, at + rng.randrange(US))
                stage.session(visitor, moment, stage.traffic.any(at, late=number > 1), number=number)
                left -= 1
                at += rng.randint(2, 30 * 24) * HOUR + rng.randrange(3600) * US
                if at > stage.last - DAY:
                    break

    def reviews(self) -> None:
        """Ratings of doctors on review sites."""
        stage, rng = self.stage, self.rng
        number = 0
        for doctor, (branches, share, *_) in clinic.DOCTORS.items():
            leaning = rng.uniform(-0.5, 0.3)
            for _ in range(max(3, round(share * 160 * max(self.scale, 0.25)))):
                number += 1
                rating = min(5, max(1, round(rng.gauss(4.4 + leaning, 0.8))))
                text = f"Komentar {number}: {rng.choice(clinic.STREETS)}"
                self.world.personal.add(text)
                self.world.reviews.append(
                    Review(
                        f"R{number:05d}",
                        stage.open_moment(stage.first, stage.last),
                        rating,
                        doctor,
                        rng.choice(branches),
                        rng.choice(("google", "najdoktor")),
                        text,
                    )
                )

    def restate(self) -> None:
        """What vendors and the clinic corrected after the first export: only the newer export counts."""
        rng = self.rng
        completed = [v for v in self.world.visits if v.is_completed and self.world.case.get(v.card) is None]
        for visit in rng.sample(completed, max(4, len(completed) // 60)):
            if rng.random() < 0.5:  # exported in the morning, before the patient was seen
                visit.first_status = rng.choice(("confirmed", "booked"))
                visit.first_export = [
                    Line(line.service, line.amount, payer=line.payer) for line in visit.lines
                ]
            else:  # a service that was taken off the bill again, and an amount that was mistyped
                visit.first_export = [
                    Line(line.service, line.amount + 1_000, line.paid + 1_000, payer=line.payer)
                    for line in visit.lines
                ]
                visit.first_export.append(Line("Audiometry", 4_550, 4_550, payer="cash"))
        month = self.world.start.month + 2
        calls = [
            c
            for c in self.world.contacts
            if c.kind == "call"
            and c.answered
            and (local_day(c.at).year, local_day(c.at).month)
            == (self.world.start.year + (month - 1) // 12, (month - 1) % 12 + 1)
        ]
        for call in rng.sample(calls, min(len(calls), max(4, len(calls) // 20))):
            call.restated_target = not call.target


class HardCases:
    """Situations in which a careless join gives another answer. One method a case."""

    def __init__(self, stage: Stage, scale: float) -> None:
        self.stage = stage
        self.world = stage.world
        self.rng = stage.rng
        self._scale = scale

    def plant(self) -> None:
        """Plant every case, each at its own rate."""
        cases: tuple[tuple[Callable[[], None], int], ...] = (
            (self.family_one_call, 14), (self.family_two_calls, 14), (self.several_phones, 20),
            (self.phone_only_in_visit_row, 12), (self.withheld, 10), (self.over_shared, 1),
            (self.eight_patients, 1), (self.clinic_number_on_card, 6), (self.masked_on_card, 6),
            (self.internal_calls, 30), (self.number_changes_meaning, 4), (self.around_midnight, 6),
            (self.daylight_saving, 3), (self.booking_window, 3), (self.gap_tie, 3),
            (self.date_only_booking, 40), (self.unknown_booking, 30),
            (self.unknown_booking_never_unique, 8), (self.booking_reference, 24),
            (self.reference_from_contact, 10), (self.two_references, 6), (self.reference_to_nothing, 6),
            (self.reference_by_lead, 10), (self.reference_after_booking, 5),
            (self.online_without_contact, 16), (self.visitor_without_history, 5),
            (self.other_phone_same_visitor, 8), (self.two_devices, 10), (self.hop_by_user, 8),
            (self.self_reported, 20), (self.household, 16), (self.unlinked, 10), (self.after_booking, 20),
            (self.look_back_edge, 3), (self.session_edge, 3), (self.unique_edge, 3),
            (self.direct_sessions, 8), (self.waiting_room_browser, 1), (self.five_phones_browser, 1),
            (self.history, 4), (self.says_primary, 6), (self.no_show_first, 12), (self.rescheduled, 10),
            (self.merged, 10), (self.same_minute, 4), (self.money, 12), (self.form_sent_twice, 8),
            (self.callback_widget, 8), (self.late_second_device, 6), (self.asked_again, 1),
            (self.history_edges, 2), (self.maturity_edges, 2), (self.merged_twice, 3),
            (self.date_only_late_call, 3), (self.walked_in, 6), (self.session_outlasts_booking, 4),
        )  # fmt: skip
        for tell, base in cases:
            for _ in range(max(3, round(base * self._scale)) if base > 1 else max(1, round(self._scale))):
                tell()

    def plant_flaws(self) -> None:
        """Plant what a run must complain of, though it publishes."""
        for _ in range(3):
            self.unmapped_status()

    # helpers

    def _booking(self, earliest: float = 110, latest: float = 40) -> int:
        """A booking moment with `earliest` days of history before it and `latest` days after it."""
        stage = self.stage
        span = (stage.last - stage.first) // DAY
        if earliest + latest >= span:
            raise ValueError(
                f"the hard cases need at least {earliest + latest:.0f} days; the period has {span}"
            )
        return (
            stage.open_moment(stage.first + int(earliest * DAY), stage.last - int(latest * DAY))
            // MINUTE
            * MINUTE
        )

    def _come(
        self,
        card: Card,
        booked: int | None,
        cause: Contact | None,
        case: str,
        *,
        after_days: float = 2,
        **visit: object,
    ) -> Visit:
        """The first completed visit, some days after the booking (or after `after` when that is unknown)."""
        after = visit.pop("after", None)
        base = booked if booked is not None else after
        if not isinstance(base, int):
            raise TypeError("a visit needs the instant it follows")
        at = self.stage.slot(base + int(after_days * DAY), base + int((after_days + 9) * DAY))
        if at is None:
            raise ValueError("no slot for a planted visit")
        made = self.stage.visit(card, at, first=True, booked_at=booked, **visit)  # type: ignore[arg-type]
        self.world.cause[card.card] = cause
        self.world.case[card.card] = case
        return made

    def _new_card(self, phones: list[str], booked: int, **more: object) -> Card:
        return self.stage.card(phones, registered_at=booked, **more)  # type: ignore[arg-type]

    def _web_call(self, phone: str | None, at: int, visitor: str, origin: Origin, **more: object) -> Contact:
        """A call from a session that began ten minutes before."""
        session = self.stage.session(visitor, at - 10 * MINUTE + self.rng.randrange(US), origin)
        return self.stage.call(phone, at, session=session, **more)  # type: ignore[arg-type]

    # families and phones

    def family_one_call(self) -> None:
        """One call of a mother books two children, two minutes apart: two new patients, one contact."""
        booked = self._booking()
        phone = self.stage.phone()
        visitor = self.stage.visitor(booked)
        call = self._web_call(
            phone, booked - 150 * US, visitor, self.stage.traffic.any_paid(booked), talk=400
        )
        for minutes in (0, 2):
            card = self._new_card([phone], booked, child=True)
            self._come(card, booked + minutes * MINUTE, call, "family_one_call", says_primary=True)

    def family_two_calls(self) -> None:
        """The same mother calls again for her second child: each child has its own call."""
        booked = self._booking(latest=60)
        phone = self.stage.phone()
        for weeks in (0, 3):
            at = booked + weeks * 7 * DAY + self.rng.randrange(40) * MINUTE
            call = self._web_call(
                phone, at - 70 * US, self.stage.visitor(at), self.stage.traffic.any(at), talk=200
            )
            card = self._new_card([phone], at, child=True)
            self._come(card, at, call, "family_two_calls", says_primary=True)

    def several_phones(self) -> None:
        """A card with two numbers in one cell; the call came from the second."""
        booked = self._booking()
        phones = [self.stage.phone(), self.stage.phone()]
        text = self.rng.choice(("; ", " / ", ", ")).join(self.stage.written(p) for p in phones)
        if " / " in text and any("/" in part for part in text.split(" / ")):
            text = text.replace(" / ", "; ")
        call = self.stage.booking_call(phones[1], booked - 90 * US, self.stage.visitor(booked))
        card = self._new_card(phones, booked, phone_text=text)
        self._come(card, booked, call, "several_phones", says_primary=True)

    def phone_only_in_visit_row(self) -> None:
        """The number that called stands in a later visit's row only; it is the patient's all the same."""
        booked = self._booking(latest=80)
        phone, other = self.stage.phone(), self.stage.phone()
        call = self.stage.booking_call(other, booked - 60 * US, self.stage.visitor(booked))
        card = self._new_card([phone], booked)
        first = self._come(card, booked, call, "phone_only_in_visit_row", says_primary=True)
        later = self.stage.slot(first.scheduled_at + 10 * DAY, first.scheduled_at + 20 * DAY)
        if later is not None:
            self.stage.visit(card, later, says_primary=False, phone=other)

    def withheld(self) -> None:
        """The booking call hid its number: no rule can see it."""
        booked = self._booking()
        call = self.stage.call(None, booked - 80 * US, own=self.stage.traffic.any_paid(booked))
        card = self._new_card(
            [self.stage.phone()], booked, self_reported=self.rng.choice((None, "Рекомендация друзей"))
        )
        self._come(card, booked, call, "withheld", says_primary=True)

    def over_shared(self) -> None:
        """An insurer's desk books for ten people under its own number, which links nobody."""
        phone = self.stage.phone()
        for _ in range(10):
            booked = self._booking()
            call = self.stage.call(phone, booked - 50 * US, own=self.stage.traffic.organic())
            card = self._new_card([phone], booked, self_reported=self.rng.choice((None, "Работодатель")))
            self._come(card, booked, call, "over_shared", says_primary=True)

    def eight_patients(self) -> None:
        """A foster home: eight patients under one number still are linked."""
        phone = self.stage.phone()
        first = self._booking(latest=200)
        for index in range(8):
            booked = first + index * 15 * DAY
            call = self.stage.call(phone, booked - 55 * US, own=self.stage.traffic.any(booked))
            card = self._new_card([phone], booked, child=True)
            self._come(card, booked, call, "eight_patients", says_primary=True)

    def clinic_number_on_card(self) -> None:
        """The desk typed the clinic's own number; the clinic also calls itself."""
        booked = self._booking()
        own = self.rng.choice(clinic.OWN_NUMBERS)
        self.stage.call(own, booked - 100 * US, internal=True)
        card = self._new_card([own], booked, self_reported=self.rng.choice((None, "Радио")))
        self._come(card, booked, None, "clinic_number_on_card", says_primary=True)

    def masked_on_card(self) -> None:
        """A masked number, or one that a spreadsheet ruined, beside the real one."""
        booked = self._booking()
        phone = self.stage.phone()
        masked = self.rng.choice(("091***4567", "3,8591E+11", "09x xxx xx12"))
        call = self.stage.booking_call(phone, booked - 45 * US, self.stage.visitor(booked))
        card = self._new_card([phone], booked, phone_text=f"{masked}; {self.stage.written(phone)}")
        self._come(card, booked, call, "masked_on_card", says_primary=True)

    def internal_calls(self) -> None:
        """Staff testing the lines: own numbers and tracking numbers calling are no contacts."""
        at = self._booking(2, 2) + self.rng.randrange(60) * US
        caller = self.rng.choice((*clinic.OWN_NUMBERS, *clinic.DEDICATED[1:]))
        self.stage.call(caller, at, internal=True, own=DIRECT)

    # time

    def number_changes_meaning(self) -> None:
        """Seconds before and after the midnight at which a dedicated number passes to another campaign."""
        boundary = next(t for t in self.world.tracking if t.valid_to is not None).valid_to
        if boundary is None:
            raise ValueError("no number changes its meaning")
        midnight = instant(boundary + timedelta(days=1))
        for seconds in (-self.rng.randint(1, 50), self.rng.randint(1, 50)):
            self.stage.call(
                self.stage.phone(), midnight + seconds * US, dialled=clinic.DEDICATED[0], answered=seconds > 0
            )

    def around_midnight(self) -> None:
        """Sessions and calls on both sides of a month's last midnight; one session spans it."""
        month = self.rng.randrange(1, 17)
        day = self._month_start(month)
        midnight = instant(day)
        for seconds in (-40, 25):
            at = midnight + seconds * US
            phone = self.stage.phone()
            session = self.stage.session(
                self.stage.visitor(at), at - 20 * US + self.rng.randrange(US), self.stage.traffic.any_paid(at)
            )
            self.stage.call(phone, at, session=session, answered=False)
        at = midnight - 30 * US
        spanning = self.stage.session(
            self.stage.visitor(at), at + self.rng.randrange(US), self.stage.traffic.organic()
        )
        if spanning is not None:
            spanning.pages, spanning.length = 3, 90 * US

    def _month_start(self, index: int) -> date:
        month = self.world.start.month - 1 + index
        day = date(self.world.start.year + month // 12, month % 12 + 1, 1)
        return day if day <= self.world.end else date(self.world.end.year, self.world.end.month, 1)

    def daylight_saving(self) -> None:
        """The nights of 25 and 23 hours: calls in the repeated hour, windows that span the change."""
        for day in _clock_changes(self.world.start, self.world.end):
            is_long = day.month == 10
            moments = [(0, 30, 0), (1, 59, 0), (3, 1, 0)] + ([(2, 30, 0), (2, 30, 1)] if is_long else [])
            for hour, minute, fold in moments:
                at = instant(day, hour, minute, self.rng.randrange(60), fold=fold)
                session = self.stage.session(
                    self.stage.visitor(at),
                    at - 15 * US + self.rng.randrange(US),
                    self.stage.traffic.any_paid(at),
                )
                self.stage.call(self.stage.phone(), at, session=session, answered=False)
            # Booked online in the night itself, from a session that began before the clocks changed.
            at = instant(day, 3, 20)
            if not self.stage.first + 91 * DAY < at < self.stage.last - 15 * DAY:
                continue
            phone, visitor = self.stage.phone(), self.stage.visitor(at)
            # One hundred minutes earlier in exact time, whatever the clock shows.
            self.stage.session(visitor, at - 100 * MINUTE, self.stage.traffic.any_paid(at))
            self.stage.call(phone, at - 90 * DAY, exact=True, own=self.stage.traffic.organic())
            booking = self.stage.contact("online_booking", at, phone, visitor=visitor, own=DIRECT)
            card = self._new_card([phone], at)
            self._come(card, at, booking, "daylight_saving", says_primary=True)

    def booking_window(self) -> None:
        """Calls exactly at, and just outside, 60 minutes before and 5 minutes after the booking."""
        for offset in (-3600, 300, -3601, 301):
            booked = self._booking()
            phone = self.stage.phone()
            call = self.stage.call(
                phone, booked + offset * US, exact=True, own=self.stage.traffic.any_paid(booked)
            )
            card = self._new_card([phone], booked)
            # A minute too early is still the nearest call before the booking; a second too late is nothing.
            cause = call if offset <= 300 else None
            self._come(card, booked, cause, "booking_window", says_primary=True)

    def gap_tie(self) -> None:
        """Two calls equally far from the booking: the earlier one counts."""
        booked = self._booking()
        phone = self.stage.phone()
        before = self.stage.call(
            phone, booked - 180 * US, exact=True, own=self.stage.traffic.any_paid(booked)
        )
        self.stage.call(phone, booked + 180 * US, exact=True, own=self.stage.traffic.organic())
        self._come(self._new_card([phone], booked), booked, before, "gap_tie", says_primary=True)

    def date_only_booking(self) -> None:
        """The clinic wrote only the day of the booking: the day's last call before its end counts."""
        booked = self._booking()
        phone = self.stage.phone()
        call = self.stage.booking_call(phone, booked, self.stage.visitor(booked))
        card = self._new_card([phone], booked)
        self._come(
            card,
            None,
            call,
            "date_only_booking",
            says_primary=True,
            booked_on=local_day(booked),
            after=booked,
        )

    def date_only_late_call(self) -> None:
        """Only the day of the booking is known, and the call came within an hour of that day's end."""
        day = local_day(self._booking())
        at = instant(day, 23, self.rng.randrange(5, 55), self.rng.randrange(60))
        phone = self.stage.phone()
        call = self.stage.call(phone, at, own=self.stage.traffic.any_paid(at))
        card = self._new_card([phone], at)
        self._come(card, None, call, "date_only_late_call", says_primary=True, booked_on=day, after=at)

    def walked_in(self) -> None:
        """Nobody booked: the desk notes the walk-in in the very minute in which the visit begins."""
        at = self.stage.slot(self._booking(), self.stage.last - 10 * DAY)
        if at is None:
            raise ValueError("no slot for a planted visit")
        phone = self.stage.phone()
        contact = self.stage.contact("walk_in", at, phone, own=WALK_IN, exact=True)
        card = self._new_card([phone], at)
        self.stage.visit(card, at, first=True, says_primary=True)
        self.world.cause[card.card] = contact
        self.world.case[card.card] = "walked_in"

    def asked_again(self) -> None:
        """Only the day of booking is known and the patient called again that evening: here the rules err."""
        booked = self._booking() // DAY * DAY + 9 * HOUR
        phone = self.stage.phone()
        call = self.stage.call(phone, booked, own=self.stage.traffic.any_paid(booked))
        self.stage.call(phone, booked + 6 * HOUR, own=DIRECT, talk=40)
        self._come(
            self._new_card([phone], booked),
            None,
            call,
            "asked_again",
            says_primary=True,
            booked_on=local_day(booked),
            after=booked,
        )

    def unknown_booking(self) -> None:
        """No booking time at all: the nearest call that is unique, not the call that confirms the visit."""
        came = self._booking(latest=20)
        phone = self.stage.phone()
        stage = self.stage
        if self.rng.random() < 0.5:
            stage.call(phone, came - 80 * DAY, own=stage.traffic.any(came - 80 * DAY))
        cause = stage.booking_call(phone, came - 24 * DAY, stage.visitor(came))
        stage.call(phone, came - 1 * DAY, own=DIRECT)
        card = self._new_card([phone], came - 24 * DAY)
        self._come(card, None, cause, "unknown_booking", after=came, after_days=0.5, says_primary=True)

    def unknown_booking_never_unique(self) -> None:
        """No booking time, and calls so close together that none in the look-back is unique."""
        came = self._booking(earliest=200, latest=20)
        phone = self.stage.phone()
        for days in (112, 88, 64, 40, 16):
            self.stage.call(phone, came - days * DAY, own=self.stage.traffic.any(came))
        card = self._new_card(
            [phone], came - 16 * DAY, self_reported=self.rng.choice((None, "газета 24sata", "Радио"))
        )
        self._come(
            card, None, None, "unknown_booking_never_unique", after=came, after_days=0.3, says_primary=True
        )

    # references and visitors

    def booking_reference(self) -> None:
        """The appointment names a call from another phone than the card's."""
        booked = self._booking()
        call = self._web_call(
            self.stage.phone(),
            booked - 20 * HOUR,
            self.stage.visitor(booked),
            self.stage.traffic.any_paid(booked),
        )
        own_phone = self.stage.phone()
        # A nearer call from the card's own phone: the reference is stronger.
        self.stage.call(own_phone, booked - 30 * MINUTE, own=self.stage.traffic.organic())
        card = self._new_card([own_phone], booked)
        self._come(card, booked, call, "booking_reference", contact_ref=call.contact_id, says_primary=True)

    def reference_from_contact(self) -> None:
        """The form names the appointment it led to; the appointment names nothing."""
        booked = self._booking()
        form = self.stage.contact(
            "form", booked - 5 * HOUR, self.stage.phone(), own=self.stage.traffic.any_paid(booked)
        )
        card = self._new_card([self.stage.phone()], booked)
        form.appointment_ref = self._come(
            card, booked, form, "reference_from_contact", says_primary=True
        ).appointment_id

    def two_references(self) -> None:
        """Two contacts name one appointment: the earlier one brought it."""
        booked = self._booking()
        phone = self.stage.phone()
        first = self.stage.contact("chat", booked - 9 * HOUR, phone, own=self.stage.traffic.any_paid(booked))
        second = self.stage.contact("form", booked - 2 * HOUR, phone, own=self.stage.traffic.organic())
        card = self._new_card([self.stage.phone()], booked)
        visit = self._come(card, booked, first, "two_references", says_primary=True)
        first.appointment_ref = second.appointment_ref = visit.appointment_id

    def reference_to_nothing(self) -> None:
        """The appointment names a lead that no export has: the phone decides."""
        booked = self._booking()
        phone = self.stage.phone()
        call = self.stage.booking_call(phone, booked - 40 * US, self.stage.visitor(booked))
        card = self._new_card([phone], booked)
        self._come(card, booked, call, "reference_to_nothing", contact_ref="L-999999", says_primary=True)

    def reference_by_lead(self) -> None:
        """The appointment names a CRM lead that stands for a call: the two are one contact."""
        booked = self._booking()
        call = self._web_call(
            self.stage.phone(),
            booked - 3 * HOUR,
            self.stage.visitor(booked),
            self.stage.traffic.any_paid(booked),
        )
        lead = self.stage.contact("lead", call.at + 4 * MINUTE, call.phone, contact_ref=call.contact_id)
        card = self._new_card([self.stage.phone()], booked)
        self._come(card, booked, call, "reference_by_lead", contact_ref=lead.contact_id, says_primary=True)

    def reference_after_booking(self) -> None:
        """A form that the site delivered late names the appointment: it is dated at the booking."""
        booked = self._booking()
        form = self.stage.contact(
            "form", booked + 47 * MINUTE, self.stage.phone(), own=self.stage.traffic.any_paid(booked)
        )
        card = self._new_card([self.stage.phone()], booked)
        form.appointment_ref = self._come(
            card, booked, form, "reference_after_booking", says_primary=True
        ).appointment_id

    def online_without_contact(self) -> None:
        """The booking page hands the browser's id to the clinic's system and leaves no contact."""
        booked = self._booking()
        visitor = self.stage.visitor(booked - 30 * DAY)
        self.stage.browse(visitor, booked, 2, within_days=50)
        self.stage.session(
            visitor, booked - 20 * MINUTE + self.rng.randrange(US), self.stage.traffic.any(booked)
        )
        card = self._new_card([self.stage.phone()], booked)
        self._come(card, booked, None, "online_without_contact", visitor=visitor, says_primary=True)

    def visitor_without_history(self) -> None:
        """The appointment's browser was last seen before the look-back: it proves nothing."""
        booked = self._booking(earliest=150)
        visitor = self.stage.visitor(booked - 130 * DAY)
        self.stage.session(
            visitor, booked - 100 * DAY + self.rng.randrange(US), self.stage.traffic.any_paid(booked)
        )
        card = self._new_card(
            [self.stage.phone()], booked, self_reported=self.rng.choice((None, "Instagram"))
        )
        self._come(card, booked, None, "visitor_without_history", visitor=visitor, says_primary=True)

    def other_phone_same_visitor(self) -> None:
        """A call from the husband's phone; only the browser ties it to the appointment."""
        booked = self._booking()
        visitor = self.stage.visitor(booked)
        call = self._web_call(
            self.stage.phone(), booked - 2 * DAY, visitor, self.stage.traffic.any_paid(booked)
        )
        card = self._new_card([self.stage.phone()], booked)
        self._come(card, booked, call, "other_phone_same_visitor", visitor=visitor, says_primary=True)

    def two_devices(self) -> None:
        """Signed in on phone and laptop; the appointment carries the account only."""
        booked = self._booking()
        user = f"u{8000 + self.stage.next_id('user')}"
        for days in (9, 1):
            at = booked - days * DAY
            self.stage.session(
                self.stage.visitor(at), at + self.rng.randrange(US), self.stage.traffic.any(at), user=user
            )
        card = self._new_card([self.stage.phone()], booked)
        self._come(card, booked, None, "two_devices", user=user, says_primary=True)

    def hop_by_user(self) -> None:
        """The call came from one browser; its account was also used on another, whose visits are touches."""
        booked = self._booking()
        user = f"u{8000 + self.stage.next_id('user')}"
        laptop, mobile = self.stage.visitor(booked - 20 * DAY), self.stage.visitor(booked)
        for days in (18, 6):
            at = booked - days * DAY
            self.stage.session(laptop, at + self.rng.randrange(US), self.stage.traffic.any(at), user=user)
        session = self.stage.session(mobile, booked - 12 * MINUTE + self.rng.randrange(US), DIRECT, user=user)
        phone = self.stage.phone()
        call = self.stage.call(phone, booked - 2 * MINUTE, session=session)
        self._come(self._new_card([phone], booked), booked, call, "hop_by_user", says_primary=True)

    def late_second_device(self) -> None:
        """A browser that is tied only by a call after the first visit; its earlier visits are touches."""
        booked = self._booking(latest=70)
        phone = self.stage.phone()
        call = self.stage.booking_call(phone, booked - 50 * US, self.stage.visitor(booked))
        visit = self._come(
            self._new_card([phone], booked), booked, call, "late_second_device", says_primary=True
        )
        tablet = self.stage.visitor(booked - 5 * DAY)
        self.stage.session(
            tablet, booked - 5 * DAY + self.rng.randrange(US), self.stage.traffic.any_paid(booked)
        )
        self._web_call(phone, visit.scheduled_at + 3 * DAY, tablet, DIRECT)

    # patients without a contact

    def self_reported(self) -> None:
        """Only the desk knows how the patient heard of the clinic."""
        booked = self._booking()
        card = self._new_card(
            [self.stage.phone()], booked, self_reported=self.rng.choice(list(clinic.SELF_REPORTED))
        )
        self._come(card, booked, None, "self_reported", says_primary=True)

    def household(self) -> None:
        """The father came months ago under the same number; nobody called for the child."""
        booked = self._booking(earliest=220)
        phone = self.stage.phone()
        father = self._new_card([phone], booked - 130 * DAY)
        call = self.stage.booking_call(phone, booked - 130 * DAY, self.stage.visitor(booked - 130 * DAY))
        self._come(father, booked - 130 * DAY, call, "household_first", says_primary=True)
        child = self._new_card([phone], booked, child=True)
        self._come(child, booked, None, "household", says_primary=True)

    def unlinked(self) -> None:
        """Nothing is known."""
        booked = self._booking()
        self._come(self._new_card([self.stage.phone()], booked), booked, None, "unlinked", says_primary=True)

    # touches

    def after_booking(self) -> None:
        """Clicks and calls between the booking and the visit earn nothing."""
        booked = self._booking()
        phone, visitor = self.stage.phone(), self.stage.visitor(booked)
        call = self._web_call(phone, booked - 3 * MINUTE, visitor, self.stage.traffic.organic())
        card = self._new_card([phone], booked)
        visit = self._come(card, booked, call, "after_booking", says_primary=True, after_days=4)
        for hours in (20, 40):
            self.stage.session(
                visitor, booked + hours * HOUR + self.rng.randrange(US), self.stage.traffic.any_paid(booked)
            )
        self._web_call(phone, visit.scheduled_at - 25 * HOUR, visitor, self.stage.traffic.any_paid(booked))

    def session_outlasts_booking(self) -> None:
        """A form sent after the booking, from the session before it: what it knows comes too late."""
        booked = self._booking()
        phone, visitor = self.stage.phone(), self.stage.visitor(booked)
        session = self.stage.session(visitor, booked - 20 * MINUTE + self.rng.randrange(US), DIRECT)
        call = self.stage.call(phone, booked - 3 * MINUTE, session=session)
        self.stage.contact(
            "form", booked + 10 * MINUTE, phone, session=session, own=self.stage.traffic.organic()
        )
        self._come(
            self._new_card([phone], booked), booked, call, "session_outlasts_booking", says_primary=True
        )

    def look_back_edge(self) -> None:
        """Contacts exactly 90 days before the booking (inside) and one second more (outside)."""
        booked = self._booking(earliest=120)
        phone = self.stage.phone()
        for seconds in (0, 1):
            self.stage.call(
                phone, booked - 90 * DAY - seconds * US, exact=True, own=self.stage.traffic.any_paid(booked)
            )
        call = self.stage.call(phone, booked - 70 * US, own=DIRECT)
        self._come(self._new_card([phone], booked), booked, call, "look_back_edge", says_primary=True)
        # The only call lies exactly at the edge: rule 3 still finds it.
        booked = self._booking(earliest=120)
        phone = self.stage.phone()
        call = self.stage.call(phone, booked - 90 * DAY, exact=True, own=self.stage.traffic.any_paid(booked))
        self._come(self._new_card([phone], booked), booked, call, "look_back_edge", says_primary=True)
        # Web sessions at both ends of the window, to the microsecond.
        booked = self._booking(earliest=120)
        phone, visitor = self.stage.phone(), self.stage.visitor(booked - 91 * DAY)
        for at in (booked - 90 * DAY - 1, booked - 90 * DAY, booked, booked + 1 * US):
            self.stage.session(visitor, at, self.stage.traffic.any_paid(at))
        call = self.stage.call(phone, booked - 70 * US, visitor=visitor, own=DIRECT)
        card = self._new_card([phone], booked)
        self._come(card, booked, call, "look_back_edge_of_sessions", says_primary=True)

    def session_edge(self) -> None:
        """A session exactly 24 hours before a call is its session; one second earlier it is not."""
        for seconds in (0, 1):
            booked = self._booking()
            phone, visitor = self.stage.phone(), self.stage.visitor(booked)
            at = booked - 2 * MINUTE
            session = self.stage.session(
                visitor, at - 24 * HOUR - seconds * US, self.stage.traffic.any_paid(booked)
            )
            call = self.stage.call(
                phone,
                at,
                exact=True,
                visitor=visitor,
                own=self.stage.traffic.organic(),
                session=session if seconds == 0 else None,
            )
            self._come(self._new_card([phone], booked), booked, call, "session_edge", says_primary=True)

    def unique_edge(self) -> None:
        """A second call just inside and just outside 30 times 24 hours after the first."""
        for seconds in (-1, 1):
            at = self._booking() + self.rng.randrange(60) * US
            phone = self.stage.phone()
            for moment in (at, at + 30 * DAY + seconds * US):
                self.stage.call(phone, moment, exact=True, own=self.stage.traffic.any(at))

    def direct_sessions(self) -> None:
        """Contacts of one direct session: the touch takes the first channel that says something."""
        booked = self._booking()
        phone, visitor = self.stage.phone(), self.stage.visitor(booked)
        session = self.stage.session(visitor, booked - 50 * MINUTE + self.rng.randrange(US), DIRECT)
        self.stage.contact("chat", booked - 40 * MINUTE, phone, session=session, own=DIRECT)
        self.stage.contact(
            "form", booked - 30 * MINUTE, phone, session=session, own=self.stage.traffic.organic()
        )
        call = self.stage.call(
            phone, booked - 3 * MINUTE, session=session, own=self.stage.traffic.any_paid(booked)
        )
        self._come(self._new_card([phone], booked), booked, call, "direct_sessions", says_primary=True)

    def waiting_room_browser(self) -> None:
        """The waiting room's tablet: seven phones, so it ties nobody, its visits are no touches."""
        visitor = self.stage.visitor(self.stage.first)
        first = self._booking(latest=120)
        for index in range(7):
            booked = first + index * 9 * DAY
            phone = self.stage.phone()
            self.stage.session(
                visitor, booked - 3 * DAY + self.rng.randrange(US), self.stage.traffic.any_paid(booked)
            )
            call = self._web_call(phone, booked - 2 * MINUTE, visitor, self.stage.traffic.organic())
            self._come(
                self._new_card([phone], booked), booked, call, "waiting_room_browser", says_primary=True
            )
        for _ in range(2):  # the browser alone must not link
            booked = first + 80 * DAY
            self._come(
                self._new_card([self.stage.phone()], booked),
                booked,
                None,
                "waiting_room_browser",
                visitor=visitor,
                says_primary=True,
            )

    def five_phones_browser(self) -> None:
        """An office computer with exactly five phones still ties."""
        visitor = self.stage.visitor(self.stage.first)
        first = self._booking(latest=90)
        for index in range(5):
            booked = first + index * 9 * DAY
            phone = self.stage.phone()
            self.stage.session(
                visitor, booked - 3 * DAY + self.rng.randrange(US), self.stage.traffic.any_paid(booked)
            )
            call = self._web_call(phone, booked - 2 * MINUTE, visitor, self.stage.traffic.organic())
            self._come(
                self._new_card([phone], booked), booked, call, "five_phones_browser", says_primary=True
            )

    # who is new

    def history(self) -> None:
        """Patients of whom the exports cannot tell, and their counterparts of whom they can."""
        stage = self.stage
        early, late = (2, 400), (190, 40)
        for when, registered, says, case in (
            (early, None, None, "history_unknown_margin"),
            (late, None, None, "after_margin"),
            (early, None, True, "early_but_primary"),
            (late, "before", True, "registered_before"),
            (late, None, False, "not_primary"),
        ):
            booked = self._booking(*when)
            phone = stage.phone()
            call = stage.booking_call(phone, booked - 60 * US, stage.visitor(booked))
            known = end_of_day(self.world.start - timedelta(days=300)) if registered else None
            card = stage.card([phone], registered_at=known)
            self._come(card, booked, call, case, says_primary=says)

    def _came_on(self, day: date, case: str, *, known: bool, registered_at: int | None = None) -> None:
        """A first visit on a certain day, booked by phone two days before."""
        at = instant(day, 10, 20)
        booked = at - 2 * DAY
        phone = self.stage.phone()
        call = self.stage.booking_call(phone, booked - 60 * US, self.stage.visitor(booked))
        card = self.stage.card([phone], registered_at=registered_at)
        self.stage.visit(card, at, booked_at=booked, first=True, says_primary=True if known else None)
        self.world.cause[card.card] = call
        self.world.case[card.card] = case

    def history_edges(self) -> None:
        """The last day within the history margin and the first after it; a card opened on the first day."""
        start = self.world.start
        self._came_on(start + timedelta(days=179), "margin_last_day", known=False)
        self._came_on(start + timedelta(days=180), "margin_passed", known=False)
        later = start + timedelta(days=60)
        self._came_on(later, "registered_on_first_day", known=False, registered_at=end_of_day(start))
        before = end_of_day(start - timedelta(days=1))
        self._came_on(later, "registered_day_before", known=True, registered_at=before)

    def maturity_edges(self) -> None:
        """First visits whose 30, 90, 180 and 365 days end on the last known day, and a day later."""
        for days in (30, 90, 180, 365):
            for late in (0, 1):
                day = self.world.end - timedelta(days=days - late)
                self._came_on(day, f"mature_{days}d" if late == 0 else f"immature_{days}d", known=True)

    def says_primary(self) -> None:
        """Registered within the period, yet the clinic calls the first visit a repeat: it knows better."""
        booked = self._booking()
        phone = self.stage.phone()
        call = self.stage.booking_call(phone, booked - 60 * US, self.stage.visitor(booked))
        self._come(self._new_card([phone], booked), booked, call, "says_primary", says_primary=False)

    def no_show_first(self) -> None:
        """The first appointment was missed; the second, with its own booking, is the first visit."""
        booked = self._booking(latest=80)
        phone = self.stage.phone()
        self.stage.booking_call(phone, booked - 60 * US, self.stage.visitor(booked))
        card = self._new_card([phone], booked)
        missed = self.stage.slot(booked + DAY, booked + 4 * DAY)
        if missed is not None:
            self.stage.visit(card, missed, booked_at=booked, status="no_show", first=True, says_primary=True)
        again = booked + 12 * DAY
        call = self.stage.booking_call(phone, again - 60 * US, self.stage.visitor(again))
        self._come(card, again, call, "no_show_first", says_primary=True)

    def rescheduled(self) -> None:
        """Moved by a second call; the clinic keeps the day the patient first booked."""
        booked = self._booking(latest=60)
        phone = self.stage.phone()
        call = self.stage.booking_call(phone, booked - 60 * US, self.stage.visitor(booked))
        card = self._new_card([phone], booked)
        before = self.stage.slot(booked + 2 * DAY, booked + 5 * DAY)
        if before is not None:
            self.stage.visit(
                card, before, booked_at=booked, status="rescheduled", first=True, says_primary=True
            )
        self.stage.call(phone, booked + 30 * HOUR, own=DIRECT)
        self._come(card, booked, call, "rescheduled", says_primary=True, after_days=8)

    def merged(self) -> None:
        """Two cards of one person, merged later: one patient, the earlier visit is the first."""
        booked = self._booking(latest=100)
        phone, second_phone = self.stage.phone(), self.stage.phone()
        call = self.stage.booking_call(phone, booked - 60 * US, self.stage.visitor(booked))
        card = self._new_card([phone], booked)
        duplicate = self._new_card([second_phone], booked + 20 * DAY)
        duplicate.merged_into = card.card
        if self.rng.random() < 0.5:  # the card that stays is the one of the later visit
            card.merged_into, duplicate.merged_into = duplicate.card, None
        first = self._come(card, booked, call, "merged", says_primary=True)
        at = self.stage.slot(first.scheduled_at + 15 * DAY, first.scheduled_at + 40 * DAY)
        if at is not None:
            self.stage.visit(duplicate, at, booked_at=booked + 20 * DAY, says_primary=True)

    def merged_twice(self) -> None:
        """Three cards of one person, merged one after the other: one patient."""
        booked = self._booking(latest=110)
        phone = self.stage.phone()
        call = self.stage.booking_call(phone, booked - 60 * US, self.stage.visitor(booked))
        cards = [self._new_card([phone], booked + index * 30 * DAY) for index in range(3)]
        cards[0].merged_into, cards[1].merged_into = cards[1].card, cards[2].card
        self._come(cards[0], booked, call, "merged_twice", says_primary=True)
        for index in (1, 2):
            at = self.stage.slot(booked + (index * 30 + 1) * DAY, booked + (index * 30 + 9) * DAY)
            if at is not None:
                self.stage.visit(cards[index], at, booked_at=booked + index * 30 * DAY, says_primary=True)

    def same_minute(self) -> None:
        """Two visits in the same minute with two doctors: the lower visit id is the first."""
        booked = self._booking()
        phone = self.stage.phone()
        call = self.stage.booking_call(phone, booked - 60 * US, self.stage.visitor(booked))
        card = self._new_card([phone], booked)
        first = self._come(
            card, booked, call, "same_minute", says_primary=True, doctor=("dr. Ana Horvat", "Centar")
        )
        self.stage.visit(
            card, first.scheduled_at, booked_at=booked, says_primary=True, doctor=("dr. Ivan Babic", "Centar")
        )

    # money and the rest

    def money(self) -> None:
        """Prepaid, paid by points, transferred by an insurer weeks later, refunded at the desk and later."""
        booked = self._booking(latest=110)
        stage = self.stage
        phone = stage.phone()
        call = stage.booking_call(phone, booked - 60 * US, stage.visitor(booked))
        card = self._new_card([phone], booked)
        lines = [
            Line("ENT consultation", 6_000, paid=6_000, payer="loyalty"),
            Line("Allergy panel", 12_999, paid=12_999, refund=1_234, payer="card"),
            Line("Sleep study", 35_000, paid=20_000, payer="deposit"),
        ]
        visit = self._come(card, booked, call, "money", says_primary=True, lines=lines)
        stage.payment(card, booked + MINUTE, 20_000, "card", visit if self.rng.random() < 0.5 else None)
        stage.payment(card, visit.scheduled_at + 40 * DAY, 15_000, "insurer", visit)
        stage.payment(card, visit.scheduled_at + 95 * DAY, -2_501, "card", visit)
        # Exactly at the end of the thirty days: no longer within them.
        stage.payment(card, visit.scheduled_at + 30 * DAY, 777, "cash")

    def unmapped_status(self) -> None:
        """A status that nobody mapped is not a visit."""
        booked = self._booking(latest=100)
        phone = self.stage.phone()
        self.stage.booking_call(phone, booked - 60 * US, self.stage.visitor(booked))
        card = self._new_card([phone], booked)
        at = self.stage.slot(booked + DAY, booked + 6 * DAY)
        if at is not None:
            visit = self.stage.visit(
                card, at, booked_at=booked, status="unknown", first=True, says_primary=True
            )
            visit.raw_status = clinic.UNMAPPED_STATUS

    def form_sent_twice(self) -> None:
        """A form sent twice for one request, then rung back twice: one contact, and no call."""
        booked = self._booking()
        phone = self.stage.phone()
        at = booked - 25 * MINUTE
        session = self.stage.session(
            self.stage.visitor(at), at - 4 * MINUTE + self.rng.randrange(US), self.stage.traffic.any_paid(at)
        )
        request = f"CB{4000 + self.stage.next_id('room')}"
        form = self.stage.contact("form", at, phone, session=session, callback_ref=request)
        self.stage.contact("form", at + 3 * MINUTE, phone, session=session, callback_ref=request)
        for minutes, answered in ((6, False), (20, True)):
            self.stage.call(phone, at + minutes * MINUTE, direction="callback", answered=answered)
        self._come(self._new_card([phone], booked), booked, form, "form_sent_twice", says_primary=True)

    def callback_widget(self) -> None:
        """A call asked for in the tracker's widget, tried twice: one contact, at the first try."""
        booked = self._booking()
        phone = self.stage.phone()
        at = booked - 21 * MINUTE
        session = self.stage.session(
            self.stage.visitor(at), at - 4 * MINUTE + self.rng.randrange(US), self.stage.traffic.any_paid(at)
        )
        request = f"W{4000 + self.stage.next_id('room')}"
        first = self.stage.call(
            phone, at, session=session, direction="callback", answered=False, callback_ref=request
        )
        self.stage.call(phone, at + 15 * MINUTE, session=session, direction="callback", callback_ref=request)
        self._come(self._new_card([phone], booked), booked, first, "callback_widget", says_primary=True)


def _clock_changes(start: date, end: date) -> list[date]:
    """The days between two dates on which the clinic's clocks change, at 3 or 2 o'clock in the night."""
    days = [start + timedelta(days=n) for n in range((end - start).days + 1)]
    return [day for day in days if instant(day + timedelta(days=1)) - instant(day) != DAY]
