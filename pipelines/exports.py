"""What a night writes for people besides the published warehouse: lists that name single patients' records.

    exports/follow_ups.csv      whom the desk should call, newest first

They are made by dbt in schema `exports`, which is not published, and only their owner may read the files.
Each is written whole after the publication it belongs to; a night that publishes nothing leaves yesterday's,
whose column `as_of` says so.
"""

from __future__ import annotations

import csv
import io
import os
import re
import uuid
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb

from pipelines import durable, quote

SCHEMA = "exports"
# Model of the schema -> the column that orders its rows.
EXPORTS = {"follow_ups": "position"}
# A spreadsheet takes a text that begins so for a formula; a number, also a negative one, it leaves alone.
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


class ExportError(Exception):
    """A list could not be written; the publication stands. The message says which, why and what to do."""


def write_exports(build: Path, data_dir: Path) -> dict[str, int]:
    """Write every list that the build holds to `data_dir`/exports. Returns file name -> rows.

    A build without a list leaves none behind from an earlier night. Raises ExportError.
    """
    folder = data_dir.resolve() / "exports"
    written: dict[str, int] = {}
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with duckdb.connect(str(build), read_only=True) as con:
            for model, order in EXPORTS.items():
                path = folder / f"{model}.csv"
                if not _has(con, model):
                    path.unlink(missing_ok=True)
                    continue
                found = con.execute(
                    f"from {quote.name(SCHEMA)}.{quote.name(model)} order by {quote.name(order)}"
                )
                header = [column[0] for column in found.description or ()]
                rows = found.fetchall()
                _write(path, as_csv(header, rows))
                written[path.name] = len(rows)
    except (OSError, duckdb.Error) as error:
        raise ExportError(
            f"published, but the lists in {folder} were not written: {error}; "
            "mend that and run again to have today's"
        ) from error
    return written


def as_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows as a spreadsheet opens them: times to the minute, true and false, no text that is a formula."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return stream.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, date):
        return value.isoformat()
    text = str(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _has(con: duckdb.DuckDBPyConnection, model: str) -> bool:
    found = con.execute(
        "select 1 from information_schema.tables where table_schema = ? and table_name = ?", [SCHEMA, model]
    ).fetchone()
    return found is not None


def _write(path: Path, text: str) -> None:
    """Anew by one rename, and never for a moment readable by others."""
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):  # of a killed night
        leftover.unlink(missing_ok=True)
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    # The mark at the start tells spreadsheets that the text is UTF-8.
    with os.fdopen(descriptor, "w", encoding="utf-8-sig", newline="") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    scratch.replace(path)
    durable.sync(path.parent)
