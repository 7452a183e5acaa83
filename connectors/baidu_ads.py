"""Baidu (百度营销): daily spend of search and feed, from its API or the exports of its console.

Exports: a preamble with the conditions of the report, the header, rows; of the desktop client a period, the
header, the account's name, rows. Search and feed spend of one account are kept apart: a report of one never
replaces the other's.

API: POST /json/sms/service/OpenApiReportService/getReportData, the credentials inside the body; HTTP 200
with `header.status` 0 means success. Rows are paged by `startRow` and `rowCount` out of `totalRowCount`; cost
is yuan, `date` a day for the time unit DAY. Report types 2290316 (search campaigns) and 2276038 (feed
campaigns). POST https://u.baidu.com/oauth/refreshToken renews the tokens; both change.

    python -m connectors.baidu_ads FILE --set account=main
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from connectors import cli
from connectors._api import Answer, Api
from connectors._chinese_answers import (
    Found,
    decimal_or_none,
    parsed,
    part,
    record_day,
    records,
    require_whole,
    text_id,
    text_or_none,
)
from connectors._chinese_cells import without_deleted_mark
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

Product = Literal["search", "feed"]

_SEARCH_CONDITIONS = frozenset({"推广设备", "投放网络", "投放物料"})
_SEARCH_HEADINGS = frozenset({"关键词", "关键词名称", "计算机消费"})


def _product(headings: frozenset[str], conditions: frozenset[str]) -> str | None:
    """Search reports print devices and networks among their conditions, feed reports only a period."""
    if headings & _SEARCH_HEADINGS or conditions & _SEARCH_CONDITIONS:
        return "search"
    return "feed" if "时间范围" in conditions else None


CONSOLE = Console(
    name="Baidu",
    headings={
        "spend_date": "日期",
        "account": "账户 账户名称",
        "account_id": "账户ID",
        "campaign_id": "推广计划ID 计划ID",
        "campaign_name": "推广计划 推广计划名称 计划 计划名称",
        "ad_group_id": "推广单元ID 单元ID",
        "ad_group": "推广单元 推广单元名称 单元 单元名称",
        "keyword": "关键词 关键词名称",
        "ad_id": "创意ID",
        "ad": "创意标题",
        "device": "设备 推广设备",
        "impressions": "展现 展现量",
        "clicks": "点击 点击量",
        "cost": "消费",
        "cpc": "平均点击价格",
    },
    ignored="""
        小时 省 市 省份 城市 地域 点击率 千次展现消费 转化 总转化量 网页转化 商桥转化 电话转化
        关键词ID 显示URL 当前单元的添加状态 推广计划状态 推广计划启用/暂停信息 推广计划每日预算
        推广计划创意展示方式 推广单元状态 推广单元启用/暂停信息 推广单元出价 推广单元分匹配出价系数
        推广单元移动出价比例 推广单元计算机出价比例 推广单元设备类型 关键词状态
        关键词所属监控文件夹个数 关键词启用/暂停信息 关键词出价 关键词计算机质量度 关键词移动质量度
        关键词匹配模式 关键词访问URL 关键词移动访问URL 创意描述1 创意描述2 创意默认访问URL
        创意默认显示URL 创意移动访问URL 创意移动显示URL 创意状态 创意启用/暂停信息 创意设备偏好
        计算机消费 计算机平均点击价格 计算机点击 计算机展现 计算机点击率 计算机转化 计算机千次展现消费
        移动消费 移动平均点击价格 移动点击 移动展现 移动点击率 移动转化 移动千次展现消费
    """,
    partial="搜索词 兴趣 年龄 性别 人群 人群名称 访客 访问IP",
    daily="in the Baidu console choose 时间单位 分日 for the report",
    product=_product,
)

_PATH = "/json/sms/service/OpenApiReportService/getReportData"
_REPORTS: Mapping[Product, int] = {"search": 2290316, "feed": 2276038}
_COLUMNS = ["date", "userName", "campaignId", "campaignName", "impression", "click", "cost"]
# Two sorts at most, of columns that are asked for: without them rows move between pages.
_SORTS = [{"column": "date", "sortRule": "ASC"}, {"column": "campaignId", "sortRule": "ASC"}]
_PAGE_ROWS = 1000
# Documented: 50 a second; others of the same application count too.
_PER_SECOND = 10
# Codes by cloud.baidu.com/doc/SEM error list: 800 and 8904 are the service's own trouble and its rate limit,
# 81xx what is missing in the header; of the rest the message tells.
_BUSY_CODES = frozenset({405, 421, 502, 800, 8904})
_REFUSED = re.compile(r"token|password|user ?name|authori[sz]|permission|forbidden|授权|密码|权限|令牌", re.I)
_BUSY = re.compile(
    r"frequen|rate limit|too many|exceed|busy|try again|retry|timeout|频|繁忙|稍后|超时|系统", re.I
)


class BaiduOptions(TokenOptions):
    """One Baidu account, read from the API with a token and `user_name`, its login.

    `products` are the reports that the API is asked for, and what a file holds that does not tell it itself.
    `user_id` (ucid) is needed to renew the tokens of `token_file`.
    """

    account_setting = "user_name"

    base_url: str = "https://api.baidu.com"
    token_url: str = "https://u.baidu.com/oauth/refreshToken"  # noqa: S105 - an address
    user_name: str | None = None
    user_id: str | None = None
    products: tuple[Product, ...] = Field(default=("search", "feed"), min_length=1)

    @model_validator(mode="after")
    def _renewable(self) -> Self:
        if self.token_file is not None and (self.user_id is None or not self.user_id.isdigit()):
            raise ValueError("`token_file` needs `user_id`, the number (ucid) of the account that authorised")
        return self


class BaiduAds(ConsoleConnector[BaiduOptions]):
    """Reports of Baidu's search and feed ads."""

    kind = "baidu_ads"
    title = "Baidu"
    options = BaiduOptions
    console = CONSOLE
    # Invalid clicks are taken out for an undocumented time; a window of a month costs one request a product.
    stream = ad_spend(restatement_days=35, has_products=True)

    def account_of(self, source: BaiduOptions) -> str | None:
        """The login that the API is asked for."""
        return source.user_name

    def product_of(self, source: BaiduOptions) -> Product | None:
        """The only product of the source."""
        return source.products[0] if len(source.products) == 1 else None

    def read_answer(self, file: InboxFile, source: BaiduOptions, log: ReadLog) -> Iterator[Row]:
        """Yield the rows of a saved answer. Raises FileRefused for one page of several."""
        body, product = parsed(file), self.product_of(source)
        if part(body, "header", "status") != 0:
            raise FileRefused(f"{file.name}: is an error answer, or none of Baidu's API; repeat the request")
        if product is None:
            raise FileRefused(
                f"{file.name}: does not tell of which product it is; set `products:` of the source to one, "
                "and keep one source per product"
            )
        listed, total = _rows_of(file, body)
        require_whole(file, log, len(listed), total, product, "raise rowCount")
        for number, record in enumerate(listed, start=1):
            yield _row(file, number, record, source, product)

    def route(self, source: BaiduOptions, stream: Stream) -> Route | None:
        """By day, with a token."""
        return Route(by="day", window_days=31) if source.has_api else None

    def fetch(self, source: BaiduOptions, stream: Stream, window: Window, log: ReadLog) -> Iterator[Row]:
        """Yield the campaigns of every product. Raises ApiError, IncompleteError for missing rows."""
        service = _Service(source)
        number = 0
        for product in source.products:
            for answer, record in service.campaigns(product, window, log):
                number += 1
                yield _row(answer, number, record, source, product)

    def probe(self, source: BaiduOptions) -> str:
        """Ask for yesterday's campaigns."""
        yesterday = (datetime.now(source.zone) - timedelta(days=1)).date()
        window = Window(yesterday, yesterday, source.zone)
        service = _Service(source)
        counts = [
            f"{sum(1 for _ in service.campaigns(product, window, ReadLog()))} {product}"
            for product in source.products
        ]
        return f"answers as {source.user_name}; campaigns yesterday: {', '.join(counts)}"


