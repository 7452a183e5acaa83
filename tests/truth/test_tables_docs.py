"""docs/tables.md has a section for every mart, names its columns, and gives the demo's answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal

import duckdb
import pytest

from tests.truth.conftest import Build
from tests.truth.sample_answers import PAGE, Answers, Sample, answered, answers_of, read_page

pytestmark = pytest.mark.timeout(1800)

TEXT = PAGE.read_text(encoding="utf-8")
READ = read_page(TEXT)
# The one that is written beside the published file.
LIST = "exports.follow_ups"
DEMO = 1


@pytest.fixture(scope="module")
def answers(build_of: Callable[[int], Build]) -> Iterator[Answers]:
    with answers_of(build_of(DEMO).warehouse) as opened:
        yield opened


def test_every_mart_has_one_section_and_every_section_a_sample(answers: Answers) -> None:
    marts = answers.warehouse.execute(
        "select table_name from information_schema.tables where table_schema = 'marts'"
    ).fetchall()
    assert sorted(READ.columns) == sorted([*(name for (name,) in marts), LIST])
    assert READ.contents == tuple(READ.columns)
    assert {sample.section for sample in READ.samples} == set(READ.columns)


@pytest.mark.parametrize("section", READ.columns)
def test_column_table_names_the_columns_of_the_table(answers: Answers, section: str) -> None:
    relation = section if "." in section else f"marts.{section}"
    found = answers.warehouse.execute(f"describe {relation}").fetchall()
    assert sorted(READ.columns[section]) == sorted(str(row[0]) for row in found)


@pytest.mark.parametrize("sample", READ.samples, ids=lambda sample: sample.section)
def test_sample_gives_the_answer_on_the_page(answers: Answers, sample: Sample) -> None:
    assert "\n".join(sample.answer) == "\n".join(answers.of(sample.sql))
    assert 2 < len(sample.answer) <= 2 + 8


@pytest.mark.parametrize("sample", READ.samples, ids=lambda sample: sample.section)
def test_sample_names_the_table_of_its_section(sample: Sample) -> None:
    relation = "'data/exports/follow_ups.csv'" if sample.section == LIST else f"marts.{sample.section}"
    assert f"\nfrom {relation}\n" in sample.sql
    assert "\norder by " in sample.sql


def test_a_page_is_answered_in_place() -> None:
    page = (
        "## a\n\n```sql\nselect 1 as one\n```\n\n| one |\n|---|\n| 2 |\n\nTraps\n\n"
        "```sql\nselect 'x' as t\n```\n\nEnd\n"
    )
    expected = (
        "## a\n\n```sql\nselect 1 as one\n```\n\n| one |\n|--:|\n| 1 |\n\nTraps\n\n"
        "```sql\nselect 'x' as t\n```\n\n| t |\n|---|\n| x |\n\nEnd\n"
    )
    with duckdb.connect() as warehouse:
        found = answered(page, Answers(warehouse, PAGE.parent))
        assert found == expected
        assert answered(found, Answers(warehouse, PAGE.parent)) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "yes"),
        (False, "no"),
        (93.0, "93"),
        (-0.0, "0"),
        (0.867, "0.867"),
        (0.00001, "0.00001"),
        (Decimal("34.50"), "34.50"),
        (1200, "1200"),
        (date(2025, 11, 1), "2025-11-01"),
        (datetime(2025, 11, 1, 18, 40), "2025-11-01 18:40"),
        ("a|b", r"a\|b"),
    ],
)
def test_values_are_printed_plainly(value: object, text: str) -> None:
    with duckdb.connect() as warehouse:
        header, rule, row = _answer(warehouse, value)
    assert (header, row) == ("| v |", f"| {text} |")
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    assert rule == ("|--:|" if is_number else "|---|")


def _answer(warehouse: duckdb.DuckDBPyConnection, value: object) -> tuple[str, ...]:
    warehouse.execute("create table t as select ? as v", [value])
    if value is None:
        warehouse.execute("alter table t alter v type varchar")
    return Answers(warehouse, PAGE.parent).of("select v from t")
