"""patient_structure gives nothing away: what it hides might be five patients or more by all that it shows.

The models' own SQL runs over clinics of a few dozen patients, where most cells are small. What it shows is
attacked twice: by solving the shown figures as equations, and by looking for another clinic that has them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import jinja2
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

DBT = Path(__file__).parents[2] / "dbt_project"
MODELS = ("intermediate/shown_traits", "intermediate/trait_classes", "patient_structure")
TRAITS = ("child_adult", "age_band", "sex", "diagnosis_group", "clv_class", "first_doctor")
GROUP_OF = {"00-06": "child", "14-17": "child", "18-29": "adult", "75+": "adult", "(unknown)": "(unknown)"}
SEXES = ("female", "male", "(unknown)")
DIAGNOSES = ("H61", "J30", "J35")
CLASSES = ("one_time", "returning", "surgical")
DOCTORS = ("Ana", "Ivan", "Marta")
FEWEST = 5
ALL = "(all)"

Labels = tuple[str, ...]


@dataclass(frozen=True)
class Patient:
    """What a patient is, and what the mart may show of it: labels in the order of TRAITS."""

    true: Labels
    shown: Labels = ()
    cents: int = 0

    def relabelled(self, trait: str, *, true: str | None = None, shown: Labels = ()) -> Patient:
        """The same patient with another trait; an age band takes child or adult with it."""
        new_true, new_shown = list(self.true), list(self.shown)
        at = TRAITS.index(trait)
        if true is not None:
            new_true[at] = true
            if trait == "age_band":
                new_true[0] = GROUP_OF[true]
        for index, label in zip(_columns(trait), shown, strict=bool(shown)):
            new_shown[index] = label
        return replace(self, true=tuple(new_true), shown=tuple(new_shown))

    def shown_as(self, trait: str) -> Labels:
        """The shown labels of a trait."""
        return tuple(self.shown[index] for index in _columns(trait))


@dataclass(frozen=True)
class Row:
    """A row of the mart; count and cents are None where hidden."""

    breakdown: str
    labels: Labels
    count: int | None
    cents: int | None

    def holds(self, labels: Labels) -> bool:
        """Whether a patient of these shown labels counts in it."""
        return all(mine in (ALL, theirs) for mine, theirs in zip(self.labels, labels, strict=True))


def _columns(trait: str) -> tuple[int, ...]:
    return (0, 1) if trait == "age_band" else (TRAITS.index(trait),)


class Mart:
    """The models, over whatever patients are given."""

    def __init__(self) -> None:
        self.connection = duckdb.connect(config={"threads": 1})
        environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
        macros = "".join((DBT / f"macros/{name}.sql").read_text() for name in ("measures", "small_cells"))
        names = {"ref": lambda name: name, "config": lambda **_: "", "var": dict, "return": str}
        self.sql = {
            path.rpartition("/")[2]: environment.from_string(
                macros + (DBT / f"models/marts/{path}.sql").read_text()
            ).render(names)
            for path in MODELS
        }

    def build(self, clinic: Iterable[Patient]) -> tuple[list[Patient], list[Row]]:
        """Patients with what is shown of them, and the mart."""
        given = list(clinic)
        columns: dict[str, Any] = {
            "patient_id": [f"{n:04d}" for n in range(len(given))],
            **{trait: [p.true[i] for p in given] for i, trait in enumerate(TRAITS)},
            "cents": [p.cents for p in given],
        }
        schema = pa.schema([(name, pa.int64() if name == "cents" else pa.string()) for name in columns])
        self.connection.register("given", pa.table(columns, schema=schema))
        self.connection.execute(
            "create or replace table patient_traits as "
            "select * exclude (cents), cast(cents * 0.01 as decimal(18, 2)) as revenue from given"
        )
        for name, sql in self.sql.items():
            self.connection.execute(f"create or replace table {name} as {sql}")
        labels = ", ".join(TRAITS)
        shown = {
            patient: tuple(found)
            for patient, *found in self.connection.execute(
                f"select patient_id, {labels} from shown_traits"
            ).fetchall()
        }
        rows = [
            Row(breakdown, tuple(found), count, cents)
            for breakdown, *found, count, cents in self.connection.execute(
                f"select breakdown, {labels}, new_patients, cast(revenue * 100 as bigint) "
                "from patient_structure"
            ).fetchall()
        ]
        told = [replace(p, shown=shown.get(f"{n:04d}", ())) for n, p in enumerate(given)]
        return told, rows


@pytest.fixture(scope="module")
def mart() -> Iterator[Mart]:
    found = Mart()
    yield found
    found.connection.close()


def person(band: str, sex: str, diagnosis: str, kind: str, doctor: str, cents: int = 0) -> Patient:
    return Patient((GROUP_OF[band], band, sex, diagnosis, kind, doctor), cents=cents)


@st.composite
def clinics(draw: st.DrawFn) -> list[Patient]:
    """Clumps of like patients: of every size about five, with many traits that only few have."""
    clumps = draw(
        st.lists(
            st.tuples(
                st.builds(
                    person,
                    st.sampled_from([*GROUP_OF]),
                    st.sampled_from(SEXES),
                    st.sampled_from(DIAGNOSES),
                    st.sampled_from(CLASSES),
                    st.sampled_from(DOCTORS),
                    st.integers(-5_000, 50_000),
                ),
                st.integers(1, 9),
            ),
            max_size=14,
        )
    )
    return [patient for patient, copies in clumps for _ in range(copies)]


def small_cells(clinic: list[Patient]) -> list[tuple[str, str, str | None]]:
    """(trait, value, class or None) of one to four patients, by the true values."""
    found = []
    for index, trait in enumerate(TRAITS):
        alone = Counter(p.true[index] for p in clinic)
        found += [(trait, value, None) for value, n in alone.items() if n < FEWEST]
        if trait != "clv_class":
            by_class = Counter((p.true[index], p.true[4]) for p in clinic)
            found += [(trait, value, kind) for (value, kind), n in by_class.items() if n < FEWEST]
    return found


def size(clinic: Iterable[Patient], trait: str, value: str, kind: str | None) -> int:
    at = TRAITS.index(trait)
    return sum(p.true[at] == value and kind in (None, p.true[4]) for p in clinic)


property_test = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@property_test
@given(clinic=clinics())
def test_every_shown_figure_is_true_and_of_none_or_five_patients(mart: Mart, clinic: list[Patient]) -> None:
    told, rows = mart.build(clinic)
    if len(clinic) < FEWEST:
        assert [(row.breakdown, row.count, row.cents) for row in rows] == [("total", None, None)]
        return
    for row in rows:
        if row.count is not None:
            members = [p for p in told if row.holds(p.shown)]
            assert row.count == len(members)
            assert row.cents == sum(p.cents for p in members)
            assert row.count == 0 or row.count >= FEWEST
    # Each breakdown holds every patient once, hidden or not.
    for breakdown in {row.breakdown for row in rows}:
        of_it = [row for row in rows if row.breakdown == breakdown]
        assert all(sum(row.holds(p.shown) for row in of_it) == 1 for p in told)


@property_test
@given(clinic=clinics())
def test_what_is_hidden_of_a_breakdown_is_five_patients_or_more_together(
    mart: Mart, clinic: list[Patient]
) -> None:
    told, rows = mart.build(clinic)
    for row in rows:
        if row.count is None and row.breakdown != "total":
            kind = row.labels[4]
            fellows = [r for r in rows if r.breakdown == row.breakdown and r.count is None and r != row]
            assert any(r.labels[4] == kind for r in fellows)
            assert any(r.labels[:4] + r.labels[5:] == row.labels[:4] + row.labels[5:] for r in fellows)
            assert (
                sum(p.shown[4] == kind and any(r.holds(p.shown) for r in [*fellows, row]) for p in told) >= 5
            )


@property_test
@given(clinic=clinics())
def test_no_small_cell_can_be_solved_for(mart: Mart, clinic: list[Patient]) -> None:
    """Unknowns: how many patients have each full combination of true values. Equations: the shown rows."""
    told, rows = mart.build(clinic)
    if len(clinic) < FEWEST:
        return
    # Who is put together is no secret: a reader who knows the doctors sees which of them is not named.
    as_shown = {
        trait: {p.true[i]: p.shown_as(trait) for p in told} for i, trait in enumerate(TRAITS) if i != 0
    }
    leaves = []
    for band, sex, diagnosis, kind, doctor in product(*as_shown.values()):
        true = person(band, sex, diagnosis, kind, doctor).true
        shown = (
            *as_shown["age_band"][band],
            *as_shown["sex"][sex],
            *as_shown["diagnosis_group"][diagnosis],
            *as_shown["clv_class"][kind],
            *as_shown["first_doctor"][doctor],
        )
        # A row that shows 0 tells of every part of it.
        if not any(row.count == 0 and row.holds(shown) for row in rows):
            leaves.append((true, shown))
    equations = [[int(row.holds(shown)) for _, shown in leaves] for row in rows if row.count is not None]
    basis = row_echelon(np.array(equations, dtype=np.int64))
    for trait, value, kind in small_cells(clinic):
        at = TRAITS.index(trait)
        cell = [int(true[at] == value and kind in (None, true[4])) for true, _ in leaves]
        assert any(cell)
        assert reduced(np.array(cell, dtype=np.int64), basis).any(), (trait, value, kind)
    for row in rows:
        if row.count is None:
            cell = [int(row.holds(shown)) for _, shown in leaves]
            assert reduced(np.array(cell, dtype=np.int64), basis).any(), row


PRIME = 2_147_483_647


def row_echelon(matrix: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """(pivot, row) of the rows' span, modulo a prime: what fractions could solve for, this could too."""
    basis: list[tuple[int, np.ndarray]] = []
    for row in matrix:
        rest = reduced(row, basis)
        if rest.any():
            pivot = int(np.flatnonzero(rest)[0])
            basis.append((pivot, rest * pow(int(rest[pivot]), -1, PRIME) % PRIME))
    return basis


