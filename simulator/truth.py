"""The truth behind the exports: who each patient is, what brought them, what they paid.

Nothing here reads an export or a warehouse. The rules are those of the project's design (conformed model and
journeys), applied in plain Python to the simulator's own events: instants are integers of microseconds, money
integers of cents, so that nothing depends on the order of a sum.
"""

from __future__ import annotations

import bisect
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Final

from simulator import clinic
from simulator.arithmetic import half_up
from simulator.channels import removal_effects
from simulator.model import (
    DAY,
    HOUR,
    MINUTE,
    Card,
    Contact,
    Session,
    Spend,
    Visit,
    World,
    end_of_day,
    local_day,
)
from simulator.money import rate_on

NONE: Final = "(none)"
MODELS: Final = (
    "first_touch",
    "last_touch",
    "last_non_direct",
    "last_paid",
    "linear",
    "position_based",
    "time_decay",
    "w_shape",
    "removal_effect",
    "shapley_set",
)
DEFAULT_MODEL: Final = "last_non_direct"
RULES: Final = (
    "booking_reference",
    "phone_at_booking",
    "phone",
    "visitor",
    "self_reported",
    "household",
    "unlinked",
)
UNKNOWN_REASONS: Final = ("registered_before_history", "clinic_says_not_primary", "within_history_margin")
PAID: Final = frozenset({"paid_search", "paid_search_brand", "paid_social", "display", "video"})
BLANK: Final = frozenset({"direct", "unassigned"})

LOOK_BACK: Final = 90 * DAY
HISTORY_MARGIN: Final = timedelta(days=180)
UNIQUE: Final = 30 * DAY
SESSION_REACH: Final = 24 * HOUR
RECOVERY: Final = 24 * HOUR
BEFORE_BOOKING: Final = 60 * MINUTE
AFTER_BOOKING: Final = 5 * MINUTE
HALF_LIFE: Final = 7 * DAY
MOST_PATIENTS_OF_A_PHONE: Final = 8
MOST_PHONES_OF_A_VISITOR: Final = 5

Key = tuple[str, str, str]  # channel, source, campaign


@dataclass(frozen=True, slots=True)
class Place:
    """Channel, source and campaign of a session, contact, touch or cost."""

    channel: str
    source: str
    campaign: str

    @property
    def key(self) -> Key:
        """As a tuple."""
        return self.channel, self.source, self.campaign

    @property
    def is_blank(self) -> bool:
        """Direct or unassigned: it does not say where the person came from."""
        return self.channel in BLANK


NOWHERE: Final = Place("unassigned", NONE, NONE)


@dataclass(slots=True)
class Told:
    """What is known of one contact once every other contact and visit is known."""

    contact: Contact
    session: Session | None
    own: Place
    place: Place
    is_first: bool = False
    is_unique: bool = False
    is_existing_patient: bool = False
    recovered_at: int | None = None
    # Nobody answered, at none of the tries of one request; the other two are of calls.
    is_missed: bool = False
    is_answered: bool | None = None
    is_target: bool | None = None

    @property
    def at(self) -> int:
        """When it was made."""
        return self.contact.at

    @property
    def kind(self) -> str:
        """Of contact; who asked to be called back filled in a form."""
        return "form" if self.contact.direction == "callback" else self.contact.kind

    @property
    def is_call(self) -> bool:
        """Whether the person called, which a ring-back is not."""
        return self.kind == "call"


@dataclass(slots=True)
class Touch:
    """One step of a journey."""

    at: int
    touch_id: str
    place: Place
    contact: Contact | None
    session: Session | None


@dataclass(slots=True)
class Journey:
    """A new patient and how they came."""

    patient: str
    first: Visit
    visits: list[Visit]
    converted_at: int
    rule: str
    acquiring: Contact | None
    touches: list[Touch]
    self_reported: str | None
    cause: Contact | None
    is_cause_reachable: bool
    case: str | None
    # paid at, cents, visit id
    money: list[tuple[int, int, str | None]]
    credits: dict[str, list[tuple[Place, int | None, Fraction | float]]] = field(default_factory=dict)

    @property
    def first_day(self) -> date:
        """Local day of the first visit."""
        return local_day(self.first.scheduled_at)

    @property
    def visit_days(self) -> int:
        """Local days with a completed visit."""
        return len({local_day(v.scheduled_at) for v in self.visits})

    @property
    def is_repeat(self) -> bool:
        """Came on two days or more."""
        return self.visit_days >= 2

    @property
    def to_date(self) -> int:
        """All real money, cents."""
        return sum(cents for _, cents, _ in self.money)

    @property
    def of_first_visit(self) -> int:
        """Money of the first visit's own rows, whenever paid, cents."""
        return sum(cents for _, cents, visit in self.money if visit == self.first.visit_id)

    def within(self, days: int, as_of: date) -> int | None:
        """Money of the first days × 24 hours, cents; None until they have passed."""
        if self.first_day + timedelta(days=days) > as_of:
            return None
        end = self.first.scheduled_at + days * DAY
        return sum(cents for at, cents, _ in self.money if at < end)


