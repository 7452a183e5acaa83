"""Calltouch's API and the cabinet's table: two journals with two ways to write a day, pages, counts."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors import _calltouch_api, registry
from connectors.calltouch import CONNECTOR
from connectors.check import check
from connectors.contract import ReadLog, SourceOptions
from connectors.errors import (
    AuthError,
    ConnectorError,
    FileRefused,
    IncompleteError,
    PermanentError,
    TransientError,
)
from connectors.files import InboxFile
from connectors.privacy import Privacy
from tests.unit.vendor_files import Read, read
from tests.vendors.loopback import (
    ApiContract,
    Reply,
    Request,
    fetched,
    options,
    playing,
    stream_of,
    window,
)

TOKEN = "t0ken"
SITE = "12345"
MOSCOW = ZoneInfo("Europe/Moscow")
ZAGREB = ZoneInfo("Europe/Zagreb")
CALLS = f"/calls-service/RestAPI/{SITE}/calls-diary/calls"
REQUESTS = "/calls-service/RestAPI/requests"
COUNT = f"/calls-service/RestAPI/statistics/{SITE}/calls/total-count"
CALL_PARAMETERS = {
    *("clientApiId", "dateFrom", "dateTo", "page", "limit", "attribution"),
    *("withCallTags", "withYandexDirect", "withGoogleAdwords", "withCallbackInfo"),
}
REQUEST_PARAMETERS = {
    *("clientApiId", "siteId", "dateFrom", "dateTo", "attribution"),
    *("withRequestTags", "withYandexDirect", "withGoogleAdwords"),
}


def call(number: int, at: str, zone: ZoneInfo = ZAGREB, **fields: Any) -> dict[str, Any]:
    """A call at a local time of the project."""
    moment = datetime.fromisoformat(at).replace(tzinfo=zone)
    return {
        "callId": number,
        "timestamp": int(moment.timestamp()),
        "date": f"{moment:%d/%m/%Y %H:%M:%S}",
        "callphase": "calldisconnected",
        "attribution": 1,
        "successful": True,
        "callerNumber": f"7916000{number:04}",
        "phoneNumber": "74990000001",
        "siteId": int(SITE),
        **fields,
    }


def request(number: int, at: str, zone: ZoneInfo = ZAGREB, **fields: Any) -> dict[str, Any]:
    """A request at a local time of the project: epoch milliseconds."""
    moment = datetime.fromisoformat(at).replace(tzinfo=zone)
    return {
        "requestId": number,
        "date": int(moment.timestamp()) * 1000,
        "dateStr": f"{moment:%d/%m/%Y %H:%M:%S}",
        "siteId": int(SITE),
        "client": {"phones": [{"phoneNumber": f"7916000{number:04}"}], "contacts": []},
        "session": {"source": "google", "medium": "organic", "attribution": 1},
        **fields,
    }


class Project:
    """One project as its API shows it. Days are those of `zone`."""

    def __init__(self, token: str = TOKEN, zone: ZoneInfo = ZAGREB) -> None:
        self.token = token
        self.zone = zone
        self.calls: list[dict[str, Any]] = []
        self.requests: list[dict[str, Any]] = []
        self.without_pages = False
        # Calls that come in while a page is being read.
        self.arriving: list[dict[str, Any]] = []
        self.count: Any = None

    def __call__(self, request: Request) -> Reply:
        if request.method != "GET":
            return Reply("", 405)
        if request.path not in (CALLS, REQUESTS, COUNT):
            return Reply("<!DOCTYPE html><html><body>API help</body></html>")
        given = request.query
        if request.path == COUNT:
            return self._count(given)
        if given.get("clientApiId") != self.token:
            return Reply({"message": "wrong token"}, 401)
        return self._calls(given) if request.path == CALLS else self._requests(given)

    def _calls(self, given: dict[str, str]) -> Reply:
        day, until = (_day(given[name], "%d/%m/%Y") for name in ("dateFrom", "dateTo"))
        if given.keys() != CALL_PARAMETERS or day is None or until is None:
            return Reply({"message": "bad parameters"}, 400)
        assert {given[name] for name in given if name.startswith("with")} == {"true"}
        found = [r for r in self.calls if day <= _local_day(r["timestamp"], self.zone) <= until]
        found = [{**r, "attribution": int(given["attribution"])} for r in found]
        if self.without_pages:
            return Reply(found)
        page, limit = int(given["page"]), int(given["limit"])
        assert page >= 1
        assert 1 <= limit <= 1000
        answer = {
            "page": page,
            "pageTotal": -(-len(found) // limit),
            "pageSize": limit,
            "recordsTotal": len(found),
            "records": found[(page - 1) * limit : page * limit],
        }
        self.calls[:0], self.arriving = self.arriving, []
        return Reply(answer)

    def _requests(self, given: dict[str, str]) -> Reply:
        since, until = (_day(given[name], "%m/%d/%Y") for name in ("dateFrom", "dateTo"))
        if given.keys() != REQUEST_PARAMETERS or since is None or until is None or given["siteId"] != SITE:
            return Reply({"message": "bad parameters"}, 400)
        # The stricter reading of `dateTo`: up to its midnight.
        return Reply([r for r in self.requests if since <= _local_day(r["date"] // 1000, self.zone) < until])

    def _count(self, given: dict[str, str]) -> Reply:
        if given.get("access_token") != self.token:
            return Reply({"message": "wrong token"}, 401)
        since, until = (_day(given[name], "%d/%m/%Y") for name in ("dateFrom", "dateTo"))
        if given.keys() != {"access_token", "dateFrom", "dateTo"} or since is None or until is None:
            return Reply({"message": "bad parameters"}, 400)
        if self.count is not None:
            return self.count if isinstance(self.count, Reply) else Reply(json.dumps(self.count))
        days = [_local_day(r["timestamp"], self.zone) for r in self.calls]
        return Reply(str(sum(since <= day <= until for day in days)))


def _day(text: str, format_: str) -> date | None:
    if not re.fullmatch(r"\d\d/\d\d/\d{4}", text):
        return None
    try:
        return datetime.strptime(text, format_).date()  # noqa: DTZ007 - a day
    except ValueError:
        return None


def _local_day(epoch: int, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(epoch, zone).date()


def source_at(url: str, token: str = TOKEN, **given: Any) -> SourceOptions:
    return options("calltouch", **{"site_id": SITE, "token": token, "base_url": url, **given})


class TestCalltouchCalls(ApiContract):
    stream = "calls"
    key = "call_id"
    asked = window("2024-03-08", "2024-03-10")
    empty = window("2023-01-01")
    ids = ["1", "2", "3", "4", "5", "6"]  # noqa: RUF012

    @pytest.fixture(autouse=True)
    def _small_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_calltouch_api, "_PAGE", 2)

    def fresh(self) -> None:
        self._project = Project(self.secret)
        self._project.calls = [
            *(call(n, f"2024-03-08T1{n}:00:00") for n in range(1, 6)),
            call(6, "2024-03-10T23:59:59"),
            call(7, "2024-03-11T00:00:00"),
            call(8, "2024-03-07T23:59:59"),
        ]

    def vendor(self, request: Request) -> Reply:
        return self._project(request)

    def source(self, url: str) -> SourceOptions:
        return source_at(url, self.secret)


class TestCalltouchRequests(ApiContract):
    stream = "contacts"
    key = "request_id"
    asked = window("2024-03-01", "2024-03-15")
    empty = window("2023-01-01")
    ids = ["1", "2", "3", "4"]  # noqa: RUF012

    def fresh(self) -> None:
        self._project = Project(self.secret)
        self._project.requests = [
            request(1, "2024-03-01T00:00:00"),
            request(2, "2024-03-07T10:00:00"),
            request(3, "2024-03-12T10:00:00"),
            request(4, "2024-03-15T23:59:59"),
            request(5, "2024-03-16T00:00:00"),
            request(6, "2024-02-29T23:59:59"),
        ]

    def vendor(self, request: Request) -> Reply:
        return self._project(request)

    def source(self, url: str) -> SourceOptions:
        return source_at(url, self.secret)


@pytest.fixture
def project(pauses: list[float]) -> Project:
    return Project()


def landed(
    project: Project,
    stream: str,
    since: str,
    until: str | None = None,
    log: ReadLog | None = None,
    **given: Any,
) -> tuple[list[dict[str, Any]], list[Request]]:
    with playing(project) as server:
        source = source_at(server.url, **given)
        return fetched(source, stream, window(since, until, source.zone), log), server.requests


def failure(
    project: Project,
    kind: type[ConnectorError],
    stream: str = "calls",
    since: str = "2024-03-08",
    **given: Any,
) -> str:
    with pytest.raises(kind) as failed:
        landed(project, stream, since, **given)
    assert TOKEN not in str(failed.value)
    assert "\n" not in str(failed.value)
    return str(failed.value)


# --- days ---


def test_each_journal_is_asked_in_its_own_order_of_day_and_month(project: Project) -> None:
    """The third of April, which both orders can read."""
    project.calls = [call(1, "2024-04-03T10:00:00"), call(2, "2024-03-04T10:00:00")]
    project.requests = [request(1, "2024-04-03T10:00:00"), request(2, "2024-03-04T10:00:00")]
    calls, asked = landed(project, "calls", "2024-04-03")
    assert [row["call_id"] for row in calls] == ["1"]
    assert [r.query["dateFrom"] for r in asked] == ["02/04/2024", "03/04/2024", "04/04/2024", "03/04/2024"]
    requests, asked = landed(project, "contacts", "2024-04-03")
    assert [row["request_id"] for row in requests] == ["1"]
    assert [(r.query["dateFrom"], r.query["dateTo"]) for r in asked] == [("04/02/2024", "04/05/2024")]


@pytest.mark.parametrize("day", [date(2024, 3, 4), date(2024, 12, 31), date(2024, 1, 1)])
def test_a_day_is_written_as_the_journal_reads_it(day: date) -> None:
    assert _day(_calltouch_api.call_day(day), "%d/%m/%Y") == day
    assert _day(_calltouch_api.request_day(day), "%m/%d/%Y") == day


@pytest.mark.parametrize("stream", ["calls", "contacts"])
def test_days_of_another_zone_lose_nothing_and_add_nothing(project: Project, stream: str) -> None:
    """A project in Moscow, a clinic in Zagreb: the window is the clinic's day."""
    project.zone = MOSCOW
    made: Any = call if stream == "calls" else request
    rows = [
        made(1, "2024-03-09T01:59:59", MOSCOW),  # 8 March in Zagreb
        made(2, "2024-03-09T02:00:00", MOSCOW),
        made(3, "2024-03-10T01:59:59", MOSCOW),  # 9 March in Zagreb
        made(4, "2024-03-10T02:00:00", MOSCOW),
    ]
    project.calls, project.requests = (rows, []) if stream == "calls" else ([], rows)
    log = ReadLog()
    found, _ = landed(project, stream, "2024-03-09", log=log)
    assert [row["call_id" if stream == "calls" else "request_id"] for row in found] == ["2", "3"]
    assert "set `timezone:`" in log.notes[0]
    log = ReadLog()
    landed(project, stream, "2024-03-09", log=log, timezone="Europe/Moscow")
    assert log.notes == []


