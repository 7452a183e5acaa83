"""Calls as a tracker's own web pages download them: CSV or XLSX whose headings clinic.yaml maps.

No tracker documents these tables, and their headings follow the language and the columns that somebody chose,
so nothing is known of them here: `export:` of the source maps them in the words of `mapped_file`'s table
`calls` (columns, values, where, defaults, prefixes and how the file is written).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError

from connectors._cells import header_key
from connectors._mapped_tables import TABLES
from connectors.contract import Block, ReadLog, Record, Row, SourceOptions
from connectors.errors import FileRefused
from connectors.files import InboxFile
from connectors.mapped_file import CONNECTOR, MappedFileOptions, StreamMapping

_CALLS = TABLES["calls"]
_TABLES = frozenset({".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".xls"})


def _number_as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


# Account numbers are written with and without quotes.
AccountId = Annotated[str | None, BeforeValidator(_number_as_text)]


def check_export(source: SourceOptions, export: StreamMapping, accepted: Collection[str]) -> None:
    """Raises ValueError, one line, for a mapping that cannot be right.

    `accepted` are the columns of `calls` that the source has a place for. An id made of the caller's number
    would carry it into the landing zone.
    """
    keys = [*export.columns, *export.values, *export.defaults, *export.prefixes]
    keyed = {_CALLS.columns[key]: key for key in _CALLS.columns}
    names = [keyed[column] for column in keyed if column in accepted]
    for key in keys:
        if _CALLS.columns.get(key) not in accepted:
            raise ValueError(f"export: unknown column {key}; accepted: {', '.join(names)}")
    phones = {header_key(heading) for heading in export.columns.get("phone", ())}
    for key in ("call_id", "recording_ref", "pbx_ref", "callback_ref"):
        if phones & {header_key(heading) for heading in export.columns.get(key, ())}:
            raise ValueError(f"export: {key} must not be made of the caller's number; map the call's own id")
    try:
        _options(source, export)
    except ValidationError as error:
        said = "; ".join(" ".join(fault["msg"].split()) for fault in error.errors())
        raise ValueError(f"export: {said}") from None


def is_table(file: InboxFile) -> bool:
    """Whether the file's name says that it is a table of text or cells."""
    return file.suffix in _TABLES


def read_export(
    file: InboxFile,
    export: StreamMapping,
    source: SourceOptions,
    log: ReadLog,
    landed: Mapping[str, str],
) -> Iterator[Record]:
    """Yield the table's rows, `landed` naming the stream's column for each column of `calls`.

    Raises FileRefused as `mapped_file` does, and for a workbook of the old format.
    """
    if file.suffix == ".xls":
        raise FileRefused(f"{file.name}: is a workbook of the old format; save it as .xlsx or CSV")
    for record in CONNECTOR.read(file, _CALLS.stream, _options(source, export), log):
        if isinstance(record, Row):
            yield _renamed(record, landed)
            continue
        columns = {landed[name]: values for name, values in record.columns.items() if name in landed}
        apart = {at: _renamed(row, landed) for at, row in record.apart.items()}
        yield Block(record.numbers, columns, apart=apart)


def _renamed(row: Row, landed: Mapping[str, str]) -> Row:
    values = {landed[name]: value for name, value in row.values.items() if name in landed}
    refused = row.refused
    if refused is not None:
        refused = (landed.get(refused[0], ""), refused[1])
    return Row(row.number, values, refused)


def _options(source: SourceOptions, export: StreamMapping) -> MappedFileOptions:
    given: dict[str, Any] = {
        "name": source.name,
        "clinic_timezone": source.clinic_timezone,
        "clinic_currency": source.clinic_currency,
        "clinic_phone_region": source.clinic_phone_region,
        "timezone": source.timezone,
        "streams": {"calls": export},
    }
    return MappedFileOptions.model_validate(given)
