"""Matomo: visits of the Live API, page by page and day by day, and their saved answers in every format."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors import matomo
from connectors.contract import ReadLog, SourceOptions
from connectors.errors import (
    AuthError,
    ConnectorError,
    FileRefused,
    IncompleteError,
    PermanentError,
    TransientError,
)
from connectors.matomo import CONNECTOR
from tests.unit.vendor_files import Read, read
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

SITE = "3"


def local(text: str) -> int:
    """Epoch seconds of a local time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp())


def visit(number: int, first: str, last: str | None = None, **fields: Any) -> dict[str, Any]:
    """A visit as the API gives it; numbers are text there now and then, as in PHP."""
    end = local(last or first)
    return {
        "idSite": SITE,
        "idVisit": str(number),
        "visitIp": "203.0.113.7",
        "visitorId": f"{number:016x}",
        "fingerprint": "e16cf2bbaeea2c88",
        "actionDetails": [
            {"type": "action", "url": "https://clinic.example/ent?utm_source=x", "pageTitle": "ENT"}
        ],
        "serverTimestamp": end,
        "firstActionTimestamp": local(first),
        "lastActionTimestamp": end,
        "userId": None,
        "visitorType": "new",
        "visitCount": "1",
        "visitDuration": str(end - local(first)),
        "actions": "1",
        "interactions": "1",
        "referrerType": "direct",
        "referrerName": "",
        "referrerKeyword": False,
        "referrerUrl": "",
        "deviceType": "Smartphone",
        "countryCode": "hr",
        "region": "Zagreb",
        "city": None,
        "latitude": "45.8",
        **fields,
    }


VISITS = [
    visit(1, "2024-03-30T10:00"),
    visit(2, "2024-03-30T23:50", "2024-03-31T00:10"),  # filed under the day of its last action
    visit(3, "2024-03-31T01:30"),
    visit(4, "2024-03-31T23:30", "2024-03-31T23:59"),
    visit(5, "2024-03-31T23:40", "2024-04-01T00:00"),  # ends on the very midnight: of both days
    visit(6, "2024-04-01T00:30"),
    visit(7, "2024-04-02T00:05"),
]
SITE_FORM = {"module", "method", "idSite", "format", "language", "token_auth"}
VISIT_FORM = SITE_FORM | {"period", "date", "filter_limit", "filter_offset", "filter_sort_order"}