def test_a_day_of_25_hours_is_whole(project: Project) -> None:
    """27 October 2024 in Zagreb begins at 22:00 UTC of the day before and ends 25 hours later."""
    first = int(datetime(2024, 10, 26, 22, tzinfo=UTC).timestamp())
    last = first + 25 * 3600 - 1
    project.calls = [
        {"callId": n, "timestamp": at} for n, at in enumerate((first - 1, first, last, last + 1))
    ]
    found, _ = landed(project, "calls", "2024-10-27")
    assert [row["call_id"] for row in found] == ["1", "2"]


# --- pages ---


def test_an_empty_day_says_no_page_at_all_and_ends(project: Project) -> None:
    found, asked = landed(project, "calls", "2024-03-08", "2024-03-09")
    assert found == []
    assert [r.path for r in asked] == [CALLS] * 4 + [COUNT]


def test_pages_of_a_full_day_are_read_to_the_last(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_calltouch_api, "_PAGE", 2)
    project.calls = [call(n, "2024-03-08T10:00:00") for n in range(1, 6)]
    found, asked = landed(project, "calls", "2024-03-08")
    assert [row["call_id"] for row in found] == ["1", "2", "3", "4", "5"]
    assert [(r.query["dateFrom"][:2], r.query["page"]) for r in asked if r.path == CALLS] == [
        ("07", "1"),
        ("08", "1"),
        ("08", "2"),
        ("08", "3"),
        ("09", "1"),
    ]


