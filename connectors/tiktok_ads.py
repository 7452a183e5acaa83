"""TikTok Ads: daily spend from exports of Ads Manager, tables of the API's fields, and saved API answers.

`ad_spend` reads
- the report of Ads Manager (XLSX or CSV) with the dimension `By Day`;
- tables whose columns are called as the API calls its fields (`stat_time_day` or `stat_time_hour`, `spend`,
  `campaign_id` …), in either case of letters;
- a saved answer of `report/integrated/get` (one JSON object), or such rows as JSON lines.

Amounts of the API are texts with up to three decimals; what is missing is null or `-`. Days are those of
the ad account's zone. A report may drift while it is read page by page, so that one page of several is
refused.

    python -m connectors.tiktok_ads FILE --stream ad_spend --set account=main --set currency=EUR
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from connectors import cli
from connectors._ad_files import NEGATIVE, TAX_BASIS, AdFileOptions, Spend, spend_stream, stamp
from connectors._table import MARKS, Layout, open_table
from connectors.contract import Connector, ReadLog, Record, Row, Stream
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
        "ad_name",
    ),
    # Conversions move for four weeks; spend is final sooner, for how long is not documented.
    restatement_days=28,
)

_REMEDY = (
    "in TikTok Ads Manager open Reporting > Custom report with the dimensions Campaign name, Campaign ID and "
    "By Day and the metrics Cost, Impressions and Clicks (destination), and export it"
)
_PARTS = (
    "Country/Region", "Country", "Region", "Location", "Sub-region", "Province/State", "City", "DMA", "Age",
    "Gender", "Language", "Interest", "Interest category", "Audience", "Audience interest", "Search term",
    "Search terms", "Video", "Video material", "Image", "Hashtag", "Device brand", "Device model",
    "Device price", "Operating system", "Operating systems", "Platform", "Network type", "Contextual tag",
)  # fmt: skip
_MANAGER = Layout(
    headings={
        "spend_date": ("By Day", "Date", "Day"),
        "stat_time_hour": ("By Hour",),
        "account_id": ("Advertiser ID", "Account ID"),
        "account_name": ("Account name", "Advertiser name"),
        "campaign_id": ("Campaign ID",),
        "campaign_name": ("Campaign name", "Campaign"),
        "campaign_type": ("Campaign type", "Advertising objective", "Objective"),
        "ad_group_id": ("Ad group ID",),
        "ad_group": ("Ad group name", "Ad group"),
        "ad_id": ("Ad ID",),
        "ad_name": ("Ad name",),
        "impressions": ("Impressions", "Impression"),
        "clicks": ("Clicks (destination)", "Clicks"),
        "cost": (
            "Cost",
            "Total cost",
            "Amount spent",
            re.compile(r"(?:total )?cost \((?P<currency>[a-z]{3})\)"),
            "Spend",
        ),
        "currency": ("Currency",),
        "part": _PARTS,
    },
    required=("cost",),
    ignored=(
        "Primary status", "Secondary status", "Status", "CPC (destination)", "CTR (destination)", "CPM",
        "CPC", "CTR", "Clicks (all)", "CTR (all)", "CPC (all)", "Reach", "Frequency", "Conversions",
        "CPA", "CVR", "Cost per conversion", "Conversion rate", "Conversion rate (CVR)", "Result",
        "Results", "Cost per result", "Result rate", "Result type", "Cost per 1,000 people reached",
        "2-second video views", "Video views", "6-second video views", "Average play time per video view",
        "Average play time per user", "Budget",
    ),
    remedy=_REMEDY,
)  # fmt: skip
# The API's names, which are those of copies of it in a database too.
_FIELDS = Layout(
    headings={
        "spend_date": ("stat_time_day",),
        "stat_time_hour": ("stat_time_hour",),
        "account_id": ("advertiser_id",),
        "account_name": ("advertiser_name",),
        "campaign_id": ("campaign_id",),
        "campaign_name": ("campaign_name",),
        "campaign_type": ("objective_type", "campaign_type"),
        "ad_group_id": ("adgroup_id",),
        "ad_group": ("adgroup_name",),
        "ad_id": ("ad_id",),
        "ad_name": ("ad_name",),
        "impressions": ("impressions",),
        "clicks": ("clicks",),
        "cost": ("spend",),
        "currency": ("currency",),
        "part": ("country_code", "province_id", "dma_id", "age", "gender", "language", "interest_category",
                 "search_terms", "platform", "ac", "placement_type", "contextual_tag"),
    },
    required=("cost",),
    ignored=(
        "cost_per_conversion", "cpc", "cpm", "ctr", "reach", "frequency", "result", "result_rate", "likes",
        "video_play_actions", "conversion", "conversion_rate", "video_views_p_25", "video_views_p_50",
        "video_views_p_75", "video_views_p_100", "comments", "shares", "follows", "real_time_cost_per_result",
        "real_time_result", "real_time_result_rate", "real_time_conversion", "real_time_conversion_rate",
        "real_time_cost_per_conversion", "cost_per_secondary_goal_result", "secondary_goal_result_rate",
        "secondary_goal_result", "cost_per_1000_reached", "profile_visits_rate", "profile_visits",
        "average_video_play", "average_video_play_per_user", "video_watched_2_s", "video_watched_6_s",
        "cost_per_result", "total_purchase_value", "total_sales_lead_value", "_fivetran_synced",
    ),
    remedy="name the columns as report/integrated/get names its fields",
)  # fmt: skip
_DAY_FORMATS = ("%Y-%m-%d",)


class TikTokAds(Connector[AdFileOptions]):
    """Reports of TikTok Ads."""

    kind = "tiktok_ads"
    title = "TikTok Ads"
    options = AdFileOptions
    feeds = ("ad_spend",)

    def streams(self, source: AdFileOptions) -> tuple[Stream, ...]:
        """ad_spend."""
        return (AD_SPEND,)

    def read(self, file: InboxFile, stream: Stream, source: AdFileOptions, log: ReadLog) -> Iterator[Record]:
        """Yield a report's rows.

        Raises FileRefused for a report without days, of a kind whose rows overlap or leave spend out,
        without an account or currency, in another number or date format than configured, for one whose rows
        add up to less than the total it prints, for an error answer and for one page of several.
        """
        if file.suffix not in (".xlsx", ".xlsm") and file.first_character() in ("{", "["):
            yield from _json_rows(file, source, log)
            return
        table = open_table(file, {"manager": _MANAGER, "fields": _FIELDS}, log)
        if "part" in table.headings:
            raise FileRefused(
                f"{file.name}: a report by {table.headings['part']} may leave spend out; {_REMEDY}"
            )
        if table.headings.keys().isdisjoint({"spend_date", "stat_time_hour"}):
            raise FileRefused(f"{file.name}: has no days, so spend cannot be dated; {_REMEDY}")
        if "spend_date" not in table.headings:
            # An hour stands with its day.
            table.rename("stat_time_hour", "spend_date")
        is_manager = table.language == "manager"
        yield from Spend(table, source, log, formats=_DAY_FORMATS, is_guarded=is_manager).blocks()


# --- saved answers -----------------------------------------------------------------------------------


def _json_rows(file: InboxFile, source: AdFileOptions, log: ReadLog) -> Iterator[Row]:
    spent = _Answer(file, source)
    number = 0
    for number, item in _items(file):
        yield spent.row(number, item)
    announced = None if _is_lines(file) else _announced(file)
    if announced is not None:
        log.control_totals["answer", "rows"] = Decimal(announced)
        if announced != number:
            raise FileRefused(
                f"{file.name}: holds {number} of {announced} rows; it is one page of several, save all rows "
                "in one answer (page_size)"
            )


def _is_lines(file: InboxFile) -> bool:
    """Whether the file has a whole JSON object on its first line which is no answer."""
    line = next((line for line in file.lines(fallback="utf-8") if line.strip()), "")
    try:
        first = json.loads(line.lstrip("\ufeff"))
    except json.JSONDecodeError:
        return False
    return isinstance(first, dict) and "code" not in first


def _items(file: InboxFile) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number, row) of an answer or of JSON lines."""
    if _is_lines(file):
        for number, line in file.json_lines():
            # Connectors wrap a row: {"stream": …, "data": {…}}.
            inner = line.get("data")
            yield number, inner if isinstance(inner, dict) else line
        return
    codes = [value for name, event, value in file.json_head() if name == "code" and event == "number"]
    if file.first_character() == "[" or not codes:
        raise FileRefused(f"{file.name}: is no answer of report/integrated/get; save the answer unchanged")
    if codes[0] != 0:
        raise FileRefused(f"{file.name}: is an error answer (code {codes[0]}); repeat the request")
    for number, item in file.json_items("data.list.item"):
        if not isinstance(item, dict):
            raise FileRefused(f"{file.name}: row {number} is no object; save the answer unchanged")
        yield number, item


