"""Yandex Metrica: logs ordered, waited for, downloaded in parts and cleaned; TSV, zones, sources, totals."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors import _yandex_metrica_visits as visits_module
from connectors._yandex_metrica_visits import Attribution
from connectors.contract import ReadLog, SourceOptions
from connectors.errors import (
    AuthError,
    ConnectorError,
    FileRefused,
    IncompleteError,
    PermanentError,
    TransientError,
)
from connectors.yandex_metrica import CONNECTOR
from pipelines.config import ConfigError, load_clinic
from tests.unit.vendor_files import Read, read
from tests.vendors.loopback import (
    ApiContract,
    Fault,
    Reply,
    Request,
    fetched,
    options,
    playing,
    stream_of,
    window,
)

UTC3 = timezone(timedelta(hours=3))
ZAGREB = ZoneInfo("Europe/Zagreb")
DAY = re.compile(r"\d{4}-\d\d-\d\d")
# The fields of a visit that are not those of an attribution model, with what Metrica sends for nothing.
PLAIN = {
    "visitID": "1",
    "counterID": "12345",
    "dateTime": "",
    "dateTimeUTC": "",
    "clientID": "1693664394841450666",
    "isNewUser": "1",
    "pageViews": "3",
    "visitDuration": "65",
    "bounce": "0",
    "deviceCategory": "1",
    "regionCity": "Zagreb",
    "startURL": "https://clinic.example/",
    "referer": "",
    "goalsID": "[]",
    "goalsDateTime": "[]",
    "lastTrafficSource": "direct",
    "parsedParamsKey1": "[]",
    "parsedParamsKey2": "[]",
}
BY_MODEL = {
    "TrafficSource": "direct",
    "AdvEngine": "",
    "ReferalSource": "",
    "SearchEngineRoot": "",
    "SocialNetwork": "",
    "Messenger": "[]",
    "RecommendationSystem": "[]",
    "UTMSource": "",
    "UTMMedium": "",
    "UTMCampaign": "",
    "UTMContent": "",
    "UTMTerm": "",
    "DirectClickOrder": "0",
    "DirectClickOrderName": "",
    "DirectPhraseOrCond": "",
    "GCLID": "",
}


def visit(number: int, started_at: datetime, model: str = "lastsign", **fields: str) -> dict[str, str]:
    """A visit as Metrica gives it, `started_at` in the counter's zone."""
    told = {**PLAIN, **{model + name: value for name, value in BY_MODEL.items()}}
    told |= {
        "visitID": str(number),
        "dateTime": f"{started_at:%Y-%m-%d %H:%M:%S}",
        "dateTimeUTC": f"{started_at.astimezone(UTC3):%Y-%m-%d %H:%M:%S}",
    }
    return {f"ym:s:{name}": value for name, value in (told | fields).items()}


def at(day: int, hour: int = 10, minute: int = 0) -> datetime:
    return datetime(2024, 3, day, hour, minute, tzinfo=ZAGREB)


VISITS = [
    visit(9007199254740993, at(8)),
    visit(2, at(8, 23, 59)),
    visit(3, at(9)),
    visit(4, at(9, 12)),
    visit(5, at(10, 0, 0)),
]
IDS = ["12345.2024.9007199254740993", *(f"12345.2024.{n}" for n in (2, 3, 4, 5))]


