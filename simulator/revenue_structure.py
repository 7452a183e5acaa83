"""What revenue_structure must show: money and visits by what was done, by whom, for whom and who paid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from simulator import clinic
from simulator.arithmetic import euros, month_of
from simulator.model import Line, Visit, local_day
from simulator.patient_structure import clv_class
from simulator.sharing import largest_remainders
from simulator.truth import Truth

Cells = dict[str, Any]
NONE: Final = "(none)"
UNKNOWN: Final = "(unknown)"
_KEYS: Final = (
    "month",
    "branch",
    "service_group",
    "service",
    "doctor",
    "clv_class",
    "visit_kind",
    "payer",
)
Key = tuple[date, str, str, str, str, str, str, str]


@dataclass(slots=True)
class _Cell:
    revenue: int = 0
    billed: int = 0
    visits: set[str] = field(default_factory=set)
    patients: set[str] = field(default_factory=set)


def revenue_structure(truth: Truth) -> list[Cells]:
    """Month, branch, service group, service, doctor, CLV class, kind of visit, payer."""
    people = _People(truth)
    found: dict[Key, _Cell] = defaultdict(_Cell)
    visits = {visit.visit_id: visit for visit in truth.world.visits}
    for visit in truth.world.visits:
        if visit.is_completed:
            for line in visit.lines:
                cell = found[_key(people, local_day(visit.scheduled_at), visit, line, line.payer)]
                cell.billed += line.amount
                cell.visits.add(visit.visit_id)
                cell.patients.add(truth.patient_of(visit.card))
    for card, at, cents, payer, visit_id in _payments(truth):
        day = local_day(at)
        if visit_id is None:
            kind = people.clv_class(card)
            key = (month_of(day), UNKNOWN, NONE, NONE, UNKNOWN, kind, NONE, payer)
            found[key].revenue += cents
            continue
        visit = visits[visit_id]
        lines = [line for line in visit.lines if line.payer == payer] or visit.lines
        shares = largest_remainders(cents, [max(line.amount, 0) for line in lines])
        for line, share in zip(lines, shares, strict=True):
            found[_key(people, day, visit, line, payer)].revenue += share
    return [
        dict(zip(_KEYS, key, strict=True))
        | {
            "revenue": euros(cell.revenue),
            "billed": euros(cell.billed),
            "visits": len(cell.visits),
            "patients": len(cell.patients),
        }
        for key, cell in sorted(found.items())
    ]


def _payments(truth: Truth) -> Iterator[tuple[str, int, int, str, str | None]]:
    """Card, paid at, cents, payer and visit of all real money."""
    for visit in truth.world.visits:
        for line in visit.lines:
            if line.payer not in clinic.NOT_CASH:
                at = visit.scheduled_at if line.paid_at is None else line.paid_at
                for cents in (line.paid, -line.refund):
                    if cents:
                        yield visit.card, at, cents, line.payer, visit.visit_id
    for payment in truth.world.payments:
        if payment.payer not in clinic.NOT_CASH:
            yield payment.card, payment.paid_at, payment.amount, payment.payer, payment.visit_id


def _key(people: _People, day: date, visit: Visit, line: Line, payer: str) -> Key:
    return (
        month_of(day),
        visit.branch,
        clinic.SERVICES[line.service][0],
        line.service,
        visit.doctor,
        people.clv_class(visit.card),
        people.visit_kind(visit),
        payer,
    )


class _People:
    """What is known of whoever came or paid."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self._journeys = {journey.patient: journey for journey in truth.walked}

    def clv_class(self, card: str) -> str:
        patient = self.truth.patient_of(card)
        journey = self._journeys.get(patient)
        if journey is not None:
            return clv_class(journey)
        return "history_unknown" if patient in self.truth.completed_of else NONE

    def visit_kind(self, visit: Visit) -> str:
        if not visit.is_completed:
            return NONE
        patient = self.truth.patient_of(visit.card)
        if self.truth.completed_of[patient][0] is not visit:
            return "repeat"
        if self.truth.is_new(patient):
            return "primary"
        return UNKNOWN if self.truth.why_unknown(patient) == "within_history_margin" else "repeat"
