"""What acquisition_funnel must show: contacts of a day, what came of them, and the money of the day."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from simulator.arithmetic import euros, number, quotient
from simulator.model import Contact, Session, Visit, end_of_day, local_day
from simulator.truth import (
    AFTER_BOOKING,
    BEFORE_BOOKING,
    LOOK_BACK,
    NONE,
    Journey,
    Key,
    Place,
    Told,
    Truth,
)

Cells = dict[str, Any]
RESTATEMENT: Final = timedelta(days=35)
UNLINKED: Final = Place("unlinked", NONE, NONE)
_COUNTS: Final = (
    "impressions",
    "clicks",
    "sessions",
    "records",
    "dialogs",
    "valid",
    "contacts_left",
    "bookings",
    "bookings_due",
    "arrivals",
    "new_patients",
)
_RATES: Final = {
    "ctr": ("clicks", "impressions"),
    "reach_rate": ("records", "clicks"),
    "open_rate": ("dialogs", "records"),
    "valid_rate": ("valid", "dialogs"),
    "contact_left_rate": ("contacts_left", "valid"),
    "booking_rate": ("bookings", "valid"),
    "show_rate": ("arrivals", "bookings_due"),
    "conversion_rate": ("arrivals", "valid"),
}
_COSTS: Final = {
    "cpc": "clicks",
    "cost_per_session": "sessions",
    "cost_per_record": "records",
    "cost_per_dialog": "dialogs",
    "cost_per_valid": "valid",
    "cost_per_contact_left": "contacts_left",
    "cost_per_booking": "bookings",
    "cost_per_arrival": "arrivals",
    "cost_per_patient": "new_patients",
}


def acquisition_funnel(truth: Truth) -> list[Cells]:
    """Day, channel, source, campaign."""
    found: dict[tuple[date, Key], Counter[str]] = defaultdict(Counter)
    for day, place, cents, impressions, clicks in truth.daily_costs:
        found[day, place.key].update({"cost": cents, "impressions": impressions, "clicks": clicks})
    for session in truth.world.sessions:
        found[local_day(session.started_at), truth.place_of(session).key]["sessions"] += 1
    flags = _flags_by_contact(truth)
    for told in truth.contacts:
        dialogs, valid, left = (any(column) for column in zip(*flags[told.contact.global_id], strict=True))
        found[local_day(told.at), told.place.key].update(
            {"records": 1, "dialogs": dialogs, "valid": valid, "contacts_left": left}
        )
    for booking in Bookings(truth).placed():
        found[booking.day, booking.place.key].update(
            {
                "bookings": 1,
                "bookings_due": booking.is_due,
                "arrivals": booking.is_kept,
                "new_patients": booking.is_first,
            }
        )
    ahead = {day for (day, _), cell in found.items() if cell["bookings"] != cell["bookings_due"]}
    return [
        _row(day, key, cell, is_maturing=day in ahead or day + RESTATEMENT > truth.as_of)
        for (day, key), cell in sorted(found.items())
    ]


def _row(day: date, key: Key, cell: Counter[str], *, is_maturing: bool) -> Cells:
    cents = cell["cost"]
    return {
        "day": day,
        "channel": key[0],
        "source": key[1],
        "campaign": key[2],
        **{name: int(cell[name]) for name in _COUNTS},
        "cost": euros(cents),
        "is_maturing": is_maturing,
        "cpm": euros(quotient(1000 * cents, cell["impressions"])),
        **{name: number(quotient(cell[top], cell[bottom])) for name, (top, bottom) in _RATES.items()},
        **{name: euros(quotient(cents, cell[unit])) for name, unit in _COSTS.items()},
    }


def _flags_by_contact(truth: Truth) -> dict[str, list[tuple[bool, bool, bool]]]:
    """Contact -> the flags of every row that is this contact."""
    found: dict[str, list[tuple[bool, bool, bool]]] = defaultdict(list)
    for row in truth.world.contacts:
        contact = truth.named.get(row.contact_id)
        if contact is not None and not row.internal and (row.direction == "inbound" or row.callback_ref):
            found[contact.global_id].append(_flags(row))
    return found


def _flags(row: Contact) -> tuple[bool, bool, bool]:
    if row.kind == "call":
        return row.answered, row.target, row.phone is not None
    return row.flags["is_dialog"], row.flags["is_valid"], row.flags["is_contact_left"]


@dataclass(frozen=True, slots=True)
class Booking:
    """A booking that counts, and where it stands in the funnel."""

    day: date
    place: Place
    is_due: bool
    is_kept: bool
    is_first: bool


class Bookings:
    """Appointments of all patients, and the contacts that they came of."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self._journey_of: dict[str, Journey] = {j.first.visit_id: j for j in truth.journeys}
        self._told = {id(told.contact): told for told in truth.contacts}
        self._unknown = set(truth.history_unknown)
        self._signed_in: dict[str, list[Session]] = defaultdict(list)
        for session in truth.world.sessions:
            if session.user is not None:
                self._signed_in[session.user].append(session)

    def placed(self) -> list[Booking]:
        """Every booking of the funnel."""
        found = []
        for patient, visits in sorted(self.truth.appointments_of.items()):
            for visit in visits:
                if visit.status == "rescheduled" and self._is_replaced(visit, visits):
                    continue
                where = self._where(patient, visit)
                if where is not None:
                    found.append(
                        Booking(
                            *where,
                            is_due=visit.status != "rescheduled"
                            and local_day(visit.scheduled_at) <= self.truth.as_of,
                            is_kept=visit.is_completed,
                            is_first=visit.visit_id in self._journey_of,
                        )
                    )
        return found

    def _is_replaced(self, moved: Visit, visits: list[Visit]) -> bool:
        """Whether the patient booked anything when the appointment was booked, or later."""
        for other in visits:
            if other.status != "rescheduled" and _made_at(other) >= _made_at(moved):
                return True
            if other.status == "rescheduled" and _order(other) > _order(moved):
                return True
        return False

    def _where(self, patient: str, visit: Visit) -> tuple[date, Place] | None:
        """The day and place of the contact that led to a booking; None when it is outside the funnel."""
        booked = _booked_at(visit)
        agreed = visit.scheduled_at if booked is None else min(booked, visit.scheduled_at)
        seen = max(
            (v.scheduled_at for v in self.truth.completed_of.get(patient, []) if v.scheduled_at < agreed),
            default=None,
        )
        journey = self._journey_of.get(visit.visit_id)
        if journey is None:
            told = self._contact_of(patient, visit, booked, agreed, seen)
        else:
            told = None if journey.acquiring is None else self._told[id(journey.acquiring)]
        if told is not None:
            return local_day(told.at), told.place
        if journey is not None:
            sessions = [t.session for t in journey.touches if t.session is not None and t.contact is None]
        elif seen is not None or patient in self._unknown:
            return None
        else:
            sessions = self._sessions_of(visit)
        near = [s for s in sessions if agreed - LOOK_BACK <= s.started_at <= agreed]
        if not near:
            return local_day(agreed), UNLINKED
        last = max(near, key=lambda s: (not self.truth.place_of(s).is_blank, s.started_at, s.session_id))
        return local_day(agreed), self.truth.place_of(last)

    def _contact_of(
        self, patient: str, visit: Visit, booked: int | None, agreed: int, seen: int | None
    ) -> Told | None:
        truth = self.truth
        references = truth.references(visit)
        if references:
            return references[0]
        by_phone = [
            t for phone in truth.linking_phones_of[patient] for t in truth.contacts_of_phone.get(phone, [])
        ]
        if booked is not None and visit.booked_on is None:
            near = [t for t in by_phone if booked - BEFORE_BOOKING <= t.at <= booked + AFTER_BOOKING]
            if near:
                return min(near, key=lambda t: (abs(t.at - booked), t.at, t.contact.global_id))
        carried = []
        if visit.visitor_id is not None:
            browser = visit.visitor_id.removeprefix("ga:")
            if browser not in truth.shared_browsers:
                carried += truth.contacts_of_browser.get(browser, [])
        if visit.user is not None:
            carried += [t for t in truth.contacts if t.contact.user == visit.user]
        refused = {t.contact.global_id for t in by_phone if booked is None and not t.is_unique}
        for group in (by_phone, carried):
            before = [
                t
                for t in group
                if t.contact.global_id not in refused
                and agreed - LOOK_BACK <= t.at <= agreed
                and (seen is None or t.at > seen)
            ]
            if before:
                return min(before, key=lambda t: (agreed - t.at, t.contact.global_id))
        return None

    def _sessions_of(self, visit: Visit) -> list[Session]:
        """Sessions of the browser and of the account that an appointment carries."""
        found: list[Session] = []
        if visit.visitor_id is not None:
            browser = visit.visitor_id.removeprefix("ga:")
            if browser not in self.truth.shared_browsers:
                found += self.truth.sessions_of.get(browser, [])
        if visit.user is not None:
            found += self._signed_in[visit.user]
        return found


def _booked_at(visit: Visit) -> int | None:
    return end_of_day(visit.booked_on) if visit.booked_on is not None else visit.booked_at


def _made_at(visit: Visit) -> int:
    booked = _booked_at(visit)
    return visit.scheduled_at if booked is None else booked


def _order(visit: Visit) -> tuple[int, int, str]:
    return _made_at(visit), visit.scheduled_at, visit.appointment_id