def test_a_call_that_moved_to_the_next_page_counts_once_and_one_that_got_lost_is_noticed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_calltouch_api, "_PAGE", 2)
    project.calls = [call(n, "2024-03-08T10:00:00") for n in range(1, 5)]
    project.arriving = [call(9, "2024-03-08T12:00:00")]
    # 1 2 | 2 3 4 of then five calls: number 9 stands on the page that was read already.
    project.calls.append(call(8, "2024-03-07T10:00:00"))

    def arrives(request: Request) -> Reply:
        if request.query.get("dateFrom") == "07/03/2024":
            held, project.arriving = project.arriving, []
            reply = project(request)
            project.arriving = held
            return reply
        return project(request)

    with playing(arrives) as server, pytest.raises(IncompleteError, match="gave 4 of 5 calls of 2024-03-08"):
        fetched(source_at(server.url), "calls", window("2024-03-08"))


def test_calls_that_arrive_on_the_day_after_the_window_are_no_fault(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_calltouch_api, "_PAGE", 1)
    project.calls = [call(1, "2024-03-08T10:00:00"), *(call(n, "2024-03-09T10:00:00") for n in (2, 3))]

    def growing(request: Request) -> Reply:
        if request.query.get("dateFrom") == "09/03/2024" and request.query["page"] == "1":
            project.arriving = [call(4, "2024-03-09T11:00:00")]
        return project(request)

    with playing(growing) as server:
        found = fetched(source_at(server.url), "calls", window("2024-03-08"))
    assert [row["call_id"] for row in found] == ["1"]


