"""Yandex Direct's Reports service: queued reports, their names, levels, units of money and errors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors import _yandex_direct_api
from connectors.contract import ReadLog, SourceOptions
from connectors.errors import (
    AuthError,
    ConnectorError,
    FileRefused,
    IncompleteError,
    PermanentError,
    TransientError,
)
from connectors.yandex_direct import CONNECTOR
from tests.vendors.loopback import ApiContract, Reply, Request, fetched, options, playing, stream_of, window

FIELDS = {
    "Date": "day",
    "CampaignId": "campaign",
    "CampaignName": "name",
    "CampaignType": "kind",
    "AdGroupId": "group",
    "AdGroupName": "group_name",
    "Criterion": "criterion",
    "AdNetworkType": "network",
    "Device": "device",
    "Impressions": "shown",
    "Clicks": "clicks",
    "Cost": "cost",
}
REQUIRED = {
    "SelectionCriteria",
    "FieldNames",
    "ReportName",
    "ReportType",
    "DateRangeType",
    "Format",
    "IncludeVAT",
}
OPTIONAL = {"IncludeDiscount", "Filter", "Goals", "AttributionModels", "Page", "OrderBy"}
TYPES = {"ACCOUNT_PERFORMANCE_REPORT", "CAMPAIGN_PERFORMANCE_REPORT", "CRITERIA_PERFORMANCE_REPORT"}
VAT = Decimal("1.20")


def stat(
    day: str, campaign: int, name: str, criterion: str, shown: int, clicks: int, kopecks: int
) -> dict[str, Any]:
    return {
        "day": day,
        "campaign": str(campaign),
        "name": name,
        "kind": "TEXT_CAMPAIGN",
        "group": f"{campaign}1",
        "group_name": "group",
        "criterion": criterion,
        "network": "SEARCH",
        "device": "DESKTOP",
        "shown": shown,
        "clicks": clicks,
        "cost": Decimal(kopecks) / 100,
    }


STATS = [
    stat("2024-03-08", 11, "ENT | поиск", "лор врач", 100, 5, 125_050),
    stat("2024-03-08", 11, "ENT | поиск", "---autotargeting", 60, 2, 40_000),
    stat("2024-03-09", 11, "ENT | поиск", "лор врач", 90, 4, 99_999),
    stat("2024-03-09", 12, "Implants", "имплант", 10, 1, 70_000),
    stat("2024-03-10", 12, "Implants", "имплант", 12, 0, 0),
]


class Direct:
    """One advertiser's account; every new report is first queued, then being made, then there."""

    def __init__(self, token: str, *, looks: int = 2) -> None:
        self.token = token
        self.login: str | None = None
        self.currency = "RUB"
        self.looks = looks
        self.stats = STATS
        self.left_out: Callable[[dict[str, Any], str], bool] = lambda _row, _type: False
        self.longest = 366
        self.ignores_money_header = False
        # ReportName -> what it was made of; how often it was asked for.
        self.made: dict[str, dict[str, Any]] = {}
        self.asked: Counter[str] = Counter()

    def __call__(self, request: Request) -> Reply:
        if request.method != "POST":
            return Reply("", 405)
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return fault(53, "Authorization error", 400)
        if request.headers.get("Client-Login") != self.login:
            return fault(8800, "Object not found", 400)
        if request.path == "/json/v5/clients":
            assert request.json() == {"method": "get", "params": {"FieldNames": ["Login", "Currency"]}}
            return Reply({"result": {"Clients": [{"Login": "clinic-ads", "Currency": self.currency}]}})
        assert request.path == "/json/v5/reports"
        return self._report(request)

    def _report(self, request: Request) -> Reply:
        (params,) = request.json().values()
        if not REQUIRED <= params.keys() <= REQUIRED | OPTIONAL or params["ReportType"] not in TYPES:
            return fault(8000, "Invalid request")
        if params["DateRangeType"] != "CUSTOM_DATE" or params["Format"] != "TSV":
            return fault(8000, "Invalid request")
        since, until = params["SelectionCriteria"]["DateFrom"], params["SelectionCriteria"]["DateTo"]
        if not all(re.fullmatch(r"\d{4}-\d\d-\d\d", day) for day in (since, until)):
            return fault(4000, "Invalid date")
        if not set(params["FieldNames"]) <= FIELDS.keys() or len(params["ReportName"]) > 255:
            return fault(4000, "Invalid field")
        if params["ReportType"] != "CRITERIA_PERFORMANCE_REPORT" and "Criterion" in params["FieldNames"]:
            return fault(4000, "Criterion is not a field of this report type")
        if (date.fromisoformat(until) - date.fromisoformat(since)).days >= self.longest:
            return Reply("Bad gateway", 502)
        name = params["ReportName"]
        if self.made.setdefault(name, params) != params:
            return fault(8000, "A report of that name has other parameters")
        self.asked[name] += 1
        if self.asked[name] <= self.looks:
            return Reply("", 201 if self.asked[name] == 1 else 202, {"retryIn": "17", "reportsInQueue": "1"})
        return Reply(self._table(params, since, until, request))

    def _table(self, params: dict[str, Any], since: str, until: str, request: Request) -> str:
        in_micros = request.headers.get("returnMoneyInMicros") != "false" or self.ignores_money_header
        vat = VAT if params["IncludeVAT"] == "YES" else Decimal(1)
        groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        labels = [f for f in params["FieldNames"] if f not in ("Impressions", "Clicks", "Cost")]
        for row in self.stats:
            if since <= row["day"] <= until and not self.left_out(row, params["ReportType"]):
                groups.setdefault(tuple(row[FIELDS[label]] for label in labels), []).append(row)
        lines = [f"{params['ReportName']} ({since} - {until})", "\t".join(params["FieldNames"])]
        for key, rows in groups.items():
            cost = sum((row["cost"] for row in rows), Decimal(0)) * vat
            sums = [str(sum(row[name] for row in rows)) for name in ("shown", "clicks")]
            lines.append("\t".join([*key, *sums, str(int(cost * 1_000_000)) if in_micros else f"{cost:.2f}"]))
        return "\n".join([*lines, f"Total rows: {len(groups)}", ""])


