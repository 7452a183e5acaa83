"""Baidu: real layouts, and the report service with its credentials and its errors inside the body."""

from __future__ import annotations

import json
import stat
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from connectors import _api
from connectors.baidu_ads import CONNECTOR
from connectors.contract import ReadLog, SourceOptions, Window
from connectors.errors import (
    ApiError,
    AuthError,
    FileRefused,
    IncompleteError,
    PermanentError,
    TransientError,
)
from tests.unit.vendor_files import Read, read
from tests.vendors.loopback import ApiContract, Reply, Request, fetched, options, playing, stream_of, window

BEIJING = ZoneInfo("Asia/Shanghai")
ACCOUNT, SECRET = "xa-hmyp2", "s3cr3t/token+value"
SEARCH, FEED = 2290316, 2276038
PATH = "/json/sms/service/OpenApiReportService/getReportData"


def sample(shared: Path, name: str) -> Path:
    return shared / "ad_spend" / "baidu" / name


def with_rows(shared: Path, tmp_path: Path, name: str, *rows: str, **settings: Any) -> Read:
    path = tmp_path / name
    text = sample(shared, name).read_text(encoding="utf-8").rstrip("\n")
    path.write_text("\n".join([text, *rows]) + "\n", encoding="gb18030")
    return read(CONNECTOR, path, **settings)


# --- exports -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("search_hourly_report_header_utf8.csv", "utf-8"),
        ("search_region_report_header_utf8.csv", "utf-8"),
        ("search_region_report_header_gbk.csv", "gb18030"),
        ("feed_hourly_report_header_utf8.csv", "utf-8"),
        ("feed_region_report_header_utf8.csv", "utf-8"),
    ],
)
def test_a_real_preamble_and_header_are_an_empty_report(shared: Path, name: str, encoding: str) -> None:
    found = read(CONNECTOR, sample(shared, name))
    day = date(2017, 10, 9) if name.startswith("search") else date(2018, 4, 19)
    assert found.raw == []
    assert found.log.covers == (day, day)
    assert found.log.exported_at is not None
    assert found.log.exported_at.date() == day + timedelta(days=1)
    assert found.log.unknown_columns == set()
    assert sample(shared, name).read_bytes().decode(encoding)


def test_a_real_search_term_report_is_refused(shared: Path) -> None:
    with pytest.raises(FileRefused, match="a report by 搜索词 leaves spend out"):
        read(CONNECTOR, sample(shared, "search_query_report_header_utf8.csv"))


def test_the_real_search_layouts_with_rows(shared: Path, tmp_path: Path) -> None:
    hours = with_rows(
        shared,
        tmp_path,
        "search_hourly_report_header_utf8.csv",
        '2017-10-09,8,clinic,品牌[已删除],100,3,"1,004.65",3%,1.55',
        "2017-10-09,9,clinic,品牌[已删除],50,1,2.35,2%,2.35",
    )
    assert sum(row["cost"] for row in hours.landed) == Decimal("1007.00")
    assert {(row["campaign_name"], row["campaign_is_deleted"]) for row in hours.landed} == {("品牌", True)}
    assert {row["product"] for row in hours.landed} == {"search"}
    regions = with_rows(
        shared,
        tmp_path,
        "search_region_report_header_utf8.csv",
        "2017-10-09,clinic,品牌,四川,成都,100,3,4.65,3%,1.55",
        "2017-10-09,clinic,品牌,其他,其他,50,1,2.35,2%,2.35",
    )
    assert sum(row["cost"] for row in regions.landed) == Decimal("7.00")
    assert {row["report_level"] for row in regions.landed} == {"campaign"}


def test_the_real_feed_layouts_are_feed(shared: Path, tmp_path: Path) -> None:
    found = with_rows(
        shared,
        tmp_path,
        "feed_region_report_header_utf8.csv",
        "2018-04-19,clinic,计划,单元,四川,成都,1000,3,4.65,0.3%,1.55,4.65",
    )
    row = found.landed[0]
    assert (row["product"], row["report_level"], row["ad_group"]) == ("feed", "ad_group", "单元")
    hourly = with_rows(
        shared,
        tmp_path,
        "feed_hourly_report_header_utf8.csv",
        "2018-04-19,8,计划,291546418,1000,3,4.65,0.3%,1.55,4.65",
        account="main",
    )
    assert (hourly.landed[0]["campaign_id"], hourly.landed[0]["product"]) == ("291546418", "feed")
    with pytest.raises(FileRefused, match="names no account"):
        with_rows(
            shared, tmp_path, "feed_hourly_report_header_utf8.csv", "2018-04-19,8,计划,1,9,3,4.65,1%,1,1"
        )


