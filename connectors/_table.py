r"""Exports with a header line, read in blocks of columns: CSV, TSV and XLSX, a million rows in a second.

    ENGLISH = Layout(
        headings={"spend_date": ("Day",), "campaign_name": ("Campaign", "Campaign name"),
                  "cost": (re.compile(r"amount spent \((?P<currency>[a-z]{3})\)"), "Amount spent")},
        required=("spend_date", "cost"), remedy="add it under Columns > Customise columns")

    table = open_table(file, {"en": ENGLISH}, log, footer=lambda cells: "footer" if "©" in cells[0] else None)
    currency = table.match("cost")["currency"].upper()        # what the pattern found in the heading
    for block in table.blocks():                              # columns of text, null where a cell is empty
        block, totals = split(block, pc.equal(block.columns["spend_date"], "All"))  # the totals as Rows
        columns = block.columns
        columns["spend_date"] = days(columns["spend_date"], ("%d/%m/%Y",))          # ISO is always read
        columns["cost"] = numbers(columns["cost"], decimal=",")
        table.require(block, "cost", "is not a number with a decimal comma; set `decimal:`")
        columns["currency"] = constant(currency, block)
        refuse(block, pc.starts_with(columns["cost"], "-"), "cost", "is negative")
        summed += total(columns["cost"])
        yield block

Texts become canonical texts, which `check` casts. What `numbers` and `days` cannot read becomes UNREADABLE:
the row is then quarantined, or `Table.require` refuses the whole file for it.

A file is refused without a header or a required column, with a column twice, with a line of more or fewer
cells than the header (unless `footer` knows it and no row follows), for a quote that does not close, for
bytes that are no text of the encoding and for a broken archive.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import islice
from typing import IO, Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv

from connectors._cells import cell_text, compile_format, header_key
from connectors._columns import by_value, is_text, spans, texts
from connectors.contract import Block, ReadLog, Row
from connectors.errors import FileRefused
from connectors.files import Cell, InboxFile

# The stubs know neither scalars of Python nor streams.
pc: Any = pyarrow.compute
arrow_csv: Any = pyarrow.csv

# What stands where a number or a day could not be read: it casts to nothing, so the row is quarantined.
UNREADABLE = "?"
# What exports write into a cell that has no value.
MARKS = ("-", "--", "–", "—", "null", "NULL", "N/A", "n/a")

_BLOCK_BYTES = 1 << 22
_SHEET_ROWS = 10_000
# Spreadsheets keep fifteen digits: a longer number is not what it was, and is written so that it shows.
_EXACT_LIMIT = 10**15
_DELIMITERS = "\t;,"
_UTF8 = frozenset({"utf-8", "utf-8-sig"})
_BROKEN = (UnicodeError, EOFError, OSError, zlib.error, zipfile.BadZipFile)
# Bytes of numbers that need no work where `.` is the decimal mark.
_PLAIN = np.isin(np.arange(256), list(b"0123456789.-"))
# Between thousands: spaces (plain, no-break, narrow, figure, thin) and the apostrophes of Switzerland.
_SPACES = r" '\x{2019}\x{a0}\x{202f}\x{2007}\x{2009}"
_BETWEEN = {".": f"[{_SPACES},]", ",": f"[{_SPACES}.]"}
_NUMBER = {
    mark: rf"^-?(?:\d+|\d{{1,3}}(?:{between}\d{{3}})+)?(?:[{mark}]\d*)?$"
    for mark, between in _BETWEEN.items()
}

# Cells of a line that is no row -> what the line is, None when that is not known.
Footer = Callable[[list[str]], str | None]


@dataclass(frozen=True)
class Layout:
    """What the columns of an export are headed, in one language.

    headings
        Our name of a column -> the headings that mean it, the preferred one first. They are compared
        without regard to case and surrounding spaces; a pattern must match the whole lower-case heading.
    required
        Names without which the file is refused.
    ignored
        Headings that are known and not read; all others are reported as unknown.
    remedy
        Ends every message about the header: where to click for a right export.
    within
        The header stands within so many lines.
    """

    headings: Mapping[str, Sequence[str | re.Pattern[str]]]
    required: Sequence[str] = ()
    ignored: Collection[str] = ()
    remedy: str = "export it again with the usual columns"
    within: int = 30


@dataclass
class Table:
    """An export whose header was found.

    `language` is the key of its layout, `headings` what the file writes above each of our columns, `above`
    the cells of the lines above the header, `header_line` the line on which the header ends.
    """

    file: InboxFile
    language: str
    layout: Layout
    headings: dict[str, str]
    above: list[list[str]]
    header_line: int
    log: ReadLog
    _places: dict[str, int]
    _width: int
    _source: _Text | _Sheet
    _footer: Footer | None

    def match(self, name: str) -> dict[str, str]:
        """The named groups of the pattern that a column's heading matched; {} without one."""
        key = header_key(self.headings.get(name, ""))
        for accepted in self.layout.headings[name]:
            if isinstance(accepted, re.Pattern) and (found := accepted.fullmatch(key)) is not None:
                return found.groupdict(default="")
        return {}

    def blocks(self, log: ReadLog | None = None) -> Iterator[Block]:
        """The rows as Blocks of text by our names; columns that the file lacks are absent.

        Blank lines and footers are counted in the log, or in `log` where it is given: the first reading
        of a file that is read twice must not count. Raises FileRefused, see the module.
        """
        noted = self.log if log is None else log
        ended: int | None = None
        for part in self._source.parts(self.header_line, self._width, self._footer):
            if isinstance(part, _Odd):
                ended = self._odd(part, noted, ended)
                continue
            columns = {name: part.columns[place] for name, place in self._places.items()}
            block = Block(pa.array(part.lines, pa.int64()), columns)
            filled = _filled(part.columns)
            if filled is not None:
                kept = _filtered(block, filled)
                noted.skip("blank line", len(block) - len(kept))
                block = kept
            if not len(block):
                continue
            if ended is not None and block.numbers[-1].as_py() > ended:
                raise FileRefused(
                    f"{self.file.name}: line {ended} ends the report, but rows follow; "
                    "the file was edited or joined, export it again"
                )
            yield block

    def _odd(self, line: _Odd, log: ReadLog, ended: int | None) -> int | None:
        if not any(cell.strip() for cell in line.cells):
            log.skip("blank line")
            return ended
        why = None if self._footer is None else self._footer(line.cells)
        if why is None:
            raise FileRefused(
                f"{self.file.name}: line {line.number} has {len(line.cells)} cells under {self._width} "
                "headings; the file is cut short, misquoted or was edited, export it again"
            )
        log.skip(why)
        return line.number if ended is None else ended

    def rename(self, name: str, new: str) -> None:
        """Call a column by another of our names; it takes that one's place. Nothing if the file lacks it."""
        if name in self._places:
            self._places[new] = self._places.pop(name)
            self.headings[new] = self.headings.pop(name)

    def require(self, block: Block, name: str, what: str) -> None:
        """Refuse the file, naming the line, when a number or a day of the column could not be read."""
        values = block.columns[name]
        unread = pc.index(values, UNREADABLE).as_py() if is_text(values) else -1
        if unread >= 0:
            line = block.numbers[unread].as_py()
            raise FileRefused(f"{self.file.name}: line {line}: {self.headings.get(name, name)} {what}")


