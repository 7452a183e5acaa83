"""No planted personal datum is in any file outside the inbox, whatever the file's format."""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simulator import clinic
from tests.truth.conftest import Night
from tests.truth.pipeline import HASH_KEY

pytestmark = pytest.mark.timeout(1800)

# Numbers as people write them, and runs of digits.
_WRITTEN = re.compile(r"(?<![\w.])\+?\(?\d[\d ()/\-]{7,}\d(?!\w)")
_DIGITS = re.compile(r"(?<![0-9a-zA-Z])\d{8,15}(?![0-9a-zA-Z])")
# Every planted name, address, e-mail and free text holds one of these.
_MARKS = (
    *(text.casefold() for text in (*clinic.SURNAMES, *clinic.STREETS)),
    "@posta", "molim termin", "komentar ", "nazvati: ", "203.0.113.", "mozilla/5.0",
)  # fmt: skip


def _texts(path: Path) -> Iterator[str]:
    """Everything that a file says, decoded from its format."""
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        for name, column in zip(table.column_names, table.columns, strict=True):
            if pa.types.is_string(column.type) or pa.types.is_list(column.type):
                yield name + "\n" + "\n".join(str(value) for value in column.to_pylist())
        yield str(table.schema.metadata)
        return
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as connection:
            for schema, table in connection.execute(
                "select table_schema, table_name from information_schema.tables"
            ).fetchall():
                rows = connection.execute(f'from "{schema}"."{table}"').fetchall()
                yield f"{schema}.{table}\n" + "\n".join(" | ".join(map(str, row)) for row in rows)
    if path.suffix == ".db":
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            for (name,) in connection.execute(
                "select name from sqlite_master where type = 'table'"
            ).fetchall():
                rows = connection.execute(f'select * from "{name}"').fetchall()
                yield "\n".join(" | ".join(map(str, row)) for row in rows)
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    yield data.decode("utf-8", errors="ignore")


def _found(text: str, numbers: set[str]) -> list[str]:
    folded = text.casefold()
    found = [mark for mark in _MARKS if mark in folded]
    for match in (*_WRITTEN.findall(text), *_DIGITS.findall(text)):
        if re.sub(r"\D", "", match) in numbers:
            found.append(match)
    return found


def _numbers(personal: list[str]) -> set[str]:
    """Planted phone numbers, as digits: in national form, with 385, with 00385."""
    plain = (text for text in personal if not re.search(r"[^\W\d_]", text))
    return {digits for text in plain if len(digits := re.sub(r"\D", "", text)) >= 9}


def test_the_search_finds_what_is_planted_in_every_format(tmp_path: Path) -> None:
    number, name = "0912345678", f"Ana {clinic.SURNAMES[0]}"
    numbers = {number}
    pq.write_table(pa.table({"note": [f"call 091 234-5678, {name}"]}), tmp_path / "a.parquet")
    with duckdb.connect(str(tmp_path / "a.duckdb")) as connection:
        connection.execute("create table t as select ? as x, ? as y", [number, name])
    with sqlite3.connect(tmp_path / "a.db") as database:
        database.execute("create table t (x text)")
        database.execute("insert into t values (?)", [f"{name} {number}"])
    (tmp_path / "a.log").write_text(f"bad cell '(091) 234-5678' of {name}")
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(f'{{"p": "{number}", "n": "{name}"}}'.encode()))
    for path in tmp_path.iterdir():
        assert len([hit for text in _texts(path) for hit in _found(text, numbers)]) >= 2, path.name


def test_no_personal_datum_outside_the_inbox(night: Night) -> None:
    made = night.made
    personal = json.loads((made.truth_dir / "personal.json").read_text())
    numbers = _numbers(personal)
    assert len(numbers) > 500
    # The planted data is really there, in the inbox.
    inbox = "\n".join(
        path.read_bytes().decode("cp1251", errors="ignore")
        for path in (made.data_dir / "inbox" / "mis").rglob("*.csv")
    )
    assert sum(number in inbox for number in numbers) > 50
    assert any(name in inbox for name in clinic.SURNAMES)
    searched, leaks = 0, []
    for path in sorted(made.data_dir.rglob("*")):
        if not path.is_file() or (made.data_dir / "inbox") in path.parents:
            continue
        searched += 1
        for text in _texts(path):
            leaks += [f"{path.relative_to(made.data_dir)}: {hit}" for hit in _found(text, numbers)]
            assert HASH_KEY not in text, path
    assert searched > 100
    assert leaks == []
