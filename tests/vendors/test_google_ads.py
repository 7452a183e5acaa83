"""The Google Ads API: searchStream's batches and errors, levels of spend, clicks day by day, its refusals."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

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
from connectors.google_ads import CONNECTOR
from connectors.privacy import Privacy
from pipelines import landing
from pipelines.config import load_clinic
from tests.vendors.loopback import (
    ZONE,
    ApiContract,
    Reply,
    Request,
    fetched,
    options,
    playing,
    stream_of,
    window,
)

# Attributes by resource, as the field reference lists them.
SELECTABLE = {
    "customer": {"customer.id", "customer.currency_code", "customer.time_zone", "customer.manager"},
    "campaign": {
        "segments.date",
        "segments.device",
        "segments.ad_network_type",
        "customer.id",
        "customer.currency_code",
        "campaign.id",
        "campaign.name",
        "campaign.advertising_channel_type",
    },
    "click_view": {
        "click_view.gclid",
        "click_view.keyword_info.text",
        "customer.id",
        "campaign.id",
        "ad_group.id",
        "segments.date",
    },
}
SELECTABLE["keyword_view"] = SELECTABLE["campaign"] | {
    "ad_group.id",
    "ad_group.name",
    "ad_group_criterion.keyword.text",
    "ad_group_criterion.keyword.match_type",
}
METRICS = {"metrics.impressions", "metrics.clicks", "metrics.cost_micros"}
QUERY = re.compile(
    r"SELECT (?P<fields>[a-z_., ]+) FROM (?P<resource>[a-z_]+)(?: WHERE (?P<where>.+?))?(?: LIMIT \d+)?"
)
BETWEEN = re.compile(r"segments\.date BETWEEN '(\d{4}-\d\d-\d\d)' AND '(\d{4}-\d\d-\d\d)'")
ONE_DAY = re.compile(r"segments\.date = '(\d{4}-\d\d-\d\d)'")


def stat(
    day: str, campaign: int, name: str, keyword: str | None, micros: int, **given: Any
) -> dict[str, Any]:
    """One keyword (or, without one, one campaign without keywords) on a day."""
    return {
        "segments.date": day,
        "segments.device": "MOBILE",
        "segments.ad_network_type": "SEARCH",
        "campaign.id": str(campaign),
        "campaign.name": name,
        "campaign.advertising_channel_type": "PERFORMANCE_MAX" if keyword is None else "SEARCH",
        "ad_group.id": f"{campaign}1",
        "ad_group.name": "group",
        "ad_group_criterion.keyword.text": keyword,
        "ad_group_criterion.keyword.match_type": "PHRASE",
        "metrics.impressions": 100,
        "metrics.clicks": 3,
        "metrics.cost_micros": micros,
        **given,
    }


STATS = [
    stat("2024-03-08", 11, "ENT | Zagreb", "ent zagreb", 168_080_000),
    stat("2024-03-08", 11, "ENT | Zagreb", "otolaryngologist", 1),
    stat("2024-03-08", 13, "Everywhere", None, 70_000_000),
    stat("2024-03-09", 11, "ENT | Zagreb", "ent zagreb", 20_500_000),
    stat("2024-03-09", 12, "Implants", "implant", 0, **{"metrics.clicks": 0}),
]


class GoogleAds:
    """An advertiser's account behind a manager account, and the token endpoint."""

    def __init__(self, refresh_token: str = "r3fresh") -> None:
        self.refresh_token = refresh_token
        self.login: str | None = None
        self.manager = False
        self.currency = "EUR"
        self.zone = "Europe/Zagreb"
        self.stats = STATS
        self.clicks: list[dict[str, Any]] = []
        self.today = date(2024, 3, 11)
        self.kept = 90
        self.batch = 2
        self.left_out: Callable[[dict[str, Any], str], bool] = lambda _row, _resource: False
        self.queries: list[str] = []
        self.tokens = 0

    def __call__(self, request: Request) -> Reply:
        if request.path == "/token":
            return self._token(request)
        if request.headers.get("Authorization") != f"Bearer access-{self.tokens}":
            return failure(401, "authenticationError", "OAUTH_TOKEN_INVALID", "Invalid token")
        if request.headers.get("developer-token") != "d3v":
            return failure(401, "authenticationError", "DEVELOPER_TOKEN_INVALID", "Not valid")
        if request.headers.get("login-customer-id") != self.login:
            return failure(403, "authorizationError", "USER_PERMISSION_DENIED", "No permission")
        if request.path != "/v26/customers/1234567890/googleAds:searchStream" or request.method != "POST":
            return Reply({"error": {"code": 404, "message": "Not found", "status": "NOT_FOUND"}}, 404)
        assert set(request.json()) == {"query"}
        return self._answer(request.json()["query"])

    def _token(self, request: Request) -> Reply:
        form = request.form()
        assert set(form) == {"client_id", "client_secret", "grant_type", "refresh_token"}
        if form["client_secret"] != "cl13nt" or form["client_id"] != "id.apps":
            return Reply({"error": "invalid_client", "error_description": "Unauthorized"}, 401)
        if form["grant_type"] != "refresh_token" or form["refresh_token"] != self.refresh_token:
            said = "Token has been expired or revoked."
            return Reply({"error": "invalid_grant", "error_description": said}, 400)
        self.tokens += 1
        return Reply({"access_token": f"access-{self.tokens}", "expires_in": 3599, "token_type": "Bearer"})

    def _answer(self, query: str) -> Reply:
        self.queries.append(query)
        match = QUERY.fullmatch(query)
        if match is None:
            return failure(400, "queryError", "UNEXPECTED_INPUT", "Error in query")
        fields = match["fields"].split(", ")
        resource, where = match["resource"], match["where"] or ""
        for field in fields:
            if field not in SELECTABLE[resource] | (METRICS if resource != "click_view" else set()):
                return failure(400, "queryError", "UNRECOGNIZED_FIELD", f"Unrecognized field: '{field}'")
        if self.manager and METRICS.intersection(fields):
            return failure(400, "queryError", "REQUESTED_METRICS_FOR_MANAGER", "Metrics of a manager")
        if resource == "click_view":
            return self._click_view(fields, where)
        if not METRICS.intersection(fields):
            return self._stream([self._result(fields, {})])
        days = BETWEEN.fullmatch(where)
        if days is None:
            return failure(400, "queryError", "EXPECTED_FILTERS_ON_DATE_RANGE", "Filter by date")
        found = [
            row
            for row in self.stats
            if days[1] <= row["segments.date"] <= days[2]
            and not self.left_out(row, resource)
            and (resource != "keyword_view" or row["ad_group_criterion.keyword.text"] is not None)
        ]
        groups: dict[tuple[Any, ...], dict[str, Any]] = {}
        for row in found:
            key = tuple(row.get(field) for field in fields if field not in METRICS)
            sums = groups.setdefault(key, {**row, **dict.fromkeys(METRICS, 0)})
            for metric in METRICS:
                sums[metric] += row[metric]
        return self._stream([self._result(fields, row) for row in groups.values()])

    def _click_view(self, fields: list[str], where: str) -> Reply:
        day = ONE_DAY.fullmatch(where)
        if day is None:
            return failure(400, "clickViewError", "EXPECTED_FILTER_ON_A_SINGLE_DAY", "One day a query")
        if (self.today - date.fromisoformat(day[1])).days > self.kept:
            return failure(400, "clickViewError", "DATE_TOO_OLD", "More than 90 days ago")
        rows = [row for row in self.clicks if row["segments.date"] == day[1]]
        return self._stream([self._result(fields, row) for row in rows])

    def _result(self, fields: list[str], row: dict[str, Any]) -> dict[str, Any]:
        """A row as JSON: camelCase, integers as text, zero and empty left out."""
        own = {
            "customer.id": "1234567890",
            "customer.currency_code": self.currency,
            "customer.time_zone": self.zone,
            "customer.manager": self.manager,
        }
        result: dict[str, Any] = {}
        for field in fields:
            value = own.get(field, row.get(field))
            *path, leaf = (re.sub(r"_(\w)", lambda m: m[1].upper(), part) for part in field.split("."))
            node = result
            for part in path:
                node = node.setdefault(part, {})
            if value not in (None, 0, "", False):
                node[leaf] = str(value) if type(value) is int else value
            elif value is False:
                node[leaf] = False
        for resource in ("customer", "campaign", "adGroup", "adGroupCriterion"):
            if resource in result:
                result[resource]["resourceName"] = f"customers/1234567890/{resource}s/1"
        return result

    def _stream(self, results: list[dict[str, Any]]) -> Reply:
        batches = [results[at : at + self.batch] for at in range(0, len(results), self.batch)]
        common = {"fieldMask": "campaign.id", "requestId": "RqUeSt", "queryResourceConsumption": "300"}
        return Reply([{"results": batch, **common} for batch in batches] or [common])


