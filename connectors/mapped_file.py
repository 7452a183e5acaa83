"""Any clinic's own export, mapped column by column onto a conformed table or a reference file.

One stream per table: CSV, TSV or XLSX under `inbox/<source>/<table>/`. The header row is found by the
mapped headings, so report titles above it do not matter; total, group and blank lines are counted as
skipped. The layout of such exports is nobody's documented format: what is read here is what clinic.yaml
says (`columns`, `values`, `where`, `defaults`), and what is not mapped is reported, never guessed.

The stream `visits` is flat: one line is one service of one visit and may carry the patient, the
appointment and the payment too. `billed`, `discount`, `amount`, `paid` and `refund` are the line's own
and are added up over the lines of a visit. Staging splits the lines into the conformed tables.

Where the same source maps such a table as a stream of its own too, visit lines come from that stream alone;
appointments are merged with those of visits that name one (a visit that names none was a walk-in), patients
by their number. Payments of both are added up, so each sum of money is to be mapped once: `paid` of the
visit list or the cash report.

Tried on one file without a clinic.yaml:

    python -m connectors.mapped_file visits.csv --set 'streams={"visits": {"columns": {…}}}'
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from connectors import cli
from connectors._cells import (
    Moments,
    boolean,
    cell_text,
    fold,
    header_key,
    id_text,
    is_dash,
    number_text,
    seconds,
)
from connectors._columns import texts
from connectors._mapped_columns import (
    Converted,
    Distinct,
    Times,
    amounts,
    cells_text,
    constant,
    default,
    equals,
    filled,
    first_filled,
    ids,
    is_among,
    is_known,
    is_later,
    joined_ids,
    plain,
    prefixed,
    texts_without_dashes,
    wholes,
)
from connectors._settings import DateFormat, Delimiter, Encoding
from connectors._table_files import Part
from connectors._text_parts import TextParts
from connectors.conformed import (
    ACCEPTED,
    APPOINTMENT_STATUSES,
    CHANNELS,
    DERIVED,
    INPUTS,
    PAYER_TYPES,
    REFERENCES,
)
from connectors.contract import Block, Column, Connector, ReadLog, Record, Row, SourceOptions, Stream, Type
from connectors.errors import FileRefused, RowRefused
from connectors.files import Cell, InboxFile
from connectors.privacy import to_e164
from connectors.web import clean_tag, read_address, read_host

# The stubs know no scalars of Python.
pc: Any = pyarrow.compute

# Reports carry a title, the filter and the print time above the table; more lines than this are no title.
_HEADER_WITHIN = 200
# Completed visits are facts: dated later than this after the file they are typing mistakes. One day,
# because the file's time is UTC and the clinic may be a day ahead.
_ARRIVAL_MARGIN = timedelta(days=1)

# Later years are typing mistakes, refused by the checker; comparing them could overflow before that.
_LAST_YEAR = 2100

_TOTAL = re.compile(r"(итог|всего|total|grand total|subtotal|sum\b|summe|gesamt|ukupno|sveukupno|合计|总计)")
# A code of ICD-10: a letter and two digits; what follows is the subdivision, which is not kept.
_DIAGNOSIS = re.compile(r"[A-Z][0-9][0-9]")
_CYRILLIC_CAPITALS = str.maketrans("АВЕКМНОРСТУХ", "ABEKMHOPCTYX")

# Accepted texts of the columns that other models branch on.
_ENUMS: Mapping[str, tuple[str, ...]] = {
    "status": APPOINTMENT_STATUSES,
    "payer_type": PAYER_TYPES,
    "care_setting": ("outpatient", "inpatient", "surgery"),
    "sex": ("female", "male"),
    "direction": ("inbound", "outbound", "callback"),
    "contact_kind": ("chat", "form", "messenger", "event", "walk_in", "online_booking", "lead"),
    "tax_basis": ("excl", "incl", "unknown"),
    "report_level": ("account", "campaign", "ad_group", "keyword", "ad"),
    "channel": CHANNELS,
    "resource": ("outpatient", "theatre", "bed"),
}
# A call whose direction nobody mapped would count as inbound, and loyalty points as money, so such rows wait
# in quarantine.
_STRICT_ENUMS = frozenset({"direction", "payer_type"})
_SEXES = {
    **dict.fromkeys(
        ("f", "female", "woman", "w", "ж", "жен", "жен.", "женский", "женщина", "ž", "žensko", "女"), "female"
    ),
    **dict.fromkeys(("m", "male", "man", "м", "муж", "муж.", "мужской", "мужчина", "muško", "男"), "male"),
}
_PRIMARY = {
    **dict.fromkeys(("первичный", "первичная", "первичное", "п", "primary", "new", "first"), True),
    **dict.fromkeys(("повторный", "повторная", "повторное", "в", "repeat", "returning", "follow-up"), False),
}
# Where `source` is the platform as sessions name it, not a text of the clinic's own.
_PLATFORM_SOURCES = frozenset({"calls", "contacts", "web_sessions", "ad_spend", "ad_clicks"})
# Tables whose rows carry the tags of the page they came from.
_TAGGED = frozenset({"calls", "contacts"})
_TAGS = (
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "campaign_id",
    "utm_content",
    "utm_term",
    "click_id_type",
    "click_id",
)
_LOWER = frozenset({"medium", "utm_source", "utm_medium", "device", "campaign_type", "click_id_type"})
# Columns of text that are taken apart or rewritten.
_READ_TEXTS = frozenset(
    {
        "number",
        "tracking_number",
        "landing_path",
        "landing_host",
        "referrer_host",
        "diagnosis",
        "currency",
    }
)
# Times -> the column that tells whether only their day is known.
_DAY_ONLY = {"booked_at": "booked_at_is_date"}
_DURATIONS = frozenset({"talk_s", "wait_s", "duration_s"})
_NOT_NEGATIVE = frozenset({"cost_native", "impressions", "clicks", "wait_s", "minutes", "pageviews"})

# What a flat visit line tells of besides the visit: one of these columns mapped, and it feeds that table.
_APPOINTMENT_KEYS = frozenset(
    {"booked_at", "scheduled_at", "status", "contact_ref", "visitor_id", "user_ref"}
)
_LINE_KEYS = frozenset({"line_id", "service", "amount", "billed"})
_PAYMENT_KEYS = frozenset({"paid", "refund"})
_PATIENT_KEYS = frozenset(
    {"phone", "email", "birth_date", "birth_year", "sex", "registered_at", "self_reported_source"}
)

# Extra columns of the flat visit line, beside those of the table `visits`.
_FLAT = (
    *(replace(c, required=False) for c in INPUTS["patients"] if c.name not in ("patient_id", "merged_into")),
    *(
        c
        for c in INPUTS["appointments"]
        if c.name in _APPOINTMENT_KEYS | {"booked_at_is_date", "minutes"} and c.name != "status"
    ),
    Column("line_id", "text", "Line within the visit; numbered in file order when the export has none."),
    Column("service", "text", "Service of the line."),
    Column("amount", "decimal", "Billed for the line, native currency."),
    Column("paid", "decimal", "Paid for the line, native currency."),
    Column("refund", "decimal", "Refunded for the line: a positive amount, native currency."),
    Column("paid_at", "timestamp", "When it was paid or refunded; the visit's time when empty."),
    Column("payer_type", "text", "cash, card, transfer, insurer, state, employer, loyalty, deposit."),
    Column("is_line", "boolean", "The line tells a service or an amount, and no stream of lines does."),
    Column("is_appointment", "boolean", "The line tells of an appointment that no stream of its own tells."),
)
_CHANGED_AT = Column(
    "changed_at", "timestamp", "Last change of the record in the source; decides which of two is newer."
)
# Filled by the reader, so no heading can be mapped to them.
_FILLED = frozenset({"booked_at_is_date", "is_line", "is_appointment"})
_RAW_OF_STATUS = frozenset({"appointments", "visits"})
_PERSONAL_KEYS = {"phone_key": "phone", "phone_keys": "phone", "email_key": "email", "email_keys": "email"}

_KEYS: Mapping[str, tuple[str, ...]] = {
    "calls": ("call_id",),
    "contacts": ("contact_id",),
    "web_sessions": ("session_id",),
    "ad_spend": (
        "spend_date",
        "source",
        "account",
        "report_level",
        "campaign_id",
        "campaign_name",
        "ad_group",
        "keyword",
        "device",
    ),
    "ad_clicks": ("click_id",),
    "other_costs": ("cost_id",),
    "appointments": ("appointment_id",),
    "visits": ("visit_id", "line_id"),
    "visit_lines": ("visit_id", "line_id"),
    "payments": ("payment_id",),
    "patients": ("patient_id",),
    "reviews": ("review_id",),
    "shifts": ("shift_id",),
    "metric_observations": ("observed_on", "metric", "scope", "scope_value"),
    "vendor_totals": ("observed_on", "account", "measure"),
}
_EVENT_DAYS: Mapping[str, str] = {
    "calls": "called_at",
    "contacts": "contacted_at",
    "web_sessions": "started_at",
    "ad_spend": "spend_date",
    "ad_clicks": "clicked_on",
    "other_costs": "starts_on",
    "appointments": "scheduled_at",
    "visits": "visited_at",
    "payments": "paid_at",
    "reviews": "reviewed_at",
    "shifts": "starts_at",
    "metric_observations": "observed_on",
    "vendor_totals": "observed_on",
}
# Tables whose rows may lie ahead. A flat visit export lists booked visits too; completed ones may not.
_PLANNED = frozenset({"appointments", "visits", "shifts", "other_costs"})
_REPLACES: Mapping[str, tuple[str, ...]] = {
    "ad_spend": ("source", "account", "report_level"),
    "visits": ("visit_id",),
    "visit_lines": ("visit_id",),
}
# Keys that the reader can make when the export has none, and the columns that they are made of.
_MADE_IDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "other_costs": (
        "cost_id",
        ("channel", "source", "campaign", "starts_on", "ends_on"),
    ),
    "shifts": ("shift_id", ("resource", "doctor", "room", "starts_at")),
}
_NUMBERED = frozenset({"visits", "visit_lines"})


@dataclass(frozen=True)
class _Table:
    """What can be mapped onto one table: its stream, and config key -> landed column."""

    stream: Stream
    columns: Mapping[str, str]
    # Each group: at least one of these keys must be mapped or given by `defaults`.
    needed: tuple[tuple[str, ...], ...]
    is_reference: bool


def _table(name: str, declared: tuple[Column, ...], *, is_reference: bool) -> _Table:
    columns = declared
    if name == "visits":
        present = {c.name for c in columns}
        columns = (*columns, *(c for c in _FLAT if c.name not in present))
    hidden = _FILLED | set(DERIVED.get(name, {}) if is_reference else ())
    if name in _RAW_OF_STATUS:
        hidden = hidden | {"status_raw"}
    keys = {_PERSONAL_KEYS.get(c.name, c.name): c.name for c in columns if c.name not in hidden}
    if "birth_year" in keys:
        keys["birth_date"] = "birth_year"
    if not is_reference and name != "ad_spend":
        columns = (*columns, _CHANGED_AT)
        keys["changed_at"] = "changed_at"
    made = {_MADE_IDS[name][0]} if name in _MADE_IDS and not is_reference else set()
    if name in _NUMBERED:
        made.add("line_id")
    needed: list[tuple[str, ...]] = [(c.name,) for c in columns if c.required and c.name not in made]
    if name == "visits":
        # A row that was only booked has no time of arrival; its planned time stands in.
        needed = [("visited_at", "scheduled_at") if group == ("visited_at",) else group for group in needed]
    if name == "ad_spend":
        needed.append(("source",))
    stream = Stream(
        name=name,
        description=(
            f"Reference table {name}, from the clinic's own export."
            if is_reference
            else f"{name.replace('_', ' ').capitalize()} from the clinic's own export, mapped in clinic.yaml."
        ),
        columns=columns,
        primary_key=_reference_key(columns) if is_reference else _KEYS[name],
        event_day=None if is_reference else _EVENT_DAYS.get(name),
        mode="snapshot" if is_reference else "report" if name == "ad_spend" else "entity",
        replaces=() if is_reference else _REPLACES.get(name, ()),
        version="changed_at" if "changed_at" in keys else None,
        may_be_future=name in _PLANNED,
    )
    return _Table(stream, keys, tuple(needed), is_reference)


def _reference_key(columns: tuple[Column, ...]) -> tuple[str, ...]:
    return tuple(c.name for c in columns if c.required) or (columns[0].name,)


# A name that is both (shifts) is the conformed table, which keeps history; the reference file is a snapshot.
TABLES: Mapping[str, _Table] = {
    **{name: _table(name, columns, is_reference=True) for name, columns in REFERENCES.items()},
    **{name: _table(name, columns, is_reference=False) for name, columns in INPUTS.items()},
}


def _as_text(value: object) -> object:
    """YAML scalars that stand for the text of a cell; booleans as keys are left for pydantic to refuse."""
    if isinstance(value, (int, float, Decimal, date)) and not isinstance(value, bool):
        return str(value)
    return value


def _as_value(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return _as_text(value)


def _as_list(value: object) -> object:
    return value if isinstance(value, (list, tuple)) else (value,)


Text = Annotated[str, BeforeValidator(_as_text)]
Value = Annotated[str, BeforeValidator(_as_value)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_as_list)]
Formats = Annotated[tuple[DateFormat, ...], BeforeValidator(_as_list)]


class FileFormat(BaseModel):
    """How a file is written. Set for the source, and for a stream where its export differs.

    encoding
        Code page; without it a byte order mark, then UTF-8, then Windows-1251 is tried.
    delimiter
        Of CSV; without it the most frequent of tab, semicolon and comma in the first lines.
    decimal
        "," or "." (default): the decimal separator. The other one groups thousands.
    datetime_format, date_format
        Formats of Python's strptime, one or a list; ISO 8601 when neither is given. A text that has only
        the date part of a format is a day without a time. A format may hold literal text
        (`%Y-%m-%dT00:00:00Z`: the time is no time).
    sheet
        Of XLSX; without it the first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoding: Encoding | None = None
    delimiter: Delimiter | None = None
    decimal: Literal[",", "."] | None = None
    datetime_format: Formats = ()
    date_format: Formats = ()
    sheet: str | None = None