def test_the_real_client_layout_counts_each_click_once(shared: Path, tmp_path: Path) -> None:
    header = sample(shared, "client_keyword_export_header_utf8.tsv").read_text(encoding="utf-8").strip()
    names = header.split("\t")
    values = dict.fromkeys(names, "") | {
        "账户": "clinic",
        "推广计划名称": "品牌",
        "推广单元名称": "单元",
        "关键词名称": "种植牙",
        "消费": "10.00",
        "点击": "4",
        "展现": "100",
        "计算机消费": "3.00",
        "移动消费": "7.00",
        "计算机点击": "1",
        "移动点击": "3",
    }
    text = "\n".join(["2017-10-22至2017-10-22", header, "clinic", "\t".join(values.values())])
    path = tmp_path / "r.tsv"
    path.write_text(text + "\n", encoding="gb18030")
    found = read(CONNECTOR, path)
    assert [(row["cost"], row["clicks"], row["keyword"]) for row in found.landed] == [(10, 4, "种植牙")]
    assert found.landed[0]["spend_date"] == date(2017, 10, 22)
    assert (found.landed[0]["product"], found.landed[0]["report_level"]) == ("search", "keyword")
    assert found.log.skipped == {"preamble": 2, "account line": 1}
    assert found.log.unknown_columns == set()


def test_the_real_client_layout_without_a_day_is_refused(shared: Path) -> None:
    with pytest.raises(FileRefused, match="cannot be dated"):
        read(CONNECTOR, sample(shared, "client_keyword_export_header_utf8.tsv"), account="main")


# --- saved answers -----------------------------------------------------------------------------------


def test_the_real_answer_is_yuan(shared: Path) -> None:
    found = read(CONNECTOR, sample(shared, "get_report_data_response_reassembled.json"), products=["search"])
    row = found.landed[0]
    assert (row["spend_date"], row["account"], row["campaign_id"]) == (
        date(2023, 4, 22),
        ACCOUNT,
        "291546418",
    )
    assert (row["cost"], row["clicks"], row["impressions"]) == (Decimal("2.27"), 1, 8)
    assert (row["product"], row["report_level"]) == ("search", "campaign")


def test_an_answer_does_not_tell_its_product(shared: Path) -> None:
    with pytest.raises(FileRefused, match="set `products:`"):
        read(CONNECTOR, sample(shared, "get_report_data_response_reassembled.json"))
    with pytest.raises(FileRefused, match="error answer"):
        read(CONNECTOR, sample(shared, "get_report_data_request.json"))


def body_of(rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "header": {"desc": "success", "failures": [], "status": 0},
        "body": {"data": [{"rows": rows, **more}]},
    }


@pytest.mark.parametrize(
    ("row", "more", "reason"),
    [
        ({"date": "2023-04-22", "cost": 1}, {"totalRowCount": 2}, "one page of several"),
        ({"date": "2023-04-22"}, {}, "has no cost"),
        ({"cost": 1}, {}, "has no date"),
        ({"date": "2023-04-01至2023-04-22", "cost": 1}, {}, "a period"),
        ({"date": "2023-04-22", "cost": 1, "queryWord": "x"}, {}, "queryWord"),
    ],
)
def test_an_answer_that_is_no_daily_spend_is_refused(
    tmp_path: Path, row: dict[str, Any], more: dict[str, Any], reason: str
) -> None:
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(body_of([{"userName": "a", **row}], **more)))
    with pytest.raises(FileRefused, match=reason):
        read(CONNECTOR, path, products=["search"])


def test_hours_of_an_answer_are_rows_of_their_day(tmp_path: Path) -> None:
    row = {"userName": "a", "date": "2021-03-31 23:00", "cost": 1.5, "campaignNameStatus": "x[已删除]"}
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(body_of([row, row])))
    found = read(CONNECTOR, path, products=["feed"])
    assert sum(row["cost"] for row in found.landed) == 3
    assert {(row["spend_date"], row["campaign_name"]) for row in found.landed} == {(date(2021, 3, 31), "x")}


