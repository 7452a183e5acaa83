"""Ocean Engine (巨量引擎: 今日头条, 抖音): daily spend, from its API or the exports of its console.

Old exports (广告组 is the campaign, 广告计划 the ad group below it) and those of the present console (项目
is the campaign, 单元 the ad group).

API: GET /open_api/v3.0/report/custom/get/ with the header `Access-Token`; at most 30 days a request, from
2016-10-26 on; `page_size` to 1000. HTTP 200 with `code` 0 means success. `stat_cost` is yuan, sent as text;
today's is an estimate and never asked for, it is stable the next day. `data.total_metrics` is held against
the rows. POST https://ad.oceanengine.com/open_api/oauth2/refresh_token/ renews the tokens; both change.

    python -m connectors.ocean_engine FILE --set account=main
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Self

from pydantic import model_validator

from connectors import cli
from connectors._api import Answer, Api
from connectors._chinese_answers import (
    decimal_or_none,
    numbered_pages,
    parsed,
    part,
    record_day,
    records,
    require_whole,
    text_id,
    text_or_none,
)
from connectors._chinese_reports import Console, ConsoleConnector, ad_spend, spend_row
from connectors._chinese_tokens import TokenOptions, Tokens
from connectors.contract import ReadLog, Route, Row, Stream, Window
from connectors.errors import (
    ApiError,
    AuthError,
    FileRefused,
    IncompleteError,
    PermanentError,
    TransientError,
)
from connectors.files import InboxFile

CONSOLE = Console(
    name="Ocean Engine",
    headings={
        "spend_date": "时间 时间-天 日期",
        "account": "账户名称 广告主名称",
        "account_id": "账户ID 广告主ID",
        "campaign_id": "广告组id 项目ID",
        "campaign_name": "广告组 项目名称",
        "ad_group_id": "广告计划id 单元ID",
        "ad_group": "广告计划 单元名称",
        "impressions": "展示数",
        "clicks": "点击数",
        "cost": "总花费 消耗",
        "cpc": "平均点击价格 平均点击单价",
    },
    ignored="""
        投放位置 时间-小时 点击率 平均千次展现费用 转化数 转化成本 平均转化成本 转化率 深度转化数 深度转化成本
        深度转化率 转化目标 单元出价
    """,
    partial="性别 年龄 兴趣 兴趣分类 素材 素材ID 素材名称 素材类型 素材内容 搜索词",
    daily="in the Ocean Engine console choose 时间粒度 天 for the report",
)

_FIRST_DAY = date(2016, 10, 26)
_PATH = "/open_api/v3.0/report/custom/get/"
_DIMENSIONS = ("stat_time_day", "cdp_project_id", "cdp_project_name")
_METRICS = ("stat_cost", "show_cnt", "click_cnt")
_PAGE_ROWS = 1000
# Not documented; an application's default quota is ten a second.
_PER_SECOND = 5
# Too frequent, service unavailable; 50000 and above are the service's own errors.
_BUSY_CODES = frozenset({40100, 40110, 51010})
# Token expired, missing, wrong or revoked; refresh token expired or used.
_TOKEN_CODES = range(40101, 40108)
_ROUNDING = Decimal("0.005")


class OceanEngineOptions(TokenOptions):
    """One advertiser of Ocean Engine, read from the API with a token and `advertiser_id`."""

    account_setting = "advertiser_id"

    base_url: str = "https://api.oceanengine.com"
    token_url: str = "https://ad.oceanengine.com/open_api/oauth2/refresh_token/"  # noqa: S105 - an address
    advertiser_id: str | None = None

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        if self.has_api and self.since is not None and self.since < _FIRST_DAY:
            raise ValueError(f"`since` lies before {_FIRST_DAY}, the first day that the API gives")
        return self


class OceanEngine(ConsoleConnector[OceanEngineOptions]):
    """Reports of Ocean Engine."""

    kind = "ocean_engine"
    title = "Ocean Engine"
    options = OceanEngineOptions
    console = CONSOLE
    # Cost is stable from the next day on; the nights after confirm it.
    stream = ad_spend(restatement_days=3)

    def account_of(self, source: OceanEngineOptions) -> str | None:
        """The advertiser that the API is asked for."""
        return source.advertiser_id

    def read_answer(self, file: InboxFile, source: OceanEngineOptions, log: ReadLog) -> Iterator[Row]:
        """Yield the rows of a saved answer. Raises FileRefused for one page of several."""
        body = parsed(file)
        if part(body, "code") != 0:
            raise FileRefused(
                f"{file.name}: is an error answer, or none of Ocean Engine's API; repeat the request"
            )
        listed = _rows_of(file, body)
        announced = part(body, "data", "page_info", "total_number")
        require_whole(file, log, len(listed), announced, "answer", "raise page_size")
        for number, record in enumerate(listed, start=1):
            yield _row(file, number, record, source)

    def route(self, source: OceanEngineOptions, stream: Stream) -> Route | None:
        """By day, with a token; a request spans at most 30 days."""
        return Route(by="day", window_days=30) if source.has_api else None

    def fetch(
        self, source: OceanEngineOptions, stream: Stream, window: Window, log: ReadLog
    ) -> Iterator[Row]:
        """Yield the projects of each day. Raises ApiError, IncompleteError for missing rows or money."""
        api = _api(source)
        spent, rows, total = Decimal(0), 0, None
        for answer, record in numbered_pages(
            api,
            lambda page: api.get(_PATH, _asked(source, window, page)),
            lambda answer: _rows_of(answer, answer.json()),
            lambda record: tuple(part(record, "dimensions", name) for name in _DIMENSIONS),
            _PAGE_ROWS,
            log,
        ):
            rows += 1
            row = _row(answer, rows, record, source)
            spent += row.values["cost"] or 0
            total = decimal_or_none(part(answer.json(), "data", "total_metrics", "stat_cost"))
            yield row
        if total is not None:
            log.control_totals["answer", "cost"] = total
            if total - spent > _ROUNDING * (rows + 1):
                raise api.error(IncompleteError, f"the rows add up to {spent}, the answer's total is {total}")

    def probe(self, source: OceanEngineOptions) -> str:
        """Ask for yesterday's first page."""
        yesterday = (datetime.now(source.zone) - timedelta(days=1)).date()
        window = Window(yesterday, yesterday, source.zone)
        answer = _api(source).get(_PATH, _asked(source, window, 1))
        count = len(_rows_of(answer, answer.json()))
        return f"answers as advertiser {source.advertiser_id}; {count} projects yesterday"