class StreamMapping(FileFormat):
    """How one export becomes one table.

    columns
        Column of the table -> heading in the file. Several headings: phones and e-mails are all taken,
        a time may follow its day, the parts of a key are joined with ":", else the first that is not empty.
        Phones, e-mails and birth dates are written `phone`, `email`, `birth_date`.
    values
        Column -> {text in the file: value}; texts are compared trimmed and without regard to case; "" is
        the empty cell.
    where
        Heading -> text or texts: other rows are not of this table and are counted as skipped.
    defaults
        Column -> value where the file has no such column or the cell is empty.
    prefixes
        Column -> what is put before its values unless it is there (`visitor_id: "ga:"`).
    """

    columns: dict[str, Texts]
    values: dict[str, dict[Text, Value]] = {}
    where: dict[Text, Texts] = {}
    defaults: dict[str, Value] = {}
    prefixes: dict[str, str] = {}


class MappedFileOptions(SourceOptions, FileFormat):
    """A source of kind `mapped_file`: how its files are written, and a mapping per table."""

    kind: Literal["mapped_file"] = "mapped_file"
    streams: dict[str, StreamMapping]

    @field_validator("streams")
    @classmethod
    def _known(cls, streams: dict[str, StreamMapping]) -> dict[str, StreamMapping]:
        mistakes = [mistake for name, mapping in streams.items() for mistake in _mistakes(name, mapping)]
        if not streams:
            mistakes = [((), f"map at least one table: {', '.join(TABLES)}", streams)]
        if mistakes:
            raise ValidationError.from_exception_data(
                cls.__name__,
                [
                    InitErrorDetails(
                        type=PydanticCustomError("mapping", "{message}", {"message": message}),
                        loc=loc,
                        input=given,
                    )
                    for loc, message, given in mistakes
                ],
            )
        return streams

    def format_of(self, stream: str) -> FileFormat:
        """The source's file format with the stream's own settings over it."""
        own = self.streams[stream]
        return FileFormat(
            **{name: getattr(own, name) or getattr(self, name) for name in FileFormat.model_fields}
        )


