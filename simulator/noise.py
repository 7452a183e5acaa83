"""What the clinic's systems make of the world: a share of what carries identity is lost or written wrongly.

Three things carry it: web sessions, callers' numbers, and the numbers in the clinic's own system. Each kind
is spoiled from a stream of random numbers of its own, one draw a thing whatever the share, so that what one
share spoils a greater one spoils too.
"""

from __future__ import annotations

import random
import re
from dataclasses import replace
from typing import Final

from simulator import clinic
from simulator.model import Card, Contact, Visit, World

_COUNTRY: Final = "+385"
# The last digits of a number: another one of them leaves the kind of number and its prefix as they are.
_MISREAD: Final = 6


def as_recorded(world: World, noise: float) -> World:
    """The world as the exports show it; it shares with `world` all that is not spoiled.

    Of the sessions, of the callers and of the numbers in the clinic's system, a share of `noise` each: the
    session is missing, the caller withholds the number on every call, one digit of the number is another, so
    that it is nobody's. The world itself stays; its list of personal data gains the wrong numbers, which must
    not leave the inbox either. Raises ValueError for a share that is not between 0 and 1.
    """
    if not 0 <= noise <= 1:
        raise ValueError("noise must be between 0 and 1")
    if not noise:
        return world
    lost = random.Random(f"{world.seed}:noise/sessions")
    withheld = _withheld(world, noise)
    contacts = {
        id(c): replace(c, phone=None) if _is_heard(c) and c.phone in withheld else c for c in world.contacts
    }
    desk = _Desk(world, noise)
    return replace(
        world,
        sessions=[s for s in world.sessions if lost.random() >= noise],
        contacts=list(contacts.values()),
        cards={number: desk.card(card) for number, card in world.cards.items()},
        visits=[desk.visit(visit) for visit in world.visits],
        cause={card: None if c is None else contacts[id(c)] for card, c in world.cause.items()},
    )


def _withheld(world: World, noise: float) -> set[str]:
    """Numbers that their owners hide: a setting of the telephone, so on all calls or on none."""
    rng = random.Random(f"{world.seed}:noise/callers")
    callers = dict.fromkeys(c.phone for c in world.contacts if _is_heard(c) and c.phone is not None)
    return {phone for phone in callers if rng.random() < noise}


def _is_heard(contact: Contact) -> bool:
    """Whether its number is the one that the line shows: of an outside caller."""
    return contact.kind == "call" and contact.direction == "inbound" and not contact.internal


class _Desk:
    """Writes patients' numbers down, some of them wrong."""

    def __init__(self, world: World, noise: float) -> None:
        self._noise = noise
        self._slips = random.Random(f"{world.seed}:noise/desk")
        self._digits = random.Random(f"{world.seed}:noise/digits")
        self._personal = world.personal
        self._clinic = {*clinic.OWN_NUMBERS, *(number.number for number in world.tracking)}
        self._taken = {
            *self._clinic,
            *(c.phone for c in world.contacts),
            *(phone for card in world.cards.values() for phone in card.phones),
            *(v.phone for v in world.visits),
        }

    def card(self, card: Card) -> Card:
        """A card, wherever the clinic's system repeats it."""
        phones, written = [], card.written
        for phone in card.phones:
            wrong = self._misread(phone)
            written = [_rewritten(text, phone, wrong) for text in written]
            phones.append(wrong)
        if phones == card.phones:
            return card
        self._personal.update(written)
        return replace(card, phones=phones, written=written)

    def visit(self, visit: Visit) -> Visit:
        """A visit whose row has a number of its own."""
        return visit if visit.phone is None else replace(visit, phone=self._misread(visit.phone))

    def _misread(self, phone: str) -> str:
        """The number, or one that differs in a digit and is nobody's."""
        is_wrong = self._slips.random() < self._noise
        if not is_wrong or phone in self._clinic:
            return phone
        wrong = phone
        while wrong in self._taken:
            at = len(phone) - self._digits.randint(1, _MISREAD)
            wrong = phone[:at] + self._digits.choice("0123456789") + phone[at + 1 :]
        self._taken.add(wrong)
        digits = wrong.removeprefix("+")
        self._personal.update((wrong, digits, digits.replace("385", "0", 1)))
        return wrong


def _rewritten(text: str, phone: str, wrong: str) -> str:
    """The text with one number in place of another, in the same way of writing it."""
    pattern = r"(\D*)".join(phone.removeprefix(_COUNTRY))
    found = re.search(pattern, text)
    if found is None:  # a number that the card masks
        return text
    between = (*found.groups(), "")
    number = "".join(d + gap for d, gap in zip(wrong.removeprefix(_COUNTRY), between, strict=True))
    return text[: found.start()] + number + text[found.end() :]
