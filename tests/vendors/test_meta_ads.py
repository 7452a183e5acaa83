"""Meta Ads: insights at once and as jobs, limits told in headers, put-away campaigns; answers; exports."""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
import json
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.contract import ReadLog, SourceOptions
from connectors.errors import (
    AuthError,
    ConnectorError,
    FileRefused,
    IncompleteError,
    PermanentError,
    TransientError,
)
from connectors.meta_ads import CONNECTOR
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

FIELDS = {
    "account_id",
    "account_currency",
    "campaign_id",
    "campaign_name",
    "impressions",
    "clicks",
    "inline_link_clicks",
    "spend",
    "date_start",
    "date_stop",
}
PARAMETERS = {"level", "time_range", "time_increment", "fields", "filtering", "limit", "after"}
TODAY = date(2024, 3, 11)


def ago(days: int) -> str:
    return (TODAY - timedelta(days=days)).isoformat()


def stat(day: str, campaign: str, cents: int, *, status: str = "ACTIVE", **given: Any) -> dict[str, Any]:
    """A campaign's day as the API tells it: text, and what is nothing is left out."""
    told = {
        "account_id": "212551616838260",
        "account_currency": "EUR",
        "campaign_id": f"2384676522824{campaign}",
        "campaign_name": f"Campaign {campaign}",
        "date_start": day,
        "date_stop": day,
        "impressions": "185",
        "clicks": "9",
        "inline_link_clicks": "4",
        "spend": f"{cents / 100:.2f}".removesuffix("0"),
        "status": status,
        **given,
    }
    return {name: value for name, value in told.items() if value is not None}


class Meta:
    """An ad account with insights at once (for few rows) and as jobs."""

    def __init__(self, token: str = "t0ken") -> None:
        self.token = token
        self.secret: str | None = None
        self.account_id = "212551616838260"
        self.currency = "EUR"
        self.zone = "Europe/Zagreb"
        self.stats = [
            stat(ago(3), "1", 1435),
            stat(ago(3), "2", 853, inline_link_clicks=None),
            stat(ago(2), "1", 123456),
            stat(ago(1), "1", 0, impressions="3", clicks=None, inline_link_clicks=None),
            stat(ago(1), "2", 10),
        ]
        # Rows of a page, whatever limit is asked for.
        self.page = 2
        # How often a job is looked at before it is done.
        self.looks = 2
        self.ends_as = "Job Completed"
        self.longest_at_once = 90
        self.longest_job = 90
        self.usage: dict[str, str] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.looked: dict[str, int] = {}
        self.asked: list[str] = []

    def __call__(self, request: Request) -> Reply:
        reply = self._answer(request)
        reply.headers |= self.usage
        return reply

    def _answer(self, request: Request) -> Reply:
        query = dict(request.query)
        if query.pop("access_token", None) != self.token:
            return fault(190, "Error validating access token: Session has expired", subcode=463)
        proof = query.pop("appsecret_proof", None)
        if self.secret is not None:
            signed = hmac.new(self.secret.encode(), self.token.encode(), hashlib.sha256).hexdigest()
            if proof != signed:
                return fault(100, "API calls from the server require an appsecret_proof argument")
        version, *path = request.path.strip("/").split("/")
        if version != "v25.0":
            return fault(2635, "You are calling a deprecated version of the Ads API.")
        if path == [f"act_{self.account_id}"]:
            assert query == {"fields": "account_id,currency,timezone_name"}
            named = {"account_id": self.account_id, "currency": self.currency, "timezone_name": self.zone}
            return Reply({**named, "id": f"act_{self.account_id}"})
        if path == [f"act_{self.account_id}", "insights"]:
            if request.method == "POST":
                return self._make(request.form())
            return self._pages(query, query, self.longest_at_once)
        if path[:1] and path[0] in self.jobs:
            if len(path) == 1:
                return self._look(path[0])
            assert path[1:] == ["insights"]
            assert self.looked[path[0]] > self.looks, "read before it was done"
            return self._pages(query, self.jobs[path[0]], self.longest_job)
        return fault(100, "Unsupported get request. Object does not exist", subcode=33)

    def _make(self, params: dict[str, str]) -> Reply:
        if wrong := self._wrong(params):
            return wrong
        run = str(6_023_920_149_050 + len(self.jobs))
        self.jobs[run], self.looked[run] = params, 0
        return Reply({"report_run_id": run})

    def _look(self, run: str) -> Reply:
        self.looked[run] += 1
        status = {"id": run, "account_id": self.account_id, "time_ref": 1}
        if self.looked[run] <= self.looks:
            percent = 40 * self.looked[run]
            return Reply({**status, "async_status": "Job Running", "async_percent_completion": percent})
        if self._days(self.jobs[run]) > self.longest_job:
            failed = {"async_status": "Job Failed", "error_code": 100, "error_subcode": 1504018}
            return Reply({**status, **failed, "error_message": "The request timed out"})
        return Reply({**status, "async_status": self.ends_as, "async_percent_completion": 100})

    def _wrong(self, params: dict[str, str]) -> Reply | None:
        if not set(params) <= PARAMETERS:
            return fault(100, f"Unknown parameter {sorted(set(params) - PARAMETERS)}")
        if params.get("level") not in ("account", "campaign") or params.get("time_increment") != "1":
            return fault(100, "Invalid parameter")
        if not set(params["fields"].split(",")) <= FIELDS:
            return fault(100, "(#100) is not valid for fields param.")
        since, until = (date.fromisoformat(json.loads(params["time_range"])[k]) for k in ("since", "until"))
        if since > until or (TODAY - since).days > 37 * 30.5:
            return fault(3018, "(#3018) The start date of the time range cannot be beyond 37 months")
        return None

    def _days(self, params: dict[str, str]) -> int:
        asked = {key: date.fromisoformat(day) for key, day in json.loads(params["time_range"]).items()}
        return (asked["until"] - asked["since"]).days + 1

    def _pages(self, query: dict[str, str], params: dict[str, str], longest: int) -> Reply:
        if wrong := self._wrong(params):
            return wrong
        if self._days(params) > longest:
            return fault(
                1, "Please reduce the amount of data you're asking for, then retry your request", 500
            )
        self.asked.append(params["level"] + (" put away" if "filtering" in params else ""))
        rows = self._rows(params)
        start = int(query["after"]) if "after" in query else 0
        body: dict[str, Any] = {"data": rows[start : start + self.page]}
        if rows:
            # Cursors are there on the last page too.
            after = str(start + self.page)
            body["paging"] = {"cursors": {"before": "MAZDZD", "after": after}}
            if start + self.page < len(rows):
                body["paging"]["next"] = (
                    f"https://graph.example/v25.0/x?access_token={self.token}&after={after}"
                )
        return Reply(body)

    def _rows(self, params: dict[str, str]) -> list[dict[str, Any]]:
        asked = json.loads(params["time_range"])
        statuses = {"ACTIVE", "PAUSED"}
        for condition in json.loads(params.get("filtering", "[]")):
            assert (condition["field"], condition["operator"]) == ("campaign.effective_status", "IN")
            statuses = set(condition["value"])
        found = [row for row in self.stats if asked["since"] <= row["date_start"] <= asked["until"]]
        fields = set(params["fields"].split(","))
        if params["level"] == "campaign":
            listed = [row for row in found if row["status"] in statuses]
            return [{k: v for k, v in row.items() if k in fields} for row in listed]
        days: dict[str, Decimal] = {}
        for row in found:
            days[row["date_start"]] = days.get(row["date_start"], Decimal(0)) + Decimal(row["spend"])
        return [
            {"account_id": self.account_id, "spend": str(spend), "date_start": day, "date_stop": day}
            for day, spend in days.items()
        ]


