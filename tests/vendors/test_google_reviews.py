"""Google reviews: the paged list of every location, edited and deleted reviews, files; no names, no texts."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
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
from connectors.google_reviews import CONNECTOR
from connectors.privacy import Privacy
from pipelines.config import load_clinic
from pipelines.landing import Landing
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

STARS = ("ONE", "TWO", "THREE", "FOUR", "FIVE")
CENTRE, HARBOUR = "7001234567890123456", "42"


def review(number: int, stars: int = 5, location: str = CENTRE, **given: Any) -> dict[str, Any]:
    review_id = f"AbFvOq{number:03}-_x"
    return {
        "name": f"accounts/99/locations/{location}/reviews/{review_id}",
        "reviewId": review_id,
        "reviewer": {"displayName": "Ana Horvat", "profilePhotoUrl": "https://lh3.example/photo"},
        "starRating": STARS[stars - 1],
        "comment": "Dr Novak cured my tinnitus, call me at +385 91 234 5678",
        "createTime": f"2024-03-{number % 28 + 1:02}T10:15:30.123456789Z",
        "updateTime": f"2024-04-{number % 28 + 1:02}T10:15:30Z",
        "reviewReply": {"comment": "Thank you, Ana", "updateTime": "2024-05-01T00:00:00Z"},
        **given,
    }


class Profile:
    """A Business Profile account and the token endpoint."""

    def __init__(self, refresh_token: str = "r3fresh") -> None:
        self.refresh_token = refresh_token
        self.reviews: dict[str, list[dict[str, Any]]] = {
            CENTRE: [review(n, n % 5 + 1) for n in range(1, 122)],
            HARBOUR: [review(500 + n, 3, HARBOUR) for n in range(2)],
        }
        # What a location counts beyond what it lists.
        self.uncounted = 0
        self.tokens = 0
        self.pages: list[tuple[str, str]] = []

    def __call__(self, request: Request) -> Reply:
        if request.path == "/token":
            return self._token(request)
        if request.headers.get("Authorization") != f"Bearer access-{self.tokens}":
            return error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        parts = request.path.split("/")
        if request.method != "GET" or parts[:5] != ["", "v4", "accounts", "99", "locations"]:
            return error(404, "NOT_FOUND", "Requested entity was not found.")
        location = parts[5]
        if location not in self.reviews or parts[6:] != ["reviews"]:
            return error(404, "NOT_FOUND", "Requested entity was not found.")
        if not set(request.query) <= {"pageSize", "pageToken", "orderBy"}:
            return error(400, "INVALID_ARGUMENT", "Unknown name in the query")
        size = int(request.query.get("pageSize", "50"))
        if not 0 < size <= 50 or request.query.get("orderBy") not in (
            "updateTime desc",
            "rating",
            "rating desc",
        ):
            return error(400, "INVALID_ARGUMENT", "Request contains an invalid argument.")
        token = request.query.get("pageToken", "")
        self.pages.append((location, token))
        listed = self.reviews[location]
        start = int(token.removeprefix("page=")) if token else 0
        body: dict[str, Any] = {}
        if listed:
            body = {
                "reviews": listed[start : start + size],
                "averageRating": 4.2,
                "totalReviewCount": len(listed) + self.uncounted,
            }
        if start + size < len(listed):
            body["nextPageToken"] = f"page={start + size}"
        return Reply(body)

    def _token(self, request: Request) -> Reply:
        form = request.form()
        if (form["client_id"], form["client_secret"]) != ("id.apps", "cl13nt"):
            return Reply({"error": "invalid_client"}, 401)
        if form["grant_type"] != "refresh_token" or form["refresh_token"] != self.refresh_token:
            return Reply({"error": "invalid_grant", "error_description": "Bad Request"}, 400)
        self.tokens += 1
        return Reply({"access_token": f"access-{self.tokens}", "expires_in": 3599})


def error(status: int, name: str, message: str, limit: str | None = None) -> Reply:
    body: dict[str, Any] = {"code": status, "message": message, "status": name}
    if limit is not None:
        body["details"] = [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "RATE_LIMIT_EXCEEDED",
                "metadata": {"quota_limit_value": limit, "service": "mybusiness.googleapis.com"},
            }
        ]
    return Reply({"error": body}, status)


def source_at(url: str, refresh_token: str = "r3fresh", **given: Any) -> SourceOptions:
    return options(
        "google_reviews",
        **{
            "account": "99",
            "locations": {CENTRE: "Centre", HARBOUR: "Harbour"},
            "client_id": "id.apps",
            "client_secret": "cl13nt",
            "refresh_token": refresh_token,
            "base_url": url,
            "token_url": f"{url}/token",
            **given,
        },
    )


class TestGoogleReviewsApi(ApiContract):
    stream = "reviews"
    key = "review_id"
    asked = window("2024-03-10")
    empty = window("2024-03-10")
    setting = "refresh_token"
    renews = True
    ids = [f"AbFvOq{n:03}-_x" for n in (*range(1, 122), 500, 501)]  # noqa: RUF012
    has_reviews = True

    def fresh(self) -> None:
        self._profile = Profile(self.secret)

    def vendor(self, request: Request) -> Reply:
        return self._profile(request)

    def source(self, url: str) -> SourceOptions:
        return source_at(url, self.secret)

    def test_an_empty_day_is_no_rows_and_no_error(self, pauses: list[float]) -> None:
        """The whole list is asked whatever the day: here of locations that nobody has reviewed yet."""
        self.fresh()
        self._profile.reviews = {CENTRE: [], HARBOUR: []}
        with playing(self.vendor) as server:
            assert fetched(self.source(server.url), self.stream, self.empty) == []


@pytest.fixture
def profile() -> Profile:
    return Profile()


def reviews(profile: Profile, log: ReadLog | None = None, **given: Any) -> list[dict[str, Any]]:
    with playing(profile) as server:
        return fetched(source_at(server.url, **given), "reviews", window("2024-03-10"), log)


def refusal(vendor: Any, kind: type[ConnectorError], **given: Any) -> str:
    with playing(vendor) as server, pytest.raises(kind) as failed:
        fetched(source_at(server.url, **given), "reviews", window("2024-03-10"))
    assert "\n" not in str(failed.value)
    return str(failed.value)


# --- what lands ---


def test_stars_times_and_branches_land_and_nothing_else(profile: Profile, pauses: list[float]) -> None:
    log = ReadLog()
    rows = reviews(profile, log)
    assert rows[0] == {
        "review_id": "AbFvOq001-_x",
        "location_id": CENTRE,
        "branch": "Centre",
        # Google's nanoseconds are cut to microseconds.
        "reviewed_at": datetime(2024, 3, 2, 10, 15, 30, 123456, tzinfo=UTC),
        "updated_at": datetime(2024, 4, 2, 10, 15, 30, tzinfo=UTC),
        "rating": 2.0,
        "_row_number": 1,
    }
    assert {row["branch"] for row in rows} == {"Centre", "Harbour"}
    assert log.control_totals == {("locations", "rows"): 123}
    assert log.notes == []
    assert not any(word in repr(rows) for word in ("Ana", "Horvat", "Novak", "234 5678", "photo", "Thank"))


def test_every_page_of_every_location_is_read_once(profile: Profile, pauses: list[float]) -> None:
    reviews(profile)
    assert profile.pages == [(CENTRE, ""), (CENTRE, "page=50"), (CENTRE, "page=100"), (HARBOUR, "")]


@pytest.mark.parametrize("stars", range(1, 6))
def test_a_star_is_a_word(profile: Profile, stars: int, pauses: list[float]) -> None:
    profile.reviews = {CENTRE: [review(1, stars)], HARBOUR: []}
    assert [row["rating"] for row in reviews(profile)] == [float(stars)]


def test_a_review_without_stars_has_none(profile: Profile, pauses: list[float]) -> None:
    without = review(2)
    del without["starRating"]
    profile.reviews = {CENTRE: [review(1, starRating="STAR_RATING_UNSPECIFIED"), without], HARBOUR: []}
    assert [row["rating"] for row in reviews(profile)] == [None, None]


def test_a_location_without_a_branch_is_read_too(profile: Profile, pauses: list[float]) -> None:
    rows = reviews(profile, locations=[int(HARBOUR)])
    assert [(row["location_id"], row["branch"]) for row in rows] == [(HARBOUR, None)] * 2


def test_reviews_that_move_between_pages_count_once(profile: Profile, pauses: list[float]) -> None:
    def vendor(request: Request) -> Reply:
        reply = profile(request)
        if len(profile.pages) == 1:
            # Written while the first page is on its way: everything moves by one.
            profile.reviews[CENTRE] = [review(300), *profile.reviews[CENTRE]]
        return reply

    log = ReadLog()
    with playing(vendor) as server:
        rows = fetched(source_at(server.url), "reviews", window("2024-03-10"), log)
    ids = [row["review_id"] for row in rows]
    assert len(ids) == len(set(ids)) == 123
    assert log.notes == [f"location {CENTRE} lists 121 of the 122 reviews that it counts"]


def test_a_list_much_shorter_than_its_count_is_refused(profile: Profile, pauses: list[float]) -> None:
    profile.uncounted = 3
    assert "lists 121 of 124 reviews" in refusal(profile, IncompleteError)
    profile.uncounted = 2
    log = ReadLog()
    assert len(reviews(profile, log, locations=[CENTRE])) == 121
    assert log.notes == [f"location {CENTRE} lists 121 of the 123 reviews that it counts"]


def test_pages_that_go_round_end(profile: Profile, pauses: list[float]) -> None:
    def vendor(request: Request) -> Reply:
        reply = profile(request)
        if isinstance(reply.body, dict) and "reviews" in reply.body:
            reply.body["nextPageToken"] = "page=50"
        return reply

    assert "circle" in refusal(vendor, IncompleteError)


def test_a_deleted_review_goes_and_an_edited_one_has_its_new_stars(
    profile: Profile, pauses: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile.reviews = {CENTRE: [review(1, 5), review(2, 5), review(3, 5)]}
    monkeypatch.setenv("SECRET", "cl13nt")
    monkeypatch.setenv("REFRESH", "r3fresh")
    with playing(profile) as server:
        config = tmp_path / "clinic.yaml"
        config.write_text(
            "clinic: {name: Test, timezone: Europe/Zagreb, currency: EUR, phone_region: HR}\n"
            "sources:\n"
            "  google:\n"
            "    kind: google_reviews\n"
            "    account: 99\n"
            f"    locations: {{{CENTRE}: Centre}}\n"
            "    client_id: id.apps\n"
            '    client_secret: "${SECRET}"\n'
            '    refresh_token: "${REFRESH}"\n'
            f"    base_url: {server.url}\n"
            f"    token_url: {server.url}/token\n"
        )
        place = Landing(load_clinic(config, tmp_path / "data"), Privacy(b"k" * 32, "HR"))
        place.prepare()
        assert [record.status for record in place.land("google_reviews", "reviews")] == ["landed"]
        edited = review(2, 1, updateTime="2024-06-01T00:00:00Z")
        profile.reviews = {CENTRE: [edited, review(1, 5)]}
        assert [record.status for record in place.land("google_reviews", "reviews")] == ["landed"]
    folder = tmp_path / "data/landing/google_reviews/reviews/source=google"
    found = [row for path in folder.glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    assert {row["review_id"]: row["rating"] for row in found} == {"AbFvOq001-_x": 5, "AbFvOq002-_x": 1}
    # No name, no word of a review is anywhere in what was written.
    written = b"".join(p.read_bytes() for p in (tmp_path / "data").rglob("*") if p.is_file())
    assert not any(word in written for word in (b"Horvat", b"tinnitus", b"Thank you", b"234 5678"))


# --- errors ---


def failing(reply: Reply, kind: type[ConnectorError]) -> tuple[str, int]:
    """(message, questions) of a profile that answers every question so."""
    profile = Profile()
    asked = 0

    def vendor(request: Request) -> Reply:
        nonlocal asked
        if request.path == "/token":
            return profile(request)
        asked += 1
        return reply

    return refusal(vendor, kind), asked


def test_a_project_without_access_is_told_so(pauses: list[float]) -> None:
    message, asked = failing(error(429, "RESOURCE_EXHAUSTED", "Quota exceeded", limit="0"), AuthError)
    assert "no access to the API yet" in message
    assert asked == 2
    assert failing(error(429, "RESOURCE_EXHAUSTED", "Quota exceeded", limit="300"), TransientError)[1] == 6


def test_a_login_without_rights_says_what_google_says(pauses: list[float]) -> None:
    message, _ = failing(error(403, "PERMISSION_DENIED", "The caller does not have permission"), AuthError)
    assert "The caller does not have permission" in message


def test_a_revoked_refresh_token_asks_for_a_person(profile: Profile, pauses: list[float]) -> None:
    profile.refresh_token = "another"
    assert "mend `refresh_token`" in refusal(profile, AuthError)


def test_a_wrong_location_names_the_settings(profile: Profile, pauses: list[float]) -> None:
    message = refusal(profile, PermanentError, locations=["777"])
    assert "`account` or `locations`" in message


@pytest.mark.parametrize("body", [[], 5, {"reviews": {}}, {"reviews": "none"}])
def test_an_answer_that_is_no_list_is_an_error_not_a_crash(body: Any, pauses: list[float]) -> None:
    assert "no list of reviews" in failing(Reply(body), PermanentError)[0]


def test_the_probe_counts_the_reviews(profile: Profile, pauses: list[float]) -> None:
    with playing(profile) as server:
        said = CONNECTOR.probe(source_at(server.url))  # type: ignore[arg-type]
    assert said == "answers; 123 reviews of 2 locations"


# --- routes and options ---


def test_the_list_is_read_whole() -> None:
    source = source_at("http://127.0.0.1:1")
    route = CONNECTOR.route(source, stream_of(source, "reviews"))  # type: ignore[arg-type]
    assert route is not None
    assert route.by == "whole"
    without = options("google_reviews")
    assert CONNECTOR.route(without, stream_of(without, "reviews")) is None  # type: ignore[arg-type]


def test_half_a_configuration_is_one_clear_line() -> None:
    with pytest.raises(ValidationError, match="missing: account, client_secret, refresh_token, locations"):
        options("google_reviews", client_id="c")
    with pytest.raises(ValidationError, match="behind accounts/ or locations/"):
        options("google_reviews", locations={"the centre": "Centre"})
    named = options("google_reviews", account="accounts/99", locations={"locations/42": "Harbour"})
    assert (named.account, named.locations) == ("99", {"42": "Harbour"})  # type: ignore[attr-defined]


# --- files ---


def given_file(tmp_path: Path, content: str | bytes, name: str = "reviews.json", **given: Any) -> Read:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(CONNECTOR, path, **{"locations": {CENTRE: "Centre"}, **given})


def test_a_saved_answer_gives_what_the_api_gives(tmp_path: Path) -> None:
    listed = [review(1, 4), review(2, 1)]
    page = given_file(tmp_path, json.dumps({"reviews": listed, "averageRating": 2.5, "totalReviewCount": 2}))
    pages = given_file(tmp_path, json.dumps([{"reviews": listed[:1]}, {"reviews": listed[1:]}]))
    assert page.landed == pages.landed
    assert [(row["review_id"], row["rating"], row["branch"]) for row in page.landed] == [
        ("AbFvOq001-_x", 4.0, "Centre"),
        ("AbFvOq002-_x", 1.0, "Centre"),
    ]
    assert given_file(tmp_path, "{}").raw == []


def test_the_id_may_stand_in_the_name_alone(tmp_path: Path) -> None:
    archived = review(1)
    del archived["reviewId"]
    assert given_file(tmp_path, json.dumps({"reviews": [archived]})).landed[0]["review_id"] == "AbFvOq001-_x"


CSV = "Review ID,Reviewer,Star rating,Comment,Create time,Update time,Location\n"


def test_a_csv_is_read_without_names_and_texts(tmp_path: Path) -> None:
    found = given_file(
        tmp_path,
        CSV
        + 'a1,Ana Horvat,FIVE,"Great, thanks",2024-03-08T10:00:00Z,2024-03-09T10:00:00Z,Centre\n'
        + f"a2,Ivo,1,Bad,2024-03-08T23:30:00,,{CENTRE}\n"
        + "\n"
        + "a3,Eva,3.0,Fair,2024-03-08,,\n",
        "reviews.csv",
    )
    assert [
        (row["review_id"], row["rating"], row["branch"], row["location_id"], row["reviewed_at"])
        for row in found.landed
    ] == [
        ("a1", 5.0, "Centre", None, datetime(2024, 3, 8, 10, tzinfo=UTC)),
        # A local time, of the clinic's zone.
        ("a2", 1.0, "Centre", CENTRE, datetime(2024, 3, 8, 22, 30, tzinfo=UTC)),
        ("a3", 3.0, None, None, datetime(2024, 3, 8, 22, 59, 59, 999999, tzinfo=UTC)),
    ]
    assert found.log.unknown_columns == set()
    assert found.log.skipped == {"blank line": 1}
    assert not any(word in repr(found.raw) for word in ("Horvat", "Great", "Bad"))


def test_a_column_called_name_is_a_persons(tmp_path: Path) -> None:
    found = given_file(tmp_path, "name,id,rating,date\nAna,a1,5,2024-03-08\n", "r.csv")
    assert found.landed[0]["review_id"] == "a1"
    assert "Ana" not in repr(found.raw)
    with pytest.raises(FileRefused, match="no column review_id"):
        given_file(tmp_path, "name,rating,date\nAna,5,2024-03-08\n", "r.csv")


def test_an_xlsx_is_read_like_the_csv(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.append(["id", "stars", "date", "mood"])
    page.append(["a1", 4, datetime(2024, 3, 8, 10, 30), "x"])
    book.save(tmp_path / "reviews.xlsx")
    found = read(CONNECTOR, tmp_path / "reviews.xlsx")
    assert [(row["review_id"], row["rating"], row["reviewed_at"]) for row in found.landed] == [
        ("a1", 4.0, datetime(2024, 3, 8, 9, 30, tzinfo=UTC))
    ]
    assert found.log.unknown_columns == {"mood"}


def test_times_of_people_need_their_format(tmp_path: Path) -> None:
    text = "id,rating,date\na1,5,08.03.2024 10:00\n"
    assert given_file(tmp_path, text, "r.csv").reasons == [
        "reviewed_at: is not a date in the format ISO 8601"
    ]
    landed = given_file(tmp_path, text, "r.csv", date_format="%d.%m.%Y %H:%M").landed
    assert landed[0]["reviewed_at"].date() == date(2024, 3, 8)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a1,SIX,2024-03-08", "rating: is none of one to five stars"),
        ("a1,0,2024-03-08", "rating: is none of one to five stars"),
        ("a1,4.5,2024-03-08", "rating: is none of one to five stars"),
        ("a1,5,", "reviewed_at: is empty but required"),
        ("a1,5,soon", "reviewed_at: is not a date in the format ISO 8601"),
        ("a1,5,0023-03-08", "reviewed_at: has the absurd year 23"),
        ("a1,5,2099-03-08", "reviewed_at: lies in the future of the file (2030-01-02)"),
        (",5,2024-03-08", "review_id: is empty but required"),
        ("Ana Horvat,5,2024-03-08", "review_id: is not shaped like an id"),
        ("1.23E+17,5,2024-03-08", "review_id: was ruined by a spreadsheet (1,23E+10); export it as text"),
    ],
)
def test_a_bad_row_is_quarantined_and_the_rest_lands(tmp_path: Path, row: str, reason: str) -> None:
    found = given_file(tmp_path, f"id,rating,date\n{row}\nb2,4,2024-03-08\n", "r.csv")
    assert found.reasons == [reason]
    assert [landed["review_id"] for landed in found.landed] == ["b2"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        ("<!DOCTYPE html><html></html>", "web page"),
        ('{"reviews": [{"reviewId": "a"', "not whole JSON"),
        ('{"error": {"code": 403}}', "no answer of reviews.list"),
        ("[]", "no answer of reviews.list"),
        ('{"reviews": [5]}', "no review"),
        ("id,text\nAna,Great\n", "no column rating, reviewed_at"),
        ("rating,date\n5,2024-03-08\n", "no column review_id"),
        ("id,rating,date\na1,5\n", "has 2 cells under 3 headings"),
        ('id,rating,date\na1,5,"2024', "cut short"),
        ("id,rating,date,comment\na1,5,2024-03-08,odličan\n".encode("cp1250"), "utf-8"),
    ],
)
def test_what_is_no_list_of_reviews_is_refused_whole(
    tmp_path: Path, content: str | bytes, reason: str
) -> None:
    with pytest.raises(FileRefused) as failed:
        given_file(tmp_path, content)
    assert reason in str(failed.value)
    assert "Ana" not in str(failed.value)


def test_a_review_listed_twice_lands_once_with_its_newest_stars(tmp_path: Path) -> None:
    """The same review in two files: the later edit wins, whichever file came last."""
    config = tmp_path / "clinic.yaml"
    config.write_text(
        "clinic: {name: Test, timezone: Europe/Zagreb, currency: EUR, phone_region: HR}\n"
        "sources: {google: {kind: google_reviews}}\n"
    )
    place = Landing(load_clinic(config, tmp_path / "data"), Privacy(b"k" * 32, "HR"))
    place.prepare()
    inbox = tmp_path / "data/inbox/google/reviews"
    for name, edited in (
        ("a.json", review(1, 1, updateTime="2024-06-01T00:00:00Z")),
        ("b.json", review(1, 5)),
    ):
        (inbox / name).write_text(json.dumps({"reviews": [edited]}))
    assert {record.status for record in place.land("google_reviews", "reviews")} == {"landed"}
    folder = tmp_path / "data/landing/google_reviews/reviews/source=google"
    found = [row for path in folder.glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    assert [row["rating"] for row in found] == [1]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stars=st.lists(st.integers(0, 6), min_size=1, max_size=60),
    cut=st.integers(1, 20),
)
def test_every_review_lands_or_is_quarantined_once(stars: list[int], cut: int, tmp_path: Path) -> None:
    listed = [
        review(n, starRating=STARS[s - 1] if 1 <= s <= 5 else ("" if s == 0 else "SIX"))
        for n, s in enumerate(stars)
    ]
    pages = [{"reviews": listed[at : at + cut]} for at in range(0, len(listed), cut)]
    found = given_file(tmp_path, json.dumps(pages))
    assert len(found.landed) + len(found.quarantined) == len(stars)
    assert len(found.quarantined) == stars.count(6)
    assert sum(row["rating"] or 0 for row in found.landed) == sum(s for s in stars if 1 <= s <= 5)
