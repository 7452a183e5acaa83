"""Tencent Ads: fen and yuan, the console's export, and daily reports whose nonce is good for one request."""

from __future__ import annotations

import json
import time
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import _api, tencent_ads
from connectors.contract import ReadLog, SourceOptions, Window
from connectors.errors import (
    ApiError,
    AuthError,
    FileRefused,
    IncompleteError,
    PermanentError,
    TransientError,
)
from connectors.tencent_ads import CONNECTOR
from tests.unit.vendor_files import Read, read
from tests.vendors.loopback import ApiContract, Reply, Request, fetched, options, playing, stream_of

BEIJING = ZoneInfo("Asia/Shanghai")
ACCOUNT, SECRET = "20458", "s3cr3t/token+value"
PATH = "/v3.0/daily_reports/get"
TODAY = datetime.now(BEIJING).date()


def sample(shared: Path, name: str) -> Path:
    return shared / "ad_spend" / "tencent_ads" / name


def saved(tmp_path: Path, body: Any, **settings: Any) -> Read:
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(body))
    return read(CONNECTOR, path, **{"account": "main", **settings})


def answer(*rows: dict[str, Any], **info: Any) -> dict[str, Any]:
    data: dict[str, Any] = {"list": list(rows)}
    return {"code": 0, "message": "", "data": {**data, "page_info": info} if info else data}


# --- exports and saved answers -----------------------------------------------------------------------


def test_the_real_plan_export_has_no_day_and_is_refused(shared: Path) -> None:
    with pytest.raises(FileRefused, match="分日"):
        read(CONNECTOR, sample(shared, "plan_export_header_utf8.csv"), account="main")


def test_the_real_plan_layout_by_day_is_yuan(shared: Path, tmp_path: Path) -> None:
    header = sample(shared, "plan_export_header_utf8.csv").read_text("utf-8").strip()
    path = tmp_path / "r.csv"
    path.write_text(
        f"日期,{header}\n2018-01-01,种植,500,投放中,12000,1200,10%,1234.56,1.03\n", encoding="gb18030"
    )
    found = read(CONNECTOR, path, account="main")
    row = found.landed[0]
    assert (row["cost"], row["campaign_name"], row["clicks"]) == (Decimal("1234.56"), "种植", 1200)
    assert (row["report_level"], row["impressions"]) == ("campaign", 12000)
    assert found.log.unknown_columns == set()


def test_the_real_answer_of_version_1_1_is_fen_of_an_account(shared: Path) -> None:
    found = read(CONNECTOR, sample(shared, "daily_reports_v1_1_doc_sample.json"), account="main")
    row = found.landed[0]
    assert (row["cost"], row["clicks"], row["impressions"]) == (Decimal("12.00"), 1200, 12000)
    assert (row["spend_date"], row["report_level"]) == (date(2018, 1, 1), "account")
    assert found.log.control_totals == {("answer", "rows"): Decimal(1)}


def test_the_real_answer_of_version_3_is_fen_and_its_ads_stand_as_campaigns(shared: Path) -> None:
    found = read(CONNECTOR, sample(shared, "daily_reports_v3_shape.json"), account="main")
    row = found.landed[0]
    assert (row["cost"], row["clicks"], row["impressions"]) == (Decimal("123.45"), 20, 1000)
    assert (row["campaign_id"], row["report_level"], row["ad_group_id"]) == ("7001", "campaign", None)


def test_the_real_answer_by_position_is_refused(shared: Path) -> None:
    with pytest.raises(FileRefused, match="union_position_id"):
        read(CONNECTOR, sample(shared, "union_position_reports_doc_sample.json"), account="main")


@given(fen=st.integers(min_value=0, max_value=10**13))
def test_fen_become_yuan_to_the_fen(tmp_path_factory: pytest.TempPathFactory, fen: int) -> None:
    body = answer({"date": "2026-09-01", "cost": fen, "adgroup_id": 1})
    found = saved(tmp_path_factory.mktemp("answer"), body)
    assert found.landed[0]["cost"] * 100 == fen


def test_campaigns_of_version_1_1_keep_their_ad_groups(tmp_path: Path) -> None:
    row = {"date": "2020-09-01", "cost": 100, "campaign_id": 5, "campaign_name": "计划"}
    assert saved(tmp_path, answer(row)).landed[0]["report_level"] == "campaign"
    landed = saved(tmp_path, answer({**row, "adgroup_id": 7, "adgroup_name": "组"})).landed[0]
    assert (landed["report_level"], landed["campaign_id"], landed["ad_group_id"]) == ("ad_group", "5", "7")
    assert (landed["campaign_name"], landed["ad_group"]) == ("计划", "组")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (answer({"date": "2026-09-01", "adgroup_id": 1}), "has no cost"),
        (answer({"cost": 1}), "has no date"),
        (answer({"date": "2026-09-01", "cost": 1.5}), "not whole fen"),
        (answer({"date": "2026-09-01", "cost": "1,2"}), "not whole fen"),
        (answer({"date": "2026-09", "cost": 1}), "is a month"),
        (answer({"date": "2026-09-01", "cost": 1, "queryword": "x"}), "queryword"),
        (answer({"date": "2026-09-01", "cost": 1}, total_number=2), "one page of several"),
        ({"code": 11000, "message": "s3cr3t"}, "error answer"),
        ({"code": 0, "data": {}}, "no answer of"),
    ],
)
def test_an_answer_that_is_no_daily_spend_is_refused(tmp_path: Path, body: Any, reason: str) -> None:
    with pytest.raises(FileRefused, match=reason) as caught:
        saved(tmp_path, body)
    assert "s3cr3t" not in str(caught.value)


