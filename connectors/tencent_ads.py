"""Tencent Ads (腾讯广告): daily spend, from its API or the exports of its console.

API: GET /v3.0/daily_reports/get (developers.e.qq.com/v3.0/docs/api/daily_reports/get); the token, a
timestamp and a nonce that is new in every request go in the query. HTTP 200 with `code` 0 means success. Only
the listed `fields` come back. Amounts are whole fen, 1/100 yuan; the console's exports are in yuan. A year of
history, 90 days a request, `page_size` to 2000; a day without delivery has no row, and yesterday is whole
from 08:00 on. Since version 3 there are no campaigns: the ad (adgroup) is the topmost object, so it stands as
the campaign. GET https://api.e.qq.com/oauth/token renews the access token.

    python -m connectors.tencent_ads FILE --set account=main
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

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
from connectors.errors import ApiError, AuthError, FileRefused, PermanentError, TransientError
from connectors.files import InboxFile

CONSOLE = Console(
    name="Tencent Ads",
    headings={
        "spend_date": "日期 时间",
        "account": "账户名称 账户",
        "account_id": "账户ID 账号ID",
        "campaign_id": "推广计划ID",
        "campaign_name": "推广计划名称 推广计划",
        "impressions": "曝光量",
        "clicks": "点击量",
        "cost": "花费",
        "cpc": "点击均价",
    },
    ignored="限额 状态 点击率 千次展现均价",
    partial="性别 年龄 地域 搜索词",
    daily="in the Tencent Ads console choose the report by day (分日), so that it has a column 日期",
)

_PATH = "/v3.0/daily_reports/get"
_FIELDS = ("date", "adgroup_id", "adgroup_name", "view_count", "valid_click_count", "cost")
_PAGE_ROWS = 1000
_HISTORY = timedelta(days=365)
_WHOLE_FROM_HOUR = 8
# 1,000 a minute for an interface by default.
_PER_SECOND = 10
_FEN = Decimal("0.01")
# developers.e.qq.com/v3.0/docs/errors: the token, the application, the scope.
_TOKEN_CODES = frozenset({11000, 11002, 11004, 11005, 11007, 11010, 11012, 11014, 11020})
_BUSY_CODES: Mapping[int, float | None] = {
    10000: None,
    10001: None,
    11008: 60.0,
    11016: 1.0,
    11017: 60.0,
    11018: 86_400.0,
    11019: 60.0,
    11022: 60.0,
}


class TencentOptions(TokenOptions):
    """One Tencent Ads account, read from the API with a token and `account_id`."""

    account_setting = "account_id"

    base_url: str = "https://api.e.qq.com"
    token_url: str = "https://api.e.qq.com/oauth/token"  # noqa: S105 - an address
    account_id: str | None = None


class TencentAds(ConsoleConnector[TencentOptions]):
    """Reports of Tencent Ads."""

    kind = "tencent_ads"
    title = "Tencent Ads"
    options = TencentOptions
    console = CONSOLE
    # Yesterday may be asked for before it is whole; the nights after read it again.
    stream = ad_spend(restatement_days=3)

    def account_of(self, source: TencentOptions) -> str | None:
        """The account that the API is asked for."""
        return source.account_id

    def read_answer(self, file: InboxFile, source: TencentOptions, log: ReadLog) -> Iterator[Row]:
        """Yield the rows of a saved answer, fen to yuan. Raises FileRefused for one page of several."""
        body = parsed(file)
        if part(body, "code") != 0:
            raise FileRefused(
                f"{file.name}: is an error answer, or none of Tencent's API; repeat the request"
            )
        listed = _rows_of(file, body)
        announced = part(body, "data", "page_info", "total_number")
        require_whole(file, log, len(listed), announced, "answer", "raise page_size")
        for number, record in enumerate(listed, start=1):
            yield _row(file, number, record, source)

    def route(self, source: TencentOptions, stream: Stream) -> Route | None:
        """By day, with a token."""
        return Route(by="day", window_days=31) if source.has_api else None

    def fetch(self, source: TencentOptions, stream: Stream, window: Window, log: ReadLog) -> Iterator[Row]:
        """Yield the ads of each day. Raises ApiError, IncompleteError for missing rows."""
        tokens = Tokens(source, _renewal(source))
        api = _api(source, tokens)
        now = datetime.now(source.zone)
        if window.since < now.date() - _HISTORY:
            raise api.error(
                PermanentError,
                f"the API gives the last {_HISTORY.days} days only; set `since` of the source, and drop "
                "exports for the days before",
            )
        if window.until >= now.date() - timedelta(days=1) and now.hour < _WHOLE_FROM_HOUR:
            log.notes.append("yesterday is whole from 08:00 Beijing time on; the next night reads it again")
        found = numbered_pages(
            api,
            lambda page: api.get(_PATH, _Query(source, tokens, window, page)),
            lambda answer: _rows_of(answer, answer.json()),
            lambda record: (record.get("date"), record.get("adgroup_id")),
            _PAGE_ROWS,
            log,
        )
        for number, (answer, record) in enumerate(found, start=1):
            yield _row(answer, number, record, source)

    def probe(self, source: TencentOptions) -> str:
        """Ask for yesterday's first page."""
        yesterday = (datetime.now(source.zone) - timedelta(days=1)).date()
        tokens = Tokens(source, _renewal(source))
        query = _Query(source, tokens, Window(yesterday, yesterday, source.zone), 1)
        answer = _api(source, tokens).get(_PATH, query)
        count = len(_rows_of(answer, answer.json()))
        return f"answers as account {source.account_id}; {count} ads yesterday"


