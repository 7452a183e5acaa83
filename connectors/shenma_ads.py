"""Shenma (神马): daily spend from the exports of its console. The header is the first line.

python -m connectors.shenma_ads FILE --set account=main
"""

from __future__ import annotations

from connectors import cli
from connectors._chinese_reports import Console, ConsoleConnector, ReportOptions, ad_spend

CONSOLE = Console(
    name="Shenma",
    headings={
        "spend_date": "日期 时间",
        "account": "账户",
        "campaign_id": "推广计划ID",
        "campaign_name": "推广计划",
        "ad_group_id": "推广单元ID",
        "ad_group": "推广单元",
        "keyword": "关键词",
        "ad_id": "创意ID",
        "ad": "创意",
        "device": "设备 推广设备",
        "impressions": "展现量 展示 展现",
        "clicks": "点击量 点击",
        "cost": "消费",
        "cpc": "平均点击价格",
    },
    ignored="""
        状态 启用/暂停 出价 匹配模式 匹配方式 访问URL 点击率 地域ID 省级地域 地市级地域 小时 关键词ID
        当前单元添加状态
    """,
    partial="搜索词",
    daily="in the Shenma console choose 分日 for the report, or export one day",
)


class ShenmaAds(ConsoleConnector[ReportOptions]):
    """Reports of Shenma's search ads."""

    kind = "shenma_ads"
    title = "Shenma"
    options = ReportOptions
    console = CONSOLE
    stream = ad_spend(restatement_days=7)


CONNECTOR = ShenmaAds()

if __name__ == "__main__":
    cli.main(CONNECTOR)