def fault(code: int, said: str, status: int = 400, subcode: int | None = None, **given: Any) -> Reply:
    error = {"message": said, "type": "OAuthException", "code": code, "fbtrace_id": "AbC", **given}
    return Reply({"error": error if subcode is None else {**error, "error_subcode": subcode}}, status)


def source_at(url: str, token: str = "t0ken", **given: Any) -> SourceOptions:
    return options(
        "meta_ads", **{"account_id": "act_212551616838260", "access_token": token, "base_url": url, **given}
    )


class TestMetaAdsApi(ApiContract):
    stream = "ad_spend"
    key = "cost"
    asked = window(ago(3), ago(1))
    empty = window(ago(60))
    setting = "access_token"
    ids = [Decimal(amount) for amount in ("14.35", "8.53", "1234.56", "0", "0.1")]  # noqa: RUF012

    def fresh(self) -> None:
        self._meta = Meta(self.secret)

    def vendor(self, request: Request) -> Reply:
        return self._meta(request)

    def source(self, url: str) -> SourceOptions:
        return source_at(url, self.secret)


class TestMetaAdsJobs(TestMetaAdsApi):
    asked = window(ago(28), ago(1))
    empty = window(ago(90), ago(60))


@pytest.fixture
def meta() -> Meta:
    return Meta()


def spend(
    meta: Callable[[Request], Reply], log: ReadLog | None = None, days: int = 3, **given: Any
) -> list[dict[str, Any]]:
    with playing(meta) as server:
        return fetched(source_at(server.url, **given), "ad_spend", window(ago(days), ago(1)), log)


def refusal(meta: Callable[[Request], Reply], kind: type[ConnectorError], days: int = 3, **given: Any) -> str:
    with pytest.raises(kind) as failed:
        spend(meta, days=days, **given)
    assert "t0ken" not in str(failed.value)
    assert "\n" not in str(failed.value)
    return str(failed.value)


# --- what lands ---


def test_text_becomes_numbers_and_what_is_left_out_is_nought(meta: Meta, pauses: list[float]) -> None:
    log = ReadLog()
    rows = spend(meta, log)
    assert rows[0] == {
        "spend_date": date.fromisoformat(ago(3)),
        "account": "212551616838260",
        "report_level": "campaign",
        "campaign_id": "23846765228241",
        "campaign_name": "Campaign 1",
        "ad_group_id": None,
        "ad_group": None,
        "ad_id": None,
        "ad_name": None,
        "impressions": 185,
        "clicks": 9,
        "link_clicks": 4,
        "cost": Decimal("14.35"),
        "currency": "EUR",
        "tax_basis": "unknown",
        "_row_number": 1,
    }
    assert [(row["clicks"], row["link_clicks"]) for row in rows] == [(9, 4), (9, 0), (9, 4), (0, 0), (9, 4)]
    assert log.control_totals == {("account", "cost"): Decimal("1257.54")}
    assert log.notes == []


@pytest.mark.parametrize(("include_vat", "basis"), [(None, "unknown"), (True, "incl"), (False, "excl")])
def test_whether_spend_contains_vat_is_what_the_clinic_knows(
    meta: Meta, pauses: list[float], include_vat: bool | None, basis: str
) -> None:
    assert {row["tax_basis"] for row in spend(meta, include_vat=include_vat)} == {basis}


def test_a_page_ends_where_next_is_missing_not_where_the_cursor_is(meta: Meta, pauses: list[float]) -> None:
    meta.page = 5
    assert len(spend(meta)) == 5
    assert meta.asked == ["account", "campaign"]


