"""Tables in files, as blocks of text columns: what stands behind connectors/_table.py.

Text files go through Arrow's CSV reader, after their header and decoded to UTF-8; workbooks cell by cell.
Both give parts: rows of the header's width, or a single line that is none.
"""

from __future__ import annotations

import codecs
import csv
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, time
from itertools import chain, islice
from typing import IO, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv

from connectors._cells import cell_text
from connectors._columns import holds
from connectors.errors import FileRefused
from connectors.files import Cell, InboxFile, Utf8

# The stubs know neither scalars of Python nor streams.
pc: Any = pyarrow.compute
arrow_csv: Any = pyarrow.csv

# Cells of a line that is no row -> what the line is, None when that is not known.
Footer = Callable[[list[str]], str | None]
# (line on which it ends, cells)
Line = tuple[int, list[str]]

_BLOCK_BYTES = 1 << 21
_SHEET_ROWS = 10_000
# Spreadsheets keep fifteen digits: a longer number is not what it was, and is written so that it shows.
_EXACT_LIMIT = 10**15
_DELIMITERS = "\t;,"
_UTF8 = frozenset({"utf-8", "utf-8-sig"})
_LIKE_ASCII = _UTF8 | {"gb18030"}
BROKEN = (UnicodeError, EOFError, OSError, zlib.error, zipfile.BadZipFile)


@dataclass
class Part:
    """Rows of the header's width: the lines on which they end, and all columns."""

    lines: Any
    columns: list[pa.Array[Any]]

    def slice(self, start: int, length: int | None = None) -> Part:
        """The rows from `start` on, at most `length` of them."""
        lines = self.lines[start:] if length is None else self.lines[start : start + length]
        return Part(lines, [values.slice(start, length) for values in self.columns])


@dataclass
class OddLine:
    """A line that is no row of the header's width."""

    number: int
    cells: list[str]


def cuts_plainly(file: InboxFile, encoding: str, delimiter: str) -> bool:
    """Whether a text file is cut into cells by Arrow as the strict reader of `InboxFile.table` does it.

    Quotes must stand around whole cells, and lines end in a line feed. Arrow takes other quotes for text,
    where that reader refuses the file.
    """
    quotes = 0
    # One byte before and one behind those that are looked at.
    held = b"\n"
    try:
        # The end of the file ends a cell, as a delimiter does.
        for chunk in chain(_chunks(file, encoding), (delimiter.encode(),)):
            data = held + chunk
            held = data[-2:]
            if data.count(b"\r", 1, -1) != data.count(b"\r\n", 1):
                return False
            places = _quotes(data)
            if not _are_around_cells(data, places, quotes, delimiter):
                return False
            quotes += len(places)
    except BROKEN:
        return False
    return quotes % 2 == 0


def _are_around_cells(data: bytes, places: Any, before: int, delimiter: str) -> bool:
    """Whether quotes stand beside a delimiter, a line's end or another quote; `before` were seen already."""
    if not len(places):
        return True
    opens = (before + np.arange(len(places))) % 2 == 0
    beside = np.frombuffer(data, dtype=np.uint8)[np.where(opens, places - 1, places + 1)]
    return bool(np.isin(beside, list(f'{delimiter}"\r\n'.encode())).all())


def _chunks(file: InboxFile, encoding: str) -> Iterator[bytes]:
    """The bytes of a file, in an encoding in which quotes, delimiters and line ends are those of ASCII."""
    if encoding in _LIKE_ASCII:
        with file.open_binary() as stream:
            if encoding == "utf-8-sig":
                stream.read(len(codecs.BOM_UTF8))
            while chunk := stream.read(_BLOCK_BYTES):
                yield chunk
    else:
        with file.text(encoding) as text:
            while part := text.read(_BLOCK_BYTES):
                yield part.encode()


def _quotes(data: bytes) -> Any:
    """Where quotes stand, the first and the last byte aside."""
    if data.find(b'"', 1, -1) < 0:
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(np.frombuffer(data, dtype=np.uint8)[1:-1] == ord('"')) + 1