def _api(source: TencentOptions, tokens: Tokens) -> Api:
    return Api(
        source.name,
        source.base_url,
        per_second=_PER_SECOND,
        secrets=[*tokens.secrets, source.app_secret],
        setting=source.token_setting,
        judge=_judge(tokens),
        authorisation=tokens.authorisation,
    )


class _Query(Mapping[str, Any]):
    """The parameters of a request, with token, time and nonce as of the moment of sending.

    A nonce is refused the second time and a timestamp after five minutes: a request repeated needs new ones.
    """

    def __init__(self, source: TencentOptions, tokens: Tokens, window: Window, page: int) -> None:
        span = {"start_date": window.since.isoformat(), "end_date": window.until.isoformat()}
        self._fixed = {
            "account_id": source.account_id,
            "level": "REPORT_LEVEL_ADGROUP",
            "date_range": json.dumps(span),
            "group_by": json.dumps(["date", "adgroup_id"]),
            "fields": json.dumps(_FIELDS),
            "page": page,
            "page_size": _PAGE_ROWS,
        }
        self._fresh: Mapping[str, Callable[[], Any]] = {
            "access_token": lambda: tokens.access,
            "timestamp": lambda: int(time.time()),
            "nonce": lambda: uuid.uuid4().hex,
        }

    def __getitem__(self, name: str) -> Any:
        return self._fresh[name]() if name in self._fresh else self._fixed[name]

    def __iter__(self) -> Iterator[str]:
        return iter([*self._fixed, *self._fresh])

    def __len__(self) -> int:
        return len(self._fixed) + len(self._fresh)


def _judge(tokens: Tokens) -> Callable[[Answer], ApiError | None]:
    def judge(answer: Answer) -> ApiError | None:
        try:
            body = answer.json()
        except ValueError:
            return None
        code = part(body, "code")
        if code == 0:
            return None
        if not isinstance(code, int):
            return TransientError("the answer has no code") if answer.status == 200 else None
        message = part(body, "message_cn") or part(body, "message")
        said = " ".join(tokens.redact(f"code {code} {message}").split())[:200]
        if code in _TOKEN_CODES:
            return AuthError(said)
        return TransientError(said, _BUSY_CODES[code]) if code in _BUSY_CODES else PermanentError(said)

    return judge


def _renewal(source: TencentOptions) -> Callable[[Api, str, str], Answer]:
    def renew(api: Api, path: str, refresh: str) -> Answer:
        assert source.app_secret is not None
        secret = source.app_secret.get_secret_value()
        asked = {"client_id": source.app_id, "client_secret": secret, "grant_type": "refresh_token"}
        return api.get(path, {**asked, "refresh_token": refresh})

    return renew


# --- answers -----------------------------------------------------------------------------------------


def _rows_of(file: InboxFile, body: Any) -> list[dict[str, Any]]:
    return records(file, part(body, "data", "list"), "daily_reports/get")


# Rows by these repeat the spend of an ad, or hold a part of it.
_PARTIAL = (
    "queryword",
    "image_id",
    "video_id",
    "material_id",
    "component_id",
    "union_position_id",
    "placement_name",
    "gender",
    "age",
    "region",
)
_LEVEL_KEYS = (
    ("keyword", ("bidword_id",)),
    ("ad", ("dynamic_creative_id", "ad_id")),
    ("campaign", ("campaign_id", "adgroup_id")),
)


def _row(file: InboxFile, number: int, record: dict[str, Any], source: TencentOptions) -> Row:
    if partial := [name for name in _PARTIAL if name in record]:
        raise FileRefused(
            f"{file.name}: a report by {partial[0]} leaves spend out or repeats it; ask for ads (ADGROUP)"
        )
    if missing := {"date", "cost"} - record.keys():
        raise FileRefused(f"{file.name}: record {number} has no {min(missing)}; add it to `fields`")
    account = source.account or source.account_id or text_id(record.get("account_id"))
    if account is None:
        raise FileRefused(f"{file.name}: names no account; set `account:` of the source")
    fen = decimal_or_none(record["cost"])
    if fen is None or fen != fen.to_integral_value():
        raise FileRefused(f"{file.name}: record {number}: cost is not whole fen, so its unit is in doubt")
    # Version 1.1 has campaigns above ad groups, version 3 has only what it calls ad groups.
    has_campaign = "campaign_id" in record
    group = {
        "ad_group_id": text_id(record.get("adgroup_id")),
        "ad_group": text_or_none(record.get("adgroup_name")),
    }
    level = next((level for level, keys in _LEVEL_KEYS if record.keys() & set(keys)), "account")
    if level == "campaign" and has_campaign and "adgroup_id" in record:
        level = "ad_group"
    campaign = (
        {
            "campaign_id": text_id(record.get("campaign_id")),
            "campaign_name": text_or_none(record.get("campaign_name")),
            **group,
        }
        if has_campaign
        else {"campaign_id": group["ad_group_id"], "campaign_name": group["ad_group"]}
    )
    return spend_row(
        number,
        {
            "account": account,
            "report_level": level,
            **campaign,
            "ad_id": text_id(record.get("dynamic_creative_id") or record.get("ad_id")),
            "impressions": record.get("view_count", record.get("impression")),
            "clicks": record.get("valid_click_count", record.get("click")),
            "currency": source.currency,
            "tax_basis": source.tax_basis,
        },
        day=record_day(file, number, record["date"]),
        cost=fen * _FEN,
    )


CONNECTOR = TencentAds()

if __name__ == "__main__":
    cli.main(CONNECTOR)
