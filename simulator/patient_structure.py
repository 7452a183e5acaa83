"""What patient_structure must show: who the new patients are, without a figure of fewer than five."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from simulator import clinic
from simulator.arithmetic import euros, number, quotient
from simulator.model import local_day
from simulator.truth import Journey, Truth

Cells = dict[str, Any]
ALL: Final = "(all)"
OTHER: Final = "(other)"
UNKNOWN: Final = "(unknown)"
FEWEST: Final = 5
_ADULT: Final = 18
_OLDEST: Final = 120
# band -> its first age
_BANDS: Final = {
    "00-06": 0,
    "07-13": 7,
    "14-17": 14,
    "18-29": 18,
    "30-44": 30,
    "45-59": 45,
    "60-74": 60,
    "75+": 75,
}


def clv_class(journey: Journey) -> str:
    """surgical: any inpatient or surgery visit; else returning or one_time."""
    settings = {clinic.SERVICES[line.service][1] for visit in journey.visits for line in visit.lines}
    if settings & {"inpatient", "surgery"}:
        return "surgical"
    return "returning" if journey.is_repeat else "one_time"


@dataclass(slots=True)
class _Patient:
    """A new patient's traits, first as they are, then as they are shown."""

    child_adult: str
    age_band: str
    sex: str
    diagnosis_group: str
    clv_class: str
    first_doctor: str
    cents: int


_DIMENSIONS: Final = ("child_adult", "age_band", "sex", "diagnosis_group", "clv_class", "first_doctor")


def patient_structure(truth: Truth) -> list[Cells]:
    """Breakdown; age band, child or adult, sex, diagnosis group, CLV class, first doctor."""
    patients = [_traits(truth, journey) for journey in truth.walked]
    total, cents = len(patients), sum(p.cents for p in patients)
    if total < FEWEST:
        return [_row("total", {}, None, total, cents)]
    for name in _DIMENSIONS:
        if name != "age_band":
            _withhold_values(patients, name)
    for group in {p.child_adult for p in patients}:
        _withhold_values([p for p in patients if p.child_adult == group], "age_band")
    rows = [_row("total", {}, patients, total, cents)]
    for name in _DIMENSIONS:
        rows += [
            _row(name, dict(labels), group, total, cents)
            for labels, group in _grouped(patients, name).items()
        ]
    hidden_groups: set[str] = set()
    for name in _DIMENSIONS:
        if name != "clv_class":
            rows += _by_class(patients, name, hidden_groups, total, cents)
    return rows


def _traits(truth: Truth, journey: Journey) -> _Patient:
    # the card that stays speaks first, then the one opened first; a card that no list holds was opened never
    cards = sorted(
        (card for card in truth.cards_of[journey.patient]),
        key=lambda c: (
            c.card != journey.patient,
            c.registered_at is None,
            c.registered_at or 0,
            c.card,
        ),
    )
    born = next((card.born for card in cards if card.born is not None), None)
    age = None if born is None else local_day(journey.first.scheduled_at).year - born.year
    if age is not None and not 0 <= age <= _OLDEST:
        age = None
    return _Patient(
        child_adult=UNKNOWN if age is None else "child" if age < _ADULT else "adult",
        age_band=UNKNOWN if age is None else [band for band, first in _BANDS.items() if first <= age][-1],
        sex=next((card.sex for card in cards if card.sex is not None), UNKNOWN),
        diagnosis_group=next((v.diagnosis[:3] for v in journey.visits if v.diagnosis), UNKNOWN),
        clv_class=clv_class(journey),
        first_doctor=journey.first.doctor,
        cents=journey.to_date,
    )


def _withhold_values(patients: Iterable[_Patient], name: str) -> None:
    """Put small values together, with the next larger ones until they are five patients."""
    count = Counter(getattr(p, name) for p in patients)
    if min(count.values()) >= FEWEST:
        return
    together, held = set(), 0
    for value, patients_of_value in sorted(count.items(), key=lambda item: (item[1], item[0])):
        if patients_of_value >= FEWEST and held >= FEWEST:
            break
        together.add(value)
        held += patients_of_value
    for patient in patients:
        if getattr(patient, name) in together:
            setattr(patient, name, OTHER)


Labels = tuple[tuple[str, str], ...]


def _grouped(patients: Iterable[_Patient], name: str) -> dict[Labels, list[_Patient]]:
    """Patients by a trait; an age band stands within child or adult."""
    found: dict[Labels, list[_Patient]] = defaultdict(list)
    for patient in patients:
        names = ("child_adult", "age_band") if name == "age_band" else (name,)
        found[tuple((n, getattr(patient, n)) for n in names)].append(patient)
    return found


def _by_class(
    patients: list[_Patient], name: str, hidden_groups: set[str], total: int, cents: int
) -> list[Cells]:
    """One trait by CLV class; child or adult comes before age band, which goes by what it hides."""
    classes = sorted({p.clv_class for p in patients})
    tables: dict[str, dict[Labels, Counter[str]]] = defaultdict(dict)
    groups = _grouped(patients, name)
    for labels, group in groups.items():
        scope = dict(labels)["child_adult"] if name == "age_band" else ""
        scope = "hidden" if scope in hidden_groups else scope
        tables[scope][labels] = Counter(p.clv_class for p in group)
    rows = []
    for scope, table in tables.items():
        hidden = set(table) if scope == "hidden" else _hidden(table, classes)
        if name == "child_adult":
            hidden_groups |= {dict(labels)["child_adult"] for labels in hidden}
        held: Counter[str] = sum((table[labels] for labels in hidden), Counter())
        for labels in table:
            for kind in classes:
                cell: list[_Patient] | None = [p for p in groups[labels] if p.clv_class == kind]
                if labels in hidden and held[kind]:
                    cell = None
                where = dict(labels) | {"clv_class": kind}
                rows.append(_row(f"{name}_by_clv_class", where, cell, total, cents))
    return rows


def _hidden(table: Mapping[Labels, Counter[str]], classes: Iterable[str]) -> set[Labels]:
    """Values with a small class; for a class of which they hold too few, the smallest other that has it."""
    small = {labels for labels, count in table.items() if any(0 < count[kind] < FEWEST for kind in count)}
    held: Counter[str] = sum((table[labels] for labels in small), Counter())
    added = set()
    for kind in classes:
        if 0 < held[kind] < FEWEST:
            others = [labels for labels in table if labels not in small and table[labels][kind]]
            added.add(min(others, key=lambda labels: (table[labels].total(), labels)))
    return small | added


def _row(
    breakdown: str, labels: Mapping[str, str], group: list[_Patient] | None, total: int, cents: int
) -> Cells:
    count = None if group is None else len(group)
    money = None if group is None else sum(p.cents for p in group)
    return {
        "breakdown": breakdown,
        **{name: labels.get(name, ALL) for name in _DIMENSIONS},
        "new_patients": "" if count is None else count,
        "revenue": euros(money),
        "patient_share": number(None if count is None else quotient(count, total)),
        "revenue_share": number(None if money is None else quotient(money, cents)),
        "revenue_per_patient": euros(None if count is None or money is None else quotient(money, count)),
        "is_suppressed": count is None,
    }
