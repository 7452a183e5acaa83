"""GA4's Data API: totals of the property's days, and what Google says of rows that are missing in them."""

from __future__ import annotations

import itertools
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors import _api, _ga4_totals
from connectors.contract import ReadLog, SourceOptions
from connectors.errors import AuthError, FileRefused, IncompleteError, PermanentError, TransientError
from connectors.ga4 import CONNECTOR
from tests.unit.vendor_files import Read, read
from tests.vendors.loopback import (
    RETRY_AFTER,
    ApiContract,
    Loopback,
    Reply,
    Request,
    fetched,
    options,
    playing,
    stream_of,
    window,
)

PROPERTY, CLIENT, CLIENT_SECRET = "123456789", "client.apps", "cl1ent/s3cret"
TOKEN_FORM = {"client_id", "client_secret", "grant_type", "refresh_token"}
BODY = {"dimensions", "metrics", "dateRanges", "orderBys", "offset", "limit", "returnPropertyQuota"}
# Day -> (sessions, totalUsers, keyEvents).
DAYS = {
    date(2024, 3, 8): (110, 90, 7),
    date(2024, 3, 9): (70, 61, 2),
    date(2024, 3, 10): (55, 50, 0),
    date(2024, 3, 11): (130, 101, 9),
}


class Google:
    """The token endpoint and runReport of one property."""

    def __init__(self, refresh_token: str, metadata: dict[str, Any] | None = None) -> None:
        self.refresh_token = refresh_token
        self.metadata = {"currencyCode": "EUR", "timeZone": "Europe/Zagreb", **(metadata or {})}
        self.samples_long_ranges = False
        self.quota: dict[str, Any] = {"tokensPerDay": {"consumed": 3, "remaining": 199_000}}
        self.rows_kept_back = 0

    def __call__(self, request: Request) -> Reply:
        if request.path == "/token":
            return self._token(request)
        if request.method != "POST" or request.path != f"/v1beta/properties/{PROPERTY}:runReport":
            return refusal(404, "NOT_FOUND", "no such method")
        if request.headers.get("Authorization") != "Bearer access-1":
            return refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        return self._report(request.json())

    def _token(self, request: Request) -> Reply:
        form = request.form()
        assert set(form) == TOKEN_FORM
        if form["refresh_token"] != self.refresh_token or form["client_secret"] != CLIENT_SECRET:
            return Reply({"error": "invalid_grant", "error_description": "Token has been revoked."}, 400)
        return Reply({"access_token": "access-1", "expires_in": 3599, "token_type": "Bearer"})

    def _report(self, body: dict[str, Any]) -> Reply:
        if set(body) != BODY or body["dimensions"] != [{"name": "date"}]:
            return refusal(400, "INVALID_ARGUMENT", f"Unknown field among {sorted(body)}")
        if not all(isinstance(body[name], str) for name in ("offset", "limit")):
            return refusal(400, "INVALID_ARGUMENT", "int64 are text")
        metrics = [metric["name"] for metric in body["metrics"]]
        (asked,) = body["dateRanges"]
        yesterday = {"yesterday": max(DAYS)}
        since, until = (
            yesterday.get(asked[name]) or date.fromisoformat(asked[name]) for name in ("startDate", "endDate")
        )
        held = dict(
            zip(("sessions", "totalUsers", "keyEvents"), zip(*DAYS.values(), strict=True), strict=True)
        )
        if not set(metrics) <= set(held):
            return refusal(400, "INVALID_ARGUMENT", "Field is not a valid metric")
        days = [day for day in sorted(DAYS) if since <= day <= until]
        begin = int(body["offset"])
        rows = [
            {
                "dimensionValues": [{"value": f"{day:%Y%m%d}"}],
                "metricValues": [{"value": str(held[name][list(DAYS).index(day)])} for name in metrics],
            }
            for day in days[begin : begin + int(body["limit"])]
        ][: len(days) - begin - self.rows_kept_back]
        metadata = dict(self.metadata)
        if self.samples_long_ranges and since < until:
            metadata["samplingMetadatas"] = [{"samplesReadCount": "4000", "samplingSpaceSize": "9000"}]
        answer: dict[str, Any] = {
            "dimensionHeaders": [{"name": "date"}],
            "metricHeaders": [{"name": name, "type": "TYPE_INTEGER"} for name in metrics],
            "metadata": metadata,
            "propertyQuota": self.quota,
            "kind": "analyticsData#runReport",
        }
        if days:  # an answer without data has neither key
            answer |= {"rows": rows, "rowCount": len(days)}
        return Reply(answer)


