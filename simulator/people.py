"""The tools by which stories are told: persons, phones, sessions, calls, visits."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from simulator import clinic
from simulator.keywords import Words
from simulator.model import (
    DAY,
    MINUTE,
    US,
    Card,
    Contact,
    Line,
    Origin,
    Payment,
    Session,
    Visit,
    World,
    end_of_day,
    instant,
    local_day,
)
from simulator.traffic import Traffic

_MOBILE: Final = ("91", "92", "95", "98", "99")
_CLINIC_NUMBERS: Final = frozenset((*clinic.OWN_NUMBERS, *clinic.DEDICATED))


class Stage:
    """The world while it is being built. Every story has its own phones and browsers unless it says so."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world = world
        self.rng = rng
        self.traffic = Traffic(rng, Words(world.seed), world.campaigns, world.start, world.end)
        self.first = instant(world.start)
        self.last = end_of_day(world.end)
        self._phones: set[str] = set()
        self._visitors: set[str] = set()
        self._serial = dict.fromkeys(
            ("call", "contact", "lead", "card", "visit", "payment", "user", "room"), 0
        )
        self._busy: set[tuple[str, int]] = set()

    # ids and numbers

    def next_id(self, kind: str) -> int:
        """The next number of a kind of record."""
        self._serial[kind] += 1
        return self._serial[kind]

    def phone(self) -> str:
        """A mobile number nobody has yet, E.164."""
        while True:
            number = f"+385{self.rng.choice(_MOBILE)}{self.rng.randint(2_000_000, 9_899_999)}"
            if number not in self._phones:
                self._phones.add(number)
                return number

    def written(self, phone: str) -> str:
        """A number as a receptionist may write it. Every form reads as the same number."""
        local_part = phone.removeprefix("+385")
        a, b, c = local_part[:2], local_part[2:5], local_part[5:]
        form = self.rng.choice((
            phone, f"0{a}{b}{c}", f"0{a} {b} {c}", f"0{a}/{b}-{c}", f"+385 {a} {b} {c}", f"00385{a}{b}{c}",
            f"385{a}{b}{c}", f"(0{a}) {b}-{c}", f"+385 (0){a} {b} {c}",
        ))  # fmt: skip
        self._keep_private(phone, form)
        return form

    def _keep_private(self, phone: str, *forms: str) -> None:
        """Note a person's number, as written and in plain digits, among what must never leave the inbox."""
        if phone in _CLINIC_NUMBERS:
            return
        digits = phone.removeprefix("+")
        self.world.personal.update((*forms, phone, digits, digits.replace("385", "0", 1)))

    def visitor(self, at: int) -> str:
        """A new browser's client id: random number, dot, second of its first visit."""
        while True:
            client = f"{self.rng.randint(1_000_000_000, 2_147_483_647)}.{at // US}"
            if client not in self._visitors:
                self._visitors.add(client)
                return client

    def free(self, who: str, at: int) -> int:
        """The instant itself, or the next second in which nothing else of that person happens."""
        while (who, at // US) in self._busy:
            at += US
        self._busy.add((who, at // US))
        return at

    # time

    def open_moment(self, first: int, last: int) -> int:
        """A random second of opening hours (Mon-Sat 7:30-20:30) between two instants."""
        days = max((local_day(last) - local_day(first)).days, 0)
        for _ in range(200):
            day = local_day(first) + timedelta(days=self.rng.randint(0, days))
            if day.weekday() == 6:
                continue
            at = instant(day, 7, 30) + self.rng.randrange(13 * 3600) * US
            if first <= at <= last:
                return at
        return first + (last - first) // 2 // US * US

    def slot(self, first: int, last: int) -> int | None:
        """A slot for a visit (Mon-Sat, 8:00-19:40, every 20 minutes), None when there is none."""
        days = (local_day(last) - local_day(first)).days
        for _ in range(60):
            day = local_day(first) + timedelta(days=self.rng.randint(0, max(days, 0)))
            at = instant(day, self.rng.randint(8, 19), self.rng.choice((0, 20, 40)))
            if day.weekday() != 6 and first <= at <= last:
                return at
        return None

    # people

    def card(
        self,
        phones: Sequence[str],
        *,
        registered_at: int | None = None,
        self_reported: str | None = None,
        child: bool | None = None,
        email: bool | None = None,
        phone_text: str | None = None,
    ) -> Card:
        """A new patient card. `phone_text` replaces what the card writes for its phones."""
        rng = self.rng
        sex = rng.choice(("female", "male"))
        name = f"{rng.choice(clinic.SURNAMES)} {rng.choice(clinic.GIVEN[sex])}"
        is_child = rng.random() < 0.25 if child is None else child
        age = rng.randint(1, 15) if is_child else rng.randint(18, 84)
        born = self.world.end - timedelta(days=age * 365 + rng.randint(1, 360))
        number = self.next_id("card")
        card = Card(
            card=f"{100_000 + number}",
            name=name,
            sex=sex if rng.random() < 0.97 else None,
            born=born if rng.random() < 0.95 else None,
            phones=list(phones),
            written=[phone_text] if phone_text is not None else [self.written(p) for p in phones],
            registered_at=registered_at,
            self_reported=self_reported,
        )
        if rng.random() < 0.4 if email is None else email:
            card.email = f"{name.split()[0].lower()}.{number}@posta{rng.randint(1, 9)}.example"
            self.world.personal.add(card.email)
        if rng.random() < 0.8:
            card.address = f"{rng.choice(clinic.STREETS)} {rng.randint(1, 299)}/{number}"
            self.world.personal.add(card.address)
        self.world.personal.add(name)
        self.world.cards[card.card] = card
        return card

    # the web

    def session(
        self, visitor: str, at: int, origin: Origin, *, user: str | None = None, number: int = 1
    ) -> Session | None:
        """A web session, None when it lies outside the period that the exports cover."""
        if not self.first <= at <= self.last - DAY // 24:
            return None
        rng = self.rng
        pages = 1 + min(int(rng.expovariate(1.3)), 6)
        city, region, _ = rng.choices(clinic.CITIES, [share for *_, share in clinic.CITIES])[0]
        found = Session(
            visitor=visitor,
            ga_session=at // US,
            started_at=at,
            origin=origin,
            user=user,
            number=number,
            pages=pages,
            length=sum(rng.randint(5, 120) for _ in range(pages - 1)) * US,
            engaged=pages > 1 or rng.random() < 0.4,
            path=rng.choice(clinic.PATHS),
            device=rng.choices(("mobile", "desktop", "tablet"), (66, 30, 4))[0],
            city=city,
            region=region,
        )
        self.world.sessions.append(found)
        return found

    def browse(
        self, visitor: str, until: int, count: int, *, user: str | None = None, within_days: float = 60
    ) -> list[Session]:
        """Sessions of one browser before an instant, at least 26 hours before it."""
        found: list[Session] = []
        moments = sorted(
            until - 26 * 60 * MINUTE - int(self.rng.betavariate(1, 2.2) * within_days * DAY)
            for _ in range(count)
        )
        for number, at in enumerate(moments, start=1):
            if at < self.first:
                continue
            at = self.free(visitor, at + self.rng.randrange(US))
            session = self.session(
                visitor, at, self.traffic.any(at, late=number > 1), user=user, number=number
            )
            if session is not None:
                found.append(session)
        return found

    # contacts

    def call(
        self,
        phone: str | None,
        at: int,
        *,
        session: Session | None = None,
        own: Origin | None = None,
        dialled: str | None = None,
        answered: bool = True,
        visitor: str | None = None,
        direction: str = "inbound",
        talk: int | None = None,
        exact: bool = False,
        internal: bool = False,
        callback_ref: str | None = None,
    ) -> Contact:
        """A call, to the second. Without session, own origin or dialled number it names no origin.

        `exact` keeps the instant as given; otherwise it moves on to the caller's next free second.
        """
        at = at // US * US
        if not exact and phone is not None:
            at = self.free(phone, at)
        elif phone is not None:
            self._busy.add((phone, at // US))
        rng = self.rng
        talk = (rng.randint(35, 420) if rng.random() < 0.86 else rng.randint(3, 29)) if talk is None else talk
        if session is not None and own is None:
            own = session.origin
        found = Contact(
            contact_id=str(22_600_000 + self.next_id("call") * 7),
            source_name="calltouch",
            kind="call",
            at=at,
            phone=phone,
            own=own,
            direction=direction,
            internal=internal,
            session=session,
            visitor=session.visitor if session is not None else visitor,
            answered=answered,
            talk=talk if answered else 0,
            target=answered and talk >= 45,
            wait=rng.randint(2, 40) if rng.random() < 0.85 else None,
            dialled=dialled,
            operator=rng.choice(clinic.OPERATORS) if answered else None,
            callback_ref=callback_ref,
        )
        if phone is not None:
            self._keep_private(phone)
        self.world.contacts.append(found)
        return found

    def contact(
        self,
        kind: str,
        at: int,
        phone: str | None,
        *,
        session: Session | None = None,
        own: Origin | None = None,
        visitor: str | None = None,
        user: str | None = None,
        appointment_ref: str | None = None,
        contact_ref: str | None = None,
        callback_ref: str | None = None,
        exact: bool = False,
    ) -> Contact:
        """A chat, form, message, walk-in, event sign-up, online booking or CRM lead, to the second."""
        at = at // US * US
        if not exact:
            at = self.free(phone or f"contact {kind}", at)
        elif phone is not None:
            self._busy.add((phone, at // US))
        if session is not None and own is None:
            own = session.origin
        rng = self.rng
        lead = kind == "lead"
        identity = (
            f"L-{5000 + self.next_id('lead')}" if lead else f"{kind[:2]}-{7000 + self.next_id('contact')}"
        )
        sex = rng.choice(("female", "male"))
        found = Contact(
            contact_id=identity,
            source_name="online",
            kind=kind,
            at=at,
            phone=phone,
            own=own,
            session=session,
            visitor=session.visitor if session is not None else visitor,
            user=user,
            answered=True,
            appointment_ref=appointment_ref,
            contact_ref=contact_ref,
            callback_ref=callback_ref,
            name=f"{rng.choice(clinic.GIVEN[sex])} {rng.choice(clinic.SURNAMES)}",
            message=f"Molim termin, hvala. Broj {self.next_id('room')}, {rng.choice(clinic.STREETS)}",
            written_phone=self.written(phone) if phone is not None else None,
            flags={
                "is_dialog": rng.random() < 0.8,
                "is_valid": rng.random() < 0.9,
                "is_contact_left": phone is not None,
                "is_booked": appointment_ref is not None,
                "is_missed": rng.random() < 0.05,
            },
        )
        if found.name is not None and found.message is not None:
            self.world.personal.update((found.name, found.message))
        self.world.contacts.append(found)
        return found

    def booking_call(self, phone: str, at: int, visitor: str | None = None) -> Contact:
        """A call that somebody makes to book: from the site, to a dedicated number, or from nowhere known."""
        rng = self.rng
        roll = rng.random()
        if visitor is not None and roll < 0.72:
            started = self.free(visitor, at - rng.randint(40, 2400) * US + rng.randrange(US))
            session = self.session(visitor, started, self.traffic.any(started, late=True), number=2)
            if session is not None:
                own = session.origin
                if own.is_blank:
                    own = self._last_known(visitor, started) or own
                return self.call(phone, at, session=session, own=own, talk=rng.randint(60, 500))
        if roll < 0.86:
            number = rng.choice(clinic.DEDICATED)
            return self.call(phone, at, dialled=number, talk=rng.randint(60, 500))
        # The browser blocks the web counter; the call tracker still resolves where the visitor came from.
        return self.call(phone, at, own=self.traffic.any(at), talk=rng.randint(60, 500))

    def _last_known(self, visitor: str, before: int) -> Origin | None:
        """The origin of a browser's latest session that has one, as call trackers resolve it."""
        earlier = [
            s
            for s in self.world.sessions[-40:]
            if s.visitor == visitor and s.started_at < before and not s.origin.is_blank
        ]
        return max(earlier, key=lambda s: s.started_at).origin if earlier else None

    # visits

    def doctor(self) -> tuple[str, str]:
        """(doctor, branch) of a visit, by how many patients each doctor sees."""
        names = list(clinic.DOCTORS)
        name = self.rng.choices(names, [clinic.DOCTORS[n][1] for n in names])[0]
        return name, self.rng.choice(clinic.DOCTORS[name][0])

    def lines(self, *, first: bool, surgery: float = 0.0) -> list[Line]:
        """The services of a visit and what was paid for them at the desk."""
        rng = self.rng
        if first:
            names = [name for name, _ in clinic.FIRST_SERVICES]
            services = rng.choices(names, [share for _, share in clinic.FIRST_SERVICES])
        else:
            services = ["Follow-up consultation"]
            if rng.random() < surgery:
                services = [rng.choice(clinic.SURGERY)]
        services += rng.sample(clinic.EXTRA_SERVICES, k=rng.choices((0, 1, 2), (60, 30, 10))[0])
        found = []
        for service in services:
            price = clinic.SERVICES[service][3]
            amount = price - (price * 10 // 100 if rng.random() < 0.15 else 0)
            payer = rng.choices(
                ("card", "cash", "transfer", "insurer", "state", "employer", "loyalty"),
                (48, 24, 6, 11, 5, 3, 3),
            )[0]
            paid = amount if rng.random() < 0.96 else amount // 2
            found.append(Line(service, amount, paid=paid, payer=payer))
        return found

    def visit(
        self,
        card: Card,
        at: int,
        *,
        booked_at: int | None = None,
        booked_on: date | None = None,
        status: str = "completed",
        first: bool = False,
        says_primary: bool | None = None,
        contact_ref: str | None = None,
        visitor: str | None = None,
        user: str | None = None,
        doctor: tuple[str, str] | None = None,
        lines: list[Line] | None = None,
        phone: str | None = None,
    ) -> Visit:
        """An appointment, completed or not. `booked_at` is cut to the minute, as the clinic writes it."""
        number = self.next_id("visit")
        name, branch = doctor or self.doctor()
        rng = self.rng
        if lines is None:
            lines = self.lines(first=first, surgery=clinic.DOCTORS[name][3])
            if status != "completed":
                lines = [Line(lines[0].service, lines[0].amount, paid=0, payer="card")]
        if booked_at is not None:
            booked_at = booked_at // MINUTE * MINUTE
        visit = Visit(
            visit_id=f"V{number:06d}",
            appointment_id=f"A{number:06d}",
            card=card.card,
            scheduled_at=at,
            branch=branch,
            doctor=name,
            room=f"{branch[0]}{rng.randint(1, 4)}",
            status=status,
            lines=lines,
            booked_at=booked_at,
            booked_on=booked_on,
            contact_ref=contact_ref,
            user=user,
            visitor_id=f"ga:{visitor}" if visitor is not None else None,
            says_primary=says_primary,
            phone=phone,
            diagnosis=rng.choice(("J34.2", "H66.9", "J35.0", "H61.2", "J30", None)),
        )
        self.world.visits.append(visit)
        return visit

    def payment(self, card: Card, at: int, amount: int, payer: str, visit: Visit | None = None) -> Payment:
        """Money outside the visit's own lines; negative is a refund. To the minute."""
        found = Payment(
            f"P{self.next_id('payment'):06d}",
            card.card,
            None if visit is None else visit.visit_id,
            at // MINUTE * MINUTE,
            amount,
            payer,
        )
        self.world.payments.append(found)
        return found

    def later_visits(self, card: Card, first: Visit) -> None:
        """What follows a first visit: more visits, mostly to the same doctor, and money that comes later."""
        rng = self.rng
        first_at = at = first.scheduled_at
        while rng.random() < clinic.DOCTORS[first.doctor][2]:
            found = self.slot(at + 5 * DAY, at + rng.choice((20, 45, 120)) * DAY)
            if found is None or found > self.last:
                return
            at = found
            status = rng.choices(("completed", "no_show", "cancelled_by_patient"), (90, 6, 4))[0]
            booked = self.open_moment(max(at - 20 * DAY, first_at + 60 * MINUTE), at - 60 * MINUTE)
            if rng.random() < 0.6:
                self.booking_call(card.phones[0], booked - rng.randint(30, 300) * US)
            visit = self.visit(
                card,
                at,
                status=status,
                says_primary=False if rng.random() < 0.9 else None,
                booked_at=booked if rng.random() < 0.8 else None,
                doctor=(first.doctor, first.branch) if rng.random() < 0.85 else None,
            )
            if status == "completed":
                self._later_money(card, visit)

    def _later_money(self, card: Card, visit: Visit) -> None:
        rng = self.rng
        roll = rng.random()
        line = visit.lines[0]
        if roll < 0.04 and line.paid > 1000:
            when = self.open_moment(visit.scheduled_at + DAY, visit.scheduled_at + 30 * DAY)
            if when <= self.last:
                self.payment(card, when, -(line.paid // 3), line.payer, visit)
        elif roll < 0.10 and clinic.SERVICES[line.service][1] == "surgery":
            # Paid in advance: money on the day of the deposit, none on the day it is used up.
            when = self.open_moment(visit.scheduled_at - 10 * DAY, visit.scheduled_at - 2 * DAY)
            self.payment(card, when, line.amount, "card")
            line.payer = "deposit"