def failure(
    status: int,
    category: str,
    code: str,
    message: str,
    *,
    delay: str | None = None,
    after: list[dict[str, Any]] | None = None,
) -> Reply:
    """A GoogleAdsFailure; `after` are batches that were sent before it, under status 200."""
    fault: dict[str, Any] = {"errorCode": {category: code}, "message": message}
    if delay is not None:
        fault["details"] = {
            "quotaErrorDetails": {"rateScope": "ACCOUNT", "rateName": "n", "retryDelay": delay}
        }
    error = {
        "code": status,
        "message": "Request contains an invalid argument.",
        "status": "INVALID_ARGUMENT",
        "details": [
            {
                "@type": "type.googleapis.com/google.ads.googleads.v26.errors.GoogleAdsFailure",
                "errors": [fault],
                "requestId": "RqUeSt",
            }
        ],
    }
    return Reply([*(after or []), {"error": error}], 200 if after else status)


def source_at(url: str, refresh_token: str = "r3fresh", **given: Any) -> SourceOptions:
    return options(
        "google_ads",
        **{
            "customer_id": "123-456-7890",
            "developer_token": "d3v",
            "client_id": "id.apps",
            "client_secret": "cl13nt",
            "refresh_token": refresh_token,
            "base_url": url,
            "token_url": f"{url}/token",
            **given,
        },
    )