def open_table(
    file: InboxFile,
    layouts: Mapping[str, Layout],
    log: ReadLog,
    *,
    footer: Footer | None = None,
    encoding: str | None = None,
    fallback: str = "utf-8",
    delimiter: str | None = None,
    quoted: bool = True,
    sheet: str | None = None,
    decimal: str = ".",
) -> Table:
    """Find the header of an export: the first line with two known headings, in the layout that knows most.

    `footer` is given the cells of a line that is no row (of another width than the header; in a
    spreadsheet, with one filled cell) and says what it is, for `log.skip`, or None. `encoding` is what the
    clinic configured; without it a BOM, UTF-8, then `fallback` are tried. `delimiter` is found by the header
    where it is not given. Without `quoted`, quotes are text. Numbers that a spreadsheet holds as numbers are
    written with `decimal`, its dates as ISO 8601 (without a time at midnight).

    Notes unknown columns and the preamble in the log. Raises FileRefused, see the module.
    """
    source: _Text | _Sheet
    if file.suffix in (".xlsx", ".xlsm"):
        source = _Sheet(file, sheet, decimal)
    else:
        first = file.first_character()
        if first in ("", "<"):
            what = "is empty" if first == "" else "is a web page, no export"
            raise FileRefused(f"{file.name}: {what}; export it again")
        source = _Text(file, encoding, fallback, delimiter, quoted)
    found = source.header(layouts)
    if found is None:
        layout = next(iter(layouts.values()))
        wanted = ", ".join(_heading(layout, name) for name in layout.required or layout.headings)
        raise FileRefused(
            f"{file.name}: no header in its first {layout.within} lines (one with {wanted}); {layout.remedy}"
        )
    layout = layouts[found.language]
    places = _places(file, layout, found.cells)
    for name in layout.required:
        if name not in places:
            raise FileRefused(f"{file.name}: no column {_heading(layout, name)}; {layout.remedy}")
    ignored = {header_key(heading) for heading in layout.ignored}
    for heading in found.cells:
        key = header_key(heading)
        if key and key not in ignored and not _is_known(layout, key):
            log.unknown_columns.add(_shown(heading))
    if found.line > 1:
        log.skip("preamble", found.line - 1)
    return Table(
        file=file,
        language=found.language,
        layout=layout,
        headings={name: _shown(found.cells[place]) for name, place in places.items()},
        above=found.above,
        header_line=found.line,
        log=log,
        _places=places,
        _width=len(found.cells),
        _source=source,
        _footer=footer,
    )


