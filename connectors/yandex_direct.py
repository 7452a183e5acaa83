"""Yandex Direct: daily spend from its Reports service, asked or saved (TSV).

Layout (yandex.com/dev/direct/doc/en/report-format): an optional title `ReportName (from - to)`, the column
line, rows, an optional row count. The texts of title and count follow the request's language, so both are
told by their place. `--` is no value. There is no quoting.

The unit of money is not written in the report: integers × 1,000,000 unless the request had the header
`returnMoneyInMicros: false`, then two decimals. It is taken from `money:` of the source; without it from
the file, where that leaves no doubt (see `_money_unit`). What is asked of the service comes in currency.

From the API come two levels of every day: campaigns, which are complete and so the spend of record, and
display criteria (keywords), which leave out what has none. The campaigns are held against the service's
ungrouped total, and the account's currency against `currency:`.

    python -m connectors.yandex_direct FILE --set currency=RUB
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import IO, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
from pydantic import SecretStr

from connectors import cli
from connectors._api import Answer
from connectors._yandex_direct_api import Reports
from connectors.contract import (
    Block,
    Column,
    Connector,
    Currency,
    ReadLog,
    Record,
    Route,
    SourceOptions,
    Stream,
    Window,
)
from connectors.errors import FileRefused, IncompleteError, PermanentError
from connectors.files import InboxFile

AD_SPEND = Stream(
    name="ad_spend",
    description="Spend by day, one row per line of the report.",
    columns=(
        Column("spend_date", "date", "Date: day of the ad account.", required=True),
        Column("account", "text", "`account` of the source, else the source's name.", required=True),
        Column("report_level", "text", "account, campaign, ad_group, ad or keyword.", required=True),
        Column("campaign_id", "text", "CampaignId."),
        Column("campaign_name", "text", "CampaignName."),
        Column("campaign_type", "text", "CampaignType as reported."),
        Column("ad_group_id", "text", "AdGroupId."),
        Column("ad_group", "text", "AdGroupName."),
        Column("keyword", "text", "Criterion, or Criteria."),
        Column("device", "text", "Device as reported."),
        Column("network", "text", "AdNetworkType: SEARCH or AD_NETWORK."),
        Column("impressions", "integer", "Impressions; 0 where the report prints a dash."),
        Column("clicks", "integer", "Clicks; 0 where the report prints a dash."),
        Column("cost", "decimal", "Cost in currency units.", required=True),
        Column("currency", "text", "`currency` of the source.", required=True),
        Column("tax_basis", "text", "incl or excl from `include_vat` of the source, else unknown."),
    ),
    primary_key=(
        "spend_date",
        "account",
        "report_level",
        "campaign_id",
        "campaign_name",
        "ad_group_id",
        "ad_group",
        "keyword",
        "device",
        "network",
    ),
    event_day="spend_date",
    mode="report",
    replaces=("account", "report_level"),
    # Settled within three days; fraud is taken out of older ones now and then.
    restatement_days=35,
)

# Field of the report -> landed column.
_TEXTS = {
    "CampaignId": "campaign_id",
    "CampaignName": "campaign_name",
    "CampaignType": "campaign_type",
    "AdGroupId": "ad_group_id",
    "AdGroupName": "ad_group",
    "Criterion": "keyword",
    "Criteria": "keyword",
    "Device": "device",
    "AdNetworkType": "network",
}
_LEVELS = (
    ("keyword", ("Criterion", "CriterionId", "Criteria", "CriteriaId", "Keyword")),
    ("ad", ("AdId",)),
    ("ad_group", ("AdGroupId", "AdGroupName")),
    ("campaign", ("CampaignId", "CampaignName")),
)
_REQUIRED = ("Date", "Cost")
# Reports of search queries leave out what was not a search, and the rare ones.
_PARTIAL = frozenset({"Query"})
_READ = frozenset({"Date", "Cost", "Impressions", "Clicks", *_TEXTS})
_OTHER_FIELDS = """
    AdFormat AdId Age AudienceTargetId AvgClickPosition AvgCpc AvgCpm AvgEffectiveBid
    AvgImpressionPosition AvgPageviews AvgTimeToConversion AvgTrafficVolume BounceRate Bounces
    CampaignUrlPath CarrierType ClickType ClientLogin ConversionRate Conversions CostPerConversion
    CriteriaId CriteriaType CriterionId CriterionType Ctr DynamicTextAdTargetId ExternalNetworkName
    Gender GoalsRoi ImpressionReach ImpressionShare IncomeGrade Keyword LocationOfPresenceId
    LocationOfPresenceName MatchType MatchedKeyword MobilePlatform Placement Profit Revenue
    RlAdjustmentId Sessions Slot SmartAdTargetId TargetingCategory TargetingLocationId
    TargetingLocationName WeightedCtr WeightedImpressions