def fault(code: int, text: str, status: int = 400, detail: str = "") -> Reply:
    body = {"request_id": "8695244274068608439", "error_code": str(code), "error_string": text}
    return Reply({"error": {**body, "error_detail": detail}}, status, {"RequestId": "8695244274068608439"})


def source_at(url: str, token: str = "t0ken", **given: Any) -> SourceOptions:
    return options(
        "yandex_direct", **{"currency": "RUB", "token": token, "base_url": url, "account": "main", **given}
    )


class TestYandexDirectApi(ApiContract):
    stream = "ad_spend"
    key = "cost"
    asked = window("2024-03-08", "2024-03-10")
    empty = window("2023-01-01")
    # Campaigns, then keywords.
    ids = [  # noqa: RUF012
        Decimal(amount)
        for amount in ("1650.50", "999.99", "700", "0", "1250.50", "400", "999.99", "700", "0")
    ]

    def fresh(self) -> None:
        self._direct = Direct(self.secret)

    def vendor(self, request: Request) -> Reply:
        return self._direct(request)

    def source(self, url: str) -> SourceOptions:
        return source_at(url, self.secret)


@pytest.fixture
def direct() -> Direct:
    return Direct("t0ken")


def spend(direct: Direct, log: ReadLog | None = None, **given: Any) -> list[dict[str, Any]]:
    with playing(direct) as server:
        return fetched(source_at(server.url, **given), "ad_spend", window("2024-03-08", "2024-03-10"), log)


def refusal(direct: Direct, kind: type[ConnectorError], **given: Any) -> str:
    with pytest.raises(kind) as failed:
        spend(direct, **given)
    assert "t0ken" not in str(failed.value)
    assert "\n" not in str(failed.value)
    return str(failed.value)


# --- what lands ---


