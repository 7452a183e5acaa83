"""Published tables against the simulator's truth, cell by cell.

python -m tests.truth.comparison WAREHOUSE.duckdb TRUTH_FOLDER     prints the differences
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

Row = dict[str, Any]
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Table:
    """How one published table is compared. Counts and money exactly, `floats` to 1e-9 relative.

    `per_shared` is money per new patient where patients are shared among rows: rounded to the cent from the
    truth's exact figure, as far as credits that are exact to 1e-9 give it.
    `shared_money` is money that a model divides among rows: no row may be a whole cent off its exact figure,
    and the sum over each value of `conserved` must be exact to the cent.
    """

    relation: str
    keys: tuple[str, ...]
    floats: tuple[str, ...] = ()
    per_shared: tuple[str, ...] = ()
    shared_money: tuple[str, ...] = ()
    conserved: tuple[str, ...] = ()
    moments: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    empty_text: tuple[str, ...] = ()
    where: str = "true"
    renamed: Mapping[str, str] = field(default_factory=dict)


PLACE = ("channel", "source", "campaign")
TABLES: Mapping[str, Table] = {
    "cost_per_call": Table("marts.cost_per_call", ("month", *PLACE)),
    "cost_per_patient": Table(
        "marts.cost_per_patient",
        ("month", *PLACE),
        floats=(
            "new_patients",
            "repeat_patients",
            "linked_share",
            "cost_to_revenue",
            "roas",
            "romi",
            "roas_to_date",
        ),
    ),
    "clv_by_first_doctor": Table(
        "marts.clv_by_first_doctor",
        ("doctor", "branch", "cohort"),
        floats=("repeat_rate", "visits_per_patient", "first_visit_revenue_share", "avg_rating"),
    ),
    "attribution_comparison": Table(
        "marts.attribution_comparison",
        ("month", "month_basis", "attribution_model", *PLACE),
        floats=("new_patients",),
        per_shared=("cost_per_patient",),
        shared_money=("revenue_to_date",),
        conserved=("month_basis", "attribution_model"),
    ),
    "monthly_summary": Table("marts.monthly_summary", ("month",)),
    "keyword_performance": Table(
        "marts.keyword_performance",
        ("month", "source", "campaign", "ad_group", "keyword"),
        floats=("new_patients", "ctr"),
    ),
    "site_traffic": Table(
        "marts.site_traffic",
        ("month", "channel", "region", "device", "landing_page"),
        floats=("bounce_rate", "avg_duration_s", "visitor_call_rate"),
    ),
    "acquisition_funnel": Table(
        "marts.acquisition_funnel",
        ("day", *PLACE),
        floats=(
            "ctr",
            "reach_rate",
            "open_rate",
            "valid_rate",
            "contact_left_rate",
            "booking_rate",
            "show_rate",
            "conversion_rate",
        ),
    ),
    "doctor_performance": Table(
        "marts.doctor_performance",
        ("month", "doctor", "branch"),
        floats=(
            "repeat_rate",
            "later_visits_per_new_patient",
            "repeats_per_new_patient",
            "shift_hours",
            "avg_rating",
        ),
    ),
    "capacity_utilisation": Table(
        "marts.capacity_utilisation",
        ("branch", "resource", "room", "doctor", "week", "weekday", "hour"),
        floats=(
            "maximum_minutes",
            "booked_minutes",
            "attended_minutes",
            "booked_in_shift_minutes",
            "attended_in_shift_minutes",
            "free_minutes",
            "maximum_visits",
            "free_visits",
            "utilisation",
            "attended_utilisation",
            "minutes_per_visit",
        ),
    ),
    "revenue_structure": Table(
        "marts.revenue_structure",
        (
            "month",
            "branch",
            "service_group",
            "service",
            "doctor",
            "clv_class",
            "visit_kind",
            "payer",
        ),
    ),
    "patient_structure": Table(
        "marts.patient_structure",
        (
            "breakdown",
            "child_adult",
            "age_band",
            "sex",
            "diagnosis_group",
            "clv_class",
            "first_doctor",
        ),
        floats=("patient_share", "revenue_share"),
    ),
    "operator_performance": Table(
        "marts.operator_performance",
        ("month", "operator", "branch"),
        floats=(
            "missed_rate",
            "contact_left_rate",
            "booking_rate",
            "tag_score",
            "new_patient_rate",
            "new_patient_rate_low",
            "new_patient_rate_high",
            "expected_rate",
            "times_expected",
            "benchmark_rate",
            "target_bookings",
            "target_new_patients",
            "target_new_patient_rate",
        ),
    ),
    "missed_contacts": Table(
        "marts.missed_contacts",
        ("month", "channel", "source", "hour_of_day", "weekday"),
        floats=("missed_rate", "recovery_rate", "booking_rate", "show_rate"),
    ),
    "follow_up_results": Table(
        "marts.follow_up_results",
        ("listed_on", "reason"),
        floats=("reached_72h_rate", "booked_30d_rate"),
    ),
    "kpi_scorecard": Table(
        "marts.kpi_scorecard",
        ("target_no",),
        floats=(
            "baseline",
            "value",
            "target",
            "actual",
            "attainment",
            "progress",
            "expected",
            "forecast",
            "forecast_low",
            "forecast_high",
            "needed_pace",
            "past_lower_quartile",
            "past_median",
            "past_upper_quartile",
            "past_share_at_pace",
        ),
    ),
    "ltv_cohorts": Table(
        "marts.ltv_cohorts",
        ("cohort_month", "month_since", "channel", "first_doctor"),
        floats=(
            "new_patients",
            "revenue_to_cost",
            "returning_patients",
            "returning_share",
            "returned_patients",
            "returned_share",
        ),
    ),
    "coverage": Table("marts.coverage", ("measure", "item", "unit"), floats=("share",), empty_text=("item",)),
    "patient_journeys": Table(
        "journeys.patient_journeys",
        ("patient_id",),
        moments=("first_visit_at", "converted_at", "first_touch_at"),
    ),
    "journey_touches": Table(
        "journeys.journey_touches",
        ("patient_id", "touched_at"),
        moments=("touched_at",),
    ),
    "attribution_credits": Table(
        "journeys.attribution_credits",
        ("patient_id", "attribution_model", "touched_at"),
        floats=("credit",),
        moments=("touched_at",),
        where="credit > 0",
    ),
    "channel_removal_effects": Table(
        "journeys.channel_removal_effects",
        ("channel",),
        floats=("removal_effect", "markov_share"),
    ),
    "contacts": Table(
        "conformed.contacts",
        ("contact_id",),
        moments=("contacted_at", "recovered_at"),
    ),
}


def read_truth(folder: Path, name: str) -> list[Row]:
    """The rows of one of the truth's tables, as text; empty text is None."""
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        return [{key: value or None for key, value in row.items()} for row in csv.DictReader(stream)]