def reduced(row: np.ndarray, basis: list[tuple[int, np.ndarray]]) -> np.ndarray:
    """What is left of a row when the span is taken off."""
    rest = row % PRIME
    for pivot, other in basis:
        if rest[pivot]:
            rest = (rest - rest[pivot] * other) % PRIME
    return rest


@property_test
@given(clinic=clinics())
def test_another_clinic_with_five_in_a_small_cell_would_show_the_same(
    mart: Mart, clinic: list[Patient]
) -> None:
    told, rows = mart.build(clinic)
    if len(clinic) < FEWEST:
        return
    for trait, value, kind in small_cells(clinic):
        index = TRAITS.index(trait)
        if trait == "child_adult":
            # Whoever is a child is of a child's band.
            index = 1
            band = next(p.true[1] for p in told if p.true[0] == value and kind in (None, p.true[4]))
            other = another_clinic(told, rows, "age_band", band, kind)
        else:
            other = another_clinic(told, rows, trait, value, kind)
        assert size(other, trait, value, kind) >= FEWEST, (trait, value, kind)
        for row in rows:
            if row.count is not None:
                assert row.count == sum(row.holds(p.shown) for p in other), (trait, value, kind, row)
        # Nobody took a value that the mart would have shown under another name.
        for p in other:
            assert p.shown_as(TRAITS[index]) in {q.shown_as(TRAITS[index]) for q in told}