class Metrica:
    """One counter: requests are created, wait for a retry, are processed, kept and cleaned."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.visits = VISITS
        self.part_rows = 2
        self.looks: list[str] = ["created", "awaiting_retry", "processed"]
        self.requests: dict[int, dict[str, Any]] = {}
        # How many days of logs the space holds; None: any number.
        self.space: int | None = None
        self.endings: Counter[str] = Counter()
        self.shown: Callable[[str, int], str] = lambda text, _part: text
        self.totals: dict[str, list[float]] = {"2024-03-08": [2.0, 2.0], "2024-03-10": [1.0, 1.0]}
        self.flags: dict[str, Any] = {"sampled": False, "sample_share": 1.0, "contains_sensitive_data": False}
        self.page_rows: int | None = None
        self.fault: Callable[[Request], Reply | None] = lambda _request: None

    def __call__(self, request: Request) -> Reply:
        if request.headers.get("Authorization") != f"OAuth {self.token}":
            return error(403, "invalid_token", "Invalid oauth_token")
        if (reply := self.fault(request)) is not None:
            return reply
        if request.path == "/stat/v1/data" and request.method == "GET":
            return self._report(request.query)
        match = re.fullmatch(r"/management/v1/counter/12345(?:/(.*))?", request.path)
        if match is None:
            return error(404, "not_found", "Entity not found")
        path = match[1] or ""
        if path == "":
            counter = {
                "id": 12345,
                "name": "Clinic",
                "time_zone_name": "Europe/Zagreb",
                "time_zone_offset": 60,
            }
            return Reply({"counter": counter})
        if path == "logrequests/evaluate" and request.method == "GET":
            return self._checked(request, self._evaluate)
        if path == "logrequests" and request.method == "POST":
            return self._checked(request, self._create)
        if path == "logrequests" and request.method == "GET":
            return Reply({"requests": list(self.requests.values())})
        return self._one(request, path)

    def _checked(self, request: Request, answer: Callable[[dict[str, str]], Reply]) -> Reply:
        query = request.query
        if query.keys() != {"date1", "date2", "source", "fields"}:
            return error(400, "missing_parameter", f"parameters are {sorted(query)}")
        if not (DAY.fullmatch(query["date1"]) and DAY.fullmatch(query["date2"])):
            return error(400, "invalid_parameter", "Wrong date format")
        if query["date2"] >= "2024-04-01" or query["source"] != "visits" or len(query["fields"]) > 3000:
            return error(400, "invalid_parameter", "Wrong parameter")
        if not set(query["fields"].split(",")) <= VISITS[0].keys():
            return error(400, "invalid_parameter", "Unknown field")
        return answer(query)

    def _evaluate(self, query: dict[str, str]) -> Reply:
        asked = (date.fromisoformat(query["date2"]) - date.fromisoformat(query["date1"])).days + 1
        held = sum(r["status"] == "processed" for r in self.requests.values())
        left = asked if self.space is None else max(self.space - held, 0)
        body = {"possible": left >= asked, "max_possible_day_quantity": left}
        return Reply({"log_request_evaluation": body})

    def _create(self, query: dict[str, str]) -> Reply:
        number = 777 + len(self.requests)
        self.requests[number] = {
            "request_id": number,
            "counter_id": 12345,
            "source": query["source"],
            "date1": query["date1"],
            "date2": query["date2"],
            "fields": query["fields"].split(","),
            "status": "created",
            "size": 0,
            "parts": [],
            "attribution": "LASTSIGN",
            "_looks": list(self.looks),
        }
        return Reply({"log_request": self._public(number)})

    def _public(self, number: int) -> dict[str, Any]:
        return {k: v for k, v in self.requests[number].items() if not k.startswith("_")}

    def _one(self, request: Request, path: str) -> Reply:
        match = re.fullmatch(r"logrequest/(\d+)(?:/(clean|cancel|part/(\d+)/download))?", path)
        if match is None or int(match[1]) not in self.requests:
            return error(404, "not_found", "Entity not found")
        number = int(match[1])
        held = self.requests[number]
        if match[2] is None:
            held["status"] = held["_looks"].pop(0) if held["_looks"] else held["status"]
            if held["status"] == "processed":
                parts = self._parts(held)
                held["size"] = sum(map(len, parts))
                held["parts"] = [{"part_number": n, "size": len(p)} for n, p in enumerate(parts)]
            return Reply({"log_request": self._public(number)})
        if match[3] is not None:
            if held["status"] != "processed":
                return error(400, "invalid_parameter", "The request is not processed")
            part = int(match[3])
            text = self.shown(self._parts(held)[part], part)
            return Reply(text, headers={"Content-Type": "text/tab-separated-values"})
        if request.method != "POST" or (match[2] == "clean") != (held["status"] == "processed"):
            return error(400, "invalid_parameter", f"cannot {match[2]} a request that is {held['status']}")
        self.endings[match[2]] += 1
        held["status"] = "cleaned_by_user" if match[2] == "clean" else "canceled"
        return Reply({"log_request": self._public(number)})

    def _parts(self, held: dict[str, Any]) -> list[str]:
        rows = [v for v in self.visits if held["date1"] <= v["ym:s:dateTime"][:10] <= held["date2"]]
        groups = [rows[n : n + self.part_rows] for n in range(0, len(rows), self.part_rows)]
        # the order of fields may be another than the one asked for
        return [tsv(group, sorted(held["fields"])) for group in groups]

    def _report(self, query: dict[str, str]) -> Reply:
        known = {"ids", "metrics", "dimensions", "sort", "date1", "date2", "accuracy", "limit", "offset"}
        if query.keys() != known or query["ids"] != "12345" or int(query["offset"]) < 1:
            return error(400, "invalid_parameter", "Wrong parameter")
        if query["accuracy"] != "full" or query["dimensions"] != "ym:s:date":
            return error(400, "invalid_parameter", "Wrong parameter")
        days = [d for d in sorted(self.totals) if query["date1"] <= d <= query["date2"]]
        first, limit = int(query["offset"]) - 1, self.page_rows or int(query["limit"])
        data = [{"dimensions": [{"name": d}], "metrics": self.totals[d]} for d in days[first : first + limit]]
        asked = {"dimensions": ["ym:s:date"], "metrics": query["metrics"].split(",")}
        return Reply({"query": asked, "data": data, "total_rows": len(days), **self.flags})


def tsv(rows: list[dict[str, str]], names: list[str] | None = None) -> str:
    names = list(rows[0]) if names is None else names
    lines = ["\t".join(names), *("\t".join(row[name] for name in names) for row in rows)]
    return "\n".join([*lines, ""])


def error(status: int, kind: str, message: str = "", headers: dict[str, str] | None = None) -> Reply:
    errors = [{"error_type": kind, "message": message, "location": "query"}]
    return Reply({"errors": errors, "code": status, "message": message}, status, headers or {})


def source_at(url: str, token: str = "t0ken", **given_options: Any) -> SourceOptions:
    return options(
        "yandex_metrica", **{"counter_id": 12345, "token": token, "base_url": url, **given_options}
    )


class TestYandexMetricaApi(ApiContract):
    stream = "visits"
    key = "session_id"
    asked = window("2024-03-08", "2024-03-10")
    empty = window("2024-01-05")
    ids = IDS

    def fresh(self) -> None:
        self._metrica = Metrica(self.secret)

    def vendor(self, request: Request) -> Reply:
        return self._metrica(request)

    def source(self, url: str) -> SourceOptions:
        return source_at(url, self.secret)

    def test_nothing_is_left_uncleaned(self, pauses: list[float]) -> None:
        self._run()
        assert {r["status"] for r in self._metrica.requests.values()} == {"cleaned_by_user"}

    @pytest.mark.parametrize("at_request", range(4, 8))
    def test_nothing_is_left_uncleaned_after_a_failure(self, at_request: int, pauses: list[float]) -> None:
        def fault(number: int, request: Request) -> Fault | None:
            return "broken" if number >= at_request and request.path.endswith("/download") else None

        with pytest.raises(TransientError):
            self._run(fault)
        assert {r["status"] for r in self._metrica.requests.values()} == {"cleaned_by_user"}


class TestYandexMetricaTotals(ApiContract):
    stream = "totals"
    key = "value"
    asked = window("2024-03-08", "2024-03-10")
    empty = window("2024-01-05")
    ids = [2.0, 3.0, 4.0, 3.0, 6.0, 5.0]  # noqa: RUF012

    def fresh(self) -> None:
        self._metrica = Metrica(self.secret)
        self._metrica.totals = {"2024-03-08": [2.0, 3.0], "2024-03-09": [4.0, 3.0], "2024-03-10": [6.0, 5.0]}
        self._metrica.page_rows = 1

    def vendor(self, request: Request) -> Reply:
        return self._metrica(request)

    def source(self, url: str) -> SourceOptions:
        return source_at(url, self.secret)


@pytest.fixture
def metrica() -> Metrica:
    return Metrica("t0ken")


def visits(metrica: Metrica, log: ReadLog | None = None, **given_options: Any) -> list[dict[str, Any]]:
    with playing(metrica) as server:
        source = source_at(server.url, **given_options)
        return fetched(source, "visits", window("2024-03-08", "2024-03-10"), log)


def failure(metrica: Metrica, kind: type[ConnectorError], **given_options: Any) -> str:
    with pytest.raises(kind) as failed:
        visits(metrica, **given_options)
    assert "t0ken" not in str(failed.value)
    assert "\n" not in str(failed.value)
    return str(failed.value)


def left(metrica: Metrica) -> list[str]:
    return [str(request["status"]) for request in metrica.requests.values()]


# --- the life of a request ---


def test_a_request_is_looked_at_until_it_is_processed(metrica: Metrica, pauses: list[float]) -> None:
    metrica.looks = ["created"] * 3 + ["awaiting_retry", "processed"]
    assert [row["session_id"] for row in visits(metrica)] == IDS
    assert pauses.count(20.0) == 4
    assert left(metrica) == ["cleaned_by_user"]


def test_a_request_that_waits_too_long_is_cancelled(metrica: Metrica, pauses: list[float]) -> None:
    metrica.looks = ["created"] * 1000
    assert "not ready after 60 minutes" in failure(metrica, TransientError)
    assert left(metrica) == ["canceled"]


@pytest.mark.parametrize("status", ["processing_failed", "cleaned_automatically_as_too_old"])
def test_a_request_that_failed_is_ordered_once_more(
    metrica: Metrica, status: str, pauses: list[float]
) -> None:
    made = metrica._create

    def once(query: dict[str, str]) -> Reply:
        metrica.looks = [status] if not metrica.requests else ["created", "processed"]
        return made(query)

    metrica._create = once  # type: ignore[method-assign]
    assert [row["session_id"] for row in visits(metrica)] == IDS
    assert left(metrica) == [status, "cleaned_by_user"]
    metrica._create = made  # type: ignore[method-assign]
    metrica.looks = [status]
    assert "failed twice" in failure(metrica, TransientError)


@pytest.mark.parametrize("status", ["canceled", "cleaned_by_user"])
def test_a_request_that_somebody_else_ended_is_asked_tomorrow(
    metrica: Metrica, status: str, pauses: list[float]
) -> None:
    metrica.looks = ["created", status]
    assert f"is {status}, though nobody here did that" in failure(metrica, TransientError)


def test_a_part_that_cannot_be_read_is_cleaned_before_the_error_is_told(
    metrica: Metrica, pauses: list[float]
) -> None:
    metrica.shown = lambda text, part: text if part < 1 else text[:-20]
    assert "cut short" in failure(metrica, FileRefused)
    assert left(metrica) == ["cleaned_by_user"]


def test_a_row_that_cannot_land_does_not_keep_the_logs(metrica: Metrica, pauses: list[float]) -> None:
    with playing(metrica) as server:
        source = source_at(server.url)
        asked = window("2024-03-08", "2024-03-10")
        rows = CONNECTOR.fetch(source, stream_of(source, "visits"), asked, ReadLog())  # type: ignore[arg-type]
        next(rows)
        rows.close()  # type: ignore[attr-defined]
    assert left(metrica) == ["cleaned_by_user"]


def test_logs_that_cannot_be_cleaned_are_noted_and_read_all_the_same(
    metrica: Metrica, pauses: list[float]
) -> None:
    metrica.fault = lambda r: error(503, "backend_error", "later") if r.path.endswith("/clean") else None
    log = ReadLog()
    assert len(visits(metrica, log)) == 5
    assert "log request 777 could not be cleaned" in log.notes[0]
    assert "t0ken" not in log.notes[0]


@pytest.mark.parametrize("space", [1, 2])
def test_days_are_split_to_fit_the_space_that_is_left(
    metrica: Metrica, space: int, pauses: list[float]
) -> None:
    metrica.space = space
    assert [row["session_id"] for row in visits(metrica)] == IDS
    days = [(r["date1"][-2:], r["date2"][-2:]) for r in metrica.requests.values()]
    assert days == (
        [("08", "08"), ("09", "09"), ("10", "10")] if space == 1 else [("08", "09"), ("10", "10")]
    )
    assert set(left(metrica)) == {"cleaned_by_user"}


def test_what_a_killed_run_left_is_cleaned_when_the_space_is_used_up(
    metrica: Metrica, pauses: list[float]
) -> None:
    with playing(metrica) as server:
        fields = visits_module.fields(source_at(server.url))  # type: ignore[arg-type]
    query = {"date1": "2024-02-01", "date2": "2024-02-02", "source": "visits"}
    metrica._create(query | {"fields": ",".join(fields)})
    metrica._create(query | {"fields": "ym:s:visitID"})
    for request in metrica.requests.values():
        request["status"] = "processed"
    metrica.space = 2
    assert [row["session_id"] for row in visits(metrica)] == IDS
    # another program's logs are its own
    assert left(metrica)[:2] == ["cleaned_by_user", "processed"]


def test_a_counter_without_space_is_named_with_a_remedy(metrica: Metrica, pauses: list[float]) -> None:
    metrica.space = 0
    assert "no space for logs" in failure(metrica, TransientError)
    assert metrica.requests == {}


def test_an_empty_part_that_was_announced_is_no_day_without_visits(
    metrica: Metrica, pauses: list[float]
) -> None:
    metrica.shown = lambda text, part: text if part != 1 else ""
    assert "part 1 of log request 777 is empty" in failure(metrica, IncompleteError)
    assert left(metrica) == ["cleaned_by_user"]


def test_parts_that_have_only_a_header(metrica: Metrica, pauses: list[float]) -> None:
    metrica.shown = lambda text, part: text.splitlines()[0] + "\n" if part == 1 else text
    assert len(visits(metrica)) == 3


# --- what Metrica says no with ---


@pytest.mark.parametrize(
    ("status", "kind", "waits"),
    [
        (429, "quota_requests_by_ip", 2.0),
        (429, "quota_parallel_requests", 60.0),
        (503, "backend_error", None),
        (504, "timeout", None),
    ],
)
def test_a_busy_service_is_asked_again(
    metrica: Metrica, status: int, kind: str, waits: float | None, pauses: list[float]
) -> None:
    failed: list[str] = []

    def fault(request: Request) -> Reply | None:
        if request.path in failed:
            return None
        failed.append(request.path)
        return error(status, kind, "try later")

    metrica.fault = fault
    assert [row["session_id"] for row in visits(metrica)] == IDS
    if waits is not None:
        assert pauses.count(waits) == len(failed)


@pytest.mark.parametrize("kind", ["quota_requests_by_uid", "quota_requests_by_counter_id"])
def test_a_days_quota_is_not_waited_for(metrica: Metrica, kind: str, pauses: list[float]) -> None:
    metrica.fault = lambda _request: error(429, kind, "5000 requests a day")
    assert "the next night asks again" in failure(metrica, TransientError)
    assert not [wait for wait in pauses if wait > 1]


def test_the_wait_that_metrica_asks_for_is_kept(metrica: Metrica, pauses: list[float]) -> None:
    replies = [error(429, "quota_requests_by_uid", "", {"Retry-After": "11"})]
    metrica.fault = lambda _request: replies.pop() if replies else None
    assert len(visits(metrica)) == 5
    assert 11.0 in pauses


@pytest.mark.parametrize("kind", ["invalid_token", "access_denied", "unauthorized"])
def test_a_refused_token_names_the_setting(metrica: Metrica, kind: str, pauses: list[float]) -> None:
    metrica.fault = lambda _request: error(403, kind, "Access is denied for t0ken")
    assert "mend `token` of the source" in failure(metrica, AuthError)
    assert pauses == []


@pytest.mark.parametrize("kind", ["too_much_rows", "query_error", "invalid_parameter"])
def test_a_wrong_request_is_not_repeated(metrica: Metrica, kind: str, pauses: list[float]) -> None:
    metrica.fault = lambda _request: error(400, kind, "reads\ntoo much")
    assert f"{kind} (reads too much)" in failure(metrica, PermanentError)
    assert pauses == []


def test_another_counter_is_not_found(metrica: Metrica, pauses: list[float]) -> None:
    assert "not_found" in failure(metrica, PermanentError, counter_id="54321")


@pytest.mark.parametrize("body", [{}, {"log_request": {}}, [], {"log_request": {"request_id": "777"}}])
def test_an_order_without_a_number_is_an_error(metrica: Metrica, body: Any, pauses: list[float]) -> None:
    metrica.fault = lambda r: Reply(body) if r.method == "POST" else None
    assert "gave no number" in failure(metrica, PermanentError)


def test_every_field_exists_and_fits_whatever_the_attribution(shared: Path) -> None:
    with (shared / "web_analytics/yandex_metrika/logs_api_visits_fields.csv").open() as lines:
        listed = {row["field"] for row in csv.DictReader(lines)}
    for model in get_args(Attribution):
        source = options("yandex_metrica", attribution=model, user_param="uid")
        asked = visits_module.fields(source)  # type: ignore[arg-type]
        placeholders = {f"ym:s:{model}{name}": f"ym:s:<attribution>{name}" for name in BY_MODEL}
        placeholders["ym:s:lastTrafficSource"] = "ym:s:<attribution>TrafficSource"
        assert {placeholders.get(name, name) for name in asked} <= listed
        assert len(",".join(asked)) <= 3000
        assert len(set(asked)) == len(asked)


def test_the_probe_names_the_counter_and_a_wrong_zone(metrica: Metrica) -> None:
    with playing(metrica) as server:
        assert CONNECTOR.probe(source_at(server.url)) == "answers as counter 12345, in Europe/Zagreb"  # type: ignore[arg-type]
        other = source_at(server.url, timezone="Europe/Moscow")
        assert CONNECTOR.probe(other).endswith(  # type: ignore[arg-type]
            "; set `timezone: Europe/Zagreb` of the source, it is Europe/Moscow"
        )
        with pytest.raises(AuthError):
            CONNECTOR.probe(source_at(server.url, "wrong"))  # type: ignore[arg-type]


# --- totals ---


def totals(metrica: Metrica) -> list[dict[str, Any]]:
    with playing(metrica) as server:
        return fetched(source_at(server.url), "totals", window("2024-03-08", "2024-03-10"))


def test_totals_by_day(metrica: Metrica, pauses: list[float]) -> None:
    rows = totals(metrica)
    assert [(r["observed_on"].day, r["measure"], r["value"]) for r in rows] == [
        (8, "sessions", 2.0),
        (8, "users", 2.0),
        (10, "sessions", 1.0),
        (10, "users", 1.0),
    ]
    assert {(r["account"], r["is_partial"], r["vendor_says"]) for r in rows} == {("12345", False, None)}


def test_a_sampled_report_says_so(metrica: Metrica, pauses: list[float]) -> None:
    metrica.flags = {"sampled": True, "sample_share": 0.1, "contains_sensitive_data": True}
    (row, *_) = totals(metrica)
    assert row["is_partial"] is True
    assert row["vendor_says"] == (
        "sampled: a share of 0.1 of the visits was read; groups of fewer than ten visitors are withheld"
    )


def test_a_report_shorter_than_announced_is_an_error(metrica: Metrica, pauses: list[float]) -> None:
    metrica.fault = lambda r: Reply({"data": [], "total_rows": 3, "query": {}})
    with pytest.raises(IncompleteError, match="gave 0 of 3 rows"):
        totals(metrica)


# --- saved parts ---


def part(tmp_path: Path, *rows: dict[str, str], **given_options: Any) -> Read:
    return saved(tmp_path, tsv(list(rows)), **given_options)


def saved(tmp_path: Path, content: str | bytes, name: str = "part.tsv", **given_options: Any) -> Read:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(CONNECTOR, path, **given_options)


def one(tmp_path: Path, model: str = "lastsign", **fields: str) -> dict[str, Any]:
    given_options = {"attribution": model} if model != "lastsign" else {}
    found = part(tmp_path, visit(1, at(9), model, **fields), **given_options)
    assert found.reasons == []
    (row,) = found.landed
    return row


def refusal(tmp_path: Path, content: str | bytes, **given_options: Any) -> str:
    with pytest.raises(FileRefused) as caught:
        saved(tmp_path, content, **given_options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_saved_part_lands_as_the_api_gives_it(
    tmp_path: Path, metrica: Metrica, pauses: list[float]
) -> None:
    found = part(tmp_path, *VISITS)
    strip = {"_row_number"}
    assert [{k: v for k, v in row.items() if k not in strip} for row in found.landed] == [
        {k: v for k, v in row.items() if k not in strip} for row in visits(metrica)
    ]
    packed = saved(tmp_path, gzip.compress(tsv(VISITS).encode()), "part.tsv.gz")
    assert packed.landed == found.landed


def test_a_visit(tmp_path: Path) -> None:
    row = one(
        tmp_path,
        startURL="https://www.clinic.example/lor?utm_source=yandex&yclid=2418476499800000001&q=Ana#x",
        referer="https://yandex.ru/search?text=лор",
        lastsignTrafficSource="ad",
        lastsignAdvEngine="ya_direct",
        lastsignUTMSource="Yandex",
        lastsignUTMMedium="CPC",
        lastsignUTMCampaign="ENT_Search",
        lastsignDirectClickOrder="74655848",
        lastsignDirectClickOrderName="ЛОР | поиск",
        lastsignDirectPhraseOrCond="лор врач",
        goalsID="[123,7,123]",
        goalsDateTime="['2024-03-09 12:01:00','2024-03-09 12:02:00','2024-03-09 12:03:00']",
    )
    assert row["session_id"] == "12345.2024.1"
    assert row["started_at"] == datetime(2024, 3, 9, 9, tzinfo=UTC)
    assert row["visitor_id"] == "ym:1693664394841450666"
    assert (row["pageviews"], row["duration_s"], row["is_bounce"], row["is_new_visitor"]) == (
        3,
        65,
        False,
        True,
    )
    assert (row["page_host"], row["page_path"], row["referrer_host"]) == (
        "www.clinic.example",
        "/lor",
        "yandex.ru",
    )
    # there is no field for it
    assert (row["click_id_type"], row["click_id"]) == ("yclid", "2418476499800000001")
    assert (row["traffic_source"], row["last_traffic_source"], row["adv_engine"]) == (
        "ad",
        "direct",
        "ya_direct",
    )
    assert (row["utm_source"], row["utm_medium"], row["utm_campaign"]) == ("yandex", "cpc", "ENT_Search")
    assert (row["direct_campaign_id"], row["direct_campaign"]) == ("74655848", "ЛОР | поиск")
    assert row["goal_ids"] == "123,7,123"
    # UTC+3, whatever the counter's zone
    assert row["goal_times"] == ",".join(f"2024-03-09T09:0{n}:00+00:00" for n in (1, 2, 3))
    assert "Ana" not in str(row)


def test_nothing_is_nothing(tmp_path: Path) -> None:
    row = one(
        tmp_path, clientID="0", deviceCategory="0", regionCity="", lastsignAdvEngine="unknown", isNewUser=""
    )
    empty = ("visitor_id", "device", "city", "adv_engine", "is_new_visitor", "direct_campaign_id", "goal_ids")
    assert [row[name] for name in empty] == [None] * len(empty)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("[]", None),
        ("[,,,telegram]", "telegram"),
        ("['telegram']", "telegram"),
        (r"[\'telegram\']", "telegram"),
        ("['','whatsapp','telegram']", "whatsapp"),
        ("telegram", "telegram"),
        ("", None),
    ],
)
def test_the_first_messenger_that_is_known(tmp_path: Path, text: str, kept: str | None) -> None:
    assert one(tmp_path, lastsignMessenger=text)["messenger"] == kept


@pytest.mark.parametrize(
    ("site", "host"),
    [("https://Prodoctorov.ru/x?y=1", "prodoctorov.ru"), ("prodoctorov.ru", "prodoctorov.ru"), ("", None)],
)
def test_the_host_of_a_referring_site(tmp_path: Path, site: str, host: str | None) -> None:
    assert one(tmp_path, lastsignReferalSource=site)["referral_source"] == host


def test_the_year_is_a_part_of_the_id(tmp_path: Path) -> None:
    rows = [visit(1, datetime(year, 3, 9, 10, tzinfo=ZAGREB)) for year in (2023, 2024)]
    assert len({row["session_id"] for row in part(tmp_path, *rows).landed}) == 2


def test_the_attribution_says_whose_source_a_visit_has(tmp_path: Path) -> None:
    both = {
        **visit(1, at(9), "lastsign", lastsignTrafficSource="ad", lastTrafficSource="direct"),
        "ym:s:firstTrafficSource": "organic",
    }
    assert part(tmp_path, both).landed[0]["traffic_source"] == "ad"
    assert part(tmp_path, both, attribution="first").landed[0]["traffic_source"] == "organic"
    assert part(tmp_path, both, attribution="last").landed[0]["traffic_source"] == "direct"
    message = refusal(tmp_path, tsv([both]), attribution="automatic")
    assert "has no field ym:s:automaticTrafficSource" in message


def test_names_of_fields_are_written_in_either_case(tmp_path: Path) -> None:
    text = tsv([visit(1, at(9), lastsignTrafficSource="ad")]).replace("lastsign", "lastSign")
    assert saved(tmp_path, text).landed[0]["traffic_source"] == "ad"


def test_the_sites_own_id_of_a_visitor(tmp_path: Path) -> None:
    row = visit(1, at(9), parsedParamsKey1="['ab','uid','uid']", parsedParamsKey2="['x','','u-17']")
    assert part(tmp_path, row, user_param="uid").landed[0]["user_ref"] == "u-17"
    # what else a site sends in parameters is nobody's business
    assert part(tmp_path, row).landed[0]["user_ref"] is None
    address = visit(1, at(9), parsedParamsKey1="['uid']", parsedParamsKey2="['ana@clinic.example']")
    assert "ana@" not in str(part(tmp_path, address, user_param="uid").landed)


def test_a_quote_is_a_letter_like_others(tmp_path: Path) -> None:
    names = ['"ENT" spring', '"opened', 'closed"']
    rows = [visit(n, at(9), lastsignUTMCampaign=name) for n, name in enumerate(names, start=1)]
    assert [row["utm_campaign"] for row in part(tmp_path, *rows).landed] == names


def test_tags_that_a_platform_did_not_fill_in_are_noted(tmp_path: Path) -> None:
    url = "https://clinic.example/?utm_source=yandex&utm_campaign={campaign_id}"
    found = part(tmp_path, visit(1, at(9), startURL=url, lastsignUTMCampaign="{campaign_id}"))
    assert found.landed[0]["utm_campaign"] is None
    assert found.log.notes == ["1 visits have a tag that the ad platform did not fill in ({…})"]


# --- zones ---


def test_the_second_pass_of_the_repeated_hour(tmp_path: Path) -> None:
    # 27 October 2024: Zagreb's clocks go back from 3 to 2 at 01:00 UTC.
    starts = [datetime(2024, 10, 27, hour, 30, tzinfo=UTC) for hour in (0, 1)]
    rows = [visit(n, start.astimezone(ZAGREB)) for n, start in enumerate(starts, start=1)]
    assert rows[0]["ym:s:dateTime"] == rows[1]["ym:s:dateTime"] == "2024-10-27 02:30:00"
    assert [row["started_at"] for row in part(tmp_path, *rows).landed] == starts


def test_utc_is_read_as_documented_and_as_named(tmp_path: Path) -> None:
    documented = visit(1, at(9))
    named = documented | {"ym:s:dateTimeUTC": "2024-03-09 09:00:00"}
    for row in (documented, named):
        found = part(tmp_path, row)
        assert found.landed[0]["started_at"] == datetime(2024, 3, 9, 9, tzinfo=UTC)
        assert found.log.notes == []


def test_a_counter_of_another_zone_is_refused(tmp_path: Path) -> None:
    content = tsv(VISITS)
    assert "set `timezone:` of the source to the counter's" in refusal(
        tmp_path, content, timezone="Asia/Omsk"
    )
    without = [{k: v for k, v in row.items() if k != "ym:s:dateTimeUTC"} for row in VISITS]
    assert len(part(tmp_path, *without, timezone="Asia/Omsk").landed) == 5


def test_a_single_visit_of_another_clock_is_noted(tmp_path: Path) -> None:
    odd = VISITS[0] | {"ym:s:dateTimeUTC": "2024-03-08 11:17:00"}
    assert part(tmp_path, odd, *VISITS[1:]).log.notes == ["dateTime and dateTimeUTC of 1 visits do not meet"]


# --- bad input ---


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        ("<html><body>Login</body></html>\n", "has no fields of visits"),
        (tsv(VISITS).replace("\t", ","), "has no field"),
        (tsv(VISITS).replace("ym:s:", "ym:pv:"), "holds hits, not visits"),
        ("date;visits\n2024-03-09;7\n", "has no fields of visits"),
        (
            tsv(VISITS).replace("ym:s:clientID", "ym:s:x"),
            "has no field ym:s:clientID; request the logs with it",
        ),
        (tsv(VISITS).replace("ym:s:counterID", "ym:s:x"), "has no field ym:s:counterID"),
        (tsv(VISITS)[:-30], "ends within line 6; it is cut short"),
        (
            tsv(VISITS).replace("Zagreb", "Загреб").encode("cp1251"),
            "is not UTF-8, so a spreadsheet has saved it",
        ),
        (tsv(VISITS).encode("utf-16-le"), "has no fields of visits"),
        (b"PK\x03\x04" + bytes(range(30, 90)), "has no fields of visits"),
    ],
)
def test_what_is_no_part_is_refused(tmp_path: Path, content: str | bytes, reason: str) -> None:
    assert reason in refusal(tmp_path, content)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"visitID": "1.23457E+18"}, "session_id: was ruined by a spreadsheet (1,23E+10); export it as text"),
        (
            {"clientID": "1,69366E+18"},
            "session_id: was ruined by a spreadsheet (1,23E+10); export it as text",
        ),
        ({"visitID": ""}, "session_id: visitID is no number"),
        ({"visitID": "0"}, "session_id: visitID is no number"),
        ({"dateTime": "09.03.2024 10:00"}, "started_at: is not a time like 2024-03-09 10:30:00"),
        ({"dateTime": "2024-02-30 10:00:00"}, "started_at: is not a time like 2024-03-09 10:30:00"),
        ({"dateTime": "0000-00-00 00:00:00"}, "started_at: is not a time like 2024-03-09 10:30:00"),
        ({"dateTime": "0001-01-01 00:00:00"}, "started_at: is not a time like 2024-03-09 10:30:00"),
        ({"dateTime": "2036-03-09 10:00:00"}, "started_at: lies in the future of the file (2030-01-02)"),
        ({"pageViews": "many"}, "pageviews: is not a whole number"),
        ({"regionCity": "a\tb"}, ": has 35 columns where the header has 34"),
    ],
)
def test_a_bad_visit_is_quarantined(tmp_path: Path, fields: dict[str, str], reason: str) -> None:
    found = part(tmp_path, *VISITS, visit(6, at(9), **fields))
    assert (len(found.landed), found.reasons) == (5, [reason])


def test_lines_keep_their_numbers_over_many_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits_module, "_BLOCK_BYTES", 3000)
    lines = [tsv([visit(n, at(9))]).splitlines()[1] for n in range(1, 200)]
    odd = {5, 6, 50, 51, 120, 199}
    text = [tsv(VISITS).splitlines()[0]]
    text += [
        line + "\tmore" if n in odd else "" if n == 60 else line for n, line in enumerate(lines, start=1)
    ]
    found = saved(tmp_path, "\n".join(text) + "\n")
    assert {bad.row_number for bad in found.quarantined} == {n + 1 for n in odd}
    assert {r.number: r.values["session_id"] for r in found.raw if r.values} == {
        n + 1: f"12345.2024.{n}" for n in range(1, 200) if n not in odd and n != 60
    }
    assert found.log.skipped == {"blank line": 1}


def test_a_visit_of_another_counter_is_quarantined(tmp_path: Path) -> None:
    found = part(tmp_path, *VISITS, counter_id="54321")
    assert found.landed == []
    assert set(found.reasons) == {"session_id: is a visit of another counter than the source's"}
    without = [{k: v for k, v in row.items() if k != "ym:s:counterID"} for row in VISITS]
    assert part(tmp_path, *without, counter_id="54321").landed[1]["session_id"] == "54321.2024.2"


def test_a_visit_given_twice_is_one(tmp_path: Path) -> None:
    found = part(tmp_path, *VISITS, *VISITS)
    assert len({row["session_id"] for row in found.landed}) == 5


def test_a_saved_report_of_totals(tmp_path: Path) -> None:
    report = {
        "query": {"dimensions": ["ym:s:date"], "metrics": ["ym:s:pageviews", "ym:s:visits"]},
        "data": [{"dimensions": [{"name": "2024-03-08"}], "metrics": [9.0, 2.0]}, {"dimensions": []}],
        "total_rows": 2,
    }
    path = tmp_path / "totals.json"
    path.write_text(json.dumps(report))
    found = read(CONNECTOR, path, "totals", account="main")
    (row,) = found.landed
    assert (row["observed_on"], row["account"], row["measure"], row["value"]) == (
        date(2024, 3, 8),
        "main",
        "sessions",
        2.0,
    )
    assert found.reasons == [": is not shaped like a row of a report"]
    for change, reason in (
        ({"total_rows": 5}, "holds 2 of 5 rows"),
        (
            {"query": {"dimensions": ["ym:s:city"], "metrics": ["ym:s:visits"]}},
            "no report of visits or users by day",
        ),
        ({"data": None}, "is no report"),
    ):
        path.write_text(json.dumps(report | change))
        with pytest.raises(FileRefused, match=reason):
            read(CONNECTOR, path, "totals")
    path.write_text(json.dumps(report)[:-9])
    with pytest.raises(FileRefused, match="is not whole JSON"):
        read(CONNECTOR, path, "totals")


# --- options ---


def test_options() -> None:
    assert options("yandex_metrica", counter_id=12345).counter_id == "12345"  # type: ignore[attr-defined]
    with pytest.raises(ValidationError, match="the token needs `counter_id`"):
        options("yandex_metrica", token="x")
    with pytest.raises(ValidationError, match="write the counter's number"):
        options("yandex_metrica", counter_id="G-123")
    with pytest.raises(ValidationError, match="lastsign"):
        options("yandex_metrica", attribution="lastSignificant")
    without = options("yandex_metrica")
    assert CONNECTOR.route(without, stream_of(without, "visits")) is None  # type: ignore[arg-type]


def test_sessions_count_once_where_two_systems_see_a_site(tmp_path: Path) -> None:
    config = tmp_path / "clinic.yaml"
    head = "clinic: {name: C, timezone: Europe/Zagreb, currency: EUR, phone_region: HR}\nsources:\n"
    config.write_text(head + "  site: {kind: ga4}\n  ym: {kind: yandex_metrica}\n")
    with pytest.raises(ConfigError, match="set `sessions_of_record: true` on one of them"):
        load_clinic(config, tmp_path)
    config.write_text(head + "  site: {kind: ga4}\n  ym: {kind: yandex_metrica, sessions_of_record: true}\n")
    assert load_clinic(config, tmp_path).sessions_of_record() == ["ym"]


def test_what_decides_how_a_part_is_read() -> None:
    def fingerprint(**given_options: Any) -> str:
        source = options("yandex_metrica", counter_id="1", **given_options)
        return CONNECTOR.fingerprint(source, stream_of(source, "visits"))  # type: ignore[arg-type]

    same = fingerprint()
    assert fingerprint(token="x", base_url="http://x", sessions_of_record=True) == same
    assert fingerprint(attribution="last") != same
    assert fingerprint(timezone="Europe/Moscow") != same


# --- properties ---

# What ClickHouse escapes in a TSV.
ESCAPED = {
    "\\": "\\\\",
    "\t": "\\t",
    "\n": "\\n",
    "\r": "\\r",
    "\0": "\\0",
    "\b": "\\b",
    "\f": "\\f",
    "'": "\\'",
}


def escaped(text: str) -> str:
    return "".join(ESCAPED.get(letter, letter) for letter in text)


@given(st.text(st.characters(codec="utf-8")))
def test_a_field_comes_back_as_it_was(text: str) -> None:
    assert visits_module.unescaped(escaped(text)) == text


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1))
def test_an_array_comes_back_as_it_was(items: list[str]) -> None:
    written = "[" + ",".join(f"'{escaped(item)}'" for item in items) + "]"
    assert visits_module.items(written) == items
    # the same with the whole field escaped once more
    assert visits_module.items(escaped(written)) == items


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1))
def test_an_array_of_ids_keeps_every_digit(ids: list[int]) -> None:
    assert visits_module.items(f"[{','.join(map(str, ids))}]") == [str(n) for n in ids]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "visitID": st.sampled_from(["1", str(2**64 - 1), "", "x", "1E+5"]),
                "startURL": st.text(st.characters(codec="utf-8"), max_size=20).map(escaped),
                "dateTime": st.sampled_from(["2024-03-09 10:00:00", "2024-03-09", ""]),
                "goalsID": st.sampled_from(["[1,2]", "[]", "", "["]),
                "lastsignMessenger": st.text("[],'x\\", max_size=6),
            }
        ),
        max_size=6,
    )
)
def test_every_line_lands_or_is_quarantined(tmp_path: Path, changes: list[dict[str, str]]) -> None:
    rows = [VISITS[0], *(visit(1, at(9), **change) for change in changes)]
    assert all("\n" not in value and "\r" not in value for row in rows for value in row.values())
    found = part(tmp_path, *rows)
    assert len(found.landed) + len(found.quarantined) == len(rows)
