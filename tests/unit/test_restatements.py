"""Figures of closed months that a later night published otherwise."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from pipelines.publish import build_path, publish
from pipelines.restatements import FIGURES

NIGHTS = [datetime(2026, 3, day, 3, tzinfo=UTC) for day in (10, 11, 12)]
JANUARY, FEBRUARY, MARCH = (date(2026, month, 1) for month in (1, 2, 3))


def night(
    data: Path,
    number: int,
    rows: list[tuple[date, str, float | None, int | None]],
    as_of: str = "2026-03-09",
) -> list[tuple[Any, ...]]:
    """Publish (month, channel, new patients, revenue of 90 days); what is restated then, oldest first."""
    path = build_path(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as con:
        for schema in ("marts", "conformed"):
            con.execute(f"create schema {schema}")
        con.execute(f"create table conformed.as_of as select date '{as_of}' as as_of")
        con.execute(
            "create table marts.cost_per_patient (month date, channel varchar, campaign varchar, "
            "new_patients double, revenue_first_visit decimal(18, 2), revenue_90d decimal(18, 2), "
            "revenue_365d decimal(18, 2), revenue_to_date decimal(18, 2))"
        )
        for month, channel, patients, revenue in rows:
            con.execute(
                "insert into marts.cost_per_patient values (?, ?, 'a', ?, 0, ?, null, ?)",
                [month, channel, patients, revenue, number * 1000],
            )
    publish(path, data, run_id=f"r{number}", warnings=[], keep=1, now=NIGHTS[number])
    with duckdb.connect(str(data / "warehouse" / "firstvisit.duckdb"), read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        return con.execute(
            "select month, channel, measure, before, after, night from ops.restatements "
            "order by night, month, channel, measure"
        ).fetchall()


def test_the_first_night_and_a_night_without_news_restate_nothing(tmp_path: Path) -> None:
    rows = [(JANUARY, "email", 2.0, None), (MARCH, "email", 9.0, None)]
    assert night(tmp_path, 0, rows) == []
    assert night(tmp_path, 1, rows) == []
    assert len(list((tmp_path / "ops" / "figures").iterdir())) == 2


def test_a_changed_figure_has_both_values_and_the_night(tmp_path: Path) -> None:
    night(tmp_path, 0, [(JANUARY, "email", 2.0, None)])
    changed = [(JANUARY, "email", "new_patients", Decimal(2), Decimal("2.5"), NIGHTS[1])]
    assert night(tmp_path, 1, [(JANUARY, "email", 2.5, None)]) == changed
    assert night(tmp_path, 2, [(JANUARY, "email", 2.5, None)]) == changed


def test_rows_of_one_channel_are_added_up(tmp_path: Path) -> None:
    night(tmp_path, 0, [(JANUARY, "email", 2.0, None), (JANUARY, "email", 1.0, None)])
    assert night(tmp_path, 1, [(JANUARY, "email", 1.0, None), (JANUARY, "email", 2.0, None)]) == []


def test_an_open_month_may_change_and_closes_without_a_restatement(tmp_path: Path) -> None:
    night(tmp_path, 0, [(MARCH, "email", 1.0, None)])
    assert night(tmp_path, 1, [(MARCH, "email", 5.0, None)], as_of="2026-04-01") == []
    assert night(tmp_path, 2, [(MARCH, "email", 6.0, None)], as_of="2026-04-01") == [
        (MARCH, "email", "new_patients", Decimal(5), Decimal(6), NIGHTS[2])
    ]


def test_patients_that_move_to_another_channel_are_seen_on_both_sides(tmp_path: Path) -> None:
    night(tmp_path, 0, [(JANUARY, "email", 2.0, None)])
    assert night(tmp_path, 1, [(JANUARY, "maps", 2.0, None)]) == [
        (JANUARY, "email", "new_patients", Decimal(2), Decimal(0), NIGHTS[1]),
        (JANUARY, "maps", "new_patients", Decimal(0), Decimal(2), NIGHTS[1]),
    ]
    # What stands at zero and stays away is told once.
    assert len(night(tmp_path, 2, [(JANUARY, "maps", 2.0, None)])) == 2


def test_ninety_days_that_have_passed_are_no_restatement_but_what_comes_after_is(tmp_path: Path) -> None:
    night(tmp_path, 0, [(JANUARY, "email", 2.0, None)])
    assert night(tmp_path, 1, [(JANUARY, "email", 2.0, 300)]) == []
    assert night(tmp_path, 2, [(JANUARY, "email", 2.0, 250)]) == [
        (JANUARY, "email", "revenue_90d", Decimal(300), Decimal(250), NIGHTS[2])
    ]


def test_a_night_that_was_not_published_is_no_past(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    night(tmp_path, 0, [(JANUARY, "email", 2.0, None)])
    with monkeypatch.context() as broken:
        broken.setattr("pipelines.publish._verify", lambda *_: (_ for _ in ()).throw(OSError("disk")))
        with pytest.raises(OSError, match="disk"):
            night(tmp_path, 1, [(JANUARY, "email", 7.0, None)])
    assert night(tmp_path, 2, [(JANUARY, "email", 3.0, None)]) == [
        (JANUARY, "email", "new_patients", Decimal(2), Decimal(3), NIGHTS[2])
    ]


def test_days_of_a_mart_are_added_up_to_their_month(tmp_path: Path) -> None:
    def funnel(number: int, *days: tuple[int, int]) -> list[tuple[Any, ...]]:
        path = build_path(tmp_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with duckdb.connect(str(path)) as con:
            con.execute("create schema marts; create schema conformed")
            con.execute("create table conformed.as_of as select date '2026-03-09' as as_of")
            con.execute(
                "create table marts.acquisition_funnel (day date, channel varchar, records bigint, "
                "dialogs bigint, valid bigint, contacts_left bigint, bookings bigint)"
            )
            for day, records in days:
                con.execute(
                    "insert into marts.acquisition_funnel values (?, 'email', ?, 0, 0, 0, ?)",
                    [date(2026, 2, day), records, number],
                )
        publish(path, tmp_path, run_id=f"r{number}", warnings=[], keep=1, now=NIGHTS[number])
        with duckdb.connect(str(tmp_path / "warehouse" / "firstvisit.duckdb"), read_only=True) as con:
            return con.execute(
                "select mart, month, channel, measure, before, after from ops.restatements"
            ).fetchall()

    assert funnel(0, (1, 2), (28, 3)) == []
    assert funnel(1, (1, 3), (28, 2)) == []
    assert funnel(2, (1, 3), (28, 4)) == [
        ("acquisition_funnel", FEBRUARY, "email", "records", Decimal(5), Decimal(7))
    ]


def test_every_figure_is_of_a_mart_that_has_it() -> None:
    """The marts' contracts name their columns; a figure that none has would fail a whole night."""
    models = Path(__file__).resolve().parents[2] / "dbt_project" / "models" / "marts"
    for mart, measures in FIGURES.items():
        [model] = yaml.safe_load((models / f"{mart}.yml").read_text(encoding="utf-8"))["models"]
        columns = {column["name"] for column in model["columns"]}
        assert {*measures} <= columns, mart
        assert columns & {"month", "day"}, mart
