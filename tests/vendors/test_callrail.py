"""CallRail's API: pages that name the next one, days of a zone, two touches, voicemails, a table."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors import callrail
from connectors.callrail import CONNECTOR
from connectors.contract import ReadLog, SourceOptions
from connectors.errors import (
    AuthError,
    ConnectorError,
    FileRefused,
    IncompleteError,
    PermanentError,
    TransientError,
)
from tests.unit.vendor_files import Read, read
from tests.vendors.loopback import ApiContract, Reply, Request, fetched, options, playing, window

TOKEN = "t0ken"
ACCOUNT = "ACC8154748ae6bd4e278a7cddd38a662f4f"
COMPANY = "COM37221d54e80c4216898d2f857fc69fa0"
# The account's number, under which it names its next pages.
NUMBER = "227799611"
LISTING = {
    "relative_pagination",
    "per_page",
    "sort",
    "order",
    "fields",
    "start_date",
    "end_date",
    "time_zone",
}
SUMMARY = {"start_date", "end_date", "time_zone"}
KNOWN_ZONES = {"Europe/Zagreb", "America/New_York", "Etc/UTC"}
DEFAULTS = {
    *("answered", "business_phone_number", "customer_city", "customer_country", "customer_name"),
    *("customer_phone_number", "customer_state", "direction", "duration", "id", "recording"),
    *("recording_duration", "start_time", "tracking_phone_number", "voicemail"),
}


def call(number: int, at: str, **fields: Any) -> dict[str, Any]:
    """A call at an instant of UTC."""
    return {
        "id": f"CAL{number:04}",
        "start_time": datetime.fromisoformat(at).replace(tzinfo=UTC),
        "answered": True,
        "voicemail": False,
        "direction": "inbound",
        "duration": 60,
        "customer_name": "RUEGSEGGER SIMO",
        "customer_phone_number": f"+1303623{number:04}",
        "tracking_phone_number": "+13038163491",
        "recording": None,
        "company_id": COMPANY,
        **fields,
    }


class Account:
    """One account. What the user set as time zone holds where the request names none that is known."""

    def __init__(self, token: str = TOKEN) -> None:
        self.token = token
        self.calls: list[dict[str, Any]] = []
        self.users_zone = ZoneInfo("America/New_York")
        self.base = ""
        self.issued: dict[str, dict[str, str]] = {}
        self.summary: Reply | None = None

    def __call__(self, request: Request) -> Reply:
        if request.method != "GET":
            return Reply("", 405)
        if request.headers.get("Authorization") != f'Token token="{self.token}"':
            return Reply({"error": "HTTP Token: Access denied."}, 401)
        host = f"http://{request.headers['Host']}"
        asked = f"{host}{request.path}?{urlencode(request.query)}"
        if asked in self.issued:
            return self._page({**self.issued[asked], "offset": request.query["offset"]}, host)
        if request.path == f"/v3/a/{ACCOUNT}/calls/summary.json":
            return self._summary(request.query)
        if request.path != f"/v3/a/{ACCOUNT}/calls.json":
            return Reply({"error": "Not found"}, 404)
        given = request.query
        if given.keys() - {"company_id"} != LISTING or not _are_days(given):
            return Reply({"error": "Unacceptable parameters"}, 406)
        assert 1 <= int(given["per_page"]) <= 250
        assert (given["relative_pagination"], given["sort"], given["order"]) == ("true", "start_time", "asc")
        return self._page({**given, "offset": "0"}, host)

    def _page(self, given: dict[str, str], host: str) -> Reply:
        size, offset = int(given["per_page"]), int(given["offset"])
        if given["start_date"] < "2022":
            return Reply({"error": "Data is retained for 25 months, please revise your date range"}, 400)
        found = self._within(given)
        fields = DEFAULTS | set(given["fields"].split(","))
        zone = self._zone(given)
        page = [
            {name: c.get(name) for name in fields}
            | {"start_time": c["start_time"].astimezone(zone).isoformat()}
            for c in found[offset * size : (offset + 1) * size]
        ]
        if len(found) <= (offset + 1) * size:
            return Reply({"has_next_page": False, "calls": page})
        query = {"action": "index", "agency_id": NUMBER, "offset": str(offset + 1), "page": "1"}
        query["api_sort[][start_time]"] = "asc"
        following = f"{host}/v3/a/{NUMBER}/calls?{urlencode(query)}"
        self.issued[following] = given
        return Reply({"next_page": following, "has_next_page": True, "calls": page})

    def _summary(self, given: dict[str, str]) -> Reply:
        if given.keys() - {"company_id"} != SUMMARY or not _are_days(given):
            return Reply({"error": "Unacceptable parameters"}, 406)
        if self.summary is not None:
            return self.summary
        total = {"total_calls": len(self._within(given))}
        return Reply({"time_zone": "Pacific Time (US & Canada)", "total_results": total})

    def _within(self, given: dict[str, str]) -> list[dict[str, Any]]:
        zone = self._zone(given)
        since, until = (date.fromisoformat(given[name]) for name in ("start_date", "end_date"))
        found = [
            c
            for c in self.calls
            if since <= c["start_time"].astimezone(zone).date() <= until
            and given.get("company_id") in (None, c["company_id"])
        ]
        return sorted(found, key=lambda c: c["start_time"])

    def _zone(self, given: dict[str, str]) -> ZoneInfo:
        return ZoneInfo(given["time_zone"]) if given["time_zone"] in KNOWN_ZONES else self.users_zone


def _are_days(given: dict[str, str]) -> bool:
    return all(re.fullmatch(r"\d{4}-\d\d-\d\d", given[name]) for name in ("start_date", "end_date"))


def source_at(url: str, token: str = TOKEN, **given: Any) -> SourceOptions:
    return options("callrail", **{"account_id": ACCOUNT, "token": token, "base_url": url, **given})


class TestCallrailApi(ApiContract):
    stream = "calls"
    key = "call_id"
    asked = window("2024-03-08", "2024-03-10")
    empty = window("2023-01-01")
    ids = ["CAL0001", "CAL0002", "CAL0003", "CAL0004", "CAL0005"]  # noqa: RUF012

    @pytest.fixture(autouse=True)
    def _small_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(callrail, "_PAGE", 2)

    def fresh(self) -> None:
        self._account = Account(self.secret)
        self._account.calls = [
            call(9, "2024-03-07T22:59:59"),
            call(1, "2024-03-07T23:00:00"),  # midnight in Zagreb
            *(call(n, f"2024-03-09T1{n}:00:00") for n in (2, 3, 4)),
            call(5, "2024-03-10T22:59:59"),
            call(8, "2024-03-10T23:00:00"),
        ]

    def vendor(self, request: Request) -> Reply:
        return self._account(request)

    def source(self, url: str) -> SourceOptions:
        return source_at(url, self.secret)


@pytest.fixture
def account(pauses: list[float]) -> Account:
    return Account()


def landed(
    account: Account,
    log: ReadLog | None = None,
    since: str = "2024-03-08",
    until: str | None = None,
    **given: Any,
) -> tuple[list[dict[str, Any]], list[Request]]:
    with playing(account) as server:
        source = source_at(server.url, **given)
        return fetched(source, "calls", window(since, until, source.zone), log), server.requests


def failure(account: Account, kind: type[ConnectorError], **given: Any) -> str:
    with pytest.raises(kind) as failed:
        landed(account, **given)
    assert TOKEN not in str(failed.value)
    assert "\n" not in str(failed.value)
    return str(failed.value)


# --- pages ---


def test_the_next_pages_address_is_used_as_it_is(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callrail, "_PAGE", 1)
    account.calls = [call(n, f"2024-03-08T1{n}:00:00") for n in range(3)]
    found, asked = landed(account)
    assert [row["call_id"] for row in found] == ["CAL0000", "CAL0001", "CAL0002"]
    assert [r.path for r in asked] == [
        f"/v3/a/{ACCOUNT}/calls.json",
        f"/v3/a/{NUMBER}/calls",
        f"/v3/a/{NUMBER}/calls",
        f"/v3/a/{ACCOUNT}/calls/summary.json",
    ]
    assert asked[1].query == {
        "action": "index",
        "agency_id": NUMBER,
        "offset": "1",
        "page": "1",
        "api_sort[][start_time]": "asc",
    }


def test_a_call_on_two_pages_counts_once(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callrail, "_PAGE", 2)
    account.calls = [call(n, f"2024-03-08T1{n}:00:00") for n in (1, 2, 3)]

    def shifting(request: Request) -> Reply:
        reply = account(request)
        if request.path.endswith("calls.json"):
            account.calls.append(call(0, "2024-03-08T10:00:00"))
        return reply

    with playing(shifting) as server:
        found = fetched(source_at(server.url), "calls", window("2024-03-08"))
    assert [row["call_id"] for row in found] == ["CAL0001", "CAL0002", "CAL0003"]


@pytest.mark.parametrize(
    "spoiled",
    [
        {"has_next_page": True},
        {"has_next_page": True, "next_page": None},
        {"has_next_page": True, "calls": []},
        {"page": 1, "total_pages": 3, "total_records": 700},
    ],
)
def test_a_broken_chain_of_pages_is_no_end(pauses: list[float], spoiled: dict[str, Any]) -> None:
    one = {"id": "CAL1", "start_time": "2024-03-08T10:00:00Z", "direction": "inbound"}

    def vendor(request: Request) -> Reply:
        following = {"next_page": f"http://{request.headers['Host']}/v3/a/1/calls?offset=1"}
        return Reply({"calls": [one], **(following if spoiled.get("calls") == [] else {}), **spoiled})

    with playing(vendor) as server, pytest.raises(IncompleteError):
        fetched(source_at(server.url), "calls", window("2024-03-08"))


def test_pages_that_name_each_other_end(pauses: list[float]) -> None:
    def vendor(request: Request) -> Reply:
        one = {"id": "CAL1", "start_time": "2024-03-08T10:00:00Z", "direction": "inbound"}
        following = f"http://{request.headers['Host']}/v3/a/1/calls?offset=1"
        return Reply({"calls": [one], "has_next_page": True, "next_page": following})

    with playing(vendor) as server, pytest.raises(IncompleteError, match="does not give"):
        fetched(source_at(server.url), "calls", window("2024-03-08"))
    assert len(server.requests) == 2


def test_a_next_page_elsewhere_is_not_followed(pauses: list[float]) -> None:
    def vendor(_request: Request) -> Reply:
        one = {"id": "CAL1", "start_time": "2024-03-08T10:00:00Z", "direction": "inbound"}
        return Reply(
            {"calls": [one], "has_next_page": True, "next_page": "https://callrail.example/v3/a/1/calls"}
        )

    with playing(vendor) as server, pytest.raises(PermanentError, match="another host"):
        fetched(source_at(server.url), "calls", window("2024-03-08"))


# --- days ---


def test_the_days_are_those_of_the_source(account: Account) -> None:
    account.calls = [
        call(1, "2024-03-08T04:59:59"),
        call(2, "2024-03-08T05:00:00"),  # midnight in New York
        call(3, "2024-03-09T04:59:59"),
        call(4, "2024-03-09T05:00:00"),
    ]
    found, asked = landed(account, timezone="America/New_York")
    assert [row["call_id"] for row in found] == ["CAL0002", "CAL0003"]
    assert found[0]["called_at"] == datetime(2024, 3, 8, 5, tzinfo=UTC)
    assert {(r.query["time_zone"], r.query["start_date"], r.query["end_date"]) for r in asked} == {
        ("America/New_York", "2024-03-08", "2024-03-08")
    }


def test_days_of_23_hours_are_whole(account: Account) -> None:
    """10 March 2024 in New York: from 05:00 UTC to 04:00 UTC."""
    account.calls = [
        *(call(1, "2024-03-10T04:59:59"), call(2, "2024-03-10T05:00:00")),
        *(call(3, "2024-03-11T03:59:59"), call(4, "2024-03-11T04:00:00")),
    ]
    found, _ = landed(account, since="2024-03-10", timezone="America/New_York")
    assert [row["call_id"] for row in found] == ["CAL0002", "CAL0003"]


def test_a_zone_that_callrail_does_not_know_is_noticed(account: Account) -> None:
    account.calls = [call(1, "2024-03-08T10:00:00"), call(2, "2024-03-09T04:00:00")]
    assert "set `timezone`" in failure(account, PermanentError, timezone="Asia/Dubai")


def test_days_before_the_retention_are_refused_with_the_way_out(account: Account) -> None:
    said = failure(account, PermanentError, since="2020-01-01")
    assert "25 months" in said
    assert "`since`" in said


def test_one_company_of_an_account(account: Account) -> None:
    account.calls = [call(1, "2024-03-08T10:00:00"), call(2, "2024-03-08T11:00:00", company_id="COMother")]
    log = ReadLog()
    found, asked = landed(account, log, company_id=COMPANY)
    assert [row["call_id"] for row in found] == ["CAL0001"]
    assert {r.query["company_id"] for r in asked} == {COMPANY}
    assert log.control_totals == {("summary", "calls"): Decimal(1)}
    assert len(landed(account)[0]) == 2


# --- errors, limits, totals ---


def test_a_used_up_hour_is_waited_for_by_the_minute(account: Account, pauses: list[float]) -> None:
    account.calls = [call(1, "2024-03-08T10:00:00")]
    left = [2]

    def vendor(request: Request) -> Reply:
        if left[0]:
            left[0] -= 1
            return Reply({"error": "rate_limited"}, 429)
        return account(request)

    with playing(vendor) as server:
        assert len(fetched(source_at(server.url), "calls", window("2024-03-08"))) == 1
    assert pauses.count(60.0) == 2
    with (
        playing(lambda _request: Reply({"error": "rate_limited"}, 429)) as server,
        pytest.raises(TransientError),
    ):
        fetched(source_at(server.url), "calls", window("2024-03-08"))
    assert len(server.requests) == 6


def test_the_rate_stays_below_a_thousand_an_hour(account: Account, pauses: list[float]) -> None:
    account.calls = [call(1, "2024-03-08T10:00:00")]
    landed(account)
    assert 3.6 <= max(pauses) <= 3.8


def test_the_summary_is_kept_as_a_control(account: Account) -> None:
    account.calls = [call(1, "2024-03-08T10:00:00"), call(2, "2024-03-08T11:00:00", direction="outbound")]
    log = ReadLog()
    landed(account, log)
    assert log.control_totals == {("summary", "calls"): Decimal(2)}


@pytest.mark.parametrize(
    ("summary", "said"),
    [
        (Reply({"error": "no"}, 403), "403"),
        (Reply({"total_results": {}}), "no total_calls"),
        (Reply([]), "no total_calls"),
        (Reply("oops", 500), "500"),
    ],
)
def test_without_a_summary_the_calls_are_read_all_the_same(
    account: Account, summary: Reply, said: str
) -> None:
    account.calls = [call(1, "2024-03-08T10:00:00")]
    account.summary = summary
    log = ReadLog()
    assert len(landed(account, log)[0]) == 1
    assert said in log.notes[0]
    assert log.control_totals == {}


def test_a_refused_token_and_a_wrong_account_name_their_settings(account: Account) -> None:
    assert "mend `account_id`" in failure(account, PermanentError, account_id="ACC0")
    account.token = "another"
    assert "mend `token`" in failure(account, AuthError)


def test_the_probe_asks_for_yesterdays_count(account: Account) -> None:
    yesterday = datetime.now(ZoneInfo("Europe/Zagreb")).date() - timedelta(days=1)
    account.calls = [call(n, f"{yesterday}T12:00:00") for n in range(3)]
    with playing(account) as server:
        said = CONNECTOR.probe(source_at(server.url))  # type: ignore[arg-type]
        assert len(server.requests) == 1
    assert said == f"answers as account {ACCOUNT}; 3 calls on {yesterday}"


@pytest.mark.parametrize(
    ("settings_", "said"),
    [
        ({"token": TOKEN}, "the token needs account_id too"),
        ({"account_id": "a/b"}, "account_id: write letters and digits only"),
        ({"account_id": ACCOUNT, "company_id": "../x"}, "company_id: write letters and digits only"),
        ({"export": {"columns": {"call_id": "ID"}}}, "called_at is required"),
        (
            {"export": {"columns": {"call_id": "Phone", "called_at": "T", "phone": "Phone"}}},
            "caller's number",
        ),
    ],
)
def test_settings_that_cannot_work_are_one_line(settings_: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said) as failed:
        options("callrail", **settings_)
    assert "\n" not in failed.value.errors()[0]["msg"]


def test_without_a_token_the_inbox_alone_is_read() -> None:
    source = options("callrail", account_id=297251749)
    (stream,) = CONNECTOR.streams(source)  # type: ignore[arg-type]
    assert CONNECTOR.route(source, stream) is None  # type: ignore[arg-type]


# --- saved answers ---


def saved(tmp_path: Path, content: Any, **given: Any) -> Read:
    path = tmp_path / "calls.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False), "utf-8")
    return read(CONNECTOR, path, **given)


def one(tmp_path: Path, **fields: Any) -> dict[str, Any]:
    """The landed row of a call with these fields."""
    record = {**call(1, "2024-03-08T10:00:00"), "start_time": "2024-03-08T10:00:00.000Z", **fields}
    (row,) = saved(tmp_path, [record]).landed
    return row


def test_the_sample_with_all_its_touches(shared: Path) -> None:
    path = shared / "call_tracking" / "callrail" / "calls_list_extended_fields_reassembled.json"
    found = read(CONNECTOR, path)
    (row,) = found.landed
    assert not found.log.unknown_columns
    assert row["call_id"] == "CAL8154748ae6bd4e278a7cddd38a662f51"
    assert row["called_at"] == datetime(2017, 1, 24, 16, 27, 48, 119_000, tzinfo=UTC)
    assert (row["direction_raw"], row["is_answered"], row["is_voicemail"]) == ("inbound", False, False)
    assert (row["call_type"], row["duration_s"], row["is_finished"]) == ("missed", 4, True)
    assert (row["company_name"], row["tracker_name"]) == ("Grand Symphony Resort", "Google Ads pool")
    assert (row["operator"], row["is_first_call"], row["lead_status"]) == ("gil", True, None)
    assert row["tags"] == ["tag: New Client"]
    assert row["tracking_number"] == "+13038163491"
    assert row["recording_ref"] == row["call_id"]
    assert row["visitor_id"] == "cr:PER8154748ae6bd4e278a7cddd38a662f4f"
    # The first touch was an ad, the last one was not.
    first, last = (
        {name.partition("_")[2]: value for name, value in row.items() if name.startswith(prefix)}
        for prefix in ("first_", "last_")
    )
    assert (first["source"], first["medium"], first["campaign"]) == ("google ads", "cpc", "US_branded")
    assert (first["keywords"], first["click_id"]) == ("peststoppers", "12345abgdef")
    assert (first["landing_path"], first["referrer_host"]) == ("/peststoppers/", "www.google.com")
    assert (last["source"], last["medium"], last["campaign"]) == ("google organic", "organic", None)
    assert (last["landing_path"], last["click_id"]) == ("/", None)
    assert (row["click_id_type"], row["click_id"], row["has_last_touch"]) == ("gclid", "12345abgdef", True)
    for personal in ("RUEGSEGGER", "3036231131", "televised"):
        assert personal not in str(found.landed)


def test_the_samples_that_are_one_call(shared: Path) -> None:
    folder = shared / "call_tracking" / "callrail"
    (single,) = read(CONNECTOR, folder / "call_single_with_milestones.json").landed
    assert (single["last_source"], single["first_source"]) == ("google organic", None)
    assert single["has_last_touch"] is True
    (legacy,) = read(CONNECTOR, folder / "call_field_selection_legacy_numeric_id.json").landed
    assert (legacy["call_id"], legacy["duration_s"]) == ("444941612", None)
    assert (legacy["is_answered"], legacy["is_voicemail"]) == (False, True)
    assert legacy["called_at"] == datetime(2017, 6, 4, 13, 36, 24, tzinfo=UTC)
    (outbound,) = read(CONNECTOR, folder / "call_outbound_just_created.json").landed
    assert (outbound["direction_raw"], outbound["is_answered"], outbound["is_finished"]) == (
        "outbound",
        None,
        False,
    )


def test_the_sample_of_a_voicemail(shared: Path) -> None:
    found = read(CONNECTOR, shared / "call_tracking" / "callrail" / "calls_list_voicemail_2026.json")
    (row,) = found.landed
    assert (row["is_answered"], row["is_voicemail"], row["duration_s"]) == (False, True, 36)
    assert row["called_at"] == datetime(2026, 2, 10, 8, 45, 19, 781_000, tzinfo=UTC)
    assert found.log.control_totals == {("answer", "total_records"): Decimal(1)}


def test_the_samples_of_relative_pages(shared: Path) -> None:
    folder = shared / "call_tracking" / "callrail"
    first = read(CONNECTOR, folder / "calls_relative_page_1_reassembled.json")
    second = read(CONNECTOR, folder / "calls_relative_page_2_reassembled.json")
    assert [row["call_id"][-2:] for row in first.landed + second.landed] == ["4f", "50"]
    assert first.log.notes == ["a page with more to follow: the other pages belong here too"]
    assert second.log.notes == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        # The documentation's own example announces nine calls and shows two.
        ("calls_list_default_fields.json", "holds 2 of 9 calls"),
        ("accounts_list.json", "holds no calls"),
        ("calls_summary.json", "holds no calls"),
        ("error_429_reassembled.json", "holds no calls"),
        ("relative_pagination_metadata.json", "holds no calls"),
    ],
)
def test_what_is_no_whole_list_of_calls_is_refused(shared: Path, name: str, reason: str) -> None:
    with pytest.raises(FileRefused, match=reason):
        read(CONNECTOR, shared / "call_tracking" / "callrail" / name)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        ("<!DOCTYPE html><html>", "not JSON"),
        ("{}", "it has nothing"),
        ('{"error": "Jimmy Pesto"}', "it has error"),
        ("[1]", "has no id and start_time"),
        ('{"calls": [{"id": "CAL1"}]}', "has no id and start_time"),
        ('{"calls": [{"id": "CAL1", "start', "not whole JSON"),
        ('[{"id": "CAL1", "customer_city": "Köln"}]'.encode("cp1252"), "not whole JSON"),
    ],
)
def test_what_is_no_answer_is_refused_whole(tmp_path: Path, content: str | bytes, reason: str) -> None:
    path = tmp_path / "calls.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FileRefused, match=reason) as caught:
        read(CONNECTOR, path)
    assert "Pesto" not in str(caught.value)


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        ("2024-03-08T10:00:00", "start_time has no offset from UTC"),
        ("2024-03-08", "start_time has no offset from UTC"),
        ("03/08/2024 10:00 AM", "start_time is not a time"),
        (None, "start_time has no offset from UTC"),
        (1709888400, "start_time has no offset from UTC"),
        ("0023-03-08T10:00:00Z", "has the absurd year 23"),
    ],
)
def test_a_time_without_an_offset_is_quarantined(tmp_path: Path, time: Any, reason: str) -> None:
    good = {"id": "CAL1", "start_time": "2024-03-08T05:00:00-0500", "direction": "inbound"}
    found = saved(tmp_path, [good, {**good, "id": "CAL2", "start_time": time}])
    assert [row["called_at"] for row in found.landed] == [datetime(2024, 3, 8, 10, tzinfo=UTC)]
    assert found.reasons == [f"called_at: {reason}"]


@pytest.mark.parametrize("direction", [None, "", "internal", 1])
def test_a_direction_that_nobody_knows_is_not_taken_for_inbound(tmp_path: Path, direction: Any) -> None:
    record = {"id": "CAL1", "start_time": "2024-03-08T10:00:00Z", "direction": direction}
    assert saved(tmp_path, [record]).reasons == ["direction_raw: is neither inbound nor outbound"]


@pytest.mark.parametrize(
    ("milestones", "source"),
    [
        ({"last_touch": {"source": "Bing Ads"}, "lead_created": {"source": "Yelp"}}, "bing ads"),
        ({"last_touch": None, "lead_created": {"source": "Yelp"}}, "yelp"),
        ({"first_touch": {"source": "Yelp"}}, None),
        ({}, None),
        (None, None),
        ("none", None),
    ],
)
def test_what_made_the_call_is_its_last_touch(tmp_path: Path, milestones: Any, source: str | None) -> None:
    row = one(tmp_path, milestones=milestones, source="Google Ads")
    assert (row["last_source"], row["first_source"]) == (source, "google ads")
    assert row["has_last_touch"] is (source is not None)


def test_tags_of_a_touch_come_from_its_page_and_else_from_its_own_list(tmp_path: Path) -> None:
    page = "https://clinic.example/a?utm_source=Google&utm_campaign=Spring&gclid=abcdef"
    told = {"utm_medium": "CPC", "utm_campaign": "Autumn", "name": "Horvat"}
    row = one(
        tmp_path,
        milestones={"last_touch": {"landing": page, "url_utm_params": told, "source": "Google Ads"}},
        utm_source="FromTracker",
        landing_page_url="https://clinic.example/first",
    )
    assert (row["last_utm_source"], row["last_utm_medium"], row["last_utm_campaign"]) == (
        "google",
        "cpc",
        "Spring",
    )
    assert (row["last_click_id"], row["last_landing_path"]) == ("abcdef", "/a")
    assert (row["first_utm_source"], row["first_landing_path"]) == ("fromtracker", "/first")
    assert "Horvat" not in str(row)


@pytest.mark.parametrize(
    ("ga", "person", "visitor"),
    [
        ("GA1.2.1234567890.1487684478", "PER1", "ga:1234567890.1487684478"),
        ("1234567890.1487684478", "PER1", "ga:1234567890.1487684478"),
        ("GA1.1-2.77.88", "PER1", "cr:PER1"),
        (None, "PER1", "cr:PER1"),
        (None, None, None),
    ],
)
def test_the_cookie_is_known_by_its_client_id(
    tmp_path: Path, ga: str | None, person: str | None, visitor: str | None
) -> None:
    assert one(tmp_path, ga=ga, person_id=person)["visitor_id"] == visitor


@pytest.mark.parametrize(
    "withheld",
    [None, "", "+266696687", "+7378742833", "+86282452253", "+2562533", "Anonymous", "+1303623****"],
)
def test_a_withheld_number_makes_no_person(tmp_path: Path, withheld: str | None) -> None:
    assert one(tmp_path, customer_phone_number=withheld)["phone_key"] is None


@pytest.mark.parametrize(
    ("answered", "call_type", "is_finished"),
    [(True, "answered", True), (False, None, True), (None, None, False), (None, "in_progress", False)],
)
def test_a_call_under_way_is_marked(
    tmp_path: Path, answered: bool | None, call_type: str | None, is_finished: bool
) -> None:
    assert one(tmp_path, answered=answered, call_type=call_type)["is_finished"] is is_finished


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["Sales", "Sales", "New"], ["tag: Sales", "tag: New"]),
        ([{"name": "Sales", "color": "red1"}], ["tag: Sales"]),
        ([], None),
        (None, None),
        ("Sales", None),
    ],
)
def test_tags_are_names(tmp_path: Path, tags: Any, expected: list[str] | None) -> None:
    assert one(tmp_path, tags=tags)["tags"] == expected


def test_what_people_wrote_and_who_they_are_does_not_land(tmp_path: Path) -> None:
    personal = {
        "customer_name": "Jimmy Pesto",
        "note": "call Jimmy 0911234567",
        "transcription": "my name is Jimmy",
        "call_summary": "Jimmy asks",
        "keypad_entries": [{"name": "Account", "value": "1234567"}],
        "agent_email": "gil@televised.com",
        "landing_page_url": "https://clinic.example/?name=Pesto&email=jimmy@example.com",
    }
    row = one(tmp_path, **personal)
    for text in ("Jimmy", "Pesto", "0911234567", "1234567", "televised", "example.com", "3623"):
        assert text not in str(row).replace(row["tracking_number"], "")
    assert row["operator"] == "gil"


def test_a_field_nobody_knows_is_named(tmp_path: Path) -> None:
    record = {"id": "CAL1", "start_time": "2024-03-08T10:00:00Z", "direction": "inbound", "mood": "fine"}
    assert saved(tmp_path, [record]).log.unknown_columns == {"mood"}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_TOUCH = "source medium campaign keywords landing referrer url_utm_params"


@given(
    fields=st.fixed_dictionaries(
        {"start_time": st.just("2024-03-08T10:00:00Z") | _JSON},
        optional={
            **dict.fromkeys([*callrail._ASKED.split(","), "direction", "duration", "voicemail"], _JSON),
            "milestones": st.fixed_dictionaries(
                {"last_touch": st.fixed_dictionaries({}, optional=dict.fromkeys(_TOUCH.split(), _JSON))}
            ),
        },
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_any_json_in_any_field_is_landed_or_quarantined(
    tmp_path_factory: pytest.TempPathFactory, fields: dict[str, Any]
) -> None:
    found = saved(tmp_path_factory.mktemp("calls"), [{"id": 1, **fields}])
    assert len(found.landed) + len(found.quarantined) == 1


@given(
    moment=st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2029, 1, 1)),
    hours=st.integers(-11, 13),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_an_instant_is_the_same_in_every_zone(
    tmp_path_factory: pytest.TempPathFactory, moment: datetime, hours: int
) -> None:
    at = moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000)
    local = at.astimezone(timezone(timedelta(hours=hours))).isoformat(timespec="milliseconds")
    record = {"id": 1, "start_time": local, "direction": "inbound"}
    assert saved(tmp_path_factory.mktemp("calls"), [record]).landed[0]["called_at"] == at


# --- the downloaded table ---

EXPORT: dict[str, Any] = {
    "datetime_format": "%Y-%m-%d %I:%M %p",
    "columns": {
        "call_id": "Call ID",
        "called_at": "Start Time",
        "phone": "Phone Number",
        "tracking_number": "Tracking Number",
        "talk_s": "Duration (seconds)",
        "is_answered": "Call Status",
        "is_voicemail": "Voicemail",
        "source": "Source",
        "vendor_is_target": "Qualified",
    },
    "values": {
        "is_answered": {"Answered Call": True, "Missed Call": False},
        "vendor_is_target": {"Qualified": True, "Not Qualified": False},
    },
}
HEADER = list(EXPORT["columns"].values())
LINE = [
    "CAL1",
    "2024-03-08 01:30 PM",
    "(303) 623-1131",
    "303-816-3491",
    "90",
    "Answered Call",
    "no",
    "Google Ads",
    "",
]


def table(tmp_path: Path, *lines: list[str]) -> Read:
    text = io.StringIO()
    csv.writer(text).writerows([HEADER, *lines])
    path = tmp_path / "calls.csv"
    path.write_text(text.getvalue(), encoding="utf-8")
    return read(CONNECTOR, path, clinic_phone_region="US", timezone="America/New_York", export=EXPORT)


def test_the_downloaded_table_is_read_as_mapped(tmp_path: Path) -> None:
    found = table(
        tmp_path,
        LINE,
        ["CAL2", *LINE[1:5], "Missed Call", "yes", "Direct", "Not Qualified"],
        ["CAL3", *LINE[1:8], "Qualified"],
    )
    first, second, third = found.landed
    assert first["called_at"] == datetime(2024, 3, 8, 18, 30, tzinfo=UTC)
    assert (first["duration_s"], first["is_answered"], first["is_voicemail"]) == (90, True, False)
    assert (first["direction_raw"], first["is_finished"], first["has_last_touch"]) == ("inbound", True, False)
    assert (first["first_source"], first["tracking_number"]) == ("google ads", "+13038163491")
    assert (second["is_answered"], second["is_voicemail"], second["lead_status"]) == (
        False,
        True,
        "not_a_lead",
    )
    assert (first["lead_status"], third["lead_status"]) == (None, "good_lead")


def test_lines_that_cannot_be_read_wait_in_quarantine(tmp_path: Path) -> None:
    found = table(
        tmp_path,
        LINE,
        ["CAL2", "08.03.2024 13:30", *LINE[2:]],
        ["1.23E+10", *LINE[1:]],
        ["CAL4", *LINE[1:5], "Abandoned", *LINE[6:]],
    )
    assert len(found.landed) == 1
    assert [q.column for q in found.quarantined] == ["called_at", "call_id", "is_answered"]


def test_a_table_without_a_mapping_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_text("Call Status,Start Time\n", encoding="utf-8")
    with pytest.raises(FileRefused, match="`export:` maps its headings"):
        read(CONNECTOR, path)
    with pytest.raises(FileRefused, match="'Call ID' is missing"):
        read(CONNECTOR, path, export=EXPORT)
