"""Visits of Yandex Metrica's Logs API, read in blocks of columns: TSV as ClickHouse writes it.

A header of field names in any order, then lines of cells between tabs, without quoting; tabs, line breaks and
backslashes within a cell are escaped, arrays stand in brackets. Metrica itself now and then gives a line of
another width (its own loader, github.com/yndx-metrika/logs_api_integration, drops those): it is quarantined.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import IO, Any, Literal, Protocol
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv

from connectors._columns import by_value
from connectors._table import refuse, refuse_ruined
from connectors.contract import Block, ReadLog, Record, Row
from connectors.errors import FileRefused
from connectors.files import InboxFile
from connectors.web import Address, clean_tag, read_address, read_host

# The stubs know neither scalars of Python nor streams.
pc: Any = pyarrow.compute
arrow_csv: Any = pyarrow.csv

Attribution = Literal[
    "lastsign",
    "last",
    "first",
    "last_yandex_direct_click",
    "cross_device_first",
    "cross_device_last",
    "cross_device_last_significant",
    "cross_device_last_yandex_direct_click",
    "automatic",
]


class Counter(Protocol):
    """The settings of a source that decide how its visits are read."""

    counter_id: str | None
    attribution: Attribution
    user_param: str | None

    @property
    def zone(self) -> ZoneInfo:
        """The counter's zone."""


# Column -> field, `ym:s:` aside. What Metrica calls referal is a referral.
_FIELDS = {
    "visit_id": "visitID",
    "counter_id": "counterID",
    "date_time": "dateTime",
    "date_time_utc": "dateTimeUTC",
    "client_id": "clientID",
    "is_new_visitor": "isNewUser",
    "pageviews": "pageViews",
    "duration_s": "visitDuration",
    "is_bounce": "bounce",
    "device": "deviceCategory",
    "city": "regionCity",
    "url": "startURL",
    "referrer_host": "referer",
    "goal_ids": "goalsID",
    "goal_times": "goalsDateTime",
    "last_traffic_source": "lastTrafficSource",
}
_BY_MODEL = {
    "traffic_source": "TrafficSource",
    "adv_engine": "AdvEngine",
    "referral_source": "ReferalSource",
    "search_engine": "SearchEngineRoot",
    "social_network": "SocialNetwork",
    "messenger": "Messenger",
    "recommendation_system": "RecommendationSystem",
    "utm_source": "UTMSource",
    "utm_medium": "UTMMedium",
    "utm_campaign": "UTMCampaign",
    "utm_content": "UTMContent",
    "utm_term": "UTMTerm",
    "direct_campaign_id": "DirectClickOrder",
    "direct_campaign": "DirectClickOrderName",
    "direct_phrase": "DirectPhraseOrCond",
    "gclid": "GCLID",
}
_PARAMETERS = {"parameter_names": "parsedParamsKey1", "parameter_values": "parsedParamsKey2"}
_REQUIRED = ("visit_id", "date_time", "client_id", "url", "traffic_source")
# Landed column -> part of the first page's address.
_PAGE = {
    "page_host": "host",
    "page_path": "path",
    "page_campaign_id": "campaign_id",
    "click_id_type": "click_id_type",
    "click_id": "click_id",
}

# What the documentation calls UTC (ym:s:dateTimeUTC, ym:s:goalsDateTime), seconds.
_UTC3 = 3 * 3600
# Years that Python's datetime has in any zone.
_MOMENT = r"^(?:19|20)\d\d-\d\d-\d\d \d\d:\d\d:\d\d$"
_NOTHING = ("", "0", "unknown", "undefined")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "0": "\0"}
_BARE_QUOTE = re.compile(r"(?<!\\)'")
_BLOCK_BYTES = 1 << 22
_BROKEN = (EOFError, OSError, zlib.error, zipfile.BadZipFile)
_REMEDY = "download a part of a Logs API request with source=visits"

_TEXT = pa.string()


def fields(source: Counter) -> list[str]:
    """The fields to ask for."""
    return list(dict.fromkeys(_wanted(source).values()))