def test_campaigns_that_move_between_pages_count_once(meta: Meta, pauses: list[float]) -> None:
    def vendor(request: Request) -> Reply:
        reply = meta(request)
        if meta.asked.count("campaign") == 1 and reply.body.get("data"):
            meta.stats = [stat(ago(3), "9", 100), *meta.stats]
        return reply

    rows = spend(vendor)
    keys = [(row["spend_date"], row["campaign_id"]) for row in rows]
    assert len(keys) == len(set(keys)) == 5


def test_pages_that_go_round_end(meta: Meta, pauses: list[float]) -> None:
    def vendor(request: Request) -> Reply:
        reply = meta(request)
        if "after" in request.query:
            reply.body["paging"] = {"cursors": {"after": "2"}, "next": "https://graph.example/x"}
        return reply

    assert "circle" in refusal(vendor, IncompleteError)


def test_archived_and_deleted_campaigns_spent_too(meta: Meta, pauses: list[float]) -> None:
    meta.stats[1]["status"] = "DELETED"
    meta.stats[2]["status"] = "ARCHIVED"
    log = ReadLog()
    assert sum(row["cost"] for row in spend(meta, log)) == Decimal("1257.54")
    assert "campaign put away" in meta.asked
    assert log.control_totals == {("account", "cost"): Decimal("1257.54")}


def test_they_are_asked_for_only_where_something_is_missing(meta: Meta, pauses: list[float]) -> None:
    spend(meta)
    assert "campaign put away" not in meta.asked


def test_campaigns_that_add_up_to_less_than_the_account_are_refused(meta: Meta, pauses: list[float]) -> None:
    meta.stats[2]["status"] = "UNHEARD_OF"
    assert "add up to 22.98, the account to 1257.54" in refusal(meta, IncompleteError)


def test_another_currency_than_configured_is_refused(meta: Meta, pauses: list[float]) -> None:
    meta.currency = "USD"
    message = refusal(meta, PermanentError, currency="EUR")
    assert "is USD, not EUR" in message


def test_an_account_of_another_zone_is_told(meta: Meta, pauses: list[float]) -> None:
    meta.zone = "America/New_York"
    log = ReadLog()
    spend(meta, log)
    assert log.notes == ["the account's days are of America/New_York; set `timezone: America/New_York`"]


def test_days_that_are_told_no_more_are_not_read_as_days_without_spend(
    meta: Meta, pauses: list[float]
) -> None:
    with playing(meta) as server, pytest.raises(PermanentError, match="beyond 37 months") as failed:
        fetched(source_at(server.url), "ad_spend", window(ago(1300), ago(1290)))
    assert "set `since`" in str(failed.value)
    assert len(server.requests) == 2  # the account, and a job that is not made


def test_an_app_that_wants_its_secret_gets_the_token_signed(meta: Meta, pauses: list[float]) -> None:
    meta.secret = "4pp"
    assert len(spend(meta, app_secret="4pp")) == 5
    assert "appsecret_proof" in refusal(meta, PermanentError)


# --- jobs ---


def test_long_windows_are_made_as_a_job_that_is_watched(meta: Meta, pauses: list[float]) -> None:
    rows = spend(meta, days=28)
    assert len(rows) == 5
    assert len(meta.jobs) == 2  # the account's total, the campaigns
    assert set(meta.looked.values()) == {3}
    assert [pause for pause in pauses if pause > 1] == [10.0] * 4


def test_short_windows_need_none(meta: Meta, pauses: list[float]) -> None:
    spend(meta, days=7)
    assert meta.jobs == {}


@pytest.mark.parametrize("status", ["Job Failed", "Job Skipped"])
def test_a_job_that_failed_is_left_for_the_next_night(meta: Meta, pauses: list[float], status: str) -> None:
    meta.ends_as = status
    assert f"ended as '{status}'" in refusal(meta, TransientError, days=28)
    assert len(meta.jobs) == 1


def test_a_job_that_is_never_done_is_given_up(meta: Meta, pauses: list[float]) -> None:
    meta.looks = 10**6
    assert "not ready after 60 minutes" in refusal(meta, TransientError, days=28)
    assert len(meta.jobs) == 1


@pytest.mark.parametrize("body", [{}, [], {"report_run_id": ""}])
def test_a_job_without_an_id_is_an_error_not_a_crash(meta: Meta, pauses: list[float], body: Any) -> None:
    def vendor(request: Request) -> Reply:
        return Reply(body) if request.method == "POST" else meta(request)

    assert "names none" in refusal(vendor, PermanentError, days=28)


@pytest.mark.parametrize("days", [3, 28])
def test_days_that_are_too_much_at_once_are_halved(meta: Meta, pauses: list[float], days: int) -> None:
    meta.longest_at_once = meta.longest_job = 1
    assert [row["cost"] for row in spend(meta, days=days)] == TestMetaAdsApi.ids


def test_a_single_day_that_is_too_much_is_left_for_the_next_night(meta: Meta, pauses: list[float]) -> None:
    meta.longest_at_once = 0
    assert "even of one day" in refusal(meta, TransientError)


# --- limits and errors ---


def usage(percent: float, minutes: int = 0) -> dict[str, str]:
    of_account = {
        "type": "ads_insights",
        "call_count": percent,
        "total_cputime": 20,
        "total_time": 25,
        "estimated_time_to_regain_access": minutes,
        "ads_api_access_tier": "standard_access",
    }
    return {"X-Business-Use-Case-Usage": json.dumps({"212551616838260": [of_account]})}