class _Login(Tokens):
    """The header of a request's body, which carries the token."""

    def __init__(self, source: BaiduOptions) -> None:
        super().__init__(source, _renewal(source))
        self.said = {"userName": source.user_name, "accessToken": self.access}

    def headers(self, *, renew: bool) -> Mapping[str, str]:
        found = super().headers(renew=renew)
        self.said["accessToken"] = self.access
        return found


class _Service:
    """The report service, asked on behalf of one account."""

    def __init__(self, source: BaiduOptions) -> None:
        self._login = _Login(source)
        self._api = Api(
            source.name,
            source.base_url,
            per_second=_PER_SECOND,
            secrets=[*self._login.secrets, source.app_secret],
            setting=source.token_setting,
            judge=_judge(self._login),
            authorisation=self._login.authorisation,
        )

    def campaigns(self, product: Product, window: Window, log: ReadLog) -> Iterator[Found]:
        """(answer, record) of every campaign and day of a product, each once."""
        seen: set[tuple[str, str]] = set()
        start, announced = 0, None
        while True:
            answer = self._api.post(
                _PATH, {"header": self._login.said, "body": _asked(product, window, start)}
            )
            listed, total = _rows_of(answer, answer.json())
            announced = announced if total is None else total
            start += len(listed)
            for record in listed:
                key = (str(record.get("date")), str(record.get("campaignId")))
                if key not in seen:
                    seen.add(key)
                    yield answer, record
            if not listed or (len(listed) < _PAGE_ROWS if announced is None else start >= announced):
                break
        if announced is not None:
            log.control_totals[product, "rows"] = Decimal(announced)
            if len(seen) < announced:
                raise self._api.error(
                    IncompleteError, f"the {product} report gave {len(seen)} of {announced} rows"
                )