def test_a_page_without_calls_in_the_middle_is_noticed(project: Project) -> None:
    def holed(request: Request) -> Reply:
        return Reply(
            {"page": int(request.query["page"]), "pageTotal": 3, "recordsTotal": 2500, "records": []}
        )

    with playing(holed) as server, pytest.raises(IncompleteError, match="page 1 of 3"):
        fetched(source_at(server.url), "calls", window("2024-03-08"))


def test_an_answer_without_pages_is_the_day(project: Project) -> None:
    project.without_pages = True
    project.calls = [call(1, "2024-03-08T10:00:00"), call(2, "2024-03-08T11:00:00")]
    found, asked = landed(project, "calls", "2024-03-08")
    assert [row["call_id"] for row in found] == ["1", "2"]
    assert sum(r.path == CALLS for r in asked) == 3


# --- what is asked, what is kept ---


def test_the_attribution_is_asked_for_by_name_and_kept(project: Project) -> None:
    project.calls = [call(1, "2024-03-08T10:00:00")]
    found, asked = landed(project, "calls", "2024-03-08")
    assert {r.query["attribution"] for r in asked if r.path == CALLS} == {"1"}
    assert found[0]["attribution"] == 1
    found, asked = landed(project, "calls", "2024-03-08", attribution=0)
    assert {r.query["attribution"] for r in asked if r.path == CALLS} == {"0"}
    assert found[0]["attribution"] == 0


@pytest.mark.parametrize("count", [None, {"count": 2}])
def test_the_vendors_own_counts_are_kept_beside(project: Project, count: Any) -> None:
    project.calls = [call(1, "2024-03-08T10:00:00"), call(2, "2024-03-09T10:00:00")]
    project.count = count
    log = ReadLog()
    landed(project, "calls", "2024-03-08", "2024-03-09", log)
    assert log.control_totals == {("journal", "calls"): Decimal(2), ("statistics", "calls"): Decimal(2)}


@pytest.mark.parametrize(
    ("count", "said"),
    [
        ([1, 2], "not one number"),
        ({"organic": 1, "cpc": 2}, "not one number"),
        (Reply({"message": "no"}, 404), "404"),
        (Reply({"message": "no"}, 403), "403"),
    ],
)
def test_without_a_count_the_calls_are_read_all_the_same(project: Project, count: Any, said: str) -> None:
    project.calls = [call(1, "2024-03-08T10:00:00")]
    project.count = count
    log = ReadLog()
    found, _ = landed(project, "calls", "2024-03-08", log=log)
    assert len(found) == 1
    assert said in log.notes[0]
    assert TOKEN not in log.notes[0]
    assert ("statistics", "calls") not in log.control_totals


def test_a_call_without_a_time_waits_in_quarantine_and_once(project: Project) -> None:
    project.without_pages = True
    project.calls = [call(1, "2024-03-08T10:00:00")]
    broken = {"callId": 2, "timestamp": None}

    def vendor(request: Request) -> Reply:
        reply = project(request)
        return Reply([*reply.body, broken]) if request.path == CALLS else reply

    with playing(vendor) as server:
        source = source_at(server.url)
        stream = stream_of(source, "calls")
        rows = CONNECTOR.fetch(source, stream, window("2024-03-08"), ReadLog())  # type: ignore[arg-type]
        checked = list(check(rows, stream, Privacy(b"k" * 32, "HR"), ReadLog(), arrived_at=datetime.now(UTC)))
    assert [q.reason for c in checked for q in c.quarantined] == ["timestamp is missing"]
    assert sum(c.batch.num_rows for c in checked) == 1


# --- errors ---


def test_a_refused_token_stops_and_is_not_shown(project: Project) -> None:
    project.token = "another"
    assert "mend `token`" in failure(project, AuthError)


def test_an_answer_that_is_no_journal_is_named_by_its_members_only(pauses: list[float]) -> None:
    def strange(_request: Request) -> Reply:
        return Reply({"error": "Ana Horvat 0911234567", "code": 7})

    with playing(strange) as server, pytest.raises(PermanentError) as failed:
        fetched(source_at(server.url), "calls", window("2024-03-08"))
    assert "code, error" in str(failed.value)
    assert "Horvat" not in str(failed.value)


def test_a_help_page_is_no_data(pauses: list[float]) -> None:
    def helps(_request: Request) -> Reply:
        return Reply("<!DOCTYPE html><html>…</html>")

    with playing(helps) as server, pytest.raises(TransientError, match="web page"):
        fetched(source_at(server.url), "contacts", window("2024-03-08"))