# --- the API -----------------------------------------------------------------------------------------

DAYS = [date(2023, 4, 13), date(2023, 4, 14), date(2023, 4, 15)]
CAMPAIGNS = {SEARCH: [291546418, 291546419], FEED: [9007199254740993]}
COLUMNS = {"date", "userName", "campaignId", "campaignName", "impression", "click", "cost"}


def row_of(day: date, campaign: int) -> dict[str, Any]:
    return {
        "date": day.isoformat(),
        "userName": ACCOUNT,
        "campaignId": campaign,
        "campaignName": f"计划 {campaign}",
        "impression": 8,
        "click": 1,
        "cost": 2.27,
    }


def refused(code: int, message: str, status: int = 2) -> Reply:
    failures = [{"code": code, "message": message, "position": ""}]
    return Reply({"header": {"desc": "failure", "failures": failures, "status": status}, "body": {}})


def report(request: Request, *, page: int = 2, token: str = SECRET) -> Reply:
    """Answer as the report service does, which gives as many rows a page as it likes."""
    if request.method != "POST" or request.path != PATH or request.query:
        return Reply({"error": "no such service"}, 404)
    asked = request.json()
    if asked["header"] != {"userName": ACCOUNT, "accessToken": token}:
        return refused(8102, "Token is invalid or expired", 3)
    body = asked["body"]
    known = {"reportType", "startDate", "endDate", "timeUnit", "columns", "sorts", "filters", "startRow"}
    if set(body) - known - {"rowCount", "needSum"} or set(body["columns"]) - COLUMNS:
        return refused(9010000, "unknown parameter")
    if body["timeUnit"] != "DAY" or len(body["sorts"]) > 2 or body["reportType"] not in CAMPAIGNS:
        return refused(9010001, "bad parameter")
    if any(sort["column"] not in body["columns"] for sort in body["sorts"]):
        return refused(9010002, "sort of a column that was not asked for")
    since, until = date.fromisoformat(body["startDate"]), date.fromisoformat(body["endDate"])
    if len(body["startDate"]) != 10 or until < since:
        return refused(9010003, "bad date")
    rows = [row_of(d, c) for d in DAYS if since <= d <= until for c in CAMPAIGNS[body["reportType"]]]
    part = rows[body["startRow"] : body["startRow"] + min(page, body["rowCount"])]
    return Reply(body_of(part, rowCount=len(part), totalRowCount=len(rows)))


def baidu(url: str, **settings: Any) -> SourceOptions:
    given = {"token": SECRET} if "token_file" not in settings else {}
    return options("baidu_ads", base_url=url, user_name=ACCOUNT, **given, **settings)


ASKED = window("2023-04-13", "2023-04-15", BEIJING)


IDS = [str(c) for report_type in (SEARCH, FEED) for _ in DAYS for c in CAMPAIGNS[report_type]]


class TestBaiduApi(ApiContract):
    stream = "ad_spend"
    key = "campaign_id"
    asked = ASKED
    empty = window("2023-05-01", zone=BEIJING)
    ids = IDS

    def vendor(self, request: Request) -> Reply:
        return report(request)

    def source(self, url: str) -> SourceOptions:
        return baidu(url)


def run(
    vendor: Any, asked: Window = ASKED, log: ReadLog | None = None, **settings: Any
) -> list[dict[str, Any]]:
    with playing(vendor) as server:
        return fetched(baidu(server.url, **settings), "ad_spend", asked, log)


def test_both_products_are_asked_for_and_kept_apart(pauses: list[float]) -> None:
    log = ReadLog()
    rows = run(report, log=log)
    assert {row["product"] for row in rows} == {"search", "feed"}
    assert {row["account"] for row in rows} == {ACCOUNT}
    assert sum(row["cost"] for row in rows) == Decimal("2.27") * 9
    assert log.control_totals == {("search", "rows"): Decimal(6), ("feed", "rows"): Decimal(3)}
    assert {row["product"] for row in run(report, products=["search"])} == {"search"}


