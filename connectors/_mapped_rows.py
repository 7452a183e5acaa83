"""How a file of a clinic's own export becomes rows.

The header is found by the mapped headings; below it a workbook is read row by row, a text in blocks.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from connectors._cells import cell_text, fold, header_key
from connectors._columns import texts
from connectors._mapped_columns import (
    constant,
    default,
    equals,
    filled,
    is_among,
    is_known,
    is_later,
    plain,
)
from connectors._mapped_tables import APPOINTMENT_KEYS, LINE_KEYS, MADE_IDS, NUMBERED, TABLES
from connectors._mapped_values import (
    LAST_YEAR,
    Convert,
    ConvertAll,
    ConvertColumn,
    ConvertColumns,
    Converters,
)
from connectors._table_files import Part
from connectors._text_parts import TextParts
from connectors.contract import Block, ReadLog, Record, Row, Stream
from connectors.errors import FileRefused, RowRefused
from connectors.files import Cell, InboxFile

if TYPE_CHECKING:
    from connectors.mapped_file import MappedFileOptions

# The stubs know no scalars of Python.
pc: Any = pyarrow.compute

# Reports carry a title, the filter and the print time above the table; more lines than this are no title.
_HEADER_WITHIN = 200
# Completed visits are facts: dated later than this after the file they are typing mistakes. One day,
# because the file's time is UTC and the clinic may be a day ahead.
_ARRIVAL_MARGIN = timedelta(days=1)

_TOTAL = re.compile(r"(итог|всего|total|grand total|subtotal|sum\b|summe|gesamt|ukupno|sveukupno|合计|总计)")

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


class Reading:
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
        self._converters = Converters(
            self._table,
            self._mapping,
            self._format,
            zone=source.zone,
            region=source.clinic_phone_region,
            year=arrived_at.year,
        )
        self._defaults = self._default_values()
        self._counts: dict[Any, int] = {}
        self._is_numbered = stream.name in NUMBERED
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
        if name in MADE_IDS:
            return None, self._without_id
        return None, None

    def _without_id(self, columns: dict[str, pa.Array[Any]], odd: Any) -> None:
        """A key is made of a row's values as they are written, so such rows are read one by one."""
        key = columns.get(MADE_IDS[self._table.stream.name][0])
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
        appointment_keys = tuple(mapped & APPOINTMENT_KEYS)
        only_named = "appointments" in self._source.streams
        line_keys = () if "visit_lines" in self._source.streams else tuple(mapped & LINE_KEYS)
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
        if self._table.stream.name in MADE_IDS:
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
        name, parts = MADE_IDS[self._table.stream.name]
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
    if at.year <= LAST_YEAR and at > horizon:
        raise RowRefused(column, f"lies in the future of the file ({horizon:%Y-%m-%d}), yet it is completed")