class TestGoogleAdsSpend(ApiContract):
    stream = "ad_spend"
    key = "cost"
    asked = window("2024-03-08", "2024-03-10")
    empty = window("2023-01-01")
    setting = "refresh_token"
    renews = True
    # Campaigns, then keywords.
    ids = [  # noqa: RUF012
        Decimal(amount) for amount in ("168.080001", "70", "20.5", "0", "168.08", "0.000001", "20.5", "0")
    ]

    def fresh(self) -> None:
        self._ads = GoogleAds(self.secret)

    def vendor(self, request: Request) -> Reply:
        return self._ads(request)

    def source(self, url: str) -> SourceOptions:
        return source_at(url, self.secret)


TODAY = datetime.now(ZONE).date()


def ago(days: int) -> str:
    return (TODAY - timedelta(days=days)).isoformat()


def click(gclid: str, day: str, campaign: int = 11, **given: Any) -> dict[str, Any]:
    return {
        "click_view.gclid": gclid,
        "click_view.keyword_info.text": "ent zagreb",
        "campaign.id": str(campaign),
        "ad_group.id": f"{campaign}1",
        "segments.date": day,
        **given,
    }


class TestGoogleAdsClicks(ApiContract):
    stream = "clicks"
    key = "click_id"
    asked = window(ago(4), ago(1))
    empty = window(ago(8))
    setting = "refresh_token"
    renews = True
    ids = ["Cj0K-1", "Cj0K_2", "EAIa3", "EAIa4", "cj0k-1"]  # noqa: RUF012

    def fresh(self) -> None:
        self._ads = GoogleAds(self.secret)
        self._ads.today = TODAY
        self._ads.clicks = [
            click("EAIa4", ago(2), 12),
            click("Cj0K-1", ago(4)),
            click("Cj0K_2", ago(4)),
            click("EAIa3", ago(3)),
            # Click ids differ by case alone.
            click("cj0k-1", ago(1)),
        ]

    def vendor(self, request: Request) -> Reply:
        return self._ads(request)

    def source(self, url: str) -> SourceOptions:
        return source_at(url, self.secret)


@pytest.fixture
def ads() -> GoogleAds:
    return GoogleAds()


def spend(ads: GoogleAds, log: ReadLog | None = None, **given: Any) -> list[dict[str, Any]]:
    with playing(ads) as server:
        return fetched(source_at(server.url, **given), "ad_spend", window("2024-03-08", "2024-03-10"), log)