Mistake = tuple[tuple[str | int, ...], str, object]


def _unknown(what: str, name: str, accepted: Iterable[str]) -> str:
    names = list(accepted)
    guess = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {guess[0]}?" if guess else ";"
    return f"unknown {what}{hint} accepted: {', '.join(names)}"


def _mistakes(name: str, mapping: StreamMapping) -> Iterator[Mistake]:
    """(location below `streams`, message, input) of everything wrong with one stream's mapping."""
    table = TABLES.get(name)
    if table is None:
        yield (name,), _unknown("table", name, TABLES), mapping
        return
    blocks: dict[str, Mapping[str, object]] = {
        "columns": mapping.columns,
        "values": mapping.values,
        "defaults": mapping.defaults,
        "prefixes": mapping.prefixes,
    }
    for block, given in blocks.items():
        for key in given:
            if key not in table.columns:
                yield (name, block, key), _unknown("column", key, table.columns), given[key]
    for key, headings in mapping.columns.items():
        if not headings or not all(heading.strip() for heading in headings):
            yield (name, "columns", key), "write the heading of the column in the file", headings
    landed = {table.columns.get(key) for key in (*mapping.columns, *mapping.defaults)}
    for group in table.needed:
        if not landed & set(group):
            wanted = " or ".join(_key(table, column) for column in group)
            message = f"{wanted} is required: map it, or set it under defaults"
            yield (name, "columns"), message, mapping.columns
    yield from _idle(table, mapping)
    converters = _Converters(table, mapping, FileFormat(), zone=ZoneInfo("UTC"), region="ZZ", year=_LAST_YEAR)
    for key, meanings in mapping.values.items():
        yield from _bad_values(converters, key, ("values", key), meanings.items())
    for key, value in mapping.defaults.items():
        yield from _bad_values(converters, key, ("defaults",), [(key, value)])


def _idle(table: _Table, mapping: StreamMapping) -> Iterator[Mistake]:
    """Settings that could have no effect, or not the one that was meant."""
    name = table.stream.name
    for key in mapping.values.keys() & table.columns.keys() - mapping.columns.keys():
        yield (name, "values", key), f"{key} is not mapped under columns", mapping.values[key]
    for key in mapping.prefixes.keys() & table.columns.keys():
        if key not in mapping.columns:
            yield (name, "prefixes", key), f"{key} is not mapped under columns", mapping.prefixes[key]
        elif table.stream.column(table.columns[key]).type != "text":
            yield (name, "prefixes", key), "only columns of text can have a prefix", mapping.prefixes[key]


def _key(table: _Table, column: str) -> str:
    """The config key of a landed column."""
    return next(key for key, landed in table.columns.items() if landed == column)


def _bad_values(
    converters: _Converters, key: str, loc: tuple[str, ...], items: Iterable[tuple[str, str]]
) -> Iterator[Mistake]:
    table = converters.table
    if key not in table.columns:
        return
    accepted = _accepted(table, table.columns[key])
    convert = converters.typed(key)
    for text, value in items:
        if value == "":
            continue
        place = (table.stream.name, *loc, text)
        if accepted and value not in accepted:
            yield place, f"{value!r} is not accepted; accepted: {', '.join(accepted)}", value
            continue
        try:
            convert(value, {})
        except RowRefused as error:
            yield place, f"{value!r} {error.reason}", value


def _accepted(table: _Table, column: str) -> tuple[str, ...]:
    """The values that a column may have; none said: any text."""
    if table.is_reference:
        return ACCEPTED.get((table.stream.name, column), ())
    return _ENUMS.get(column, ())


# A cell and the row's values so far -> the landed value, None when the cell is empty. Raises RowRefused.
Convert = Callable[[Cell, dict[str, Any]], Any]
ConvertAll = Callable[[list[Cell], dict[str, Any]], Any]
# The same for the whole column.
ConvertColumn = Callable[["pa.Array[Any]"], Converted]
ConvertColumns = Callable[[Sequence["pa.Array[Any]"]], Converted]


