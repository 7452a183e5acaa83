"""The desk's lists: whole, in order, for nobody else's eyes, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pytest

from pipelines.exports import ExportError, as_csv, write_exports
from pipelines.publish import build_path, publish

ROWS: Sequence[tuple[object, ...]] = (
    (2, "2025-03-01 09:00:59", "mis", "00123", None, True),
    (1, "2025-03-02 18:30:00", "online", None, "-100123", False),
    (3, "2025-02-28 08:15:00", "mis", "A,7", None, None),
)


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A build with a list of three, inserted out of order, and one mart."""
    path = build_path(tmp_path)
    path.parent.mkdir(parents=True)
    with duckdb.connect(str(path)) as con:
        for schema in ("exports", "marts", "conformed", "journeys", "ops"):
            con.execute(f"create schema {schema}")
        con.execute("create table marts.m as select 1 as x")
        con.execute(
            "create table exports.follow_ups (position bigint, happened_at timestamp, source_name varchar, "
            "appointment_id varchar, contact_id varchar, is_new boolean)"
        )
        con.executemany("insert into exports.follow_ups values (?, ?, ?, ?, ?, ?)", ROWS)
    return path


def read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.reader(stream))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_list_is_written_in_its_order_with_times_to_the_minute(build: Path, tmp_path: Path) -> None:
    assert write_exports(build, tmp_path) == {"follow_ups.csv": 3}
    assert read(tmp_path / "exports" / "follow_ups.csv") == [
        ["position", "happened_at", "source_name", "appointment_id", "contact_id", "is_new"],
        ["1", "2025-03-02 18:30", "online", "", "-100123", "false"],
        ["2", "2025-03-01 09:00", "mis", "00123", "", "true"],
        ["3", "2025-02-28 08:15", "mis", "A,7", "", ""],
    ]


def test_only_the_owner_may_read_it_whatever_the_process_allows_others(build: Path, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_exports(build, tmp_path)
        (tmp_path / "exports" / "follow_ups.csv").chmod(0o644)
        write_exports(build, tmp_path)
    finally:
        os.umask(before)
    assert mode(tmp_path / "exports" / "follow_ups.csv") == 0o600
    assert mode(tmp_path / "exports") == 0o700


def test_what_a_killed_night_left_half_written_is_cleared(build: Path, tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    (folder / ".follow_ups.csv.0badcafe.tmp").write_text("position\n1")
    write_exports(build, tmp_path)
    assert [path.name for path in folder.iterdir()] == ["follow_ups.csv"]


def test_a_reader_keeps_the_list_that_it_opened(build: Path, tmp_path: Path) -> None:
    write_exports(build, tmp_path)
    with (tmp_path / "exports" / "follow_ups.csv").open(encoding="utf-8-sig") as opened:
        with duckdb.connect(str(build)) as con:
            con.execute("delete from exports.follow_ups")
        assert write_exports(build, tmp_path) == {"follow_ups.csv": 0}
        assert len(opened.readlines()) == 4
    assert len(read(tmp_path / "exports" / "follow_ups.csv")) == 1


def test_a_build_without_a_list_leaves_no_old_one(build: Path, tmp_path: Path) -> None:
    write_exports(build, tmp_path)
    with duckdb.connect(str(build)) as con:
        con.execute("drop table exports.follow_ups")
    assert write_exports(build, tmp_path) == {}
    assert not (tmp_path / "exports" / "follow_ups.csv").exists()


def test_a_list_that_cannot_be_written_says_where_and_what_to_do(build: Path, tmp_path: Path) -> None:
    (tmp_path / "exports").write_text("a file where the folder belongs")
    with pytest.raises(
        ExportError, match=r"published, but the lists in .*exports were not written.*run again"
    ):
        write_exports(build, tmp_path)


def test_the_list_is_not_published(build: Path, tmp_path: Path) -> None:
    done = publish(build, tmp_path, run_id="r", warnings=[], keep=1)
    with duckdb.connect(str(done.path), read_only=True) as con:
        names = con.execute("select schema_name || '.' || table_name from duckdb_tables()").fetchall()
    assert ("marts.m",) in names
    assert not [name for (name,) in names if name.startswith("exports.") or "follow_ups" in name]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+385 1", "'+385 1"),
        ("@SUM(1)", "'@SUM(1)"),
        ("-2+3", "'-2+3"),
        ("\tx", "'\tx"),
        ("-100123", "-100123"),
        ("-7.5", "-7.5"),
        ("dr. Šarić; ЛОР", "dr. Šarić; ЛОР"),
    ],
)
def test_no_text_is_a_formula_to_a_spreadsheet_and_numbers_stay(value: str, cell: str) -> None:
    text = as_csv(["x"], [[value]])
    assert list(csv.reader(text.splitlines())) == [["x"], [cell]]