class Truth:
    """Everything that can be known of a world, each part worked out once."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.names = {campaign.key: campaign.name for campaign in world.campaigns}

    # contacts

    @cached_property
    def named(self) -> dict[str, Contact]:
        """A vendor's id -> the contact that it is or, for a lead or a repeated request, belongs to."""
        real = [
            c for c in self.world.contacts if not c.internal and (c.direction == "inbound" or c.callback_ref)
        ]
        found = {c.contact_id: c for c in real}
        requests: dict[tuple[str, str], Contact] = {}
        for c in sorted(real, key=lambda c: (c.at, c.global_id)):
            if c.callback_ref is not None:
                found[c.contact_id] = requests.setdefault((c.source_name, c.callback_ref), c)
        for c in real:
            if c.kind == "lead" and c.contact_ref is not None and c.contact_ref in found:
                found[c.contact_id] = found[c.contact_ref]
        return found

    @cached_property
    def contacts(self) -> list[Told]:
        """Every contact once, in order of time."""
        kept = sorted({id(c): c for c in self.named.values()}.values(), key=lambda c: (c.at, c.global_id))
        found = []
        for contact in kept:
            session = self._session_of(contact)
            own = self._own_place(contact)
            place = own if session is None else self.place_of(session)
            if session is not None and place.is_blank and own is not NOWHERE:
                place = own
            tries = self._tries(contact)
            found.append(
                Told(
                    contact,
                    session,
                    own,
                    place,
                    is_missed=all(
                        not c.answered if c.kind == "call" else c.flags.get("is_missed", False) for c in tries
                    ),
                    is_answered=any(c.answered for c in tries) if contact.kind == "call" else None,
                    is_target=any(c.target for c in tries) if contact.kind == "call" else None,
                )
            )
        self._judge(found)
        return found

    def _tries(self, contact: Contact) -> list[Contact]:
        """The rows of one callback request, which are one contact; else the contact alone."""
        if contact.callback_ref is None:
            return [contact]
        request = contact.source_name, contact.callback_ref
        return [c for c in self.world.contacts if (c.source_name, c.callback_ref) == request]

    def _session_of(self, contact: Contact) -> Session | None:
        """The browser's latest session started at most 24 hours before the contact."""
        if contact.visitor is None or contact.dialled is not None:
            return None
        sessions = self.sessions_of.get(contact.visitor, [])
        at = bisect.bisect_right([s.started_at for s in sessions], contact.at)
        if at == 0 or sessions[at - 1].started_at < contact.at - SESSION_REACH:
            return None
        return sessions[at - 1]

    def _own_place(self, contact: Contact) -> Place:
        """Where the contact's own record says it came from: its dedicated number, else its own tags."""
        if contact.dialled is not None:
            day = local_day(contact.at)
            for number in self.world.tracking:
                if (
                    number.number == contact.dialled
                    and (number.valid_from is None or number.valid_from <= day)
                    and (number.valid_to is None or day <= number.valid_to)
                ):
                    return Place(number.channel, number.source, number.campaign or NONE)
            raise ValueError(f"{contact.dialled} stands for nothing on {day}")
        if contact.own is None:
            return NOWHERE
        return Place(contact.own.channel, contact.own.source, contact.own.campaign or NONE)

    def place_of(self, session: Session) -> Place:
        """Where a session came from."""
        return Place(session.origin.channel, session.origin.source, session.origin.campaign or NONE)

    def _judge(self, contacts: list[Told]) -> None:
        """First, unique, existing patient, recovered: what needs the caller's other contacts and visits."""
        by_phone: dict[str, list[Told]] = defaultdict(list)
        for told in contacts:
            if told.contact.phone is not None:
                by_phone[told.contact.phone].append(told)
        answers: dict[str, list[int]] = defaultdict(list)
        for c in self.world.contacts:
            if c.direction == "callback" and c.answered and c.phone is not None:
                answers[c.phone].append(c.at)
        for phone, group in by_phone.items():
            seen = self.first_seen_by_phone.get(phone)
            for index, told in enumerate(group):
                if index and group[index - 1].at == told.at:
                    raise ValueError(
                        f"two contacts of one phone in the same instant: {told.contact.global_id}"
                    )
                told.is_existing_patient = seen is not None and seen < told.at
                told.is_first = index == 0 and not told.is_existing_patient
                told.is_unique = index == 0 or group[index - 1].at < told.at - UNIQUE
                if told.is_missed:
                    later = [t.at for t in group[index + 1 :] if not t.is_missed] + answers[phone]
                    later = [at for at in later if told.at < at <= told.at + RECOVERY]
                    told.recovered_at = min(later, default=None)

    @cached_property
    def told_by_id(self) -> dict[str, Told]:
        """Contacts by their id over all sources."""
        return {told.contact.global_id: told for told in self.contacts}

    # the web

    @cached_property
    def sessions_of(self) -> dict[str, list[Session]]:
        """Sessions of each browser in order of time."""
        found: dict[str, list[Session]] = defaultdict(list)
        for session in sorted(self.world.sessions, key=lambda s: (s.started_at, s.session_id)):
            found[session.visitor].append(session)
        return found

    @cached_property
    def browsers_of(self) -> dict[str, set[str]]:
        """Browsers that each account was signed in on."""
        found: dict[str, set[str]] = defaultdict(set)
        for session in self.world.sessions:
            if session.user is not None:
                found[session.user].add(session.visitor)
        return found

    @cached_property
    def shared_browsers(self) -> set[str]:
        """Browsers with contacts from more than five phones: they tie nobody."""
        phones: dict[str, set[str]] = defaultdict(set)
        for told in self.contacts:
            if told.contact.visitor is not None and told.contact.phone is not None:
                phones[told.contact.visitor].add(told.contact.phone)
        return {visitor for visitor, numbers in phones.items() if len(numbers) > MOST_PHONES_OF_A_VISITOR}

    # patients

    def patient_of(self, card: str) -> str:
        """The card that stays after all merges."""
        seen = {card}
        while (into := self.world.cards[card].merged_into) is not None:
            if into in seen:
                raise ValueError(f"cards are merged in a circle at {card}")
            seen.add(into)
            card = into
        return card

    @cached_property
    def cards_of(self) -> dict[str, list[Card]]:
        """All cards of each patient."""
        found: dict[str, list[Card]] = defaultdict(list)
        for card in self.world.cards.values():
            found[self.patient_of(card.card)].append(card)
        return found

    @cached_property
    def phones_of(self) -> dict[str, set[str]]:
        """All numbers on any row of each patient."""
        found = {
            patient: {p for card in cards for p in card.phones} for patient, cards in self.cards_of.items()
        }
        for visit in self.world.visits:
            if visit.phone is not None:
                found[self.patient_of(visit.card)].add(visit.phone)
        return found

    @cached_property
    def linking_phones_of(self) -> dict[str, set[str]]:
        """The numbers that may link: not the clinic's own, not carried by more than eight patients."""
        carriers = Counter(phone for phones in self.phones_of.values() for phone in phones)
        owned = {*clinic.OWN_NUMBERS, *(number.number for number in self.world.tracking)}
        barred = owned | {phone for phone, count in carriers.items() if count > MOST_PATIENTS_OF_A_PHONE}
        return {patient: phones - barred for patient, phones in self.phones_of.items()}

    @cached_property
    def completed_of(self) -> dict[str, list[Visit]]:
        """Completed visits of each patient: earliest start first, ties by visit id."""
        found: dict[str, list[Visit]] = defaultdict(list)
        for visit in self.world.visits:
            if visit.is_completed:
                found[self.patient_of(visit.card)].append(visit)
        for visits in found.values():
            visits.sort(key=lambda v: (v.scheduled_at, v.visit_id))
        return found

    @cached_property
    def first_seen_by_phone(self) -> dict[str, int]:
        """A linking number -> when the first of its patients was first seen."""
        found: dict[str, int] = {}
        for patient, visits in self.completed_of.items():
            for phone in self.linking_phones_of[patient]:
                at = visits[0].scheduled_at
                found[phone] = min(at, found.get(phone, at))
        return found

    @cached_property
    def as_of(self) -> date:
        """Local day of the latest completed visit."""
        return max(local_day(visits[-1].scheduled_at) for visits in self.completed_of.values())

    @cached_property
    def first_day(self) -> date:
        """First local day with a completed visit."""
        return min(local_day(visits[0].scheduled_at) for visits in self.completed_of.values())

    def is_new(self, patient: str) -> bool:
        """Whether the first completed visit is truly the patient's first."""
        first = self.completed_of[patient][0]
        known = [card.registered_at for card in self.cards_of[patient] if card.registered_at is not None]
        registered = local_day(min(known)) if known else None
        says = first.says_primary
        if registered is not None and registered < self.first_day:
            return False
        if says is False:
            return False
        if registered is None and says is None:
            return local_day(first.scheduled_at) >= self.first_day + HISTORY_MARGIN
        return True

    def why_unknown(self, patient: str) -> str:
        """Why the first completed visit of a patient is not known to be the first."""
        known = [card.registered_at for card in self.cards_of[patient] if card.registered_at is not None]
        if known and local_day(min(known)) < self.first_day:
            return "registered_before_history"
        return (
            "within_history_margin"
            if self.completed_of[patient][0].says_primary is None
            else "clinic_says_not_primary"
        )

    @cached_property
    def history_unknown(self) -> list[str]:
        """Patients with a completed visit that is not known to be their first."""
        return [patient for patient in self.completed_of if not self.is_new(patient)]

    # journeys

    @cached_property
    def contacts_of_phone(self) -> dict[str, list[Told]]:
        """Contacts by number, in order of time."""
        found: dict[str, list[Told]] = defaultdict(list)
        for told in self.contacts:
            if told.contact.phone is not None:
                found[told.contact.phone].append(told)
        return found

    @cached_property
    def contacts_of_browser(self) -> dict[str, list[Told]]:
        """Contacts by browser, in order of time."""
        found: dict[str, list[Told]] = defaultdict(list)
        for told in self.contacts:
            if told.contact.visitor is not None:
                found[told.contact.visitor].append(told)
        return found

    @cached_property
    def contacts_of_appointment(self) -> dict[str, list[Told]]:
        """Contacts that name an appointment."""
        found: dict[str, list[Told]] = defaultdict(list)
        for told in self.contacts:
            if told.contact.appointment_ref is not None:
                found[told.contact.appointment_ref].append(told)
        return found

    @cached_property
    def appointments_of(self) -> dict[str, list[Visit]]:
        """Appointments of each patient, whatever became of them."""
        found: dict[str, list[Visit]] = defaultdict(list)
        for visit in (*self.world.visits, *self.world.planned):
            found[self.patient_of(visit.card)].append(visit)
        return found

    @cached_property
    def walked(self) -> list[Journey]:
        """One per new patient, in order of the patient's number, without credits."""
        return [self._journey(patient) for patient in sorted(self.completed_of) if self.is_new(patient)]

    @cached_property
    def removal_effects(self) -> dict[str, Fraction]:
        """Channel -> share of the conversions that would be lost without it."""
        return removal_effects(self)

    @cached_property
    def journeys(self) -> list[Journey]:
        """One per new patient, in order of the patient's number, with credits, which need all of them."""
        for journey in self.walked:
            journey.credits = self._credits(journey)
        return self.walked

    def references(self, visit: Visit) -> list[Told]:
        """Contacts that an appointment names or that name it, earliest first."""
        found = {t.contact.global_id: t for t in self.contacts_of_appointment.get(visit.appointment_id, [])}
        if visit.contact_ref is not None and (named := self.named.get(visit.contact_ref)) is not None:
            found[named.global_id] = self.told_by_id[named.global_id]
        return sorted(found.values(), key=lambda t: (t.at, t.contact.global_id))

    def _journey(self, patient: str) -> Journey:
        first = self.completed_of[patient][0]
        booked_at = end_of_day(first.booked_on) if first.booked_on is not None else first.booked_at
        converted = first.scheduled_at if booked_at is None else min(booked_at, first.scheduled_at)
        by_phone = sorted(
            {
                t.contact.global_id: t
                for phone in self.linking_phones_of[patient]
                for t in self.contacts_of_phone.get(phone, [])
            }.values(),
            key=lambda t: (t.at, t.contact.global_id),
        )
        references = self.references(first)
        near = []
        if booked_at is not None and first.booked_on is None:
            near = [t for t in by_phone if booked_at - BEFORE_BOOKING <= t.at <= booked_at + AFTER_BOOKING]
        before = [t for t in by_phone if converted - LOOK_BACK <= t.at <= converted]
        browsers = self._browsers_of(patient, by_phone)
        # What did not book as a call of the patient's own number, another going before, did not here either.
        refused = set() if booked_at is not None else {id(t) for t in by_phone if not t.is_unique}
        carried = [
            t
            for b in browsers
            for t in self.contacts_of_browser.get(b, [])
            if converted - LOOK_BACK <= t.at <= converted and id(t) not in refused
        ]
        seen = [
            s
            for b in browsers
            for s in self.sessions_of.get(b, [])
            if converted - LOOK_BACK <= s.started_at <= converted
        ]
        told_desk = next((c.self_reported for c in self.cards_of[patient] if c.self_reported), None)
        rule, chosen = self._acquire(
            patient,
            booked_at=booked_at,
            converted=converted,
            references=references,
            near=near,
            before=before,
            carried=carried,
            has_session=bool(seen),
            self_reported=told_desk,
        )
        causes = [self.world.cause.get(card.card) for card in self.cards_of[patient]]
        cause = next((c for c in causes if c is not None), None)
        candidates = {id(t.contact) for t in (*references, *near, *before, *carried)}
        journey = Journey(
            patient=patient,
            first=first,
            visits=self.completed_of[patient],
            converted_at=converted,
            rule=rule,
            acquiring=None if chosen is None else chosen.contact,
            touches=[],
            self_reported=told_desk,
            cause=cause,
            is_cause_reachable=cause is not None and id(cause) in candidates,
            case=next(
                (self.world.case[c.card] for c in self.cards_of[patient] if c.card in self.world.case), None
            ),
            money=self.money_of.get(patient, []),
        )
        journey.touches = self._touches(journey, by_phone, chosen)
        return journey

    def _acquire(
        self,
        patient: str,
        *,
        booked_at: int | None,
        converted: int,
        references: list[Told],
        near: list[Told],
        before: list[Told],
        carried: list[Told],
        has_session: bool,
        self_reported: str | None,
    ) -> tuple[str, Told | None]:
        """The first rule that finds something, and the contact it finds."""
        if references:
            return "booking_reference", references[0]
        if near and booked_at is not None:
            return "phone_at_booking", min(
                near, key=lambda t: (abs(t.at - booked_at), t.at, t.contact.global_id)
            )
        nearest = before if booked_at is not None else [t for t in before if t.is_unique]
        if nearest:
            return "phone", max(nearest, key=lambda t: t.at)
        if carried or has_session:
            return "visitor", max(carried, key=lambda t: t.at, default=None)
        if self_reported is not None:
            return "self_reported", None
        for phone in self.linking_phones_of[patient]:
            for other, phones in self.linking_phones_of.items():
                if (
                    other != patient
                    and phone in phones
                    and any(v.scheduled_at < converted for v in self.completed_of.get(other, []))
                ):
                    return "household", None
        return "unlinked", None

    def _browsers_of(self, patient: str, by_phone: list[Told]) -> set[str]:
        """The browsers tied to a patient by what has its phone, what its appointments name, and these."""
        appointments = self.appointments_of[patient]
        named = [t for visit in appointments for t in self.references(visit)]
        return self._ties([*by_phone, *named], appointments)[0]

    def _ties(self, contacts: Iterable[Told], appointments: Iterable[Visit]) -> tuple[set[str], set[str]]:
        """(browsers, accounts) tied by contacts and appointments, and one hop through an account."""
        browsers, users = set(), set()
        for told in contacts:
            browsers.add(told.contact.visitor)
            users.add(told.contact.user)
        for visit in appointments:
            browsers.add(None if visit.visitor_id is None else visit.visitor_id.removeprefix("ga:"))
            users.add(visit.user)
        direct = {b for b in browsers if b is not None} - self.shared_browsers
        accounts = {u for u in users if u is not None}
        accounts |= {s.user for b in direct for s in self.sessions_of.get(b, []) if s.user is not None}
        tied = (
            direct | {b for user in accounts for b in self.browsers_of.get(user, ())} - self.shared_browsers
        )
        return tied, accounts

    def _touches(self, journey: Journey, by_phone: list[Told], chosen: Told | None) -> list[Touch]:
        browsers = self._browsers_of(journey.patient, by_phone)
        start, end = journey.converted_at - LOOK_BACK, journey.converted_at
        made = {t.contact.global_id: t for t in by_phone}
        made |= {t.contact.global_id: t for b in browsers for t in self.contacts_of_browser.get(b, [])}
        if chosen is not None:
            made[chosen.contact.global_id] = chosen
        of_session: dict[str, list[Told]] = defaultdict(list)
        sessions = {s.session_id: s for b in browsers for s in self.sessions_of.get(b, [])}
        alone = []
        for told in sorted(made.values(), key=lambda t: (t.at, t.contact.global_id)):
            if told is not chosen and told.at > end:
                continue  # what happens after the booking earns no credit
            if told.session is None:
                alone.append(told)
            else:
                of_session[told.session.session_id].append(told)
                sessions[told.session.session_id] = told.session
        touches = []
        for identity, session in sessions.items():
            group = of_session.get(identity, [])
            if start <= session.started_at <= end or (chosen is not None and chosen in group):
                contact = chosen if chosen is not None and chosen in group else (group[0] if group else None)
                touches.append(
                    Touch(
                        min(session.started_at, end),
                        f"session:{identity}",
                        self._merged_place(session, group),
                        None if contact is None else contact.contact,
                        session,
                    )
                )
        for told in alone:
            if start <= told.at <= end or told is chosen:
                touches.append(
                    Touch(
                        min(told.at, end), f"contact:{told.contact.global_id}", told.place, told.contact, None
                    )
                )
        touches.sort(key=lambda t: (t.at, t.touch_id))
        for one, other in pairwise(touches):
            if one.at == other.at:
                raise ValueError(
                    f"patient {journey.patient}: two touches in the same instant, {one.touch_id}"
                )
        return touches

    def _merged_place(self, session: Session, contacts: list[Told]) -> Place:
        """A session's place; when it says nothing, that of its first contact which says something."""
        place = self.place_of(session)
        if not place.is_blank:
            return place
        told = next((t.own for t in contacts if not t.own.is_blank), None)
        return told or (contacts[0].place if contacts else place)

    def _credits(self, journey: Journey) -> dict[str, list[tuple[Place, int | None, Fraction | float]]]:
        if not journey.touches:
            return {model: [(self._untouched(journey), None, Fraction(1))] for model in MODELS}
        return {
            model: [
                (touch.place, touch.at, weight)
                for touch, weight in zip(journey.touches, self._weights(model, journey), strict=True)
                if weight
            ]
            for model in MODELS
        }

    def _weights(self, model: str, journey: Journey) -> list[Fraction | float]:
        touches = journey.touches
        match model:
            case "w_shape":
                return w_shape(touches, journey.acquiring)
            case "removal_effect":
                return by_channel(touches, self.removal_effects)
            case "shapley_set":
                return by_channel(touches, dict.fromkeys((t.place.channel for t in touches), Fraction(1)))
        return weights(model, touches, journey.converted_at)

    def _untouched(self, journey: Journey) -> Place:
        """The one credit row of a patient without a touch."""
        if journey.rule == "self_reported" and journey.self_reported is not None:
            channel = clinic.SELF_REPORTED[journey.self_reported] or "self_reported"
            return Place(channel, journey.self_reported, NONE)
        return Place("household" if journey.rule == "household" else "unlinked", NONE, NONE)

    # money

    @cached_property
    def payments(self) -> list[tuple[str, int, int, str | None]]:
        """(patient, paid at, cents, visit id) of all real money; refunds negative."""
        found: list[tuple[str, int, int, str | None]] = []
        for visit in self.world.visits:
            patient = self.patient_of(visit.card)
            for line in visit.lines:
                if line.payer in clinic.NOT_CASH:
                    continue
                at = visit.scheduled_at if line.paid_at is None else line.paid_at
                found += [
                    (patient, at, cents, visit.visit_id) for cents in (line.paid, -line.refund) if cents
                ]
        for payment in self.world.payments:
            if payment.payer not in clinic.NOT_CASH:
                found.append(
                    (self.patient_of(payment.card), payment.paid_at, payment.amount, payment.visit_id)
                )
        return found

    @cached_property
    def money_of(self) -> dict[str, list[tuple[int, int, str | None]]]:
        """Payments of each patient."""
        found: dict[str, list[tuple[int, int, str | None]]] = defaultdict(list)
        for patient, at, cents, visit in self.payments:
            found[patient].append((at, cents, visit))
        return found

    def cents_of(self, spend: Spend) -> int:
        """Cost in the clinic's cents: converted, VAT added where the platform leaves it out, half up."""
        currency = clinic.CURRENCY_OF[spend.campaign.platform]
        rate = rate_on(self.world, currency, spend.day)
        if rate is None:
            raise ValueError(f"no rate of {currency} on {spend.day}")
        # Facebook does not tell its tax basis: its amounts stay as they are.
        percent = 100 if spend.campaign.platform == "facebook" else 100 + clinic.VAT_RATE
        return half_up(Fraction(spend.cents * rate * percent, 100 * 1_000_000))

    @cached_property
    def daily_costs(self) -> list[tuple[date, Place, int, int, int]]:
        """(day, place, cents, impressions, clicks) of ad spend and of every day of every cost line."""
        found = [
            (
                s.day,
                Place(s.campaign.channel, s.campaign.platform, s.campaign.name),
                self.cents_of(s),
                s.impressions,
                s.clicks,
            )
            for s in self.world.spend
        ]
        for line in self.world.costs:
            days = (line.ends - line.starts).days + 1
            each = half_up(Fraction(line.cents, days))
            for index in range(days):
                cents = each if index < days - 1 else line.cents - each * (days - 1)
                day = line.starts + timedelta(days=index)
                if line.currency != "EUR":
                    rate = rate_on(self.world, line.currency, day)
                    if rate is None:
                        raise ValueError(f"no rate of {line.currency} on {day}")
                    cents = half_up(Fraction(cents * rate, 1_000_000))
                found.append((day, Place(line.channel, line.source, line.campaign or NONE), cents, 0, 0))
        return found


