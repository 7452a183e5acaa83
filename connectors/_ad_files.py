"""What the exports of ad platforms have in common: days and hours, accounts, currencies, amounts, totals."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute

from connectors import _table
from connectors._cells import compile_format
from connectors._columns import by_value, holds
from connectors._settings import DateFormat
from connectors._table import MARKS, UNREADABLE, Table
from connectors.contract import Block, Column, ReadLog, Row, SourceOptions, Stream
from connectors.errors import FileRefused

pc: Any = pyarrow.compute

TAX_BASIS = {True: "incl", False: "excl", None: "unknown"}
NEGATIVE = "is negative, which spend never is; credits belong into a cost sheet"

_DIMENSIONS = (
    Column("campaign_id", "text", "Campaign id."),
    Column("campaign_name", "text", "Campaign name as reported."),
    Column("campaign_type", "text", "Campaign type as reported."),
    Column("ad_group_id", "text", "Ad group id."),
    Column("ad_group", "text", "Ad group name."),
    Column("ad_id", "text", "Ad id."),
    Column("ad_name", "text", "Ad name."),
    Column("keyword_id", "text", "Keyword id."),
    Column("keyword", "text", "Keyword text."),
    Column("match_type", "text", "Match type as reported."),
    Column("device", "text", "Device as reported."),
    Column("network", "text", "Network as reported."),
)
_MEASURES = ("impressions", "clicks", "cost")
_LEVELS = (
    ("keyword", ("keyword", "keyword_id")),
    ("ad", ("ad_id", "ad_name")),
    ("ad_group", ("ad_group", "ad_group_id")),
    ("campaign", ("campaign_name", "campaign_id")),
)
_ACCOUNTS = ("account_id", "account_number", "account_name")
# Currencies with three decimals, where `1.234` is an amount and not a mistaken thousand.
_THREE_DECIMALS = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})
# A day, maybe a time of day, maybe an hour behind a bar: `3/15/2020 12:00:00 AM|7`, `2020-03-15|7`.
_STAMP = re.compile(
    r"(?P<day>[^ T|]+)"
    r"(?:[ T](?P<time>\d{1,2}):\d\d(?::\d\d(?:\.\d+)?)?(?: ?(?P<half>[AP]M))?(?:Z|[+-]\d\d:?\d\d)?)?"
    r"(?:\|(?P<hour>\d{1,2}))?"
)
_TOTAL = re.compile(r"\s*(?:overall )?total\b", re.IGNORECASE)
# Amounts are printed to the cent; their sum may be off by half a cent a row.
_ROUNDING = Decimal("0.005")


class AdFileOptions(SourceOptions):
    """One ad account, read from its exports.

    `account` names it where the file does not; `currency` likewise. `decimal` is the decimal mark of the
    export, `date_format` the strptime format of its days where they are not as the vendor writes them.
    `include_vat` says whether spend contains VAT, once an invoice has told.
    """

    decimal: Literal[".", ","] = "."
    date_format: DateFormat | None = None
    include_vat: bool | None = None


def spend_stream(dimensions: Sequence[str], restatement_days: int) -> Stream:
    """The stream ad_spend with these dimensions besides day, hour, account and level."""
    chosen = tuple(column for column in _DIMENSIONS if column.name in dimensions)
    return Stream(
        name="ad_spend",
        description="Spend by day or hour, one row per line of the report.",
        columns=(
            Column("spend_date", "date", "Day of the report.", required=True),
            Column("hour", "integer", "Hour of the day, 0 to 23, of reports that tell it."),
            Column("account", "text", "`account` of the source, else the file's account.", required=True),
            Column("report_level", "text", "account, campaign, ad_group, ad or keyword.", required=True),
            *chosen,
            Column("impressions", "integer", "Impressions."),
            Column("clicks", "integer", "Clicks."),
            Column("cost", "decimal", "Spend in the account's currency.", required=True),
            Column("currency", "text", "ISO 4217 code of the account.", required=True),
            Column("tax_basis", "text", "incl or excl from `include_vat` of the source, else unknown."),
        ),
        primary_key=("spend_date", "hour", "account", "report_level", *(column.name for column in chosen)),
        event_day="spend_date",
        mode="report",
        replaces=("account", "report_level"),
        restatement_days=restatement_days,
    )


def level_of(names: Collection[str]) -> str:
    """The level of a report with these columns: the deepest that it names."""
    return next((level for level, columns in _LEVELS if not set(columns).isdisjoint(names)), "account")


def stamp(text: str, formats: Sequence[str]) -> tuple[date, int | None] | None:
    """(day, hour where the text tells one) of `2020-03-15`, `3/15/2020 12:00:00 AM|7` and the like."""
    text = text.strip()
    whole = text.replace("\u202f", " ")
    match = _STAMP.fullmatch(whole)
    for format_ in (*formats, "%Y-%m-%d"):
        parse = compile_format(format_)
        if (at := parse(whole)) is not None:
            return at.date(), None
        if match is None or (at := parse(match["day"])) is None:
            continue
        hour = match["hour"] or match["time"]
        if hour is None:
            return at.date(), None
        told = int(hour)
        if match["hour"] is None and match["half"]:
            told = told % 12 + (12 if match["half"] == "PM" else 0)
        return (at.date(), told) if told < 24 else None
    return None


class Spend:
    """The rows of an export as the stream ad_spend has them, added up and compared with what it prints.

    `formats` are the strptime formats of the vendor's days. `is_guarded` refuses amounts with three decimals,
    which may be thousands under the wrong `decimal:`.
    """

    def __init__(
        self,
        table: Table,
        source: AdFileOptions,
        log: ReadLog,
        *,
        formats: Sequence[str],
        is_guarded: bool,
    ) -> None:
        self._table = table
        self._source = source
        self._log = log
        self._is_guarded = is_guarded
        self._formats = (source.date_format,) if source.date_format else tuple(formats)
        # A spreadsheet's numbers are numbers, however the text export is written.
        self._decimal = "." if table.file.suffix in (".xlsx", ".xlsm") else source.decimal
        self.level = level_of(table.headings)
        self.rows = 0
        self.days: set[str] = set()
        self._cost = Decimal(0)
        self._totals: list[Row] = []
        self._accounts: set[str] = set()
        self._currencies: set[str] = set()
        self._heading_currency = table.match("cost").get("currency", "").upper() or None
        self._require()

    @property
    def totals(self) -> int:
        """How many rows of totals there were."""
        return len(self._totals)

    def _refused(self, what: str) -> FileRefused:
        return FileRefused(f"{self._table.file.name}: {what}")

    def _require(self) -> None:
        have, source = self._table.headings, self._source
        if source.account is None and set(_ACCOUNTS).isdisjoint(have):
            raise self._refused("names no account; set `account:` of the source (one source per account)")
        stated = self._heading_currency
        if stated and source.currency and stated != source.currency:
            raise self._refused(f"is in {stated}, not in {source.currency}; mend `currency:` of the source")
        if "currency" not in have and stated is None and source.currency is None:
            raise self._refused("tells no currency; set `currency:` of the source, or add the column")

    def blocks(self) -> Iterator[Block]:
        """The export's rows, without totals. Raises FileRefused."""
        for whole in self._table.blocks():
            block, totals = self._split(whole)
            self._totals += totals
            if not len(block):
                continue
            self._days(block)
            self._account(block)
            self._currency(block)
            self._amounts(block)
            self._ids(block)
            for name, value in (
                ("report_level", self.level),
                ("tax_basis", TAX_BASIS[self._source.include_vat]),
            ):
                block.columns[name] = _table.constant(value, block)
            self.rows += len(block)
            yield block
        if self._totals:
            self._compare()

    def _split(self, whole: Block) -> tuple[Block, list[Row]]:
        """The rows, and the totals among them."""
        day = whole.columns["spend_date"]
        if not day.null_count and _table.are_iso_days(day):
            return whole, []
        dayless = pc.or_(
            _table.without(day).is_null(), pc.match_substring_regex(pc.fill_null(day, ""), "(?i)total")
        ).to_numpy(zero_copy_only=False)
        is_total = np.zeros(len(whole), dtype=bool)
        for at in np.flatnonzero(dayless).tolist():
            (row,) = whole.slice(at, 1).rows()
            is_total[at] = _is_total(row.values)
        return _table.split(whole, pa.array(is_total))

    def _days(self, block: Block) -> None:
        raw = block.columns["spend_date"]
        days = _table.days(_table.without(raw), ())
        if pc.any(pc.equal(days, UNREADABLE)).as_py():
            days = by_value(_table.without(raw), self._day, pa.string())
            if "hour" not in block.columns:
                block.columns["hour"] = by_value(_table.without(raw), self._hour, pa.string())
        block.columns["spend_date"] = days
        self._table.require(
            block, "spend_date", "is not a day; set `date_format:` of the source to the report's format"
        )
        self.days |= set(pc.unique(days.drop_null()).to_pylist())
        covers = self._log.covers
        if covers is not None:
            outside = pc.or_(pc.less(days, covers[0].isoformat()), pc.greater(days, covers[1].isoformat()))
            why = "lies outside the date range that the report prints"
            _table.refuse(block, outside, "spend_date", why)

    def _day(self, text: str) -> str:
        found = stamp(text, self._formats)
        return UNREADABLE if found is None else found[0].isoformat()

    def _hour(self, text: str) -> str | None:
        found = stamp(text, self._formats)
        return None if found is None or found[1] is None else str(found[1])

    def _account(self, block: Block) -> None:
        named: Any = None
        for name in _ACCOUNTS:
            values = block.columns.pop(name, None)
            if values is not None:
                named = _table.without(values) if named is None else pc.coalesce(named, values)
        own = self._source.account
        if named is not None:
            named = _without_brackets(named)
            self._accounts |= set(pc.unique(named.drop_null()).to_pylist())
        if own is not None and len(self._accounts) > 1:
            raise self._refused(
                f"holds several accounts, but the source is `account: {own}`; "
                "export one account, or drop `account:` of the source"
            )
        block.columns["account"] = named if own is None else _table.constant(own, block)

    def _currency(self, block: Block) -> None:
        stated, configured = self._heading_currency, self._source.currency
        if "currency" not in block.columns or stated:
            block.columns["currency"] = _table.constant(stated or configured, block)
            return
        told = pc.utf8_upper(_table.without(block.columns["currency"]))
        self._currencies |= set(pc.unique(told.drop_null()).to_pylist())
        if configured is not None:
            if self._currencies - {configured}:
                raise self._refused(f"has rows not in {configured}; mend `currency:` of the source")
            told = pc.fill_null(told, configured)
        elif len(self._currencies) > 1 and (self._source.account or len(self._accounts) == 1):
            raise self._refused("has rows of one account in several currencies; export it again")
        block.columns["currency"] = told

    def _amounts(self, block: Block) -> None:
        for name in _MEASURES:
            if name not in block.columns:
                continue
            values = block.columns[name]
            if name != "cost" and holds(values, "<"):
                # Few are hidden: `<5` is no number.
                hidden = pc.match_substring_regex(values, r"^\s*<\s*\d+\s*$")
                values = pc.if_else(hidden, pa.scalar(None, pa.string()), values)
            block.columns[name] = _table.numbers(values, self._decimal, MARKS)
            self._table.require(
                block,
                name,
                f"is not written as a number with the decimal mark {self._decimal!r}; "
                "set `decimal:` of the source to the report's number format",
            )
        if self._is_guarded:
            self._require_known_mark(block)
        is_idle: Any = block.columns["cost"].is_null()
        for name in ("impressions", "clicks"):
            if name in block.columns:
                block.columns[name] = self._count(name, block.columns[name])
                is_idle = pc.and_(is_idle, pc.equal(pc.fill_null(block.columns[name], "0"), "0"))
        # Nothing was shown: the cell of the spend may hold a dash too.
        block.columns["cost"] = cost = pc.if_else(is_idle, "0", block.columns["cost"])
        _table.refuse(block, pc.starts_with(cost, "-"), "cost", NEGATIVE)
        self._cost += _table.total(cost)

    def _count(self, name: str, values: pa.Array[Any]) -> Any:
        if not holds(values, "."):
            return values
        if pc.any(pc.match_substring_regex(values, r"\.\d*[1-9]")).as_py():
            raise self._refused(
                f"{self._table.headings[name]} has decimals; "
                "set `decimal:` of the source to the report's number format"
            )
        return pc.replace_substring_regex(values, r"\.0*$", "")

    def _require_known_mark(self, block: Block) -> None:
        currencies = self._currencies or {self._heading_currency or self._source.currency or ""}
        if not _THREE_DECIMALS.isdisjoint(currencies):
            return
        if not _table.may_have_three_places(block.columns["cost"]):
            return
        found = pc.fill_null(pc.match_substring_regex(block.columns["cost"], r"\.\d{3}$"), False)
        doubtful = pc.index(found, True).as_py()
        if doubtful >= 0:
            raise self._refused(
                f"line {block.numbers[doubtful].as_py()}: {self._table.headings['cost']} has three decimals, "
                "so its mark may group thousands; set `decimal:` of the source to the report's number format"
            )

    def _ids(self, block: Block) -> None:
        for name in ("campaign_id", "ad_group_id", "ad_id", "keyword_id"):
            if name in block.columns:
                block.columns[name] = _without_brackets(block.columns[name])
                _table.refuse_ruined(block, name)

    def _compare(self) -> None:
        """Keep the printed totals. Raises FileRefused when the rows add up to less."""
        printed: dict[str, Decimal] = {}
        for row in self._totals:
            self._log.skip("total row")
            for name in _MEASURES:
                text = _table.numbers(pa.array([row.values.get(name)], pa.string()), self._decimal)[0].as_py()
                if text not in (None, UNREADABLE):
                    # Totals of parts may stand beside the total of all.
                    printed[name] = max(printed.get(name, Decimal(0)), Decimal(text))
        for name, total in printed.items():
            self._log.control_totals["total", name] = total
        gap = printed.get("cost", Decimal(0)) - self._cost
        if gap > _ROUNDING * (self.rows + 1):
            raise self._refused(
                f"its rows add up to {self._cost}, but it prints {printed['cost']} in all; "
                "rows are missing, export it again"
            )
        if "cost" in printed and -gap > _ROUNDING * (self.rows + 1):
            self._log.notes.append(f"rows add up to {self._cost}, the report says {printed['cost']}")


def _without_brackets(values: pa.Array[Any]) -> Any:
    """Ids that the interface of Microsoft prints in brackets, so that spreadsheets leave them alone."""
    if not holds(values, "["):
        return values
    return pc.replace_substring_regex(values, r"^\[(\d+)\]$", r"\1")


def _is_total(cells: dict[str, Any]) -> bool:
    """Whether a row without a day names nothing, or calls itself a total."""
    named = [cells.get(column.name) for column in _DIMENSIONS if column.name in cells]
    others = [cells.get(name) for name in ("spend_date", *_ACCOUNTS)]
    if named and all(cell is None or cell.strip() in MARKS for cell in named):
        return True
    return any(cell is not None and _TOTAL.match(cell) for cell in (*named, *others))
