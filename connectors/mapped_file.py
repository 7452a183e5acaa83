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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

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
from connectors._settings import DateFormat, Delimiter, Encoding
from connectors.conformed import (
    ACCEPTED,
    APPOINTMENT_STATUSES,
    CHANNELS,
    DERIVED,
    INPUTS,
    PAYER_TYPES,
    REFERENCES,
)
from connectors.contract import Column, Connector, ReadLog, Row, SourceOptions, Stream
from connectors.errors import FileRefused, RowRefused
from connectors.files import Cell, InboxFile
from connectors.privacy import to_e164
from connectors.web import clean_tag, read_address, read_host

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
    for key, texts in mapping.values.items():
        yield from _bad_values(converters, key, ("values", key), texts.items())
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
        self._region = region
        self._year = year
        # note -> rows it is about
        self.notes: dict[str, int] = {}

    def of(self, key: str) -> Convert:
        """For a column under one heading: `values`, then the type, then the prefix."""
        return self._prefixed(key, self._translated(key))

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
            if name == "booked_at":
                row["booked_at_is_date"] = found[1]
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
            if name == "booked_at":
                row["booked_at_is_date"] = found[1]
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
        lower = name in _LOWER or (name == "source" and self.table.stream.name in _PLATFORM_SOURCES)

        def convert(cell: Cell, _row: dict[str, Any]) -> Any:
            text = cell_text(cell)
            if not text or is_dash(text):
                return None
            if is_tag:
                return clean_tag(text.lower() if lower else text)
            return text.lower() if lower else text

        return convert

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


@dataclass
class _Places:
    """Where the mapped columns stand in one file."""

    width: int
    # (landed column, index, convert, whether an empty cell is converted too)
    single: list[tuple[str, int, Convert, bool]] = field(default_factory=list)
    several: list[tuple[str, list[int], ConvertAll]] = field(default_factory=list)
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

    def rows(self) -> Iterator[Row]:
        lines = self._file.table(
            delimiter=self._format.delimiter, encoding=self._format.encoding, sheet=self._format.sheet
        )
        places = self._places(lines)
        finish = self._finisher()
        single, several, defaults = places.single, places.several, self._defaults
        for number, cells in lines:
            if len(cells) < places.width:
                cells += [None] * (places.width - len(cells))
            if why := self._no_row(cells, places):
                self._log.skip(why)
                continue
            values: dict[str, Any] = {}
            try:
                if len(cells) > places.width and any(map(_is_filled, cells[places.width :])):
                    raise RowRefused("", "has more cells than the header: a delimiter in an unquoted text?")
                for name, index, convert, even_empty in single:
                    cell = cells[index]
                    if ((cell is not None and cell != "") or even_empty) and (
                        value := convert(cell, values)
                    ) is not None:
                        values[name] = value
                for name, indexes, convert_all in several:
                    value = convert_all([cells[index] for index in indexes], values)
                    if value is not None:
                        values[name] = value
                for name, value in defaults:
                    values.setdefault(name, value)
                if finish is not None:
                    finish(values)
            except RowRefused as error:
                yield Row(number, values, (error.column, error.reason))
            else:
                yield Row(number, values)
        self._log.notes += [f"{note} ({count} rows)" for note, count in self._converters.notes.items()]

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
        for _, cells in lines:
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
                return self._place(found, cells)
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

    def _place(self, found: dict[str, int], header: list[Cell]) -> _Places:
        width = max((index for index, cell in enumerate(header, start=1) if cell_text(cell)), default=0)
        places = _Places(width=width)
        columns = self._table.columns
        for key, headings in self._mapping.columns.items():
            present = [h for h in headings if header_key(h) in found]
            for heading in headings:
                if heading not in present:
                    self._log.notes.append(f"no column {heading!r} in the file; {key} lands without it")
            indexes = [found[header_key(h)] for h in present]
            if len(headings) > 1 and indexes:
                places.several.append((columns[key], indexes, self._converters.of_several(key)))
            elif indexes:
                even_empty = any(not raw.strip() for raw in self._mapping.values.get(key, ()))
                places.single.append((columns[key], indexes[0], self._converters.of(key), even_empty))
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
        for heading, texts in self._mapping.where.items():
            places.where.append(
                (f"where {heading}", found[header_key(heading)], frozenset(fold(text) for text in texts))
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
        for why, index, texts in places.where:
            if fold(cell_text(cells[index])) not in texts:
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

    def _finisher(self) -> Callable[[dict[str, Any]], None] | None:
        """What a table's rows need beyond their cells."""
        name = self._table.stream.name
        if self._table.is_reference:
            return None
        if name == "visits":
            return self._finish_visit()
        if name == "appointments":
            return self._finish_appointment
        if name == "visit_lines":
            return self._number_line
        if name in _MADE_IDS:
            return self._make_id
        return None

    def _finish_visit(self) -> Callable[[dict[str, Any]], None]:
        mapped = self._mapping.columns.keys()
        no_status = "unknown" if "status" in mapped else "completed"
        appointment_keys = tuple(mapped & _APPOINTMENT_KEYS)
        only_named = "appointments" in self._source.streams
        line_keys = () if "visit_lines" in self._source.streams else tuple(mapped & _LINE_KEYS)
        horizon = self._horizon

        def finish(row: dict[str, Any]) -> None:
            get = row.get
            visited_at = get("visited_at")
            if visited_at is None and (visited_at := get("scheduled_at")) is not None:
                row["visited_at"] = visited_at
            status = row.setdefault("status", no_status)
            if status == "completed" and visited_at is not None:
                _refuse_future(visited_at, horizon, "visited_at")
            row["is_line"] = any(get(key) is not None for key in line_keys)
            row["is_appointment"] = any(get(key) is not None for key in appointment_keys) and (
                not only_named or get("appointment_id") is not None
            )
            self._number_line(row)

        return finish

    def _finish_appointment(self, row: dict[str, Any]) -> None:
        status = row.setdefault("status", "unknown" if "status" in self._mapping.columns else "booked")
        scheduled_at = row.get("scheduled_at")
        if status == "completed" and scheduled_at is not None:
            _refuse_future(scheduled_at, self._horizon, "scheduled_at")

    def _number_line(self, row: dict[str, Any]) -> None:
        visit_id = row.get("visit_id")
        if visit_id is not None and row.get("line_id") is None:
            # The hash, not the text: a file may hold millions of visits, and a clash costs only a gap.
            key = hash(visit_id)
            count = self._counts[key] = self._counts.get(key, 0) + 1
            # Apart from the numbers that an export gives its own lines.
            row["line_id"] = f"#{count}"

    def _make_id(self, row: dict[str, Any]) -> None:
        """A key made of the row's content, and its count where a file has the same content several times."""
        name, parts = _MADE_IDS[self._table.stream.name]
        if row.get(name) is None:
            content = "\x1f".join(str(row.get(part, "")) for part in parts)
            count = self._counts[content] = self._counts.get(content, 0) + 1
            digest = hashlib.sha256(content.encode()).hexdigest()[:20]
            row[name] = digest if count == 1 else f"{digest}:{count}"


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

    def read(self, file: InboxFile, stream: Stream, source: MappedFileOptions, log: ReadLog) -> Iterator[Row]:
        """Yield the rows of one file. Raises FileRefused: empty, no header, a required column missing."""
        return _Reading(file, stream, source, log).rows()


CONNECTOR = MappedFile()

if __name__ == "__main__":
    cli.main(CONNECTOR)