def _wanted(source: Counter) -> dict[str, str]:
    """Column -> field's name."""
    names = {**_FIELDS, **{column: source.attribution + name for column, name in _BY_MODEL.items()}}
    if source.user_param is not None:
        names |= _PARAMETERS
    return {column: f"ym:s:{name}" for column, name in names.items()}


def read_visits(file: InboxFile, source: Counter, log: ReadLog) -> Iterator[Record]:
    """Yield the visits of one part.

    Raises FileRefused for anything else, for a part that was cut short, and where the times tell that the
    counter's zone is another than the source's.
    """
    places, width = _header(file, source, log)
    part = _Part(source)
    lines = _Lines(file, places, width)
    for block in lines.blocks(log):
        yield part.block(block)
    for number, cells in lines.odd.items():
        yield Row(number, {}, ("", f"has {cells} columns where the header has {width}"))
    part.check_zone(file, log)
    if part.macros:
        log.notes.append(f"{part.macros} visits have a tag that the ad platform did not fill in ({{…}})")


# --- lines -----------------------------------------------------------------------------------------------


def _header(file: InboxFile, source: Counter, log: ReadLog) -> tuple[dict[str, int], int]:
    """(column -> place, number of columns). Metrica's own code writes lastSign and lastsign."""
    encoding = file.detect_encoding("latin-1")
    file.encoding = encoding
    with file.text(encoding) as lines:
        line = lines.readline()
    names = [name.strip().lower() for name in line.rstrip("\r\n").split("\t")]
    if names == [""]:
        raise FileRefused(f"{file.name}: is empty; {_REMEDY}")
    if any(name.startswith("ym:pv:") for name in names):
        raise FileRefused(f"{file.name}: holds hits, not visits; {_REMEDY}")
    if not any(name.startswith("ym:s:") for name in names):
        raise FileRefused(
            f"{file.name}: its first line has no fields of visits (ym:s:…), with tabs; {_REMEDY}"
        )
    if encoding not in ("utf-8", "utf-8-sig"):
        raise FileRefused(f"{file.name}: is not UTF-8, so a spreadsheet has saved it; {_REMEDY}")
    wanted = _wanted(source)
    places = {column: names.index(name.lower()) for column, name in wanted.items() if name.lower() in names}
    missing = [wanted[column] for column in _REQUIRED if column not in places]
    if "counter_id" not in places and source.counter_id is None:
        missing.append("ym:s:counterID")
    if missing:
        raise FileRefused(f"{file.name}: has no field {', '.join(missing)}; request the logs with it")
    log.unknown_columns.update(name for name in names if name and not name.startswith("ym:s:"))
    return places, len(names)


class _Ended(io.RawIOBase):
    """A stream that remembers how what was read ends."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        self._stream = stream
        self._first = b""
        self.last = b"\n"

    def readable(self) -> bool:
        """Yes."""
        return True

    def pass_line(self) -> bool:
        """Pass over the first line; whether anything follows."""
        self._stream.readline()
        self._first = self._stream.read(_BLOCK_BYTES)
        return self._first != b""

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes."""
        if self._first:
            chunk, self._first = self._first[:size], self._first[size:]
        else:
            chunk = self._stream.read(size)
        self.last = chunk[-1:] or self.last
        return chunk

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()
        super().close()


