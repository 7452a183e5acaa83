"""Ocean Engine: exports old and new, and the custom report with its errors inside bodies of status 200."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from connectors import _api
from connectors.contract import ReadLog, SourceOptions, Window
from connectors.errors import (
    ApiError,
    AuthError,
    FileRefused,
    IncompleteError,
    PermanentError,
    TransientError,
)
from connectors.ocean_engine import CONNECTOR
from tests.unit.vendor_files import Read, read
from tests.vendors.loopback import ApiContract, Reply, Request, fetched, options, playing, stream_of, window

BEIJING = ZoneInfo("Asia/Shanghai")
ADVERTISER, SECRET = "1739999999999999", "s3cr3t/token+value"
PATH = "/open_api/v3.0/report/custom/get/"


def spend(tmp_path: Path, content: str, name: str = "r.csv", **settings: Any) -> Read:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return read(CONNECTOR, path, **{"account": "main", **settings})


# --- exports -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hourly", "position"])
def test_in_a_real_old_layout_the_group_is_the_campaign(shared: Path, tmp_path: Path, name: str) -> None:
    path = shared / "ad_spend" / "oceanengine" / f"{name}_report_header_utf8.csv"
    position = "信息流," if name == "position" else ""
    ids = "1234567890123456789,计划,9876543210987654321,组"
    rows = [f"2018-04-19 0{hour}:00:00,{ids},{position}900,3,0.33%,1.55,5.17,4.65" for hour in (8, 9)]
    found = spend(tmp_path, "\n".join([path.read_text(encoding="utf-8").strip(), *rows]) + "\n")
    row = found.landed[0]
    assert (row["campaign_name"], row["ad_group"]) == ("组", "计划")
    assert (row["campaign_id"], row["ad_group_id"]) == ("9876543210987654321", "1234567890123456789")
    assert (row["spend_date"], row["report_level"]) == (date(2018, 4, 19), "ad_group")
    assert sum(row["cost"] for row in found.landed) == Decimal("9.30")
    assert found.log.unknown_columns == set()


def test_the_present_consoles_project_export(tmp_path: Path) -> None:
    found = spend(
        tmp_path,
        "时间-天,项目ID,项目名称,消耗,展示数,平均千次展现费用(元),点击数,点击率%,平均点击单价(元),转化数\n"
        '2026-08-01,7221234567890123456,种植,"1,099.99",9000,122.22,300,3.33,3.67,5\n'
        "合计,-,-,1099.99,9000,122.22,300,3.33,3.67,5\n",
    )
    row = found.landed[0]
    assert (row["campaign_id"], row["campaign_name"]) == ("7221234567890123456", "种植")
    assert (row["cost"], row["report_level"]) == (Decimal("1099.99"), "campaign")
    assert found.log.control_totals["合计", "cost"] == Decimal("1099.99")
    assert found.log.unknown_columns == set()


def test_an_audience_sheet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="性别"):
        spend(tmp_path, "时间,性别,展示数,点击数,总花费(元)\n2018-04-19,女,9,1,1.00\n")


# --- saved answers -----------------------------------------------------------------------------------


def test_the_real_answer_without_days_is_refused(shared: Path) -> None:
    path = shared / "ad_spend" / "oceanengine" / "custom_report_response_shape.json"
    with pytest.raises(FileRefused, match="no stat_time_day"):
        read(CONNECTOR, path, account="main")


def test_the_real_answer_with_days_keeps_both_projects(shared: Path, tmp_path: Path) -> None:
    path = shared / "ad_spend" / "oceanengine" / "custom_report_response_shape.json"
    body = json.loads(path.read_text())
    for row in body["data"]["rows"]:
        row["dimensions"]["stat_time_day"] = "2026-05-13 00:00:00"
    found = spend(tmp_path, json.dumps(body), "answer.json")
    assert sum(row["cost"] for row in found.landed) == Decimal("199.99")
    assert [row["campaign_id"] for row in found.landed] == ["p-low", "p-high"]
    assert {row["spend_date"] for row in found.landed} == {date(2026, 5, 13)}


@pytest.mark.parametrize(
    ("row", "info", "reason"),
    [
        ({"dimensions": {"stat_time_day": "2026-05-13"}, "metrics": {}}, None, "no stat_cost"),
        ({"dimensions": {}, "metrics": {"stat_cost": "1"}}, None, "no stat_time_day"),
        ({"metrics": {"stat_cost": "1"}}, None, "no dimensions"),
        (
            {"dimensions": {"stat_time_day": "2026-05-13", "material_id": 1}, "metrics": {"stat_cost": "1"}},
            None,
            "material_id",
        ),
        (
            {"dimensions": {"stat_time_day": "2026-05-13"}, "metrics": {"stat_cost": "1"}},
            {"total_number": 2},
            "one page",
        ),
    ],
)
def test_an_answer_that_is_no_daily_spend_is_refused(
    tmp_path: Path, row: dict[str, Any], info: dict[str, Any] | None, reason: str
) -> None:
    data = {"rows": [row]} if info is None else {"rows": [row], "page_info": info}
    with pytest.raises(FileRefused, match=reason):
        spend(tmp_path, json.dumps({"code": 0, "data": data}), "answer.json")


def test_an_error_answer_and_another_document_are_refused(tmp_path: Path) -> None:
    for text, reason in (
        ('{"code": 40105, "message": "x"}', "error answer"),
        ('{"code": 0, "data": {}}', "no answer of"),
        ('{"code": 0', "cut short"),
        ('{"code": 0, "data": {"rows": []}}\n{"code": 0}', "more than one"),
    ):
        with pytest.raises(FileRefused, match=reason):
            spend(tmp_path, text, "answer.json")


# --- the API -----------------------------------------------------------------------------------------

DAYS = [date(2026, 5, 11), date(2026, 5, 12), date(2026, 5, 13)]
PROJECTS = 701
FIRST_ID = 7_221_234_567_890_123_456  # beyond 2^53, sent as a number
KNOWN = {
    "advertiser_id",
    "data_topic",
    "dimensions",
    "metrics",
    "start_time",
    "end_time",
    "filters",
    "order_by",
    "page",
    "page_size",
}


def error(code: int, message: str) -> Reply:
    return Reply({"code": code, "message": message, "request_id": "r", "data": {}})


def row_of(day: date, number: int) -> dict[str, Any]:
    dimensions = {
        "stat_time_day": day.isoformat(),
        "cdp_project_id": FIRST_ID + number,
        "cdp_project_name": f"项目 {number}",
    }
    return {"dimensions": dimensions, "metrics": {"stat_cost": "0.11", "show_cnt": "9", "click_cnt": "1"}}


def report(request: Request, *, token: str = SECRET) -> Reply:
    """Answer as the custom report does."""
    query = request.query
    if request.method != "GET" or request.path != PATH:
        return Reply({"error": "no such service"}, 404)
    if request.headers.get("Access-Token") != token:
        return error(40105, f"access_token {request.headers.get('Access-Token')} is wrong")
    if set(query) != KNOWN or query["advertiser_id"] != ADVERTISER or query["data_topic"] != "BASIC_DATA":
        return error(40001, "bad parameter")
    since, until = date.fromisoformat(query["start_time"]), date.fromisoformat(query["end_time"])
    size, page = int(query["page_size"]), int(query["page"])
    if (until - since).days >= 30 or not 1 <= size <= 1000 or json.loads(query["filters"]) != []:
        return error(40001, "bad range")
    if json.loads(query["dimensions"]) != ["stat_time_day", "cdp_project_id", "cdp_project_name"]:
        return error(40001, "bad dimensions")
    if not all(name in json.loads(query["metrics"]) for name in ("stat_cost", "show_cnt", "click_cnt")):
        return error(40001, "bad metrics")
    # Built for the page alone: clients wait a fifth of a second only.
    rows = [(day, n) for day in DAYS if since <= day <= until for n in range(PROJECTS)]
    pages = -(-len(rows) // size)
    data = {
        "rows": [row_of(day, n) for day, n in rows[(page - 1) * size : page * size]],
        "total_metrics": {"stat_cost": str(Decimal("0.11") * len(rows))},
        "page_info": {"page": page, "page_size": size, "total_number": len(rows), "total_page": pages},
    }
    return Reply({"code": 0, "message": "OK", "request_id": "r", "data": data})


def ocean(url: str, **settings: Any) -> SourceOptions:
    given = {"token": SECRET} if "token_file" not in settings else {}
    return options("ocean_engine", base_url=url, advertiser_id=ADVERTISER, **given, **settings)


ASKED = window("2026-05-11", "2026-05-13", BEIJING)
IDS = [str(FIRST_ID + number) for _ in DAYS for number in range(PROJECTS)]


class TestOceanEngineApi(ApiContract):
    stream = "ad_spend"
    key = "campaign_id"
    asked = ASKED
    empty = window("2026-06-01", zone=BEIJING)
    ids = IDS

    def vendor(self, request: Request) -> Reply:
        return report(request)

    def source(self, url: str) -> SourceOptions:
        return ocean(url)


def run(vendor: Any, asked: Window = ASKED, log: ReadLog | None = None) -> list[dict[str, Any]]:
    with playing(vendor) as server:
        return fetched(ocean(server.url), "ad_spend", asked, log)


def test_amounts_are_yuan_and_the_vendors_totals_are_kept(pauses: list[float]) -> None:
    log = ReadLog()
    rows = run(report, log=log)
    total = Decimal("0.11") * 3 * PROJECTS
    assert sum(row["cost"] for row in rows) == total
    assert log.control_totals == {("answer", "rows"): 3 * PROJECTS, ("answer", "cost"): total}
    assert {(row["account"], row["currency"], row["report_level"]) for row in rows} == {
        (ADVERTISER, "CNY", "campaign")
    }


def test_a_row_that_moved_between_pages_is_counted_once_and_the_missing_one_noticed(
    pauses: list[float],
) -> None:
    def vendor(request: Request) -> Reply:
        reply = report(request)
        if request.query["page"] == "2":
            reply.body["data"]["rows"][0] = row_of(DAYS[0], 0)
        return reply

    with pytest.raises(IncompleteError, match=f"{3 * PROJECTS - 1} of {3 * PROJECTS} rows"):
        run(vendor)


def test_a_row_that_two_pages_hold_is_spend_once(pauses: list[float]) -> None:
    def vendor(request: Request) -> Reply:
        reply = report(request)
        if request.query["page"] == "2":
            reply.body["data"]["rows"].insert(0, row_of(DAYS[0], 0))
        return reply

    assert sum(row["cost"] for row in run(vendor)) == Decimal("0.11") * 3 * PROJECTS


def test_rows_that_do_not_add_up_to_the_answers_total_are_incomplete(pauses: list[float]) -> None:
    def vendor(request: Request) -> Reply:
        reply = report(request)
        reply.body["data"]["total_metrics"]["stat_cost"] = "9999.99"
        return reply

    with pytest.raises(IncompleteError, match=r"9999\.99"):
        run(vendor)


def test_an_empty_page_before_the_last_is_incomplete(pauses: list[float]) -> None:
    def vendor(request: Request) -> Reply:
        reply = report(request)
        if request.query["page"] != "1":
            reply.body["data"]["rows"] = []
        return reply

    with pytest.raises(IncompleteError, match="1000 of"):
        run(vendor)


def test_an_answer_without_page_info_ends_with_a_short_page(pauses: list[float]) -> None:
    def vendor(request: Request) -> Reply:
        reply = report(request)
        del reply.body["data"]["page_info"]
        return reply

    assert len(run(vendor)) == 3 * PROJECTS


def test_a_metric_that_is_missing_is_no_number(pauses: list[float]) -> None:
    def vendor(request: Request) -> Reply:
        reply = report(request)
        for row in reply.body["data"]["rows"]:
            row["metrics"] |= {"show_cnt": "-", "click_cnt": None}
        return reply

    assert {(row["impressions"], row["clicks"]) for row in run(vendor)} == {(None, None)}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (40100, TransientError),
        (51010, TransientError),
        (50000, TransientError),
        (40102, AuthError),
        (40103, AuthError),
        (40104, AuthError),
        (40105, AuthError),
        (40107, AuthError),
        (40002, AuthError),
        (40001, PermanentError),
    ],
)
def test_what_the_vendor_says_in_a_body_of_status_200(
    pauses: list[float], code: int, kind: type[ApiError]
) -> None:
    asked: list[Request] = []

    def vendor(request: Request) -> Reply:
        asked.append(request)
        return error(code, f"said of {SECRET}")

    with pytest.raises(kind) as caught:
        run(vendor)
    assert type(caught.value) is kind
    assert f"code {code}" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert len(asked) == (_api.ATTEMPTS if kind is TransientError else 1)


def test_an_answer_that_is_none_is_no_empty_day(pauses: list[float]) -> None:
    with pytest.raises(TransientError, match="no code"):
        run(lambda _request: Reply({}))
    with pytest.raises(FileRefused, match="no answer of"):
        run(lambda _request: Reply({"code": 0, "data": {}}))


def test_windows_and_days_are_what_the_vendor_allows() -> None:
    source = ocean("http://127.0.0.1:1")
    route = CONNECTOR.route(source, stream_of(source, "ad_spend"))
    assert route is not None
    assert (route.by, route.window_days, route.ahead_days) == ("day", 30, 0)
    with pytest.raises(ValidationError, match="2016-10-26"):
        ocean("http://127.0.0.1:1", since="2016-10-25")


def test_the_probe_says_who_answers(pauses: list[float]) -> None:
    with playing(report) as server:
        assert (
            CONNECTOR.probe(ocean(server.url)) == f"answers as advertiser {ADVERTISER}; 0 projects yesterday"
        )


# --- renewal -----------------------------------------------------------------------------------------


class Renewing:
    """Ocean Engine with tokens that expire: both change at every renewal."""

    def __init__(self) -> None:
        self.access, self.refresh, self.renewals = "access-0", "refresh-0", 0

    def __call__(self, request: Request) -> Reply:
        if request.path != "/open_api/oauth2/refresh_token/":
            return report(request, token=self.access)
        application = {"app_id": "1", "secret": "app-s3cr3t", "grant_type": "refresh_token"}
        if request.json() != {**application, "refresh_token": self.refresh}:
            return error(40107, "refresh_token is invalid")
        self.renewals += 1
        self.access, self.refresh = f"access-{self.renewals}", f"refresh-{self.renewals}"
        data = {"access_token": self.access, "refresh_token": self.refresh, "expires_in": 86400}
        return Reply({"code": 0, "message": "OK", "data": data})


def test_an_expired_token_is_renewed_in_the_middle_of_a_report(tmp_path: Path, pauses: list[float]) -> None:
    tokens = tmp_path / "tokens.json"
    tokens.write_text('{"access_token": "access-0", "refresh_token": "refresh-0"}')
    renewing = Renewing()

    def vendor(request: Request) -> Reply:
        if request.query.get("page") == "2" and renewing.renewals == 0:
            renewing.access = "access-0 is over"
        return renewing(request)

    with playing(vendor) as server:
        source = ocean(
            server.url,
            token_url=f"{server.url}/open_api/oauth2/refresh_token/",
            token_file=tokens,
            app_id="1",
            app_secret="app-s3cr3t",
        )
        assert len(fetched(source, "ad_spend", ASKED)) == 3 * PROJECTS
    assert renewing.renewals == 1
    assert json.loads(tokens.read_text()) == {"access_token": "access-1", "refresh_token": "refresh-1"}


def test_a_renewed_token_is_blotted_out_of_messages_too(tmp_path: Path, pauses: list[float]) -> None:
    tokens = tmp_path / "tokens.json"
    tokens.write_text('{"access_token": "old", "refresh_token": "refresh-0"}')
    renewing = Renewing()

    def vendor(request: Request) -> Reply:
        if request.path == PATH and renewing.renewals:
            return error(40001, f"token {renewing.access} may not")
        return renewing(request)

    with playing(vendor) as server:
        source = ocean(
            server.url,
            token_url=f"{server.url}/open_api/oauth2/refresh_token/",
            token_file=tokens,
            app_id="1",
            app_secret="app-s3cr3t",
        )
        with pytest.raises(PermanentError) as caught:
            fetched(source, "ad_spend", ASKED)
    assert "access-1" not in str(caught.value)
    assert "token *** may not" in str(caught.value)


def test_a_window_of_thirty_days_is_asked_for_at_once(pauses: list[float]) -> None:
    month = Window(DAYS[0] - timedelta(days=20), DAYS[0] + timedelta(days=9), BEIJING)
    assert len(run(report, month)) == 3 * PROJECTS
