"""The desk's list, as the real pipeline writes it, names those who truly slipped away."""

from __future__ import annotations

import csv
import stat
from pathlib import Path

import pytest

from tests.truth.comparison import open_published
from tests.truth.conftest import Night

pytestmark = pytest.mark.timeout(1800)


def read(path: Path, encoding: str) -> list[dict[str, str]]:
    with path.open(encoding=encoding, newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_list_is_the_truth(night: Night) -> None:
    written = night.made.data_dir / "exports" / "follow_ups.csv"
    found = read(written, "utf-8-sig")
    assert found == read(night.made.truth_dir / "follow_ups.csv", "utf-8")
    assert {row["reason"] for row in found} == {"no_show", "not_booked"}
    assert {row["is_new"] for row in found} == {"true", "false"}
    assert stat.S_IMODE(written.stat().st_mode) == 0o600


def test_the_list_is_not_published_but_what_became_of_it_is(night: Night) -> None:
    with open_published(night.warehouse) as warehouse:
        tables = {
            table
            for (table,) in warehouse.execute("select table_name from information_schema.tables").fetchall()
        }
        [(reached, booked)] = warehouse.execute(
            "select sum(reached_72h), sum(booked_30d) from marts.follow_up_results"
        ).fetchall()
    assert "follow_ups" not in tables
    assert "follow_up_items" not in tables
    assert reached > 10
    assert booked > 10
