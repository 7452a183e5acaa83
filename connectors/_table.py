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

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date
from decimal import Decimal
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute

from connectors._cells import compile_format, header_key
from connectors._columns import by_value, holds, is_text, spans, text_bytes, texts
from connectors._table_files import Footer, Line, OddLine, SheetTable, TextTable
from connectors.contract import Block, ReadLog, Row
from connectors.errors import FileRefused
from connectors.files import InboxFile

# The stubs know no scalars of Python.
pc: Any = pyarrow.compute

# What stands where a number or a day could not be read: it casts to nothing, so the row is quarantined.
UNREADABLE = "?"
# What exports write into a cell that has no value.
MARKS = ("-", "--", "–", "—", "null", "NULL", "N/A", "n/a")

# A block of so long numbers has a sum that fits 64 bits.
_SUMMED_DIGITS = 12
# Bytes of numbers that need no work where `.` is the decimal mark.
_PLAIN = np.isin(np.arange(256), list(b"0123456789.-"))
# Between thousands: spaces (plain, no-break, narrow, figure, thin) and the apostrophes of Switzerland.
_SPACES = r" '\x{2019}\x{a0}\x{202f}\x{2007}\x{2009}"
_BETWEEN = {".": f"[{_SPACES},]", ",": f"[{_SPACES}.]"}
_NUMBER = {
    mark: rf"^-?(?:\d+|\d{{1,3}}(?:{between}\d{{3}})+)?(?:[{mark}]\d*)?$"
    for mark, between in _BETWEEN.items()
}


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

    @cached_property
    def _by_key(self) -> dict[str, list[tuple[str, int]]]:
        """Heading as headings are compared -> the names that it may mean, and how much each prefers it."""
        found: dict[str, list[tuple[str, int]]] = {}
        for name, accepted in self.headings.items():
            for rank, heading in enumerate(accepted):
                if isinstance(heading, str):
                    found.setdefault(header_key(heading), []).append((name, rank))
        return found

    @cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], str, int]]:
        return [
            (heading, name, rank)
            for name, accepted in self.headings.items()
            for rank, heading in enumerate(accepted)
            if isinstance(heading, re.Pattern)
        ]

    def meanings(self, key: str) -> list[tuple[str, int]]:
        """(our name, rank among its headings) of a heading, given as headings are compared."""
        found = self._by_key.get(key, [])
        matched = [(name, rank) for pattern, name, rank in self._patterns if pattern.fullmatch(key)]
        return found + matched


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
    _source: TextTable | SheetTable
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
        for part in self._source.parts(self._width, self._footer):
            if isinstance(part, OddLine):
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

    def _odd(self, line: OddLine, log: ReadLog, ended: int | None) -> int | None:
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
        is_doubtful = is_text(values) and holds(values, UNREADABLE)
        unread = pc.index(values, UNREADABLE).as_py() if is_doubtful else -1
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
    source: TextTable | SheetTable
    if file.suffix in (".xlsx", ".xlsm"):
        source = SheetTable(file, sheet, decimal)
    else:
        first = file.first_character()
        if first in ("", "<"):
            what = "is empty" if first == "" else "is a web page, no export"
            raise FileRefused(f"{file.name}: {what}; export it again")
        source = TextTable(file, encoding, fallback, delimiter, quoted)
    found = _header(source, layouts)
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
        if key and key not in ignored and not layout.meanings(key):
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
    if not bool(_PLAIN[text_bytes(values)].all()):
        return False
    try:
        values.cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def may_have_three_places(values: pa.Array[Any]) -> bool:
    """Whether some text has a point before its last three characters."""
    starts, lengths, data = spans(values)
    ends = (starts + lengths)[lengths > 3]
    return bool((data[ends - 4] == ord(".")).any())


def percents(values: pa.Array[Any], decimal: str = ".", marks: Sequence[str] = MARKS) -> pa.Array[Any]:
    """Percentages (`12.5%`, `12,5 %`, `12.5`) -> ratios (`0.125`); else as `numbers`."""
    bare = numbers(pc.replace_substring_regex(texts(values), r"\s*%$", ""), decimal, marks)
    return by_value(bare, lambda text: text if text == UNREADABLE else _hundredth(text), pa.string())


def _hundredth(text: str) -> str:
    return f"{Decimal(text).scaleb(-2):f}"


def days(values: pa.Array[Any], formats: Sequence[str] = ()) -> pa.Array[Any]:
    """Days, or the days of times, in one of the strptime formats or ISO 8601 -> ISO 8601; else UNREADABLE."""
    if are_iso_days(values):
        return values
    parsers = [compile_format(format_) for format_ in (*formats, "%Y-%m-%d")]

    def read(text: str) -> str | None:
        text = text.strip()
        found = next((at for parse in parsers if (at := parse(text)) is not None), None)
        return (None if text == "" else UNREADABLE) if found is None else found.date().isoformat()

    return by_value(values, read, pa.string())


def are_iso_days(values: pa.Array[Any]) -> bool:
    """Whether every text is a day written as ISO 8601 has it, or null."""
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
    if not holds(block.columns[name], "eE"):
        return
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
    if holds(values, UNREADABLE):
        values = values.filter(pc.not_equal(values, UNREADABLE))
    # Counts and amounts that a sum of whole numbers holds for sure.
    is_whole = not holds(values, ".") and bool((spans(values)[1] <= _SUMMED_DIGITS).all())
    try:
        summed: Any = pc.sum(values.cast(pa.int64() if is_whole else pa.decimal128(38, 12))).as_py()
    except pa.ArrowInvalid:  # more than twelve places
        summed = sum((Decimal(str(text)) for text in values.to_pylist()), Decimal(0))
    return Decimal(f"{Decimal(summed or 0).normalize():f}")


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


def _header(source: TextTable | SheetTable, layouts: Mapping[str, Layout]) -> _Header | None:
    """The first line with two known headings, read with the delimiter that gives most of them."""
    best: _Header | None = None
    how = ""
    for delimiter, lines in source.heads(max(layout.within for layout in layouts.values())):
        found = _first_header(lines, layouts)
        if found is not None and (best is None or found.known > best.known):
            best, how = found, delimiter
    if best is not None:
        source.begin(how, best.line)
    return best


def _first_header(lines: Iterator[Line], layouts: Mapping[str, Layout]) -> _Header | None:
    above: list[list[str]] = []
    for line, cells in lines:
        keys = {header_key(cell) for cell in cells} - {""}
        counts = {
            language: sum(1 for key in keys if layout.meanings(key))
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


def _places(file: InboxFile, layout: Layout, cells: list[str]) -> dict[str, int]:
    """Our name -> which column. Raises FileRefused when two columns have the same claim to a name."""
    claims: dict[str, list[tuple[int, int]]] = {}
    for place, cell in enumerate(cells):
        for name, rank in layout.meanings(header_key(cell)):
            claims.setdefault(name, []).append((rank, place))
    places: dict[str, int] = {}
    for name, ranked in claims.items():
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