def test_records_of_the_other_journal_are_refused(project: Project) -> None:
    def swapped(request: Request) -> Reply:
        return Reply([{"requestId": 1}] if request.path == CALLS else [{"callId": 1}])

    with playing(swapped) as server:
        for stream, other in (("calls", "requests journal"), ("contacts", "calls journal")):
            with pytest.raises(FileRefused, match=other):
                fetched(source_at(server.url), stream, window("2024-03-08"))


def test_the_rate_stays_below_five_a_second(project: Project, pauses: list[float]) -> None:
    landed(project, "calls", "2024-03-01", "2024-03-10")
    assert len(pauses) >= 11
    assert max(pauses) <= 0.25


def test_the_probe_asks_for_one_call(project: Project) -> None:
    yesterday = datetime.now(ZAGREB).date() - timedelta(days=1)
    project.calls = [call(n, f"{yesterday}T10:00:00") for n in (1, 2, 3)]
    with playing(project) as server:
        said = CONNECTOR.probe(source_at(server.url))  # type: ignore[arg-type]
        assert [r.query["limit"] for r in server.requests] == ["1"]
    assert said == f"answers as site {SITE}; 3 calls on {yesterday}"


# --- settings ---


@pytest.mark.parametrize(
    ("settings_", "said"),
    [
        ({"token": TOKEN}, "needs site_id"),
        ({"site_id": "clinic.example"}, "site_id: write the project's number"),
        ({"attribution": 2}, "attribution"),
    ],
)
def test_settings_that_cannot_work_are_one_line(settings_: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said) as failed:
        options("calltouch", **settings_)
    (error,) = failed.value.errors()
    assert "\n" not in error["msg"]
    assert TOKEN not in error["msg"]


def test_without_a_token_the_inbox_alone_is_read() -> None:
    for source in (options("calltouch"), options("calltouch", site_id=12345)):
        assert [CONNECTOR.route(source, stream) for stream in CONNECTOR.streams(source)] == [None, None]  # type: ignore[arg-type]
    source = options("calltouch", site_id=12345, token=TOKEN)
    assert all(CONNECTOR.route(source, stream) for stream in CONNECTOR.streams(source))  # type: ignore[arg-type]


def test_what_a_new_token_and_another_attribution_make_read_again() -> None:
    kind = registry.connector("calltouch")
    plain = options("calltouch", site_id=SITE, token=TOKEN)
    stream = stream_of(plain, "calls")
    renewed = options("calltouch", site_id=SITE, token="another", since="2024-01-01")
    assert kind.fingerprint(plain, stream) == kind.fingerprint(renewed, stream)
    last = options("calltouch", site_id=SITE, token=TOKEN, attribution=0)
    assert kind.fingerprint(plain, stream) != kind.fingerprint(last, stream)


# --- requests ---


def requests_file(tmp_path: Path, *records: Any, **given: Any) -> Read:
    path = tmp_path / "requests.json"
    path.write_text(json.dumps(list(records), ensure_ascii=False), encoding="utf-8")
    return read(CONNECTOR, path, "contacts", **given)


def test_the_sample_of_the_requests_journal(shared: Path) -> None:
    path = shared / "call_tracking" / "calltouch" / "requests_reassembled.json"
    found = read(CONNECTOR, path, "contacts", timezone="Europe/Moscow")
    (row,) = found.landed
    assert not found.log.unknown_columns
    assert found.log.notes == []
    assert row["request_id"] == "5000001"
    assert row["requested_at"] == datetime(2023, 12, 14, 15, 52, 13, tzinfo=UTC)
    assert row["phone_key"] is not None
    assert row["email_key"] is None
    assert row["is_target"] is True
    assert row["visitor_id"] == "ga:1000000001.1699613239"
    assert (row["source"], row["medium"], row["keyword"]) == ("google", "organic", None)
    assert row["utm_source"] is None
    assert (row["landing_path"], row["referrer_host"]) == ("/", "www.google.com")
    assert row["tags"] == ["MANUAL: booked"]
    assert row["attribution"] == 1
    for personal in ("Test Patient", "70000000005", "203.0.113.11"):
        assert personal not in str(found.landed)


