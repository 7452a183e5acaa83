"""Report downloads of Google Ads' interface: CSV (UTF-8 with commas, or UTF-16 with tabs) and XLSX.

Title, date range, header, rows, total rows; segmented by day. Numbers are written in the number format of
the account's preferences, which no report tells: `decimal:` of the source does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute

from connectors import _table
from connectors._columns import by_value, holds, texts
from connectors._google_ads_languages import LANGUAGES, Language
from connectors._settings import DateFormat
from connectors._table import UNREADABLE, Table
from connectors.contract import Block, ReadLog, Record, Row, SourceOptions
from connectors.errors import FileRefused
from connectors.files import InboxFile

# The stubs know no scalars of Python.
pc: Any = pyarrow.compute

_DAY_REMEDY = (
    "in Google Ads open the campaigns table, choose Segment > Time > Day (in the report editor: add the row "
    "`Day`), then download as .csv"
)
_LEVELS = {
    "keyword": "keyword",
    "ad_id": "ad",
    "ad_group": "ad_group",
    "campaign_name": "campaign",
    "campaign_id": "campaign",
}
_CAMPAIGN = ("campaign_name", "campaign_id")
# Where the label of a total may stand, the likeliest first; in a report of accounts under the day.
_LABELLED = ("status", "spend_date", "campaign_name", "ad_group", "keyword", "account_name", "campaign_type")
_MEASURES = ("impressions", "clicks", "cost")
_OWN = ("account_name", "customer_id", "status", "ad_id")
# Currencies with three decimals, where `1.234` is an amount and not a mistaken thousand.
_THREE_DECIMALS = pa.array(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])
_CUSTOMER_ID = re.compile(r"\d{3}-\d{3}-\d{4}")
_ISO_RANGE = re.compile(r"(\d{4}-\d\d-\d\d)\s*[-–—]\s*(\d{4}-\d\d-\d\d)")
_MONTH_FIRST = re.compile(r"([^\W\d_]+)\.? (\d{1,2}), (\d{4})")
# `27 March 2026`, `27. März 2026`, `1er mars 2026`, `27 de marzo de 2026`.
_DAY_FIRST = re.compile(r"(\d{1,2})(?:\.|er)? (?:de )?([^\W\d_]+)\.? (?:de )?(\d{4})")
# Keywords that `_keyword` may change: with a mark, or white space other than one plain space.
_MARKED = r'["\[+\x00-\x1f\x{85}]|  |[^\PZ ]'
# Amounts are printed to the cent; their sum may be off by half a cent a row.
_ROUNDING = Decimal("0.005")


class ReportOptions(SourceOptions):
    """How the account's reports are written.

    `account` names the account where the file does not; `currency` likewise. `decimal` is the decimal mark
    of the interface's number format, `date_format` the strptime format of its Day column where that is not
    ISO.
    """

    decimal: Literal[".", ","] = "."
    date_format: DateFormat | None = None

    @property
    def own_account(self) -> str | None:
        """What the source's rows are filed under, whatever a file calls the account."""
        return self.account

    def is_other(self, named: str | None) -> bool:
        """Whether a file's customer id is not this source's."""
        return False


def report_records(file: InboxFile, source: ReportOptions, log: ReadLog) -> Iterator[Record]:
    """Yield a download's rows in blocks.

    Raises FileRefused for a report without days, without an account or currency, of a kind whose rows
    overlap, in an unknown language or number format, and for one whose rows add up to less than the total
    it prints.
    """
    layouts = {name: language.layout for name, language in LANGUAGES.items()}
    return _Report(_table.open_table(file, layouts, log, decimal=source.decimal), source, log).records()


def account_id(raw: Any) -> str | None:
    """An id as text; a customer id without the hyphens that only the interface prints."""
    if raw is None:
        return None
    text = str(raw)
    return text.replace("-", "") if _CUSTOMER_ID.fullmatch(text) else text