@pytest.mark.parametrize(
    "headers",
    [
        usage(95),
        {"X-App-Usage": '{"call_count": 28, "total_time": 95, "total_cputime": 25}'},
        {"X-Ad-Account-Usage": '{"acc_id_util_pct": 95.0, "reset_time_duration": 100}'},
        {"X-FB-Ads-Insights-Throttle": '{"app_id_util_pct": 95, "acc_id_util_pct": 1.5}'},
    ],
)
def test_near_a_limit_every_request_waits(meta: Meta, pauses: list[float], headers: dict[str, str]) -> None:
    meta.usage = headers
    assert len(spend(meta)) == 5
    # account, two pages of its days, three pages of campaigns
    assert [pause for pause in pauses if pause > 1] == [40.0] * 6


@pytest.mark.parametrize("headers", [usage(75), {"X-App-Usage": "{}"}, {"X-App-Usage": "soon"}, {}])
def test_far_from_a_limit_none_does(meta: Meta, pauses: list[float], headers: dict[str, str]) -> None:
    meta.usage = headers
    spend(meta)
    assert [pause for pause in pauses if pause > 1] == []


def failing(reply: Reply, kind: type[ConnectorError]) -> tuple[str, int]:
    """(message, requests) of an account whose vendor says nothing but this."""
    with playing(lambda _request: reply) as server, pytest.raises(kind) as failed:
        fetched(source_at(server.url), "ad_spend", window(ago(1)))
    assert "t0ken" not in str(failed.value)
    return str(failed.value), len(server.requests)


@pytest.mark.parametrize(
    "reply",
    [
        fault(4, "Application request limit reached"),
        fault(4, "There have been too many calls from this app", subcode=1504022),
        fault(17, "User request limit reached", subcode=2446079),
        fault(32, "Page request limit reached"),
        fault(613, "Calls to this api have exceeded the rate limit", subcode=1487742),
        fault(80000, "There have been too many calls from this ad-account."),
        fault(80004, "There have been too many calls to this ad-account.", status=403),
    ],
)
def test_too_many_calls_wait_five_minutes(reply: Reply, pauses: list[float]) -> None:
    _, requests = failing(reply, TransientError)
    assert requests == 6
    assert [pause for pause in pauses if pause > 1] == [300.0] * 5


def test_a_refusal_that_names_its_end_is_waited_for(pauses: list[float]) -> None:
    reply = fault(80000, "Too many calls")
    reply.headers = usage(100, minutes=4)
    assert failing(reply, TransientError)[1] == 6
    assert [pause for pause in pauses if pause > 1] == [240.0] * 5
    pauses.clear()
    reply.headers = usage(100, minutes=45)
    message, requests = failing(reply, TransientError)
    assert requests == 1
    assert "next night" in message


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (190, "Error validating access token"),
        (102, "Session key invalid"),
        (104, "Incorrect signature"),
        (10, "Application does not have permission for this action"),
        (200, "Ad account owner has NOT grant ads_management or ads_read permission"),
        (294, "Managing advertisements requires an access token with the extended permission"),
    ],
)
def test_a_refused_token_names_the_setting_at_once(code: int, said: str, pauses: list[float]) -> None:
    message, requests = failing(fault(code, said), AuthError)
    assert f"error {code} ({said}" in message
    assert "mend `access_token`" in message
    assert requests == 1


def test_a_token_in_the_vendors_own_words_is_blotted_out(pauses: list[float]) -> None:
    message, _ = failing(fault(190, "Malformed access token t0ken"), AuthError)
    assert "Malformed access token ***" in message


@pytest.mark.parametrize(
    ("code", "subcode", "said"),
    [
        (100, None, "(#100) param level must be one of {ad, adset, campaign, account}"),
        (100, 33, "Object does not exist"),
        (2, 1504041, "Invalid combination of metrics and breakdowns"),
        (2, 1504042, "Invalid custom metric"),
    ],
)
def test_a_bad_request_says_what_is_wrong_and_is_not_repeated(
    code: int, subcode: int | None, said: str, pauses: list[float]
) -> None:
    message, requests = failing(fault(code, said, subcode=subcode), PermanentError)
    assert said in message
    assert requests == 1


@pytest.mark.parametrize(
    "reply",
    [
        fault(1, "An unknown error occurred", status=500),
        fault(2, "Service temporarily unavailable", status=500),
        fault(2, "An intermittent error", subcode=1504043),
        fault(-2, "Generation failed", subcode=2490547),
        fault(999, "Unexpected", is_transient=True),
        fault(999, "Unexpected", status=503),
    ],
)
def test_a_server_in_trouble_is_asked_again(reply: Reply, pauses: list[float]) -> None:
    assert failing(reply, TransientError)[1] == 6


def test_an_error_under_status_200_is_one(pauses: list[float]) -> None:
    assert failing(fault(190, "Expired", status=200), AuthError)[1] == 1


def test_a_version_that_is_served_no_more_is_named(meta: Meta, pauses: list[float]) -> None:
    assert "`api_version`" in refusal(meta, PermanentError, api_version="v19.0")


@pytest.mark.parametrize("body", [[], {}, {"data": {}}, {"data": [5]}, {"data": "x"}])
def test_an_answer_that_is_none_is_an_error_not_a_crash(meta: Meta, pauses: list[float], body: Any) -> None:
    def vendor(request: Request) -> Reply:
        return Reply(body) if request.path.endswith("insights") else meta(request)

    assert "something else than" in refusal(vendor, PermanentError)


@pytest.mark.parametrize("spent", ["many", "-5", "1e9", "", None])
def test_a_spend_that_is_none_is_quarantined_or_refused(meta: Meta, pauses: list[float], spent: Any) -> None:
    def vendor(request: Request) -> Reply:
        reply = meta(request)
        if request.query.get("level") == "campaign" and reply.body["data"]:
            reply.body["data"][0]["spend"] = spent
        return reply

    with playing(vendor) as server:
        source = source_at(server.url)
        found = CONNECTOR.fetch(source, stream_of(source, "ad_spend"), window(ago(3)), ReadLog())  # type: ignore[arg-type]
        with pytest.raises(IncompleteError):
            list(found)


