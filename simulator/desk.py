"""The desk of the artificial clinic: who took which contact, how it was tagged, what operators are paid.

It is told after all stories, from a stream of random numbers of its own: the stories stay as they were.
"""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Final

from simulator import clinic
from simulator.arithmetic import month_end
from simulator.model import DAY, MINUTE, US, Contact, Observation, Target, World, instant, local_day
from simulator.traffic import DIRECT

# How much more often than the others somebody has on the line who becomes a patient.
_SKILL: Final = {"Marina": 1.7, "Jelena": 1.2, "Sandra": 0.9, "Igor": 0.5}
_HOME: Final = {"Marina": "Centar", "Jelena": "Centar", "Sandra": "Maksimir", "Igor": "Maksimir"}
ON_LEAVE: Final = "Tea"  # is paid and answers nothing

SPAM: Final = ("спам", "Spam", "Спам-звонок")
IRRELEVANT: Final = ("нецелевой", "Нецелевой звонок", "не целевой", "Krivi broj", "wrong number")
SCORES: Final = {
    "оценка 5": Fraction(1),
    "Отлично": Fraction(1),
    "Quality 4/5": Fraction(3, 4),
    "Оценка: 4": Fraction(3, 4),
    "ocjena 3": Fraction(1, 2),
    "Score 2": Fraction(1, 4),
    "оценка 1": Fraction(0),
}
# They say nothing of the kind, although some look like it.
_NEUTRAL: Final = ("антиспам", "запись", "перезвонить", "целевой", "оценка 55", "Igor")
_TYPES: Final = ("MANUAL", "WEB-API")


def staff(world: World) -> None:
    """Give every contact whoever took it and the tags that were set, and write wages and targets."""
    rng = random.Random(f"{world.seed}:operator_performance")
    _chats_without_phone(world, rng)
    causes = {id(contact) for contact in world.cause.values() if contact is not None}
    for contact in sorted(world.contacts, key=lambda c: (c.at, c.global_id)):
        if contact.internal:
            continue
        _take(contact, rng, is_cause=id(contact) in causes)
        if contact.kind == "call":
            _tag(contact, rng, is_cause=id(contact) in causes)
    _pay(world, rng)
    _set_targets(world)


def _chats_without_phone(world: World, rng: random.Random) -> None:
    """People who wrote and left no number; some write twice from the same browser."""
    days = world.days
    for number in range(max(12, len(world.contacts) // 60)):
        at = instant(rng.choice(days[:-3]), rng.randint(7, 21), rng.randrange(60)) + rng.randrange(60) * US
        visitor = f"{2_147_483_648 + number}.{at // US}" if rng.random() < 0.7 else None
        again = rng.choice((0, 0, 40 * MINUTE, 29 * DAY, 31 * DAY))
        moments = [at] if visitor is None or not again else [at, at + again]
        for part, moment in enumerate(moments):
            if local_day(moment) > world.end:
                continue
            world.contacts.append(
                Contact(
                    contact_id=f"ch-9{number:05d}{part}",
                    source_name="online",
                    kind="chat",
                    at=moment,
                    phone=None,
                    own=DIRECT if rng.random() < 0.6 else None,
                    visitor=visitor,
                    flags={
                        "is_dialog": rng.random() < 0.8,
                        "is_valid": rng.random() < 0.8,
                        "is_contact_left": False,
                        "is_booked": rng.random() < 0.03,
                        "is_missed": rng.random() < 0.1,
                    },
                )
            )


def _take(contact: Contact, rng: random.Random, *, is_cause: bool) -> None:
    weights = [_SKILL[name] if is_cause else 1.0 for name in clinic.OPERATORS]
    name = rng.choices(clinic.OPERATORS, weights)[0]
    roll = rng.random()
    if contact.kind == "call":
        # The tracker names whom it rang in vain, where it knows.
        contact.operator = name if contact.answered or roll < 0.35 else None
        return
    if contact.kind == "online_booking" or (contact.flags["is_missed"] and roll < 0.6) or roll < 0.1:
        contact.operator = None
    else:
        # The chat's own list of agents is written as its users like it.
        contact.operator = name.lower() if rng.random() < 0.3 else name
    home = _HOME[name] if rng.random() < 0.85 else rng.choice(("Centar", "Maksimir"))
    contact.branch = home if rng.random() < 0.9 else None


def _tag(call: Contact, rng: random.Random, *, is_cause: bool) -> None:
    names: list[str] = []
    roll = rng.random()
    if roll < (0.004 if is_cause else 0.05):
        names.append(rng.choice(SPAM))
    elif roll < (0.01 if is_cause else 0.12):
        names.append(rng.choice(IRRELEVANT))
    if call.answered and rng.random() < 0.3:
        skill = _SKILL[call.operator or "Igor"]
        weights = [skill, skill, skill, 1, 1, 1 / skill, 0.5 / skill]
        names += rng.choices(list(SCORES), weights, k=1 if rng.random() < 0.9 else 2)
    if rng.random() < 0.1:
        names.append(rng.choice(_NEUTRAL))
    call.tags = [(rng.choice(_TYPES), name) for name in dict.fromkeys(names)]


def _pay(world: World, rng: random.Random) -> None:
    """A wage at each month's end, now and then a bonus on the tenth."""
    for month in sorted({day.replace(day=1) for day in world.days}):
        for name in (*clinic.OPERATORS, ON_LEAVE):
            if rng.random() < 0.08:
                continue
            written = name.upper() if rng.random() < 0.2 else name
            cents = 110_000 + rng.randrange(60_000)
            world.observations.append(Observation(month_end(month), "wage", "operator", written, cents))
            if rng.random() < 0.15:
                day = month.replace(day=10)
                world.observations.append(
                    Observation(day, "wage", "operator", written, rng.randrange(20_000))
                )


def _set_targets(world: World) -> None:
    """One for all time, one that another replaces, a relative one, and one of a scope that is not theirs."""
    start, end = world.start, world.end
    middle = start + (end - start) / 2
    world.targets += [
        Target("new_patient_rate", "operator", "Marina", value=0.45),
        Target("new_patient_rate", "operator", "igor", value=0.3, starts=start, due=end),
        Target("new_patient_rate", "operator", "Igor", value=0.35, starts=middle, due=end),
        Target("bookings", "operator", "Jelena", value=0.25, baseline=20, is_relative=True, starts=middle),
        Target("new_patients", "operator", "Sandra", value=12, due=middle),
        Target("new_patients", "branch", "Sandra", value=99),
    ]