def refusal(ads: GoogleAds, kind: type[ConnectorError], **given: Any) -> str:
    with pytest.raises(kind) as failed:
        spend(ads, **given)
    assert not {"r3fresh", "cl13nt", "d3v"} & set(re.findall(r"\w+", str(failed.value)))
    assert "\n" not in str(failed.value)
    return str(failed.value)


# --- spend ---


def test_campaigns_are_the_spend_and_keywords_stand_below_them(ads: GoogleAds, pauses: list[float]) -> None:
    log = ReadLog()
    rows = spend(ads, log)
    by_level = {
        level: [row for row in rows if row["report_level"] == level] for level in ("campaign", "keyword")
    }
    assert sum(map(len, by_level.values())) == len(rows)
    # What has no keyword (Performance Max) is in the campaigns alone: the levels are never added up.
    assert {level: sum(row["cost"] for row in found) for level, found in by_level.items()} == {
        "campaign": Decimal("258.580001"),
        "keyword": Decimal("188.580001"),
    }
    first = by_level["campaign"][0]
    assert {name: first[name] for name in ("spend_date", "account", "campaign_id", "campaign_name")} == {
        "spend_date": date(2024, 3, 8),
        "account": "1234567890",
        "campaign_id": "11",
        "campaign_name": "ENT | Zagreb",
    }
    assert (first["campaign_type"], first["device"], first["network"], first["currency"]) == (
        "SEARCH",
        "MOBILE",
        "SEARCH",
        "EUR",
    )
    assert (first["impressions"], first["clicks"], first["keyword"], first["ad_group"]) == (
        200,
        6,
        None,
        None,
    )
    assert by_level["campaign"][1]["campaign_type"] == "PERFORMANCE_MAX"
    assert [(row["keyword"], row["match_type"], row["ad_group"]) for row in by_level["keyword"]][:2] == [
        ("ent zagreb", "PHRASE", "group"),
        ("otolaryngologist", "PHRASE", "group"),
    ]
    assert log.notes == []
    assert log.control_totals == {
        ("account", "campaign_cost"): Decimal("258.580001"),
        ("answers", "rows"): Decimal(8),
    }


def test_removed_campaigns_are_not_filtered_out(ads: GoogleAds, pauses: list[float]) -> None:
    spend(ads)
    assert not any("status" in query for query in ads.queries)


def test_the_vendors_zero_is_zero_and_its_absence_too(ads: GoogleAds, pauses: list[float]) -> None:
    row = next(row for row in spend(ads) if row["campaign_name"] == "Implants")
    assert (row["cost"], row["clicks"], row["impressions"]) == (0, 0, 100)


def test_days_with_clicks_that_cost_nothing_are_what_the_account_says(
    ads: GoogleAds, pauses: list[float]
) -> None:
    # Campaigns that pay for conversions have such weeks.
    ads.stats = [stat("2024-03-08", 11, "Pay per conversion", "ent", 0)]
    assert [(row["clicks"], row["cost"]) for row in spend(ads)] == [(3, 0), (3, 0)]


def test_the_account_may_have_a_name_of_the_clinics(ads: GoogleAds, pauses: list[float]) -> None:
    assert {row["account"] for row in spend(ads, account="main")} == {"main"}


def test_a_manager_account_is_named_beside_the_advertisers(ads: GoogleAds, pauses: list[float]) -> None:
    ads.login = "9998887777"
    assert len(spend(ads, login_customer_id="999-888-7777")) == 8
    message = refusal(ads, AuthError)
    assert "USER_PERMISSION_DENIED (No permission)" in message
    assert "`login_customer_id` or `customer_id`" in message


def test_the_managers_own_id_in_place_of_the_advertisers_is_found_out(
    ads: GoogleAds, pauses: list[float]
) -> None:
    ads.manager = True
    message = refusal(ads, PermanentError)
    assert "is a manager account" in message
    assert "`login_customer_id`" in message


def test_another_currency_than_configured_is_refused(ads: GoogleAds, pauses: list[float]) -> None:
    ads.currency = "USD"
    assert {row["currency"] for row in spend(ads)} == {"USD"}
    message = refusal(ads, PermanentError, currency="EUR")
    assert "is USD, not EUR" in message
    assert "`currency`" in message