class _Converters:
    """Makes, for each mapped column, the function from a cell to the landed value."""

    def __init__(
        self,
        table: _Table,
        mapping: StreamMapping,
        format_: FileFormat,
        *,
        zone: ZoneInfo,
        region: str,
        year: int,
    ) -> None:
        self.table = table
        self._mapping = mapping
        self._decimal = format_.decimal or "."
        self._moments = Moments(format_.datetime_format, format_.date_format, zone)
        self._times = Times(self._moments)
        self._region = region
        self._year = year
        # note -> rows it is about
        self.notes: dict[str, int] = {}

    def of(self, key: str) -> Convert:
        """For a column under one heading: `values`, then the type, then the prefix."""
        return self._prefixed(key, self._translated(key))

    def column_of(self, key: str, *, even_empty: bool) -> ConvertColumn:
        """The same as `of`, for whole columns; `even_empty` where an empty cell is converted too."""
        column = self.table.stream.column(self.table.columns[key])
        rest = self._distinct(self.of(key), column.type, even_empty=even_empty)
        prefix, name = self._mapping.prefixes.get(key), column.name
        if column.personal is not None:
            return lambda values: Converted(cells_text(values))
        if self._mapping.values.get(key) or _accepted(self.table, name) or name == "birth_year":
            return rest.column
        match column.type:
            case "decimal" | "double":
                may_be_negative = name not in _NOT_NEGATIVE
                return lambda values: amounts(
                    values, column.type, self._decimal, rest, may_be_negative=may_be_negative
                )
            case "integer":
                return lambda values: wholes(values, rest, may_be_negative=name not in _NOT_NEGATIVE)
            case "timestamp":
                return lambda values: self._times.column(values, rest, _DAY_ONLY.get(name))
            case "text" if _is_id(column):
                return lambda values: _with_prefix(ids(values), prefix)
            case "text" if self._is_plain(name):
                return lambda values: _with_prefix(Converted(texts_without_dashes(values)), prefix)
        return rest.column

    def columns_of(self, key: str) -> ConvertColumns:
        """The same as `of_several`, for whole columns."""
        column = self.table.stream.column(self.table.columns[key])
        if column.personal is not None:
            return self._distinct(self.of_several(key), "text[]").columns
        if column.type == "timestamp":
            rest = self._distinct(self.of_several(key), column.type)
            return lambda several: self._times.columns(several, rest, _DAY_ONLY.get(column.name))
        if _is_id(column):
            prefix = self._mapping.prefixes.get(key)
            return lambda several: _with_prefix(joined_ids(several), prefix)
        convert = self.column_of(key, even_empty=False)
        return lambda several: convert(first_filled(several))

    def _distinct(self, convert: Convert | ConvertAll, type_: Type, *, even_empty: bool = False) -> Distinct:
        return Distinct(
            convert,
            type_,
            self.notes,
            lambda name: self.table.stream.column(name).type,
            even_empty=even_empty,
        )

    def of_several(self, key: str) -> ConvertAll:
        """For a column under several headings."""
        column = self.table.stream.column(self.table.columns[key])
        convert = self.of(key)
        if column.personal is not None:
            return lambda cells, _row: [text for cell in cells if (text := cell_text(cell))] or None
        if column.type == "timestamp":
            return self._day_and_time(column.name)
        if _is_id(column):
            joined = self._prefixed(key, lambda text, _row: text)
            id_ = _id(column.name)

            def key_parts(cells: list[Cell], row: dict[str, Any]) -> Any:
                parts = [id_(cell, row) or "" for cell in cells]
                return joined(":".join(parts), row) if any(parts) else None

            return key_parts

        def first(cells: list[Cell], row: dict[str, Any]) -> Any:
            return next((convert(cell, row) for cell in cells if cell_text(cell)), None)

        return first

    def typed(self, key: str) -> Convert:
        """By the column's type alone."""
        column = self.table.stream.column(self.table.columns[key])
        name = column.name
        if column.personal is not None:
            return lambda cell, _row: cell_text(cell) or None
        if name == "status" and self.table.stream.name in _RAW_OF_STATUS:
            return _status({})
        if accepted := _accepted(self.table, name):
            return self._enum(column, accepted)
        match column.type:
            case "text[]":
                return _tags
            case "boolean":
                return _boolean(name)
            case "decimal" | "double":
                return _number(name, self._decimal)
            case "integer":
                return self._birth_year if name == "birth_year" else _integer(name, self._decimal)
            case "timestamp":
                return self._timestamp(name)
            case "date":
                return self._date(name)
        if _is_id(column):
            return _id(name)
        return self._text(name)

    def _translated(self, key: str) -> Convert:
        values = self._mapping.values.get(key)
        name = self.table.columns[key]
        if name == "status" and self.table.stream.name in _RAW_OF_STATUS:
            return _status(values or {})
        convert = self.typed(key)
        if not values:
            return convert
        known = {fold(raw): convert(value, {}) if value else None for raw, value in values.items()}

        def translated(cell: Cell, row: dict[str, Any]) -> Any:
            text = fold(cell_text(cell))
            if text in known:
                return known[text]
            return convert(cell, row) if text else None

        return translated

    def _prefixed(self, key: str, convert: Convert) -> Convert:
        prefix = self._mapping.prefixes.get(key)
        if not prefix:
            return convert

        def prefixed(cell: Cell, row: dict[str, Any]) -> Any:
            text = convert(cell, row)
            return text if text is None or text.startswith(prefix) else prefix + text

        return prefixed

    def _enum(self, column: Column, accepted: tuple[str, ...]) -> Convert:
        name = column.name
        known = {fold(value): value for value in accepted}
        if name == "sex":
            known |= {fold(text): value for text, value in _SEXES.items()}
        strict = self.table.is_reference or column.required or name in _STRICT_ENUMS

        def convert(cell: Cell, _row: dict[str, Any]) -> Any:
            text = cell_text(cell)
            if not text or is_dash(text):
                return None
            found = known.get(fold(text))
            if found is None:
                if strict:
                    raise RowRefused(name, f"is none of {', '.join(accepted)}; map it under values")
                # The text is not quoted: in a row whose columns have slipped it may be anything.
                note = f"{name}: texts that are not mapped under values; landed without them"
                self.notes[note] = self.notes.get(note, 0) + 1
            return found

        return convert

    def _timestamp(self, name: str) -> Convert:
        moments = self._moments

        def convert(cell: Cell, row: dict[str, Any]) -> Any:
            try:
                found = moments.read(cell)
            except ValueError as error:
                raise RowRefused(name, str(error)) from None
            if found is None:
                return None
            if name in _DAY_ONLY:
                row[_DAY_ONLY[name]] = found[1]
            return moments.moment(found)

        return convert

    def _day_and_time(self, name: str) -> ConvertAll:
        moments = self._moments

        def convert(cells: list[Cell], row: dict[str, Any]) -> Any:
            try:
                found = moments.joined(cells)
            except ValueError as error:
                raise RowRefused(name, str(error)) from None
            if found is None:
                return None
            if name in _DAY_ONLY:
                row[_DAY_ONLY[name]] = found[1]
            return moments.moment(found)

        return convert

    def _date(self, name: str) -> Convert:
        moments = self._moments

        def convert(cell: Cell, _row: dict[str, Any]) -> Any:
            try:
                found = moments.read(cell)
            except ValueError as error:
                raise RowRefused(name, str(error)) from None
            return None if found is None else moments.day(found)

        return convert

    def _birth_year(self, cell: Cell, _row: dict[str, Any]) -> Any:
        text = cell_text(cell)
        if len(text) == 4 and text.isdigit():
            return int(text)
        try:
            found = self._moments.read(cell)
        except ValueError as error:
            raise RowRefused("birth_year", str(error)) from None
        if found is None:
            return None
        # A year of two digits may be read into the future, where nobody was born.
        return found[0].year - 100 if found[0].year > self._year else found[0].year

    def _text(self, name: str) -> Convert:
        if name in ("number", "tracking_number"):
            return self._own_number(name)
        if name == "landing_path":
            return _landing if self.table.stream.name in _TAGGED else _path
        if name in ("landing_host", "referrer_host"):
            return lambda cell, _row: read_host(cell_text(cell))
        if name == "diagnosis":
            return _diagnosis
        if name == "currency":
            return lambda cell, _row: cell_text(cell).upper() or None
        is_tag = name.startswith("utm_")
        lower = self._is_lower(name)

        def convert(cell: Cell, _row: dict[str, Any]) -> Any:
            text = cell_text(cell)
            if not text or is_dash(text):
                return None
            if is_tag:
                return clean_tag(text.lower() if lower else text)
            return text.lower() if lower else text

        return convert

    def _is_lower(self, name: str) -> bool:
        return name in _LOWER or (name == "source" and self.table.stream.name in _PLATFORM_SOURCES)

    def _is_plain(self, name: str) -> bool:
        """Whether a column of text lands as it is, but for a dash."""
        return not (name in _READ_TEXTS or name.startswith("utm_") or self._is_lower(name))

    def _own_number(self, name: str) -> Convert:
        def convert(cell: Cell, row: dict[str, Any]) -> Any:
            text = cell_text(cell)
            number = to_e164(text, self._region) if text else None
            if name == "number":
                if text and number is None:
                    raise RowRefused(name, "is not a phone number")
                row["phone_key"] = number
                return number
            return number or text or None

        return convert