# --- routes and options ---


def test_the_route_reads_what_is_restated_in_one_window() -> None:
    source = source_at("http://127.0.0.1:1")
    stream = stream_of(source, "ad_spend")
    route = CONNECTOR.route(source, stream)  # type: ignore[arg-type]
    assert route is not None
    assert (route.by, route.window_days) == ("day", stream.restatement_days)
    assert CONNECTOR.route(options("meta_ads"), stream) is None  # type: ignore[arg-type]


def test_the_probe_tells_account_currency_and_zone(meta: Meta, pauses: list[float]) -> None:
    with playing(meta) as server:
        said = CONNECTOR.probe(source_at(server.url))  # type: ignore[arg-type]
    assert said == "answers as 212551616838260, EUR, Europe/Zagreb"


def test_half_a_configuration_is_one_clear_line() -> None:
    with pytest.raises(ValidationError, match="needs account_id beside access_token"):
        options("meta_ads", access_token="t")
    with pytest.raises(ValidationError, match="only with access_token"):
        options("meta_ads", app_secret="t")
    with pytest.raises(ValidationError, match="number of the ad account"):
        options("meta_ads", account_id="my account")
    with pytest.raises(ValidationError, match="version as the API does"):
        options("meta_ads", api_version="25")
    assert options("meta_ads", account_id=212551616838260).account_id == "212551616838260"  # type: ignore[attr-defined]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    spent=st.lists(
        st.tuples(st.integers(1, 20), st.integers(1, 4), st.integers(0, 10**8), st.booleans()),
        min_size=1,
        max_size=15,
        unique_by=lambda s: s[:2],
    ),
    page=st.integers(1, 5),
    longest=st.integers(1, 30),
)
def test_every_cent_arrives_once_however_it_is_paged_and_cut(
    spent: list[tuple[int, int, int, bool]], page: int, longest: int, pauses: list[float]
) -> None:
    meta = Meta()
    meta.page, meta.looks = page, 0
    meta.longest_at_once = meta.longest_job = longest
    meta.stats = [
        stat(ago(day), str(campaign), cents, status="ACTIVE" if is_listed else "DELETED")
        for day, campaign, cents, is_listed in spent
    ]
    total = Decimal(sum(cents for _, _, cents, _ in spent)) / 100
    landed = sum(row["cost"] for row in spend(meta, days=20))
    # A deleted campaign under a hundredth of the account's spend is not asked for.
    assert total - total / 100 - Decimal("0.1") <= landed <= total


# --- saved answers ---


def saved(shared: Path, name: str, **given: Any) -> Read:
    return read(CONNECTOR, shared / "ad_spend/meta" / name, "ad_spend", **given)


def given_file(tmp_path: Path, content: str | bytes, name: str = "report.csv", **given: Any) -> Read:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(CONNECTOR, path, "ad_spend", **{"account": "main", **given})


def file_refusal(tmp_path: Path, content: str | bytes, **given: Any) -> str:
    with pytest.raises(FileRefused) as failed:
        given_file(tmp_path, content, **given)
    assert "\n" not in str(failed.value)
    return str(failed.value)


def test_a_real_answer_by_ad(shared: Path) -> None:
    found = saved(shared, "api/ads_insights_action_product_id.json")
    assert [(row["cost"], row["clicks"], row["link_clicks"]) for row in found.landed] == [
        (Decimal("14.35"), 9, 9),
        (Decimal("8.53"), 7, 4),
    ]
    assert {(row["report_level"], row["account"], row["currency"]) for row in found.landed} == {
        ("ad", "798085168510957", "USD")
    }
    assert found.landed[0]["ad_id"] == "23854695759200548"
    assert found.landed[0]["ad_group"] == "New Cayenne"
    assert {row["spend_date"] for row in found.landed} == {date(2023, 6, 1)}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("insights_campaign_two_rows_paging.json", "a total of several days"),
        ("insights_spend_string.json", "a total of several days"),
        ("ads_insights_connector_records_subset.jsonl", "more than one JSON document"),
    ],
)
def test_real_answers_that_are_not_daily_spend_are_refused(shared: Path, name: str, reason: str) -> None:
    with pytest.raises(FileRefused, match=reason):
        saved(shared, f"api/{name}", account="main", currency="USD")


def answer(*rows: dict[str, Any], **given: Any) -> str:
    bare = [{k: v for k, v in row.items() if k != "status"} for row in rows]
    return json.dumps({"data": bare, "paging": {"cursors": {"before": "a", "after": "b"}}, **given})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"data": [{"spend": "1"', "not whole JSON"),
        ('{"error": {"code": 190}}', "error answer"),
        ('{"a": 1}', "no answer of insights"),
        ("[1]", "is a list"),
        ('{"data": [5]}', "no row"),
        (answer(stat(ago(1), "1", 1), paging={"next": "https://graph.example/x"}), "one page of several"),
        (answer(stat(ago(1), "1", 1, spend=None)), "no spend in any row"),
        (answer(stat(ago(1), "1", 1, account_currency=None)), "account_currency"),
        (answer(stat(ago(1), "1", 1, campaign_id=None, campaign_name=None)), "of no campaign"),
        (answer(stat(ago(1), "1", 1), stat(ago(1), "2", 1, adset_id="7")), "save one query per file"),
    ],
)
def test_other_json_is_refused_whole(tmp_path: Path, content: str, reason: str) -> None:
    assert reason in file_refusal(tmp_path, content)