"""
_IGNORED = frozenset(_OTHER_FIELDS.split())
_BY_GOAL = re.compile(r"(?:Conversions|Revenue|ConversionRate|CostPerConversion|GoalsRoi)_\d+_[A-Z]+")
# For Arrow: whole numbers, those that micros are (rounded to a hundredth, so in steps of
# 10,000), amounts with a decimal point.
_WHOLE, _STEPPED, _DECIMAL = r"^-?\d+$", r"^-?(?:0+|\d+0000)$", r"^-?\d+\.\d{1,2}$"
_AMOUNT = re.compile(r"-?\d+(?:\.\d{1,2})?")
_TITLE_RANGE = re.compile(r"\((\d{4}-\d\d-\d\d) - (\d{4}-\d\d-\d\d)\)\W*$")
_COUNT = re.compile(r"\D*(\d+)")
_NOTHING = "--"
# A click at this price in currency units is no price; read as micros it costs a tenth of a unit.
_ABSURD_CLICK = 100_000
_MICRO = Decimal("0.000001")
# Amounts of rows are rounded to a hundredth.
_ROUNDING = Decimal("0.005")
_UNIT_REMEDY = "set `money: micros` or `money: currency` of the source"


class YandexDirectOptions(SourceOptions):
    """One Yandex Direct login.

    `currency` is the account's, which no report tells. `money` is the unit of saved reports' amounts and
    `include_vat` the IncludeVAT of their request: without it, their tax basis is unknown. The API is asked
    for amounts without VAT unless `include_vat` is true. `client_login` is the advertiser, for an agency's
    token.
    """

    currency: Currency
    money: Literal["micros", "currency"] | None = None
    include_vat: bool | None = None
    token: SecretStr | None = None
    client_login: str | None = None
    base_url: str = "https://api.direct.yandex.com"


class YandexDirect(Connector[YandexDirectOptions]):
    """Reports of Yandex Direct."""

    kind = "yandex_direct"
    title = "Yandex Direct"
    options = YandexDirectOptions
    feeds = ("ad_spend",)

    def streams(self, source: YandexDirectOptions) -> tuple[Stream, ...]:
        """One stream: ad_spend."""
        return (AD_SPEND,)

    def read(
        self,
        file: InboxFile,
        stream: Stream,
        source: YandexDirectOptions,
        log: ReadLog,
    ) -> Iterator[Record]:
        """Yield a report's rows. The file is read twice: the unit of money needs every row.

        Raises FileRefused for an answer that is no report, a report without days or whose rows leave spend
        out, one with fewer rows than it counts, and one whose unit of money cannot be told.
        """
        layout = _survey(file, source, log)
        return _blocks(file, source, log, layout)

    def route(self, source: YandexDirectOptions, stream: Stream) -> Route | None:
        """Reports of up to five weeks, the span that is restated."""
        return None if source.token is None else Route(by="day", window_days=35)

    def fetch(
        self, source: YandexDirectOptions, stream: Stream, window: Window, log: ReadLog
    ) -> Iterator[Record]:
        """Yield the window's spend by campaign, then by keyword.

        Raises IncompleteError when the campaigns add up to less than the account, PermanentError when the
        account's currency is not the configured one.
        """
        reports = _reports(source)
        _, currency = reports.client()
        if currency != source.currency:
            raise reports.api.error(
                PermanentError,
                f"the account's currency is {currency}, not {source.currency}; mend `currency` of the source",
            )
        # The total is asked first: what is booked meanwhile makes the campaigns more, not less.
        total = sum(_total(answer) for answer, _, _ in reports.get("account", window.since, window.until))
        rows = 0
        spent = Decimal(0)
        for level in ("campaign", "keyword"):
            for answer, since, until in reports.get(level, window.since, window.until):
                for block in _fetched(answer, (since, until), source, log):
                    yield Block(
                        pa.array(range(rows + 1, rows + 1 + len(block)), pa.int64()),
                        block.columns,
                        block.refused,
                    )
                    rows += len(block)
                    if level == "campaign":
                        spent += sum(Decimal(cost) for cost in block.columns["cost"].to_pylist() if cost)
            if level == "campaign" and spent + _ROUNDING * (rows + 1) < total:
                raise reports.api.error(
                    IncompleteError,
                    f"campaigns of {window.since} to {window.until} add up to {spent}, "
                    f"the account to {total}",
                )
        log.control_totals["reports", "rows"] = Decimal(rows)

    def probe(self, source: YandexDirectOptions) -> str:
        """Ask who the advertiser is. Raises ApiError."""
        login, currency = _reports(source).client()
        return f"answers as {login}, {currency}"


def _reports(source: YandexDirectOptions) -> Reports:
    assert source.token is not None
    return Reports(
        source.name,
        source.base_url,
        token=source.token,
        login=source.client_login,
        include_vat=source.include_vat is True,
    )


def _fetched(
    answer: Answer, days: tuple[date, date], source: YandexDirectOptions, log: ReadLog
) -> Iterator[Block]:
    """The rows of a report that was asked for these days, in currency units."""
    asked = source.model_copy(update={"money": "currency", "include_vat": source.include_vat is True})
    of_report = ReadLog()
    layout = _survey(answer, asked, of_report)
    if of_report.covers not in (None, days):
        raise FileRefused(
            f"{answer.name}: is a report of other days than were asked; the next night asks again"
        )
    yield from _blocks(answer, asked, of_report, layout)
    log.unknown_columns |= of_report.unknown_columns


def _total(answer: Answer) -> Decimal:
    """The cost of a report without groupings: one row, or none where nothing was spent."""
    cost_at = None
    total = Decimal(0)
    for _, cells in _lines(answer):
        if cost_at is None:
            cost_at = cells.index("Cost") if "Cost" in cells else None
        elif len(cells) > cost_at and _AMOUNT.fullmatch(cells[cost_at]):
            total += Decimal(cells[cost_at])
    if cost_at is None:
        raise FileRefused(f"{answer.name}: the account's total has no Cost column")
    return total


@dataclass
class _Layout:
    """What the first reading found."""

    header_line: int
    names: list[str]
    level: str
    in_micros: bool
    # Line of the row count, when there is one.
    count_line: int | None


def _survey(file: InboxFile, source: YandexDirectOptions, log: ReadLog) -> _Layout:
    lines = _lines(file)
    header_line, names = _find_header(file, lines, log)
    if "Date" not in names:
        raise FileRefused(
            f"{file.name}: no Date column, so spend cannot be dated; request the report with the field Date"
        )
    if "Cost" not in names:
        raise FileRefused(f"{file.name}: no Cost column; request the report with the field Cost")
    if partial := sorted(_PARTIAL.intersection(names)):
        raise FileRefused(
            f"{file.name}: a report by {partial[0]} leaves spend out; "
            "request a CAMPAIGN_PERFORMANCE_REPORT instead"
        )
    log.unknown_columns.update(n for n in names if n not in _READ | _IGNORED and not _BY_GOAL.fullmatch(n))
    level = next((level for level, fields in _LEVELS if not set(fields).isdisjoint(names)), "account")
    amounts = _Amounts()
    rows = 0
    faults: list[_Fault] = []
    measured = [name for name in ("Cost", "Clicks") if name in names]
    for batch in _batches(file, header_line, names, measured, faults):
        rows += batch.num_rows
        amounts.add(batch.column("Cost"), batch.column("Clicks") if "Clicks" in measured else None)
    count_line, counted = _row_count(file, header_line, names, rows, faults)
    if counted is not None:
        log.control_totals["report", "rows"] = Decimal(counted)
        if counted != rows:
            raise FileRefused(
                f"{file.name}: holds {rows} of {counted} rows; it is not whole, request the report again"
            )
    return _Layout(header_line, names, level, _money_unit(file, source, amounts), count_line)


# A line whose cells are not as many as the headings: (line, number of cells, text).
_Fault = tuple[int, int, str]


def _row_count(
    file: InboxFile, header_line: int, names: list[str], rows: int, faults: list[_Fault]
) -> tuple[int | None, int | None]:
    """(line, number) of the row count below the rows. Raises FileRefused for every other odd line."""
    count_line = counted = None
    blank = 0
    for number, cells, text in faults:
        if not text.strip():
            blank += 1
        elif count_line is not None:
            break
        elif cells > 1:
            raise FileRefused(
                f"{file.name}: line {number} has {cells} cells under {len(names)} headings; "
                "the file is cut short or a name holds a tab, request the report again"
            )
        elif (match := _COUNT.fullmatch(text)) is None:
            raise FileRefused(
                f"{file.name}: line {number} has one cell under {len(names)} headings; "
                "the file is cut short, request the report again"
            )
        else:
            count_line, counted = number, int(match[1])
            rows_above = number - header_line - 1 - blank
    else:
        if count_line is None or rows == rows_above:
            return count_line, counted
    raise FileRefused(
        f"{file.name}: line {count_line} stands alone where {len(names)} cells belong; "
        "the file was edited or joined, request the report again"
    )


def _batches(
    file: InboxFile, header_line: int, names: list[str], wanted: list[str], faults: list[_Fault]
) -> Iterator[pa.RecordBatch]:
    """The wanted fields of the rows as text, dashes and empty cells null. Odd lines are added to `faults`."""
    places = {name: str(names.index(name)) for name in wanted}
    columns = [str(at) for at in range(len(names))]

    def odd(line: Any) -> Literal["skip"]:
        faults.append((line.number, line.actual_columns, line.text))
        return "skip"

    try:
        with _utf8(file) as stream:
            reader = arrow_csv.open_csv(
                stream,
                # Line numbers are kept count of in one thread only.
                read_options=arrow_csv.ReadOptions(
                    column_names=columns, skip_rows=header_line, use_threads=False
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter="\t", quote_char=False, escape_char=False, invalid_row_handler=odd
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(columns, pa.string()),
                    include_columns=list(places.values()),
                    strings_can_be_null=True,
                    null_values=[_NOTHING, ""],
                ),
            )
            for batch in reader:
                yield batch.rename_columns(list(places))
    except pa.ArrowInvalid as error:
        if "Could not skip" in str(error):  # the column line is the last and has no end
            return
        why = "is not utf-8 text throughout" if "UTF8" in str(error) else "has a line that is no report's"
        raise FileRefused(f"{file.name}: {why}; the file was edited, request the report again") from None


def _utf8(file: InboxFile) -> IO[bytes]:
    """The file's bytes, in UTF-8."""
    if file.encoding in ("utf-8", "utf-8-sig"):
        return file.open_binary()
    return io.BytesIO("".join(file.lines(fallback="utf-8")).encode())


