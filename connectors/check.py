"""From raw rows to checked Arrow batches: cast by the declared type, hash, quarantine what does not fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from connectors._columns import MISFITS, PLAIN, Misfit, by_value, visitors
from connectors.contract import ARROW, Block, Column, ReadLog, Record, Row, Stream
from connectors.errors import RowRefused
from connectors.privacy import RUINED_NUMBER, Privacy, split_phones

# Rows per Arrow batch: a few megabytes whatever the stream.
BATCH_ROWS = 50_000
# A block in which something does not cast is cut into so many parts, until so few rows are left.
_PARTS = 16
_FEW_ROWS = 64
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
VISITORS = frozenset({"visitor_id", "user_ref"})
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
    records: Iterable[Record], stream: Stream, privacy: Privacy, log: ReadLog, *, arrived_at: datetime
) -> Iterator[Checked]:
    """Cast, hash and check rows, in batches of at most `BATCH_ROWS`.

    A row lands when every value casts to its declared type, no required value is missing and its event
    day is not absurd: not before 1900 and, unless the stream plans ahead, not later than a day after
    the file arrived (zones differ by up to a day). Else it is quarantined under its first fault.

    A Block is cast column by column, but for the rows that its reader refused or put apart. Where something
    in it does not cast at once, it is cut into parts, and the smallest part with it is cast row by row: the
    outcome is that of the block's rows.
    """
    checker = _Checker(stream, privacy, log, arrived_at)
    for record in records:
        if isinstance(record, Block):
            if checker.read:
                yield checker.taken()
            for start in range(0, len(record), BATCH_ROWS):
                yield checker.block(record.slice(start, BATCH_ROWS))
        else:
            checker.row(record)
            if checker.is_full:
                yield checker.taken()
    if checker.read:
        yield checker.taken()


class _Checker:
    """Casts the records of one stream and gathers them into a batch."""

    def __init__(self, stream: Stream, privacy: Privacy, log: ReadLog, arrived_at: datetime) -> None:
        self._stream = stream
        self._privacy = privacy
        self._schema = stream.schema().append(pa.field("_row_number", pa.int64()))
        casts = [(column, _caster(column, privacy, log)) for column in stream.columns]
        self._casts = [(column.name, cast, column.required) for column, cast in casts]
        # What is noted of values of persons is noted of rows that land.
        self._personal_last = sorted(casts, key=lambda pair: pair[0].personal is not None)
        names = [column.name for column in stream.columns]
        self._event = None if stream.event_day is None else names.index(stream.event_day)
        self._horizon = arrived_at + (timedelta(days=730) if stream.may_be_future else timedelta(days=1))
        self.read = 0
        self._columns: list[list[Any]] = [[] for _ in self._schema]
        self._quarantined: list[Quarantined] = []

    @property
    def is_full(self) -> bool:
        """Whether the rows so far are a batch."""
        return len(self._columns[-1]) >= BATCH_ROWS or len(self._quarantined) >= BATCH_ROWS

    def row(self, row: Row) -> None:
        """Add a row to the batch, or to what is quarantined."""
        self.read += 1
        try:
            values = self._values(row)
        except RowRefused as error:
            shown = _shown(row, self._stream, self._privacy)
            self._quarantined.append(Quarantined(row.number, error.column, error.reason, shown))
            return
        for target, value in zip(self._columns, values, strict=False):
            target.append(value)
        self._columns[-1].append(row.number)

    def _values(self, row: Row) -> list[Any]:
        if row.refused is not None:
            raise RowRefused(*row.refused)
        get = row.values.get
        values: list[Any] = []
        for name, cast, required in self._casts:
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
        event = None if self._event is None else values[self._event]
        if event is not None and _is_later(event, self._horizon):
            raise RowRefused(
                str(self._stream.event_day), f"lies in the future of the file ({self._horizon:%Y-%m-%d})"
            )
        return values

    def taken(self) -> Checked:
        """The batch of the rows so far; the next one begins."""
        pairs = zip(self._columns, self._schema, strict=True)
        arrays = [pa.array(values, type=declared.type) for values, declared in pairs]
        batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        checked = Checked(batch, self._quarantined, self.read)
        self._columns, self._quarantined, self.read = [[] for _ in self._schema], [], 0
        return checked

    def block(self, block: Block) -> Checked:
        """The batch of a block; no rows may be waiting."""
        together, alone = block.parted()
        parts = list(self._parts(together))
        if alone:
            for row in alone:
                self.row(row)
            parts.append(self.taken())
        batches = [part.batch for part in parts]
        batch = batches[0] if len(batches) == 1 else pa.concat_batches(batches)  # type: ignore[attr-defined]
        quarantined = [bad for part in parts for bad in part.quarantined]
        if alone:
            batch = batch.take(pc.sort_indices(batch.column("_row_number")))
            quarantined.sort(key=lambda bad: bad.row_number)
        return Checked(batch, quarantined, len(block))

    def _parts(self, block: Block) -> Iterator[Checked]:
        """The block whole, or where something does not cast with its column, in parts."""
        try:
            batch = self._cast(block)
        except MISFITS:
            block = _decoded(block)
        else:
            yield Checked(batch, [], len(block))
            return
        if len(block) > _FEW_ROWS:
            step = max(_FEW_ROWS, -(-len(block) // _PARTS))
            for start in range(0, len(block), step):
                yield from self._parts(block.slice(start, step))
            return
        for row in block.rows():
            self.row(row)
        yield self.taken()

    def _cast(self, block: Block) -> pa.RecordBatch:
        """The block as it lands. Raises one of MISFITS when not every row may land as it is."""
        arrays: dict[str, pa.Array[Any]] = {"_row_number": block.numbers.cast(pa.int64())}
        for column, cast in self._personal_last:
            raw = block.columns.get(column.name)
            array = pa.nulls(len(block)) if raw is None else raw
            if isinstance(array, pa.DictionaryArray):
                array = _cast_column(array.dictionary, column, cast).take(array.indices)
            else:
                array = _cast_column(array, column, cast)
            if column.required and array.null_count:
                raise Misfit
            if column.name == self._stream.event_day:
                latest = pc.max(array).as_py()
                if latest is not None and _is_later(latest, self._horizon):
                    raise Misfit
            arrays[column.name] = array
        return pa.RecordBatch.from_arrays([arrays[name] for name in self._schema.names], schema=self._schema)


def _cast_column(values: pa.Array[Any], column: Column, cast: Cast) -> pa.Array[Any]:
    if cast is _CASTS[column.type]:
        return PLAIN[column.type](values)
    if column.name in VISITORS and column.personal is None:
        return visitors(values, cast)
    return by_value(values, cast, ARROW[column.type])


def _decoded(block: Block) -> Block:
    """The block without dictionaries, which a part of it would keep whole."""
    columns = {
        name: values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values
        for name, values in block.columns.items()
    }
    return Block(block.numbers, columns)


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
        if not privacy.hash_record_ids:
            return _text
        return lambda raw: None if (text := _text(raw)) is None else privacy.record_id(text)
    if column.name in VISITORS:
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
        if abs(value) < _MONEY_LIMIT:
            value = value.quantize(_MICRO, rounding=ROUND_HALF_UP)
        if abs(value) >= _MONEY_LIMIT:
            raise RowRefused("", "is absurdly large for an amount")
        return value
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
