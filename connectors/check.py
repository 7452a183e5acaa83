"""From raw rows to checked Arrow batches: cast by the declared type, hash, quarantine what does not fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

import pyarrow as pa

from connectors.contract import Column, ReadLog, Row, Stream
from connectors.errors import RowRefused
from connectors.privacy import RUINED_NUMBER, Privacy, split_phones

# Rows per Arrow batch: a few megabytes whatever the stream.
BATCH_ROWS = 50_000
_MONEY_LIMIT = Decimal(10) ** 12  # decimal(18, 6) holds twelve digits before the point
_MICRO = Decimal("0.000001")
_INT64 = 1 << 63
_SHOWN_BELOW = 1_000_000
_RECORD_ID = re.compile(r"(?=.*\d)[A-Za-z0-9_-]{1,40}")
# Seven digits, also written apart, may be somebody's number.
_LONG_NUMBER = re.compile(r"\+?(?:\d[\s().-]*){7,}")
_ADDRESS = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+")
# Texts that people type: what in them reads as a number or an address does not land.
_TYPED = frozenset({"self_reported_source", "tags", "status_raw"})
# Ids of browsers and accounts; some systems take the e-mail or the phone for one.
_VISITORS = frozenset({"visitor_id", "user_ref"})
_VISITOR_PHONE = re.compile(r"(?:\w+:)?\+?[\d\s()-]{7,16}")
# Nothing a clinic reports is older; years below are typing mistakes (0023, 1010) or empty-date marks.
_FIRST_YEAR = 1900
_LAST_YEAR = 2100

Cast = Callable[[Any], Any]


@dataclass
class Quarantined:
    """A row that did not land: where it was, why, and its values that are not personal."""

    row_number: int
    column: str
    reason: str
    values: dict[str, str]


@dataclass
class Checked:
    """One batch: Arrow rows with a `_row_number` column, and what was quarantined among them."""

    batch: pa.RecordBatch
    quarantined: list[Quarantined] = field(default_factory=list)
    rows_read: int = 0


def check(
    rows: Iterable[Row], stream: Stream, privacy: Privacy, log: ReadLog, *, arrived_at: datetime
) -> Iterator[Checked]:
    """Cast, hash and check rows, in batches of at most `BATCH_ROWS`.

    A row lands when every value casts to its declared type, no required value is missing and its event
    day is not absurd: not before 1900 and, unless the stream plans ahead, not later than a day after
    the file arrived (zones differ by up to a day). Else it is quarantined under its first fault.
    """
    schema = stream.schema().append(pa.field("_row_number", pa.int64()))
    casts = [(column.name, _caster(column, privacy, log), column.required) for column in stream.columns]
    horizon = arrived_at + (timedelta(days=730) if stream.may_be_future else timedelta(days=1))
    columns: list[list[Any]] = [[] for _ in schema]
    quarantined: list[Quarantined] = []
    read = 0
    event = None if stream.event_day is None else [c.name for c in stream.columns].index(stream.event_day)
    for row in rows:
        read += 1
        try:
            if row.refused is not None:
                raise RowRefused(*row.refused)
            get = row.values.get
            values: list[Any] = []
            for name, cast, required in casts:
                raw = get(name)
                value = None
                if raw is not None and raw != "":
                    try:
                        value = cast(raw)
                    except RowRefused as error:
                        raise RowRefused(name, error.reason) from None
                if value is None and required:
                    raise RowRefused(name, "is empty but required")
                values.append(value)
            if event is not None and values[event] is not None and _is_later(values[event], horizon):
                raise RowRefused(
                    str(stream.event_day), f"lies in the future of the file ({horizon:%Y-%m-%d})"
                )
        except RowRefused as error:
            quarantined.append(
                Quarantined(row.number, error.column, error.reason, _shown(row, stream, privacy))
            )
        else:
            for target, value in zip(columns, values, strict=False):
                target.append(value)
            columns[-1].append(row.number)
        if len(columns[-1]) >= BATCH_ROWS or len(quarantined) >= BATCH_ROWS:
            yield _batch(columns, schema, quarantined, read)
            columns, quarantined, read = [[] for _ in schema], [], 0
    if read:
        yield _batch(columns, schema, quarantined, read)


def _batch(columns: list[list[Any]], schema: pa.Schema, quarantined: list[Quarantined], read: int) -> Checked:
    arrays = [pa.array(values, type=f.type) for values, f in zip(columns, schema, strict=True)]
    return Checked(pa.RecordBatch.from_arrays(arrays, schema=schema), quarantined, read)


def _is_later(value: date | datetime, horizon: datetime) -> bool:
    return value > horizon if isinstance(value, datetime) else value > horizon.date()


def _shown(row: Row, stream: Stream, privacy: Privacy) -> dict[str, str]:
    """The values of a quarantined row that may be kept.

    Columns may have slipped, so any cell may hold a phone or a name: kept are only values that are what
    their column declares and cannot be a phone number: times, dates, flags, numbers under a million,
    and record ids of the usual shape (letters, digits, - and _; fewer than seven digits in a row).
    """
    shown = {}
    for column in stream.columns:
        raw = row.values.get(column.name)
        if raw is None or raw == "" or column.personal is not None:
            continue
        if column.record_id:
            text = str(raw).strip()
            if privacy.hash_record_ids or (_RECORD_ID.fullmatch(text) and not _LONG_NUMBER.search(text)):
                shown[column.name] = privacy.record_id(text)
        elif column.type not in ("text", "text[]"):
            try:
                value = _CASTS[column.type](raw)
            except RowRefused:
                continue
            if column.type in ("timestamp", "date", "boolean") or abs(value) < _SHOWN_BELOW:
                shown[column.name] = str(value)
    return shown


def _caster(column: Column, privacy: Privacy, log: ReadLog) -> Cast:
    if column.personal is not None:
        return _personal(column.type, column.personal, privacy, log)
    if column.record_id:
        return lambda raw: None if (text := _text(raw)) is None else privacy.record_id(text)
    if column.name in _VISITORS:
        return _visitor(privacy)
    if column.name in _TYPED:
        return _typed_texts if column.type == "text[]" else _typed
    return _CASTS[column.type]


def _visitor(privacy: Privacy) -> Cast:
    """A browser's or account's id; keyed where it is an e-mail or a phone, so that it still joins."""

    def cast(raw: Any) -> str | None:
        text = _text(raw)
        if text is None:
            return None
        if "@" in text or (_VISITOR_PHONE.fullmatch(text) and privacy.e164(text.rpartition(":")[2])):
            return privacy.visitor_id(text)
        return text

    return cast


def _typed(raw: Any) -> str | None:
    text = _text(raw)
    return None if text is None else _LONG_NUMBER.sub("…", _ADDRESS.sub("…", text)).strip()


def _typed_texts(raw: Any) -> list[str] | None:
    texts = _texts(raw)
    return None if texts is None else [typed for text in texts if (typed := _typed(text)) is not None]


def _personal(type_: str, personal: str, privacy: Privacy, log: ReadLog) -> Cast:
    one = privacy.phone_key if personal == "phone" else privacy.email_key

    def keys(raw: Any) -> list[str]:
        texts = raw if isinstance(raw, list) else [raw]
        found: dict[str, None] = {}
        for text in texts:
            text = str(text)
            if personal == "phone" and RUINED_NUMBER.match(text):
                note = "phone ruined by a spreadsheet (1,23E+10): landed without it"
                if note not in log.notes:
                    log.notes.append(note)
                continue
            for part in split_phones(text) if personal == "phone" else (text,):
                if (key := one(part)) is not None:
                    found.setdefault(key)
        return list(found)

    if type_ == "text[]":
        return lambda raw: keys(raw) or None
    return lambda raw: next(iter(keys(raw)), None)


def _text(raw: Any) -> str | None:
    text = raw.strip() if isinstance(raw, str) else str(raw)
    return text or None


def _integer(raw: Any) -> int:
    if isinstance(raw, bool):
        raise RowRefused("", "is true/false where a whole number belongs")
    try:
        value = int(raw)
    except (ValueError, TypeError, OverflowError):
        raise RowRefused("", "is not a whole number") from None
    if isinstance(raw, (float, Decimal)) and value != raw:
        raise RowRefused("", "is not a whole number")
    if not -_INT64 <= value < _INT64:
        raise RowRefused("", "is too large for a number")
    return value


def _decimal(raw: Any) -> Decimal:
    if isinstance(raw, bool):
        raise RowRefused("", "is true/false where an amount belongs")
    try:
        value = Decimal(repr(raw)) if isinstance(raw, float) else Decimal(raw)
        if not value.is_finite():
            raise RowRefused("", "is not an amount")
        if abs(value) >= _MONEY_LIMIT:
            raise RowRefused("", "is absurdly large for an amount")
        return value.quantize(_MICRO, rounding=ROUND_HALF_UP)
    except (InvalidOperation, ValueError, TypeError):
        raise RowRefused("", "is not an amount") from None


def _double(raw: Any) -> float:
    try:
        return float(raw)
    except (ValueError, TypeError, OverflowError):
        raise RowRefused("", "is not a number") from None


def _boolean(raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    raise RowRefused("", "is neither true nor false")


def _timestamp(raw: Any) -> datetime:
    if isinstance(raw, str):
        try:
            raw = datetime.fromisoformat(raw)
        except ValueError:
            raise RowRefused("", "is not a time") from None
    if not isinstance(raw, datetime) or raw.tzinfo is None:
        raise RowRefused("", "is not a time with a zone")
    if not _FIRST_YEAR <= raw.year <= _LAST_YEAR:
        raise RowRefused("", f"has the absurd year {raw.year}")
    return raw.astimezone(UTC)


def _date(raw: Any) -> date:
    if isinstance(raw, str):
        try:
            raw = date.fromisoformat(raw)
        except ValueError:
            raise RowRefused("", "is not a date") from None
    if isinstance(raw, datetime) or not isinstance(raw, date):
        raise RowRefused("", "is not a date")
    day: date = raw
    if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        raise RowRefused("", f"has the absurd year {day.year}")
    return day


def _texts(raw: Any) -> list[str] | None:
    if not isinstance(raw, list):
        raise RowRefused("", "is not a list")
    return [str(item) for item in raw] or None


_CASTS: dict[str, Cast] = {
    "text": _text,
    "integer": _integer,
    "decimal": _decimal,
    "double": _double,
    "boolean": _boolean,
    "timestamp": _timestamp,
    "date": _date,
    "text[]": _texts,
}