# --- what kinds do with the texts --------------------------------------------------------------------


def numbers(values: pa.Array[Any], decimal: str = ".", marks: Sequence[str] = MARKS) -> pa.Array[Any]:
    """Numbers as exports print them -> digits with `.` and a leading minus.

    `decimal` is the decimal mark, "." or ","; the other one groups thousands, as do spaces and apostrophes.
    Null for a mark of "no value", UNREADABLE for anything else: `1,5` is no number with the mark ".".
    """
    values = texts(values)
    if decimal == "." and _are_plain(values):
        return values
    values = without(values, marks)
    is_number = pc.match_substring_regex(values, _NUMBER[decimal])
    is_number = pc.and_(is_number, pc.match_substring_regex(values, r"\d"))
    plain = pc.replace_substring_regex(values, _BETWEEN[decimal], "")
    if decimal == ",":
        plain = pc.replace_substring(plain, ",", ".")
    read: pa.Array[Any] = pc.if_else(is_number, plain, UNREADABLE)
    return read


def _are_plain(values: pa.Array[Any]) -> bool:
    """Whether every text is a number with `.` and no grouping: most columns are, and a cast tells fastest."""
    _, _, data = spans(values)
    if not bool(_PLAIN[data].all()):
        return False
    try:
        values.cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def percents(values: pa.Array[Any], decimal: str = ".", marks: Sequence[str] = MARKS) -> pa.Array[Any]:
    """Percentages (`12.5%`, `12,5 %`, `12.5`) -> ratios (`0.125`); else as `numbers`."""
    bare = numbers(pc.replace_substring_regex(texts(values), r"\s*%$", ""), decimal, marks)
    return by_value(bare, lambda text: text if text == UNREADABLE else _hundredth(text), pa.string())


def _hundredth(text: str) -> str:
    return f"{Decimal(text).scaleb(-2):f}"


def days(values: pa.Array[Any], formats: Sequence[str] = ()) -> pa.Array[Any]:
    """Days, or the days of times, in one of the strptime formats or ISO 8601 -> ISO 8601; else UNREADABLE."""
    if _are_iso_days(values):
        return values
    parsers = [compile_format(format_) for format_ in (*formats, "%Y-%m-%d")]

    def read(text: str) -> str | None:
        text = text.strip()
        found = next((at for parse in parsers if (at := parse(text)) is not None), None)
        return (None if text == "" else UNREADABLE) if found is None else found.date().isoformat()

    return by_value(values, read, pa.string())


