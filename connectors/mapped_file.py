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
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from connectors import cli
from connectors._mapped_rows import Reading
from connectors._mapped_tables import (
    APPOINTMENT_KEYS,
    LINE_KEYS,
    PATIENT_KEYS,
    PAYMENT_KEYS,
    TABLES,
    Table,
    accepted_values,
)
from connectors._mapped_values import LAST_YEAR, Converters
from connectors._settings import DateFormat, Delimiter, Encoding
from connectors.contract import Connector, ReadLog, Record, SourceOptions, Stream
from connectors.errors import RowRefused
from connectors.files import InboxFile


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
    converters = Converters(table, mapping, FileFormat(), zone=ZoneInfo("UTC"), region="ZZ", year=LAST_YEAR)
    for key, meanings in mapping.values.items():
        yield from _bad_values(converters, key, ("values", key), meanings.items())
    for key, value in mapping.defaults.items():
        yield from _bad_values(converters, key, ("defaults",), [(key, value)])


def _idle(table: Table, mapping: StreamMapping) -> Iterator[Mistake]:
    """Settings that could have no effect, or not the one that was meant."""
    name = table.stream.name
    for key in mapping.values.keys() & table.columns.keys() - mapping.columns.keys():
        yield (name, "values", key), f"{key} is not mapped under columns", mapping.values[key]
    for key in mapping.prefixes.keys() & table.columns.keys():
        if key not in mapping.columns:
            yield (name, "prefixes", key), f"{key} is not mapped under columns", mapping.prefixes[key]
        elif table.stream.column(table.columns[key]).type != "text":
            yield (name, "prefixes", key), "only columns of text can have a prefix", mapping.prefixes[key]


def _key(table: Table, column: str) -> str:
    """The config key of a landed column."""
    return next(key for key, landed in table.columns.items() if landed == column)


def _bad_values(
    converters: Converters, key: str, loc: tuple[str, ...], items: Iterable[tuple[str, str]]
) -> Iterator[Mistake]:
    table = converters.table
    if key not in table.columns:
        return
    accepted = accepted_values(table, table.columns[key])
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
                "appointments": APPOINTMENT_KEYS,
                "visit_lines": LINE_KEYS,
                "payments": PAYMENT_KEYS,
                "patients": PATIENT_KEYS,
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
        return Reading(file, stream, source, log).records()


CONNECTOR = MappedFile()

if __name__ == "__main__":
    cli.main(CONNECTOR)