class Server:
    """A Matomo installation with one site."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.zone = ZONE.key
        self.visits = VISITS
        self.path = ""
        self.ignores_offset = False
        self.before_page: Callable[[int], None] = lambda _offset: None

    def __call__(self, request: Request) -> Reply:
        assert request.path == f"{self.path}/index.php"
        assert request.query == {}, "parameters are sent in the body, for addresses are logged"
        form = request.form()
        if form.get("token_auth") != self.token:
            text = "Unable to authenticate with the provided token. It is either invalid or expired."
            return Reply({"result": "error", "message": text}, 401)
        if form["idSite"] != SITE or form["format"] != "JSON" or form["module"] != "API":
            text = "You can't access this resource as it requires 'view' access for the website id = 4."
            return Reply({"result": "error", "message": text})
        if form["method"] == "SitesManager.getSiteFromId":
            assert set(form) == SITE_FORM
            return Reply({"idsite": SITE, "name": "Clinic", "timezone": self.zone, "currency": "EUR"})
        assert form["method"] == "Live.getLastVisitsDetails"
        assert set(form) == VISIT_FORM
        return Reply(self._page(form))

    def _page(self, form: dict[str, str]) -> list[dict[str, Any]]:
        assert form["period"] == "day"
        day = date.fromisoformat(form["date"])
        offset, limit = int(form["filter_offset"]), int(form["filter_limit"])
        self.before_page(offset)
        since, until = (
            datetime(d.year, d.month, d.day, tzinfo=ZoneInfo(self.zone)).timestamp()
            for d in (day, day + timedelta(days=1))
        )
        held = [v for v in self.visits if since <= v["lastActionTimestamp"] <= until]
        held.sort(key=lambda v: v["lastActionTimestamp"], reverse=form["filter_sort_order"] != "asc")
        begin = 0 if self.ignores_offset else offset
        return held[begin : begin + limit]


def source_at(url: str, token: str = "t0ken", **given: Any) -> SourceOptions:
    return options("matomo", **{"base_url": url, "site_id": int(SITE), "token": token, **given})


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matomo, "_PAGE", 2)


class TestMatomoApi(ApiContract):
    stream = "visits"
    key = "visit_id"
    asked = window("2024-03-31", "2024-04-01")
    empty = window("2023-01-01")
    ids = ["2", "3", "4", "5", "6"]  # noqa: RUF012

    def vendor(self, request: Request) -> Reply:
        return Server(self.secret)(request)

    def source(self, url: str) -> SourceOptions:
        return source_at(url, self.secret)


@pytest.fixture
def server() -> Server:
    return Server("t0ken")


def visits(
    server: Server, since: str = "2024-03-30", until: str = "2024-04-02", log: ReadLog | None = None
) -> list[dict[str, Any]]:
    with playing(server) as playing_server:
        return fetched(source_at(playing_server.url), "visits", window(since, until), log)


def test_a_visit_lands_with_its_times_and_nothing_personal(server: Server, pauses: list[float]) -> None:
    log = ReadLog()
    row = next(row for row in visits(server, log=log) if row["visit_id"] == "2")
    assert row["started_at"] == datetime(2024, 3, 30, 22, 50, tzinfo=UTC)
    assert row["ended_at"] == datetime(2024, 3, 30, 23, 10, tzinfo=UTC)
    assert (row["site_id"], row["visitor_id"], row["user_ref"]) == (SITE, "0000000000000002", None)
    assert (row["landing_host"], row["landing_path"], row["page_source"]) == ("clinic.example", "/ent", "x")
    assert (row["visitor_type"], row["visit_count"], row["pageviews"], row["duration_s"]) == (
        "new",
        1,
        1,
        1200,
    )
    assert log.unknown_columns == set()
    for personal in ("203.0.113.7", "e16cf2bb", "45.8", "ENT"):
        assert personal not in str(row)


@pytest.mark.parametrize("day", [day.isoformat() for day in window("2024-03-30", "2024-04-02").days()])
def test_a_day_asked_alone_gives_every_visit_that_ended_on_it(
    server: Server, pauses: list[float], day: str
) -> None:
    """What an answer leaves out of its days is taken for gone."""
    ended = {
        v["idVisit"]
        for v in VISITS
        if datetime.fromtimestamp(v["lastActionTimestamp"], tz=ZONE).date().isoformat() == day
    }
    assert ended <= {row["visit_id"] for row in visits(server, day, day)}


def test_visits_that_come_in_between_two_pages_move_none(server: Server, pauses: list[float]) -> None:
    late = [visit(100 + n, f"2024-03-31T23:5{n}") for n in range(3)]
    server.visits = list(VISITS)

    def one_more(offset: int) -> None:
        if offset and late:
            server.visits.append(late.pop(0))

    server.before_page = one_more
    found = [row["visit_id"] for row in visits(server, "2024-03-31", "2024-03-31")]
    assert {"2", "3", "4", "5"} <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize("held", [1, 2, 3])
def test_a_server_that_gives_the_same_page_again_and_again_is_stopped(
    server: Server, pauses: list[float], held: int
) -> None:
    server.ignores_offset = True
    server.visits = [visit(n, f"2024-03-31T1{n}:00") for n in range(held)]
    with pytest.raises(IncompleteError, match="the same visits of 2024-03-31 again"):
        visits(server, "2024-03-31", "2024-03-31")


def test_a_day_whose_only_visit_ended_on_the_midnight_before_is_empty(
    server: Server, pauses: list[float]
) -> None:
    server.visits = [visit(5, "2024-03-31T23:40", "2024-04-01T00:00")]
    assert [row["visit_id"] for row in visits(server, "2024-03-31", "2024-04-01")] == ["5"]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "UTC+3", "UTC-0.5", "Mars/Base", ""])
def test_a_site_that_counts_other_days_is_refused(server: Server, pauses: list[float], zone: str) -> None:
    server.zone = ZONE.key
    answer = {"idsite": SITE, "timezone": zone}
    with (
        playing(lambda _request: Reply(answer)) as playing_server,
        pytest.raises(PermanentError, match="set `timezone` of the source"),
    ):
        fetched(source_at(playing_server.url), "visits", window("2024-03-31"))


@pytest.mark.parametrize(
    ("site_zone", "source_zone"),
    [("Europe/Budapest", "Europe/Zagreb"), ("UTC+5.5", "Asia/Kolkata"), ("UTC-3", "America/Sao_Paulo")],
)
def test_zones_of_the_same_days_are_one(site_zone: str, source_zone: str) -> None:
    zone = ZoneInfo(source_zone)
    for at in (datetime(2024, 3, 31, tzinfo=zone), datetime(2024, 4, 1, tzinfo=zone)):
        assert matomo._offset(site_zone, at) == at.utcoffset()


def test_an_installation_in_a_folder_and_an_older_answer_on_its_site(pauses: list[float]) -> None:
    server = Server("t0ken")
    server.path = "/stats/piwik"

    def vendor(request: Request) -> Reply:
        reply = server(request)
        return Reply([reply.body]) if isinstance(reply.body, dict) else reply

    with playing(vendor) as playing_server:
        address = f"{playing_server.url}/stats/piwik/index.php"
        assert len(fetched(source_at(address), "visits", window("2024-03-31"))) == 4


# --- errors ---


def failing(reply: Reply, kind: type[ConnectorError]) -> tuple[str, int]:
    with playing(lambda _request: reply) as playing_server, pytest.raises(kind) as failed:
        fetched(source_at(playing_server.url), "visits", window("2024-03-31"))
    assert "t0ken" not in str(failed.value)
    return str(failed.value), len(playing_server.requests)


def error(message: str, status: int = 200) -> Reply:
    return Reply({"result": "error", "message": message}, status)


@pytest.mark.parametrize(
    "reply",
    [
        error("You can't access this resource as it requires 'view' access for the website id = 1."),
        error("Unable to authenticate with the provided token. It is either invalid or expired.", 401),
        error("You must be logged in to access this functionality."),
        error("Your session has expired due to inactivity. Please log in to continue."),
        error("Whatever it says", 403),
    ],
)
def test_a_refused_token_names_the_setting_at_once(reply: Reply, pauses: list[float]) -> None:
    message, requests = failing(reply, AuthError)
    assert "mend `token`" in message
    assert requests == 1


@pytest.mark.parametrize(
    "reply",
    [
        error("Your query took too long to complete. Please try to change the date range."),
        error("The query was aborted."),
        error("Mysqli statement execute error", 500),
    ],
)
def test_a_tired_server_is_asked_again(reply: Reply, pauses: list[float]) -> None:
    assert failing(reply, TransientError)[1] == 6


def test_any_other_word_of_matomo_is_told_and_not_repeated(pauses: list[float]) -> None:
    message, requests = failing(error("The visits log is\nswitched off for this site."), PermanentError)
    assert "The visits log is switched off for this site." in message
    assert requests == 1


@pytest.mark.parametrize("body", ["null", "[]", "5", '"x"', "[1, 2]"])
def test_a_site_that_is_none_is_an_error_not_a_crash(body: str, pauses: list[float]) -> None:
    assert "`site_id`" in failing(Reply(body), PermanentError)[0]


@pytest.mark.parametrize("body", ["{}", "5", '{"2024-03-31": []}', '["x"]'])
def test_visits_that_are_none_are_an_error_not_a_crash(
    server: Server, body: str, pauses: list[float]
) -> None:
    def vendor(request: Request) -> Reply:
        return server(request) if b"getSiteFromId" in request.body else Reply(body)

    with playing(vendor) as playing_server, pytest.raises(PermanentError, match="a list of visits"):
        fetched(source_at(playing_server.url), "visits", window("2024-03-31"))


# --- routes and options ---


def test_the_route_needs_a_token_and_the_probe_tells_the_site(server: Server, pauses: list[float]) -> None:
    bare = options("matomo")
    assert CONNECTOR.route(bare, stream_of(bare, "visits")) is None  # type: ignore[arg-type]
    with playing(server) as playing_server:
        source = source_at(playing_server.url)
        route = CONNECTOR.route(source, stream_of(source, "visits"))  # type: ignore[arg-type]
        assert route is not None
        assert route.by == "day"
        assert CONNECTOR.probe(source) == "answers as site 3, Europe/Zagreb"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"token": "x"}, "base_url and site_id too"),
        ({"token": "x", "site_id": 1}, "needs base_url too"),
        ({"site_id": "1,2"}, "several sites are several sources"),
        ({"base_url": "clinic.example"}, "write the whole address"),
    ],
)
def test_half_a_configuration_is_one_clear_line(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        options("matomo", **given)


def test_sessions_of_record_and_the_address_do_not_change_how_files_are_read() -> None:
    plain = options("matomo")
    marked = options("matomo", sessions_of_record=True, base_url="https://a.example")
    stream = stream_of(plain, "visits")
    assert CONNECTOR.fingerprint(plain, stream) == CONNECTOR.fingerprint(marked, stream)  # type: ignore[arg-type]


# --- the real sample ---


SAMPLE = "web_analytics/matomo/Live.getLastVisitsDetails_day.xml"


def test_the_real_sample_has_no_times_and_lands_nothing(shared: Path) -> None:
    """Its volatile fields, all times among them, were stripped: see the fixture's provenance."""
    found = read(CONNECTOR, shared / SAMPLE)
    assert found.reasons == ["started_at: is empty but required"] * 10
    assert found.log.unknown_columns == set()