def _are_iso_days(values: pa.Array[Any]) -> bool:
    try:
        first = pc.min(values.cast(pa.date32()))
    except pa.ArrowInvalid:
        return False
    # Arrow has a year 0.
    return not first.is_valid or bool(pc.greater_equal(first, pa.scalar(date.min, pa.date32())).as_py())


def moments(values: pa.Array[Any], formats: Sequence[str], zone: ZoneInfo) -> pa.Array[Any]:
    """Local times in one of the strptime formats -> times in UTC, or texts of those and UNREADABLE.

    A time that comes twice in autumn is the first one; one that spring skips has the offset of before.
    """
    values = texts(values)
    for format_ in formats:
        naive = _same_width(values, format_)
        if naive is None:
            continue
        if pc.max(pc.year(naive)).as_py() > _LAST_RULED_YEAR:
            break
        try:
            at: pa.Array[Any] = pc.assume_timezone(naive, zone.key, ambiguous="earliest")
        except pa.ArrowInvalid:  # a time that spring skips: one by one
            break
        return at.cast(pa.timestamp("us", tz="UTC"))
    parsers = [compile_format(format_) for format_ in formats]

    def read(text: str) -> str:
        found = next((at for parse in parsers if (at := parse(text)) is not None), None)
        if found is None:
            return UNREADABLE
        aware = found if found.tzinfo is not None else found.replace(tzinfo=zone)
        return aware.astimezone(UTC).isoformat()

    return by_value(values, read, pa.string())


# Arrow knows the changes of the clock that are listed, up to here, and not the rule for those after.
_LAST_RULED_YEAR = 2037
_ISO_PLACES = {"%Y": slice(0, 4), "%m": slice(5, 7), "%d": slice(8, 10)}
_ISO_PLACES |= {"%H": slice(11, 13), "%M": slice(14, 16), "%S": slice(17, 19)}


def _same_width(values: pa.Array[Any], format_: str) -> pa.Array[Any] | None:
    """Naive times, where all texts have the digits of the format at the same places; else None."""
    parts = re.findall(r"%.|[^%]", format_, re.DOTALL)
    known = [part for part in parts if part in _ISO_PLACES]
    widths = [4 if part == "%Y" else 2 if part in known else len(part.encode()) for part in parts]
    filled = values.drop_null()
    _, lengths, data = spans(filled)
    is_whole = sorted(known) in (sorted(_ISO_PLACES), sorted(_ISO_PLACES)[1:])
    if not len(filled) or not is_whole or not bool((lengths == sum(widths)).all()):
        return None
    given = data.reshape(len(filled), sum(widths))
    iso = np.empty((len(filled), 19), dtype=np.uint8)
    iso[:] = np.frombuffer(b"0000-00-00 00:00:00", dtype=np.uint8)
    at = 0
    for part, width in zip(parts, widths, strict=True):
        here = given[:, at : at + width]
        at += width
        if part in _ISO_PLACES:
            iso[:, _ISO_PLACES[part]] = here
        elif part[0] == "%" or not bool((here == np.frombuffer(part.encode(), dtype=np.uint8)).all()):
            return None
    offsets: Any = np.arange(len(filled) + 1, dtype=np.int32) * 19
    held: Any = iso
    rearranged = pa.StringArray.from_buffers(len(filled), pa.py_buffer(offsets), pa.py_buffer(held))
    try:
        naive = rearranged.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        return None
    if len(filled) == len(values):
        return naive
    spread: pa.Array[Any] = pc.replace_with_mask(pa.nulls(len(values), naive.type), values.is_valid(), naive)
    return spread