def test_campaigns_are_the_spend_and_keywords_stand_below_them(direct: Direct, pauses: list[float]) -> None:
    log = ReadLog()
    rows = spend(direct, log)
    by_level = {
        level: [row for row in rows if row["report_level"] == level] for level in ("campaign", "keyword")
    }
    assert sum(map(len, by_level.values())) == len(rows)
    assert {level: sum(row["cost"] for row in found) for level, found in by_level.items()} == {
        "campaign": Decimal("3350.49"),
        "keyword": Decimal("3350.49"),
    }
    first = by_level["campaign"][0]
    assert first["keyword"] is None
    assert (first["spend_date"], first["campaign_id"], first["campaign_name"], first["campaign_type"]) == (
        date(2024, 3, 8),
        "11",
        "ENT | поиск",
        "TEXT_CAMPAIGN",
    )
    assert (first["impressions"], first["clicks"], first["network"], first["device"]) == (
        160,
        7,
        "SEARCH",
        "DESKTOP",
    )
    assert (first["account"], first["currency"]) == ("main", "RUB")
    assert [row["keyword"] for row in by_level["keyword"]][:2] == ["лор врач", "---autotargeting"]
    assert {row["ad_group"] for row in by_level["keyword"]} == {"group"}
    assert log.control_totals == {("reports", "rows"): Decimal(9)}
    assert log.unknown_columns == set()


@pytest.mark.parametrize(
    ("include_vat", "basis", "cost"),
    [(None, "excl", "1650.50"), (False, "excl", "1650.50"), (True, "incl", "1980.60")],
)
def test_vat_is_asked_for_and_told(
    direct: Direct, pauses: list[float], include_vat: bool | None, basis: str, cost: str
) -> None:
    first = spend(direct, include_vat=include_vat)[0]
    assert (first["tax_basis"], first["cost"]) == (basis, Decimal(cost))


def test_an_account_that_spent_nothing_is_a_success(direct: Direct, pauses: list[float]) -> None:
    direct.stats = []
    log = ReadLog()
    assert spend(direct, log) == []
    assert log.control_totals == {("reports", "rows"): Decimal(0)}


def test_an_agency_names_its_client(direct: Direct, pauses: list[float]) -> None:
    direct.login = "clinic-ads"
    assert len(spend(direct, client_login="clinic-ads")) == 9
    assert "8800" in refusal(direct, PermanentError)


# --- queued reports ---


def test_a_queued_report_is_asked_for_again_under_its_name_after_the_wait_it_names(
    direct: Direct, pauses: list[float]
) -> None:
    spend(direct)
    assert set(direct.asked.values()) == {3}
    assert len(direct.made) == 3
    assert [pause for pause in pauses if pause > 1] == [17.0] * 6


def test_names_are_the_same_on_the_next_night_and_differ_with_what_is_asked(pauses: list[float]) -> None:
    names = []
    for include_vat in (None, None, True):
        direct = Direct("t0ken", looks=0)
        spend(direct, include_vat=include_vat)
        names.append(set(direct.made))
    assert names[0] == names[1]
    assert not names[0] & names[2]


@pytest.mark.parametrize("header", ["", "soon", "0", "-5"])
def test_an_odd_wait_does_not_hammer_the_server(header: str, pauses: list[float], direct: Direct) -> None:
    def vendor(request: Request) -> Reply:
        reply = direct(request)
        if reply.status in (201, 202):
            reply.headers["retryIn"] = header
        return reply

    with playing(vendor) as server:
        fetched(source_at(server.url), "ad_spend", window("2024-03-08"))
    assert len([pause for pause in pauses if pause >= 1.0]) == 6


def test_a_report_that_is_never_ready_is_left_for_the_next_night(pauses: list[float]) -> None:
    direct = Direct("t0ken", looks=10**6)
    assert "not ready after 30 minutes" in refusal(direct, TransientError)
    assert 1700 < sum(pauses) < 1900
    assert len(direct.made) == 1


def test_days_that_are_too_much_for_the_server_are_halved(direct: Direct, pauses: list[float]) -> None:
    direct.longest = 1
    rows = spend(direct)
    assert [row["cost"] for row in rows] == TestYandexDirectApi.ids
    assert len(direct.made) == 9  # three reports of three single days