def another_clinic(
    told: list[Patient], rows: list[Row], trait: str, value: str, kind: str | None
) -> list[Patient]:
    """The same patients with as many of `value` (and class `kind`) as the shown figures allow."""
    at = TRAITS.index(trait)
    shown = next(p.shown_as(trait) for p in told if p.true[at] == value)
    if kind is None:
        return [p.relabelled(trait, true=value) if p.shown_as(trait) == shown else p for p in told]
    shown_kind = next(p.shown[4] for p in told if p.true[4] == kind)
    table = [row for row in rows if row.breakdown == f"{trait}_by_clv_class"]
    hidden = {tuple(row.labels[i] for i in _columns(trait)) for row in table if row.count is None}
    if shown in hidden:
        # Age bands of a child or adult group that is shown stand among themselves.
        if trait == "age_band":
            groups = {
                r.labels[0] for r in rows if r.breakdown == "child_adult_by_clv_class" and r.count is None
            }
            inside = shown[0] in groups
            hidden = {h for h in hidden if (h[0] in groups if inside else h[0] == shown[0])}
        told = dealt_anew(told, trait, hidden, shown, shown_kind)
    return [
        p.relabelled(trait, true=value).relabelled("clv_class", true=kind)
        if p.shown_as(trait) == shown and p.shown[4] == shown_kind
        else p
        for p in told
    ]