def test_the_sample_of_the_calls_journal_keeps_the_attribution(shared: Path) -> None:
    path = shared / "call_tracking" / "calltouch" / "calls_diary_page_1_of_2.json"
    assert {row["attribution"] for row in read(CONNECTOR, path, "calls").landed} == {1}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("calls_diary_page_1_of_2.json", "is the calls journal, which belongs into the folder calls"),
        ("calls_diary_bare_array.json", "is the calls journal"),
        ("lead_tag_add_request.json", "no requests journal"),
        ("webhook_call_body_reassembled.txt", "not JSON"),
    ],
)
def test_other_files_among_the_requests_are_refused(shared: Path, name: str, reason: str) -> None:
    with pytest.raises(FileRefused, match=reason) as caught:
        read(CONNECTOR, shared / "call_tracking" / "calltouch" / name, "contacts")
    assert "RestAPI/requests" in str(caught.value)


def test_requests_count_milliseconds_and_nothing_else(tmp_path: Path) -> None:
    made = request(1, "2024-03-08T10:00:00")
    found = requests_file(
        tmp_path,
        made | {"date": made["date"] + 250},
        made | {"requestId": 2, "date": made["date"] // 1000},
        made | {"requestId": 3, "date": None},
        made | {"requestId": 4, "date": made["date"] * 1000},
        made | {"requestId": 5, "date": "soon"},
    )
    assert [row["requested_at"] for row in found.landed] == [
        datetime(2024, 3, 8, 9, 0, 0, 250_000, tzinfo=UTC)
    ]
    assert found.reasons == [
        "requested_at: date is not in epoch milliseconds",
        "requested_at: date is missing",
        "requested_at: date is not in epoch milliseconds",
        "requested_at: date is missing",
    ]


def test_a_request_without_a_session_is_known_by_its_page(tmp_path: Path) -> None:
    page = "https://clinic.example/form?utm_source=VK&utm_campaign=Spring&yclid=12345678"
    found = requests_file(
        tmp_path,
        request(1, "2024-03-08T10:00:00", session=None, requestUrl=page, ctClientId=800000000000000107),
        request(2, "2024-03-08T10:00:00", session=None, client=None),
        request(3, "2024-03-08T10:00:00", requestUrl=page),
    )
    by_page, bare, by_session = found.landed
    assert (by_page["utm_source"], by_page["utm_campaign"], by_page["click_id"]) == (
        "vk",
        "Spring",
        "12345678",
    )
    assert (by_page["landing_path"], by_page["source"], by_page["attribution"]) == (None, None, None)
    assert by_page["visitor_id"] == "ct:800000000000000107"
    assert (bare["phone_key"], bare["source"], bare["utm_source"]) == (None, None, None)
    # A session's own page says more than the page of the form.
    assert (by_session["source"], by_session["utm_source"]) == ("google", None)


def test_phones_and_addresses_of_a_form_become_keys(tmp_path: Path) -> None:
    def client(*phones: Any, contacts: Any = ()) -> dict[str, Any]:
        people = [{"contactType": "EMAIL", "contactValue": value} for value in contacts]
        return {"fio": "Ana Horvat", "phones": [{"phoneNumber": p} for p in phones], "contacts": people}

    found = requests_file(
        tmp_path,
        request(1, "2024-03-08T10:00:00", client=client("79160000001", contacts=["Ana@Example.com"])),
        request(2, "2024-03-08T10:00:00", client=client("+7 (916) 000-00-01", contacts=["ana@example.com"])),
        request(
            3, "2024-03-08T10:00:00", client=client("7916***0001", "79160000001", contacts=["@telegram?"])
        ),
        request(4, "2024-03-08T10:00:00", client=client(None, contacts=[None, 5])),
        request(5, "2024-03-08T10:00:00", client={"phones": "79160000001", "contacts": {}}),
    )
    first, second, third, fourth, fifth = found.landed
    assert first["phone_key"] == second["phone_key"] == third["phone_key"] is not None
    assert first["email_key"] == second["email_key"] is not None
    assert (fourth["phone_key"], fourth["email_key"]) == (None, None)
    assert (fifth["phone_key"], fifth["email_key"]) == (None, None)
    for personal in ("Horvat", "916000", "example.com"):
        assert personal not in str(found.landed)


def test_fields_of_requests_are_not_those_of_calls(tmp_path: Path) -> None:
    """keywords, guaClientId and RequestTags, where calls have keyword, clientId and callTags."""
    session = {"keywords": "ent", "guaClientId": "1.2", "keyword": "wrong", "clientId": "3.4"}
    tags = [{"type": "MANUAL", "names": ["a"]}, {"type": "MANUAL", "names": ["b"]}]
    row = requests_file(
        tmp_path, request(1, "2024-03-08T10:00:00", session=session, RequestTags=tags, callTags=[])
    )
    assert row.landed[0]["keyword"] == "ent"
    assert row.landed[0]["visitor_id"] == "ga:1.2"
    assert row.landed[0]["tags"] == ["MANUAL: a", "MANUAL: b"]
    assert row.log.unknown_columns == {"callTags"}


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_SESSION = "keywords source medium ref url utmSource utmCampaign guaClientId yaClientId attribution"
_REQUEST = "date client session RequestTags status targetRequest yandexDirect requestUrl dateStr ctClientId"


@given(
    record=st.fixed_dictionaries(
        {"requestId": st.integers(min_value=1)}, optional=dict.fromkeys(_REQUEST.split(), _JSON)
    )
    | st.builds(
        lambda session, phones: {"requestId": 1, "session": session, "client": {"phones": phones}},
        st.fixed_dictionaries({}, optional=dict.fromkeys(_SESSION.split(), _JSON)),
        st.lists(st.fixed_dictionaries({}, optional={"phoneNumber": _JSON}), max_size=3),
    )
)
def test_any_json_in_a_request_is_landed_or_quarantined(
    tmp_path_factory: pytest.TempPathFactory, record: dict[str, Any]
) -> None:
    found = requests_file(tmp_path_factory.mktemp("requests"), record)
    assert len(found.landed) + len(found.quarantined) == 1


@given(order=st.permutations(list(range(6))), pages=st.integers(min_value=1, max_value=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
def test_the_order_of_a_day_changes_nothing(pauses: list[float], order: list[int], pages: int) -> None:
    project = Project()
    project.calls = [call(n + 1, f"2024-03-08T1{n}:00:00") for n in order]
    held, _calltouch_api._PAGE = _calltouch_api._PAGE, pages
    try:
        found, _ = landed(project, "calls", "2024-03-08")
    finally:
        _calltouch_api._PAGE = held
    assert sorted(row["call_id"] for row in found) == ["1", "2", "3", "4", "5", "6"]


# --- the cabinet's table ---

EXPORT: dict[str, Any] = {
    "datetime_format": "%d.%m.%Y %H:%M:%S",
    "columns": {
        "call_id": "ID звонка",
        "called_at": "Дата и время",
        "phone": "Номер клиента",
        "tracking_number": "Номер",
        "talk_s": "Длительность",
        "is_answered": "Статус",
        "direction": "Тип",
        "landing_path": "Страница",
        "tags": "Теги",
    },
    "values": {
        "is_answered": {"Успешный": True, "Неуспешный": False},
        "direction": {"Обратный": "callback", "Входящий": "inbound", "Исходящий": "outbound"},
    },
}
HEADER = [*(str(heading) for heading in EXPORT["columns"].values()), "Комментарий"]
LINE = [
    *("22746722", "14.12.2023 18:52:13", "79160000001", "74990000001", "9:14", "Успешный", "Входящий"),
    *("https://clinic.example/a?utm_source=yandex&yclid=12345678", "запись, лор", "Ana Horvat, 0911234567"),
]


def table(tmp_path: Path, *lines: list[str], encoding: str = "utf-8", **given: Any) -> Read:
    text = io.StringIO()
    csv.writer(text, delimiter=";").writerows([HEADER, *lines])
    path = tmp_path / "calls.csv"
    path.write_text(text.getvalue(), encoding=encoding)
    return read(CONNECTOR, path, "calls", **{"timezone": "Europe/Moscow", "export": EXPORT, **given})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251"])
def test_the_cabinets_table_gives_the_journals_call(tmp_path: Path, encoding: str) -> None:
    found = table(tmp_path, LINE, encoding=encoding)
    (row,) = found.landed
    assert row["call_id"] == "22746722"
    assert row["called_at"] == datetime(2023, 12, 14, 15, 52, 13, tzinfo=UTC)
    assert (row["duration_s"], row["is_successful"], row["is_callback"]) == (554, True, False)
    assert row["tracking_number"] == "+74990000001"
    assert (row["landing_path"], row["utm_source"], row["click_id"]) == ("/a", "yandex", "12345678")
    assert row["tags"] == ["запись", "лор"]
    assert row["is_finished"] is True
    assert found.log.unknown_columns == {"Комментарий"}
    assert "Horvat" not in str(found.landed)
    api = json.dumps([call(22746722, "2023-12-14T18:52:13", MOSCOW, callerNumber="79160000001")])
    path = tmp_path / "calls.json"
    path.write_text(api)
    assert read(CONNECTOR, path, "calls").landed[0]["phone_key"] == row["phone_key"]


def test_a_workbook_is_read_like_the_text(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["Журнал звонков"])  # type: ignore[union-attr]
    book.active.append(HEADER)  # type: ignore[union-attr]
    book.active.append([22746722, datetime(2023, 12, 14, 18, 52, 13), *LINE[2:]])  # type: ignore[union-attr]
    book.save(tmp_path / "calls.xlsx")
    found = read(CONNECTOR, tmp_path / "calls.xlsx", "calls", timezone="Europe/Moscow", export=EXPORT)
    number = {"_row_number"}
    (cells,), (text,) = found.landed, table(tmp_path, LINE).landed
    assert {k: v for k, v in cells.items() if k not in number} == {
        k: v for k, v in text.items() if k not in number
    }
    assert found.log.skipped == {"preamble": 1}


def test_lines_that_cannot_be_read_wait_in_quarantine(tmp_path: Path) -> None:
    found = table(
        tmp_path,
        ["1,23E+10", *LINE[1:]],
        ["2", "12/14/2023 18:52", *LINE[2:]],
        [*LINE[:6], "Исходящий", *LINE[7:]],
        [*LINE[:6], "Перевод", *LINE[7:]],
        [*LINE[:5], "Занято", *LINE[6:]],
        ["6", "14.12.2093 18:52:13", *LINE[2:]],
        [*LINE[:6], "Обратный", *LINE[7:]],
    )
    assert [row["is_callback"] for row in found.landed] == [True]
    assert [q.column for q in found.quarantined] == [
        "call_id",
        "called_at",
        "is_callback",
        "direction",
        "is_successful",
        "called_at",
    ]


def test_a_table_without_a_mapping_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="`export:` maps its headings"):
        table(tmp_path, LINE, export=None)


def test_a_table_with_other_headings_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_text("Дата и время;Номер\n14.12.2023 18:52:13;74990000001\n", encoding="utf-8")
    with pytest.raises(FileRefused, match="'ID звонка' is missing"):
        read(CONNECTOR, path, "calls", export=EXPORT)
    path.write_bytes(b"")
    with pytest.raises(FileRefused, match="is empty"):
        read(CONNECTOR, path, "calls", export=EXPORT)
    old = tmp_path / "calls.xls"
    old.write_bytes(b"\xd0\xcf\x11\xe0")
    with pytest.raises(FileRefused, match=r"save it as \.xlsx"):
        read(CONNECTOR, old, "calls", export=EXPORT)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"columns": {"call_id": "Номер клиента"}}, "must not be made of the caller's number"),
        ({"columns": {"pbx_ref": "номер клиента "}}, "must not be made of the caller's number"),
        ({"columns": {"branch": "Филиал"}}, "unknown column branch"),
        ({"defaults": {"is_pbx": True}}, "unknown column is_pbx"),
        ({"values": {"direction": {"Входящий": "in"}}}, "'in' is not accepted"),
        ({"datetime_format": "%H:%M"}, "write a format with a year"),
    ],
)
def test_a_mapping_that_cannot_be_right_is_one_line(change: dict[str, Any], said: str) -> None:
    export = {**EXPORT, **change}
    if "columns" in change:
        export["columns"] = {**EXPORT["columns"], **change["columns"]}
    with pytest.raises(ValidationError, match=re.escape(said)):
        options("calltouch", export=export)