def test_a_single_day_that_is_too_much_is_left_for_the_next_night(
    direct: Direct, pauses: list[float]
) -> None:
    direct.longest = 0
    assert "even of one day" in refusal(direct, TransientError)


# --- answers that must not become spend ---


def test_campaigns_that_add_up_to_less_than_the_account_are_refused(
    direct: Direct, pauses: list[float]
) -> None:
    direct.left_out = lambda row, kind: row["campaign"] == "12" and kind.startswith("CAMPAIGN")
    assert "add up to 2650.49, the account to 3350.49" in refusal(direct, IncompleteError)


def test_keywords_that_leave_campaigns_out_are_no_fault(direct: Direct, pauses: list[float]) -> None:
    direct.left_out = lambda row, kind: row["campaign"] == "12" and kind.startswith("CRITERIA")
    assert len(spend(direct)) == 7


def test_rounding_of_rows_is_no_gap(direct: Direct, pauses: list[float]) -> None:
    direct.stats = [{**row, "cost": row["cost"] + Decimal("0.004")} for row in STATS]
    assert len(spend(direct)) == 9


def test_another_currency_than_configured_is_refused(direct: Direct, pauses: list[float]) -> None:
    direct.currency = "KZT"
    message = refusal(direct, PermanentError)
    assert "is KZT, not RUB" in message
    assert "`currency`" in message


def test_a_server_that_ignores_the_header_of_money_is_found_out(direct: Direct, pauses: list[float]) -> None:
    direct.ignores_money_header = True
    assert "as micros are" in refusal(direct, FileRefused)


def test_a_report_of_other_days_is_refused(direct: Direct, pauses: list[float]) -> None:
    def vendor(request: Request) -> Reply:
        reply = direct(request)
        if isinstance(reply.body, str):
            reply.body = reply.body.replace("(2024-03-08 - 2024-03-10)", "(2024-03-07 - 2024-03-09)")
        return reply

    with playing(vendor) as server, pytest.raises(FileRefused, match="other days than were asked"):
        fetched(source_at(server.url), "ad_spend", window("2024-03-08", "2024-03-10"))


def test_a_report_cut_short_is_refused(direct: Direct, pauses: list[float]) -> None:
    def vendor(request: Request) -> Reply:
        reply = direct(request)
        if isinstance(reply.body, str) and "Total rows: 4" in reply.body:
            lines = reply.body.splitlines()
            reply.body = "\n".join([*lines[:-2], lines[-1], ""])
        return reply

    with playing(vendor) as server, pytest.raises(FileRefused, match="holds 3 of 4 rows"):
        fetched(source_at(server.url), "ad_spend", window("2024-03-08", "2024-03-10"))


# --- errors ---


XML_ERROR = """<?xml version="1.0" encoding="UTF-8"?>
<reports:reportDownloadError xmlns:reports="http://api.direct.yandex.com/v5/reports"><reports:ApiError>
<reports:requestId>1</reports:requestId><reports:errorCode>{code}</reports:errorCode>
<reports:errorMessage>{text}</reports:errorMessage><reports:errorDetail></reports:errorDetail>
</reports:ApiError></reports:reportDownloadError>"""


def failing(reply: Reply, kind: type[ConnectorError]) -> tuple[str, int]:
    """(message, requests) of a source whose vendor says nothing but this."""
    with playing(lambda _request: reply) as server, pytest.raises(kind) as failed:
        fetched(source_at(server.url), "ad_spend", window("2024-03-08"))
    return str(failed.value), len(server.requests)


@pytest.mark.parametrize("code", sorted(_yandex_direct_api._REFUSED))
def test_a_refused_token_names_the_setting_at_once(code: int, pauses: list[float]) -> None:
    for reply in (fault(code, "No rights", 400), fault(code, "No rights", 200)):
        message, requests = failing(reply, AuthError)
        assert f"error {code} (No rights)" in message
        assert "mend `token`" in message
        assert requests == 1