def test_the_real_sample_read_to_its_figures(shared: Path, tmp_path: Path) -> None:
    first = 1_700_000_000
    text = re.sub(
        r"<idVisit>(\d+)</idVisit>",
        lambda m: f"{m[0]}<firstActionTimestamp>{first + int(m[1])}</firstActionTimestamp>",
        (shared / SAMPLE).read_text(),
    )
    path = tmp_path / "day.xml"
    path.write_text(text)
    rows = {row["visit_id"]: row for row in read(CONNECTOR, path).landed}
    assert sorted(rows) == ["20", "21", "22", "23", "24", "25", "26", "27", "28", "29"]
    order = rows["27"]
    del order["_row_number"]
    assert {column: value for column, value in order.items() if value is not None} == {
        "site_id": "1",
        "visit_id": "27",
        "started_at": datetime.fromtimestamp(first + 27, tz=UTC),
        "ended_at": datetime.fromtimestamp(first + 27, tz=UTC),
        "visitor_type": "returning",
        "visit_count": 10,
        "landing_host": "example.com",
        "landing_path": "/",
        "referrer_type": "campaign",
        "referrer_name": "ecommerce_campaign",
        "referrer_keyword": "ecommerce_keyword",
        "campaign_source": "ecommerce_source",
        "campaign_medium": "ecommerce_medium",
        "campaign_name": "ecommerce_campaign",
        "campaign_id": "ecommmerce_campaignid",
        "campaign_content": "ecommerce_content",
        "campaign_keyword": "ecommerce_keyword",
        "device_type": "Desktop",
        "country_code": "fr",
        "pageviews": 1,
        "actions": 1,
        "interactions": 1,
        "duration_s": 1083,
    }
    assert (rows["20"]["campaign_source"], rows["20"]["campaign_keyword"]) == (
        "newsletter_6",
        "mot_clé_pépère",
    )
    assert rows["25"]["landing_path"] == "/homepage"  # goals of other pages do not move it
    # without the plugin's fields there is but the name
    assert (rows["22"]["referrer_name"], rows["22"]["referrer_keyword"]) == (
        "campaign_hashed",
        "keyword from #hash tag parameter",
    )
    assert rows["22"]["campaign_source"] is None
    assert len(rows["24"]["referrer_name"]) == 250  # cut by Matomo
    assert {row["visitor_type"] for row in rows.values()} == {"returning"}