class _Lines:
    """The lines below the header: rows in blocks by column, and what is of another width than the header."""

    def __init__(self, file: InboxFile, places: dict[str, int], width: int) -> None:
        self._file = file
        self._places = places
        self._names = [str(place) for place in range(width)]
        # Line -> cells.
        self.odd: dict[int, int] = {}

    def blocks(self, log: ReadLog) -> Iterator[Block]:
        """The rows. Raises FileRefused for a file that is damaged, or ends within a line."""
        line = 2
        with _Ended(self._file.open_binary()) as stream:
            try:
                for batch in self._batches(stream):
                    lines = np.arange(line, line + batch.num_rows + len(self.odd), dtype=np.int64)
                    lines = lines[~np.isin(lines, list(self.odd))][: batch.num_rows]
                    line = int(lines[-1]) + 1
                    columns = {column: batch.column(str(at)) for column, at in self._places.items()}
                    yield _filled(Block(pa.array(lines, pa.int64()), columns), log)
            except (pa.ArrowInvalid, *_BROKEN) as error:
                told = f"cannot be read ({type(error).__name__}); download it again"
                raise FileRefused(f"{self._file.name}: {told}") from error
            last = max(self.odd, default=0)
            if last >= line and stream.last != b"\n":
                raise FileRefused(
                    f"{self._file.name}: ends within line {last}; it is cut short, download it again"
                )

    def _batches(self, stream: _Ended) -> Iterator[pa.RecordBatch]:
        # Arrow takes a file that ends with the header for an empty one.
        if not stream.pass_line():
            return
        reader = arrow_csv.open_csv(
            stream,
            # Threads would lose the numbers of lines.
            read_options=arrow_csv.ReadOptions(
                use_threads=False, block_size=_BLOCK_BYTES, column_names=self._names
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter="\t",
                quote_char=False,
                ignore_empty_lines=False,
                invalid_row_handler=self._put_aside,
            ),
            convert_options=arrow_csv.ConvertOptions(
                check_utf8=False,
                include_columns=sorted({str(at) for at in self._places.values()}, key=int),
                column_types=dict.fromkeys(self._names, _TEXT),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        yield from (batch for batch in reader if batch.num_rows)

    def _put_aside(self, row: Any) -> str:
        # Arrow counts from the first line below the header.
        self.odd[row.number + 1] = row.actual_columns
        return "skip"


def _filled(block: Block, log: ReadLog) -> Block:
    """The block without blank lines, which Arrow gives as rows of nothing."""
    blank = block.columns["visit_id"].is_null()
    for values in block.columns.values():
        if not pc.any(blank).as_py():
            return block
        blank = pc.and_(blank, values.is_null())
    kept = pc.invert(blank)
    log.skip("blank line", pc.sum(blank).as_py())
    return Block(block.numbers.filter(kept), {n: v.filter(kept) for n, v in block.columns.items()})


# --- visits ----------------------------------------------------------------------------------------------


class _Part:
    """Makes what lands of the columns of a part; counts what speaks for another zone."""

    def __init__(self, source: Counter) -> None:
        self._source = source
        self._agreeing = 0
        self._disagreeing = 0
        self.macros = 0

    def block(self, given: Block) -> Block:
        """The visits of a block."""
        source, columns = self._source, given.columns
        block = Block(given.numbers, {})
        landed = block.columns
        visits, visitors = columns["visit_id"], columns["client_id"]
        counters = columns.get("counter_id")
        if counters is None:
            counters = pa.repeat(pa.scalar(source.counter_id, _TEXT), len(given))
        for ids in (visits, visitors):
            landed["session_id"] = ids
            refuse_ruined(block, "session_id")
        is_number = pc.match_substring_regex(visits, r"^0*[1-9]\d*$").fill_null(False)
        refuse(block, pc.invert(is_number), "session_id", "visitID is no number")
        if source.counter_id is not None:
            other = pc.not_equal(counters, source.counter_id)
            refuse(block, other, "session_id", "is a visit of another counter than the source's")
        times = columns["date_time"]
        landed["started_at"] = self._started_at(times, columns.get("date_time_utc"))
        unread = landed["started_at"].is_null()
        refuse(block, unread, "started_at", "is not a time like 2024-03-09 10:30:00")
        years = pc.utf8_slice_codeunits(times, 0, 4)
        landed["session_id"] = pc.binary_join_element_wise(counters, years, visits, ".")
        landed["visitor_id"] = pc.binary_join_element_wise("ym", _unless(visitors, ("0",)), ":")
        for name, made in _MADE.items():
            if (values := columns.get(name)) is not None:
                landed[name] = made(values)
        if source.user_param is not None:
            landed["user_ref"] = self._user_refs(columns, len(given))
        self._pages(columns["url"], landed)
        return block

    def _pages(self, urls: pa.Array[Any], landed: dict[str, pa.Array[Any]]) -> None:
        """Nearly every address of an ad has a click id of its own, so each is taken apart once."""
        encoded = urls.dictionary_encode()
        pages = [
            Address() if url is None else read_address(unescaped(url))
            for url in encoded.dictionary.to_pylist()
        ]
        for column, name in _PAGE.items():
            landed[column] = pa.array([getattr(page, name) for page in pages], _TEXT).take(encoded.indices)
        macros = pa.array([page.has_macro for page in pages], pa.bool_()).take(encoded.indices)
        self.macros += pc.sum(macros).as_py() or 0

    def _started_at(self, local: pa.Array[Any], told: pa.Array[Any] | None) -> pa.Array[Any]:
        """Starts; of the two passes of an hour that repeats, the one that dateTimeUTC tells."""
        naive = _naive(local)
        first, second = (_seconds(naive, self._source.zone, which) for which in ("earliest", "latest"))
        starts = first
        if told is not None:
            utc = _naive(told)
            is_told = pc.and_(naive.is_valid(), utc.is_valid()).to_numpy(zero_copy_only=False)
            seconds = utc.fill_null(datetime(1970, 1, 1)).cast(pa.int64()).to_numpy()  # noqa: DTZ001

            # The documentation says UTC+3 of a field whose name says UTC.
            def agree(starts: Any) -> Any:
                return is_told & ((starts == seconds - _UTC3) | (starts == seconds))

            in_first, in_second = agree(first), agree(second)
            starts = np.where(in_second & ~in_first, second, first)
            self._agreeing += int(np.count_nonzero(in_first | in_second))
            self._disagreeing += int(np.count_nonzero(is_told & ~in_first & ~in_second))
        found = pa.array(starts, pa.int64(), mask=naive.is_null().to_numpy(zero_copy_only=False))
        return found.cast(pa.timestamp("s", tz="UTC"))

    def _user_refs(self, columns: dict[str, pa.Array[Any]], rows: int) -> pa.Array[Any]:
        """The value of the visit's parameter in which the site sends its own id."""
        if not _PARAMETERS.keys() <= columns.keys():
            return pa.nulls(rows, _TEXT)
        pairs = zip(*(columns[name].to_pylist() for name in _PARAMETERS), strict=True)
        return pa.array([self._user_ref(names or "", values or "") for names, values in pairs], _TEXT)

    def _user_ref(self, names: str, values: str) -> str | None:
        found = (v for n, v in zip(items(names), items(values), strict=False) if n == self._source.user_param)
        return next((value for value in found if value), None)

    def check_zone(self, file: InboxFile, log: ReadLog) -> None:
        """Raises FileRefused when dateTime and dateTimeUTC tell that the counter's zone is another."""
        if self._disagreeing > self._agreeing:
            raise FileRefused(
                f"{file.name}: dateTime and dateTimeUTC of {self._disagreeing} visits do not meet in "
                f"{self._source.zone.key}; set `timezone:` of the source to the counter's"
            )
        if self._disagreeing:
            log.notes.append(f"dateTime and dateTimeUTC of {self._disagreeing} visits do not meet")


def _naive(texts: pa.Array[Any]) -> pa.Array[Any]:
    """Clock times, null where a text is none."""
    shaped = pc.if_else(pc.match_substring_regex(texts, _MOMENT), texts, pa.scalar(None, _TEXT))
    try:
        cast: pa.Array[Any] = shaped.cast(pa.timestamp("s"))
        return cast
    except pa.ArrowInvalid:  # 30 February

        def one(text: str) -> datetime | None:
            try:
                return datetime.fromisoformat(text)
            except ValueError:
                return None

        read: pa.Array[Any] = by_value(shaped, one, pa.timestamp("s"))
        return read


def _seconds(naive: pa.Array[Any], zone: ZoneInfo, which: str) -> Any:
    """Epoch seconds of clock times, 0 for null; a time that spring skips is when the clocks went forward."""
    at = pc.assume_timezone(naive, zone.key, ambiguous=which, nonexistent="latest")
    return at.cast(pa.int64()).fill_null(0).to_numpy()


def _unless(values: pa.Array[Any], nothing: tuple[str, ...]) -> pa.Array[Any]:
    is_nothing = pc.is_in(values, value_set=pa.array(nothing, _TEXT))
    bare: pa.Array[Any] = pc.if_else(is_nothing, pa.scalar(None, _TEXT), values)
    return bare


def _flags(values: pa.Array[Any]) -> pa.Array[Any]:
    is_flag = pc.is_in(values, value_set=pa.array(["0", "1"], _TEXT))
    flags: pa.Array[Any] = pc.if_else(is_flag, pc.equal(values, "1"), pa.scalar(None, pa.bool_()))
    return flags


def _each(cast: Callable[[str], str | None]) -> Callable[[pa.Array[Any]], pa.Array[Any]]:
    """The cast of each distinct text."""
    return lambda values: by_value(values, cast, _TEXT)


def _known(text: str) -> str | None:
    """The text; None for what Metrica writes when it has nothing to say."""
    return None if text in _NOTHING else unescaped(text)


def _host(text: str) -> str | None:
    """The host of a referring site, which is given with or without a scheme."""
    found = _known(text)
    return None if found is None else read_host(found) or read_host(f"//{found}")


def _tag(text: str) -> str | None:
    return clean_tag(unescaped(text))


def _lower_tag(text: str) -> str | None:
    kept = _tag(text)
    return None if kept is None else kept.lower()


def _first(text: str) -> str | None:
    """The first item that is known, of several systems that may have sent the visitor."""
    return next((item for item in items(text) if item and item not in _NOTHING), None)


def _goal_times(text: str) -> str | None:
    zone = timezone(timedelta(seconds=_UTC3))
    found = []
    for item in items(text):
        try:
            found.append(datetime.fromisoformat(item).replace(tzinfo=zone).astimezone(UTC).isoformat())
        except ValueError:
            return None
    return ",".join(found) or None


def _ids(values: pa.Array[Any]) -> pa.Array[Any]:
    return _unless(values, _NOTHING)


_MADE: Mapping[str, Callable[[pa.Array[Any]], pa.Array[Any]]] = {
    "traffic_source": lambda values: values.fill_null("undefined"),
    "last_traffic_source": _each(_known),
    "adv_engine": _each(_known),
    "search_engine": _each(_known),
    "social_network": _each(_known),
    "referral_source": _each(_host),
    "messenger": _each(_first),
    "recommendation_system": _each(_first),
    "utm_source": _each(_lower_tag),
    "utm_medium": _each(_lower_tag),
    "utm_campaign": _each(_tag),
    "utm_content": _each(_tag),
    "utm_term": _each(_tag),
    "direct_campaign_id": _ids,
    "direct_campaign": _each(_tag),
    "direct_phrase": _each(_tag),
    "gclid": _ids,
    "referrer_host": _each(lambda text: read_host(unescaped(text))),
    "is_new_visitor": _flags,
    "is_bounce": _flags,
    "pageviews": lambda values: values,
    "duration_s": lambda values: values,
    "device": _each(_known),
    "city": _each(_known),
    "goal_ids": _each(lambda text: ",".join(items(text)) or None),
    "goal_times": _each(_goal_times),
}


def unescaped(text: str) -> str:
    """A field of a TSV as ClickHouse writes it."""
    return text if "\\" not in text else _ESCAPE.sub(lambda m: _ESCAPES.get(m[1], m[1]), text)


def items(text: str) -> list[str]:
    """The items of an array: `[1,2]`, `['a','b']`, the same with its quotes escaped, or `[,,,telegram]`.

    A text without brackets is the only item.
    """
    if not (text.startswith("[") and text.endswith("]")):
        return [unescaped(text)] if text else []
    if "\\'" in text and not _BARE_QUOTE.search(text):
        text = unescaped(text)
    if text == "[]":
        return []
    if "'" not in text and "\\" not in text:
        return text[1:-1].split(",")
    found: list[str] = []
    item = ""
    is_quoted = False
    letters = iter(text[1:-1])
    for letter in letters:
        if letter == "\\":
            escaped = next(letters, "")
            item += _ESCAPES.get(escaped, escaped)
        elif letter == "'":
            is_quoted = not is_quoted
        elif letter == "," and not is_quoted:
            found.append(item)
            item = ""
        else:
            item += letter
    return [*found, item]