def refusal(status: int, name: str, message: str, headers: dict[str, str] | None = None) -> Reply:
    body = {"error": {"code": status, "message": message, "status": name}}
    return Reply(body, status, headers or {})


def source_at(url: str, refresh_token: str = "r3fresh", **settings: Any) -> SourceOptions:
    return options(
        "ga4",
        property_id=int(PROPERTY),
        client_id=CLIENT,
        client_secret=CLIENT_SECRET,
        refresh_token=refresh_token,
        base_url=url,
        token_url=f"{url}/token",
        **settings,
    )


class TestGa4Api(ApiContract):
    stream = "totals"
    key = "value"
    asked = window("2024-03-08", "2024-03-11")
    empty = window("2023-01-01")
    ids = [float(value) for day in sorted(DAYS) for value in DAYS[day]]  # noqa: RUF012
    setting = "refresh_token"
    renews = True

    @pytest.fixture(autouse=True)
    def _small_pages_and_seconds_between_requests(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_ga4_totals, "_PAGE_ROWS", 2)
        monkeypatch.setattr(_api, "clock", itertools.count().__next__)

    def vendor(self, request: Request) -> Reply:
        return Google(self.secret)(request)

    def source(self, url: str) -> SourceOptions:
        return source_at(url, self.secret)


@pytest.fixture
def google() -> Google:
    return Google("r3fresh")


def totals(google: Google, log: ReadLog | None = None, **settings: Any) -> list[dict[str, Any]]:
    with playing(google) as server:
        asked = window("2024-03-08", "2024-03-11")
        return fetched(source_at(server.url, **settings), "totals", asked, log)


def test_a_day_has_its_three_measures(google: Google, pauses: list[float]) -> None:
    rows = totals(google)
    assert [(r["observed_on"], r["measure"], r["value"]) for r in rows[:3]] == [
        (date(2024, 3, 8), "sessions", 110.0),
        (date(2024, 3, 8), "users", 90.0),
        (date(2024, 3, 8), "key_events", 7.0),
    ]
    assert {(r["account"], r["is_partial"], r["vendor_says"]) for r in rows} == {(PROPERTY, False, None)}


def test_an_account_named_by_the_clinic_is_kept(google: Google, pauses: list[float]) -> None:
    assert {row["account"] for row in totals(google, account="main site")} == {"main site"}


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"dataLossFromOtherRow": True}, "some rows were rolled up into (other)"),
        ({"subjectToThresholding": True}, "small groups of visitors are withheld"),
        (
            {
                "schemaRestrictionResponse": {
                    "activeMetricRestrictions": [
                        {"metricName": "keyEvents", "restrictedMetricTypes": ["REVENUE_DATA"]}
                    ]
                }
            },
            "some metrics are withheld from this account",
        ),
        (
            {"samplingMetadatas": [{"samplesReadCount": "400", "samplingSpaceSize": "900"}]},
            "sampled: 400 of 900 events were read",
        ),
    ],
)
def test_what_google_says_of_missing_rows_lands_beside_the_total(
    pauses: list[float], metadata: dict[str, Any], says: str
) -> None:
    rows = totals(Google("r3fresh", metadata))
    assert {(row["is_partial"], row["vendor_says"]) for row in rows} == {(True, says)}


def test_flags_that_are_off_say_nothing(pauses: list[float]) -> None:
    off = {"dataLossFromOtherRow": False, "subjectToThresholding": False, "samplingMetadatas": []}
    rows = totals(Google("r3fresh", {**off, "schemaRestrictionResponse": {}}))
    assert {(row["is_partial"], row["vendor_says"]) for row in rows} == {(False, None)}


def test_a_sampled_range_is_asked_again_day_by_day(google: Google, pauses: list[float]) -> None:
    google.samples_long_ranges = True
    with playing(google) as server:
        rows = fetched(source_at(server.url), "totals", window("2024-03-08", "2024-03-11"))
        assert len(server.requests) == 1 + 1 + 4  # token, range, days
    assert {row["is_partial"] for row in rows} == {False}
    assert sum(row["value"] for row in rows if row["measure"] == "sessions") == 365


def test_days_of_another_zone_are_told(pauses: list[float]) -> None:
    rows = totals(Google("r3fresh", {"timeZone": "America/New_York"}))
    assert {(r["is_partial"], r["vendor_says"]) for r in rows} == {
        (False, "days are those of America/New_York")
    }


