"""Yandex Direct: daily spend from saved answers of its Reports service (TSV).

Layout (yandex.com/dev/direct/doc/en/report-format): an optional title `ReportName (from - to)`, the column
line, rows, an optional row count. The texts of title and count follow the request's language, so both are
told by their place. `--` is no value. There is no quoting.

The unit of money is not written in the report: integers × 1,000,000 unless the request had the header
`returnMoneyInMicros: false`, then two decimals. It is taken from `money:` of the source; without it from
the file, where that leaves no doubt (see `_money_unit`).

    python -m connectors.yandex_direct FILE --set currency=RUB
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from connectors import cli
from connectors.contract import Column, Connector, Currency, ReadLog, Row, SourceOptions, Stream
from connectors.errors import FileRefused
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
_INTEGER = re.compile(r"-?\d+")
_AMOUNT = re.compile(r"-?\d+(?:\.\d{1,2})?")
_TITLE_RANGE = re.compile(r"\((\d{4}-\d\d-\d\d) - (\d{4}-\d\d-\d\d)\)\W*$")
_COUNT = re.compile(r"\D*(\d+)")
_NOTHING = "--"
# Micros are rounded to a hundredth of the currency.
_MICROS_STEP = 10_000
# A click at this price in currency units is no price; read as micros it costs a tenth of a unit.
_ABSURD_CLICK = 100_000
_MICRO = Decimal("0.000001")
_UNIT_REMEDY = "set `money: micros` or `money: currency` of the source"


class YandexDirectOptions(SourceOptions):
    """One Yandex Direct login.

    `currency` is the account's, which no report tells. `money` is the unit of the reports' amounts and
    `include_vat` the IncludeVAT of the request: without it, the tax basis is unknown.
    """

    currency: Currency
    money: Literal["micros", "currency"] | None = None
    include_vat: bool | None = None


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
    ) -> Iterator[Row]:
        """Yield a report's rows. The file is read twice: the unit of money needs every row.

        Raises FileRefused for an answer that is no report, a report without days or whose rows leave spend
        out, one with fewer rows than it counts, and one whose unit of money cannot be told.
        """
        layout = _survey(file, source, log)
        return _rows(file, source, log, layout)


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
    cost_at, clicks_at = names.index("Cost"), names.index("Clicks") if "Clicks" in names else None
    amounts = _Amounts()
    rows = 0
    count_line = counted = None
    for number, cells in lines:
        if count_line is not None:
            raise FileRefused(
                f"{file.name}: line {count_line} stands alone where {len(names)} cells belong; "
                "the file was edited or joined, request the report again"
            )
        if len(cells) == 1:
            match = _COUNT.fullmatch(cells[0])
            if match is None:
                raise FileRefused(
                    f"{file.name}: line {number} has one cell under {len(names)} headings; "
                    "the file is cut short, request the report again"
                )
            count_line, counted = number, int(match[1])
            continue
        rows += 1
        if len(cells) != len(names):
            raise FileRefused(
                f"{file.name}: line {number} has {len(cells)} cells under {len(names)} headings; "
                "the file is cut short or a name holds a tab, request the report again"
            )
        amounts.add(cells[cost_at], None if clicks_at is None else cells[clicks_at])
    if counted is not None:
        log.control_totals["report", "rows"] = Decimal(counted)
        if counted != rows:
            raise FileRefused(
                f"{file.name}: holds {rows} of {counted} rows; it is not whole, request the report again"
            )
    return _Layout(header_line, names, level, _money_unit(file, source, amounts), count_line)


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
        self.cost = 0
        self.clicks = 0

    def add(self, cost: str, clicks: str | None) -> None:
        if clicks is not None and _INTEGER.fullmatch(clicks):
            self.clicks += int(clicks)
        if _INTEGER.fullmatch(cost):
            value = int(cost)
            self.cost += value
            if value % _MICROS_STEP:
                self.is_stepped = False
        elif _AMOUNT.fullmatch(cost):
            self.has_decimals = True
        elif cost not in (_NOTHING, ""):
            self.is_numeric = False


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


def _rows(file: InboxFile, source: YandexDirectOptions, log: ReadLog, layout: _Layout) -> Iterator[Row]:
    names = layout.names
    place = {name: at for at, name in enumerate(names)}
    texts = [(column, place[name]) for name, column in _TEXTS.items() if name in place]
    date_at, cost_at = place["Date"], place["Cost"]
    counts = [(n.lower(), place[n]) for n in ("Impressions", "Clicks") if n in place]
    fixed = {
        "account": source.account or source.name,
        "report_level": layout.level,
        "currency": source.currency,
        "tax_basis": _TAX_BASIS[source.include_vat],
    }
    first, last = ("", "~") if log.covers is None else (log.covers[0].isoformat(), log.covers[1].isoformat())
    for number, cells in _lines(file):
        if number <= layout.header_line:
            continue
        if number == layout.count_line:
            log.skip("row count")
            continue
        values: dict[str, Any] = dict(fixed)
        day = values["spend_date"] = _value(cells[date_at])
        for column, at in texts:
            values[column] = _value(cells[at])
        for column, at in counts:
            values[column] = _value(cells[at]) or 0
        cost = _value(cells[cost_at])
        values["cost"] = cost
        refused = None
        if cost is not None:
            if cost[0] == "-":
                refused = ("cost", "is negative, which spend never is; credits belong into a cost sheet")
            elif layout.in_micros:
                values["cost"] = int(cost) * _MICRO
        if day is not None and not first <= day <= last:
            refused = ("spend_date", "lies outside the date range that the report prints")
        yield Row(number, values, refused)


_TAX_BASIS = {True: "incl", False: "excl", None: "unknown"}


def _value(cell: str) -> str | None:
    return None if cell in (_NOTHING, "") else cell


CONNECTOR = YandexDirect()

if __name__ == "__main__":
    cli.main(CONNECTOR)