def _asked(product: Product, window: Window, start: int) -> dict[str, Any]:
    return {
        "reportType": _REPORTS[product],
        "startDate": window.since.isoformat(),
        "endDate": window.until.isoformat(),
        "timeUnit": "DAY",
        "columns": _COLUMNS,
        "sorts": _SORTS,
        "filters": [],
        "startRow": start,
        "rowCount": _PAGE_ROWS,
        "needSum": False,
    }


def _judge(login: Tokens) -> Callable[[Answer], ApiError | None]:
    def judge(answer: Answer) -> ApiError | None:
        try:
            header = part(answer.json(), "header")
        except ValueError:
            return None
        if not isinstance(header, dict) or "status" not in header:
            return TransientError("the answer has no header with a status") if answer.status == 200 else None
        if header["status"] == 0:
            return None
        failures = [f for f in header.get("failures") or header.get("errors") or [] if isinstance(f, dict)]
        said = login.redact("; ".join(f"{f.get('code')} {f.get('message')}" for f in failures))[:200]
        said = " ".join(said.split()) or f"status {header['status']}"
        codes = {code for f in failures if isinstance(code := f.get("code"), int)}
        if codes & _BUSY_CODES:
            return TransientError(said)
        if any(8100 <= code < 8200 for code in codes) or _REFUSED.search(said):
            return AuthError(said)
        if header["status"] == 3 or _BUSY.search(said):
            return TransientError(said)
        return (
            IncompleteError(f"only a part was answered: {said}")
            if header["status"] == 1
            else PermanentError(said)
        )

    return judge


def _renewal(source: BaiduOptions) -> Callable[[Api, str, str], Answer]:
    def renew(api: Api, path: str, refresh: str) -> Answer:
        assert source.app_secret is not None
        assert source.user_id is not None
        secret = source.app_secret.get_secret_value()
        asked = {"appId": source.app_id, "secretKey": secret, "refreshToken": refresh}
        return api.post(path, {**asked, "userId": int(source.user_id)})

    return renew


# --- answers -----------------------------------------------------------------------------------------


def _rows_of(file: InboxFile, body: Any) -> tuple[list[dict[str, Any]], int | None]:
    """(records, how many there are in all) of an answer. Raises FileRefused for anything else."""
    data = part(body, "body", "data")
    parts = data if isinstance(data, list) else [data]
    if not isinstance(part(body, "body"), dict) or not all(isinstance(p, dict) for p in parts):
        raise FileRefused(f"{file.name}: is no answer of getReportData; save the answer unchanged")
    listed = [r for p in parts for r in records(file, p.get("rows") or [], "getReportData")]
    totals = [p["totalRowCount"] for p in parts if isinstance(p.get("totalRowCount"), int)]
    return listed, sum(totals) if totals else None


_LEVEL_KEYS = (
    ("keyword", ("wInfoId", "wInfoNameStatus")),
    ("ad", ("ideaId", "ideaInfo")),
    ("ad_group", ("adGroupId", "adGroupName", "adGroupNameStatus")),
    ("campaign", ("campaignId", "campaignName", "campaignNameStatus")),
)
# By these, rows repeat spend or leave some out.
_PARTIAL_KEYS = frozenset({"queryWord", "interestsName", "audienceName", "ip"})


def _level_of(record: dict[str, Any]) -> str:
    return next((level for level, keys in _LEVEL_KEYS if record.keys() & set(keys)), "account")


def _row(file: InboxFile, number: int, record: dict[str, Any], source: BaiduOptions, product: Product) -> Row:
    if missing := {"date", "cost"} - record.keys():
        raise FileRefused(f"{file.name}: record {number} has no {min(missing)}; ask for the column")
    if partial := _PARTIAL_KEYS & record.keys():
        raise FileRefused(
            f"{file.name}: a report by {min(partial)} leaves spend out or repeats it; ask for campaigns"
        )
    account = source.account or text_or_none(record.get("userName")) or source.user_name
    if account is None:
        raise FileRefused(f"{file.name}: names no account; set `account:` of the source")
    name, is_deleted = without_deleted_mark(
        text_or_none(record.get("campaignName") or record.get("campaignNameStatus"))
    )
    group = text_or_none(record.get("adGroupName") or record.get("adGroupNameStatus"))
    return spend_row(
        number,
        {
            "account": account,
            "product": product,
            "report_level": _level_of(record),
            "campaign_id": text_id(record.get("campaignId")),
            "campaign_name": name,
            "campaign_is_deleted": is_deleted,
            "ad_group_id": text_id(record.get("adGroupId")),
            "ad_group": without_deleted_mark(group)[0],
            "keyword": without_deleted_mark(text_or_none(record.get("wInfoNameStatus")))[0],
            "ad_id": text_id(record.get("ideaId")),
            "device": text_or_none(record.get("device")),
            "impressions": record.get("impression"),
            "clicks": record.get("click"),
            "currency": source.currency,
            "tax_basis": source.tax_basis,
        },
        day=record_day(file, number, record["date"]),
        cost=decimal_or_none(record["cost"]),
    )


CONNECTOR = BaiduAds()

if __name__ == "__main__":
    cli.main(CONNECTOR)