# --- formats ---


def as_json(rows: Sequence[dict[str, Any]]) -> bytes:
    return json.dumps(list(rows), ensure_ascii=False).encode()


def as_xml(rows: Sequence[dict[str, Any]]) -> bytes:
    def element(name: str, value: Any, depth: int) -> str:
        pad = "\t" * depth
        if isinstance(value, list):
            inner = "".join(element("row", item, depth + 1) for item in value)
        elif isinstance(value, dict):
            inner = "".join(element(key, item, depth + 1) for key, item in value.items())
        elif value is None or value is False or value == "":
            return f"{pad}<{name} />\n"
        else:
            return f"{pad}<{name}>{escape(str(value))}</{name}>\n"
        return f"{pad}<{name}>\n{inner}{pad}</{name}>\n"

    body = "".join(element("row", row, 1) for row in rows)
    return f'<?xml version="1.0" encoding="utf-8" ?>\n<result>\n{body}</result>'.encode()


def as_table(rows: Sequence[dict[str, Any]], delimiter: str, heading: str, encoding: str) -> bytes:
    """Nested values as columns of their own, as the renderer flattens them; `heading` names an action's."""
    flat: list[dict[str, Any]] = []
    for row in rows:
        out: dict[str, Any] = {}
        for name, value in row.items():
            if name != "actionDetails":
                out[name] = "" if value is None else 0 if value is False else value
                continue
            for number, action in enumerate(value):
                out |= {heading.format(number=number, name=key): item for key, item in action.items()}
        flat.append(out)
    names = list(dict.fromkeys(name for row in flat for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue().encode(encoding)


UI, API = "{name} (actionDetails {number})", "actionDetails_{number}_{name}"
FORMATS: dict[str, Callable[[Sequence[dict[str, Any]]], bytes]] = {
    "visits.json": as_json,
    "visits.xml": as_xml,
    "visits.csv": lambda rows: as_table(rows, ",", UI, "utf-16"),
    "visits.tsv": lambda rows: as_table(rows, "\t", API, "utf-16"),
    "visits-utf8.csv": lambda rows: as_table(rows, ",", API, "utf-8-sig"),
    "visits.json.gz": lambda rows: gzip.compress(as_json(rows)),
    "visits.xml.gz": lambda rows: gzip.compress(as_xml(rows)),
}


def saved(tmp_path: Path, name: str, content: bytes | str, **given: Any) -> Read:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(CONNECTOR, path, **given)


def refused(tmp_path: Path, name: str, content: bytes | str, **given: Any) -> str:
    with pytest.raises(FileRefused) as caught:
        saved(tmp_path, name, content, **given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


RICH = [
    visit(
        1,
        "2024-03-30T10:00",
        "2024-03-30T10:20",
        userId="crm-17",
        visitorType="returningCustomer",
        referrerType="search",
        referrerName="Google",
        referrerKeyword="ana horvat 0911234567",
        referrerUrl="https://www.google.com/search?q=ana+horvat",
        city="Zagreb & okolica",
        actionDetails=[
            {"type": "download", "url": "https://clinic.example/price.pdf"},
            {"type": "event", "url": "https://clinic.example/ent?gclid=Cj0K_x&name=Ana", "eventName": "x"},
            {"type": "action", "url": "https://clinic.example/book", "pageTitle": 'Book, "now"'},
            {"type": "outlink", "url": "https://other.example/"},
            {"type": "action", "url": "https://clinic.example/done"},
        ],
    ),
    visit(
        2,
        "2024-03-30T11:00",
        referrerType="campaign",
        referrerName="Proljeće; 2024",
        referrerKeyword="uho grlo nos",
        campaignSource="newsletter",
        campaignName="Proljeće; 2024",
        actionDetails=[],
    ),
]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    found = saved(tmp_path, name, FORMATS[name](RICH))
    first, second = found.landed
    assert (first["landing_path"], first["page_click_id_type"], first["page_click_id"]) == (
        "/ent",
        "gclid",
        "Cj0K_x",
    )
    assert (first["pageviews"], first["user_ref"], first["visitor_type"], first["city"]) == (
        2,
        "crm-17",
        "returningCustomer",
        "Zagreb & okolica",
    )
    assert (first["referrer_host"], first["referrer_name"], first["referrer_keyword"]) == (
        "www.google.com",
        "Google",
        None,
    )
    assert first["started_at"] == datetime(2024, 3, 30, 9, 0, tzinfo=UTC)
    assert (second["referrer_name"], second["referrer_keyword"], second["campaign_source"]) == (
        "Proljeće; 2024",
        "uho grlo nos",
        "newsletter",
    )
    assert (second["pageviews"], second["landing_path"]) == (0, None)
    assert found.log.unknown_columns == set()
    for personal in ("ana", "Ana", "0911234567", "203.0.113.7", "Book", "fingerprint", "e16cf2"):
        assert personal not in str(found.landed) + str(found.raw)


def test_a_user_id_that_is_an_address_or_a_number_is_hashed(tmp_path: Path) -> None:
    for user in ("ana@mail.example", "+385 91 123 4567"):
        row = saved(tmp_path, "v.json", as_json([visit(1, "2024-03-30T10:00", userId=user)])).landed[0]
        assert re.fullmatch("[0-9a-f]{32}", row["user_ref"])


@pytest.mark.parametrize("name", FORMATS)
def test_no_id_is_nobodys_id(tmp_path: Path, name: str) -> None:
    rows = [visit(1, "2024-03-30T10:00", userId=False, visitorId=False)]
    landed = saved(tmp_path, name, FORMATS[name](rows)).landed[0]
    assert (landed["user_ref"], landed["visitor_id"]) == (None, None)


def test_another_site_of_the_file_is_passed_over_where_one_is_configured(tmp_path: Path) -> None:
    body = as_json([visit(1, "2024-03-30T10:00"), visit(1, "2024-03-30T10:00", idSite=4)])
    assert [r["site_id"] for r in saved(tmp_path, "v.json", body).landed] == ["3", "4"]
    found = saved(tmp_path, "v.json", body, site_id=3)
    assert [r["site_id"] for r in found.landed] == ["3"]
    assert found.log.skipped == {"another site": 1}


def test_a_configured_site_stands_in_where_the_file_names_none(tmp_path: Path) -> None:
    bare = {key: value for key, value in visit(1, "2024-03-30T10:00").items() if key != "idSite"}
    assert saved(tmp_path, "v.json", as_json([bare]), site_id=3).landed[0]["site_id"] == "3"
    assert saved(tmp_path, "v.json", as_json([bare])).reasons == ["site_id: is empty but required"]


def test_serverTimestamp_is_the_end_not_the_start(tmp_path: Path) -> None:  # noqa: N802 - the vendor's name
    row = visit(1, "2024-03-30T10:00", "2024-03-30T10:40")
    del row["lastActionTimestamp"]
    landed = saved(tmp_path, "v.json", as_json([row])).landed[0]
    assert (landed["ended_at"] - landed["started_at"]).seconds == 2400


def test_a_field_nobody_knows_is_named(tmp_path: Path) -> None:
    rows = [visit(1, "2024-03-30T10:00", mood="good", dimension1="x", newPluginIcon="y")]
    for name, render in FORMATS.items():
        assert saved(tmp_path, name, render(rows)).log.unknown_columns == {"mood"}, name


def test_several_days_in_one_document(tmp_path: Path) -> None:
    days = [as_xml([row]).split(b"\n", 1)[1] for row in RICH]
    body = b'<?xml version="1.0" encoding="utf-8" ?>\n<results>\n' + b"\n".join(days) + b"\n</results>"
    assert [row["visit_id"] for row in saved(tmp_path, "v.xml", body).landed] == ["1", "2"]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("v.json", "[]"),
        ("v.xml", '<?xml version="1.0" encoding="utf-8" ?>\n<result />'),
        ("v.xml", "<results><result date='2024-01-01' /></results>"),
        ("v.csv", "No data available"),
    ],
)
def test_a_day_without_visits_is_no_rows(tmp_path: Path, name: str, body: str) -> None:
    assert saved(tmp_path, name, body).raw == []


# --- what is no export ---


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("v.json", "", "is empty"),
        ("v.json", '{"result": "error", "message": "no"}', "error answer or one list per day"),
        ("v.json", '{"2024-03-30": [], "2024-03-31": []}', "one list per day"),
        ("v.json", '[{"idVisit": "1"}, {"idV', "not whole JSON"),
        ("v.json", b'[{"idVisit": "\xe9"}]', "not whole JSON"),
        ("v.xml", "<!DOCTYPE html><html></html>", "document type declaration"),
        ("v.xml", "<html><body/></html>", "is no answer of Matomo"),
        ("v.xml", '<result><error message="no access" /></result>', "is an error answer"),
        ("v.xml", "<result><row><idVisit>1</idVisit>", "not whole XML"),
        ("v.xml", "<result><row></result>", "not whole XML"),
        ("v.xml", b"<result><row><city>\xe9</city></row></result>", "not whole XML"),
        ("v.xml", "<result><row><city>&bomb;</city></row></result>", "not whole XML"),
        ("v.csv", "a,b\n1,2\n", "no column idVisit"),
        ("v.csv", "idVisit,idSite\n1,2\n", "no column firstActionTimestamp"),
        ("v.csv", 'idVisit,firstActionTimestamp\n1,"17', "cut short"),
        ("v.csv", "Datum;Besuche\n1;2\n", "no column idVisit"),
    ],
)
def test_what_is_no_list_of_visits_is_refused(
    tmp_path: Path, name: str, content: bytes | str, reason: str
) -> None:
    assert reason in refused(tmp_path, name, content)