def _announced(file: InboxFile) -> int | None:
    for _, info in file.json_items("data.page_info"):
        if isinstance(info, dict) and isinstance(info.get("total_number"), int):
            return int(info["total_number"])
    return None


class _Answer:
    """Rows of the API: {"dimensions": {…}, "metrics": {…}}."""

    def __init__(self, file: InboxFile, source: AdFileOptions) -> None:
        self._name = file.name
        self._source = source
        self._accounts: set[str] = set()

    def row(self, number: int, item: dict[str, Any]) -> Row:
        dimensions, metrics = item.get("dimensions"), item.get("metrics")
        if not isinstance(dimensions, dict) or not isinstance(metrics, dict):
            raise FileRefused(f"{self._name}: row {number} has no dimensions and metrics; save it unchanged")
        parts = set(_FIELDS.headings["part"]).intersection(dimensions)
        if parts:
            raise FileRefused(f"{self._name}: a report by {min(map(str, parts))} may leave spend out")
        told = {**metrics, **dimensions}
        moment = _text(told.get("stat_time_hour")) or _text(told.get("stat_time_day"))
        if moment is None:
            raise FileRefused(f"{self._name}: row {number} has no day; request the dimension stat_time_day")
        found = stamp(moment, _DAY_FORMATS)
        values = {
            "spend_date": moment if found is None else found[0],
            "hour": None if found is None or "stat_time_hour" not in told else found[1],
            "account": self._account(number, told),
            "report_level": _level(dimensions),
            "campaign_id": _text(told.get("campaign_id")),
            "campaign_name": _text(told.get("campaign_name")),
            "campaign_type": _text(told.get("objective_type")),
            "ad_group_id": _text(told.get("adgroup_id")),
            "ad_group": _text(told.get("adgroup_name")),
            "ad_id": _text(told.get("ad_id")),
            "ad_name": _text(told.get("ad_name")),
            "impressions": _text(told.get("impressions")),
            "clicks": _text(told.get("clicks")),
            "cost": _cost(told),
            "currency": self._currency(number, told),
            "tax_basis": TAX_BASIS[self._source.include_vat],
        }
        is_negative = str(values["cost"]).startswith("-")
        return Row(number, values, ("cost", NEGATIVE) if is_negative else None)

    def _account(self, number: int, told: dict[str, Any]) -> str:
        named = _text(told.get("advertiser_id"))
        own = self._source.account
        if named is not None:
            self._accounts.add(named)
        if own is not None and len(self._accounts) > 1:
            raise FileRefused(
                f"{self._name}: holds several accounts, but the source is `account: {own}`; "
                "save one account's answer, or drop `account:` of the source"
            )
        if own is None and named is None:
            raise FileRefused(f"{self._name}: row {number} names no account; set `account:` of the source")
        return own or str(named)

    def _currency(self, number: int, told: dict[str, Any]) -> str:
        named, own = _text(told.get("currency")), self._source.currency
        if named is not None and own is not None and named != own:
            raise FileRefused(f"{self._name}: row {number} is not in {own}; mend `currency:` of the source")
        if named is None and own is None:
            raise FileRefused(f"{self._name}: tells no currency; set `currency:` of the source")
        return named or str(own)


def _cost(told: dict[str, Any]) -> str | None:
    """The spend; zero where it is missing and nothing was shown."""
    is_idle = all(_text(told.get(name)) in (None, "0") for name in ("impressions", "clicks"))
    return _text(told.get("spend")) or ("0" if is_idle else None)


def _level(dimensions: dict[str, Any]) -> str:
    for name, level in (("ad_id", "ad"), ("adgroup_id", "ad_group"), ("campaign_id", "campaign")):
        if name in dimensions:
            return level
    return "account"


def _text(raw: Any) -> str | None:
    """A value as text; None for null and the dash that stands for it."""
    text = "" if raw is None else str(raw).strip()
    return None if text in ("", *MARKS) else text


CONNECTOR = TikTokAds()

if __name__ == "__main__":
    cli.main(CONNECTOR)