def _with_prefix(converted: Converted, prefix: str | None) -> Converted:
    converted.values = prefixed(converted.values, prefix)
    return converted


def _is_id(column: Column) -> bool:
    return column.type == "text" and (column.record_id or column.name.endswith(("_id", "_ref")))


def _status(values: Mapping[str, str]) -> Convert:
    known = {fold(status): status for status in APPOINTMENT_STATUSES}
    known |= {fold(raw): value or "unknown" for raw, value in values.items()}

    def convert(cell: Cell, row: dict[str, Any]) -> Any:
        text = cell_text(cell)
        row["status_raw"] = text or None
        return known.get(fold(text), "unknown")

    return convert


def _tags(cell: Cell, _row: dict[str, Any]) -> Any:
    return [tag for part in re.split("[;,]", cell_text(cell)) if (tag := part.strip())] or None


def _boolean(name: str) -> Convert:
    def convert(cell: Cell, _row: dict[str, Any]) -> Any:
        if isinstance(cell, bool):
            return cell
        text = cell_text(cell)
        if not text:
            return None
        if name == "clinic_says_primary" and (said := _PRIMARY.get(text.casefold())) is not None:
            return said
        try:
            return boolean(text)
        except ValueError as error:
            raise RowRefused(name, f"{error}; map it under values") from None

    return convert


def _number(name: str, decimal: str) -> Convert:
    may_be_negative = name not in _NOT_NEGATIVE

    def convert(cell: Cell, _row: dict[str, Any]) -> Any:
        value: Any = cell
        if isinstance(cell, str):
            try:
                value = number_text(cell_text(cell), decimal)
            except ValueError as error:
                raise RowRefused(name, str(error)) from None
        elif isinstance(cell, bool) or not isinstance(cell, (int, float)):
            raise RowRefused(name, "is not a number")
        if not may_be_negative and value is not None and Decimal(str(value)) < 0:
            raise RowRefused(name, "is negative")
        return value

    return convert


def _integer(name: str, decimal: str) -> Convert:
    number = _number(name, decimal)

    def convert(cell: Cell, row: dict[str, Any]) -> Any:
        if name in _DURATIONS and (length := seconds(cell)) is not None:
            return length
        value = number(cell, row)
        if value is None:
            return None
        exact = Decimal(str(value))
        if exact != exact.to_integral_value():
            raise RowRefused(name, "is not a whole number")
        return int(exact)

    return convert


def _id(name: str) -> Convert:
    def convert(cell: Cell, _row: dict[str, Any]) -> Any:
        try:
            text = id_text(cell)
        except ValueError as error:
            raise RowRefused(name, str(error)) from None
        return None if not text or is_dash(text) else text

    return convert


def _diagnosis(cell: Cell, _row: dict[str, Any]) -> Any:
    code = cell_text(cell)[:3].upper().translate(_CYRILLIC_CAPITALS)
    return code if _DIAGNOSIS.fullmatch(code) else None


def _path(cell: Cell, _row: dict[str, Any]) -> Any:
    return read_address(cell_text(cell)).path


def _landing(cell: Cell, row: dict[str, Any]) -> Any:
    """The path of a landing page; the tags of its query fill columns that have no heading of their own."""
    address = read_address(cell_text(cell))
    for name in _TAGS:
        if (value := getattr(address, name)) is not None:
            row.setdefault(name, value)
    return address.path


# Of one row's values, and of columns and the rows of them that are odd.
FinishRow = Callable[[dict[str, Any]], None]
FinishColumns = Callable[[dict[str, "pa.Array[Any]"], Any], None]
# (line, order within it, note, rows)
_Noted = tuple[int, int, str, int]


@dataclass
class _Places:
    """Where the mapped columns stand in one file."""

    width: int
    # The line on which the header ends, and how many cells it has.
    header_line: int = 0
    header_cells: int = 0
    # (landed column, index, convert, whether an empty cell is converted too)
    single: list[tuple[str, int, Convert, bool]] = field(default_factory=list)
    several: list[tuple[str, list[int], ConvertAll]] = field(default_factory=list)
    # (landed column, indexes, convert) of both, in the same order, for whole columns.
    columns: list[tuple[str, list[int], ConvertColumns]] = field(default_factory=list)
    # Groups of indexes of which one must be filled for a line to be a row.
    needed: list[list[int]] = field(default_factory=list)
    where: list[tuple[str, int, frozenset[str]]] = field(default_factory=list)
    # Index and text of a needed heading, to know a repeated header by.
    repeat: tuple[int, Cell] | None = None