def without(values: pa.Array[Any], marks: Sequence[str] = MARKS) -> pa.Array[Any]:
    """Null where a cell holds but a mark of "no value"."""
    is_mark = pc.is_in(values, value_set=pa.array(list(marks), pa.string()))
    bare: pa.Array[Any] = pc.if_else(is_mark, pa.scalar(None, pa.string()), values)
    return bare


def constant(value: str | None, block: Block) -> pa.Array[Any]:
    """A column with one text in every row."""
    places = pa.array(np.zeros(len(block), dtype=np.int32), pa.int32())
    return pa.DictionaryArray.from_arrays(places, pa.array([value], pa.string()))


def refuse(block: Block, mask: pa.Array[Any], column: str, reason: str) -> None:
    """Quarantine the rows where `mask` is true, unless they are refused already."""
    for at in np.flatnonzero(pc.fill_null(mask, False).to_numpy(zero_copy_only=False)).tolist():
        block.refused.setdefault(at, (column, reason))


def refuse_ruined(block: Block, name: str) -> None:
    """Quarantine the rows whose id a spreadsheet has destroyed (`1,23E+10`)."""
    ruined = pc.match_substring_regex(block.columns[name], r"^\d+(?:[.,]\d+)?[eE]\+?\d+$")
    refuse(block, ruined, name, "was ruined by a spreadsheet (1,23E+10); export it as text")


def split(block: Block, mask: pa.Array[Any]) -> tuple[Block, list[Row]]:
    """The block without the rows where `mask` is true, and those rows (totals: there are few)."""
    mask = pc.fill_null(mask, False)
    if not pc.any(mask).as_py():
        return block, []
    return _filtered(block, pc.invert(mask)), list(_filtered(block, mask).rows())


def total(values: pa.Array[Any]) -> Decimal:
    """The sum of a column of `numbers`; what is null or UNREADABLE adds nothing."""
    values = values.filter(pc.not_equal(values, UNREADABLE))
    try:
        summed: Any = pc.sum(values.cast(pa.decimal128(38, 12))).as_py()
    except pa.ArrowInvalid:  # more than twelve places
        summed = sum((Decimal(str(text)) for text in values.to_pylist()), Decimal(0))
    return Decimal(f"{(summed or Decimal(0)).normalize():f}")


def _filtered(block: Block, mask: pa.Array[Any]) -> Block:
    columns = {name: values.filter(mask) for name, values in block.columns.items()}
    refused = block.refused
    if refused:
        places = np.cumsum(mask.to_numpy(zero_copy_only=False)) - 1
        refused = {int(places[at]): why for at, why in refused.items() if mask[at].as_py()}
    return Block(block.numbers.filter(mask), columns, refused)


def _filled(columns: Sequence[pa.Array[Any]]) -> pa.Array[Any] | None:
    """Which rows have a value; None when all have."""
    filled: pa.Array[Any] | None = None
    for values in columns:
        if values.null_count == 0:
            return None
        here = values.is_valid()
        filled = here if filled is None else pc.or_(filled, here)
        if pc.all(filled).as_py():
            return None
    return filled


# --- headers -----------------------------------------------------------------------------------------


@dataclass
class _Header:
    language: str
    cells: list[str]
    above: list[list[str]]
    line: int
    known: int


def _find_header(lines: Iterator[tuple[int, list[str]]], layouts: Mapping[str, Layout]) -> _Header | None:
    above: list[list[str]] = []
    for line, cells in lines:
        keys = {header_key(cell) for cell in cells} - {""}
        counts = {
            language: sum(1 for key in keys if _is_known(layout, key))
            for language, layout in layouts.items()
            if line <= layout.within
        }
        if not counts:
            return None
        language = max(counts, key=lambda name: counts[name])
        if counts[language] >= min(2, len(layouts[language].headings)):
            return _Header(language, cells, above, line, counts[language])
        above.append(cells)
    return None


def _is_known(layout: Layout, key: str) -> bool:
    return any(_rank(accepted, key) is not None for accepted in layout.headings.values())


