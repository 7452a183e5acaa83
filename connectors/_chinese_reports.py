"""Reports of the Chinese ad platforms' consoles: one reader, told by each kind how its vendor words things.

The files differ in names and order of columns, in what stands above the header and in where the total row
is; the rules are the same. The header is the first line that has a cost and a count. Above it stand the
conditions of the report (period, unit of time, devices): a report that was filtered, or that sums up several
days, is refused. Total rows are told by their label and their missing day, wherever they stand, and the rows
must add up to them. Amounts are yuan with a decimal point.

Layouts: a public import screen that was in use with these exports, with samples per vendor; encodings are
UTF-8 or GBK (read as its superset gb18030).
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import Any, ClassVar, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.compute

from connectors import _cells, _table
from connectors._chinese_blocks import (
    CAMPAIGN,
    COUNTS,
    IDS,
    LABELLED,
    LEVELS,
    LOST,
    NAMES,
    ColumnReader,
    Columns,
    decoded,
)
from connectors._chinese_cells import (
    NOTHING,
    amount,
    days_in,
    heading,
    is_label,
    product_line,
    read_day,
    without_deleted_mark,
)
from connectors._table_files import OddLine, Part, TextTable, cuts_plainly
from connectors.contract import (
    Block,
    Column,
    Connector,
    Currency,
    ReadLog,
    Record,
    Row,
    SourceOptions,
    Stream,
    Zone,
)
from connectors.errors import FileRefused
from connectors.files import Cell, InboxFile

# The stubs know no scalars of Python.
pc: Any = pyarrow.compute

SHANGHAI = ZoneInfo("Asia/Shanghai")


class ReportOptions(SourceOptions):
    """What the sources of these platforms have in common.

    Days are Beijing days and money is yuan unless said otherwise. `include_vat` says whether the platform's
    cost contains VAT, once accounting has told; without it the tax basis is unknown.
    """

    timezone: Zone | None = SHANGHAI
    currency: Currency = "CNY"
    include_vat: bool | None = None

    @property
    def tax_basis(self) -> str:
        """incl, excl or unknown."""
        return {True: "incl", False: "excl", None: "unknown"}[self.include_vat]


ReportSource = TypeVar("ReportSource", bound=ReportOptions)


def ad_spend(restatement_days: int, *, has_products: bool = False) -> Stream:
    """The stream that every one of these kinds has.

    `has_products`: an account's products have reports of their own, and one never replaces the other's.
    """
    product = (Column("product", "text", "Product that the report is of: search, feed or display."),)
    kept = product if has_products else ()
    return Stream(
        name="ad_spend",
        description="Spend by day, one row per line of the report.",
        columns=(
            Column("spend_date", "date", "Day of the ad account.", required=True),
            Column("account", "text", "`account` of the source, else the report's account.", required=True),
            *kept,
            Column("report_level", "text", "account, campaign, ad_group, ad or keyword.", required=True),
            Column("campaign_id", "text", "Campaign id, where the report has it."),
            Column("campaign_name", "text", "Campaign name as reported, without the mark of a deleted one."),
            Column("campaign_is_deleted", "boolean", "The report marks the campaign as deleted."),
            Column("ad_group_id", "text", "Ad group id."),
            Column("ad_group", "text", "Ad group name."),
            Column("keyword", "text", "Keyword text."),
            Column("ad_id", "text", "Id of the creative."),
            Column("device", "text", "Device as reported."),
            Column("impressions", "integer", "Impressions; NULL where the report has no such column."),
            Column("clicks", "integer", "Clicks."),
            Column("cost", "decimal", "Cost in currency units.", required=True),
            Column("currency", "text", "`currency` of the source.", required=True),
            Column("tax_basis", "text", "incl, excl or unknown: from `include_vat` of the source."),
        ),
        primary_key=(
            "spend_date",
            "account",
            *(column.name for column in kept),
            "report_level",
            "campaign_id",
            "campaign_name",
            "ad_group_id",
            "ad_group",
            "keyword",
            "ad_id",
            "device",
        ),
        event_day="spend_date",
        mode="report",
        replaces=("account", *(column.name for column in kept), "report_level"),
        restatement_days=restatement_days,
    )


def _words(listed: str) -> frozenset[str]:
    return frozenset(heading(word) for word in listed.split())


@dataclass(frozen=True)
class Console:
    """How one vendor's console words its reports.

    headings
        Our field -> the headings that mean it. Fields: spend_date, account, account_id, product,
        campaign_id, campaign_name, ad_group_id, ad_group, keyword, ad_id, ad, device, impressions, clicks,
        cost, cpc (to tell a total row's numbers apart).
    ignored, partial
        Headings that are known and not read; headings of reports whose rows leave spend out or repeat it.
    daily
        Where to click for a report by day.
    product
        (headings, names of the printed conditions) -> the product that the layout gives away, else None;
        None itself for a platform with one product.
    """

    name: str
    headings: Mapping[str, str]
    ignored: str
    partial: str
    daily: str
    product: Callable[[frozenset[str], frozenset[str]], str | None] | None = None
    fields: Mapping[str, str] = field(init=False)
    known: frozenset[str] = field(init=False)
    leaking: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        meanings = {word: name for name, listed in self.headings.items() for word in _words(listed)}
        object.__setattr__(self, "fields", meanings)
        object.__setattr__(self, "known", _words(self.ignored))
        object.__setattr__(self, "leaking", _words(self.partial))


_FALLBACK = "gb18030"
_WORKBOOKS = (".xlsx", ".xlsm")
_MEASURES = (*COUNTS, "cost")
_ZERO = Decimal(0)
# The longest preamble known has eight lines.
_HEADER_WITHIN = 40
# So many lines tell how many cells rows have: some exports end each row, not the header, with a comma.
_SAMPLE = 20
# With more odd rows than these, a part of a report is read row by row: cutting it up costs more.
_ODD_ONE_IN = 256
_FEW_ODD = 8
# A workbook's numbers below are its own count of days, from here on they are days written 20171009.
_FIRST_PLAIN_DAY = 10_000_000
# Amounts are printed to the fen; their sum may be off by half a fen a row.
_ROUNDING = Decimal("0.005")

_OF_A_PAGE = ("本页", "当页", "小计")
# An hour of the day, where a report by hour has its day elsewhere.
_HOUR = re.compile(r"\d{1,2}(?:[:：]\d\d){0,2}(?:\s*[-~至]\s*\d{1,2}(?:[:：]\d\d){0,2})?[时点]?")
_CONDITION = re.compile(r"\d+\s*[.．、]\s*([^：:]+?)\s*[：:]\s*(.*)", re.DOTALL)
_PERIOD = re.compile(r"时间范围|日期范围|统计时间|统计日期|时间段")
_ONLY_DAYS = re.compile(r"[\d\s/.\-年月日至到~～—–]+")
_CLOCK_OF_EXPORT = r"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?"
_EXPORTED = re.compile(rf"(?:生成|导出|下载)时间\s*[：:]\s*(\d{{4}}-\d\d-\d\d {_CLOCK_OF_EXPORT})(?!\d)")
_EXPORT_FORMATS = ("%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S")
_DEVICES_SHOWN = re.compile(r"时间范围内的(.*?)[：:]")
_LISTED = re.compile(r"[，,、;；/\s]+")
_BY_DAY = frozenset({"分日", "日", "天", "分天", "按天", "按日", "每日", "每天"})
_BY_HOUR = frozenset({"分时", "时", "小时", "分小时", "按小时"})
_SUMMED = frozenset({"合计", "汇总"})


def spend_row(number: int, values: dict[str, Any], *, day: date | None, cost: Decimal | None) -> Row:
    """A row with its day and cost, quarantined when the day is none or the cost negative."""
    values["spend_date"] = day
    values["cost"] = cost
    refused: tuple[str, str] | None = None
    if day is None:
        refused = ("spend_date", "is not a day")
    elif cost is not None and cost < 0:
        refused = ("cost", "is negative, which spend never is; credits belong into a cost sheet")
    return Row(number, values, refused)


def first_of_report(file: InboxFile, console: str) -> str:
    """The first character, "" of a workbook.

    Raises FileRefused for an empty file, a web page and an old .xls.
    """
    if file.suffix == ".xls":
        raise FileRefused(f"{file.name}: is an old .xls workbook; save it as .xlsx or CSV")
    if file.suffix in _WORKBOOKS:
        return ""
    first = file.first_character()
    if first == "":
        raise FileRefused(f"{file.name}: is empty; export the report again")
    if first == "<":
        raise FileRefused(f"{file.name}: is a web page, no report of {console}; export it as CSV or XLSX")
    return first


class ConsoleConnector(Connector[ReportSource]):
    """A kind that reads the exports of one console into ad_spend, and maybe saved answers of its API."""

    feeds = ("ad_spend",)
    console: ClassVar[Console]
    stream: ClassVar[Stream]

    def streams(self, source: ReportSource) -> tuple[Stream, ...]:
        """One stream: ad_spend."""
        return (self.stream,)

    def read(self, file: InboxFile, stream: Stream, source: ReportSource, log: ReadLog) -> Iterator[Record]:
        """Yield the rows of an export or of a saved answer.

        Raises FileRefused for a report without days, an account or a known product, one that was filtered or
        whose rows leave spend out or repeat it, one that does not add up to its total, and one page of
        several.
        """
        if first_of_report(file, self.console.name) in ("{", "["):
            return self.read_answer(file, source, log)
        return Report(
            file,
            source,
            log,
            self.console,
            account=self.account_of(source),
            product=self.product_of(source),
        ).records()

    def read_answer(self, file: InboxFile, source: ReportSource, log: ReadLog) -> Iterator[Row]:
        """Yield the rows of a saved answer. Raises FileRefused where there is no API to answer."""
        raise FileRefused(f"{file.name}: is JSON; {self.title} is read from the exports of its console")

    def account_of(self, source: ReportSource) -> str | None:
        """The account where neither `account` nor the file names it."""
        return None

    def product_of(self, source: ReportSource) -> str | None:
        """The product where the file does not tell it."""
        return None


class Report:
    """One exported table: where its columns are, what its conditions say, and its rows."""

    def __init__(
        self,
        file: InboxFile,
        source: ReportOptions,
        log: ReadLog,
        console: Console,
        *,
        account: str | None = None,
        product: str | None = None,
    ) -> None:
        """`account` and `product` are what the configuration says where the file says nothing."""
        self._file = file
        self._source = source
        self._tax_basis = source.tax_basis
        self._log = log
        self._console = console
        self._is_workbook = file.suffix in _WORKBOOKS
        self._fallback_account = account
        self._configured_product = product
        self._product: str | None = None
        self._at: dict[str, int] = {}
        self._width = 0
        self._level = "account"
        # Exports of a desktop client may list campaigns, keywords and creatives one below the other.
        self._is_nested = False
        self._nested_level: str | None = None
        self._day: date | None = None
        self._days: dict[str, date | None] = {}
        # (landed column, its place) of names, ids and counts.
        self._texts: list[tuple[str, int]] = []
        self._ids: list[tuple[str, int]] = []
        self._counts: list[tuple[str, int]] = []
        self._account: str | None = None
        self._above_account: str | None = None
        self._sums = dict.fromkeys(_MEASURES, _ZERO)
        self._read = 0
        self._totals: list[list[str]] = []
        self._is_first = True

    def records(self) -> Iterator[Record]:
        """Yield the rows: of text files in blocks, of workbooks and of oddly quoted texts one by one.

        Raises FileRefused for a report that cannot be taken for daily spend.
        """
        _refuse_several_sheets(self._file)
        delimiter = None if self._is_workbook else self._file.delimiter(fallback=_FALLBACK)
        table = self._file.table(delimiter=delimiter, encoding=self._file.encoding, fallback=_FALLBACK)
        header_line = self._find_header(table)
        if delimiter is None or not cuts_plainly(self._file, str(self._file.encoding), delimiter):
            for number, cells in table:
                yield from self._line(number, cells)
        else:
            cells_wide = self._usual_width(table)
            table.close()
            source = TextTable(self._file, self._file.encoding, _FALLBACK, delimiter, quoted=True)
            source.begin(delimiter, header_line)
            yield from self._blocks(source, cells_wide)
        for texts in self._totals:
            self._compare(texts)

    def _line(self, number: int, cells: Sequence[Cell]) -> Iterator[Row]:
        """The row of a line below the header, if it is one."""
        texts = [cell.strip() if type(cell) is str else _cells.cell_text(cell) for cell in cells]
        if not any(texts):
            self._log.skip("blank line")
            return
        if self._is_total(number, texts, cells):
            self._log.skip("total row")
            self._totals.append(texts)
        elif self._is_first and self._is_account_line(texts):
            self._log.skip("account line")
            self._above_account = texts[0]
        else:
            yield self._row(number, texts, cells)
        self._is_first = False

    # --- blocks --------------------------------------------------------------------------------------

    def _usual_width(self, table: Iterator[tuple[int, list[Cell]]]) -> int:
        """How many cells the next rows have."""
        widths = Counter(len(cells) for _, cells in islice(table, _SAMPLE))
        return max([width for width, _ in widths.most_common(1)] + [self._width])

    def _blocks(self, source: TextTable, cells_wide: int) -> Iterator[Record]:
        reader = ColumnReader(
            at=self._at,
            level=self._level,
            is_nested=self._is_nested,
            day_of=lambda text: self._day_of(text, text),
            printed_day=self._day,
            covers=self._log.covers,
        )
        lone: list[OddLine] = []
        for part in source.parts(cells_wide, None):
            if isinstance(part, OddLine):
                lone.append(part)
            else:
                yield from self._mixed(part, lone, reader)
                lone = []
        for line in lone:
            yield from self._line(line.number, line.cells)

    def _mixed(self, part: Part, lone: list[OddLine], reader: ColumnReader) -> Iterator[Record]:
        """The rows of a part and the lines of another width, in their order."""
        read = self._lines if _are_many(len(lone), part) else partial(self._part, reader)
        start = 0
        for line in lone:
            cut = int(np.searchsorted(part.lines, line.number))
            yield from read(part.slice(start, cut - start))
            yield from self._line(line.number, line.cells)
            start = cut
        yield from read(part.slice(start))

    def _part(self, reader: ColumnReader, part: Part) -> Iterator[Record]:
        """The rows of a part in blocks between its odd rows."""
        while self._is_first and len(part.lines):
            # The account's name may stand in the first one.
            yield from self._lines(part.slice(0, 1))
            part = part.slice(1)
        if not len(part.lines):
            return
        found = reader.read(part.columns, self._width)
        odd = np.flatnonzero(found.is_odd).tolist()
        start = 0
        if not _are_many(len(odd), part) and self._is_of_one_kind(found):
            block = self._block(part, found, has_parts=bool(odd))
            for at in (*odd, len(block)):
                if at > start:
                    yield self._summed(block.slice(start, at - start), found)
                yield from self._lines(part.slice(at, 1))
                start = at + 1
                if not self._is_of_one_kind(found):
                    break
        yield from self._lines(part.slice(start))

    def _lines(self, part: Part) -> Iterator[Row]:
        columns = [values.to_pylist() for values in part.columns]
        for number, *cells in zip(part.lines.tolist(), *columns, strict=True):
            yield from self._line(number, ["" if cell is None else cell for cell in cells])

    def _is_of_one_kind(self, found: Columns) -> bool:
        """Whether the rows may stand together: one level, and accounts as the source has them."""
        if self._is_nested and len({self._nested_level, *found.levels} - {None}) > 1:
            return False
        named = {name or self._above_account for name in found.accounts}
        if self._source.account is None:
            return None not in named or self._fallback_account is not None
        return len({self._account, *named} - {None}) <= 1

    def _block(self, part: Part, found: Columns, *, has_parts: bool) -> Block:
        columns = found.values
        if has_parts:
            # Each part of a block would keep the dictionaries whole.
            columns = {name: decoded(values) for name, values in columns.items()}
        block = Block(pa.array(part.lines, pa.int64()), columns)
        account = found.account
        if self._source.account is not None:
            account = _table.constant(self._source.account, block)
        elif (default := self._above_account or self._fallback_account) is not None:
            account = pc.fill_null(account, default)
        columns["account"] = account
        if "product" not in columns:
            columns["product"] = _table.constant(self._product, block)
        level = next(iter(found.levels), self._level)
        for name, value in (
            ("report_level", level),
            ("currency", self._source.currency),
            ("tax_basis", self._tax_basis),
        ):
            columns[name] = _table.constant(value, block)
        return block

    def _summed(self, block: Block, found: Columns) -> Block:
        """The block, with what the rows after it are held against noted."""
        named = {name or self._above_account for name in found.accounts}
        self._account = next(iter(named - {None}), self._account)
        if self._is_nested:
            (self._nested_level,) = found.levels
        self._read += len(block)
        for measure in _MEASURES:
            if measure in block.columns:
                self._sums[measure] += pc.sum(block.columns[measure]).as_py()
        return block

    # --- header and conditions -----------------------------------------------------------------------

    def _find_header(self, table: Iterator[tuple[int, list[Cell]]]) -> int:
        """Settle what the columns mean; the line on which the header ends."""
        conditions: dict[str, str] = {}
        missing_cost = False
        for number, cells in table:
            texts = [_cells.cell_text(cell) for cell in cells]
            found, doubled = self._match(texts)
            counts = found.keys() & {"clicks", "impressions"}
            if "cost" in found and counts:
                if doubled:
                    raise FileRefused(
                        f"{self._file.name}: two columns mean {doubled[0]}; export the report with one"
                    )
                self._accept(found, texts, conditions)
                self._log.skip("preamble", number)
                return number
            missing_cost = missing_cost or bool(counts and len(found) > 2)
            self._note_condition(texts, conditions)
            if number >= _HEADER_WITHIN:
                break
        cost = self._console.headings["cost"].split()[0]
        if missing_cost:
            raise FileRefused(f"{self._file.name}: no column {cost}; export the report with it")
        clicks = self._console.headings["clicks"].split()[0]
        raise FileRefused(
            f"{self._file.name}: no header with {cost} and {clicks} in its first lines; "
            f"export a report of {self._console.name} with these columns"
        )

    def _match(self, texts: list[str]) -> tuple[dict[str, int], list[str]]:
        """(our field -> its place, fields found twice) of a line read as a header."""
        at: dict[str, int] = {}
        doubled: list[str] = []
        for place, text in enumerate(texts):
            name = self._console.fields.get(heading(text))
            if name in at:
                doubled.append(name)
            elif name is not None:
                at[name] = place
        return at, doubled

    def _accept(self, at: dict[str, int], texts: list[str], conditions: dict[str, str]) -> None:
        name, console = self._file.name, self._console
        headings = [heading(text) for text in texts]
        if leaking := [text for text, key in zip(texts, headings, strict=True) if key in console.leaking]:
            raise FileRefused(
                f"{name}: a report by {leaking[0]} leaves spend out or repeats it; "
                f"export the campaign report instead ({console.daily})"
            )
        self._at = at
        self._width = max(place for place, key in enumerate(headings) if key) + 1
        self._level = next((level for level, fields in LEVELS if at.keys() & set(fields)), "account")
        # Only where rows have no days of their own may the first line be the account's name.
        self._is_first = "spend_date" not in at
        self._is_nested = {"keyword", "ad"} <= at.keys()
        self._texts = [(n, at[n]) for n in NAMES if n in at]
        self._ids = [(n, at[n]) for n in IDS if n in at]
        self._counts = [(n, at[n]) for n in COUNTS if n in at]
        known = console.known | console.fields.keys()
        self._log.unknown_columns.update(
            text for text, key in zip(texts, headings, strict=True) if key and key not in known
        )
        covers = self._log.covers
        is_one_day = covers is not None and covers[0] == covers[1]
        unit = conditions.get("时间单位")
        if unit is not None and unit not in _BY_DAY | _BY_HOUR and not (unit in _SUMMED and is_one_day):
            raise FileRefused(
                f"{name}: its 时间单位 is neither day nor hour, so its rows are sums of several days; "
                f"{console.daily}"
            )
        self._day = covers[0] if covers is not None and is_one_day else None
        if "spend_date" not in at and self._day is None:
            raise FileRefused(
                f"{name}: has no column 日期 and prints no single day, so spend cannot be dated; "
                f"{console.daily}"
            )
        self._settle_product(frozenset(headings), frozenset(conditions))

    def _settle_product(self, headings: frozenset[str], conditions: frozenset[str]) -> None:
        if self._console.product is None:
            return
        told = self._console.product(headings, conditions)
        if told is not None and self._configured_product not in (None, told):
            raise FileRefused(
                f"{self._file.name}: is a report of {told}, which `products` of the source leaves out"
            )
        self._product = told or self._configured_product
        if self._product is None and "product" not in self._at:
            raise FileRefused(
                f"{self._file.name}: does not tell of which product it is; set `products:` of the source to "
                "one, and keep one source per product"
            )

    def _note_condition(self, texts: list[str], conditions: dict[str, str]) -> None:
        """Take in a line above the header. Raises FileRefused for a report that was filtered."""
        line = ",".join(text for text in texts if text)
        if (match := _EXPORTED.search(line)) is not None:
            found = _cells.Moments(_EXPORT_FORMATS, (), self._source.zone).read(match[1])
            self._log.exported_at = None if found is None else found[0].replace(tzinfo=self._source.zone)
            return
        if _PERIOD.search(line) or _ONLY_DAYS.fullmatch(line):
            days = days_in(line)
            if days and len(days) <= 2:
                self._log.covers = min(days), max(days)
        if (shown := _DEVICES_SHOWN.search(line)) is not None:
            self._require_all_devices(shown[1])
        if (match := _CONDITION.fullmatch(line)) is None:
            return
        name, value = match[1], match[2].strip()
        conditions[name] = value
        if name in ("时间范围", "时间单位"):
            return
        if "设备" in name:
            self._require_all_devices(value)
        elif "账户" in name:
            self._above_account = value or None
        elif value and not value.startswith(("全部", "所有", "不限")):
            raise FileRefused(
                f"{self._file.name}: is filtered by {name}, so spend is missing; export it with 全部"
            )

    def _require_all_devices(self, value: str) -> None:
        named = set(_LISTED.split(value))
        has_desktop = named & {"计算机", "电脑", "PC", "pc", "电脑端", "PC端"}
        has_mobile = named & {"移动设备", "移动", "手机", "无线", "移动端"}
        if not value.startswith(("全部", "所有", "不限")) and not (has_desktop and has_mobile):
            raise FileRefused(
                f"{self._file.name}: holds some devices only, so spend is missing; "
                "export it for all devices (全部设备)"
            )

    # --- rows ----------------------------------------------------------------------------------------

    def _cell(self, texts: list[str], name: str) -> str | None:
        at = self._at.get(name)
        if at is None or at >= len(texts):
            return None
        text = texts[at]
        return None if text in NOTHING else text

    def _is_total(self, number: int, texts: list[str], cells: Sequence[Cell]) -> bool:
        """A line labelled as a total, or with neither a day nor a campaign, that has no day of its own."""
        is_labelled = any(map(is_label, texts[:LABELLED]))
        at = self._at.get("spend_date")
        if at is not None and at < len(cells) and self._is_dated(texts[at], cells[at]):
            if is_labelled:
                raise FileRefused(
                    f"{self._file.name}: line {number} has a total in place of a name; "
                    "export the report without subtotals"
                )
            return False
        if is_labelled:
            return True
        has_campaign = self._level == "account" or any(
            self._cell(texts, name) is not None for name in CAMPAIGN
        )
        has_day = self._cell(texts, "spend_date") is not None
        return not has_campaign and not has_day and self._cell(texts, "cost") is not None

    def _is_dated(self, text: str, cell: Cell) -> bool:
        try:
            return self._day_of(text, cell) is not None
        except ValueError:
            return False

    def _is_account_line(self, texts: list[str]) -> bool:
        """The account's name alone below the header, as the desktop client prints it."""
        return bool(texts[0]) and not any(texts[1:])

    def _day_of(self, text: str, cell: Cell) -> date | None:
        """The day of a cell; the printed one where the cell has only an hour. Raises ValueError."""
        # A report has few days and many rows.
        if text in self._days:
            return self._days[text]
        if isinstance(cell, (datetime, date)):
            day = read_day(cell)
        elif _HOUR.fullmatch(text):
            if self._day is None:
                raise ValueError("is an hour")
            day = self._day
        elif isinstance(cell, (int, float)) and cell < _FIRST_PLAIN_DAY:
            found = _cells.Moments((), (), self._source.zone).read(cell)
            day = None if found is None else found[0].date()
        else:
            day = read_day(cell)
        self._days[text] = day
        return day

    def _row(self, number: int, texts: list[str], cells: Sequence[Cell]) -> Row:
        self._require_width(number, texts)
        values: dict[str, Any] = {
            "account": self._account_of(texts),
            "product": self._product_of(texts),
            "report_level": self._level_of(texts) if self._is_nested else self._level,
            "currency": self._source.currency,
            "tax_basis": self._tax_basis,
        }
        for column, at in self._texts:
            text = texts[at]
            if text in NOTHING:
                continue
            values[column] = text
            if LOST in text:
                raise FileRefused(
                    f"{self._file.name}: line {number} has characters lost by a wrong encoding; "
                    "export it again"
                )
        name = values.get("campaign_name")
        values["campaign_name"], values["campaign_is_deleted"] = without_deleted_mark(name)
        values["ad_group"] = without_deleted_mark(values.get("ad_group"))[0]
        refused: tuple[str, str] | None = None
        for column, at in self._ids:
            if texts[at] not in NOTHING:
                try:
                    values[column] = _cells.id_text(cells[at])
                except ValueError as error:
                    refused = (column, str(error))
        for measure, at in self._counts:
            count = values[measure] = self._number(number, measure, texts[at]) or _ZERO
            self._sums[measure] += count
        cost = self._number(number, "cost", texts[self._at["cost"]])
        if cost is not None:
            self._sums["cost"] += cost
        self._read += 1
        day = self._date_of(number, texts, cells)
        row = spend_row(number, values, day=day, cost=cost)
        covers = self._log.covers
        if day is not None and covers is not None and not covers[0] <= day <= covers[1]:
            row.refused = ("spend_date", "lies outside the period that the report prints")
        row.refused = row.refused or refused
        return row

    def _date_of(self, number: int, texts: list[str], cells: Sequence[Cell]) -> date | None:
        if self._cell(texts, "spend_date") is None:
            if self._day is None:
                raise FileRefused(
                    f"{self._file.name}: line {number} has no date; export the report without merged cells"
                )
            return self._day
        try:
            at = self._at["spend_date"]
            return self._day_of(texts[at], cells[at])
        except ValueError as error:
            raise FileRefused(
                f"{self._file.name}: line {number}: its date {error}, no day; {self._console.daily}"
            ) from None

    def _level_of(self, texts: list[str]) -> str:
        """The level of a row by the cells that it fills, the same in every row."""
        filled = (level for level, fields in LEVELS if any(self._cell(texts, name) for name in fields))
        level = next(filled, "account")
        if self._nested_level not in (None, level):
            raise FileRefused(
                f"{self._file.name}: has rows by {self._nested_level} and by {level}, which repeat each "
                "other's spend; export one level"
            )
        self._nested_level = level
        return level

    def _require_width(self, number: int, texts: list[str]) -> None:
        """Refuse a row of another width than the header; fill up a workbook's, which leaves cells out."""
        width = len(texts)
        if width < self._width and self._is_workbook:
            texts += [""] * (self._width - width)
            return
        while not texts[width - 1]:
            width -= 1
        if width > self._width or len(texts) < self._width:
            raise FileRefused(
                f"{self._file.name}: line {number} has {len(texts)} cells under {self._width} headings; "
                "the file is cut short or a name holds a comma, export it again"
            )

    def _account_of(self, texts: list[str]) -> str:
        named = self._cell(texts, "account") or self._cell(texts, "account_id") or self._above_account
        if named is not None and self._account not in (None, named) and self._source.account is not None:
            raise FileRefused(
                f"{self._file.name}: holds several accounts, but the source is `account: "
                f"{self._source.account}`; export one account, or drop `account:` of the source"
            )
        self._account = named or self._account
        account = self._source.account or named or self._fallback_account
        if account is None:
            raise FileRefused(
                f"{self._file.name}: names no account; set `account:` of the source (one source per account)"
            )
        return account

    def _product_of(self, texts: list[str]) -> str | None:
        if "product" not in self._at:
            return self._product
        return product_line(self._cell(texts, "product"))

    def _number(self, number: int, measure: str, text: str) -> Decimal | None:
        if text in NOTHING:
            return None
        plain = amount(text)
        if plain is None or (measure != "cost" and plain != plain.to_integral_value()):
            heading_ = self._console.headings[measure].split()[0]
            raise FileRefused(
                f"{self._file.name}: line {number}: {heading_} is not a number with a decimal point; "
                "the file was edited, export it again"
            )
        return plain

    # --- totals --------------------------------------------------------------------------------------

    def _compare(self, texts: list[str]) -> None:
        """Keep a printed total, and hold the rows against it."""
        label = next((text for text in texts[:LABELLED] if is_label(text)), "total")
        printed = self._total_of(texts)
        if printed is None:
            self._log.notes.append(
                f"the total row {label!r} could not be read, rows were not held against it"
            )
            return
        for measure, value in printed.items():
            self._log.control_totals[label, measure] = value
        if label.startswith(_OF_A_PAGE):
            return
        gap = printed["cost"] - self._sums["cost"]
        if abs(gap) > _ROUNDING * (self._read + 1):
            what = "rows are missing" if gap > 0 else "some are counted twice"
            summed = self._sums["cost"]
            if self._read:
                # With as many places as the total has.
                summed = summed.normalize() + 0 * printed["cost"]
            raise FileRefused(
                f"{self._file.name}: its rows add up to {summed}, but it prints "
                f"{printed['cost']} as {label!r}; {what}, export it again"
            )

    def _total_of(self, texts: list[str]) -> dict[str, Decimal] | None:
        """The total row's measures: under their headings, else in their order.

        A total row may have fewer cells than the header, so that its numbers stand under other headings.
        """
        places = sorted((at, name) for name, at in self._at.items() if name in (*_MEASURES, "cpc"))
        names = [name for _, name in places]
        under = [amount(texts[at]) if at < len(texts) else None for at, _ in places]
        numbers = [number for text in texts if (number := amount(text)) is not None]
        for found in (under, numbers):
            if len(found) != len(names):
                continue
            total = {name: value for name, value in zip(names, found, strict=True) if value is not None}
            if "cost" in total and _is_consistent(total):
                return {name: total[name] for name in total if name != "cpc"}
        return None


def _is_consistent(total: dict[str, Decimal]) -> bool:
    """Whether counts are whole and the price of a click is cost by clicks."""
    counts = [total[name] for name in ("impressions", "clicks") if name in total]
    if any(count != count.to_integral_value() for count in counts):
        return False
    if not total.get("clicks") or "cpc" not in total:
        return True
    return abs(total["cost"] / total["clicks"] - total["cpc"]) <= Decimal("0.01")


def _are_many(odd: int, part: Part) -> bool:
    """Whether so many odd rows would cut a part into blocks too small to pay."""
    return odd > max(_FEW_ODD, len(part.lines) // _ODD_ONE_IN)


def _refuse_several_sheets(file: InboxFile) -> None:
    """Raises FileRefused for a workbook with data on more than one sheet: only the first would be read."""
    if file.suffix not in _WORKBOOKS:
        return
    try:
        with file.open_binary() as stream:
            book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
            filled = 0
            for sheet in book.worksheets:
                # Some writers leave a wrong <dimension>, on which openpyxl would stop after one row.
                sheet.reset_dimensions()
                rows = sheet.iter_rows(values_only=True, max_row=_HEADER_WITHIN)
                filled += any(sum(cell is not None for cell in cells) > 1 for cells in rows)
            book.close()
    except (zipfile.BadZipFile, KeyError, OSError, ValueError, EOFError) as error:
        raise FileRefused(f"{file.name}: not a readable XLSX workbook; save it again as .xlsx") from error
    if filled > 1:
        raise FileRefused(f"{file.name}: has data on {filled} sheets; save each as a file of its own")
