"""Microsoft Advertising (Bing): daily spend from the report downloads of its interface or its API.

A report is a CSV, TSV or XLSX with up to nine lines `Key: value` above the header (`Report Time`, `Report
Aggregation`, `Rows` …), and a line of copyright below the rows; API reports may leave either out
(learn.microsoft.com/advertising/guides/reports). It must be aggregated by day or by hour. Tables whose
columns are called as the API calls them in snake case are read too.

A day is the day of the report, which the vendor's guide counts in UTC whatever `Time Zone` the report names.

    python -m connectors.microsoft_ads FILE --stream ad_spend --set account=main
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from connectors import cli
from connectors._ad_files import AdFileOptions, Spend, spend_stream
from connectors._cells import compile_format
from connectors._table import Layout, Table, open_table
from connectors.contract import Connector, ReadLog, Record, Stream
from connectors.errors import FileRefused
from connectors.files import InboxFile

AD_SPEND = spend_stream(
    dimensions=(
        "campaign_id",
        "campaign_name",
        "campaign_type",
        "ad_group_id",
        "ad_group",
        "ad_id",
        "keyword_id",
        "keyword",
        "match_type",
        "device",
        "network",
    ),
    # Books close after some three hours; corrections of invalid traffic may take a week or more.
    restatement_days=10,
)

_REMEDY = (
    "in Microsoft Advertising open Reports > Performance > Campaign, set the unit of time to Day and "
    "download as .csv with the columns Campaign ID, Campaign name, Currency code, Spend, Clicks, Impressions"
)


def _listed(headings: str) -> frozenset[str]:
    return frozenset(" ".join(heading.split()) for heading in headings.split(","))


# The headings of the interface, of the API, and of tables in snake case.
_LAYOUT = Layout(
    headings={
        "spend_date": ("TimePeriod", "Time period", "Gregorian date", "GregorianDate", "Day", "Date"),
        "hour": ("Hour",),
        "account_id": ("AccountId", "Account ID", "account_id"),
        "account_number": ("AccountNumber", "Account number", "account_number"),
        "account_name": ("AccountName", "Account name", "Account", "account_name"),
        "campaign_id": ("CampaignId", "Campaign ID", "campaign_id"),
        "campaign_name": ("CampaignName", "Campaign name", "Campaign", "campaign_name"),
        "campaign_type": ("CampaignType", "Campaign type", "campaign_type"),
        "ad_group_id": ("AdGroupId", "Ad group ID", "ad_group_id"),
        "ad_group": ("AdGroupName", "Ad group", "Ad group name", "ad_group_name"),
        "ad_id": ("AdId", "Ad ID", "ad_id"),
        "keyword_id": ("KeywordId", "Keyword ID", "keyword_id"),
        "keyword": ("Keyword",),
        "match_type": (
            "DeliveredMatchType",
            "Delivered match type",
            "delivered_match_type",
            "BidMatchType",
            "Bid match type",
            "bid_match_type",
            "Match type",
        ),
        "device": ("DeviceType", "Device type", "device_type", "Device"),
        "network": ("Network",),
        "impressions": ("Impressions", "Impr."),
        "clicks": ("Clicks",),
        "cost": ("Spend", "Cost"),
        "currency": ("CurrencyCode", "Currency code", "Currency", "currency_code"),
        "goal": ("Goal",),
        # Rows of these overlap, or leave spend out.
        "part": (
            "SearchQuery", "Search term", "Search query", "search_query", "LocationType", "Location type",
            "location_type", "MostSpecificLocation", "Most specific location", "LocationId", "location_id",
            "Country", "CountryOrRegion", "Country/region", "State", "City", "MetroArea", "Metro area",
            "AgeGroup", "Age group", "Gender", "AudienceId", "AudienceName", "Audience", "ClickType",
            "Click type", "PublisherUrl", "Publisher URL", "Website URL", "ProductGroup", "Product group",
            "MerchantProductId", "AssetId", "Asset ID", "NegativeKeyword", "Negative keyword", "IndustryName",
            "JobFunctionName", "CompanyName", "DayOfWeek", "HourOfDay", "Hour of day",
        ),
    },
    required=("cost",),
    ignored=_listed(
        """AdDistribution, Ad distribution, ad_distribution, Language, DeviceOS, Device OS, device_os,
        TopVsOther, Top vs. other, top_vs_other, KeywordStatus, Keyword status, Ctr, CTR, CTR (%),
        CurrentMaxCpc, Current maximum CPC, Current max. CPC, CostPerConversion, CPA, QualityScore,
        Quality score, ExpectedCtr, AdRelevance, LandingPageExperience, QualityImpact, Assists,
        ReturnOnAdSpend, Return on ad spend, Return on ad spend (%), CostPerAssist, CustomParameters,
        Custom Parameters, FinalAppUrl, Final App URL, Mainline1Bid, MainlineBid, FirstPageBid,
        FinalUrlSuffix, ViewThroughConversions, ViewThroughConversionsQualified, AllCostPerConversion,
        AllReturnOnAdSpend, Conversions, ConversionRate, Conversion rate, Conversion rate (%),
        ConversionsQualified, conversions_qualified, AverageCpc, Avg. CPC, Average CPC, AveragePosition,
        Avg. position, AverageCpm, Avg. CPM, AllConversions, all_conversions, all_conversions_qualified,
        AllConversionRate, AllRevenue, all_revenue, AllRevenuePerConversion, Revenue,
        RevenuePerConversion, Revenue per conversion, RevenuePerAssist, CampaignStatus, Campaign status,
        TopImpressionRatePercent, Top impression rate, AdGroupStatus, Ad group status, TrackingTemplate,
        Tracking Template, BidStrategyType, AccountStatus, Account status, FinalUrl, Final URL, AdType, Ad
        type, KeywordLabels, CampaignLabels, AdLabels, FinalMobileUrl, Final Mobile URL,
        AbsoluteTopImpressionRatePercent, Absolute top impression rate, BaseCampaignId, DestinationUrl,
        Destination URL, Customer, CustomerId, Customer name, CustomerName, budget_name, BudgetName,
        Budget, budget_association_status, BudgetAssociationStatus, BudgetStatus, Ad title, Ad
        description, Ad status, Title part 1, Title part 2, Path 1, Path 2, Display URL, Pricing method,
        Extended cost, Cost per assist, Revenue per assist, GoalType"""
    ),
    remedy=_REMEDY,
)  # fmt: skip

_FORMATS = ("%m/%d/%Y",)
_KEY = re.compile(r"(?P<key>Report Time|Report Aggregation|Potential Incomplete Data|Rows): ?(?P<value>.*)")
_BY_DAY = frozenset({"day", "daily", "hour", "hourly"})
_ROW_COUNT = re.compile(r"\d[\d,]*")


class MicrosoftAds(Connector[AdFileOptions]):
    """Reports of Microsoft Advertising."""

    kind = "microsoft_ads"
    title = "Microsoft Advertising (Bing)"
    options = AdFileOptions
    feeds = ("ad_spend",)

    def streams(self, source: AdFileOptions) -> tuple[Stream, ...]:
        """ad_spend."""
        return (AD_SPEND,)

    def read(self, file: InboxFile, stream: Stream, source: AdFileOptions, log: ReadLog) -> Iterator[Record]:
        """Yield a report's rows in blocks.

        Raises FileRefused for a report that is not by day or hour, of a kind whose rows overlap or leave
        spend out, without an account or currency, in another number or date format than configured, and for
        one with other rows than it counts itself.
        """
        table = open_table(file, {"en": _LAYOUT}, log, footer=_footer)
        told = _preamble(table)
        _require_days(table, told, log)
        spend = Spend(table, source, log, formats=_FORMATS, is_guarded=True)
        for block in spend.blocks():
            goals = block.columns.pop("goal", None)
            if goals is not None and goals.null_count < len(goals):
                raise FileRefused(f"{file.name}: a report by goal repeats spend; {_REMEDY}")
            yield block
        if "Report Aggregation" not in told:
            _require_single_days(table, spend.days)
        _check_rows(table, told, spend, log)


def _footer(cells: list[str]) -> str | None:
    return "copyright" if "Microsoft Corporation" in cells[0] else None


def _preamble(table: Table) -> dict[str, str]:
    """What the lines above the header say; {} of a report without them."""
    told = {}
    for cells in table.above:
        # A range of dates holds a comma.
        if (match := _KEY.fullmatch(",".join(cells).rstrip(",; ").strip("\ufeff"))) is not None:
            told[match["key"]] = match["value"].strip()
    return told


def _require_days(table: Table, told: dict[str, str], log: ReadLog) -> None:
    name = table.file.name
    if "part" in table.headings:
        raise FileRefused(
            f"{name}: a report by {table.headings['part']} repeats spend or leaves some out; {_REMEDY}"
        )
    if "spend_date" not in table.headings:
        raise FileRefused(f"{name}: has no days, so spend cannot be dated; {_REMEDY}")
    aggregation = told.get("Report Aggregation")
    if aggregation is not None and aggregation.casefold() not in _BY_DAY:
        raise FileRefused(f"{name}: is aggregated by {aggregation!r}, not by day; {_REMEDY}")
    if told.get("Potential Incomplete Data", "").casefold() == "true":
        log.notes.append("the report says that its last day may be incomplete: download it again later")
    log.covers = _covers(told.get("Report Time", ""))


def _covers(text: str) -> tuple[date, date] | None:
    """`2/1/2020, 2/7/2020` or one day; None for anything else (a year, `Last 7 days`)."""
    days = []
    for part in text.split(","):
        found = next(
            (at for f in ("%m/%d/%Y", "%Y-%m-%d") if (at := compile_format(f)(part.strip())) is not None),
            None,
        )
        if found is None:
            return None
        days.append(found.date())
    return (days[0], days[-1]) if len(days) <= 2 and days[0] <= days[-1] else None


def _require_single_days(table: Table, days: set[str]) -> None:
    """Weeks and months are dated by a day too, which only the lines above the header tell."""
    found = [date.fromisoformat(day) for day in days]
    if len(found) < 3:
        return
    if len({day.weekday() for day in found}) == 1 or {day.day for day in found} == {1}:
        raise FileRefused(
            f"{table.file.name}: its days are a week or a month apart, as in a report by week or month; "
            "download it by day, with the lines above the header"
        )


def _check_rows(table: Table, told: dict[str, str], spend: Spend, log: ReadLog) -> None:
    counted = told.get("Rows")
    if counted is None or not _ROW_COUNT.fullmatch(counted):
        return
    rows = int(counted.replace(",", ""))
    log.control_totals["report", "rows"] = Decimal(rows)
    if rows not in (spend.rows, spend.rows + spend.totals):
        raise FileRefused(
            f"{table.file.name}: holds {spend.rows} of {rows} rows; it is not whole, download it again"
        )


CONNECTOR = MicrosoftAds()

if __name__ == "__main__":
    cli.main(CONNECTOR)