def test_one_row_without_spend_is_quarantined(tmp_path: Path) -> None:
    found = given_file(tmp_path, answer(stat(ago(1), "1", 100), stat(ago(1), "2", 1, spend=None)))
    assert found.reasons == ["cost: spend is missing, or no amount that can be spent"]
    assert len(found.landed) == 1


def test_an_empty_answer_is_no_spend(tmp_path: Path) -> None:
    assert given_file(tmp_path, '{"data": []}').raw == []


def test_a_source_with_an_account_id_files_everything_under_it(tmp_path: Path) -> None:
    api = {"account_id": "212551616838260", "access_token": "t", "account": None}
    assert given_file(tmp_path, answer(stat(ago(1), "1", 1)), **api).landed[0]["account"] == "212551616838260"
    assert "another account" in file_refusal(tmp_path, answer(stat(ago(1), "1", 1, account_id="99")), **api)
    text = "Day,Account name,Campaign name,Amount spent (EUR)\n2026-08-01,Northgate,A,1.00\n"
    assert given_file(tmp_path, text, **api).landed[0]["account"] == "212551616838260"
    text = "Day,Account ID,Campaign name,Amount spent (EUR)\n2026-08-01,99,A,1.00\n"
    assert "another account" in file_refusal(tmp_path, text, **api)


# --- exports ---


def test_a_real_layout_in_english(shared: Path) -> None:
    found = saved(shared, "ui_export/campaign_daily_en_usd.csv", account="main")
    assert [
        (row["spend_date"], row["campaign_name"], row["cost"], row["impressions"]) for row in found.landed
    ] == [
        (date(2026, 8, 1), "Looma - Broad", Decimal("1234.56"), 45012),
        (date(2026, 8, 1), "Looma - LAL", Decimal("890.10"), 22105),
        (date(2026, 8, 2), "Looma - Broad", Decimal("1002.00"), 39887),
    ]
    assert {(row["currency"], row["report_level"], row["account"]) for row in found.landed} == {
        ("USD", "campaign", "main")
    }
    assert {row["link_clicks"] for row in found.landed} == {None}
    assert found.log.unknown_columns == set()


def test_a_real_layout_in_french(shared: Path) -> None:
    found = saved(shared, "ui_export/campaign_daily_fr_semicolon.csv", account="main")
    assert [(row["spend_date"], row["cost"], row["currency"]) for row in found.landed] == [
        (date(2026, 8, 1), Decimal("1234.56"), "USD"),
        (date(2026, 8, 2), Decimal("1002.00"), "USD"),
    ]


@pytest.mark.parametrize("space", ["\u00a0", "\u202f", " "])
def test_any_space_may_group_thousands(tmp_path: Path, space: str) -> None:
    text = f'Jour;Nom de la campagne;Montant dépensé (EUR)\n01/08/2026;A;"1{space}234,56"\n'
    assert given_file(tmp_path, text).landed[0]["cost"] == Decimal("1234.56")


def test_months_are_refused_with_the_remedy(shared: Path) -> None:
    with pytest.raises(FileRefused, match="a total of several days") as failed:
        saved(shared, "ui_export/campaign_monthly_aud_results.csv", account="main")
    assert "By time > Day" in str(failed.value)


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (
            "Tag;Kampagnenname;Ausgegebener Betrag (EUR);Impressionen;Link-Klicks",
            '01.08.2026;A;"1.234,56";1.024;7',
        ),
        (
            "Día;Nombre de la campaña;Importe gastado (EUR);Impresiones;Clics en el enlace",
            '01/08/2026;A;"1.234,56";1.024;7',
        ),
    ],
)
def test_german_and_spanish_exports_are_read(tmp_path: Path, header: str, row: str) -> None:
    found = given_file(tmp_path, f"{header}\n{row}\n")
    assert [
        (r["spend_date"], r["cost"], r["impressions"], r["link_clicks"], r["currency"]) for r in found.landed
    ] == [(date(2026, 8, 1), Decimal("1234.56"), 1024, 7, "EUR")]
    assert found.log.unknown_columns == set()


HEAD = "Reporting starts,Reporting ends,Campaign name,Ad set name,Ad name,Amount spent (EUR),Impressions\n"
BY_DAY = "Day,Campaign name,Campaign ID,Amount spent (EUR),Impressions,Clicks (all),Link clicks,Results\n"


def test_a_row_of_totals_is_kept_apart(tmp_path: Path) -> None:
    text = (
        HEAD
        + "2026-10-01,2026-10-02,,,,250,30\n"
        + "2026-10-01,2026-10-01,A,S,X,100,10\n2026-10-02,2026-10-02,A,S,X,150,20\n"
    )
    found = given_file(tmp_path, text)
    assert [(row["report_level"], row["cost"]) for row in found.landed] == [
        ("ad", Decimal(100)),
        ("ad", Decimal(150)),
    ]
    assert found.log.skipped == {"total row": 1}
    assert found.log.control_totals == {("total", "cost"): 250, ("total", "impressions"): 30}


@pytest.mark.parametrize("label", ["", "Results from 2 campaigns"])
def test_a_total_may_have_a_name_and_no_day(tmp_path: Path, label: str) -> None:
    found = given_file(
        tmp_path,
        BY_DAY + f",{label},,3.00,9,3,2,1\n2026-08-01,A,77,1.00,4,2,1,1\n2026-08-02,A,77,2.00,5,1,1,\n",
    )
    assert [row["cost"] for row in found.landed] == [1, 2]
    assert found.log.control_totals["total", "link_clicks"] == 2


def test_a_campaign_without_an_id_is_no_total(tmp_path: Path) -> None:
    found = given_file(tmp_path, BY_DAY + "2026-08-01,A,,1.00,4,2,1,1\n2026-08-01,,78,2.00,5,1,1,\n")
    assert [(row["campaign_name"], row["campaign_id"]) for row in found.landed] == [("A", None), (None, "78")]
    assert found.log.skipped == {}