class _Reading:
    """One file being read as one table."""

    def __init__(self, file: InboxFile, stream: Stream, source: MappedFileOptions, log: ReadLog) -> None:
        self._file = file
        self._log = log
        self._source = source
        self._table = TABLES[stream.name]
        self._mapping = source.streams[stream.name]
        self._format = source.format_of(stream.name)
        arrived_at = file.arrived_at
        self._horizon = arrived_at + _ARRIVAL_MARGIN
        self._converters = _Converters(
            self._table,
            self._mapping,
            self._format,
            zone=source.zone,
            region=source.clinic_phone_region,
            year=arrived_at.year,
        )
        self._defaults = self._default_values()
        self._counts: dict[Any, int] = {}
        self._is_numbered = stream.name in _NUMBERED
        self._finish, self._finish_columns = self._finishers()

    def records(self) -> Iterator[Record]:
        """The rows, one by one from a workbook, else in blocks."""
        yield from self._rows() if self._file.suffix in (".xlsx", ".xlsm") else self._blocks()
        self._log.notes += [f"{note} ({count} rows)" for note, count in self._converters.notes.items()]

    # --- row by row ----------------------------------------------------------------------------------

    def _rows(self) -> Iterator[Row]:
        lines = self._file.table(sheet=self._format.sheet)
        places = self._places(lines)
        for number, cells in lines:
            row = self._row(number, cells, places)
            if row is not None:
                self._number(row)
                yield row

    def _row(self, number: int, cells: list[Cell], places: _Places) -> Row | None:
        """The row of a line, its count aside; None when it is none."""
        if len(cells) < places.width:
            cells += [None] * (places.width - len(cells))
        if why := self._no_row(cells, places):
            self._log.skip(why)
            return None
        values: dict[str, Any] = {}
        try:
            if len(cells) > places.width and any(map(_is_filled, cells[places.width :])):
                raise RowRefused("", "has more cells than the header: a delimiter in an unquoted text?")
            for name, index, convert, even_empty in places.single:
                cell = cells[index]
                if ((cell is not None and cell != "") or even_empty) and (
                    value := convert(cell, values)
                ) is not None:
                    values[name] = value
            for name, indexes, convert_all in places.several:
                value = convert_all([cells[index] for index in indexes], values)
                if value is not None:
                    values[name] = value
            for name, value in self._defaults:
                values.setdefault(name, value)
            if self._finish is not None:
                self._finish(values)
        except RowRefused as error:
            return Row(number, values, (error.column, error.reason))
        return Row(number, values)

    # --- in blocks -----------------------------------------------------------------------------------

    def _blocks(self) -> Iterator[Block]:
        encoding = self._format.encoding
        delimiter = self._format.delimiter or self._file.delimiter(encoding)
        places = self._places(self._file.table(delimiter=delimiter, encoding=encoding))
        found = str(self._file.encoding)
        parts = TextParts(self._file, found, delimiter, places.header_line, places.header_cells)
        for part in parts.parts():
            block = self._block(_widened(part, places.width), places)
            if len(block):
                yield block

    def _block(self, part: Part, places: _Places) -> Block:
        """The rows of a part: column by column, and those that are odd one by one."""
        odd = self._irregular(part, places)
        part, odd = self._of_this_table(part, odd, places)
        if not len(odd):
            return Block(pa.array([], pa.int64()), {})
        columns, noted = self._columns(part, odd, places)
        if self._finish_columns is not None:
            self._finish_columns(columns, odd)
        apart, noted_apart = self._alone(part, odd, places)
        self._note(
            noted_apart
            + [
                (int(part.lines[np.argmax(mask)]), at, note, int(mask.sum()))
                for at, (note, marks) in enumerate(noted)
                if (mask := marks & ~odd).any()
            ]
        )
        kept = ~odd
        kept[list(apart)] = True
        if not kept.all():
            # What stands apart moves up where a line before it is no row.
            moved = np.cumsum(kept) - 1
            apart = {int(moved[at]): row for at, row in apart.items()}
            mask = pa.array(kept)
            columns = {name: values.filter(mask) for name, values in columns.items()}
        block = Block(pa.array(part.lines[kept], pa.int64()), columns, apart=apart)
        self._number_block(block)
        return block

    def _irregular(self, part: Part, places: _Places) -> Any:
        """Lines that lack what a row has, repeat the header or have more cells than it."""
        odd = np.zeros(len(part.lines), dtype=bool)
        for group in places.needed:
            known = np.zeros(len(part.lines), dtype=bool)
            for index in group:
                known |= is_known(texts(part.columns[index]))
            odd |= ~known
        if places.repeat is not None:
            odd |= equals(part.columns[places.repeat[0]], str(places.repeat[1]))
        for values in part.columns[places.width :]:
            if values.null_count < len(values):
                odd |= is_known(texts(values))
        return odd

    def _of_this_table(self, part: Part, odd: Any, places: _Places) -> tuple[Part, Any]:
        """The part without the lines that `where` leaves out."""
        kept = np.ones(len(odd), dtype=bool)
        for why, index, wanted in places.where:
            is_wanted = odd | is_among(part.columns[index], _in_any_case(wanted))
            if left := int((kept & ~is_wanted).sum()):
                self._log.skip(why, left)
            kept &= is_wanted
        if kept.all():
            return part, odd
        mask = pa.array(kept)
        return Part(part.lines[kept], [values.filter(mask) for values in part.columns]), odd[kept]

    def _columns(
        self, part: Part, odd: Any, places: _Places
    ) -> tuple[dict[str, pa.Array[Any]], list[tuple[str, Any]]]:
        """(landed columns, notes and the rows that they are about); marks in `odd` what cannot be read so."""
        columns: dict[str, pa.Array[Any]] = {}
        beside: dict[str, pa.Array[Any]] = {}
        noted: list[tuple[str, Any]] = []
        for name, indexes, convert in places.columns:
            converted = convert([part.columns[index] for index in indexes])
            columns[name] = converted.values
            beside |= converted.beside
            noted += converted.noted
            if converted.odd is not None:
                odd |= converted.odd
        for name, values in beside.items():
            columns[name] = filled(columns[name], values) if name in columns else values
        for name, value in self._defaults:
            column = self._table.stream.column(name)
            # The value of a person may be one text or several.
            same = None if column.personal is not None else default(value, column.type, len(odd))
            if same is None:
                odd |= ~is_known(columns[name]) if name in columns else True
            else:
                columns[name] = filled(columns[name], same) if name in columns else same
        return columns, noted

    def _alone(self, part: Part, odd: Any, places: _Places) -> tuple[dict[int, Row], list[_Noted]]:
        """(the odd lines that are rows, by position; what was noted of them)."""
        apart: dict[int, Row] = {}
        noted: list[_Noted] = []
        at = np.flatnonzero(odd)
        if not len(at):
            return apart, noted
        picked = pa.array(at, pa.int64())
        cells = [values.take(picked).to_pylist() for values in part.columns]
        notes, kept = self._converters.notes, dict(self._converters.notes)
        for place, line in zip(at.tolist(), zip(*cells, strict=True), strict=True):
            notes.clear()
            number = int(part.lines[place])
            row = self._row(number, list(line), places)
            if row is not None:
                apart[place] = row
            noted += [(number, order, note, count) for order, (note, count) in enumerate(notes.items())]
        notes.clear()
        notes.update(kept)
        return apart, noted

    def _note(self, noted: list[_Noted]) -> None:
        """Count notes in the order of the rows that they are about."""
        notes = self._converters.notes
        for _, _, note, count in sorted(noted):
            notes[note] = notes.get(note, 0) + count

    # --- the header ----------------------------------------------------------------------------------

    def _default_values(self) -> list[tuple[str, Any]]:
        """(landed column, value) of everything that an empty cell takes: configured, else the source's."""
        found: dict[str, Any] = {}
        columns = {column.name for column in self._table.stream.columns}
        for name in ("account", "currency"):
            if name in columns and (own := getattr(self._source, name)) is not None:
                found[name] = own
        if self._table.stream.name == "ad_spend":
            mapped = self._mapping.columns
            found["report_level"] = next(
                (
                    level
                    for key, level in (
                        ("keyword", "keyword"),
                        ("ad_group", "ad_group"),
                        ("campaign_name", "campaign"),
                        ("campaign_id", "campaign"),
                    )
                    if key in mapped
                ),
                "account",
            )
            found["tax_basis"] = "unknown"
        for key, value in self._mapping.defaults.items():
            scratch: dict[str, Any] = {}
            converted = self._converters.of(key)(value, scratch) if value else None
            if converted is not None:
                found |= {n: v for n, v in scratch.items() if n != "status_raw"}
                found[self._table.columns[key]] = converted
        return list(found.items())

    def _places(self, lines: Iterator[tuple[int, list[Cell]]]) -> _Places:
        """Find the header and the columns below it. Raises FileRefused."""
        wanted = {header_key(h): h for headings in self._mapping.columns.values() for h in headings}
        wanted |= {header_key(h): h for h in self._mapping.where}
        needed = self._needed_headings()
        best: dict[str, int] = {}
        seen, is_empty = 0, True
        for line, cells in lines:
            seen += 1
            is_empty = is_empty and not any(map(_is_filled, cells))
            found: dict[str, int] = {}
            for index, cell in enumerate(cells):
                if isinstance(cell, str) and (key := header_key(cell)) in wanted:
                    found.setdefault(key, index)
            if len(found) > len(best):
                best = found
            if found and all(any(h in found for h in group) for group in needed):
                if seen > 1:
                    self._log.skip("preamble", seen - 1)
                return self._place(found, cells, line)
            if seen == _HEADER_WITHIN:
                break
        name = self._file.name
        if is_empty:
            raise FileRefused(f"{name}: is empty; export it again")
        lacking = [group for group in needed if not any(h in best for h in group)]
        missing = " and ".join(" or ".join(repr(wanted[h]) for h in group) for group in lacking)
        if not best:
            # Without any known heading the first line may be data, so it is not quoted.
            raise FileRefused(
                f"{name}: no header in its first {seen} lines: {missing} not found; "
                f"check streams.{self._table.stream.name}.columns"
                + (f" and the encoding ({self._file.encoding})" if self._file.encoding else "")
            )
        # Only headings that the mapping knows are quoted: the line may be a preamble with a patient's name.
        has = ", ".join(repr(wanted[heading]) for heading in best)
        raise FileRefused(f"{name}: the column {missing} is missing; of the mapped ones it has {has}")

    def _needed_headings(self) -> list[list[str]]:
        """Groups of headings of which the header must have one: required columns and filters."""
        table, mapping = self._table, self._mapping
        groups = [[header_key(h)] for h in mapping.where]
        for names in table.needed:
            keys = [key for key, landed in table.columns.items() if landed in names]
            if not any(key in mapping.defaults for key in keys):
                groups.append([header_key(h) for key in keys for h in mapping.columns.get(key, ())])
        return groups

    def _place(self, found: dict[str, int], header: list[Cell], line: int) -> _Places:
        width = max((index for index, cell in enumerate(header, start=1) if cell_text(cell)), default=0)
        places = _Places(width=width, header_line=line, header_cells=len(header))
        # Whole columns are read in the order of single cells: those under one heading first.
        joined: list[tuple[str, list[int], ConvertColumns]] = []
        columns = self._table.columns
        for key, headings in self._mapping.columns.items():
            present = [h for h in headings if header_key(h) in found]
            for heading in headings:
                if heading not in present:
                    self._log.notes.append(f"no column {heading!r} in the file; {key} lands without it")
            indexes = [found[header_key(h)] for h in present]
            if len(headings) > 1 and indexes:
                places.several.append((columns[key], indexes, self._converters.of_several(key)))
                joined.append((columns[key], indexes, self._converters.columns_of(key)))
            elif indexes:
                even_empty = any(not raw.strip() for raw in self._mapping.values.get(key, ()))
                places.single.append((columns[key], indexes[0], self._converters.of(key), even_empty))
                convert = self._converters.column_of(key, even_empty=even_empty)
                places.columns.append((columns[key], indexes, _of_one(convert)))
        places.columns += joined
        for names in self._table.needed:
            group = [
                found[header_key(h)]
                for key, landed in columns.items()
                if landed in names
                for h in self._mapping.columns.get(key, ())
                if header_key(h) in found
            ]
            if group:
                places.needed.append(group)
        if places.needed:
            index = places.needed[0][0]
            places.repeat = (index, header[index])
        for heading, wanted_texts in self._mapping.where.items():
            places.where.append(
                (
                    f"where {heading}",
                    found[header_key(heading)],
                    frozenset(fold(text) for text in wanted_texts),
                )
            )
        known = set(found.values())
        self._log.unknown_columns |= {
            text for index, cell in enumerate(header) if index not in known and (text := cell_text(cell))
        }
        return places

    def _no_row(self, cells: list[Cell], places: _Places) -> str:
        """Why a line is no row of this table, "" when it is one (a faulty one included)."""
        for group in places.needed:
            if not any(_is_filled(cells[index]) for index in group):
                if why := self._lacking(cells, places):
                    return why
                break
        if places.repeat is not None and cells[places.repeat[0]] == places.repeat[1]:
            return "repeated header"
        for why, index, wanted in places.where:
            if fold(cell_text(cells[index])) not in wanted:
                return why
        return ""

    def _lacking(self, cells: list[Cell], places: _Places) -> str:
        """Why a line that lacks something required is no row, "" when it is a faulty row."""
        filled = [text for cell in cells if (text := cell_text(cell))]
        if not filled:
            return "blank line"
        if any(_TOTAL.match(text.casefold()) for text in filled[:2]):
            self._note_total(cells, places)
            return "total row"
        has_needed = any(cell_text(cells[i]) for group in places.needed for i in group)
        if len(places.needed) > 1 and not has_needed and self._note_total(cells, places):
            return "total row"
        return "group row" if len(filled) == 1 and places.width > 2 else ""

    def _note_total(self, cells: list[Cell], places: _Places) -> bool:
        """Keep the sums of a total row, if it has any; the last one of a file, the grand total, stays."""
        noted = False
        for name, index, convert, _ in places.single:
            if self._table.stream.column(name).type == "decimal" and cell_text(cells[index]):
                try:
                    value = convert(cells[index], {})
                except RowRefused:
                    continue  # a word in a column of sums, such as "Итого"
                if value is not None:
                    self._log.control_totals["total", name] = Decimal(str(value))
                    noted = True
        return noted

    def _finishers(self) -> tuple[FinishRow | None, FinishColumns | None]:
        """What a table's rows need beyond their cells: of one row and of whole columns."""
        name = self._table.stream.name
        if self._table.is_reference:
            return None, None
        if name == "visits":
            return self._visit_finishers()
        if name == "appointments":
            no_status = "unknown" if "status" in self._mapping.columns else "booked"
            return self._completed_finishers("scheduled_at", no_status)
        if name in _MADE_IDS:
            return None, self._without_id
        return None, None

    def _without_id(self, columns: dict[str, pa.Array[Any]], odd: Any) -> None:
        """A key is made of a row's values as they are written, so such rows are read one by one."""
        key = columns.get(_MADE_IDS[self._table.stream.name][0])
        odd |= True if key is None else ~is_known(key)

    def _completed_finishers(self, at: str, no_status: str) -> tuple[FinishRow, FinishColumns]:
        """A status where there is none; what is completed may not lie in the future."""

        def finish(row: dict[str, Any]) -> None:
            status = row.setdefault("status", no_status)
            if status == "completed" and row.get(at) is not None:
                _refuse_future(row[at], self._horizon, at)

        def finish_columns(columns: dict[str, pa.Array[Any]], odd: Any) -> None:
            same = constant(no_status, "text", len(odd))
            columns["status"] = filled(columns["status"], same) if "status" in columns else same
            if at in columns:
                odd |= is_later(columns[at], self._horizon) & equals(columns["status"], "completed")

        return finish, finish_columns

    def _visit_finishers(self) -> tuple[FinishRow, FinishColumns]:
        mapped = self._mapping.columns.keys()
        appointment_keys = tuple(mapped & _APPOINTMENT_KEYS)
        only_named = "appointments" in self._source.streams
        line_keys = () if "visit_lines" in self._source.streams else tuple(mapped & _LINE_KEYS)
        completed, completed_columns = self._completed_finishers(
            "visited_at", "unknown" if "status" in mapped else "completed"
        )

        def finish(row: dict[str, Any]) -> None:
            get = row.get
            if get("visited_at") is None and (scheduled_at := get("scheduled_at")) is not None:
                row["visited_at"] = scheduled_at
            completed(row)
            row["is_line"] = any(get(key) is not None for key in line_keys)
            row["is_appointment"] = any(get(key) is not None for key in appointment_keys) and (
                not only_named or get("appointment_id") is not None
            )

        def finish_columns(columns: dict[str, pa.Array[Any]], odd: Any) -> None:
            if (planned := columns.get("scheduled_at")) is not None:
                came = columns.get("visited_at")
                columns["visited_at"] = planned if came is None else filled(came, planned)
            completed_columns(columns, odd)

            def have(keys: Iterable[str]) -> Any:
                found = np.zeros(len(odd), dtype=bool)
                for key in keys:
                    if key in columns:
                        found |= is_known(columns[key])
                return found

            columns["is_line"] = pa.array(have(line_keys))
            is_appointment = have(appointment_keys)
            columns["is_appointment"] = pa.array(
                is_appointment & have(("appointment_id",)) if only_named else is_appointment
            )

        return finish, finish_columns

    # --- counts --------------------------------------------------------------------------------------

    def _number(self, row: Row) -> None:
        """Give a row the key that its export has not: the line of the visit, or one made of its content."""
        if row.refused is not None or self._table.is_reference:
            return
        if self._table.stream.name in _MADE_IDS:
            self._make_id(row.values)
        elif (visit_id := self._unnumbered(row)) is not None:
            [before] = self._count([visit_id], [1])
            row.values["line_id"] = _line_id(before)

    def _unnumbered(self, row: Row) -> str | None:
        """The visit of a row whose line has no number."""
        if row.refused is not None or not self._is_numbered or row.values.get("line_id") is not None:
            return None
        visit_id: str | None = row.values.get("visit_id")
        return visit_id

    def _count(self, visits: Iterable[str], lines: Iterable[int]) -> list[int]:
        """Count lines of visits; how many each had before."""
        # The hash, not the text: a file may hold millions of visits, and a clash costs only a gap.
        counts, found = self._counts, []
        for key, more in zip(map(hash, visits), lines, strict=True):
            before = counts.get(key, 0)
            counts[key] = before + more
            found.append(before)
        return found

    def _number_block(self, block: Block) -> None:
        """The same for the rows of a block, in their order."""
        if not self._is_numbered:
            for at in sorted(block.apart):
                self._number(block.apart[at])
            return
        visits, own = self._unnumbered_of(block), block.columns.get("line_id")
        is_open = is_known(visits)
        if not is_open.any():
            return
        encoded: Any = visits.drop_null().dictionary_encode()
        codes = encoded.indices.to_numpy()
        before = self._count(encoded.dictionary.to_pylist(), np.bincount(codes).tolist())
        numbers = np.array(before, dtype=np.int64)[codes] + _places_within(codes)
        known, which = np.unique(numbers, return_inverse=True)
        places = np.zeros(len(block), dtype=np.int32)
        places[is_open] = which
        made: pa.Array[Any] = pa.DictionaryArray.from_arrays(
            pa.array(places, pa.int32(), mask=~is_open),
            pa.array([_line_id(n) for n in known.tolist()], pa.string()),
        )
        for place, row in block.apart.items():
            if is_open[place]:
                row.values["line_id"] = made[place].as_py()
        block.columns["line_id"] = made if own is None else filled(own, made)

    def _unnumbered_of(self, block: Block) -> pa.Array[Any]:
        """The visits of the rows whose lines have no number."""
        visits, own = plain(block.columns["visit_id"]), block.columns.get("line_id")
        if own is not None:
            visits = pc.if_else(own.is_null(), visits, pa.scalar(None, pa.string()))
        if not block.apart:
            return visits
        mask = np.zeros(len(block), dtype=bool)
        mask[list(block.apart)] = True
        alone = [self._unnumbered(block.apart[place]) for place in sorted(block.apart)]
        known: pa.Array[Any] = pc.replace_with_mask(visits, pa.array(mask), pa.array(alone, pa.string()))
        return known

    def _make_id(self, row: dict[str, Any]) -> None:
        """A key made of the row's content, and its count where a file has the same content several times."""
        name, parts = _MADE_IDS[self._table.stream.name]
        if row.get(name) is None:
            content = "\x1f".join(str(row.get(part, "")) for part in parts)
            count = self._counts[content] = self._counts.get(content, 0) + 1
            digest = hashlib.sha256(content.encode()).hexdigest()[:20]
            row[name] = digest if count == 1 else f"{digest}:{count}"