class _Report:
    """One download: what its header says, and its rows."""

    def __init__(self, table: Table, source: ReportOptions, log: ReadLog) -> None:
        self._table = table
        self._source = source
        self._log = log
        self._language = LANGUAGES[table.language]
        self._level = next((level for name, level in _LEVELS.items() if name in table.headings), "account")
        self._measures = [name for name in _MEASURES if name in table.headings]
        self._sums = dict.fromkeys(self._measures, Decimal(0))
        self._read = 0
        self._accounts: set[str] = set()
        self._require_columns()
        log.covers = _covers([cell for cells in table.above for cell in cells], self._language)

    def _require_columns(self) -> None:
        have, name, source = self._table.headings, self._table.file.name, self._source
        if "partial" in have:
            raise FileRefused(
                f"{name}: a report by {have['partial']!r} repeats spend or leaves some out; "
                "download the campaigns report instead"
            )
        if "spend_date" not in have:
            raise FileRefused(f"{name}: no Day column, so spend cannot be dated; {_DAY_REMEDY}")
        if "currency" not in have and source.currency is None:
            raise FileRefused(
                f"{name}: no column Currency code; add it to the report or set `currency:` of the source"
            )
        if source.own_account is None and not {"customer_id", "account_name"} & have.keys():
            raise FileRefused(
                f"{name}: names no account; set `account:` of the source (one source per account)"
            )

    def records(self) -> Iterator[Record]:
        # What looks like a total is one only at the end: before a row it is a campaign of that name.
        held: list[Block] = []
        totals: list[Row] = []
        for whole in self._table.blocks():
            block = Block(whole.numbers, {name: self._text(values) for name, values in whole.columns.items()})
            block, nameless = _table.split(block, self._is_nameless(block))
            totals += nameless
            last = _last(pc.invert(self._is_labelled(block)))
            if last < 0:
                held += [block] if len(block) else []
                continue
            for early in (*held, block.slice(0, last + 1)):
                yield self._filled(early)
            held = [rest] if len(rest := block.slice(last + 1)) else []
        tail = [row for block in held for row in block.rows()]
        if not totals and all(self._is_day(row.values.get("spend_date")) for row in tail):
            # Totals of days come with one over all days; without it these are campaigns of that name.
            for block in held:
                yield self._filled(block)
            tail = []
        self._check_totals(sorted(totals + tail, key=lambda row: row.number))

    def _text(self, values: Any) -> Any:
        return _table.without(texts(values), ("--",))

    def _is_nameless(self, block: Block) -> Any:
        """Rows of a report of campaigns without a campaign."""
        columns = [block.columns[name] for name in _CAMPAIGN if name in block.columns]
        if not columns:
            # An account's total has no day, or its label under it.
            day = block.columns["spend_date"]
            return pc.or_kleene(day.is_null(), self._begins_total(day))
        is_nameless = columns[0].is_null()
        for values in columns[1:]:
            is_nameless = pc.and_(is_nameless, values.is_null())
        return is_nameless

    def _is_labelled(self, block: Block) -> Any:
        """Rows whose label is that of a total, though something stands under Campaign: the label itself."""
        found = pa.array([False] * len(block))
        for name in _LABELLED:
            if name in block.columns:
                found = pc.or_(found, pc.fill_null(self._begins_total(block.columns[name]), False))
        return found

    def _begins_total(self, values: Any) -> Any:
        return pc.match_substring_regex(values, self._language.total_pattern)

    def _filled(self, block: Block) -> Block:
        """A block whose columns are those of the stream."""
        columns = block.columns
        columns["currency"] = self._currencies(block)
        columns["account"] = self._account(block)
        for name in self._measures:
            columns[name] = self._number(block, name)
        if "keyword" in columns:
            columns["keyword"] = _keywords(columns["keyword"])
        columns["report_level"] = _table.constant(self._level, block)
        negative = pc.starts_with(columns["cost"], "-")
        why = "is negative, which spend never is; credits belong into a cost sheet"
        _table.refuse(block, negative, "cost", why)
        columns["spend_date"] = self._days(block)
        for name in _OWN:
            columns.pop(name, None)
        for name in self._measures:
            self._sums[name] += _table.total(columns[name])
        self._read += len(block)
        return block

    def _is_day(self, text: Any) -> bool:
        return text is not None and self._day(text) != UNREADABLE

    def _day(self, text: str) -> str:
        for read in (self._formatted, date.fromisoformat):
            try:
                return read(text).isoformat()
            except ValueError:
                continue
        spelled = _spelled_day(text, self._language)
        return UNREADABLE if spelled is None else spelled.isoformat()

    def _formatted(self, text: str) -> date:
        if self._source.date_format is None:
            raise ValueError
        return datetime.strptime(text, self._source.date_format).date()  # noqa: DTZ007 - a day

    def _days(self, block: Block) -> Any:
        found = block.columns["spend_date"]
        if self._source.date_format is not None or not _table.are_iso_days(found):
            found = by_value(found, self._day, pa.string())
        unread = pc.equal(found, UNREADABLE)
        _table.refuse(block, unread, "spend_date", "is not a day; set `date_format:` of the source")
        if self._log.covers is not None:
            first, last = (day.isoformat() for day in self._log.covers)
            outside = pc.or_(pc.less(found, first), pc.greater(found, last))
            _table.refuse(block, outside, "spend_date", "lies outside the date range that the report prints")
        return found

    def _number(self, block: Block, name: str) -> Any:
        read = _table.numbers(block.columns[name], self._source.decimal)
        block.columns[name] = read
        self._table.require(block, name, self._wrong_mark())
        if name != "cost":
            if holds(read, "."):
                line = block.numbers[pc.index(pc.match_substring(read, "."), True).as_py()].as_py()
                heading = self._table.headings[name]
                raise FileRefused(f"{self._table.file.name}: line {line}: {heading} {self._wrong_mark()}")
            return read
        if not _table.may_have_three_places(read):
            return read
        is_doubtful = pc.and_(
            pc.match_substring_regex(read, r"\.\d{3}$"),
            pc.invert(pc.is_in(block.columns["currency"], value_set=_THREE_DECIMALS)),
        )
        if (place := pc.index(pc.fill_null(is_doubtful, False), True).as_py()) >= 0:
            raise FileRefused(
                f"{self._table.file.name}: line {block.numbers[place].as_py()}: "
                f"{self._table.headings[name]} has three decimals, so its dot or comma may group thousands; "
                "set `decimal:` of the source to the interface's number format"
            )
        return read

    def _wrong_mark(self) -> str:
        return (
            f"is not written as a number with the decimal mark {self._source.decimal!r}; "
            "set `decimal:` of the source to the interface's number format"
        )

    def _currencies(self, block: Block) -> Any:
        told, configured = block.columns.get("currency"), self._source.currency
        if told is None:
            return pa.array([configured] * len(block), pa.string())
        return told if configured is None else pc.fill_null(told, configured)

    def _account(self, block: Block) -> Any:
        ids, names, own = (
            block.columns.get("customer_id"),
            block.columns.get("account_name"),
            self._source.own_account,
        )
        if ids is not None:
            ids = by_value(ids, account_id, pa.string())
        named = ids if names is None else (names if ids is None else pc.coalesce(ids, names))
        if own is None:
            return named
        if ids is not None and any(map(self._source.is_other, pc.unique(ids).to_pylist())):
            raise FileRefused(
                f"{self._table.file.name}: is of another account than `customer_id:` of the source; "
                "put it into the folder of a source of its own"
            )
        if named is not None:
            self._accounts |= set(pc.unique(named.drop_null()).to_pylist())
        if len(self._accounts) > 1:
            raise FileRefused(
                f"{self._table.file.name}: holds several accounts, but the source is `account: {own}`; "
                "download one account, or drop `account:` of the source"
            )
        return _table.constant(own, block)

    def _check_totals(self, totals: list[Row]) -> None:
        """Keep the printed totals, and compare the rows with the one that speaks for them."""
        first: str | None = None
        for row in totals:
            self._log.skip("total row")
            label = self._label(row)
            # A total of one day or device repeats what the whole total says.
            parts = [row.values.get(name) for name in ("spend_date", "device", "network")]
            if any(part not in (None, label) for part in parts):
                continue
            for name in self._measures:
                number = _table.numbers(pa.array([row.values.get(name)], pa.string()), self._source.decimal)[
                    0
                ]
                if number.as_py() not in (None, UNREADABLE):
                    self._log.control_totals[label, name] = Decimal(number.as_py())
            if first is None and self._language.is_of_all(self._language.scope(label)):
                first = label
        printed = None if first is None else self._log.control_totals.get((first, "cost"))
        if printed is None:
            return
        summed, rounding = self._sums["cost"], _ROUNDING * (self._read + 1)
        if printed - summed > rounding:
            raise FileRefused(
                f"{self._table.file.name}: its rows add up to {summed}, but it prints {printed} as "
                f"{first!r}; rows are missing, download it again"
            )
        if summed - printed > rounding:
            self._log.notes.append(f"rows add up to {summed}, {first!r} says {printed}")

    def _label(self, row: Row) -> str:
        told = [row.values.get(name) for name in _LABELLED]
        begins = re.compile(rf"{self._language.total}\s*:", re.IGNORECASE)
        return next((text for text in told if text is not None and begins.match(text)), "total")