def test_an_account_of_another_zone_is_told(ads: GoogleAds, pauses: list[float]) -> None:
    ads.zone = "America/Los_Angeles"
    log = ReadLog()
    spend(ads, log)
    assert log.notes == ["the account's days are of America/Los_Angeles; set `timezone: America/Los_Angeles`"]
    # The same days under another name are no fault.
    ads.zone, log = "Europe/Belgrade", ReadLog()
    spend(ads, log)
    assert log.notes == []


# --- answers that must not become spend ---


def test_campaigns_that_add_up_to_less_than_the_account_are_refused(
    ads: GoogleAds, pauses: list[float]
) -> None:
    ads.left_out = lambda row, resource: resource == "campaign" and row["campaign.id"] == "13"
    assert "add up to 188.580001, the account to 258.580001" in refusal(ads, IncompleteError)


def test_what_is_booked_between_two_queries_is_no_gap(ads: GoogleAds, pauses: list[float]) -> None:
    ads.left_out = lambda row, resource: resource == "campaign" and row["metrics.cost_micros"] == 1
    assert len(spend(ads)) == 8


def test_keywords_that_leave_campaigns_out_are_no_fault(ads: GoogleAds, pauses: list[float]) -> None:
    ads.left_out = lambda row, resource: resource == "keyword_view" and row["campaign.id"] == "12"
    assert len(spend(ads)) == 7


def test_an_error_behind_batches_is_asked_again_and_never_a_short_week(
    ads: GoogleAds, pauses: list[float]
) -> None:
    whole = spend(ads)
    broken = 0

    def vendor(request: Request) -> Reply:
        nonlocal broken
        reply = ads(request)
        if isinstance(reply.body, list) and "FROM campaign" in ads.queries[-1] and broken < 2:
            broken += 1
            return failure(200, "internalError", "INTERNAL_ERROR", "Try again", after=reply.body[:1])
        return reply

    with playing(vendor) as server:
        rows = fetched(source_at(server.url), "ad_spend", window("2024-03-08", "2024-03-10"))
    assert broken == 2
    assert rows == whole


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([{"results": [{"campaign": {"id": "1"}, "metrics": {"clicks": "1"}}]}], "segments.date"),
        ([{"results": {}}], "no batch"),
        ([{"unheard": "of"}], "no batch"),
        ('[{"results": [', "not whole JSON"),
    ],
)
def test_an_answer_that_is_none_is_refused(ads: GoogleAds, pauses: list[float], body: Any, said: str) -> None:
    def vendor(request: Request) -> Reply:
        reply = ads(request)
        return Reply(body) if ads.queries and "FROM campaign" in ads.queries[-1] else reply

    with playing(vendor) as server, pytest.raises(FileRefused, match=said):
        fetched(source_at(server.url), "ad_spend", window("2024-03-08"))


def test_rows_of_another_account_are_refused(ads: GoogleAds, pauses: list[float]) -> None:
    def vendor(request: Request) -> Reply:
        reply = ads(request)
        if isinstance(reply.body, list) and "FROM campaign" in ads.queries[-1]:
            reply.body[0]["results"][0]["customer"]["id"] = "5554443333"
        return reply

    with playing(vendor) as server, pytest.raises(FileRefused, match="another account"):
        fetched(source_at(server.url), "ad_spend", window("2024-03-08"))


