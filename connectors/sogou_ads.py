"""Sogou: daily spend from the exports of its console.

Region and hourly reports have their total as the first row, with fewer cells than the header, and no
impressions. The desktop client prints the period above the header and has no day column. 推广组 is the ad
group.

    python -m connectors.sogou_ads FILE --set account=main
"""

from __future__ import annotations

from connectors import cli
from connectors._chinese_reports import Console, ConsoleConnector, ReportOptions, ad_spend

CONSOLE = Console(
    name="Sogou",
    headings={
        "spend_date": "日期 时间",
        "account": "账户 账号",
        "campaign_id": "推广计划ID",
        "campaign_name": "推广计划",
        "ad_group_id": "推广组ID",
        "ad_group": "推广组",
        "keyword": "关键词",
        "ad_id": "创意ID",
        "ad": "创意标题",
        "device": "设备 推广设备",
        "impressions": "展示数 展现数",
        "clicks": "点击数",
        "cost": "消耗",
        "cpc": "点击均价 点击价格",
    },
    ignored="""
        编号 小时 省级地域 市级地域 消耗占比 点击数占比 展示数占比 点击率 平均排名
        推广计划状态 推广计划启用/暂停 推广计划每日预算 内容关联 推广组出价 推广组启用/暂停 推广组状态
        关键词ID 关键词状态 关键词启用/暂停 关键词质量度 关键词移动质量度 关键词匹配方式 关键词出价
        关键词访问URL 关键词移动访问URL 能否展现 创意描述1 创意描述2 创意启用/暂停 创意状态
        创意显示URL 创意展示URL 创意访问URL 创意移动显示URL 创意移动访问URL
    """,
    partial="搜索词",
    daily="in the Sogou console choose 分日 for the report, or export one day",
)


class SogouAds(ConsoleConnector[ReportOptions]):
    """Reports of Sogou's search ads."""

    kind = "sogou_ads"
    title = "Sogou"
    options = ReportOptions
    console = CONSOLE
    stream = ad_spend(restatement_days=7)


CONNECTOR = SogouAds()

if __name__ == "__main__":
    cli.main(CONNECTOR)
