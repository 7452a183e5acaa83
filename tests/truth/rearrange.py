"""The same exports in another shape: split into overlapping files, dropped twice, in another order.

What may be cut where follows from how a stream is replaced. Entities (calls, visits, contacts …) are cut
anywhere but within a visit; reports of ad spend, whose newer file replaces whole days, between two days;
the web export between two of its daily tables. File times stay those of the export, since the newer
export wins.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

# Of a file's records, the first part ends here and the second begins there: they overlap.
_FIRST_ENDS, _SECOND_BEGINS = 0.65, 0.4
_WEEK, _STEP = 7, 5


class Piece:
    """A file to drop: where it belongs below the inbox, its bytes and its time."""

    def __init__(self, folder: Path, name: str, data: bytes, modified_ns: int) -> None:
        self.folder = folder
        self.name = name
        self.data = data
        self.modified_ns = modified_ns

    def drop(self, inbox: Path, name: str | None = None, modified_ns: int | None = None) -> None:
        """Write it into an inbox, under its own name and time unless others are given."""
        path = inbox / self.folder / (name or self.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.data)
        stamp = self.modified_ns if modified_ns is None else modified_ns
        os.utime(path, ns=(stamp, stamp))


def originals(inbox: Path) -> list[Piece]:
    """Every file of an inbox as it is."""
    return [
        Piece(path.parent.relative_to(inbox), path.name, path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(inbox.rglob("*"))
        if path.is_file()
    ]


def overlapping_pieces(inbox: Path) -> list[Piece]:
    """Every record of an inbox's files, in at least one of two overlapping files."""
    found: list[Piece] = []
    whole = originals(inbox)
    for folder, group in groupby(whole, key=lambda piece: piece.folder):
        files = list(group)
        if folder.name == "events":
            found += _weeks(files)
            continue
        for file in files:
            parts = list(_parts(file))
            for index, data in enumerate(parts):
                name, dot, suffix = file.name.partition(".")
                found.append(Piece(folder, f"{name}_part{index}{dot}{suffix}", data, file.modified_ns))
    return found


def drop_rearranged(source: Path, target: Path, seed: int) -> Iterator[str]:
    """Drop an inbox's content into another in two rounds; land after each `yield`.

    The first round has half of the pieces, in random order under random names. The second has the other
    pieces, and every original file twice: once as it was, once more under another name, years later.
    """
    rng = random.Random(seed)
    pieces = overlapping_pieces(source)
    rng.shuffle(pieces)
    half = len(pieces) // 2
    for piece in pieces[:half]:
        piece.drop(target, name=f"{rng.randrange(10**6):06d}_{piece.name}")
    yield "half of the pieces"
    for piece in pieces[half:]:
        piece.drop(target, name=f"{rng.randrange(10**6):06d}_{piece.name}")
    for file in originals(source):
        file.drop(target)
        file.drop(
            target, name=f"copy_{file.name}", modified_ns=file.modified_ns + rng.randrange(10**16, 10**17)
        )
    yield "the rest, and everything again"


def _weeks(files: list[Piece]) -> Iterator[Piece]:
    for begin in range(0, len(files), _STEP):
        chosen = files[begin : begin + _WEEK]
        data = gzip.compress(b"".join(gzip.decompress(f.data) for f in chosen), mtime=0)
        yield Piece(chosen[0].folder, f"week_{begin:04d}.ndjson.gz", data, max(f.modified_ns for f in chosen))


def _parts(file: Piece) -> Iterator[bytes]:
    source, stream = file.folder.parts
    if source == "calltouch":
        body = json.loads(file.data)
        yield from map(_json, _halves(body["records"] if isinstance(body, dict) else body))
    elif (source, stream) == ("google_ads", "clicks"):
        yield from map(_json, _halves(json.loads(file.data)))
    elif source == "google_ads":
        pieces = _google_answer if file.data.startswith(b"[") else _google
        yield from pieces(file.data.decode())
    elif source == "yandex_direct":
        yield from _yandex(file.data.decode())
    elif (source, stream) == ("meta", "ad_spend"):
        yield from _table(file.data, ",", "utf-8-sig", together="Day", by_day=True)
    elif source == "mis":
        yield from _table(file.data, ";", "cp1251", together="№ приема" if stream == "visits" else None)
    else:
        yield from _table(file.data, ",", "utf-8")