def test_an_id_beyond_a_doubles_digits_keeps_them_all(pauses: list[float]) -> None:
    assert run(report, products=["feed"])[0]["campaign_id"] == "9007199254740993"


def test_an_answer_without_a_count_ends_with_a_short_page(pauses: list[float]) -> None:
    def vendor(request: Request) -> Reply:
        reply = report(request, page=10_000)
        del reply.body["body"]["data"][0]["totalRowCount"]
        return reply

    assert len(run(vendor)) == 9


def test_a_row_that_fell_between_two_pages_is_missed_not_forgotten(pauses: list[float]) -> None:
    def vendor(request: Request) -> Reply:
        body = request.json()["body"]
        # between two requests a row moved up: the last of page one is the first of page two
        reply = report(request)
        if body["startRow"] == 2:
            reply.body["body"]["data"][0]["rows"][0] = row_of(DAYS[0], CAMPAIGNS[SEARCH][1])
        return reply

    with pytest.raises(IncompleteError, match="search report gave 5 of 6 rows"):
        run(vendor)


def test_a_row_that_two_pages_hold_is_spend_once(pauses: list[float]) -> None:
    def vendor(request: Request) -> Reply:
        reply = report(request)
        if request.json()["body"]["startRow"] == 4:
            reply.body["body"]["data"][0]["rows"].append(row_of(DAYS[0], CAMPAIGNS[SEARCH][0]))
        return reply

    assert sum(row["cost"] for row in run(vendor, products=["search"])) == Decimal("2.27") * 6


def test_an_empty_page_before_the_end_is_no_end(pauses: list[float]) -> None:
    def vendor(request: Request) -> Reply:
        reply = report(request)
        if request.json()["body"]["startRow"] >= 2:
            reply.body["body"]["data"][0]["rows"] = []
        return reply

    with pytest.raises(IncompleteError, match="2 of 6 rows"):
        run(vendor)


@pytest.mark.parametrize(
    ("code", "message", "status", "error"),
    [
        (8102, "Token is not set in request header", 3, AuthError),
        (8303, "Your accessToken has expired", 3, AuthError),
        (802, "Request forbidden for frequent password errors", 3, AuthError),
        (8204, "没有权限访问该账户", 2, AuthError),
        (901154, "columns is invalid", 2, PermanentError),
        (901154, "one of the accounts failed", 1, IncompleteError),
        (800, "Server internal error, please try again later", 3, TransientError),
        (8904, "Your usage exceeds the rate limit", 2, TransientError),
        (9999, "请求过于频繁", 2, TransientError),
        (9999, "unheard of", 3, TransientError),
    ],
)
def test_what_the_vendor_says_in_a_body_of_status_200(
    pauses: list[float], code: int, message: str, status: int, error: type[ApiError]
) -> None:
    asked: list[Request] = []

    def vendor(request: Request) -> Reply:
        asked.append(request)
        return refused(code, f"{message} {SECRET}", status)

    with pytest.raises(error) as caught:
        run(vendor)
    assert type(caught.value) is error
    assert str(code) in str(caught.value)
    assert SECRET not in str(caught.value)
    assert len(asked) == (_api.ATTEMPTS if error is TransientError else 1)


def test_an_answer_that_is_none_is_no_empty_day(pauses: list[float]) -> None:
    with pytest.raises(TransientError, match="no header"):
        run(lambda _request: Reply({}))
    with pytest.raises(FileRefused, match="no answer of getReportData"):
        run(lambda _request: Reply({"header": {"status": 0}, "body": None}))


def test_the_probe_says_who_answers(pauses: list[float]) -> None:
    with playing(report) as server:
        told = CONNECTOR.probe(baidu(server.url))
    assert told == f"answers as {ACCOUNT}; campaigns yesterday: 0 search, 0 feed"


def test_the_route_needs_a_token_and_the_user_id_for_renewal(tmp_path: Path) -> None:
    source = baidu("http://127.0.0.1:1")
    route = CONNECTOR.route(source, stream_of(source, "ad_spend"))
    assert route is not None
    assert (route.by, route.window_days) == ("day", 31)
    tokens = tmp_path / "tokens.json"
    tokens.write_text('{"access_token": "a", "refresh_token": "r"}')
    with pytest.raises(ValidationError, match="needs `user_id`"):
        baidu("http://127.0.0.1:1", token_file=tokens, app_id="1", app_secret="x")


