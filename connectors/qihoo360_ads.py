"""360 点睛: daily spend from the exports of its console, or a saved answer of the display report.

Exports (CSV, XLSX) have a day column only when the report is by day. 推广组 is the ad group; a column
labelled 平均点击率 in the keyword export holds a price and is not read. The display report's answer
(open.e.360.cn/displayapi: report/cost, report/karegioncost) is JSON with amounts as text of five decimals; it
is settled, unlike the `*Now` reports, and never has today. Search and display spend of one account are kept
apart: a report of one never replaces the other's.

    python -m connectors.qihoo360_ads FILE --set account=main
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from connectors import cli
from connectors._chinese_answers import (
    decimal_or_none,
    parsed,
    part,
    record_day,
    records,
    require_whole,
    text_id,
    text_or_none,
)
from connectors._chinese_reports import Console, ConsoleConnector, ReportOptions, ad_spend, spend_row
from connectors.contract import ReadLog, Row
from connectors.errors import FileRefused
from connectors.files import InboxFile

# A keyword is search; other layouts do not tell.
_OF_SEARCH = frozenset({"关键词", "关键词id", "匹配方式"})

CONSOLE = Console(
    name="360",
    headings={
        "spend_date": "日期 时间",
        "account": "推广账户 账户",
        "product": "产品线",
        "campaign_id": "推广计划ID",
        "campaign_name": "推广计划",
        "ad_group_id": "推广组ID",
        "ad_group": "推广组",
        "keyword": "关键词",
        "ad_id": "创意ID",
        "ad": "创意",
        "device": "设备 设备类型",
        "impressions": "展示次数 展示 展现",
        "clicks": "点击次数 点击",
        "cost": "总费用 消费",
        "cpc": "平均每次点击费用",
    },
    ignored="""
        关键词ID 匹配方式 出价 访问网址 移动访问网址 质量度 移动质量度 启用/暂停 点击率 平均点击率
        省级地区 市级地区 小时 创意描述1 创意描述2 触发模式
    """,
    partial="搜索词",
    daily="in the 360 console choose 分日 for the report, so that it has a column 日期",
    product=lambda headings, _conditions: "search" if headings & _OF_SEARCH else None,
)


class Qihoo360Options(ReportOptions):
    """One 360 account. `products` says what its files hold where they do not tell themselves."""

    products: tuple[Literal["search", "display"], ...] = Field(default=("search", "display"), min_length=1)


class Qihoo360Ads(ConsoleConnector[Qihoo360Options]):
    """Reports of 360's search and display ads."""

    kind = "qihoo360_ads"
    title = "360"
    options = Qihoo360Options
    console = CONSOLE
    stream = ad_spend(restatement_days=7, has_products=True)

    def product_of(self, source: Qihoo360Options) -> str | None:
        """The only product of the source."""
        return source.products[0] if len(source.products) == 1 else None

    def read_answer(self, file: InboxFile, source: Qihoo360Options, log: ReadLog) -> Iterator[Row]:
        """Yield the rows of the display report's answer. Raises FileRefused for one page of several."""
        if "display" not in source.products:
            raise FileRefused(
                f"{file.name}: is a report of display, which `products` of the source leaves out"
            )
        if source.account is None:
            # Under two names, what both report would count twice.
            raise FileRefused(
                f"{file.name}: names the account by its number, which the console names by its login; "
                "set `account:` of the source (one source per account)"
            )
        body = parsed(file)
        if part(body, "failures"):
            raise FileRefused(f"{file.name}: is an error answer; repeat the request")
        listed = records(file, part(body, "cost"), "360's display report (report/cost)")
        require_whole(file, log, len(listed), part(body, "count"), "display", "ask for fewer days")
        for number, record in enumerate(listed, start=1):
            yield _display_row(file, number, record, source)


def _display_row(file: InboxFile, number: int, record: dict[str, Any], source: Qihoo360Options) -> Row:
    # The regional report words it otherwise, and names no campaign.
    is_regional = "adcost" in record
    money, views, clicks = ("adcost", "ns", "nc") if is_regional else ("totalCost", "views", "clicks")
    if money not in record or "date" not in record:
        raise FileRefused(
            f"{file.name}: record {number} has no {money} or no date; save the answer unchanged"
        )
    level = next((name for key, name in _LEVEL_IDS.items() if text_id(record.get(key))), "account")
    return spend_row(
        number,
        {
            "account": source.account,
            "product": "display",
            "report_level": level,
            "campaign_id": text_id(record.get("campaignId")),
            "campaign_name": text_or_none(record.get("campaignName")),
            "ad_group_id": text_id(record.get("groupId")),
            "ad_group": text_or_none(record.get("groupName")),
            "ad_id": text_id(record.get("bannerId")),
            "impressions": record.get(views),
            "clicks": record.get(clicks),
            "currency": source.currency,
            "tax_basis": source.tax_basis,
        },
        day=record_day(file, number, record["date"]),
        cost=decimal_or_none(record[money]),
    )


_LEVEL_IDS = {"bannerId": "ad", "groupId": "ad_group", "campaignId": "campaign"}

CONNECTOR = Qihoo360Ads()

if __name__ == "__main__":
    cli.main(CONNECTOR)