BOMB = """<?xml version="1.0"?>
<!DOCTYPE result [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY secret SYSTEM "file:///etc/passwd">]>
<result><row><idVisit>1</idVisit><city>&b;&secret;</city></row></result>"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_never_resolved(tmp_path: Path, encoding: str) -> None:
    assert "document type declaration" in refused(tmp_path, "v.xml", BOMB.encode(encoding))


def test_a_gzip_cut_short_is_refused(tmp_path: Path) -> None:
    for name in ("visits.xml.gz", "visits.json.gz"):
        body = FORMATS[name]([visit(n, "2024-03-30T10:00", city=f"{n * 7919}") for n in range(300)])
        refused(tmp_path, name, body[: len(body) // 2])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"firstActionTimestamp": "yesterday"}, "started_at: is not in seconds since 1970"),
        ({"firstActionTimestamp": "9" * 30}, "started_at: is not in seconds since 1970"),
        ({"lastActionTimestamp": "1.5e9"}, "started_at: is not in seconds since 1970"),
        ({"firstActionTimestamp": ""}, "started_at: is empty but required"),
        ({"idVisit": None}, "visit_id: is empty but required"),
        ({"actions": "many"}, "actions: is not a whole number"),
        ({"lastActionTimestamp": 4_000_000_000}, "ended_at: lies in the future of the file (2030-01-02)"),
    ],
)
def test_an_unusable_visit_is_quarantined_alone(tmp_path: Path, fields: dict[str, Any], reason: str) -> None:
    rows = [visit(1, "2024-03-30T10:00"), visit(2, "2024-03-30T10:00", **fields)]
    found = saved(tmp_path, "v.json", as_json(rows))
    assert [row["visit_id"] for row in found.landed] == ["1"]
    assert found.reasons == [reason]


def test_rows_out_of_shape_are_quarantined_alone(tmp_path: Path) -> None:
    assert (
        saved(tmp_path, "v.json", '[1, "x", null, {"idVisit": []}]').reasons[:3]
        == [": is not shaped like a visit"] * 3
    )
    body = "idSite,idVisit,firstActionTimestamp\n3,1,1700000000\n3,2\n\n3,3,1700000000,5\n"
    found = saved(tmp_path, "v.csv", body)
    assert [row["visit_id"] for row in found.landed] == ["1"]
    assert found.reasons == [": has 2 cells under 3 headings", ": has 4 cells under 3 headings"]


def test_actions_of_a_shape_nobody_knows_are_left_alone(tmp_path: Path) -> None:
    rows = [
        visit(1, "2024-03-30T10:00", actionDetails=False),
        visit(2, "2024-03-30T10:00", actionDetails=["x", {"type": "action"}, {"url": None}]),
    ]
    found = saved(tmp_path, "v.json", as_json(rows))
    assert [(row["pageviews"], row["landing_path"]) for row in found.landed] == [(None, None), (1, None)]


# --- properties ---

words = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12)
some_visits = st.lists(
    st.builds(
        lambda number, city, name, pages: visit(
            number,
            "2024-03-30T10:00",
            city=city,
            referrerType="campaign",
            referrerName=name,
            actionDetails=[{"type": "action", "url": f"https://c.example/{page}"} for page in range(pages)],
        ),
        st.integers(1, 10**12),
        words,
        words,
        st.integers(0, 3),
    ),
    max_size=5,
)


@given(rows=some_visits, name=st.sampled_from(["visits.json", "visits.xml", "visits.xml.gz"]))
def test_every_visit_of_a_document_lands_with_what_it_says(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], name: str
) -> None:
    found = saved(tmp_path_factory.mktemp("matomo"), name, FORMATS[name](rows))
    assert [row["visit_id"] for row in found.landed] == [row["idVisit"] for row in rows]
    assert [row["city"] for row in found.landed] == [row["city"].strip() or None for row in rows]
    assert [row["pageviews"] for row in found.landed] == [len(row["actionDetails"]) for row in rows]


@given(cut=st.integers(0, 3000))
def test_a_document_cut_anywhere_is_refused_or_whole(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    body = as_xml(RICH)
    folder = tmp_path_factory.mktemp("matomo")
    if cut >= len(body):
        assert len(saved(folder, "v.xml", body[:cut]).landed) == 2
    else:
        refused(folder, "v.xml", body[:cut])
