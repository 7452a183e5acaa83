"""Asterisk call detail records (CDR): one row per leg of a call, from Master.csv or from the `cdr` table.

`cdr_csv` writes no header and sixteen columns in a fixed order, then uniqueid, userfield and, with
`newcdrcolumns`, peeraccount, linkedid and sequence where cdr.conf asks for them
(docs.asterisk.org/Configuration/Reporting/Call-Detail-Records-CDR). An export of the database table has a
header and names its columns. A caller's name (`clid`), what was dialled (`lastdata`) and the names of
recordings, which hold numbers, do not land.

A leg is not a call: one call rings several phones, passes queues and is handed on, and each of these is a
row. Staging folds them. What only the clinic knows (which channels are trunks, how long an extension is) is
said in clinic.yaml and decided here, so that a leg lands with its direction and with what it reached.

    python -m connectors.asterisk_cdr FILE
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.csv
from pydantic import BeforeValidator, Field, field_validator

from connectors import cli
from connectors._asterisk_cdr_legs import CHANNEL_ID, MOMENT, Legs
from connectors._cells import cell_text, header_key
from connectors._columns import texts
from connectors._settings import Encoding
from connectors.contract import Block, Column, Connector, ReadLog, Record, Row, SourceOptions, Stream
from connectors.errors import FileRefused
from connectors.files import Cell, InboxFile

# The stubs know no streams.
arrow_csv: Any = pyarrow.csv

LEGS = Stream(
    name="legs",
    description="Legs of calls, one row per call detail record.",
    columns=(
        Column("leg_key", "text", "Hash of the record's id, channels, times and outcome.", required=True),
        Column("linkedid", "text", "linkedid: the same for all legs of a call, where it is recorded."),
        Column("uniqueid", "text", "uniqueid: of the calling channel; several legs may share it."),
        Column("sequence", "integer", "sequence, where it is recorded."),
        Column("started_at", "timestamp", "start (calldate).", required=True),
        Column("ended_at", "timestamp", "start and duration.", required=True),
        Column("answered_at", "timestamp", "The end less billsec, of an answered leg."),
        Column("created_at", "timestamp", "The second in uniqueid: creation of the calling channel."),
        Column("linked_at", "timestamp", "The second in linkedid: creation of the call's first channel."),
        Column("duration_s", "integer", "duration: of the leg, from its start.", required=True),
        Column("billsec_s", "integer", "billsec: since the answer.", required=True),
        Column("disposition", "text", "disposition, upper case.", required=True),
        Column("application", "text", "lastapp: what the dial plan did last."),
        Column("direction", "text", "inbound, outbound or internal, of this leg.", required=True),
        Column(
            "reached", "text", "device, local (a Local channel), voicemail, machine, none.", required=True
        ),
        Column("is_local", "boolean", "The calling channel is a Local one, of another leg.", required=True),
        Column("phone_key", "text", "Number of the outside party (src or dst), hashed.", personal="phone"),
        Column("tracking_number", "text", "The clinic's number that was dialled, E.164."),
        Column(
            "agent", "text", "Who was rung (inbound) or rang (outbound): as in clinic.yaml, or extension."
        ),
        Column("destination", "text", "dst where it is an extension, a queue or the like."),
        Column("context", "text", "dcontext."),
        Column("channel", "text", "Technology and peer of the calling channel."),
        Column("destination_channel", "text", "Technology and peer of dstchannel."),
        Column(
            "channel_ref", "text", "The calling channel and its instance, in place of a missing uniqueid."
        ),
        Column("has_recording", "boolean", "A recording is named.", required=True),
    ),
    primary_key=("leg_key",),
    event_day="started_at",
)

# In the order in which cdr_csv.c writes them.
_WRITTEN = """
    accountcode src dst dcontext clid channel dstchannel lastapp lastdata start answer end duration billsec
    disposition amaflags
"""
_FIXED = _WRITTEN.split()
_NEW = ["peeraccount", "linkedid", "sequence"]
# The rest is what FreePBX keeps beside src and dst, and keys of tables.
_OTHERS = """
    uniqueid userfield did recordingfile calldate cnum cnam outbound_cnum outbound_cnam dst_cnam cdr_id id
    acctid
"""
_KNOWN = frozenset([*_FIXED, *_NEW, *_OTHERS.split()])
_REQUIRED = ("src", "dst", "channel", "dstchannel", "duration", "billsec", "disposition")
_CONTEXTS_FROM_OUTSIDE = """
    from-trunk* from-pstn* from-did* from-gsm* from-outside* from-external* ext-did* incoming* inbound*
