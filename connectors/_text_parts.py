"""Text files as parts of whole columns, read as strictly as line by line.

Python's reader of CSV decides what a file holds: its rules of quotes, its line numbers, its errors. A part is
cut by Arrow only where both read the same: its quotes stand at the ends of cells, its lines end alike, and
every line has as many cells. Anything else goes through Python's reader, part by part.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import deque
from collections.abc import Iterator
from itertools import islice, zip_longest
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv

from connectors._columns import holds
from connectors._table_files import BROKEN, Part, Utf8Bytes
from connectors.errors import FileRefused
from connectors.files import InboxFile

# The stubs know neither scalars of Python nor streams.
pc: Any = pyarrow.compute
arrow_csv: Any = pyarrow.csv

_PART_BYTES = 1 << 21
_QUOTE = ord('"')


class TextParts:
    """The lines of a CSV or TSV file below its header, of any number of cells.

    `encoding` is the one that was found when the header was read, `cells` the number of cells of the header.
    """

    def __init__(self, file: InboxFile, encoding: str, delimiter: str, header_line: int, cells: int) -> None:
        self._file = file
        self._encoding = encoding
        self._delimiter = delimiter
        self._line = header_line
        self._cells = cells
        # Arrow knows delimiters of one byte.
        self._is_plain = len(delimiter.encode()) == 1 and delimiter not in '"\r\n'

    def parts(self) -> Iterator[Part]:
        """Columns of text, null where a cell is empty or missing; all columns that some line of the part has.

        Raises FileRefused, as reading line by line does.
        """
        try:
            head = "".join(islice(self._file.lines(self._encoding), self._line))
            with Utf8Bytes(self._file, self._encoding, head) as stream:
                yield from self._parts(stream)
        except (*BROKEN, csv.Error) as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> FileRefused:
        """The first thing wrong in the file, in the words of the reader of lines."""
        for _ in self._file.table(delimiter=self._delimiter, encoding=self._encoding):
            pass
        return FileRefused(f"{self._file.name}: cannot be read ({type(error).__name__}); copy it here again")

    def _parts(self, stream: Utf8Bytes) -> Iterator[Part]:
        rest = b""
        while True:
            chunk = stream.read(_PART_BYTES)
            text = rest + chunk
            if not text:
                return
            end = len(text) if not chunk else _end_of_rows(text)
            part = self._cut(text[:end]) if end else None
            if part is not None:
                rest = text[end:]
                yield part
                continue
            lines = _Lines(text, stream)
            if (part := self._read(lines)) is not None:
                yield part
            rest = lines.rest()

    # --- by Arrow ------------------------------------------------------------------------------------

    def _cut(self, text: bytes) -> Part | None:
        """The rows of a text, None unless Arrow reads it as Python does."""
        if not self._is_plain or not _is_regular(text, self._delimiter):
            return None
        names = [str(place) for place in range(self._cells)]
        try:
            table = arrow_csv.read_csv(
                pa.py_buffer(text),
                read_options=arrow_csv.ReadOptions(
                    use_threads=False, block_size=len(text) + 1, column_names=names
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self._delimiter, newlines_in_values=True, ignore_empty_lines=False
                ),
                convert_options=arrow_csv.ConvertOptions(
                    check_utf8=False,
                    column_types=dict.fromkeys(names, pa.string()),
                    null_values=[""],
                    strings_can_be_null=True,
                ),
            )
        except pa.ArrowInvalid:  # a line of more or fewer cells
            return None
        columns = [values.combine_chunks() for values in table.columns]
        lines = np.arange(1, table.num_rows + 1, dtype=np.int64) + self._line
        for values in columns:
            if holds(values, "\n"):
                breaks = pc.fill_null(pc.count_substring(values, "\n"), 0)
                lines += np.cumsum(breaks.to_numpy(zero_copy_only=False))
        self._line = int(lines[-1]) if len(lines) else self._line
        return Part(lines, columns)

    # --- by Python -----------------------------------------------------------------------------------

    def _read(self, lines: _Lines) -> Part | None:
        """The rows that begin in what was read so far, None when there are none. Raises csv.Error."""
        reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
        numbers: list[int] = []
        rows: list[list[str]] = []
        for cells in reader:
            numbers.append(reader.line_num)
            rows.append(cells)
            if lines.are_passed:
                break
        if not rows:
            return None
        counts = np.bincount([len(cells) for cells in rows])
        # What most lines have, so that the next part may be plain.
        self._cells = max(1, int(counts.argmax()))
        columns: list[pa.Array[Any]] = [
            pa.array([cell or None for cell in cells], pa.string()) for cells in zip_longest(*rows)
        ]
        part = Part(np.array(numbers, dtype=np.int64) + self._line, columns)
        self._line += numbers[-1]
        return part


class _Lines:
    """Lines with their ends: those of a text, and as many more as the last row takes."""

    def __init__(self, text: bytes, stream: Utf8Bytes) -> None:
        self._stream = stream
        self._lines: deque[str] = deque()
        self._tail = text
        self._split()

    def _split(self) -> None:
        """Take the whole lines off the tail; a carriage return at its end may be half of a line's end."""
        end = max(self._tail.rfind(b"\n"), self._tail.rfind(b"\r", 0, max(0, len(self._tail) - 1))) + 1
        self._lines.extend(io.StringIO(self._tail[:end].decode(), newline=""))
        self._tail = self._tail[end:]

    @property
    def are_passed(self) -> bool:
        """Whether all whole lines that were read so far are given out."""
        return not self._lines

    def rest(self) -> bytes:
        """What was read and not given out."""
        return "".join(self._lines).encode() + self._tail

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        while not self._lines:
            chunk = self._stream.read(_PART_BYTES)
            self._tail += chunk
            if chunk:
                self._split()
                continue
            if not self._tail:
                raise StopIteration
            self._lines.extend(io.StringIO(self._tail.decode(), newline=""))
            self._tail = b""
        return self._lines.popleft()


def _end_of_rows(text: bytes) -> int:
    """Where the last whole row of a regular text ends, 0 when it has none."""
    end = text.rfind(b"\n") + 1
    if b'"' not in text:
        return end
    quotes = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == _QUOTE)
    # Within quotes a line's end is part of a cell.
    while end and int(np.searchsorted(quotes, end)) % 2:
        end = text.rfind(b"\n", 0, end - 1) + 1
    return end


def _is_regular(text: bytes, delimiter: str) -> bool:
    """Whether lines end with a line feed or both, and quotes only enclose cells and double within them."""
    if text.startswith(codecs.BOM_UTF8) or (b"\r" in text and text.count(b"\r") != text.count(b"\r\n")):
        return False
    if b'"' not in text:
        return True
    data = np.frombuffer(text, dtype=np.uint8)
    quotes = np.flatnonzero(data == _QUOTE)
    if len(quotes) % 2:
        return False
    ends = np.zeros(256, dtype=bool)
    ends[[ord(delimiter), ord("\n"), _QUOTE]] = True
    opening, closing = quotes[0::2], quotes[1::2]
    opening = opening[1:] if opening[0] == 0 else opening
    closing = closing[:-1] if closing[-1] == len(text) - 1 else closing
    ends_before = ends[data[opening - 1]]
    ends[ord("\r")] = True
    return bool(ends_before.all() and ends[data[closing + 1]].all())