def w_shape(touches: Sequence[Touch], acquiring: Contact | None) -> list[Fraction | float]:
    """.3 for the first touch, .3 for the first contact, .3 for the acquiring contact, .1 for the rest."""
    shares = [Fraction(0)] * len(touches)
    anchors = [0]
    anchors += [i for i, t in enumerate(touches) if t.contact is not None][:1]
    anchors += [i for i, t in enumerate(touches) if acquiring is not None and t.contact is acquiring]
    for i in anchors:
        shares[i] += Fraction(3, 10)
    rest = [i for i in range(len(touches)) if i not in anchors]
    for i in rest:
        shares[i] = Fraction(1, 10) / len(rest)
    return [share / sum(shares) for share in shares]


def by_channel(touches: Sequence[Touch], worth: Mapping[str, Fraction]) -> list[Fraction | float]:
    """The channels' worth, shared by each channel's touches; equal shares where nothing is worth anything."""
    count = Counter(t.place.channel for t in touches)
    shares = [worth.get(t.place.channel, Fraction(0)) / count[t.place.channel] for t in touches]
    total = sum(shares)
    return [share / total for share in shares] if total else [Fraction(1, len(touches))] * len(touches)


def weights(model: str, touches: Sequence[Touch], converted_at: int) -> list[Fraction | float]:
    """The credit of each touch in order; sums to 1."""
    n = len(touches)

    def one(at: int) -> list[Fraction | float]:
        return [Fraction(int(i == at)) for i in range(n)]

    last_known = max((i for i, t in enumerate(touches) if not t.place.is_blank), default=n - 1)
    match model:
        case "first_touch":
            return one(0)
        case "last_touch":
            return one(n - 1)
        case "last_non_direct":
            return one(last_known)
        case "last_paid":
            return one(max((i for i, t in enumerate(touches) if t.place.channel in PAID), default=last_known))
        case "linear":
            return [Fraction(1, n)] * n
        case "position_based":
            if n <= 2:
                return [Fraction(1, n)] * n
            middle = Fraction(1, 5) / (n - 2)
            return [Fraction(2, 5), *([middle] * (n - 2)), Fraction(2, 5)]
        case "time_decay":
            decay = [math.exp2(-max(converted_at - t.at, 0) / HALF_LIFE) for t in touches]
            total = math.fsum(decay)
            return [value / total for value in decay]
    raise ValueError(f"unknown attribution model {model}")