def _last(mask: Any) -> int:
    """The place of the last true value, -1 when there is none."""
    places = pc.indices_nonzero(mask)
    return int(places[-1].as_py()) if len(places) else -1


def _covers(above: list[str], language: Language) -> tuple[date, date] | None:
    """The date range that the lines above the header print; None for all time or an unknown form."""
    for text in (cell.strip() for cell in reversed(above)):
        if language.all_time and text.casefold() == language.all_time:
            return None
        if (iso := _ISO_RANGE.fullmatch(text)) is not None:
            return date.fromisoformat(iso[1]), date.fromisoformat(iso[2])
        if (single := _spelled_day(text, language)) is not None:
            return single, single
        for dash in (" - ", " – ", " — "):
            since, found, until = text.partition(dash)
            first, last = _spelled_day(since, language), _spelled_day(until, language)
            if found and first is not None and last is not None:
                return first, last
    return None


def _spelled_day(text: str, language: Language) -> date | None:
    """A day written out: `March 27, 2026`, `Mar 27, 2026`, or the day first."""
    if (match := _MONTH_FIRST.fullmatch(text.strip())) is not None:
        name, day, year = match.groups()
    elif (match := _DAY_FIRST.fullmatch(text.strip())) is not None:
        day, name, year = match.groups()
    else:
        return None
    month = language.months.get(name.casefold())
    try:
        return None if month is None else date(int(year), month, int(day))
    except ValueError:
        return None


def _keywords(values: pa.Array[Any]) -> Any:
    """Keywords without their marks; most exports have none."""
    is_marked = pc.fill_null(pc.match_substring_regex(values, _MARKED), False)
    if not pc.any(is_marked).as_py():
        return values
    return pc.replace_with_mask(values, is_marked, by_value(values.filter(is_marked), _keyword, pa.string()))


def _keyword(text: str) -> str | None:
    """`"phrase"`, `[exact]` and `+broad +modified` without their marks."""
    if len(text) > 1 and text[0] + text[-1] in ('""', "[]"):
        text = text[1:-1]
    return " ".join(word.removeprefix("+") for word in text.split()) or None