def test_totals_of_each_day_are_totals_too(tmp_path: Path) -> None:
    found = given_file(
        tmp_path,
        HEAD + "2026-10-01,2026-10-01,,,,1,1\n2026-10-01,2026-10-01,A,S,X,1,1\n"
        "2026-10-02,2026-10-02,,,,2,1\n2026-10-02,2026-10-02,A,S,X,2,1\n",
    )
    assert [row["cost"] for row in found.landed] == [1, 2]
    assert found.log.control_totals["total", "cost"] == 3


def test_rows_that_fall_short_of_the_total_are_refused(tmp_path: Path) -> None:
    text = BY_DAY + ",,,3.00,9,3,2,1\n2026-08-01,A,77,1.00,4,2,1,1\n"
    assert "rows are missing" in file_refusal(tmp_path, text)
    more = given_file(tmp_path, text.replace("3.00", "0.50"))
    assert more.log.notes == ["rows add up to 1, the export says 0.50 in all"]


def test_cents_lost_by_rounding_are_no_missing_rows(tmp_path: Path) -> None:
    rows = "".join(f"2026-08-01,C{n},{n}00,0.33,1,1,1,\n" for n in range(30))
    assert len(given_file(tmp_path, BY_DAY + ",,,10.00,30,30,30,\n" + rows).landed) == 30


def test_empty_cells_of_counts_are_nought_and_an_empty_spend_needs_no_impressions(tmp_path: Path) -> None:
    found = given_file(
        tmp_path, BY_DAY + "2026-08-01,A,77,,,,,\n2026-08-01,B,78,1.00,5,,,\n2026-08-01,C,79,,5,1,1,\n"
    )
    assert [(row["campaign_name"], row["cost"], row["link_clicks"]) for row in found.landed] == [
        ("A", 0, 0),
        ("B", 1, 0),
    ]
    assert found.reasons == ["cost: is empty but required"]


def test_the_kag_data_set(shared: Path) -> None:
    found = saved(
        shared,
        "kag/KAG_conversion_data_with_date.csv",
        account="main",
        currency="USD",
        date_format="%d-%m-%Y",
    )
    assert len(found.landed) == 1143
    # Floats of many places are rounded to six.
    assert sum(row["cost"] for row in found.landed).quantize(Decimal("0.01")) == Decimal("58705.23")
    assert sum(row["clicks"] for row in found.landed) == 38165
    assert {row["campaign_id"] for row in found.landed} == {"916", "936", "1178"}
    assert {row["report_level"] for row in found.landed} == {"ad"}
    assert (min(r["spend_date"] for r in found.landed), max(r["spend_date"] for r in found.landed)) == (
        date(2023, 8, 1),
        date(2023, 8, 31),
    )
    undated = saved(shared, "kag/KAG_conversion_data_with_date.csv", account="main", currency="USD")
    assert set(undated.reasons) == {"spend_date: is not a day; set `date_format:` of the source"}


def test_a_connectors_table_by_ad(shared: Path) -> None:
    found = saved(shared, "fivetran_seeds/facebook_ads_basic_ad_data.csv", currency="USD")
    assert sum(row["cost"] for row in found.landed) == Decimal("643.63")
    assert sum(row["impressions"] for row in found.landed) == 37275
    assert sum(row["link_clicks"] for row in found.landed) == 149
    assert {(row["account"], row["report_level"]) for row in found.landed} == {("1700252260223815", "ad")}
    assert {row["clicks"] for row in found.landed} == {None}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("demographics_region_data", "names no campaign, ad set or ad"),
        ("demographics_country_data", "names no campaign, ad set or ad"),
        ("basic_ad_actions_data", "no column spend"),
        ("basic_ad_action_values_data", "no column spend"),
        ("campaign_history_data", "no header|no column spend"),
    ],
)
def test_a_connectors_other_tables_are_no_spend(shared: Path, name: str, reason: str) -> None:
    with pytest.raises(FileRefused, match=reason):
        saved(shared, f"fivetran_seeds/facebook_ads_{name}.csv", account="main", currency="USD")