@pytest.mark.parametrize("body", [[], {}, [{"results": []}], [{"results": [{"customer": {}}]}], [5]])
def test_a_customer_that_is_none_is_an_error_not_a_crash(
    ads: GoogleAds, pauses: list[float], body: Any
) -> None:
    def vendor(request: Request) -> Reply:
        return ads(request) if request.path == "/token" else Reply(body)

    with (
        playing(vendor) as server,
        pytest.raises(PermanentError, match=r"no single customer|else than batches"),
    ):
        fetched(source_at(server.url), "ad_spend", window("2024-03-08"))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    spent=st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 3), st.booleans(), st.integers(0, 2**53 + 1)),
        min_size=1,
        max_size=12,
    ),
    batch=st.integers(1, 5),
)
def test_every_micro_arrives_once_however_the_answer_is_batched(
    spent: list[tuple[int, int, bool, int]], batch: int, pauses: list[float]
) -> None:
    first = date(2024, 3, 8)
    ads = GoogleAds()
    ads.batch = batch
    ads.stats = [
        stat((first + timedelta(days=day)).isoformat(), campaign, "name", f"k{at}" if has else None, micros)
        for at, (day, campaign, has, micros) in enumerate(spent)
    ]
    with playing(ads) as server:
        rows = fetched(source_at(server.url), "ad_spend", window("2024-03-08", "2024-03-11"))
    for level, of_level in (("campaign", spent), ("keyword", [s for s in spent if s[2]])):
        landed = sum(row["cost"] for row in rows if row["report_level"] == level)
        assert landed == sum((Decimal(micros) for *_, micros in of_level), Decimal(0)) / 1_000_000


# --- clicks ---


def test_clicks_are_asked_one_day_at_a_time_and_name_their_campaign(
    ads: GoogleAds, pauses: list[float]
) -> None:
    ads.today = TODAY
    ads.clicks = [
        click("Cj0K-1", ago(2)),
        click("EAIa2", ago(1), 12, **{"click_view.keyword_info.text": None}),
    ]
    with playing(ads) as server:
        rows = fetched(source_at(server.url), "clicks", window(ago(3), ago(1)))
    assert [row | {"clicked_on": row["clicked_on"].isoformat()} for row in rows] == [
        {
            "click_id": "Cj0K-1",
            "clicked_on": ago(2),
            "account": "1234567890",
            "campaign_id": "11",
            "ad_group_id": "111",
            "keyword": "ent zagreb",
            "_row_number": 1,
        },
        {
            "click_id": "EAIa2",
            "clicked_on": ago(1),
            "account": "1234567890",
            "campaign_id": "12",
            "ad_group_id": "121",
            "keyword": None,
            "_row_number": 2,
        },
    ]
    assert [ONE_DAY.search(query)[1] for query in ads.queries] == [ago(3), ago(2), ago(1)]  # type: ignore[index]


def test_days_too_far_back_are_not_asked_and_told(ads: GoogleAds, pauses: list[float]) -> None:
    ads.today = TODAY
    ads.clicks = [click("Cj0K-1", ago(90)), click("EAIa2", ago(91))]
    log = ReadLog()
    with playing(ads) as server:
        rows = fetched(source_at(server.url), "clicks", window(ago(92), ago(89)), log)
    assert [row["click_id"] for row in rows] == ["Cj0K-1"]
    assert len(ads.queries) == 2
    assert log.notes == ["clicks of 2 days lie more than 90 days back, where none are told"]


def test_a_vendor_that_counts_the_days_otherwise_is_believed(ads: GoogleAds, pauses: list[float]) -> None:
    ads.today, ads.kept = TODAY, 60
    ads.clicks = [click("Cj0K-1", ago(60)), click("EAIa2", ago(61))]
    log = ReadLog()
    with playing(ads) as server:
        rows = fetched(source_at(server.url), "clicks", window(ago(62), ago(59)), log)
    assert [row["click_id"] for row in rows] == ["Cj0K-1"]
    assert log.notes == ["clicks of 2 days lie more than 90 days back, where none are told"]