def test_an_answer_shorter_than_announced_is_incomplete(google: Google, pauses: list[float]) -> None:
    google.rows_kept_back = 4
    with pytest.raises(IncompleteError, match="0 of 4 rows"):
        totals(google)


def test_a_quota_that_runs_low_and_an_empty_reason_are_noted(google: Google, pauses: list[float]) -> None:
    google.quota = {"tokensPerDay": {"consumed": 5, "remaining": 1_200}}
    google.metadata["emptyReason"] = "NO_DATA"
    log = ReadLog()
    totals(google, log)
    assert log.notes == [
        "Google gives no rows: NO_DATA",
        "1200 of the property's quota tokens are left for today",
    ]


def answering(reply: Reply) -> Any:
    """A vendor that gives tokens and this reply to every report."""

    def vendor(request: Request) -> Reply:
        return Reply({"access_token": "access-1"}) if request.path == "/token" else reply

    return vendor


def failure(reply: Reply, kind: type[Exception], match: str) -> Loopback:
    with playing(answering(reply)) as server, pytest.raises(kind, match=match):
        fetched(source_at(server.url), "totals", window("2024-03-08", "2024-03-11"))
    return server


def test_a_spent_quota_waits_for_the_next_night(pauses: list[float]) -> None:
    message = "Exhausted property tokens per hour. These quota tokens will return in under an hour."
    server = failure(refusal(429, "RESOURCE_EXHAUSTED", message), TransientError, "quota of the Data API")
    assert len(server.requests) == 2  # a token and one report: asking again would only spend more
    assert max(pauses, default=0.0) < 1  # the pace between two requests


def test_too_many_requests_at_once_are_over_in_a_moment(pauses: list[float]) -> None:
    reply = refusal(429, "RESOURCE_EXHAUSTED", "Exhausted concurrent requests quota.")
    server = failure(reply, TransientError, "at once")
    assert len(server.requests) == 1 + 6
    assert max(pauses) <= 60


def test_a_wait_that_google_names_is_kept(pauses: list[float]) -> None:
    failure(
        refusal(429, "RESOURCE_EXHAUSTED", "Slow down", {"Retry-After": str(RETRY_AFTER)}),
        TransientError,
        "429",
    )
    assert RETRY_AFTER in pauses


def test_a_request_that_will_not_do_is_not_repeated(pauses: list[float]) -> None:
    reply = refusal(400, "INVALID_ARGUMENT", "Please remove keyEvents to make the request compatible.")
    server = failure(reply, PermanentError, "remove keyEvents")
    assert len(server.requests) == 2


def test_no_access_to_the_property_names_the_setting(pauses: list[float]) -> None:
    reply = refusal(403, "PERMISSION_DENIED", "User does not have sufficient permissions.")
    failure(reply, AuthError, "mend `refresh_token`")


def test_an_answer_that_is_no_report_is_an_error_not_a_crash(pauses: list[float]) -> None:
    failure(Reply([]), PermanentError, "something else")


def test_a_revoked_refresh_token_names_the_setting_and_nothing_secret(pauses: list[float]) -> None:
    with (
        playing(Google("another")) as server,
        pytest.raises(AuthError, match=r"revoked.*refresh_token") as failed,
    ):
        fetched(source_at(server.url), "totals", window("2024-03-08"))
    assert "r3fresh" not in str(failed.value)
    assert CLIENT_SECRET not in str(failed.value)


def test_the_probe_tells_property_and_sessions(google: Google, pauses: list[float]) -> None:
    with playing(google) as server:
        assert CONNECTOR.probe(source_at(server.url)) == (  # type: ignore[arg-type]
            f"answers as property {PROPERTY}; 130 sessions yesterday"
        )


# --- routes and options ---


