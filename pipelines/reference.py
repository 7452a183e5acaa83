"""The clinic's own tables in data/reference/*.csv: header and every line checked, whole file or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from connectors.conformed import ACCEPTED, DERIVED, REFERENCES
from connectors.contract import Column, ReadLog, Row, Stream, local_to_utc
from connectors.errors import FileRefused
from connectors.files import Cell, InboxFile
from connectors.privacy import to_e164

OWN_NUMBERS = Stream(
    name="own_numbers",
    description="The clinic's own telephone numbers, from clinic.yaml: a caller from one is internal.",
    columns=(Column("phone_key", "text", "Keyed hash of the number.", required=True, personal="phone"),),
    primary_key=("phone_key",),
    mode="snapshot",
)
_KEYS: dict[str, tuple[str, ...]] = {
    "channel_rules": ("priority",),
    "campaign_aliases": ("alias",),
    "campaign_map": ("campaign",),
    "tracking_numbers": ("number", "valid_from"),
    "self_reported_map": ("text",),
    "services": ("service",),
    "fx_rates": ("rate_date", "currency"),
    "patient_merges": ("patient_id",),
    "channel_overrides": ("kind", "id"),
}
_TRUE = frozenset({"true", "yes", "1", "да", "da"})
_FALSE = frozenset({"false", "no", "0", "нет", "ne"})
# More would bury the first, which usually explains the rest.
_MISTAKES_SHOWN = 20
_REGEX_COLUMNS = frozenset({"campaign_type", "click_id_type", "source", "medium", "campaign", "referrer"})


@cache
def reference_streams() -> tuple[Stream, ...]:
    """One snapshot stream per reference file, and the clinic's own numbers."""
    return (
        *(
            Stream(
                name=name,
                description=f"data/reference/{name}.csv, as the clinic keeps it.",
                columns=columns,
                primary_key=_KEYS.get(name, tuple(c.name for c in columns)),
                mode="snapshot",
            )
            for name, columns in REFERENCES.items()
        ),
        OWN_NUMBERS,
    )


def read_reference(
    file: InboxFile, stream: Stream, *, zone: ZoneInfo, region: str, log: ReadLog
) -> Iterator[Row]:
    """Rows of a reference file. Local times are of `zone`, numbers without country code of `region`.

    Raises FileRefused with one line per mistake (`campaign_map.csv:3: …`): a table that steers money is
    taken whole or not at all.
    """
    derived = DERIVED.get(stream.name, {})
    wanted = {c.name: c for c in stream.columns if c.name not in derived}
    mistakes: list[str] = []
    lines = file.table(fallback="cp1251")
    header = _header(lines, file.name, wanted)
    rows: list[Row] = []
    seen: dict[tuple[Any, ...], int] = {}
    for number, cells in lines:
        if not any(_shown(cell) for cell in cells):
            log.skip("blank line")
            continue
        place = f"{file.name}:{number}"
        if any(_shown(cell) for cell in cells[len(header) :]):
            mistakes.append(f"{place}: has more cells than the header; quote texts with commas")
            continue
        values: dict[str, Any] = {
            name: _value(cell, wanted[name], place, stream.name, zone, mistakes)
            for name, cell in zip(header, cells, strict=False)
            if name
        }
        for name, column in wanted.items():
            if column.required and values.get(name) is None:
                mistakes.append(f"{place}: {name}: is empty or unreadable")
        if stream.name == "tracking_numbers" and (raw := values.get("number")):
            values["number"] = to_e164(raw, region)
            if values["number"] is None:
                mistakes.append(f"{place}: number: {raw!r} is not a phone number")
        for target, origin in derived.items():
            values[target] = values.get(origin)
        key = tuple(values.get(name) for name in stream.primary_key)
        if (earlier := seen.setdefault(key, number)) != number:
            keys = ", ".join(stream.primary_key)
            mistakes.append(f"{place}: {keys} as on line {earlier}; keep one of them")
        rows.append(Row(number, values))
    _refuse(mistakes, file.name)
    yield from rows


def _header(lines: Iterator[tuple[int, list[Cell]]], file: str, wanted: dict[str, Column]) -> list[str]:
    """The header's names, lower case. Raises FileRefused for unknown, doubled and missing columns."""
    number, cells = next(((n, c) for n, c in lines if any(_shown(cell) for cell in c)), (0, []))
    if not cells:
        raise FileRefused(f"{file}: is empty; its first line must be: {','.join(wanted)}")
    place = f"{file}:{number}"
    header = [_shown(cell).casefold() for cell in cells]
    mistakes = [
        f"{place}: unknown column {name!r}; accepted: {', '.join(wanted)}"
        for name in header
        if name and name not in wanted
    ]
    named = [name for name in header if name]
    if len(set(named)) != len(named):
        mistakes.append(f"{place}: a column stands twice in the header")
    for name, column in wanted.items():
        if column.required and name not in header:
            mistakes.append(f"{place}: the column {name!r} is missing")
    _refuse(mistakes, file)
    return header


def _refuse(mistakes: list[str], file: str) -> None:
    if mistakes:
        more = len(mistakes) - _MISTAKES_SHOWN
        shown = mistakes[:_MISTAKES_SHOWN] + ([f"{file}: … and {more} more"] if more > 0 else [])
        raise FileRefused("\n".join(shown))


def _shown(cell: Cell) -> str:
    return "" if cell is None else str(cell).strip()


def _value(cell: Cell, column: Column, place: str, table: str, zone: ZoneInfo, mistakes: list[str]) -> Any:
    text = _shown(cell)
    if not text:
        return None
    place = f"{place}: {column.name}"
    if (accepted := ACCEPTED.get((table, column.name))) and text not in accepted:
        mistakes.append(f"{place}: {text!r} is not accepted; accepted: {', '.join(accepted)}")
        return None
    try:
        match column.type:
            case "integer":
                return int(text)
            case "decimal" | "double":
                return Decimal(text.replace(" ", "").replace(",", "."))
            case "boolean":
                lowered = text.casefold()
                if lowered not in _TRUE | _FALSE:
                    raise ValueError("write true or false")
                return lowered in _TRUE
            case "date":
                return date.fromisoformat(text[:10])
            case "timestamp":
                naive = datetime.fromisoformat(text)
                return naive if naive.tzinfo else local_to_utc(naive, zone)
        if table == "channel_rules" and column.name in _REGEX_COLUMNS:
            # By the engine that will match it: RE2 knows no look-ahead, which Python's own would accept.
            duckdb.execute("select regexp_matches('', $1)", [text]).fetchone()
    except (ValueError, InvalidOperation, duckdb.Error) as error:
        expected = {
            "integer": "a whole number",
            "decimal": "a number",
            "double": "a number",
            "boolean": "true or false",
            "date": "a date like 2026-01-31",
            "timestamp": "a time like 2026-01-31 09:30",
        }.get(column.type, f"a regular expression ({error})")
        mistakes.append(f"{place}: {text!r} is not {expected}")
        return None
    return text