def dealt_anew(
    told: list[Patient], trait: str, hidden: set[Labels], first: Labels, kind: str
) -> list[Patient]:
    """Patients of the hidden values get them anew: first those of the class get the first value.

    Every value keeps its number of patients, and everybody keeps the class and all other traits.
    """
    at = TRAITS.index(trait)
    members = [p for p in told if p.shown_as(trait) in hidden]
    true_of = {p.shown_as(trait): p.true[at] for p in members}
    labels = sorted((p.shown_as(trait) for p in members), key=lambda label: (label != first, label))
    members.sort(key=lambda p: p.shown[4] != kind)
    others = [p for p in told if p.shown_as(trait) not in hidden]
    return others + [
        p.relabelled(trait, true=true_of[label], shown=label)
        for p, label in zip(members, labels, strict=True)
    ]


def shown_of(mart: Mart, clinic: list[Patient], breakdown: str) -> dict[Labels, int | None]:
    _, rows = mart.build(clinic)
    return {
        tuple(label for label in row.labels if label != ALL): row.count
        for row in rows
        if row.breakdown == breakdown
    }


def patients(copies: int, **traits: str) -> list[Patient]:
    usual = {"band": "18-29", "sex": "female", "diagnosis": "J30", "kind": "one_time", "doctor": "Ana"}
    return [person(**{**usual, **traits})] * copies


def test_a_small_value_goes_with_the_next_larger_ones_until_they_are_five(mart: Mart) -> None:
    clinic = patients(30) + patients(1, doctor="Ivan") + patients(3, doctor="Marta")
    assert shown_of(mart, clinic, "first_doctor") == {("(other)",): 34}
    clinic = patients(30) + patients(1, doctor="Ivan") + patients(8, doctor="Marta")
    assert shown_of(mart, clinic, "first_doctor") == {("Ana",): 30, ("(other)",): 9}
    clinic = patients(30) + patients(2, doctor="Ivan") + patients(3, doctor="Marta")
    assert shown_of(mart, clinic, "first_doctor") == {("Ana",): 30, ("(other)",): 5}


def test_a_small_class_hides_its_value_and_the_smallest_other_that_has_the_class(mart: Mart) -> None:
    clinic = [
        *patients(40, doctor="Ana"),
        *patients(9, doctor="Ana", kind="surgical"),
        *patients(10, doctor="Ivan"),
        *patients(2, doctor="Ivan", kind="surgical"),
        *patients(7, doctor="Marta"),
    ]
    assert shown_of(mart, clinic, "first_doctor_by_clv_class") == {
        ("one_time", "Ana"): None,
        ("surgical", "Ana"): None,
        ("one_time", "Ivan"): None,
        ("surgical", "Ivan"): None,
        # The smaller doctor has no surgery, and hides nothing of it.
        ("one_time", "Marta"): 7,
        ("surgical", "Marta"): 0,
    }


def test_age_bands_of_a_hidden_child_or_adult_are_hidden(mart: Mart) -> None:
    clinic = [
        *patients(20, band="00-06"),
        *patients(3, band="00-06", kind="surgical"),
        *patients(20, band="14-17"),
        *patients(20, band="18-29"),
        *patients(20, band="18-29", kind="surgical"),
        *patients(20, band="75+"),
    ]
    assert set(shown_of(mart, clinic, "child_adult_by_clv_class").values()) == {None}
    assert set(shown_of(mart, clinic, "age_band_by_clv_class").values()) == {None}
    assert shown_of(mart, clinic, "age_band") == {
        ("child", "00-06"): 23,
        ("child", "14-17"): 20,
        ("adult", "18-29"): 40,
        ("adult", "75+"): 20,
    }


def test_a_child_that_is_shown_keeps_its_bands_to_itself(mart: Mart) -> None:
    clinic = [
        *patients(20, band="00-06"),
        *patients(3, band="00-06", kind="surgical"),
        *patients(20, band="14-17"),
        *patients(6, band="14-17", kind="surgical"),
        *patients(20, band="18-29"),
        *patients(20, band="18-29", kind="surgical"),
    ]
    assert None not in shown_of(mart, clinic, "child_adult_by_clv_class").values()
    found = shown_of(mart, clinic, "age_band_by_clv_class")
    assert found == {
        ("child", "00-06", "one_time"): None,
        ("child", "00-06", "surgical"): None,
        ("child", "14-17", "one_time"): None,
        ("child", "14-17", "surgical"): None,
        ("adult", "18-29", "one_time"): 20,
        ("adult", "18-29", "surgical"): 20,
    }