def test_clicks_that_are_told_no_more_stay_landed(
    ads: GoogleAds, pauses: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spend that is gone upstream goes; a click that is 90 days old does not."""
    ads.today = TODAY
    ads.clicks = [click("Cj0K-1", ago(5))]
    ads.stats = [stat(ago(5), 11, "ENT", "ent", 5_000_000)]
    for name in ("DEV", "SECRET", "REFRESH"):
        monkeypatch.setenv(name, {"DEV": "d3v", "SECRET": "cl13nt", "REFRESH": "r3fresh"}[name])
    with playing(ads) as server:
        config = tmp_path / "clinic.yaml"
        config.write_text(
            "clinic: {name: Test, timezone: Europe/Zagreb, currency: EUR, phone_region: HR}\n"
            "sources:\n"
            "  ads:\n"
            "    kind: google_ads\n"
            "    customer_id: 1234567890\n"
            '    developer_token: "${DEV}"\n'
            "    client_id: id.apps\n"
            '    client_secret: "${SECRET}"\n'
            '    refresh_token: "${REFRESH}"\n'
            f"    since: {ago(6)}\n"
            f"    base_url: {server.url}\n"
            f"    token_url: {server.url}/token\n"
        )
        landing_zone = landing.Landing(load_clinic(config, tmp_path / "data"), Privacy(b"k" * 32, "HR"))
        landing_zone.prepare()
        landed = {}
        for again in (False, True):
            if again:
                ads.clicks, ads.stats, ads.kept = [], [], 3
            for stream in ("ad_spend", "clicks"):
                asked = (date.fromisoformat(ago(6)), date.fromisoformat(ago(1))) if again else None
                records = landing_zone.land("google_ads", stream, asked=asked)
                assert {record.status for record in records} == {"landed"}, records
                files = (tmp_path / "data/landing/google_ads" / stream).glob("source=ads/*.parquet")
                landed[stream, again] = [path.name[:10] for path in files]
    assert landed["ad_spend", False] == landed["clicks", False] == landed["clicks", True] == [ago(5)]
    assert landed["ad_spend", True] == []


# --- errors ---


def failing(reply: Reply, kind: type[ConnectorError]) -> tuple[str, int]:
    """(message, queries) of an account that answers every query so."""
    ads = GoogleAds()
    asked = 0

    def vendor(request: Request) -> Reply:
        nonlocal asked
        if request.path == "/token":
            return ads(request)
        asked += 1
        return reply

    with playing(vendor) as server, pytest.raises(kind) as failed:
        fetched(source_at(server.url), "ad_spend", window("2024-03-08"))
    assert type(failed.value) is kind
    return str(failed.value), asked


@pytest.mark.parametrize(
    ("status", "category", "code"),
    [
        (401, "authenticationError", "OAUTH_TOKEN_EXPIRED"),
        (401, "authenticationError", "CUSTOMER_NOT_FOUND"),
        (403, "authorizationError", "DEVELOPER_TOKEN_NOT_APPROVED"),
        (400, "headerError", "INVALID_LOGIN_CUSTOMER_ID"),
        (403, "quotaError", "ACCESS_PROHIBITED"),
    ],
)
def test_a_refusal_of_who_asks_is_final_after_one_new_token(
    status: int, category: str, code: str, pauses: list[float]
) -> None:
    message, asked = failing(failure(status, category, code, "Says why"), AuthError)
    assert f"{code} (Says why)" in message
    assert "`developer_token`" in message
    assert asked == 2


def test_a_revoked_refresh_token_asks_for_a_person(ads: GoogleAds, pauses: list[float]) -> None:
    ads.refresh_token = "another"
    message = refusal(ads, AuthError)
    assert "Token has been expired or revoked" in message
    assert "mend `refresh_token`" in message
    assert ads.queries == []


def test_an_access_token_that_ran_out_is_renewed(ads: GoogleAds, pauses: list[float]) -> None:
    whole = spend(ads)

    def vendor(request: Request) -> Reply:
        if ads.queries and "FROM campaign" in ads.queries[-1] and "run out" not in said:
            said.append("run out")
            return failure(401, "authenticationError", "OAUTH_TOKEN_EXPIRED", "Expired")
        return ads(request)

    said: list[str] = []
    ads.tokens, ads.queries = 0, []
    with playing(vendor) as server:
        assert fetched(source_at(server.url), "ad_spend", window("2024-03-08", "2024-03-10")) == whole
    assert ads.tokens == 2


def test_a_quota_that_names_its_wait_is_waited_for(pauses: list[float]) -> None:
    busy = failure(429, "quotaError", "RESOURCE_TEMPORARILY_EXHAUSTED", "Too many requests", delay="37s")
    message, asked = failing(busy, TransientError)
    assert "RESOURCE_TEMPORARILY_EXHAUSTED" in message
    assert asked == 6
    assert [pause for pause in pauses if pause > 1] == [37.0] * 5


@pytest.mark.parametrize(
    ("code", "delay"),
    [
        ("RESOURCE_EXHAUSTED", None),
        ("RESOURCE_EXHAUSTED", "43200s"),
        ("EXCESSIVE_LONG_TERM_QUERY_RESOURCE_CONSUMPTION", None),
    ],
)
def test_a_day_whose_operations_are_used_up_waits_for_the_next_night(
    code: str, delay: str | None, pauses: list[float]
) -> None:
    message, asked = failing(failure(429, "quotaError", code, "Daily limit", delay=delay), TransientError)
    assert asked == 1
    assert "next night" in message


def test_too_dear_queries_are_waited_for(pauses: list[float]) -> None:
    dear = failure(429, "quotaError", "EXCESSIVE_SHORT_TERM_QUERY_RESOURCE_CONSUMPTION", "Too dear")
    assert failing(dear, TransientError)[1] == 6
    assert [pause for pause in pauses if pause > 100] == [300.0] * 5


@pytest.mark.parametrize(
    ("status", "category", "code"),
    [
        (500, "internalError", "INTERNAL_ERROR"),
        (500, "internalError", "TRANSIENT_ERROR"),
        (400, "databaseError", "CONCURRENT_MODIFICATION"),
        (503, "requestError", "UNKNOWN"),
    ],
)
def test_a_server_in_trouble_is_asked_again(
    status: int, category: str, code: str, pauses: list[float]
) -> None:
    assert failing(failure(status, category, code, "Try again"), TransientError)[1] == 6


def test_a_429_without_a_code_is_asked_again(pauses: list[float]) -> None:
    error = {"code": 429, "message": "Slow down", "status": "RESOURCE_EXHAUSTED"}
    assert failing(Reply({"error": error}, 429, {"Retry-After": "9"}), TransientError)[1] == 6
    assert 9.0 in pauses


@pytest.mark.parametrize(
    ("category", "code"),
    [("queryError", "UNRECOGNIZED_FIELD"), ("requestError", "UNSUPPORTED_VERSION"), ("x", "Y")],
)
def test_a_bad_request_says_what_is_wrong_and_is_not_repeated(
    category: str, code: str, pauses: list[float]
) -> None:
    message, asked = failing(failure(400, category, code, "Unrecognized\nfield"), PermanentError)
    assert f"{code} (Unrecognized field)" in message
    assert asked == 1


def test_a_version_that_is_served_no_more_is_named(pauses: list[float]) -> None:
    message, asked = failing(Reply("<title>Error 404</title>", 404), PermanentError)
    assert "`api_version`" in message
    assert asked == 1


# --- routes and options ---


def test_spend_replaces_its_days_and_clicks_only_add() -> None:
    source = source_at("http://127.0.0.1:1")
    routes = {s.name: CONNECTOR.route(source, s) for s in CONNECTOR.streams(source)}  # type: ignore[arg-type]
    assert {name: None if r is None else r.by for name, r in routes.items()} == {
        "ad_spend": "day",
        "clicks": "change",
    }
    without = options("google_ads")
    assert CONNECTOR.route(without, stream_of(without, "ad_spend")) is None  # type: ignore[arg-type]


def test_the_probe_tells_customer_currency_and_zone(ads: GoogleAds, pauses: list[float]) -> None:
    with playing(ads) as server:
        said = CONNECTOR.probe(source_at(server.url))  # type: ignore[arg-type]
    assert said == "answers as 1234567890, EUR, Europe/Zagreb"


def test_half_a_configuration_is_one_clear_line() -> None:
    with pytest.raises(ValidationError, match="missing: client_secret, refresh_token"):
        options("google_ads", customer_id=1234567890, developer_token="d", client_id="c")
    with pytest.raises(ValidationError, match="login_customer_id is of use only with"):
        options("google_ads", login_customer_id="1234567890")
    with pytest.raises(ValidationError, match="ten digits"):
        source_at("http://x", customer_id="12345")
    with pytest.raises(ValidationError, match="version as the API does"):
        source_at("http://x", api_version="26")


def test_a_new_token_or_version_reads_nothing_anew_and_another_account_does() -> None:
    plain = source_at("http://x")
    stream = stream_of(plain, "ad_spend")

    def of(**given: Any) -> str:
        return CONNECTOR.fingerprint(source_at("http://x", **given), stream)  # type: ignore[arg-type]

    same = of()
    assert of(refresh_token="other") == of(api_version="v27") == of(login_customer_id="9998887777") == same
    assert of(customer_id="5554443333") != same