def test_an_xlsx_gives_the_same_rows(tmp_path: Path) -> None:
    rows = [["2026-08-01", "A", "120012345678901234", 1234.5, 45012, 9, 7, 1]]
    plain = given_file(tmp_path, BY_DAY + "2026-08-01,A,120012345678901234,1234.50,45012,9,7,1\n")
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.append(BY_DAY.strip().split(","))
    for row in rows:
        page.append(row)
    book.save(tmp_path / "report.xlsx")
    found = read(CONNECTOR, tmp_path / "report.xlsx", "ad_spend", account="main")
    assert [{**r, "_row_number": 0} for r in found.landed] == [{**r, "_row_number": 0} for r in plain.landed]
    # The interface's language does not matter where numbers are numbers.
    page.cell(1, 4).value = "Ausgegebener Betrag (EUR)"
    german = [
        "Tag",
        "Kampagnenname",
        "Kampagnen-ID",
        "Ausgegebener Betrag (EUR)",
        "Impressionen",
        "Klicks (alle)",
        "Link-Klicks",
        "Ergebnisse",
    ]
    for at, heading in enumerate(german, start=1):
        page.cell(1, at).value = heading
    book.save(tmp_path / "german.xlsx")
    assert read(CONNECTOR, tmp_path / "german.xlsx", "ad_spend", account="main").landed == found.landed


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        ("<html></html>", "web page"),
        ("a,b\n1,2\n", "no header"),
        ("Campaign name,Amount spent (EUR)\nA,1\n", "no column Day"),
        ("Day,Amount spent (EUR)\n2026-08-01,1\n", "names no campaign"),
        ("Day,Campaign name,Impressions\n2026-08-01,A,1\n", "no column"),
        ("Day,Campaign name,Amount spent\n2026-08-01,A,1\n", "tells no currency"),
        (BY_DAY + "2026-08-01,A,77,1.00\n", "has 4 cells under 8 headings"),
        (BY_DAY + '2026-08-01,"A,77,1.00,1,1,1,1\n', "cut short"),
        (BY_DAY + '2026-08-01,A,77,"1,50",1,1,1,1\n', "decimal mark"),
        (BY_DAY + "2026-08-01,A,77,1.234,1,1,1,1\n", "three decimals"),
        (BY_DAY + "2026-08-01,A,77,1.00,45.012,1,1,1\n", "has decimals"),
        (BY_DAY + "2026-08-01,A,77,< 10,1,1,1,1\n", "decimal mark"),
        (BY_DAY.encode() + "2026-08-01,Šibenik,77,1.00,1,1,1,1\n".encode("cp1250"), "utf-8"),
        (HEAD + "2026-10-01,2026-10-31,A,S,X,100,10\n", "a total of several days"),
    ],
)
def test_what_cannot_be_daily_spend_is_refused_whole(
    tmp_path: Path, content: str | bytes, reason: str
) -> None:
    assert reason in file_refusal(tmp_path, content)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2026-08-01,A,77,-1.00,1,1,1,1", "cost: is negative; credits belong into a cost sheet"),
        ("08/01/2026,A,77,1.00,1,1,1,1", "spend_date: is not a day; set `date_format:` of the source"),
        ("0202-08-01,A,77,1.00,1,1,1,1", "spend_date: has the absurd year 202"),
        ("2099-08-01,A,77,1.00,1,1,1,1", "spend_date: lies in the future of the file (2030-01-02)"),
        (
            "2026-08-01,A,1.2E+17,1.00,1,1,1,1",
            "campaign_id: was ruined by a spreadsheet (1,23E+10); export it as text",
        ),
    ],
)
def test_a_bad_row_is_quarantined_and_the_rest_lands(tmp_path: Path, row: str, reason: str) -> None:
    found = given_file(tmp_path, BY_DAY + f"{row}\n2026-08-01,B,78,2.00,1,1,1,1\n")
    assert found.reasons == [reason]
    assert [r["campaign_name"] for r in found.landed] == ["B"]


def test_what_the_source_says_of_the_format_is_believed(tmp_path: Path) -> None:
    text = BY_DAY + "08/01/2026,A,77,1.234,1,1,1,1\n"
    found = given_file(tmp_path, text, decimal=".", date_format="%m/%d/%Y")
    assert [(row["spend_date"], row["cost"]) for row in found.landed] == [
        (date(2026, 8, 1), Decimal("1.234"))
    ]
    assert given_file(tmp_path, text, decimal=",", date_format="%m/%d/%Y").landed[0]["cost"] == 1234


def test_another_currency_is_refused(tmp_path: Path) -> None:
    text = BY_DAY + "2026-08-01,A,77,1.00,1,1,1,1\n"
    assert "is in EUR, not in USD" in file_refusal(tmp_path, text, currency="USD")
    rows = "Day,Campaign name,Amount spent,Currency\n2026-08-01,A,1.00,EUR\n"
    assert given_file(tmp_path, rows).landed[0]["currency"] == "EUR"
    assert "not in USD" in file_refusal(tmp_path, rows, currency="USD")


def test_accounts_are_told_apart(tmp_path: Path) -> None:
    rows = "Day,Account ID,Campaign name,Amount spent (EUR)\n2026-08-01,111,A,1.00\n2026-08-01,222,A,1.00\n"
    assert {row["account"] for row in given_file(tmp_path, rows, account=None).landed} == {"111", "222"}
    assert "holds several accounts" in file_refusal(tmp_path, rows)
    assert "names no account" in file_refusal(tmp_path, BY_DAY, account=None)


def test_a_column_nobody_knows_is_named_and_the_row_lands(tmp_path: Path) -> None:
    found = given_file(tmp_path, "Day,Campaign name,Amount spent (EUR),Vibes\n2026-08-01,A,1.00,good\n")
    assert found.log.unknown_columns == {"Vibes"}
    assert len(found.landed) == 1


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cents=st.lists(st.integers(0, 10**9), min_size=1, max_size=30),
    language=st.sampled_from(["English", "French", "German"]),
    is_grouped=st.booleans(),
)
def test_amounts_come_back_as_printed_and_add_up(
    cents: list[int], language: str, is_grouped: bool, tmp_path: Path
) -> None:
    headings, point, group = {
        "English": (["Day", "Campaign name", "Amount spent (EUR)"], ".", ","),
        "French": (["Jour", "Nom de la campagne", "Montant dépensé (EUR)"], ",", "\u202f"),
        "German": (["Tag", "Kampagnenname", "Ausgegebener Betrag (EUR)"], ",", "."),
    }[language]

    def printed(amount: int) -> str:
        text = f"{Decimal(amount) / 100:,.2f}" if is_grouped else f"{Decimal(amount) / 100:.2f}"
        return text.translate(str.maketrans({",": group, ".": point}))

    out = io.StringIO()
    writer = csv.writer(out, delimiter=";", lineterminator="\n")
    writer.writerow(headings)
    writer.writerow(["", "", printed(sum(cents))])
    writer.writerows(["2026-08-01", f"C{n}", printed(amount)] for n, amount in enumerate(cents))
    found = given_file(tmp_path, out.getvalue())
    assert [row["cost"] for row in found.landed] == [Decimal(amount) / 100 for amount in cents]
