"""The Data API of UIS and CoMagic: errors with status 200, points, pages, the account's zone."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors import uis_comagic
from connectors.contract import ReadLog, SourceOptions
from connectors.errors import (
    AuthError,
    ConnectorError,
    FileRefused,
    IncompleteError,
    PermanentError,
    TransientError,
)
from connectors.uis_comagic import CONNECTOR
from tests.unit.vendor_files import Read, read
from tests.vendors.loopback import ApiContract, Reply, Request, fetched, options, playing, window

TOKEN = "t0ken"
PARAMETERS = {
    *("access_token", "date_from", "date_till", "offset", "limit"),
    *("include_ongoing_calls", "sort", "fields"),
}
MOSCOW = "Europe/Moscow"


def call(number: int, at: str, **fields: Any) -> dict[str, Any]:
    """A call at a local time of the account."""
    return {
        "id": number,
        "start_time": at,
        "direction": "in",
        "source": "call_tracking",
        "is_lost": False,
        "finish_reason": "subscriber_disconnects",
        "communication_id": 2_000_000 + number,
        "contact_phone_number": f"7916000{number:04}",
        "virtual_phone_number": "74990000001",
        **fields,
    }


class Account:
    """One account, speaking JSON-RPC with status 200 whatever happens."""

    def __init__(self, token: str = TOKEN) -> None:
        self.token = token
        self.zone: Any = MOSCOW
        self.calls: list[dict[str, Any]] = []
        # method -> errors to answer with before anything else.
        self.troubles: dict[str, list[dict[str, Any]]] = {}
        self.is_agent = False
        self.total: int | None = None
        self.longest_page = 10_000
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, request: Request) -> Reply:
        if request.method != "POST" or request.path != "/v2.0":
            return Reply("", 404)
        assert request.headers["Content-Type"] == "application/json; charset=UTF-8"
        assert request.query == {}
        body = request.json()
        if body.keys() != {"jsonrpc", "id", "method", "params"} or body["jsonrpc"] != "2.0" or not body["id"]:
            return fault(-32600, "invalid_request", "Invalid Request")
        method, params = body["method"], body["params"]
        self.asked.append((method, params))
        if params.get("access_token") != self.token:
            return fault(-32001, "access_token_invalid", "Access token is invalid")
        if self.troubles.get(method):
            return Reply({"jsonrpc": "2.0", "id": body["id"], "error": self.troubles[method].pop(0)})
        if method == "get.account":
            if self.is_agent:
                return fault(-32601, "method_not_found", "The method does not exist / is not available")
            data = [{"app_id": 7, "name": "Northgate", "timezone": self.zone}]
            return Reply({"jsonrpc": "2.0", "id": body["id"], "result": {"metadata": {}, "data": data}})
        assert method == "get.calls_report"
        return self._report(body["id"], params)

    def _report(self, request_id: str, params: dict[str, Any]) -> Reply:
        if params.keys() - ({"user_id"} if self.is_agent else set()) != PARAMETERS:
            return fault(-32602, "unexpected_parameters", "Unexpected method parameter(s)")
        since, until = params["date_from"], params["date_till"]
        if not all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", text) for text in (since, until)):
            return fault(-32602, "invalid_parameter_value", "Invalid parameter value")
        if _moment(until) - _moment(since) > timedelta(days=90):
            return fault(
                -32602, "date_interval_limit_reached", "Max value of requested date interval is 3 months"
            )
        offset, limit = params["offset"], params["limit"]
        assert 0 <= offset <= 100_000
        assert 1 <= limit <= 10_000
        limit = min(limit, self.longest_page)
        assert params["sort"] == [{"field": "start_time", "order": "asc"}]
        found = sorted(
            (c for c in self.calls if since <= c["start_time"] <= until), key=lambda c: str(c["start_time"])
        )
        page = [
            {"id": c["id"], **{f: c.get(f) for f in params["fields"]}} for c in found[offset : offset + limit]
        ]
        total = len(found) if self.total is None else self.total
        limits = {"minute_limit": 100, "minute_remaining": 99, "minute_reset": 30, "day_remaining": 900}
        metadata = {"total_items": total, "limits": limits}
        return Reply({"jsonrpc": "2.0", "id": request_id, "result": {"data": page, "metadata": metadata}})


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def error(code: int | None, mnemonic: str | None, message: str | None, **data: Any) -> dict[str, Any]:
    return {"code": code, "message": message, "data": {"mnemonic": mnemonic, **data}}


def fault(code: int, mnemonic: str, message: str) -> Reply:
    return Reply({"jsonrpc": "2.0", "id": None, "error": error(code, mnemonic, message)})


def source_at(url: str, token: str = TOKEN, **given: Any) -> SourceOptions:
    return options("uis_comagic", **{"token": token, "base_url": url, **given})


class TestUisComagicApi(ApiContract):
    stream = "calls"
    key = "call_id"
    asked = window("2024-03-08", "2024-03-10")
    empty = window("2023-01-01")
    ids = ["1", "2", "3", "4", "5"]  # noqa: RUF012

    @pytest.fixture(autouse=True)
    def _small_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(uis_comagic, "_PAGE", 2)

    def fresh(self) -> None:
        self._account = Account(self.secret)
        # Midnight in Zagreb is two in the morning in Moscow.
        self._account.calls = [
            call(9, "2024-03-08 01:59:59"),
            call(1, "2024-03-08 02:00:00"),
            *(call(n, f"2024-03-09 1{n}:00:00") for n in (2, 3, 4)),
            call(5, "2024-03-11 01:59:59"),
            call(8, "2024-03-11 02:00:00"),
        ]

    def vendor(self, request: Request) -> Reply:
        return self._account(request)

    def source(self, url: str) -> SourceOptions:
        return source_at(url, self.secret)


@pytest.fixture
def account(pauses: list[float]) -> Account:
    return Account()


def landed(account: Account, log: ReadLog | None = None, day: str = "2024-03-08", **given: Any) -> list[dict]:
    with playing(account) as server:
        source = source_at(server.url, **given)
        return fetched(source, "calls", window(day, zone=source.zone), log)


def failure(account: Account, kind: type[ConnectorError], **given: Any) -> str:
    with pytest.raises(kind) as failed:
        landed(account, **given)
    assert TOKEN not in str(failed.value)
    assert "\n" not in str(failed.value)
    return str(failed.value)


# --- times ---


def test_local_times_are_those_of_the_account(account: Account) -> None:
    account.calls = [call(1, "2024-03-08 12:00:00")]
    (row,) = landed(account)
    assert row["called_at"] == datetime(2024, 3, 8, 9, tzinfo=UTC)
    assert account.asked[-1][1]["date_from"] == "2024-03-08 02:00:00"
    assert account.asked[-1][1]["date_till"] == "2024-03-09 01:59:59"


def test_a_configured_zone_must_be_the_accounts(account: Account) -> None:
    said = failure(account, PermanentError, timezone="Asia/Yekaterinburg")
    assert "times are of Europe/Moscow, not Asia/Yekaterinburg" in said
    assert landed(account, timezone=MOSCOW) == []


@pytest.mark.parametrize("zone", [None, "Nowhere/Here", 7])
def test_an_account_without_a_zone_is_not_guessed(account: Account, zone: Any) -> None:
    account.zone = zone
    assert "does not tell the account's time zone" in failure(account, PermanentError)


def test_an_agents_key_names_the_client_and_its_zone(account: Account) -> None:
    account.is_agent = True
    account.calls = [call(1, "2024-03-08 12:00:00")]
    (row,) = landed(account, user_id=77, timezone=MOSCOW)
    assert row["called_at"] == datetime(2024, 3, 8, 9, tzinfo=UTC)
    assert [method for method, _ in account.asked] == ["get.calls_report"]
    assert account.asked[0][1]["user_id"] == 77


def test_a_key_that_may_not_ask_for_the_account_needs_the_zone(account: Account) -> None:
    forbidden = error(-32003, "forbidden", "Permission denied")
    account.troubles["get.account"] = [forbidden]
    assert "forbidden" in failure(account, PermanentError)
    account.troubles["get.account"] = [forbidden]
    assert landed(account, timezone=MOSCOW) == []


def test_both_passes_of_the_hour_that_repeats_lie_in_their_day(account: Account) -> None:
    account.zone = "Europe/Zagreb"
    account.calls = [
        call(1, "2024-10-27 02:30:00"),
        call(2, "2024-10-27 23:59:59"),
        call(3, "2024-10-28 00:00:00"),
    ]
    rows = landed(account, day="2024-10-27")
    assert [row["called_at"] for row in rows] == [
        datetime(2024, 10, 27, 0, 30, tzinfo=UTC),
        datetime(2024, 10, 27, 22, 59, 59, tzinfo=UTC),
    ]


# --- pages ---


def test_a_call_that_moved_between_pages_counts_once_and_a_lost_one_is_noticed(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uis_comagic, "_PAGE", 2)
    account.calls = [call(n, f"2024-03-08 1{n}:00:00") for n in (1, 2, 3)]

    def moving(request: Request) -> Reply:
        reply = account(request)
        if request.json()["params"].get("offset") == 0:
            # Restored meanwhile, before the first: the second page begins with what ended the first one.
            account.calls.append(call(9, "2024-03-08 10:00:00"))
        return reply

    with playing(moving) as server, pytest.raises(IncompleteError, match="gave 3 of 4 calls"):
        fetched(source_at(server.url), "calls", window("2024-03-08"))


def test_a_call_on_two_pages_counts_once(pauses: list[float]) -> None:
    """A call came in before those of the first page, and one behind them was deleted."""
    pages = {0: ([1, 2], 4), 2: ([2, 3], 3)}

    def vendor(request: Request) -> Reply:
        params = request.json()["params"]
        if "offset" not in params:
            return Reply({"result": {"data": [{"timezone": MOSCOW}]}})
        ids, total = pages[params["offset"]]
        data = [call(n, f"2024-03-08 1{n}:00:00") for n in ids]
        return Reply({"result": {"data": data, "metadata": {"total_items": total}}})

    with playing(vendor) as server:
        found = fetched(source_at(server.url), "calls", window("2024-03-08"))
    assert [row["call_id"] for row in found] == ["1", "2", "3"]


def test_pages_shorter_than_asked_for_leave_nothing_out(account: Account) -> None:
    """Without `limit` a page has a thousand; an account may have less."""
    account.calls = [call(n, f"2024-03-08 12:00:{n:02}") for n in range(5)]
    account.longest_page = 2
    assert len(landed(account)) == 5


def test_a_report_shorter_than_announced_is_refused(account: Account) -> None:
    account.calls = [call(1, "2024-03-08 12:00:00")]
    account.total = 3
    assert "gave 1 of 3 calls" in failure(account, IncompleteError)


def test_pages_end_where_the_api_ends_them(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uis_comagic, "_FURTHEST", 3)
    monkeypatch.setattr(uis_comagic, "_PAGE", 2)
    account.calls = [call(n, f"2024-03-08 12:00:{n:02}") for n in range(9)]
    assert "gave 4 of 9 calls" in failure(account, IncompleteError)


def test_the_reports_total_is_kept(account: Account) -> None:
    account.calls = [call(1, "2024-03-08 12:00:00"), call(2, "2024-03-08 13:00:00")]
    log = ReadLog()
    landed(account, log)
    assert log.control_totals == {("report", "calls"): Decimal(2)}


# --- errors with status 200 ---


@pytest.mark.parametrize(
    ("code", "mnemonic", "kind", "said"),
    [
        (-32001, "access_token_expired", AuthError, "mend `token`"),
        (-32001, "access_token_blocked", AuthError, "mend `token`"),
        (-32001, "access_token_invalid", AuthError, "mend `token`"),
        (None, "auth_error", AuthError, "mend `token`"),
        (-32003, "ip_not_whitelisted", AuthError, "allow this machine's address"),
        (-32009, "account_inactive", AuthError, "account_inactive"),
        (-32003, "forbidden", PermanentError, "forbidden"),
        (-32602, "unexpected_parameters", PermanentError, "unexpected_parameters"),
        (-32602, "date_interval_limit_reached", PermanentError, "date_interval_limit_reached"),
        (-32008, "method_component_disabled", PermanentError, "method_component_disabled"),
        (-32601, None, PermanentError, "-32601"),
        (None, None, PermanentError, "error (no message)"),
    ],
)
def test_an_error_in_an_answer_of_200_is_no_empty_day(
    account: Account, code: int | None, mnemonic: str | None, kind: type[ConnectorError], said: str
) -> None:
    account.calls = [call(1, "2024-03-08 12:00:00")]
    account.troubles["get.calls_report"] = [error(code, mnemonic, None)]
    message = failure(account, kind)
    assert said in message
    assert len([m for m, _ in account.asked if m == "get.calls_report"]) == 1


def test_a_minute_without_points_is_waited_for(account: Account, pauses: list[float]) -> None:
    account.calls = [call(1, "2024-03-08 12:00:00")]
    text = "Limit per minute has been exceeded. Value of current limit per minute is 100"
    reset = {"limits": {"minute_remaining": 0, "minute_reset": 23, "day_remaining": 5, "day_reset": 4000}}
    account.troubles["get.calls_report"] = [
        error(-32029, "limit_exceeded", text, metadata=reset),
        error(-32029, "limit_exceeded", text),
        error(-32603, "internal_error", "Internal error"),
    ]
    assert len(landed(account)) == 1
    assert [wait for wait in pauses if wait > 10] == [23, 60]


@pytest.mark.parametrize(
    "data",
    [{"metadata": {"limits": {"day_remaining": 0, "day_reset": 30_000, "minute_reset": 5}}}, {}],
)
def test_a_day_without_points_is_over_for_the_night(account: Account, data: dict[str, Any]) -> None:
    text = "Limit per day has been exceeded. Value of current limit per day is 3000"
    account.troubles["get.calls_report"] = [error(-32029, "limit_exceeded", text, **data)]
    assert "the next night asks again" in failure(account, TransientError)
    assert len([m for m, _ in account.asked if m == "get.calls_report"]) == 1


def test_points_run_out_forever_ends(account: Account, pauses: list[float]) -> None:
    account.troubles["get.account"] = [error(-32029, "limit_exceeded", "per minute")] * 50
    failure(account, TransientError)
    assert len(account.asked) == 6


def test_an_answer_without_a_result_is_refused(pauses: list[float]) -> None:
    with (
        playing(lambda _request: Reply({"jsonrpc": "2.0"})) as server,
        pytest.raises(PermanentError, match="no result"),
    ):
        fetched(source_at(server.url), "calls", window("2024-03-08"))


def test_the_probe_counts_yesterday(account: Account) -> None:
    yesterday = datetime.now(ZoneInfo("Europe/Zagreb")).date() - timedelta(days=1)
    account.calls = [call(n, f"{yesterday} 12:00:0{n}") for n in range(4)]
    with playing(account) as server:
        assert CONNECTOR.probe(source_at(server.url)) == f"answers; 4 calls on {yesterday}"  # type: ignore[arg-type]
    assert account.asked[0][1]["limit"] == 1


# --- settings ---


@pytest.mark.parametrize(
    ("settings_", "said"),
    [
        ({"token": TOKEN, "user_id": 77}, "user_id needs timezone too"),
        ({"user_id": "clinic"}, "user_id: write the client's number"),
        ({"login": "x"}, "login"),
    ],
)
def test_settings_that_cannot_work_are_one_line(settings_: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said) as failed:
        options("uis_comagic", **settings_)
    assert "\n" not in failed.value.errors()[0]["msg"]


def test_without_a_token_the_inbox_alone_is_read() -> None:
    source = options("uis_comagic")
    (stream,) = CONNECTOR.streams(source)  # type: ignore[arg-type]
    assert CONNECTOR.route(source, stream) is None  # type: ignore[arg-type]
    route = CONNECTOR.route(options("uis_comagic", token=TOKEN), stream)  # type: ignore[arg-type]
    assert route is not None
    assert route.window_days <= 90


# --- saved answers ---


def answer(tmp_path: Path, content: Any, **given: Any) -> Read:
    path = tmp_path / "calls.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False), "utf-8")
    return read(CONNECTOR, path, **{"timezone": MOSCOW, **given})


def calls(tmp_path: Path, *records: Any, **given: Any) -> Read:
    result = {"data": list(records), "metadata": {"total_items": len(records)}}
    return answer(tmp_path, {"jsonrpc": "2.0", "id": "1", "result": result}, **given)


def test_the_sample_of_the_report(shared: Path) -> None:
    path = shared / "call_tracking" / "uis_comagic" / "get_calls_report_response_reassembled.json"
    found = read(CONNECTOR, path, timezone=MOSCOW)
    talked, missed = found.landed
    assert not found.quarantined
    assert not found.log.unknown_columns
    assert found.log.control_totals == {("report", "calls"): Decimal(2)}
    assert found.log.notes == []
    assert talked["called_at"] == datetime(2025, 6, 25, 7, 1, 2, tzinfo=UTC)
    assert (talked["call_id"], talked["direction_raw"], talked["is_lost"]) == ("1000000001", "in", False)
    assert (talked["wait_duration_s"], talked["clean_talk_duration_s"]) == (12, 200)
    assert talked["tracking_number"] == "+74990000001"
    assert talked["operator"] == "Operator One"
    assert talked["tags"] == ["tag: booked"]
    assert talked["visitor_id"] == "ga:1000000001.1699613239"
    assert (talked["utm_source"], talked["utm_medium"], talked["utm_campaign"]) == ("yandex", "cpc", "brand")
    assert (talked["campaign_name"], talked["campaign_id"]) == ("Search", None)
    assert talked["landing_path"] == "/"
    assert talked["recording_ref"] == "2000000001/0123456789abcdef0123456789abcdef"
    assert (missed["is_lost"], missed["finish_reason"]) == (True, "operator_not_responsible")
    assert (missed["operator"], missed["recording_ref"], missed["tags"]) == (None, None, None)
    assert missed["visitor_id"] == "uis:3000000001"
    assert missed["phone_key"] == talked["phone_key"] is not None
    assert "70000000001" not in str(found.landed)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("error_auth_reassembled.json", r"an error answer \(auth_error\)"),
        ("get_calls_report_request.json", "no answer of get.calls_report"),
    ],
)
def test_other_files_of_the_vendor_are_refused(shared: Path, name: str, reason: str) -> None:
    with pytest.raises(FileRefused, match=reason):
        read(CONNECTOR, shared / "call_tracking" / "uis_comagic" / name)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        ("<!DOCTYPE html><html>", "not JSON"),
        ("id;start_time\n1;2", "not JSON"),
        ("{}", "no answer"),
        ('{"result": {"data": [1]}}', "has no id and start_time"),
        ('{"result": {"data": [{"id": 1}]}}', "has no id and start_time"),
        ('{"result": {"data": [{"id": 1, "start_time"', "not whole JSON"),
        ('{"error": "Ana Horvat"}', r"an error answer; save"),
        ('{"error": {"data": {"mnemonic": "Ana Horvat 091"}}}', r"an error answer; save"),
        ('[{"id": 1, "start_time": "x"}][1]', "more than one JSON document"),
        ('{"result": {"data": [{"id": 1, "visitor_city": "Москва"}]}}'.encode("cp1251"), "not whole JSON"),
    ],
)
def test_what_is_no_report_is_refused_whole(tmp_path: Path, content: str | bytes, reason: str) -> None:
    path = tmp_path / "calls.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FileRefused, match=reason) as caught:
        read(CONNECTOR, path)
    assert "Horvat" not in str(caught.value)


def test_a_page_of_a_longer_report_says_so(tmp_path: Path) -> None:
    result = {"data": [call(1, "2024-03-08 12:00:00")], "metadata": {"total_items": 5}}
    found = answer(tmp_path, {"result": result})
    assert len(found.landed) == 1
    assert found.log.notes == ["holds 1 of 5 calls: the other pages of the report belong here too"]


def test_an_array_of_calls_gives_the_same_rows(tmp_path: Path) -> None:
    record = call(1, "2024-03-08 12:00:00")
    assert answer(tmp_path, [record]).landed == calls(tmp_path, record).landed


@pytest.mark.parametrize(
    "time",
    [
        None,
        "",
        "2024-03-08",
        "08.03.2024 12:00:00",
        "2024-02-30 12:00:00",
        "2024-03-08T12:00:00Z",
        1709888400,
    ],
)
def test_another_spelling_of_a_time_is_quarantined(tmp_path: Path, time: Any) -> None:
    found = calls(tmp_path, call(1, "2024-03-08 12:00:00"), call(2, "x") | {"start_time": time})
    assert len(found.landed) == 1
    assert found.reasons == ["called_at: start_time is not a time like 2025-06-25 10:01:02"]


@pytest.mark.parametrize("year", ["0023", "1010", "2093"])
def test_an_absurd_year_is_quarantined(tmp_path: Path, year: str) -> None:
    assert [q.column for q in calls(tmp_path, call(1, f"{year}-03-08 12:00:00")).quarantined] == ["called_at"]


@pytest.mark.parametrize("direction", [None, "", "internal", 1])
def test_a_direction_that_nobody_knows_is_not_taken_for_inbound(tmp_path: Path, direction: Any) -> None:
    found = calls(tmp_path, call(1, "2024-03-08 12:00:00", direction=direction))
    assert found.reasons == ["direction_raw: is neither in nor out"]


def test_uiss_own_campaign_id_is_not_the_ad_platforms(tmp_path: Path) -> None:
    page = "https://clinic.example/?utm_content=cid|74655848|gid|1&yclid=12345678"
    row = calls(tmp_path, call(1, "2024-03-08 12:00:00", campaign_id=500, entrance_page=page)).landed[0]
    assert row["campaign_id"] == "74655848"
    assert (row["click_id_type"], row["click_id"]) == ("yclid", "12345678")


def test_the_calls_own_click_ids_and_tags_come_before_the_pages(tmp_path: Path) -> None:
    page = "https://clinic.example/a?gclid=ofpage&utm_source=page&utm_term=term"
    row = calls(
        tmp_path, call(1, "2024-03-08 12:00:00", entrance_page=page, yclid="999999", utm_source="VK")
    ).landed[0]
    assert (row["click_id_type"], row["click_id"]) == ("yclid", "999999")
    assert (row["utm_source"], row["utm_term"], row["landing_path"]) == ("vk", "term", "/a")


@pytest.mark.parametrize(
    ("fields", "operator"),
    [
        ({"last_talked_employee_full_name": "Ana", "last_answered_employee_full_name": "Ivo"}, "Ana"),
        ({"last_talked_employee_full_name": None, "last_answered_employee_full_name": "Ivo"}, "Ivo"),
        (
            {
                "employees": [
                    {"employee_full_name": "Ana", "is_answered": True, "is_talked": True},
                    {"employee_full_name": "Ivo", "is_answered": True, "is_talked": False},
                    {"employee_full_name": "Eva", "is_answered": False},
                ]
            },
            "Ana",
        ),
        ({"employees": [{"employee_full_name": "Eva", "is_answered": False}]}, None),
        ({"employees": "Eva"}, None),
    ],
)
def test_the_operator_is_who_spoke(tmp_path: Path, fields: dict[str, Any], operator: str | None) -> None:
    assert calls(tmp_path, call(1, "2024-03-08 12:00:00", **fields)).landed[0]["operator"] == operator


@pytest.mark.parametrize("withheld", [None, "", "anonymous", "101", "7916***0001"])
def test_a_withheld_number_makes_no_person(tmp_path: Path, withheld: Any) -> None:
    found = calls(tmp_path, call(1, "2024-03-08 12:00:00", contact_phone_number=withheld))
    assert found.landed[0]["phone_key"] is None


def test_equal_callers_have_equal_keys_however_written(tmp_path: Path) -> None:
    spellings = ["79160000001", "+79160000001", 79160000001]
    found = calls(
        tmp_path, *(call(n, "2024-03-08 12:00:00", contact_phone_number=s) for n, s in enumerate(spellings))
    )
    assert len({row["phone_key"] for row in found.landed} - {None}) == 1


def test_tags_keep_their_type_and_drop_who_set_them(tmp_path: Path) -> None:
    tags = [
        {"tag_name": "booked", "tag_type": "manual", "tag_user_login": "ana@clinic.example"},
        {"tag_name": "spam", "tag_type": "auto"},
        {"tag_name": "booked", "tag_type": "manual"},
        {"tag_name": None},
    ]
    row = calls(tmp_path, call(1, "2024-03-08 12:00:00", tags=tags, attributes=["first", "target"])).landed[0]
    assert row["tags"] == ["manual: booked", "auto: spam"]
    assert row["attributes"] == ["first", "target"]
    assert "ana@" not in str(row)


def test_what_people_wrote_and_who_they_are_does_not_land(tmp_path: Path) -> None:
    personal = {
        "contact_full_name": "Ana Horvat",
        "properties": "please call 0911234567",
        "visitor_custom_properties": [{"property_name": "email", "property_value": "ana@example.com"}],
        "search_query": "ana@example.com",
        "entrance_page": "https://clinic.example/?name=Horvat&utm_term=0911%20234%20567",
    }
    found = calls(tmp_path, call(1, "2024-03-08 12:00:00", **personal))
    for text in ("Horvat", "0911234567", "example.com", "234"):
        assert text not in str(found.landed)
    assert not found.log.unknown_columns


def test_a_field_nobody_knows_is_named(tmp_path: Path) -> None:
    assert calls(tmp_path, call(1, "2024-03-08 12:00:00", mood="fine")).log.unknown_columns == {"mood"}


def test_ids_keep_their_digits(tmp_path: Path) -> None:
    row = calls(
        tmp_path, call(9007199254740993, "2024-03-08 12:00:00", visitor_id=800000000000000107)
    ).landed[0]
    assert (row["call_id"], row["visitor_id"]) == ("9007199254740993", "uis:800000000000000107")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    fields=st.fixed_dictionaries(
        {"start_time": st.just("2024-03-08 12:00:00") | _JSON},
        optional=dict.fromkeys([f for f in uis_comagic._FIELDS if f not in ("id", "start_time")], _JSON),
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_any_json_in_any_field_is_landed_or_quarantined(
    tmp_path_factory: pytest.TempPathFactory, fields: dict[str, Any]
) -> None:
    record = {"id": 1, **fields}
    found = calls(tmp_path_factory.mktemp("calls"), record)
    assert len(found.landed) + len(found.quarantined) == 1