def test_an_answer_names_no_account_unless_it_does(tmp_path: Path) -> None:
    body = answer({"date": "2026-09-01", "cost": 1})
    with pytest.raises(FileRefused, match="names no account"):
        saved(tmp_path, body, account=None)
    body["data"]["list"][0]["account_id"] = 20458
    assert saved(tmp_path, body, account=None).landed[0]["account"] == "20458"


# --- the API -----------------------------------------------------------------------------------------

DAYS = [TODAY - timedelta(days=n) for n in (12, 11, 10)]
ADS = 701
ASKED = Window(DAYS[0], DAYS[-1], BEIJING)
IDS = [str(7000 + n) for _ in DAYS for n in range(ADS)]
GLOBAL = {"access_token", "timestamp", "nonce"}
OWN = {"account_id", "level", "date_range", "group_by", "fields", "page", "page_size"}


def error(code: int, message: str) -> Reply:
    return Reply({"code": code, "message": message, "message_cn": message, "errors": []})


class Tencent:
    """The report interface: a nonce is good once, a timestamp for five minutes, the token for a day."""

    def __init__(self, token: str = SECRET) -> None:
        self.token = token
        self.nonces: set[str] = set()

    def __call__(self, request: Request) -> Reply:
        query = request.query
        if request.method != "GET" or request.path != PATH:
            return Reply({"error": "no such service"}, 404)
        if set(query) != GLOBAL | OWN:
            return error(12000, "missing or unknown parameter")
        if query["nonce"] in self.nonces or not 1 <= len(query["nonce"]) <= 32:
            return error(12001, "The nonce has been used before")
        self.nonces.add(query["nonce"])
        if abs(int(query["timestamp"]) - time.time()) > 300:
            return error(12002, "timestamp")
        if query["access_token"] != self.token:
            return error(11002, f"Access token {query['access_token']} is invalid.")
        span = json.loads(query["date_range"])
        since, until = date.fromisoformat(span["start_date"]), date.fromisoformat(span["end_date"])
        size, page = int(query["page_size"]), int(query["page"])
        if since < TODAY - timedelta(days=365) or (until - since).days > 90 or not 1 <= size <= 2000:
            return error(14000, "bad range")
        if query["level"] != "REPORT_LEVEL_ADGROUP" or json.loads(query["group_by"]) != [
            "date",
            "adgroup_id",
        ]:
            return error(14001, "bad level")
        fields = json.loads(query["fields"])
        rows = [(day, n) for day in DAYS if since <= day <= until for n in range(ADS)]
        info = {
            "page": page,
            "page_size": size,
            "total_number": len(rows),
            "total_page": -(-len(rows) // size),
        }
        # Built for the page alone: clients wait a fifth of a second only.
        found = [
            {name: value for name, value in row_of(day, n).items() if name in fields}
            for day, n in rows[(page - 1) * size : page * size]
        ]
        return Reply(answer(*found, **info))


def row_of(day: date, number: int) -> dict[str, Any]:
    return {
        "date": day.isoformat(),
        "account_id": int(ACCOUNT),
        "adgroup_id": 7000 + number,
        "adgroup_name": f"广告 {number}",
        "view_count": 1000,
        "valid_click_count": 20,
        "cost": 12345,
    }


def tencent(url: str, **settings: Any) -> SourceOptions:
    given_token = {"token": SECRET} if "token_file" not in settings else {}
    return options("tencent_ads", base_url=url, account_id=ACCOUNT, **given_token, **settings)


class TestTencentApi(ApiContract):
    stream = "ad_spend"
    key = "campaign_id"
    asked = ASKED
    empty = Window(TODAY - timedelta(days=40), TODAY - timedelta(days=40), BEIJING)
    ids = IDS
    tencent = Tencent()

    def vendor(self, request: Request) -> Reply:
        return self.tencent(request)

    def fresh(self) -> None:
        self.tencent.nonces.clear()

    def source(self, url: str) -> SourceOptions:
        return tencent(url)


def run(vendor: Any, asked: Window = ASKED, log: ReadLog | None = None) -> list[dict[str, Any]]:
    with playing(vendor) as server:
        return fetched(tencent(server.url), "ad_spend", asked, log)


def test_fen_of_the_api_are_yuan_here(pauses: list[float]) -> None:
    log = ReadLog()
    rows = run(Tencent(), log=log)
    assert sum(row["cost"] for row in rows) == Decimal("123.45") * 3 * ADS
    assert log.control_totals == {("answer", "rows"): 3 * ADS}
    assert {(row["account"], row["report_level"], row["currency"]) for row in rows} == {
        (ACCOUNT, "campaign", "CNY")
    }
    assert rows[0]["campaign_name"] == "广告 0"


def test_a_request_sent_again_has_a_new_nonce_and_time(pauses: list[float]) -> None:
    vendor, sent = Tencent(), []

    def busy_once(request: Request) -> Reply:
        reply = vendor(request)
        sent.append((request.query["nonce"], request.query["page"]))
        return error(11017, "per minute") if len(sent) == 1 else reply

    assert len(run(busy_once)) == 3 * ADS
    assert 60.0 in pauses, "the limit is one of a minute"
    assert [page for _, page in sent] == ["1", "1", "2", "3"]
    assert len({nonce for nonce, _ in sent}) == 4


def test_a_limit_of_the_day_is_not_waited_for(pauses: list[float]) -> None:
    with pytest.raises(TransientError, match="next night"):
        run(lambda _request: error(11018, "per day"))
    assert 86_400.0 not in pauses


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (11000, AuthError),
        (11002, AuthError),
        (11005, AuthError),
        (11014, AuthError),
        (10000, TransientError),
        (10001, TransientError),
        (11016, TransientError),
        (11019, TransientError),
        (12001, PermanentError),
        (31033, PermanentError),
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


def test_a_report_shorter_than_announced_is_incomplete(pauses: list[float]) -> None:
    vendor = Tencent()

    def short(request: Request) -> Reply:
        reply = vendor(request)
        if request.query["page"] == "3":
            reply.body["data"]["list"].pop()
        return reply

    with pytest.raises(IncompleteError, match=f"{3 * ADS - 1} of {3 * ADS} rows"):
        run(short)


def test_a_day_without_delivery_has_no_row_and_is_no_error(pauses: list[float]) -> None:
    assert len(run(Tencent(), Window(DAYS[0] - timedelta(days=5), DAYS[0], BEIJING))) == ADS
    # no page at all for a window without a row
    assert run(lambda _request: Reply(answer(page=1, page_size=1000, total_number=0, total_page=0))) == []


def test_days_that_the_api_no_longer_gives_are_an_error_and_no_zero(pauses: list[float]) -> None:
    old = Window(TODAY - timedelta(days=370), TODAY - timedelta(days=360), BEIJING)
    with pytest.raises(PermanentError, match="set `since`"):
        run(Tencent(), old)


def test_yesterday_before_eight_is_said_to_be_unfinished(
    pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    yesterday = Window(TODAY - timedelta(days=1), TODAY - timedelta(days=1), BEIJING)
    for whole_from, notes in ((24, 1), (0, 0)):
        monkeypatch.setattr(tencent_ads, "_WHOLE_FROM_HOUR", whole_from)
        log = ReadLog()
        assert run(Tencent(), yesterday, log) == []
        assert len(log.notes) == notes


def test_an_answer_that_is_none_is_no_empty_day(pauses: list[float]) -> None:
    with pytest.raises(TransientError, match="no code"):
        run(lambda _request: Reply({}))
    with pytest.raises(FileRefused, match="no answer of"):
        run(lambda _request: Reply({"code": 0, "data": {}}))


def test_the_probe_and_the_route(pauses: list[float]) -> None:
    with playing(Tencent()) as server:
        source = tencent(server.url)
        assert CONNECTOR.probe(source) == f"answers as account {ACCOUNT}; 0 ads yesterday"
        route = CONNECTOR.route(source, stream_of(source, "ad_spend"))
    assert route is not None
    assert (route.by, route.window_days <= 90) == ("day", True)


# --- renewal -----------------------------------------------------------------------------------------


def test_an_expired_token_is_renewed_and_the_refresh_token_stays(tmp_path: Path, pauses: list[float]) -> None:
    tokens = tmp_path / "tokens.json"
    tokens.write_text('{"access_token": "old", "refresh_token": "refresh-0"}')
    vendor = Tencent("access-1")

    def with_login(request: Request) -> Reply:
        if request.path != "/oauth/token":
            return vendor(request)
        asked = {
            "client_id": "1",
            "client_secret": "app-s3cr3t",
            "grant_type": "refresh_token",
            "refresh_token": "refresh-0",
        }
        if request.method != "GET" or request.query != asked:
            return error(11010, "refresh token")
        return Reply(
            {"code": 0, "message": "", "data": {"access_token": "access-1", "access_token_expires_in": 1}}
        )

    with playing(with_login) as server:
        source = tencent(
            server.url,
            token_url=f"{server.url}/oauth/token",
            token_file=tokens,
            app_id="1",
            app_secret="app-s3cr3t",
        )
        assert len(fetched(source, "ad_spend", ASKED)) == 3 * ADS
    assert json.loads(tokens.read_text()) == {"access_token": "access-1", "refresh_token": "refresh-0"}
