"""Load records: what became of every file, one line each in landing/loads.jsonl."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class LoadRecord:
    """One load, as `ops.loads` shows it. rows_read = rows_landed + rows_duplicate + rows_quarantined.

    `status`: landed, skipped (the same content was loaded before) or failed (`error` says why).
    """

    load_id: str
    kind: str
    source: str
    stream: str
    file: str
    file_hash: str
    status: str
    started: str
    finished: str
    rows_read: int = 0
    rows_landed: int = 0
    rows_duplicate: int = 0
    rows_quarantined: int = 0
    rows_skipped: int = 0
    encoding: str | None = None
    unknown_columns: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    # "label: measure" -> the total that the vendor prints or announces.
    control_totals: dict[str, str] = field(default_factory=dict)
    # measure -> our own sum over the rows that passed the checks, `rows` among them.
    sums: dict[str, str] = field(default_factory=dict)
    quarantine_reasons: dict[str, int] = field(default_factory=dict)
    error: str | None = None


def append_records(path: Path, records: Iterable[LoadRecord]) -> None:
    """Append the records, each on one line, and wait for the disk."""
    text = "".join(json.dumps(asdict(record), ensure_ascii=False) + "\n" for record in records)
    if text:
        with path.open("a", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())


def mend_records(path: Path) -> None:
    """Cut off a last line that a killed run left unfinished."""
    if not path.exists():
        return
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        with path.open("r+b") as stream:
            stream.truncate(data.rfind(b"\n") + 1)


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines, oldest first; none when there is no such file."""
    if path.exists():
        # By lines of the file: str.splitlines would also cut at U+2028, which JSON texts may hold.
        with path.open(encoding="utf-8") as stream:
            yield from map(json.loads, stream)