def _rank(accepted: Sequence[str | re.Pattern[str]], key: str) -> int | None:
    for rank, heading in enumerate(accepted):
        if heading.fullmatch(key) if isinstance(heading, re.Pattern) else header_key(heading) == key:
            return rank
    return None


def _places(file: InboxFile, layout: Layout, cells: list[str]) -> dict[str, int]:
    """Our name -> which column. Raises FileRefused when two columns have the same claim to a name."""
    places: dict[str, int] = {}
    keys = [header_key(cell) for cell in cells]
    for name, accepted in layout.headings.items():
        ranked = [(rank, at) for at, key in enumerate(keys) if (rank := _rank(accepted, key)) is not None]
        if not ranked:
            continue
        first, place = min(ranked)
        if sum(1 for rank, _ in ranked if rank == first) > 1:
            raise FileRefused(f"{file.name}: has the column {_shown(cells[place])} twice; {layout.remedy}")
        places[name] = place
    return places


def _heading(layout: Layout, name: str) -> str:
    """How messages name a column."""
    first = layout.headings[name][0]
    return name if isinstance(first, re.Pattern) else first


def _shown(heading: str) -> str:
    return " ".join(heading.strip("\ufeff").split())


# --- text files --------------------------------------------------------------------------------------


@dataclass
class _Part:
    """Rows of the header's width: the lines on which they end, and all columns."""

    lines: Any
    columns: list[pa.Array[Any]]


@dataclass
class _Odd:
    """A line that is no row of the header's width."""

    number: int
    cells: list[str]