def test_only_totals_have_a_route_and_only_with_credentials() -> None:
    source = source_at("http://127.0.0.1:1")
    route = CONNECTOR.route(source, stream_of(source, "totals"))  # type: ignore[arg-type]
    assert route is not None
    assert (route.by, route.ahead_days) == ("day", 0)
    assert CONNECTOR.route(source, stream_of(source, "events")) is None  # type: ignore[arg-type]
    bare = options("ga4")
    assert CONNECTOR.route(bare, stream_of(bare, "totals")) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"refresh_token": "x"}, "property_id, client_id, client_secret too"),
        ({"property_id": "1", "client_id": "x", "client_secret": "y"}, "needs refresh_token too"),
        ({"property_id": "G-ABC123"}, "not the measurement id"),
    ],
)
def test_half_a_configuration_is_one_clear_line(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        options("ga4", **settings)


def test_a_property_alone_names_the_account_of_saved_answers() -> None:
    assert options("ga4", property_id=5).property_id == "5"  # type: ignore[attr-defined]


# --- saved answers ---


def saved(tmp_path: Path, report: Any) -> Read:
    path = tmp_path / "totals.json"
    path.write_text(report if isinstance(report, str) else json.dumps(report))
    return read(CONNECTOR, path, "totals")


def report_of(days: dict[str, list[str]], metrics: tuple[str, ...] = ("sessions",)) -> dict[str, Any]:
    return {
        "dimensionHeaders": [{"name": "date"}],
        "metricHeaders": [{"name": name, "type": "TYPE_INTEGER"} for name in metrics],
        "rows": [
            {"dimensionValues": [{"value": day}], "metricValues": [{"value": value} for value in values]}
            for day, values in days.items()
        ],
        "rowCount": len(days),
    }


def test_a_saved_answer_is_read_like_one_of_the_api(tmp_path: Path) -> None:
    report = report_of({"20240308": ["5", "4.5"]}, ("activeUsers", "keyEvents"))
    found = saved(tmp_path, report)
    assert [(r["observed_on"], r["measure"], r["value"], r["account"]) for r in found.landed] == [
        (date(2024, 3, 8), "key_events", 4.5, "ga4")
    ]
    assert found.log.unknown_columns == {"activeUsers"}


def test_an_answer_without_rows_is_no_rows(tmp_path: Path) -> None:
    report = report_of({})
    del report["rows"], report["rowCount"]
    assert saved(tmp_path, report).raw == []


@pytest.mark.parametrize("name", ["runReport.date_eventName.json", "runReport.no_rows.json"])
def test_real_answers_by_event_name_are_no_totals(shared: Path, name: str) -> None:
    with pytest.raises(FileRefused, match="other dimensions than the date"):
        read(CONNECTOR, shared / "web_analytics/ga4" / name, "totals")


def test_a_real_answer_cut_down_to_the_date_is_found_short(shared: Path, tmp_path: Path) -> None:
    report = json.loads((shared / "web_analytics/ga4/runReport.date_eventName.json").read_text())
    report["dimensionHeaders"] = [{"name": "date"}]
    report["metricHeaders"] = [{"name": "sessions"}]
    with pytest.raises(FileRefused, match="holds 8 of 23 rows"):
        saved(tmp_path, report)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "not whole JSON"),
        ("<html></html>", "not whole JSON"),
        ('{"dimensionHeaders": [{"name": "da', "not whole JSON"),
        ("[]", "no answer of runReport"),
        ('{"rows": []}', "no answer of runReport"),
        ('{"error": {"code": 403}}', "no answer of runReport"),
        ('{"dimensionHeaders": [], "metricHeaders": [{"name": "sessions"}]}', "other dimensions"),
        ('{"dimensionHeaders": [{"name": "date"}], "metricHeaders": [{"name": "clicks"}]}', "none of the"),
        ('{"dimensionHeaders": [{"name": "date"}]}', "none of the metrics"),
    ],
)
def test_what_is_no_answer_by_date_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    with pytest.raises(FileRefused, match=reason):
        saved(tmp_path, content)


def test_rows_out_of_shape_are_quarantined_alone(tmp_path: Path) -> None:
    report = report_of({"20240308": ["5"], "(other)": ["7"], "20240309": ["5", "6"], "20240310": ["many"]})
    report["rows"].append({"dimensionValues": []})
    found = saved(tmp_path, report)
    assert [row["value"] for row in found.landed] == [5.0]
    assert found.reasons == [
        "observed_on: is not a day like 20240309",
        ": is not shaped like a row of runReport",
        "value: is not a number",
        ": is not shaped like a row of runReport",
    ]


@given(values=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), max_size=30))
def test_every_day_and_measure_of_an_answer_lands_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, values: list[tuple[int, int]]
) -> None:
    first = date(2024, 1, 1)
    days = {
        f"{first + timedelta(days=n):%Y%m%d}": [str(sessions), str(users)]
        for n, (sessions, users) in enumerate(values)
    }
    found = saved(tmp_path_factory.mktemp("ga4"), report_of(days, ("sessions", "totalUsers")))
    assert [row["value"] for row in found.landed] == [float(value) for pair in values for value in pair]