@pytest.mark.parametrize("code", [52, 56, 506, 1000, 1002])
def test_a_busy_server_is_asked_again(code: int, pauses: list[float]) -> None:
    message, requests = failing(fault(code, "Try later", 200), TransientError)
    assert f"error {code}" in message
    assert requests == 6


def test_a_full_queue_is_waited_for(pauses: list[float]) -> None:
    _, requests = failing(fault(9000, "Queue is full", 400), TransientError)
    assert requests == 6
    assert [pause for pause in pauses if pause > 1] == [60.0] * 5


def test_spent_units_wait_for_the_next_night(pauses: list[float]) -> None:
    message, requests = failing(fault(152, "Not enough units", 200), TransientError)
    assert requests == 1
    assert "next night" in message


def test_a_bad_request_says_what_is_wrong_and_is_not_repeated(pauses: list[float]) -> None:
    message, requests = failing(fault(4001, "Invalid report", 400, "Field X\nis unknown"), PermanentError)
    assert "error 4001 (Invalid report: Field X is unknown)" in message
    assert requests == 1


def test_an_error_written_in_xml_is_understood(pauses: list[float]) -> None:
    message, requests = failing(Reply(XML_ERROR.format(code=53, text="Bad token"), 400), AuthError)
    assert "error 53 (Bad token)" in message
    assert requests == 1
    assert failing(Reply(XML_ERROR.format(code=1002, text="Oops"), 500), TransientError)[1] == 6


def test_an_unlisted_code_of_a_broken_server_is_asked_again(pauses: list[float]) -> None:
    assert failing(fault(3, "Broken", 500), TransientError)[1] == 6


@pytest.mark.parametrize("body", [{}, {"result": {}}, {"result": {"Clients": []}}, [], {"error": "x"}])
def test_a_client_that_is_none_is_an_error_not_a_crash(body: Any, pauses: list[float]) -> None:
    assert "no single advertiser" in failing(Reply(body), PermanentError)[0]


def test_a_total_without_cost_is_refused(direct: Direct, pauses: list[float]) -> None:
    def vendor(request: Request) -> Reply:
        return direct(request) if request.path.endswith("clients") else Reply("title\nImpressions\tClicks\n")

    with playing(vendor) as server, pytest.raises(FileRefused, match="no Cost column"):
        fetched(source_at(server.url), "ad_spend", window("2024-03-08"))


# --- routes and options ---


def test_the_route_reads_what_is_restated_in_one_window() -> None:
    source = source_at("http://127.0.0.1:1")
    stream = stream_of(source, "ad_spend")
    route = CONNECTOR.route(source, stream)  # type: ignore[arg-type]
    assert route is not None
    assert (route.by, route.window_days >= stream.restatement_days) == ("day", True)
    assert CONNECTOR.route(source_at("http://x", token=None), stream) is None  # type: ignore[arg-type]


def test_the_probe_tells_login_and_currency(direct: Direct, pauses: list[float]) -> None:
    with playing(direct) as server:
        assert CONNECTOR.probe(source_at(server.url)) == "answers as clinic-ads, RUB"  # type: ignore[arg-type]


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    spent=st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(0, 10**8)), min_size=1, max_size=12
    ),
    longest=st.integers(1, 4),
)
def test_every_kopeck_arrives_once_however_the_days_are_cut(
    spent: list[tuple[int, int, int]], longest: int, pauses: list[float]
) -> None:
    first = date(2024, 3, 8)
    direct = Direct("t0ken", looks=0)
    direct.longest = longest
    direct.stats = [
        stat((first + timedelta(days=day)).isoformat(), campaign, "name", f"k{at}", 10, 1, kopecks)
        for at, (day, campaign, kopecks) in enumerate(spent)
    ]
    with playing(direct) as server:
        rows = fetched(source_at(server.url), "ad_spend", window("2024-03-08", "2024-03-11"))
    for level in ("campaign", "keyword"):
        landed = sum(row["cost"] for row in rows if row["report_level"] == level)
        assert landed == Decimal(sum(kopecks for _, _, kopecks in spent)) / 100