def test_the_requests_have_no_table(tmp_path: Path) -> None:
    path = tmp_path / "requests.csv"
    path.write_text("ID;Дата\n1;14.12.2023\n", encoding="utf-8")
    with pytest.raises(FileRefused, match="not JSON"):
        read(CONNECTOR, path, "contacts", export=EXPORT)


@given(lines=st.lists(st.lists(st.text(max_size=12), min_size=len(HEADER), max_size=len(HEADER)), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_every_line_of_a_table_is_landed_quarantined_or_counted(
    tmp_path_factory: pytest.TempPathFactory, lines: list[list[str]]
) -> None:
    printable = [["".join(c for c in cell if c.isprintable()) for cell in line] for line in lines]
    try:
        found = table(tmp_path_factory.mktemp("table"), LINE, *printable)
    except FileRefused:
        return  # a stray quote leaves no table
    assert len(found.landed) + len(found.quarantined) + sum(found.log.skipped.values()) == 1 + len(lines)


def test_a_journal_and_a_table_are_told_apart_by_name(tmp_path: Path) -> None:
    """With a mapping configured, saved answers are still answers."""
    path = tmp_path / "calls.json"
    path.write_text(json.dumps([call(1, "2024-03-08T10:00:00")]))
    assert len(read(CONNECTOR, path, "calls", export=EXPORT).landed) == 1


def rows_of(file: Path, stream: str) -> Iterator[Any]:
    source = options("calltouch")
    return CONNECTOR.read(InboxFile(file), stream_of(source, stream), source, ReadLog())  # type: ignore[arg-type]


def test_a_refusal_comes_before_any_row(tmp_path: Path) -> None:
    path = tmp_path / "calls.json"
    path.write_text('{"errors": ["token t0ken"]}')
    with pytest.raises(FileRefused) as caught:
        next(rows_of(path, "calls"))
    assert TOKEN not in str(caught.value)