# --- renewal -----------------------------------------------------------------------------------------


class Renewing:
    """Baidu with tokens that expire: a renewal gives a new pair and spends the old one."""

    def __init__(self, access: str, refresh: str) -> None:
        self.access, self.refresh = access, refresh
        self.renewals = 0

    def __call__(self, request: Request) -> Reply:
        if request.path != "/oauth/refreshToken":
            return report(request, token=self.access)
        asked = request.json()
        if asked != {
            "appId": "app",
            "secretKey": "app-s3cr3t",
            "refreshToken": self.refresh,
            "userId": 630152,
        }:
            return Reply({"code": 400, "message": f"refreshToken {asked['refreshToken']} is used"})
        self.renewals += 1
        self.access, self.refresh = f"access-{self.renewals}", f"refresh-{self.renewals}"
        data = {"accessToken": self.access, "refreshToken": self.refresh, "expiresIn": 86400}
        return Reply({"code": 0, "message": "success", "data": data})


def renewing(url: str, tokens: Path) -> SourceOptions:
    return baidu(
        url,
        token_url=f"{url}/oauth/refreshToken",
        token_file=tokens,
        app_id="app",
        app_secret="app-s3cr3t",
        user_id="630152",
    )


def test_an_expired_token_is_renewed_once_and_the_new_pair_is_kept(
    tmp_path: Path, pauses: list[float]
) -> None:
    tokens = tmp_path / "tokens.json"
    tokens.write_text('{"access_token": "old", "refresh_token": "refresh-0"}')
    vendor = Renewing("access-0", "refresh-0")
    with playing(vendor) as server:
        assert len(fetched(renewing(server.url, tokens), "ad_spend", ASKED)) == 9
        assert json.loads(tokens.read_text()) == {"access_token": "access-1", "refresh_token": "refresh-1"}
        assert stat.S_IMODE(tokens.stat().st_mode) == 0o600
        assert len(fetched(renewing(server.url, tokens), "ad_spend", ASKED)) == 9
    assert vendor.renewals == 1
    assert [path.name for path in tmp_path.iterdir()] == ["tokens.json"]


def test_a_refresh_token_alone_gets_an_access_token(tmp_path: Path, pauses: list[float]) -> None:
    tokens = tmp_path / "tokens.json"
    tokens.write_text('{"refresh_token": "refresh-0"}')
    with playing(Renewing("access-0", "refresh-0")) as server:
        assert len(fetched(renewing(server.url, tokens), "ad_spend", ASKED)) == 9


def test_a_used_refresh_token_stops_and_leaves_the_file(tmp_path: Path, pauses: list[float]) -> None:
    tokens = tmp_path / "tokens.json"
    kept = '{"access_token": "old", "refresh_token": "s3cr3t-used"}'
    tokens.write_text(kept)
    with playing(Renewing("access-0", "refresh-0")) as server, pytest.raises(AuthError) as caught:
        fetched(renewing(server.url, tokens), "ad_spend", ASKED)
    assert "token_file" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
    assert tokens.read_text() == kept
    assert [path.name for path in tmp_path.iterdir()] == ["tokens.json"]


def test_a_file_that_cannot_be_rewritten_does_not_use_up_the_refresh_token(
    tmp_path: Path, pauses: list[float]
) -> None:
    tokens = tmp_path / "tokens.json"
    tokens.write_text('{"access_token": "old", "refresh_token": "refresh-0"}')
    (tmp_path / ".tokens.json.new").mkdir()
    vendor = Renewing("access-0", "refresh-0")
    with playing(vendor) as server, pytest.raises(AuthError, match="cannot be rewritten"):
        fetched(renewing(server.url, tokens), "ad_spend", ASKED)
    assert vendor.renewals == 0


def test_a_token_file_that_went_missing_is_one_clear_line(tmp_path: Path, pauses: list[float]) -> None:
    tokens = tmp_path / "tokens.json"
    tokens.write_text('{"access_token": "old", "refresh_token": "refresh-0"}')
    source = renewing("http://127.0.0.1:1", tokens)
    tokens.unlink()
    with pytest.raises(AuthError, match="cannot be read"):
        fetched(source, "ad_spend", ASKED)
