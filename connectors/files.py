"""Inbox files as streams of bytes, text, table rows or JSON records, whatever they are packed in."""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

import ijson
import openpyxl

from connectors.errors import FileRefused

# A cell as the file gives it: text in CSV and TSV; XLSX keeps numbers, dates and booleans.
Cell = str | int | float | bool | datetime | date | time | None

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHUNK = 1 << 20
# json.loads with parse_float builds a decoder on every call: a tenth of the time of a short line.
_JSON = json.JSONDecoder(parse_float=Decimal)
# The module's default of 128 KiB refuses cells that real exports have (chat transcripts).
csv.field_size_limit(1 << 27)


class Utf8:
    """Checks that bytes are UTF-8 text, chunk by chunk."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def feed(self, chunk: bytes) -> None:
        """Take in a chunk, b"" at the end. Raises UnicodeDecodeError."""
        # Looking is much faster than decoding; a character may be cut off at the end of the chunk before.
        if not chunk or not chunk.isascii() or self._decoder.getstate()[0]:
            self._decoder.decode(chunk, final=not chunk)


@dataclass
class InboxFile:
    """A file that a source left in the inbox. `.gz` and `.zip` (of one file) are unpacked on reading."""

    path: Path
    # The encoding that was chosen, once text was read; for the load's notes.
    encoding: str | None = field(default=None, init=False)

    @property
    def name(self) -> str:
        """The file's name, as shown in messages and load records."""
        return self.path.name

    @property
    def arrived_at(self) -> datetime:
        """Modification time, UTC: the last resort of deciding which of two files is newer."""
        return datetime.fromtimestamp(self.path.stat().st_mtime_ns / 1e9, tz=UTC)

    def sha256(self) -> str:
        """Hex digest of the bytes on disk."""
        digest = hashlib.sha256()
        with self.path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()

    @property
    def suffix(self) -> str:
        """The lower-case extension below any .gz; of a .zip, its member's."""
        name = self.name.lower()
        if name.endswith(".gz"):
            name = name[:-3]
        if name.endswith(".zip"):
            name = self._zip_member()[1].lower()
        return Path(name).suffix

    def _zip_member(self) -> tuple[zipfile.ZipFile, str]:
        try:
            archive = zipfile.ZipFile(self.path)
        except zipfile.BadZipFile as error:
            raise FileRefused(f"{self.name}: not a readable zip archive; copy it here again") from error
        members = [m for m in archive.namelist() if not m.endswith("/") and not m.startswith("__MACOSX/")]
        if len(members) != 1:
            raise FileRefused(f"{self.name}: holds {len(members)} files; unpack it and drop them one by one")
        return archive, members[0]

    def open_binary(self) -> IO[bytes]:
        """The unpacked bytes. The caller closes it."""
        name = self.name.lower()
        if name.endswith(".gz"):
            return cast(IO[bytes], gzip.open(self.path, "rb"))
        if name.endswith(".zip"):
            archive, member = self._zip_member()
            return archive.open(member)
        return self.path.open("rb")

    def detect_encoding(self, fallback: str) -> str:
        """BOM, else strict UTF-8 over the whole file, else `fallback` (the kind's usual code page)."""
        text = Utf8()
        with self.open_binary() as stream:
            head = _read(stream, _CHUNK, self.name)
            for bom, encoding in _BOMS:
                if head.startswith(bom):
                    return encoding
            try:
                while head:
                    text.feed(head)
                    head = _read(stream, _CHUNK, self.name)
                text.feed(b"")
            except UnicodeDecodeError:
                return fallback
        return "utf-8"

    def text(self, encoding: str | None = None, fallback: str = "cp1251") -> IO[str]:
        """The file as text, strictly decoded; a byte that does not decode raises FileRefused on reading.

        `encoding` is what the clinic configured; without it the encoding is detected.
        """
        self.encoding = encoding or self.detect_encoding(fallback)
        try:
            codecs.lookup(self.encoding)
        except LookupError as error:
            raise FileRefused(f"{self.name}: unknown encoding {self.encoding!r}") from error
        return io.TextIOWrapper(self.open_binary(), encoding=self.encoding, newline="")

    def lines(self, encoding: str | None = None, fallback: str = "cp1251") -> Iterator[str]:
        """Text lines with their ends, strictly decoded. Raises FileRefused at an undecodable byte."""
        number = 0
        with self.text(encoding, fallback) as stream:
            try:
                for line in stream:
                    number += 1
                    yield line
            except UnicodeDecodeError as error:
                raise FileRefused(
                    f"{self.name}: line {number + 1} or later is not {self.encoding} text; "
                    "set `encoding:` of the source or save the export as UTF-8"
                ) from error
            except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, OSError) as error:
                raise _broken(self.name, error) from error

    def delimiter(self, encoding: str | None = None, fallback: str = "cp1251") -> str:
        """Of tab, semicolon and comma, the one that occurs most in the first lines of a CSV or TSV file."""
        sample = "".join(islice(self.lines(encoding, fallback), 20))
        return max("\t;,", key=sample.count) if sample else ","

    def table(
        self,
        *,
        delimiter: str | None = None,
        encoding: str | None = None,
        fallback: str = "cp1251",
        sheet: str | None = None,
    ) -> Generator[tuple[int, list[Cell]]]:
        """(line number, cells) of a CSV, TSV or XLSX file, every line of it, preamble included.

        `delimiter` is guessed from the first lines when not given: the one of tab, semicolon, comma
        that occurs most. The number is the physical line on which a row ends, as an editor shows it.
        """
        if self.suffix in (".xlsx", ".xlsm"):
            yield from self._sheet(sheet)
            return
        if delimiter is None:
            delimiter = self.delimiter(encoding, fallback)
        reader = csv.reader(self.lines(encoding, fallback), delimiter=delimiter, strict=True)
        try:
            for cells in reader:
                yield reader.line_num, list(cells)
        except csv.Error as error:
            raise FileRefused(
                f"{self.name}: line {reader.line_num}: {error}; "
                "the file is cut short or misquoted, export it again"
            ) from error

    def _sheet(self, sheet: str | None) -> Iterator[tuple[int, list[Cell]]]:
        try:
            book = openpyxl.load_workbook(self._workbook(), read_only=True, data_only=True)
        except (zipfile.BadZipFile, KeyError, OSError, ValueError, EOFError) as error:
            raise FileRefused(f"{self.name}: not a readable XLSX workbook; save it again as .xlsx") from error
        try:
            if sheet is not None and sheet not in book.sheetnames:
                raise FileRefused(f"{self.name}: no sheet {sheet!r}; it has {', '.join(book.sheetnames)}")
            pages = book[sheet] if sheet is not None else book.worksheets[0]
            # Some writers leave a wrong <dimension>, on which openpyxl would stop after one row.
            pages.reset_dimensions()
            for number, cells in enumerate(pages.iter_rows(values_only=True), start=1):
                yield number, cast(list[Cell], list(cells))
        finally:
            book.close()

    def _workbook(self) -> Path | IO[bytes]:
        """What openpyxl reads a part of at a time: the file itself, unless it is packed."""
        if type(self) is InboxFile and not self.name.lower().endswith((".gz", ".zip")):
            return self.path
        with self.open_binary() as stream:
            return io.BytesIO(stream.read())

    def json_lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """(line number, object) of newline-delimited JSON; blank lines are passed over.

        Numbers with a fraction come as Decimal. Raises FileRefused at a line that is not an object.
        """
        for number, line in enumerate(self.lines(fallback="utf-8"), start=1):
            if not line.strip():
                continue
            try:
                value = _JSON.decode(line)
            except json.JSONDecodeError as error:
                raise FileRefused(
                    f"{self.name}: line {number} is not JSON ({error.msg}); "
                    "the file is cut short or damaged, export it again"
                ) from error
            if not isinstance(value, dict):
                raise FileRefused(f"{self.name}: line {number} is not a JSON object")
            yield number, value

    def json_items(self, prefix: str) -> Iterator[tuple[int, Any]]:
        """(1-based number, item) of the JSON items under an ijson prefix ("item", "records.item").

        Streams, so memory does not grow with the file. Raises FileRefused when the JSON ends early.
        """
        with self._json_bytes() as stream, self._json_faults():
            yield from enumerate(ijson.items(stream, prefix), start=1)

    def json_head(self) -> Iterator[tuple[str, str, Any]]:
        """(name, ijson event, value) of the outermost object's members, up to its first array.

        Raises FileRefused when the JSON ends before that.
        """
        depth = 0
        with self._json_bytes() as stream, self._json_faults():
            for prefix, event, value in ijson.parse(stream):
                if event in ("end_map", "end_array"):
                    depth -= 1
                    continue
                if depth == 1 and event != "map_key":
                    yield prefix, event, value
                    if event == "start_array":
                        return
                if event in ("start_map", "start_array"):
                    depth += 1

    @contextmanager
    def _json_bytes(self) -> Iterator[Any]:
        """The unpacked bytes as UTF-8 without a byte-order mark, which a Windows shell puts before JSON."""
        with self.open_binary() as stream:
            head = _read(stream, 4, self.name)
        encoding = next((encoding for bom, encoding in _BOMS if head.startswith(bom)), None)
        with self.open_binary() as stream:
            if encoding is None:
                yield stream
            elif encoding == "utf-8-sig":
                stream.read(len(codecs.BOM_UTF8))
                yield stream
            else:
                yield _AsUtf8(io.TextIOWrapper(stream, encoding=encoding))

    @contextmanager
    def _json_faults(self) -> Iterator[None]:
        try:
            yield
        except (ijson.JSONError, UnicodeError) as error:
            if "trailing garbage" in str(error):
                raise FileRefused(
                    f"{self.name}: holds more than one JSON document; save one answer per file"
                ) from error
            raise FileRefused(
                f"{self.name}: not whole JSON ({_first_line(error)}); "
                "the file is cut short or damaged, export it again"
            ) from error
        except (EOFError, OSError, zipfile.BadZipFile) as error:
            raise _broken(self.name, error) from error

    def first_character(self) -> str:
        """The first character that is not white space (after a BOM), "" of an empty file."""
        with self.open_binary() as stream:
            head = _read(stream, 4096, self.name)
        encoding = next((encoding for bom, encoding in _BOMS if head.startswith(bom)), "utf-8")
        return head.decode(encoding, errors="replace").lstrip()[:1]


class _AsUtf8:
    """Text as the UTF-8 bytes that ijson reads."""

    def __init__(self, text: IO[str]) -> None:
        self._text = text

    def read(self, size: int = -1) -> bytes:
        return self._text.read(size).encode()


def _first_line(error: Exception) -> str:
    # ijson gives bytes, with the offending text (which may hold a patient's name) on the lines below.
    if isinstance(error, UnicodeError):
        return "not UTF-8"
    said = error.args[0] if error.args else ""
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    return text.partition("\n")[0]


def _read(stream: IO[bytes], size: int, name: str) -> bytes:
    try:
        return stream.read(size)
    except (EOFError, OSError) as error:  # BadGzipFile is an OSError
        raise _broken(name, error) from error


def _broken(name: str, error: BaseException) -> FileRefused:
    return FileRefused(f"{name}: cannot be unpacked ({type(error).__name__}); copy it here again")