def _line_id(before: int) -> str:
    # Apart from the numbers that an export gives its own lines.
    return f"#{before + 1}"


def _places_within(codes: Any) -> Any:
    """How many of the same code stand before each."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    is_first = np.ones(len(codes), dtype=bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    starts = np.flatnonzero(is_first)
    places = np.empty(len(codes), dtype=np.int64)
    places[order] = np.arange(len(codes)) - np.repeat(starts, np.diff(np.append(starts, len(codes))))
    return places


def _in_any_case(wanted: Collection[str]) -> Callable[[str], bool]:
    return lambda text: fold(cell_text(text)) in wanted


def _of_one(convert: ConvertColumn) -> ConvertColumns:
    return lambda several: convert(several[0])


def _widened(part: Part, width: int) -> Part:
    """The part with all columns of the header; short lines lack the last ones."""
    lacking = [pa.nulls(len(part.lines), pa.string()) for _ in range(width - len(part.columns))]
    return Part(part.lines, [*part.columns, *lacking])


def _is_filled(cell: Cell) -> bool:
    return bool(cell.strip()) if isinstance(cell, str) else cell is not None


def _refuse_future(at: datetime, horizon: datetime, column: str) -> None:
    if at.year <= _LAST_YEAR and at > horizon:
        raise RowRefused(column, f"lies in the future of the file ({horizon:%Y-%m-%d}), yet it is completed")


class MappedFile(Connector[MappedFileOptions]):
    """Any clinic's own export, mapped column by column."""

    kind: ClassVar[str] = "mapped_file"
    title: ClassVar[str] = "Own export, mapped column by column"
    options: ClassVar[type[SourceOptions]] = MappedFileOptions
    feeds: ClassVar[tuple[str, ...]] = tuple(TABLES)
    parser_version: ClassVar[int] = 1

    def streams(self, source: MappedFileOptions) -> tuple[Stream, ...]:
        """The streams that the source maps; their columns are the same in every clinic."""
        return tuple(table.stream for name, table in TABLES.items() if name in source.streams)

    def feeds_of(self, source: MappedFileOptions) -> tuple[str, ...]:
        """The mapped tables, and those that the lines of a flat visit export carry."""
        fed = set(source.streams)
        if "visits" in fed:
            mapped = source.streams["visits"].columns.keys()
            carried = {
                "appointments": _APPOINTMENT_KEYS,
                "visit_lines": _LINE_KEYS,
                "payments": _PAYMENT_KEYS,
                "patients": _PATIENT_KEYS,
            }
            fed |= {table for table, keys in carried.items() if mapped & keys}
        return tuple(name for name in TABLES if name in fed)

    def mapping(self, source: MappedFileOptions, stream: Stream) -> object:
        """What decides how a file of this stream is read; other streams' mappings do not."""
        return {
            "mapping": source.streams[stream.name].model_dump(mode="json"),
            "format": source.format_of(stream.name).model_dump(mode="json"),
            "zone": source.zone.key,
            "region": source.clinic_phone_region,
            "account": source.account,
            "currency": source.currency,
            # A flat visit leaves to streams of their own what those tell.
            "beside": sorted({"appointments", "visit_lines"} & set(source.streams) - {stream.name})
            if stream.name == "visits"
            else [],
        }

    def read(
        self, file: InboxFile, stream: Stream, source: MappedFileOptions, log: ReadLog
    ) -> Iterator[Record]:
        """Yield the rows of one file. Raises FileRefused: empty, no header, a required column missing."""
        return _Reading(file, stream, source, log).records()


CONNECTOR = MappedFile()

if __name__ == "__main__":
    cli.main(CONNECTOR)