def _halves(records: list[Any]) -> list[list[Any]]:
    if len(records) < 2:
        return [records]
    first, second = (
        records[: max(1, int(len(records) * _FIRST_ENDS))],
        records[int(len(records) * _SECOND_BEGINS) :],
    )
    return [first, second]


def _grouped_halves(rows: list[list[str]], keys: list[Any]) -> list[list[list[str]]]:
    """Halves that keep rows of one key together."""
    groups: dict[Any, list[list[str]]] = {}
    for key, row in zip(keys, rows, strict=True):
        groups.setdefault(key, []).append(row)
    return [[row for group in half for row in group] for half in _halves(list(groups.values()))]


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _written(rows: list[list[str]], delimiter: str, encoding: str) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode(encoding)


def _table(
    data: bytes, delimiter: str, encoding: str, together: str | None = None, *, by_day: bool = False
) -> Iterator[bytes]:
    rows = list(csv.reader(io.StringIO(data.decode(encoding), newline=""), delimiter=delimiter))
    start = next(index for index, row in enumerate(rows) if len(row) > 1)
    header, body = rows[start], rows[start + 1 :]
    if together is None:
        halves = _halves(body)
    else:
        at = header.index(together)
        halves = _grouped_halves(body, [row[at] for row in body])
        if by_day and len(halves) == 2:
            halves = _grouped_halves(sorted(body, key=lambda row: row[at]), sorted(row[at] for row in body))
    for half in halves:
        yield _written([*rows[:start], header, *half], delimiter, encoding)


def _google(text: str) -> Iterator[bytes]:
    """The interface's report again for the first and for the last days of its range, totals and all."""
    lines = list(csv.reader(io.StringIO(text, newline="")))
    title, header = lines[0], lines[2]
    rows = [line for line in lines[3:] if not line[0].startswith("Total: ")]
    day, cost, clicks, shown = (header.index(name) for name in ("Day", "Cost", "Clicks", "Impr."))
    days = sorted({row[day] for row in rows})
    for chosen in _halves(days):
        kept = [row for row in rows if row[day] in set(chosen)]
        total = ["Total: Account"] + [" --"] * (len(header) - 1)
        total[header.index("Currency code")] = "EUR"
        total[cost] = str(sum(Decimal(row[cost]) for row in kept))
        total[clicks], total[shown] = (
            str(sum(int(row[at].replace(",", "")) for row in kept)) for at in (clicks, shown)
        )
        head = f'{title[0]}\n"{_long(chosen[0])} - {_long(chosen[-1])}"\n'
        yield head.encode() + _written([header, *kept, total], ",", "utf-8")


def _google_answer(text: str) -> Iterator[bytes]:
    """A saved answer again for the first and for the last of its days."""
    results = [row for batch in json.loads(text) for row in batch["results"]]
    for chosen in _halves(sorted({row["segments"]["date"] for row in results})):
        yield _json([{"results": [row for row in results if row["segments"]["date"] in set(chosen)]}])


def _long(day: str) -> str:
    return f"{date.fromisoformat(day):%B} {int(day[8:])}, {day[:4]}"


def _yandex(text: str) -> Iterator[bytes]:
    title, header, *rows = text.splitlines()
    rows = [row for row in rows if "\t" in row]
    days = sorted({row.split("\t")[0] for row in rows})
    for chosen in _halves(days):
        kept = [row for row in rows if row.split("\t")[0] in set(chosen)]
        span = re.sub(r"\(.*\)", f"({chosen[0]} - {chosen[-1]})", title)
        yield "\n".join([span, header, *kept, f"Total rows: {len(kept)}", ""]).encode()