"""
_REMEDY = "copy Master.csv of the exchange, or export its table cdr as CSV with a header"
_LOOKED_AT = 200
_BLOCK_LINES = 20_000
# What stands for a sheet's number with a fraction: it is an id that has lost its last zeros.
_CUT = "0E+0"
_OPEN_LINE = "last line, still being written"

Lines = Iterator[tuple[int, str]]


def _as_text(value: object) -> object:
    """Keys and values that YAML read as numbers, as text."""
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else value


class AsteriskCdrOptions(SourceOptions):
    """One exchange. Patterns are compared without case; `*` stands for anything.

    timezone: the exchange's (`UTC` with usegmtime). trunks: channels to the outside, as technology and peer
    (`SIP/beeline`, `PJSIP/trunk-*`). machines: channels that answer without a person. inbound_contexts,
    internal_contexts: values of dcontext that only calls from outside, only calls of the clinic's own phones
    have. extension_digits: length of the longest internal number. dial_prefix: what is dialled before an
    outside number. columns: of a file without a header that is not in cdr_csv's order. operators: whose an
    extension is.
    """

    encoding: Encoding | None = None
    columns: tuple[str, ...] | None = None
    trunks: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    inbound_contexts: tuple[str, ...] = tuple(_CONTEXTS_FROM_OUTSIDE.split())
    internal_contexts: tuple[str, ...] = ("from-internal*", "internal*")
    extension_digits: int = Field(default=5, ge=2, le=8)
    dial_prefix: str = Field(default="", pattern=r"^\d*$")
    recording_column: Literal["recordingfile", "userfield"] = "recordingfile"
    operators: Annotated[dict[str, str], BeforeValidator(_as_text)] = Field(default_factory=dict)

    @field_validator("columns")
    @classmethod
    def _complete(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is None:
            return None
        named = tuple(name.strip().lower() for name in value)
        if missing := _missing(named):
            raise ValueError(f"the columns must include {', '.join(missing)}")
        return named


class AsteriskCdr(Connector[AsteriskCdrOptions]):
    """Call detail records of an Asterisk exchange."""

    kind = "asterisk_cdr"
    title = "Asterisk (call detail records)"
    options = AsteriskCdrOptions
    feeds = ("calls",)

    def streams(self, source: AsteriskCdrOptions) -> tuple[Stream, ...]:
        """One stream: legs."""
        return (LEGS,)

    def read(
        self,
        file: InboxFile,
        stream: Stream,
        source: AsteriskCdrOptions,
        log: ReadLog,
    ) -> Iterator[Record]:
        """Yield legs in the file's order.

        A last line that the exchange is still writing is left for the next time. Raises FileRefused for a
        file that is no CDR.
        """
        legs = Legs(source)
        is_sheet = file.suffix in (".xlsx", ".xlsm")
        for record in _sheet(file, source, log) if is_sheet else _text(file, source, log):
            yield legs.block(record) if isinstance(record, Block) else record
        legs.report(log)


# --- lines and columns ---------------------------------------------------------------------------------


def _text(file: InboxFile, source: AsteriskCdrOptions, log: ReadLog) -> Iterator[Record]:
    """Blocks of a text file's records, and its lines that are none. Raises FileRefused."""
    # What lands is ASCII; a caller's name in another code page must not stop the file.
    lines = enumerate(file.lines(source.encoding, fallback="latin-1"), start=1)
    head = list(islice(lines, _LOOKED_AT))
    first = next((line for _, line in head if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    cells = [(number, _cells(line, delimiter)) for number, line in head if line.strip()]
    whole = _whole_lines(chain(head, lines), len(_cells(first, delimiter)), delimiter, log)
    names = _names(file, cells, source, log)
    if _is_header(cells[0][1]):
        whole = (pair for pair in whole if pair[0] > cells[0][0])
    while chunk := list(islice(whole, _BLOCK_LINES)):
        yield from _parsed(chunk, names, delimiter, log)


def _whole_lines(lines: Lines, width: int, delimiter: str, log: ReadLog) -> Lines:
    """The lines but a last one that the exchange is still writing.

    It ends every line; without that, a number at the end may lack digits and a text its quote.
    """
    is_export = None
    for number, line in lines:
        if is_export is None and line.strip():
            is_export = _is_header(_cells(line, delimiter))
        if not line.endswith(("\n", "\r")):
            is_closed = is_export or line.endswith('"')
            if not is_closed or len(_cells(line, delimiter)) != width:
                log.skip(_OPEN_LINE)
                return
        yield number, line


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return [line]


def _parsed(chunk: list[tuple[int, str]], names: list[str], delimiter: str, log: ReadLog) -> Iterator[Record]:
    """The records of some lines. A record has no line break, so a misquoted line costs only itself."""
    sound: list[tuple[int, str]] = []
    for number, line in chunk:
        if not line.strip():
            log.skip("blank line")
        elif line.count('"') % 2:
            yield _odd(number, 1, names)
        else:
            sound.append((number, line.rstrip("\r\n")))
    odd: list[tuple[int, int]] = []

    def put_aside(row: Any) -> str:
        odd.append((row.number - 1, row.actual_columns))
        return "skip"

    data = "".join(f"{line}\n" for _, line in sound).encode()
    if not data:
        return
    places = [str(at) for at in range(len(names))]
    table = arrow_csv.read_csv(
        io.BytesIO(data),
        read_options=arrow_csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=places),
        parse_options=arrow_csv.ParseOptions(delimiter=delimiter, invalid_row_handler=put_aside),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(places, pa.string()), null_values=[""], strings_can_be_null=True
        ),
    ).combine_chunks()
    for at, cells in odd:
        yield _odd(sound[at][0], cells, names)
    passed = {at for at, _ in odd}
    numbers = [number for at, (number, _) in enumerate(sound) if at not in passed]
    columns = {name: _column(table.column(at)) for at, name in enumerate(names)}
    yield Block(pa.array(numbers, pa.int64()), columns)