class TextTable:
    """A CSV or TSV file of any encoding."""

    def __init__(
        self, file: InboxFile, encoding: str | None, fallback: str, delimiter: str | None, quoted: bool
    ) -> None:
        self._file = file
        self._encoding = encoding
        self._fallback = fallback
        self._delimiters = delimiter or _DELIMITERS
        self._quoted = quoted
        self._delimiter, self._head, self._header_line = "", "", 0

    def heads(self, within: int) -> Iterator[tuple[str, Iterator[Line]]]:
        """The first lines, cut into cells by each delimiter that the file may have."""
        lines = list(islice(self._file.lines(self._encoding, self._fallback), within))
        self._encoding = self._file.encoding
        for delimiter in self._delimiters:
            yield delimiter, self._records(lines, delimiter)

    def begin(self, delimiter: str, header_line: int) -> None:
        """Settle how the file is written, and where its header ends."""
        self._delimiter = delimiter
        lines = islice(self._file.lines(self._encoding), header_line)
        self._head, self._header_line = "".join(lines), header_line

    def _records(self, lines: Sequence[str], delimiter: str) -> Iterator[Line]:
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if self._quoted else csv.QUOTE_NONE
        reader = csv.reader(lines, delimiter=delimiter, quoting=quoting)
        try:
            for cells in reader:
                yield reader.line_num, cells
        except csv.Error:
            return

    def parts(self, width: int, footer: Footer | None) -> Iterator[Part | OddLine]:
        """What stands below the header. Raises FileRefused."""
        odd: list[Any] = []

        def put_aside(row: Any) -> str:
            odd.append(row)
            return "skip"

        lines = _Lines(self._header_line)
        are_sound = not self._quoted
        with (
            Utf8Bytes(self._file, str(self._encoding), self._head) as stream,
            ThreadPoolExecutor(max_workers=1) as ahead,
        ):
            reader = self._reader(stream, width, put_aside)
            # Parsed while the caller casts the batch before.
            coming = ahead.submit(self._next, reader)
            while (batch := coming.result()) is not None:
                coming = ahead.submit(self._next, reader)
                columns = batch.columns
                breaks, is_suspicious = _breaks(columns, self._delimiter)
                if is_suspicious and not are_sound:
                    are_sound = self._check_quotes()
                numbers_, passed = lines.take(batch.num_rows, breaks, odd)
                yield from (self._odd(number, row) for number, row in passed)
                yield Part(numbers_, columns)
            yield from (self._odd(number, row) for number, row in lines.take(0, None, odd, is_last=True)[1])
            if stream.quotes % 2 and not are_sound:
                self._check_quotes()

    def _odd(self, line: int, row: Any) -> OddLine:
        # As files are cut into lines; splitlines knows more ends.
        records = self._records(list(io.StringIO(row.text, newline="")), self._delimiter)
        return OddLine(line, next((cells for _, cells in records), [row.text]))

    def _reader(self, stream: Utf8Bytes, width: int, put_aside: Callable[[Any], str]) -> Any:
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
                    delimiter=self._delimiter,
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
        except (*BROKEN, pa.ArrowInvalid) as error:
            raise self._explained(error) from error

    def _next(self, reader: Any) -> pa.RecordBatch | None:
        if reader is None:
            return None
        try:
            batch: pa.RecordBatch = reader.read_next_batch()
        except StopIteration:
            return None
        except (*BROKEN, pa.ArrowInvalid) as error:
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
        for _ in self._file.table(delimiter=self._delimiter, encoding=self._encoding):
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
        if not holds(values, "\n"):
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
        # What follows the last row at once is passed too: a file may hold no further row.
        while count < len(odd) and (is_last or odd[count].number <= last + count + 1):
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


class Utf8Bytes(io.RawIOBase):
    """What follows the header, as UTF-8. Counts quotes; raises one of BROKEN where the file is damaged."""

    def __init__(self, file: InboxFile, encoding: str, head: str) -> None:
        super().__init__()
        self.quotes = 0
        self._first = b""
        self._text: IO[str] | None = None
        self._checked = Utf8()
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
        self._checked.feed(chunk)
        return chunk

    def close(self) -> None:
        """Close the file."""
        (self._bytes if self._text is None else self._text).close()
        super().close()


# --- spreadsheets ------------------------------------------------------------------------------------


class SheetTable:
    """A sheet of an XLSX workbook."""

    def __init__(self, file: InboxFile, sheet: str | None, decimal: str) -> None:
        self._file = file
        self._sheet = sheet
        self._decimal = decimal
        self._header_line = 0

    def _rows(self) -> Iterator[Line]:
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

    def heads(self, within: int) -> Iterator[tuple[str, Iterator[Line]]]:
        """The first lines."""
        yield "", islice(self._rows(), within)

    def begin(self, delimiter: str, header_line: int) -> None:
        """Settle where the header ends."""
        self._header_line = header_line

    def parts(self, width: int, footer: Footer | None) -> Iterator[Part | OddLine]:
        """What stands below the header. Raises FileRefused."""
        lines: list[int] = []
        columns: list[list[str | None]] = [[] for _ in range(width)]

        def taken() -> Part:
            part = Part(np.array(lines, dtype=np.int64), [pa.array(v, pa.string()) for v in columns])
            lines.clear()
            for values in columns:
                values.clear()
            return part

        for number, cells in self._rows():
            if number <= self._header_line:
                continue
            filled = [cell for cell in cells if cell]
            if any(cells[width:]) or (
                width > 1 and len(filled) == 1 and footer is not None and footer(filled) is not None
            ):
                yield taken()
                yield OddLine(number, cells if any(cells[width:]) else filled)
                continue
            lines.append(number)
            for place, values in enumerate(columns):
                values.append((cells[place] if place < len(cells) else None) or None)
            if len(lines) == _SHEET_ROWS:
                yield taken()
        yield taken()