def _find_header(
    file: InboxFile, lines: Iterator[tuple[int, list[str]]], log: ReadLog
) -> tuple[int, list[str]]:
    """The column line: the first, or the one below a title. Notes the title's range."""
    for number, cells in lines:
        if number == 1 and cells[0][:1] in ("<", "{"):
            raise FileRefused(
                f"{file.name}: is an error answer or a web page, no report; request it until it is ready"
            )
        if set(_REQUIRED).intersection(cells) or len(cells) > 1:
            return number, cells
        if number > 1:
            break
        if (match := _TITLE_RANGE.search(cells[0])) is not None:
            log.covers = date.fromisoformat(match[1]), date.fromisoformat(match[2])
        log.skip("title")
    raise FileRefused(
        f"{file.name}: no column line; request the report as TSV without the header skipColumnHeader"
    )


def _lines(file: InboxFile) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of the lines that are not blank."""
    for number, line in enumerate(file.lines(fallback="utf-8"), start=1):
        text = line.rstrip("\r\n")
        if text.strip():
            yield number, text.split("\t")


class _Amounts:
    """What tells micros from currency, gathered over all rows."""

    def __init__(self) -> None:
        self.has_decimals = False
        self.is_stepped = True
        self.is_numeric = True
        self.cost = 0.0
        self.clicks = 0.0

    def add(self, cost: pa.Array[Any], clicks: pa.Array[Any] | None) -> None:
        if clicks is not None:
            self.clicks += _sum(clicks.filter(_matches(clicks, _WHOLE)))
        cost = cost.drop_null()
        whole = cost.filter(_matches(cost, _WHOLE))
        self.cost += _sum(whole)
        self.is_stepped = self.is_stepped and bool(pc.all(_matches(whole, _STEPPED)).as_py() is not False)
        decimals = pc.sum(_matches(cost, _DECIMAL)).as_py() or 0
        self.has_decimals = self.has_decimals or decimals > 0
        self.is_numeric = self.is_numeric and len(whole) + decimals == len(cost)


def _matches(texts: pa.Array[Any], pattern: str) -> pa.Array[Any]:
    return pc.match_substring_regex(texts, pattern).fill_null(False)


def _sum(numbers: pa.Array[Any]) -> float:
    return float(pc.sum(numbers.cast(pa.float64())).as_py() or 0)


def _money_unit(file: InboxFile, source: YandexDirectOptions, found: _Amounts) -> bool:
    """Whether the amounts are micros.

    Decimals are currency, as no micros have them. Whole numbers are micros if all are multiples of 10,000
    (micros are rounded to two decimals) and a click would else cost 100,000 units; other whole numbers are
    doubtful. A wrong unit is a factor of a million, a refused file a line in the summary: what contradicts
    `money:` is refused, and so is doubt without it.
    """
    if not found.is_numeric:
        raise FileRefused(
            f"{file.name}: has amounts that are no numbers with a decimal point; the file was edited, "
            "request the report again"
        )
    stepped = found.cost > 0 and found.is_stepped and not found.has_decimals
    if source.money == "micros":
        if found.has_decimals:
            raise FileRefused(
                f"{file.name}: amounts have decimals, which micros never have; correct `money:` of the source"
            )
        return True
    if source.money == "currency":
        if stepped:
            raise FileRefused(
                f"{file.name}: every amount is a whole multiple of 10,000, as micros are; correct `money:` "
                "of the source, or request the report with the header returnMoneyInMicros: false"
            )
        return False
    if found.has_decimals or found.cost == 0:
        return False
    if stepped and found.cost >= found.clicks * _ABSURD_CLICK and found.clicks > 0:
        return True
    raise FileRefused(
        f"{file.name}: amounts without decimals may be micros or currency units; {_UNIT_REMEDY}"
    )


def _blocks(file: InboxFile, source: YandexDirectOptions, log: ReadLog, layout: _Layout) -> Iterator[Block]:
    names = layout.names
    texts = {column: name for name, column in _TEXTS.items() if name in names}
    counts = [name for name in ("Impressions", "Clicks") if name in names]
    fixed = {
        "account": source.account or source.name,
        "report_level": layout.level,
        "currency": source.currency,
        "tax_basis": _TAX_BASIS[source.include_vat],
    }
    number = layout.header_line + 1
    wanted = ["Date", "Cost", *dict.fromkeys(texts.values()), *counts]
    for batch in _batches(file, layout.header_line, names, wanted, []):
        days, costs = batch.column("Date"), batch.column("Cost")
        columns: dict[str, pa.Array[Any]] = {
            column: pa.repeat(value, batch.num_rows) for column, value in fixed.items()
        }
        columns |= {column: batch.column(name) for column, name in texts.items()}
        columns |= {name.lower(): batch.column(name).fill_null("0") for name in counts}
        columns["spend_date"] = days
        columns["cost"] = _from_micros(costs) if layout.in_micros else costs
        refused = dict.fromkeys(
            _places(pc.starts_with(costs, "-")),
            ("cost", "is negative, which spend never is; credits belong into a cost sheet"),
        )
        if log.covers is not None:
            first, last = (pa.scalar(day.isoformat()) for day in log.covers)
            outside = pc.or_(pc.less(days, first), pc.greater(days, last))
            why = ("spend_date", "lies outside the date range that the report prints")
            refused |= dict.fromkeys(_places(outside), why)
        yield Block(pa.array(range(number, number + batch.num_rows), pa.int64()), columns, refused)
        number += batch.num_rows
    if layout.count_line is not None:
        log.skip("row count")


def _places(mask: pa.Array[Any]) -> list[int]:
    """Where a mask is true."""
    if not pc.any(mask).as_py():
        return []
    return [at for at, is_set in enumerate(mask.to_pylist()) if is_set]


def _from_micros(costs: pa.Array[Any]) -> pa.Array[Any]:
    """Whole numbers of a millionth as amounts; as text where one is too large for any amount."""
    try:
        return pc.multiply(costs.cast(pa.decimal128(18, 0)), pa.scalar(_MICRO, pa.decimal128(7, 6)))
    except pa.ArrowInvalid:
        return pa.array([None if c is None else str(int(c) * _MICRO) for c in costs.to_pylist()], pa.string())


_TAX_BASIS = {True: "incl", False: "excl", None: "unknown"}


CONNECTOR = YandexDirect()

if __name__ == "__main__":
    cli.main(CONNECTOR)
