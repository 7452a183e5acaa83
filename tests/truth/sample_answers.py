"""The sample queries of docs/tables.md and their answers, which are those of the demo's clinic.

python -m tests.truth.sample_answers WAREHOUSE.duckdb     rewrites the answers on the page

The warehouse is one as dbt built it of that clinic: simulated with seed 1 at scale 1.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from pipelines.exports import write_exports
from tests.truth.comparison import open_published

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tables.md"
_NUMBER = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|DECIMAL.*|FLOAT|DOUBLE)")


@dataclass(frozen=True)
class Sample:
    """A query of a section and the lines of the table below it, which are `page[start:end]`."""

    section: str
    sql: str
    answer: tuple[str, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Page:
    """What can be checked of the page. `columns` are the names that each section's column table has."""

    contents: tuple[str, ...]
    columns: dict[str, tuple[str, ...]]
    samples: tuple[Sample, ...]


def read_page(text: str) -> Page:
    """The sections of the page, in order; a section that stands twice is an error."""
    lines = text.splitlines()
    contents: list[str] = []
    columns: dict[str, tuple[str, ...]] = {}
    samples: list[Sample] = []
    section = ""
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if line.startswith("## "):
            section = line.removeprefix("## ").strip()
            if section in columns:
                raise ValueError(f"two sections {section}")
            columns[section] = ()
        elif not section and (entry := re.match(r"- \[`([^`]+)`\]\(#(\w+)\): ", line)):
            if entry[2] != entry[1].replace(".", ""):
                raise ValueError(f"{entry[1]} leads to {entry[2]}")
            contents.append(entry[1])
        elif line.startswith("| column |"):
            end = _end_of(lines, at, lambda text: text.startswith("|"))
            columns[section] += tuple(_names(lines[at + 1 : end]))
            at = end
        elif line == "```sql":
            end = _end_of(lines, at, lambda text: text != "```")
            start = _end_of(lines, end + 1, lambda text: not text)
            stop = _end_of(lines, start, lambda text: text.startswith("|"))
            samples.append(Sample(section, "\n".join(lines[at:end]), tuple(lines[start:stop]), start, stop))
            at = stop
    return Page(tuple(contents), columns, tuple(samples))


def _end_of(lines: Sequence[str], start: int, belongs: Callable[[str], bool]) -> int:
    """The first line from `start` on that does not belong."""
    return next((n for n in range(start, len(lines)) if not belongs(lines[n])), len(lines))


def _names(rows: Sequence[str]) -> Iterator[str]:
    """The columns that the first cells of a table name: `a`, `b`."""
    for row in rows:
        cell = row.split("|")[1].strip()
        names = re.findall(r"`([^`]+)`", cell)
        if cell != ", ".join(f"`{name}`" for name in names):
            raise ValueError(f"not a list of columns: {cell}")
        yield from names


@dataclass(frozen=True)
class Answers:
    """A build as the samples see it: its tables, and the lists in data/exports as a night writes them."""

    warehouse: duckdb.DuckDBPyConnection
    data_dir: Path

    def of(self, sql: str) -> tuple[str, ...]:
        """What a query finds, as the lines of a Markdown table; numbers stand to the right."""
        found = self.warehouse.execute(sql.replace("'data/", f"'{self.data_dir}/"))
        description = found.description or []
        names = [str(column[0]) for column in description]
        rules = ["--:" if _NUMBER.fullmatch(str(column[1])) else "---" for column in description]
        rows = [[_cell(value) for value in row] for row in found.fetchall()]
        return (_row(names), f"|{'|'.join(rules)}|", *(_row(row) for row in rows))


@contextmanager
def answers_of(build: Path) -> Iterator[Answers]:
    """The build, opened for samples."""
    with tempfile.TemporaryDirectory() as folder, open_published(build) as warehouse:
        write_exports(build, Path(folder))
        yield Answers(warehouse, Path(folder))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        # the shortest text that is the same number, never with an exponent; 93.0 is 93, and -0.0 is 0
        return re.sub(r"\.0*$", "", f"{Decimal(repr(value or 0.0)):f}")
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, date):
        return value.isoformat()
    return str(value).replace("|", "\\|")


def answered(text: str, answers: Answers) -> str:
    """The page with every answer as the warehouse gives it."""
    lines = text.splitlines()
    for sample in reversed(read_page(text).samples):
        found = answers.of(sample.sql)
        # a query just written has no table yet: what follows it stays a blank line away
        lines[sample.start : sample.end] = found if sample.answer else (*found, "")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Rewrite the answers of the page."""
    with answers_of(Path(sys.argv[1])) as answers:
        PAGE.write_text(answered(PAGE.read_text(encoding="utf-8"), answers), encoding="utf-8")


if __name__ == "__main__":
    main()
