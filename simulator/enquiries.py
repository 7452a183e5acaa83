"""Enquiries: a first contact, the same person's contacts that belong to it, and what came of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from functools import cached_property
from typing import Final

from simulator.acquisition_funnel import Bookings
from simulator.arithmetic import month_end, month_of
from simulator.desk import IRRELEVANT, SCORES, SPAM
from simulator.model import Contact, end_of_day, local, local_day
from simulator.truth import UNIQUE, Journey, Told, Truth

FEWEST: Final = 30  # contacts that tell something
MONTHS: Final = 12  # that rates are taken over
TIME_TO_COME: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Enquiry:
    """One enquiry. Operator and branch are None where its first contact names none."""

    told: Told
    operator: str | None
    branch: str | None
    standing: str
    is_left: bool
    is_booked: bool
    score: Fraction | None
    due: int
    kept: int
    new_patients: int

    @property
    def month(self) -> date:
        """Its first day."""
        return month_of(local_day(self.told.at))

    @property
    def hour(self) -> int:
        """Of the clinic's day."""
        return local(self.told.at).hour

    @property
    def weekday(self) -> int:
        """Monday is 1."""
        return local_day(self.told.at).isoweekday()

    @property
    def is_eligible(self) -> bool:
        """Neither unwanted nor of a patient who is known already."""
        return self.standing == "eligible"


class Desk:
    """All enquiries of a world."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth

    @cached_property
    def rows_of(self) -> dict[str, list[Contact]]:
        """Contact -> every row that is this contact, its own first, the others in order of time."""
        found: dict[str, list[Contact]] = defaultdict(list)
        for row in sorted(self.truth.world.contacts, key=lambda c: (c.at, c.global_id)):
            if not row.internal and (row.direction == "inbound" or row.callback_ref):
                contact = self.truth.named[row.contact_id]
                if row is contact:
                    found[contact.global_id].insert(0, row)
                else:
                    found[contact.global_id].append(row)
        return found

    @cached_property
    def enquiries(self) -> list[Enquiry]:
        """In order of time."""
        booked = _Linked(self.truth).by_contact()
        brought: dict[str, list[Journey]] = defaultdict(list)
        for journey in self.truth.journeys:
            if journey.acquiring is not None:
                brought[journey.acquiring.global_id].append(journey)
        found = []
        for chain in self._chains():
            first, ids = chain[0], [told.contact.global_id for told in chain]
            bookings = [b for identity in ids for b in booked.get(identity, [])]
            patients = sum(len(brought[identity]) for identity in ids)
            rows = self.rows_of[first.contact.global_id]
            reported = any(r.flags.get("is_booked", False) for i in ids for r in self.rows_of[i])
            spam, irrelevant, score = _told_by_tags(rows)
            found.append(
                Enquiry(
                    told=first,
                    operator=next((r.operator for r in rows if r.operator is not None), None),
                    branch=next((r.branch for r in rows if r.branch is not None), None),
                    standing=_standing(
                        first, rows, is_spam=spam, is_irrelevant=irrelevant, has_new=patients > 0
                    ),
                    is_left=any(_has_left(r) for r in rows),
                    is_booked=bool(bookings) or patients > 0 or reported,
                    score=score,
                    due=sum(is_due for is_due, _ in bookings),
                    kept=sum(is_kept for _, is_kept in bookings),
                    new_patients=patients,
                )
            )
        return sorted(found, key=lambda e: (e.told.at, e.told.contact.global_id))

    def _chains(self) -> list[list[Told]]:
        """Contacts that belong together: of one person, up to the next that is unique."""
        persons: dict[tuple[str, str], list[Told]] = defaultdict(list)
        for told in self.truth.contacts:
            contact = told.contact
            if contact.phone is not None:
                persons["phone", contact.phone].append(told)
            elif told.kind != "call":
                persons["other", contact.email or contact.visitor or contact.global_id].append(told)
        found = []
        for (kind, _), contacts in persons.items():
            for index, told in enumerate(contacts):
                begins = told.is_unique
                if kind == "other":
                    begins = index == 0 or contacts[index - 1].at < told.at - UNIQUE
                if begins:
                    found.append([told])
                else:
                    found[-1].append(told)
        return found

    def is_over(self, month: date) -> bool:
        """Whether whoever asked in a month has had the time to come."""
        return month_end(month) + TIME_TO_COME <= self.truth.as_of

    @cached_property
    def year_of_a_patient(self) -> Fraction | None:
        """Average cents of the first 365 days, of all new patients who have had them."""
        known = [cents for j in self.truth.journeys if (cents := j.within(365, self.truth.as_of)) is not None]
        return Fraction(sum(known), len(known)) if known else None


def month_number(month: date) -> int:
    """A number that rises by one a month."""
    return 12 * month.year + month.month


def of_last_months(enquiries: Iterable[Enquiry], month: date) -> list[Enquiry]:
    """Those of the twelve months of which `month` is the last."""
    last = month_number(month)
    return [e for e in enquiries if last - MONTHS < month_number(e.month) <= last]


def _told_by_tags(rows: Sequence[Contact]) -> tuple[bool, bool, Fraction | None]:
    """(spam, irrelevant, score) by the tags of a contact's calls."""
    tags = {tag for row in rows if row.kind == "call" for tag in row.tags}
    scores = [SCORES[name] for _, name in tags if name in SCORES]
    return (
        any(name in SPAM for _, name in tags),
        any(name in IRRELEVANT for _, name in tags),
        sum(scores, Fraction(0)) / len(scores) if scores else None,
    )


def _standing(
    first: Told, rows: Sequence[Contact], *, is_spam: bool, is_irrelevant: bool, has_new: bool
) -> str:
    if is_spam:
        return "spam"
    is_written = all(row.kind != "call" for row in rows)
    if is_irrelevant or (
        is_written and not first.is_missed and not any(row.flags["is_valid"] for row in rows)
    ):
        return "irrelevant"
    return "existing_patient" if first.is_existing_patient and not has_new else "eligible"


def _has_left(row: Contact) -> bool:
    return row.phone is not None if row.kind == "call" else row.flags["is_contact_left"]


class _Linked(Bookings):
    """The funnel's bookings, by the contact that each came of."""

    def by_contact(self) -> dict[str, list[tuple[bool, bool]]]:
        """Contact -> (is due, is kept) of every booking that came of it."""
        found: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
        for patient, visits in self.truth.appointments_of.items():
            for visit in visits:
                if visit.status == "rescheduled" and self._is_replaced(visit, visits):
                    continue
                journey = self._journey_of.get(visit.visit_id)
                if journey is not None:
                    contact = journey.acquiring
                else:
                    booked = end_of_day(visit.booked_on) if visit.booked_on is not None else visit.booked_at
                    agreed = visit.scheduled_at if booked is None else min(booked, visit.scheduled_at)
                    seen = [
                        v.scheduled_at
                        for v in self.truth.completed_of.get(patient, [])
                        if v.scheduled_at < agreed
                    ]
                    told = self._contact_of(patient, visit, booked, agreed, max(seen, default=None))
                    contact = None if told is None else told.contact
                if contact is not None:
                    is_due = (
                        visit.status != "rescheduled" and local_day(visit.scheduled_at) <= self.truth.as_of
                    )
                    found[contact.global_id].append((is_due, visit.is_completed))
        return found