def _api(source: OceanEngineOptions) -> Api:
    tokens = Tokens(source, _renewal(source), header="Access-Token")
    renewing = tokens.authorisation
    return Api(
        source.name,
        source.base_url,
        per_second=_PER_SECOND,
        headers={} if renewing is not None else tokens.headers(renew=False),
        secrets=[*tokens.secrets, source.app_secret],
        setting=source.token_setting,
        judge=_judge(tokens),
        authorisation=renewing,
    )


def _asked(source: OceanEngineOptions, window: Window, page: int) -> dict[str, Any]:
    return {
        "advertiser_id": source.advertiser_id,
        "data_topic": "BASIC_DATA",
        "dimensions": json.dumps(_DIMENSIONS),
        "metrics": json.dumps(_METRICS),
        "start_time": window.since.isoformat(),
        "end_time": window.until.isoformat(),
        "filters": "[]",
        "order_by": json.dumps([{"field": "stat_time_day", "type": "ASC"}]),
        "page": page,
        "page_size": _PAGE_ROWS,
    }


def _judge(tokens: Tokens) -> Callable[[Answer], ApiError | None]:
    def judge(answer: Answer) -> ApiError | None:
        try:
            code = part(answer.json(), "code")
        except ValueError:
            return None
        if code == 0:
            return None
        if not isinstance(code, int):
            return TransientError("the answer has no code") if answer.status == 200 else None
        said = " ".join(tokens.redact(f"code {code} {part(answer.json(), 'message')}").split())[:200]
        if code in _TOKEN_CODES or code == 40002:
            return AuthError(said)
        return TransientError(said) if code in _BUSY_CODES or code >= 50000 else PermanentError(said)

    return judge


def _renewal(source: OceanEngineOptions) -> Callable[[Api, str, str], Answer]:
    def renew(api: Api, path: str, refresh: str) -> Answer:
        assert source.app_secret is not None
        secret = source.app_secret.get_secret_value()
        asked = {"app_id": source.app_id, "secret": secret, "grant_type": "refresh_token"}
        return api.post(path, {**asked, "refresh_token": refresh})

    return renew


# --- answers -----------------------------------------------------------------------------------------


def _rows_of(file: InboxFile, body: Any) -> list[dict[str, Any]]:
    data = part(body, "data")
    if not isinstance(data, dict) or not data.keys() & {"rows", "page_info"}:
        raise FileRefused(f"{file.name}: is no answer of report/custom/get; save the answer unchanged")
    return records(file, data.get("rows") or [], "report/custom/get")


# What only describes a project or promotion; by anything else, rows repeat or leave out spend.
_DESCRIBING = ("stat_time_", "cdp_", "ad_platform_", "advertiser_")


def _row(file: InboxFile, number: int, record: dict[str, Any], source: OceanEngineOptions) -> Row:
    dimensions, metrics = record.get("dimensions"), record.get("metrics")
    if not isinstance(dimensions, dict) or not isinstance(metrics, dict):
        raise FileRefused(
            f"{file.name}: record {number} has no dimensions and metrics; save the answer unchanged"
        )
    day = dimensions.get("stat_time_day") or dimensions.get("stat_time_hour")
    if day is None:
        raise FileRefused(f"{file.name}: record {number} has no stat_time_day; add it to the dimensions")
    if "stat_cost" not in metrics:
        raise FileRefused(f"{file.name}: record {number} has no stat_cost; add it to the metrics")
    if others := sorted(name for name in dimensions if not name.startswith(_DESCRIBING)):
        raise FileRefused(
            f"{file.name}: a report by {others[0]} leaves spend out or repeats it; ask for projects"
        )
    account = source.account or source.advertiser_id or text_id(dimensions.get("advertiser_id"))
    if account is None:
        raise FileRefused(f"{file.name}: names no account; set `account:` of the source")
    level = "campaign" if "cdp_project_id" in dimensions else "account"
    return spend_row(
        number,
        {
            "account": account,
            "report_level": "ad_group" if "cdp_promotion_id" in dimensions else level,
            "campaign_id": text_id(dimensions.get("cdp_project_id")),
            "campaign_name": text_or_none(dimensions.get("cdp_project_name")),
            "ad_group_id": text_id(dimensions.get("cdp_promotion_id")),
            "ad_group": text_or_none(dimensions.get("cdp_promotion_name")),
            "impressions": decimal_or_none(metrics.get("show_cnt")),
            "clicks": decimal_or_none(metrics.get("click_cnt")),
            "currency": source.currency,
            "tax_basis": source.tax_basis,
        },
        day=record_day(file, number, day),
        cost=decimal_or_none(metrics["stat_cost"]),
    )


CONNECTOR = OceanEngine()

if __name__ == "__main__":
    cli.main(CONNECTOR)