def _column(values: Any) -> pa.Array[Any]:
    return texts(values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values)


def _odd(number: int, cells: int, names: list[str]) -> Row:
    return Row(number, {}, ("", f"has {cells} columns where the file has {len(names)}"))


def _sheet(file: InboxFile, source: AsteriskCdrOptions, log: ReadLog) -> Iterator[Record]:
    """Blocks of a workbook's records."""
    rows = ((number, [_sheet_text(cell) for cell in cells]) for number, cells in file.table())
    filled = ((number, cells) for number, cells in rows if any(cells))
    head = list(islice(filled, 1))
    names = _names(file, head, source, log)
    records = filled if _is_header(head[0][1]) else chain(head, filled)
    while chunk := list(islice(records, _BLOCK_LINES)):
        numbers = pa.array([number for number, _ in chunk], pa.int64())
        columns: dict[str, pa.Array[Any]] = {
            name: pa.array(
                [(cells[at] if at < len(cells) else "") or None for _, cells in chunk], pa.string()
            )
            for at, name in enumerate(names)
        }
        yield Block(numbers, columns)


def _sheet_text(cell: Cell) -> str:
    return _CUT if isinstance(cell, float) and not cell.is_integer() else cell_text(cell)


def _is_header(cells: Sequence[str]) -> bool:
    names = {header_key(cell) for cell in cells}
    return {"src", "dst"} <= names or "disposition" in names


def _names(
    file: InboxFile, head: list[tuple[int, list[str]]], source: AsteriskCdrOptions, log: ReadLog
) -> list[str]:
    """The names of the columns. Raises FileRefused."""
    if not head:
        raise FileRefused(f"{file.name}: is empty; {_REMEDY}")
    line, cells = head[0]
    if _is_header(cells):
        names = [header_key(cell) for cell in cells]
        if missing := _missing(names):
            raise FileRefused(f"{file.name}: has no column {', '.join(missing)}; {_REMEDY}")
        log.unknown_columns.update(set(names) - _KNOWN - {""})
        return names
    names = _cdr_csv(head) if source.columns is None else list(source.columns)
    start = names.index("start" if "start" in names else "calldate")
    if len(cells) != len(names) or not re.match(MOMENT, cells[start]):
        raise FileRefused(
            f"{file.name}: line {line} ({len(cells)} columns) is no call detail record; {_REMEDY}, or "
            "set `columns:` of the source to those of cdr_custom"
        )
    return names


def _missing(names: Sequence[str]) -> list[str]:
    missing = [name for name in _REQUIRED if name not in names]
    return missing if {"start", "calldate"} & set(names) else ["calldate", *missing]


def _cdr_csv(head: list[tuple[int, list[str]]]) -> list[str]:
    """The columns that cdr.conf asks for: uniqueid and userfield are told apart by what they hold."""
    width = len(head[0][1])
    news = _NEW if width >= len(_FIXED) + len(_NEW) else []
    match width - len(_FIXED) - len(news):
        case 1:
            held = {cells[len(_FIXED)] for _, cells in head if len(cells) == width} - {""}
            is_id = not held or any(re.match(CHANNEL_ID, text) for text in held)
            optional = ["uniqueid" if is_id else "userfield"]
        case 2:
            optional = ["uniqueid", "userfield"]
        case _:
            optional = []
    return [*_FIXED, *optional, *news]


CONNECTOR = AsteriskCdr()

if __name__ == "__main__":
    cli.main(CONNECTOR)
