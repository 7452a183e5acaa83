"""What a cell of a clinic's own export becomes, by its column, alone or with the whole column."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from connectors._cells import (
    Moments,
    boolean,
    cell_text,
    fold,
    id_text,
    is_dash,
    number_text,
    seconds,
)
from connectors._mapped_columns import (
    Converted,
    Distinct,
    Times,
    amounts,
    cells_text,
    first_filled,
    ids,
    joined_ids,
    prefixed,
    texts_without_dashes,
    wholes,
)
from connectors._mapped_tables import (
    DAY_ONLY,
    DURATIONS,
    LOWER,
    NOT_NEGATIVE,
    PLATFORM_SOURCES,
    RAW_OF_STATUS,
    READ_TEXTS,
    STRICT_ENUMS,
    TAGGED,
    TAGS,
    Table,
    accepted_values,
)
from connectors.conformed import APPOINTMENT_STATUSES
from connectors.contract import Column, Type
from connectors.errors import RowRefused
from connectors.files import Cell
from connectors.privacy import to_e164
from connectors.web import clean_tag, read_address, read_host

if TYPE_CHECKING:
    from connectors.mapped_file import FileFormat, StreamMapping

# Later years are typing mistakes, refused by the checker; comparing them could overflow before that.
LAST_YEAR = 2100

# A code of ICD-10: a letter and two digits; what follows is the subdivision, which is not kept.
_DIAGNOSIS = re.compile(r"[A-Z][0-9][0-9]")
_CYRILLIC_CAPITALS = str.maketrans("АВЕКМНОРСТУХ", "ABEKMHOPCTYX")

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

# A cell and the row's values so far -> the landed value, None when the cell is empty. Raises RowRefused.
Convert = Callable[[Cell, dict[str, Any]], Any]
ConvertAll = Callable[[list[Cell], dict[str, Any]], Any]
# The same for the whole column.
ConvertColumn = Callable[["pa.Array[Any]"], Converted]
ConvertColumns = Callable[[Sequence["pa.Array[Any]"]], Converted]


class Converters:
    """Makes, for each mapped column, the function from a cell to the landed value."""

    def __init__(
        self,
        table: Table,
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
        if self._mapping.values.get(key) or accepted_values(self.table, name) or name == "birth_year":
            return rest.column
        match column.type:
            case "decimal" | "double":
                may_be_negative = name not in NOT_NEGATIVE
                return lambda values: amounts(
                    values, column.type, self._decimal, rest, may_be_negative=may_be_negative
                )
            case "integer":
                return lambda values: wholes(values, rest, may_be_negative=name not in NOT_NEGATIVE)
            case "timestamp":
                return lambda values: self._times.column(values, rest, DAY_ONLY.get(name))
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
            return lambda several: self._times.columns(several, rest, DAY_ONLY.get(column.name))
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
        if name == "status" and self.table.stream.name in RAW_OF_STATUS:
            return _status({})
        if accepted := accepted_values(self.table, name):
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
        if name == "status" and self.table.stream.name in RAW_OF_STATUS:
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
        strict = self.table.is_reference or column.required or name in STRICT_ENUMS

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
            if name in DAY_ONLY:
                row[DAY_ONLY[name]] = found[1]
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
            if name in DAY_ONLY:
                row[DAY_ONLY[name]] = found[1]
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
            return _landing if self.table.stream.name in TAGGED else _path
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
        return name in LOWER or (name == "source" and self.table.stream.name in PLATFORM_SOURCES)

    def _is_plain(self, name: str) -> bool:
        """Whether a column of text lands as it is, but for a dash."""
        return not (name in READ_TEXTS or name.startswith("utm_") or self._is_lower(name))

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
    may_be_negative = name not in NOT_NEGATIVE

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
        if name in DURATIONS and (length := seconds(cell)) is not None:
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
    for name in TAGS:
        if (value := getattr(address, name)) is not None:
            row.setdefault(name, value)
    return address.path