class _Text:
    """A CSV or TSV file of any encoding."""

    def __init__(
        self, file: InboxFile, encoding: str | None, fallback: str, delimiter: str | None, quoted: bool
    ) -> None:
        self._file = file
        self._encoding = encoding
        self._fallback = fallback
        self._delimiters = delimiter or _DELIMITERS
        self._quoted = quoted
        self._head = ""

    def header(self, layouts: Mapping[str, Layout]) -> _Header | None:
        within = max(layout.within for layout in layouts.values())
        lines = list(islice(self._file.lines(self._encoding, self._fallback), within))
        self._encoding = self._file.encoding
        best: _Header | None = None
        for delimiter in self._delimiters:
            found = _find_header(self._records(lines, delimiter), layouts)
            if found is not None and (best is None or found.known > best.known):
                best, self._delimiters = found, delimiter
                self._head = "".join(lines[: found.line])
        return best

    def _records(self, lines: Sequence[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if self._quoted else csv.QUOTE_NONE
        reader = csv.reader(lines, delimiter=delimiter, quoting=quoting)
        try:
            for cells in reader:
                yield reader.line_num, cells
        except csv.Error:
            return

    def parts(self, header_line: int, width: int, _footer: Footer | None) -> Iterator[_Part | _Odd]:
        odd: list[Any] = []

        def put_aside(row: Any) -> str:
            odd.append(row)
            return "skip"

        lines = _Lines(header_line)
        are_sound = not self._quoted
        with (
            _Bytes(self._file, str(self._encoding), self._head) as stream,
            ThreadPoolExecutor(max_workers=1) as ahead,
        ):
            reader = self._reader(stream, width, put_aside)
            # Parsed while the caller casts the batch before.
            coming = ahead.submit(self._next, reader)
            while (batch := coming.result()) is not None:
                coming = ahead.submit(self._next, reader)
                columns = batch.columns
                breaks, is_suspicious = _breaks(columns, self._delimiters)
                if is_suspicious and not are_sound:
                    are_sound = self._check_quotes()
                numbers_, passed = lines.take(batch.num_rows, breaks, odd)
                yield from (self._odd(number, row) for number, row in passed)
                yield _Part(numbers_, columns)
            yield from (self._odd(number, row) for number, row in lines.take(0, None, odd, is_last=True)[1])
            if stream.quotes % 2 and not are_sound:
                self._check_quotes()

    def _odd(self, line: int, row: Any) -> _Odd:
        records = self._records(row.text.splitlines(keepends=True), self._delimiters)
        return _Odd(line, next((cells for _, cells in records), [row.text]))

    def _reader(self, stream: _Bytes, width: int, put_aside: Callable[[Any], str]) -> Any:
        """Arrow's reader, None when nothing stands below the header."""
        names = [str(place) for place in range(width)]
        try:
            if not stream.peek():
                return None
            return arrow_csv.open_csv(
                stream,
                # Threads would lose the numbers of the lines that are no rows.
                read_options=arrow_csv.ReadOptions(
                    use_threads=False, block_size=_BLOCK_BYTES, column_names=names
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self._delimiters,
                    quote_char='"' if self._quoted else False,
                    newlines_in_values=self._quoted,
                    ignore_empty_lines=False,
                    invalid_row_handler=put_aside,
                ),
                convert_options=arrow_csv.ConvertOptions(
                    check_utf8=False,
                    column_types=dict.fromkeys(names, pa.string()),
                    null_values=[""],
                    strings_can_be_null=True,
                ),
            )
        except (*_BROKEN, pa.ArrowInvalid) as error:
            raise self._explained(error) from error

    def _next(self, reader: Any) -> pa.RecordBatch | None:
        if reader is None:
            return None
        try:
            batch: pa.RecordBatch = reader.read_next_batch()
        except StopIteration:
            return None
        except (*_BROKEN, pa.ArrowInvalid) as error:
            raise self._explained(error) from error
        return batch

    def _explained(self, error: Exception) -> FileRefused:
        """What is wrong, as the reader of lines says it."""
        name = self._file.name
        if isinstance(error, pa.ArrowInvalid):
            return FileRefused(
                f"{name}: a quote does not close, or a row is longer than {_BLOCK_BYTES >> 20} MB; "
                "the file is cut short or misquoted, export it again"
            )
        try:
            for _ in self._file.lines(self._encoding):
                pass
        except FileRefused as refused:
            return refused
        except zlib.error:
            pass
        return FileRefused(f"{name}: cannot be unpacked ({type(error).__name__}); copy it here again")

    def _check_quotes(self) -> bool:
        """Read the file by the strict rules of quotes. Raises FileRefused for one that does not close."""
        for _ in self._file.table(delimiter=self._delimiters, encoding=self._encoding):
            pass
        return True


def _breaks(columns: Sequence[pa.Array[Any]], delimiter: str) -> tuple[Any, bool]:
    """(line breaks within the cells of each row or None, whether a cell may have swallowed a row).

    A quote that does not close swallows what follows up to some later quote. The row then has its number of
    cells only if the swallowed text has a line break and as many delimiters as a row has.
    """
    breaks: Any = None
    is_suspicious = False
    for values in columns:
        _, _, data = spans(values)
        if not bool((data == 10).any()):
            continue
        here = pc.fill_null(pc.count_substring(values, "\n"), 0)
        broken = values.filter(pc.greater(here, 0))
        delimiters = pc.max(pc.count_substring(broken, delimiter)).as_py() or 0
        is_suspicious = is_suspicious or delimiters >= len(columns) - 1
        breaks = here.to_numpy() if breaks is None else breaks + here.to_numpy()
    return breaks, is_suspicious


class _Lines:
    """Which lines the rows of each batch end on.

    Arrow numbers only the records of another width. Those between two rows, and the line breaks within
    cells, move the rows after them down.
    """

    def __init__(self, header_line: int) -> None:
        self._records = 0
        self._breaks = header_line

    def take(
        self, rows: int, breaks: Any, odd: list[Any], *, is_last: bool = False
    ) -> tuple[Any, list[tuple[int, Any]]]:
        """(lines of the rows, (line, record) of those put aside before the last one; gone from `odd`)."""
        last = self._records + rows
        count = 0
        while count < len(odd) and (is_last or odd[count].number <= last + count):
            count += 1
        passed = odd[:count]
        del odd[:count]
        numbers_ = np.arange(self._records + 1, last + count + 1, dtype=np.int64)
        is_row = np.ones(len(numbers_), dtype=bool)
        broken = np.zeros(len(numbers_), dtype=np.int64)
        for row in passed:
            at = row.number - self._records - 1
            is_row[at] = False
            broken[at] = row.text.count("\n")
        if breaks is not None:
            broken[is_row] = breaks
        lines = numbers_ + np.cumsum(broken) + self._breaks
        self._records = last + count
        self._breaks += int(broken.sum())
        return lines[is_row], list(zip(lines[~is_row].tolist(), passed, strict=True))


class _Bytes(io.RawIOBase):
    """What follows the header, as UTF-8. Counts quotes; raises one of _BROKEN where the file is damaged."""

    def __init__(self, file: InboxFile, encoding: str, head: str) -> None:
        super().__init__()
        self.quotes = 0
        self._first = b""
        self._text: IO[str] | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        if encoding in _UTF8:
            self._bytes = file.open_binary()
            passed = self._bytes.read(len(head.encode()))
            if encoding == "utf-8-sig" and passed.startswith(codecs.BOM_UTF8):
                self._bytes.read(len(codecs.BOM_UTF8))
        else:
            self._text = file.text(encoding)
            self._text.read(len(head))

    def peek(self) -> bytes:
        """The first bytes, b"" when there are none."""
        self._first = self._first or self._chunk(_BLOCK_BYTES)
        return self._first

    def readable(self) -> bool:
        """Yes."""
        return True

    def read(self, size: int = _BLOCK_BYTES) -> bytes:
        """At most `size` bytes, b"" at the end of the file."""
        if self._first:
            chunk, self._first = self._first[:size], self._first[size:]
        else:
            chunk = self._chunk(size)
        self.quotes += chunk.count(b'"')
        return chunk

    def _chunk(self, size: int) -> bytes:
        if self._text is not None:
            # A character may take three bytes more in UTF-8.
            return self._text.read(max(1, size // 4)).encode()
        chunk = self._bytes.read(size)
        self._decoder.decode(chunk, final=not chunk)
        return chunk

    def close(self) -> None:
        """Close the file."""
        (self._bytes if self._text is None else self._text).close()
        super().close()


# --- spreadsheets ------------------------------------------------------------------------------------


class _Sheet:
    """A sheet of an XLSX workbook."""

    def __init__(self, file: InboxFile, sheet: str | None, decimal: str) -> None:
        self._file = file
        self._sheet = sheet
        self._decimal = decimal

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        for number, cells in self._file.table(sheet=self._sheet):
            yield number, [self._cell(cell) for cell in cells]

    def _cell(self, cell: Cell) -> str:
        if isinstance(cell, (int, float)) and abs(cell) >= _EXACT_LIMIT:
            return f"{cell:.14E}"
        if isinstance(cell, float):
            return cell_text(cell).replace(".", self._decimal)
        if isinstance(cell, datetime):
            return (cell.date() if cell.time() == time() else cell).isoformat()
        return cell_text(cell)

    def header(self, layouts: Mapping[str, Layout]) -> _Header | None:
        found = _find_header(self._rows(), layouts)
        if found is not None:
            while found.cells and not found.cells[-1].strip():
                found.cells.pop()
        return found

    def parts(self, header_line: int, width: int, footer: Footer | None) -> Iterator[_Part | _Odd]:
        lines: list[int] = []
        columns: list[list[str | None]] = [[] for _ in range(width)]

        def taken() -> _Part:
            part = _Part(np.array(lines, dtype=np.int64), [pa.array(v, pa.string()) for v in columns])
            lines.clear()
            for values in columns:
                values.clear()
            return part

        for number, cells in self._rows():
            if number <= header_line:
                continue
            filled = [cell for cell in cells if cell]
            if any(cells[width:]) or (
                width > 1 and len(filled) == 1 and footer is not None and footer(filled) is not None
            ):
                yield taken()
                yield _Odd(number, cells if any(cells[width:]) else filled)
                continue
            lines.append(number)
            for place, values in enumerate(columns):
                values.append((cells[place] if place < len(cells) else None) or None)
            if len(lines) == _SHEET_ROWS:
                yield taken()
        yield taken()