def read_published(warehouse: duckdb.DuckDBPyConnection, table: Table, columns: Iterable[str]) -> list[Row]:
    """The same columns of the published table."""
    wanted = [*columns]
    found = warehouse.execute(
        f"select {', '.join(map(_quoted, wanted))} from {table.relation} where {table.where}"
    ).fetchall()
    return [dict(zip(wanted, row, strict=True)) for row in found]


def _quoted(name: str) -> str:
    return f'"{name}"'


def differences(warehouse: duckdb.DuckDBPyConnection, folder: Path, name: str) -> list[str]:
    """One line for every row or cell that differs; empty when the table is exactly what it must be."""
    table = TABLES[name]
    expected = read_truth(folder, name)
    columns = [column for column in expected[0] if column not in table.left_out]
    published = read_published(warehouse, table, columns)
    ours = _by_key(table, expected)
    theirs = _by_key(table, published)
    found = [
        f"{name}: twice {_shown(key)}"
        for key, rows in theirs.items()
        if len(rows) != len(ours.get(key, rows))
    ]
    found += [
        f"{name}: missing {_shown(key)} {_brief(rows[0])}" for key, rows in ours.items() if key not in theirs
    ]
    found += [
        f"{name}: unexpected {_shown(key)} {_brief(rows[0])}"
        for key, rows in theirs.items()
        if key not in ours
    ]
    for key in ours.keys() & theirs.keys():
        mine, other = ours[key][0], theirs[key][0]
        for column in columns:
            if column not in table.keys and not _equal(table, column, mine, other):
                found.append(f"{name}: {_shown(key)} {column}: expected {mine[column]}, is {other[column]}")
    return found + _unconserved(table, name, expected, published)


def _by_key(table: Table, rows: Iterable[Row]) -> dict[tuple[Any, ...], list[Row]]:
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        key = tuple(
            _moment(row[c])
            if c in table.moments
            else _text(row[c]) or ("" if c in table.empty_text else None)
            for c in table.keys
        )
        found.setdefault(key, []).append(row)
    return found


def _equal(table: Table, column: str, mine: Row, other: Row) -> bool:
    expected, found = mine[column], other[column]
    if expected is None or found is None:
        return expected is found
    if column in table.floats:
        return math.isclose(float(expected), float(found), rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    if column in table.per_shared:
        slack = float(expected) * 1e-9 / float(mine["new_patients"])
        return abs(float(found) - float(expected)) <= 0.005 + TOLERANCE + slack
    if column in table.shared_money:
        return abs(Decimal(str(found)) - Decimal(expected)) < Decimal("0.01")
    if column in table.moments:
        return _moment(expected) == _moment(found)
    if isinstance(found, bool):
        return expected == str(found)
    if isinstance(found, (int, float, Decimal)):
        return Decimal(expected) == Decimal(str(found))
    return expected == _text(found)


def _unconserved(table: Table, name: str, expected: list[Row], published: list[Row]) -> list[str]:
    found = []
    for column in table.shared_money:
        sums: dict[tuple[str, ...], list[Decimal]] = {}
        for side, rows in enumerate((expected, published)):
            for row in rows:
                group = tuple(str(row[c]) for c in table.conserved)
                sums.setdefault(group, [Decimal(0), Decimal(0)])[side] += Decimal(str(row[column] or 0))
        found += [
            f"{name}: {column} of {group} sums to {theirs}, not {ours.quantize(Decimal('0.01'))}"
            for group, (ours, theirs) in sums.items()
            if ours.quantize(Decimal("0.01")) != theirs
        ]
    return found


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _moment(value: Any) -> datetime | None:
    if value is None:
        return None
    return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)


def _shown(key: tuple[Any, ...]) -> str:
    return "/".join("-" if part is None else str(part) for part in key)


def _brief(row: Row) -> str:
    return ", ".join(f"{key}={value}" for key, value in row.items() if value not in (None, 0, "0", "0.00"))[
        :300
    ]


def open_published(path: Path) -> duckdb.DuckDBPyConnection:
    """A published warehouse, read only, in UTC."""
    connection = duckdb.connect(str(path), read_only=True)
    connection.execute("set timezone = 'UTC'")
    return connection


def main() -> None:
    """Print how a warehouse differs from the truth."""
    warehouse, folder = Path(sys.argv[1]), Path(sys.argv[2])
    limit = int(sys.argv[3]) if len(sys.argv) > 3 else 15
    with open_published(warehouse) as connection:
        for name in TABLES:
            found = differences(connection, folder, name)
            print(f"{name}: {len(found)} differences")
            print("\n".join(f"  {line}" for line in found[:limit]))


if __name__ == "__main__":
    main()
