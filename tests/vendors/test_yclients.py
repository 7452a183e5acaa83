"""YCLIENTS: a branch played on loopback, the vendor's own examples, and odd data of branches."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.contract import ReadLog, SourceOptions
from connectors.errors import AuthError, FileRefused, IncompleteError, PermanentError, TransientError
from connectors.privacy import Privacy
from connectors.yclients import CONNECTOR
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

PARTNER, USER, COMPANY = "p4rtner/key", "us3r/key", "4564"
KEY = Privacy(b"k" * 32, "HR").phone_key("+79161234567")
_DATE, _MOMENT = re.compile(r"\d{4}-\d\d-\d\d"), re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_RECORD_FILTERS = {
    "page",
    "count",
    "start_date",
    "end_date",
    "changed_after",
    "changed_before",
    "with_deleted",
}
_MONEY_FILTERS = {
    "page",
    "count",
    "start_date",
    "end_date",
    "changed_after",
    "changed_before",
    "deleted",
    "real_money",
}
_CLIENT_FIELDS = {"id", "name", "phone", "email", "discount", "first_visit_date", "last_visit_date"}


def record(identity: int, day: str, **over: Any) -> dict[str, Any]:
    """A record as the list gives it, at 10:00 of a day, in Moscow."""
    return {
        "id": identity,
        "company_id": int(COMPANY),
        "staff_id": 9,
        "services": [{"id": 1, "title": "Consultation", "cost": 900, "first_cost": 1000, "discount": 10}],
        "goods_transactions": [],
        "staff": {"id": 9, "name": "Dr. Petrova"},
        "client": {"id": 500 + identity, "name": "Secret Name", "phone": "+79161234567", "email": ""},
        "date": f"{day} 10:00:00",
        "datetime": f"{day}T10:00:00+03:00",
        "create_date": f"{day}T08:00:00+0300",
        "comment": "a secret comment",
        "online": False,
        "attendance": 1,
        "seance_length": 3600,
        "visit_id": str(9000 + identity),
        "deleted": False,
        "from_url": "",
        "last_change_date": f"{day}T11:00:00+0300",
        **over,
    }


def payment(identity: int, day: str, **over: Any) -> dict[str, Any]:
    """A money operation as the list gives it."""
    return {
        "id": str(identity),
        "document_id": 22,
        "expense": {"id": "5", "title": "Оказание услуг"},
        "date": f"{day}T10:30:00+0300",
        "amount": "1000.00",
        "comment": "a secret comment",
        "master": [],
        "supplier": [],
        "account": {"id": "13881", "title": "Основная касса"},
        "client": {"id": "501", "name": "Secret Name", "phone": "+79161234567"},
        "last_change_date": f"{day}T10:30:00+0300",
        "record_id": 1,
        "visit_id": 9001,
        **over,
    }


class Branch:
    """One branch of YCLIENTS behind its API."""

    def __init__(self, user: str = USER) -> None:
        self.user = user
        self.records: list[dict[str, Any]] = []
        self.payments: list[dict[str, Any]] = []
        # Ids of operations that are not real money.
        self.points: set[str] = set()
        self.clients: list[dict[str, Any]] = []
        self.comments: list[dict[str, Any]] = []
        self.staff: list[dict[str, Any]] = []
        # A list gives no more than this at once, whatever `count` asks for.
        self.cap = 4
        self.kept_back = 0

    def __call__(self, request: Request) -> Reply:
        if request.headers.get("Authorization") != f"Bearer {PARTNER}, User {self.user}":
            return refusal(401, "Необходима авторизация")
        if request.headers.get("Accept") != "application/vnd.yclients.v2+json":
            return refusal(406, "unknown version")
        get = {
            f"/api/v1/company/{COMPANY}": lambda _q: whole(
                {"id": int(COMPANY), "title": "Ля Визаж", "timezone": 3, "timezone_name": "Europe/Moscow"}
            ),
            f"/api/v1/company/{COMPANY}/staff": lambda _q: whole(
                self.staff, {"total_count": len(self.staff)}
            ),
            f"/api/v1/accounts/{COMPANY}": lambda _q: whole(
                [
                    {"id": 13881, "title": "Основная касса", "type": 0, "comment": ""},
                    {"id": 13882, "title": "Расчетный счет", "type": 1, "comment": ""},
                ]
            ),
            f"/api/v1/records/{COMPANY}": self._records,
            f"/api/v1/transactions/{COMPANY}": self._payments,
            f"/api/v1/comments/{COMPANY}": lambda query: self._page(self.comments, query, {"page", "count"}),
        }
        if request.method == "GET" and request.path in get:
            return get[request.path](request.query)
        if (request.method, request.path) == ("POST", f"/api/v1/company/{COMPANY}/clients/search"):
            return self._search(request.json())
        return refusal(404, "Not found")

    def _records(self, query: dict[str, str]) -> Reply:
        found = [item for item in self.records if query.get("with_deleted") == "1" or not item["deleted"]]
        return self._page(self._filtered(found, query), query, _RECORD_FILTERS, is_counted=True)

    def _payments(self, query: dict[str, str]) -> Reply:
        found = self.payments
        if query.get("real_money") == "1":
            found = [item for item in found if item["id"] not in self.points]
        return self._page(self._filtered(found, query), query, _MONEY_FILTERS)

    def _filtered(self, items: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
        found = items
        if "start_date" in query:
            since, until = query["start_date"], query["end_date"]
            found = [item for item in found if since <= item["date"][:10] <= until]
        if "changed_after" in query:
            since, until = query["changed_after"], query["changed_before"]
            found = [item for item in found if since <= item["last_change_date"][:19] <= until]
        return found

    def _page(
        self,
        items: list[dict[str, Any]],
        query: dict[str, str],
        known: set[str],
        *,
        is_counted: bool = False,
    ) -> Reply:
        if set(query) - known:
            return refusal(400, f"unknown filter {sorted(set(query) - known)}")
        for name in ("start_date", "end_date"):
            if name in query and not _DATE.fullmatch(query[name]):
                return refusal(422, f"{name} is not a date")
        for name in ("changed_after", "changed_before"):
            if name in query and not _MOMENT.fullmatch(query[name]):
                return refusal(422, f"{name} is not a time")
        size = min(int(query["count"]), self.cap)
        begin = (int(query["page"]) - 1) * size
        rows = items[begin : begin + size]
        if self.kept_back and begin + size >= len(items):
            rows = rows[: -self.kept_back]
        return whole(rows, {"page": int(query["page"]), "total_count": len(items)} if is_counted else [])

    def _search(self, body: dict[str, Any]) -> Reply:
        if set(body) - {"page", "page_size", "fields", "order_by", "order_by_direction"}:
            return refusal(400, "unknown field of the search")
        if not set(body["fields"]) <= _CLIENT_FIELDS or not 1 <= body["page_size"] <= 200:
            return refusal(400, "Неверное значение")
        size = min(body["page_size"], self.cap)
        begin = (body["page"] - 1) * size
        ordered = sorted(self.clients, key=lambda card: card["id"])
        rows = [{name: card.get(name) for name in body["fields"]} for card in ordered[begin : begin + size]]
        return whole(rows, {"total_count": len(ordered)})


def whole(data: Any, meta: Any = None) -> Reply:
    return Reply({"success": True, "data": data, "meta": [] if meta is None else meta})


def refusal(status: int, message: str, headers: dict[str, str] | None = None) -> Reply:
    return Reply({"success": False, "data": None, "meta": {"message": message}}, status, headers or {})


def source_at(url: str, user: str = USER, **settings: Any) -> SourceOptions:
    return options(
        "yclients",
        company_id=COMPANY,
        partner_token=PARTNER,
        user_token=user,
        timezone="Europe/Moscow",
        base_url=f"{url}/api/v1",
        **settings,
    )


class TestYclientsApi(ApiContract):
    stream = "records"
    key = "record_id"
    asked = window("2024-03-08", "2024-03-17")
    empty = window("2023-01-01")
    ids = [str(n) for n in range(1, 11)]  # noqa: RUF012
    setting = "user_token"

    def vendor(self, request: Request) -> Reply:
        branch = Branch(self.secret)
        branch.records = [record(n, f"2024-03-{7 + n:02d}") for n in range(1, 11)]
        return branch(request)

    def source(self, url: str) -> SourceOptions:
        return source_at(url, self.secret)


@pytest.fixture
def branch() -> Branch:
    return Branch()


def landed(vendor: Branch, stream: str, asked: str = "2024-03-08", **settings: Any) -> list[dict[str, Any]]:
    log = settings.pop("log", None)
    with playing(vendor) as server:
        return fetched(source_at(server.url, **settings), stream, window(asked), log)


# --- records ---


def test_a_record_lands_with_its_lines_and_without_names_and_comments(
    branch: Branch, pauses: list[float]
) -> None:
    branch.records = [
        record(
            1,
            "2024-03-08",
            online=True,
            from_url="https://n.example/book?utm_source=Yandex&utm_campaign=ENT&yclid=123456&name=Secret",
            goods_transactions=[{"id": 3, "title": "Spray", "cost": "150.50", "first_cost": 150.5}],
        )
    ]
    first, second = landed(branch, "records", currency="RUB")
    assert first["scheduled_at"] == datetime(2024, 3, 8, 7, tzinfo=UTC)
    assert first["booked_at"] == datetime(2024, 3, 8, 5, tzinfo=UTC)
    assert (first["visit_id"], first["client_id"], first["phone_key"]) == ("9001", "501", KEY)
    assert (first["service"], first["cost"], first["first_cost"]) == (
        "Consultation",
        Decimal(900),
        Decimal(1000),
    )
    assert (second["line_no"], second["service"], second["is_product"]) == (2, "Spray", True)
    assert second["cost"] == Decimal("150.5")
    assert (first["utm_source"], first["utm_campaign"], first["landing_path"]) == ("yandex", "ENT", "/book")
    assert (first["click_id_type"], first["click_id"], first["is_online"]) == ("yclid", "123456", True)
    assert {first["currency"], second["currency"]} == {"RUB"}
    assert "Secret" not in str([first, second])
    assert "secret" not in str([first, second])


def test_a_cancelled_booking_is_a_deleted_record_and_is_read(branch: Branch, pauses: list[float]) -> None:
    branch.records = [record(1, "2024-03-08", attendance=0, deleted=1), record(2, "2024-03-08", deleted=0)]
    assert [(r["record_id"], r["is_deleted"]) for r in landed(branch, "records")] == [
        ("1", True),
        ("2", False),
    ]


def test_two_records_of_one_visit_name_it(branch: Branch, pauses: list[float]) -> None:
    branch.records = [record(1, "2024-03-08", visit_id="77"), record(2, "2024-03-08", visit_id=77)]
    assert {r["visit_id"] for r in landed(branch, "records")} == {"77"}


def test_a_record_without_client_and_services_is_one_row(branch: Branch, pauses: list[float]) -> None:
    branch.records = [record(1, "2024-03-08", client=None, services=[], staff=[], visit_id=0)]
    (row,) = landed(branch, "records")
    assert (row["client_id"], row["visit_id"], row["service"], row["line_no"]) == (None, None, None, 1)


def test_records_changed_in_the_window_come_wherever_they_lie(branch: Branch, pauses: list[float]) -> None:
    branch.records = [
        record(1, "2024-01-15", last_change_date="2024-03-08T09:00:00+0300", deleted=True),
        record(2, "2024-06-15", last_change_date="2024-03-08T09:00:00+0300"),
        record(3, "2024-01-15"),
    ]
    assert [r["record_id"] for r in landed(branch, "records")] == ["1", "2"]


def test_days_ahead_are_asked_for_without_what_changed(branch: Branch, pauses: list[float]) -> None:
    ahead = (datetime.now(tz=UTC) + timedelta(days=20)).date().isoformat()
    branch.records = [record(1, ahead, attendance=2)]
    with playing(branch) as server:
        rows = fetched(source_at(server.url), "records", window(ahead))
        assert all("changed_after" not in request.query for request in server.requests)
    assert [r["record_id"] for r in rows] == ["1"]


def test_the_branch_s_days_may_be_those_of_another_zone(branch: Branch, pauses: list[float]) -> None:
    """10:00 on the 8th in Kamchatka is 23:00 on the 7th in London."""
    branch.records = [record(1, "2024-03-08", datetime="2024-03-08T10:00:00+12:00")]
    with playing(branch) as server:
        source = source_at(server.url).model_copy(update={"timezone": window("2024-03-07").zone})
        assert [r["record_id"] for r in fetched(source, "records", window("2024-03-07"))] == ["1"]


def test_a_record_that_moves_between_pages_comes_once(branch: Branch, pauses: list[float]) -> None:
    branch.records = [record(n, "2024-03-08") for n in range(1, 10)]
    asked = 0

    def moving(request: Request) -> Reply:
        nonlocal asked
        asked += 1
        if asked == 2:  # somebody books: everything slides by one
            branch.records.insert(0, record(99, "2024-03-08"))
        return branch(request)

    with playing(moving) as server:
        rows = fetched(source_at(server.url), "records", window("2024-03-08"))
    assert sorted(int(r["record_id"]) for r in rows) == [*range(1, 10), 99]


def test_a_list_shorter_than_announced_is_incomplete(branch: Branch, pauses: list[float]) -> None:
    branch.records = [record(n, "2024-03-08") for n in range(1, 10)]
    branch.kept_back = 1
    with pytest.raises(IncompleteError, match="8 of 9"):
        landed(branch, "records")


def test_masked_phones_are_told_and_link_nobody(branch: Branch, pauses: list[float]) -> None:
    branch.records = [
        record(1, "2024-03-08", client={"id": 1, "phone": "+7916***67"}),
        record(2, "2024-03-08"),
        record(3, "2024-03-08", client=None),
    ]
    log = ReadLog()
    rows = landed(branch, "records", log=log)
    assert [r["phone_key"] for r in rows] == [None, KEY, None]
    (note,) = log.notes
    assert note.startswith("1 of 2 phones are masked")


# --- money ---


def test_money_says_whether_it_is_real_and_where_it_went(branch: Branch, pauses: list[float]) -> None:
    branch.payments = [
        payment(1, "2024-03-08"),
        payment(2, "2024-03-08", account={"id": "13882", "title": "Расчетный счет"}),
        payment(3, "2024-03-08", amount="-250.50", account={"id": "7", "title": "Бонусы сети"}),
        payment(4, "2024-03-08", client=[], record_id=0, visit_id=0, amount="-30000.00"),
    ]
    branch.points = {"3"}
    rows = landed(branch, "transactions", payer_types={"Бонусы сети": "loyalty"})
    assert [(r["transaction_id"], r["amount"], r["is_cash_account"], r["is_real_money"]) for r in rows] == [
        ("1", Decimal(1000), True, True),
        ("2", Decimal(1000), False, True),
        ("3", Decimal("-250.5"), None, False),
        ("4", Decimal(-30000), True, True),
    ]
    assert [r["configured_payer_type"] for r in rows] == [None, None, "loyalty", None]
    assert (rows[0]["visit_id"], rows[0]["record_id"], rows[0]["client_id"]) == ("9001", "1", "501")
    assert (rows[3]["visit_id"], rows[3]["record_id"], rows[3]["client_id"]) == (None, None, None)
    assert rows[0]["paid_at"] == datetime(2024, 3, 8, 7, 30, tzinfo=UTC)
    assert "Secret" not in str(rows)


def test_a_list_without_a_total_is_read_to_its_end_though_pages_are_capped(
    branch: Branch, pauses: list[float]
) -> None:
    """Pages are shorter than asked for from the first on: the end is told by a page without anything new."""
    branch.payments = [payment(n, "2024-03-08") for n in range(1, 12)]
    assert len(landed(branch, "transactions")) == 11


def test_money_changed_in_the_window_comes_wherever_it_lies(branch: Branch, pauses: list[float]) -> None:
    branch.payments = [
        payment(1, "2023-11-08", last_change_date="2024-03-08T09:00:00+0300"),
        payment(2, "2023-11-08"),
    ]
    branch.points = {"1"}
    assert [(r["transaction_id"], r["is_real_money"]) for r in landed(branch, "transactions")] == [
        ("1", False)
    ]


# --- the small tables ---


def test_clients_are_searched_for_the_few_fields_that_are_needed(branch: Branch, pauses: list[float]) -> None:
    branch.clients = [
        {"id": n, "name": "Secret", "phone": "+79161234567", "email": "A@b.hr", "first_visit_date": when}
        for n, when in enumerate(["2019-05-01 10:00:00", "2019-05-01", "", None, "0000-00-00 00:00:00"], 1)
    ]
    rows = landed(branch, "clients")
    assert [r["client_id"] for r in rows] == ["1", "2", "3", "4", "5"]
    assert [r["first_visit_at"] for r in rows] == [
        datetime(2019, 5, 1, 7, tzinfo=UTC),
        datetime(2019, 5, 1, 20, 59, 59, 999999, tzinfo=UTC),
        None,
        None,
        None,
    ]
    assert rows[0]["phone_keys"] == [KEY]
    assert len(rows[0]["email_keys"]) == 1


def test_reviews_are_times_of_the_branch_and_name_the_doctor_they_are_about(
    branch: Branch, pauses: list[float]
) -> None:
    branch.comments = [
        {"type": 1, "master_id": 9, "id": 1, "text": "secret", "date": "2024-07-01 10:00:00", "rating": 5},
        {"type": 0, "master_id": 9, "id": 2, "text": "", "date": "2024-01-01 10:00:00", "rating": "0"},
    ]
    first, second = landed(branch, "reviews")
    assert (first["reviewed_at"], first["rating"], first["staff_id"]) == (
        datetime(2024, 7, 1, 7, tzinfo=UTC),
        5,
        "9",
    )
    assert (second["rating"], second["staff_id"]) == (None, None)


def test_the_branch_and_its_staff(branch: Branch, pauses: list[float]) -> None:
    branch.staff = [{"id": 9, "name": "Dr. Petrova", "specialization": "ENT", "fired": 1}]
    log = ReadLog()
    assert landed(branch, "companies", log=log) == [
        {"company_id": "4564", "title": "Ля Визаж", "zone": "Europe/Moscow", "_row_number": 1}
    ]
    assert log.notes == []
    (row,) = landed(branch, "companies", branch="Centre")
    assert row["title"] == "Centre"
    (doctor,) = landed(branch, "staff")
    assert (doctor["staff_id"], doctor["name"], doctor["specialization"]) == ("9", "Dr. Petrova", "ENT")


def test_the_probe_names_the_branch_and_a_wrong_zone(branch: Branch, pauses: list[float]) -> None:
    with playing(branch) as server:
        right: Any = source_at(server.url)
        wrong: Any = right.model_copy(update={"timezone": None})
        assert CONNECTOR.probe(right) == "answers as branch Ля Визаж"
        assert "the branch is in Europe/Moscow, the source in Europe/Zagreb" in CONNECTOR.probe(wrong)


# --- errors ---


def failure(reply: Reply, kind: type[Exception], match: str) -> Loopback:
    with playing(lambda _request: reply) as server, pytest.raises(kind, match=match) as failed:
        fetched(source_at(server.url), "records", window("2024-03-08"))
    assert USER not in str(failed.value)
    assert PARTNER not in str(failed.value)
    return server


@pytest.mark.parametrize(
    ("reply", "kind", "match"),
    [
        (refusal(401, "Необходима авторизация"), AuthError, "mend `user_token`"),
        (refusal(402, "Необходимо продлить лицензию"), PermanentError, "licence has run out"),
        (refusal(403, "Недостаточно прав"), AuthError, "give it the right"),
        (refusal(404, "Компания не найдена"), PermanentError, "HTTP 404 .Компания не найдена"),
        (refusal(422, "Неверный фильтр"), PermanentError, "Неверный фильтр"),
        (refusal(200, "что-то не так"), PermanentError, "что-то не так"),
        (Reply({"success": True, "meta": []}), PermanentError, "without `data`"),
        (Reply([1]), PermanentError, "without `data`"),
        (whole({"id": 1}), PermanentError, "is no list"),
    ],
)
def test_what_will_not_do_is_not_asked_again(
    pauses: list[float], reply: Reply, kind: type[Exception], match: str
) -> None:
    assert len(failure(reply, kind, match).requests) == 1


def test_a_licence_that_ran_out_is_no_matter_of_the_token(pauses: list[float]) -> None:
    with (
        pytest.raises(PermanentError) as failed,
        playing(lambda _request: refusal(402, "лицензия")) as server,
    ):
        fetched(source_at(server.url), "records", window("2024-03-08"))
    assert not isinstance(failed.value, AuthError)


@pytest.mark.parametrize("status", [409, 429, 500])
def test_a_busy_vendor_is_asked_again(pauses: list[float], status: int) -> None:
    reply = refusal(status, "подождите", {"Retry-After": str(RETRY_AFTER)} if status == 429 else {})
    assert len(failure(reply, TransientError, str(status)).requests) == 6
    assert (RETRY_AFTER in pauses) == (status == 429)


# --- configuration ---


def test_routes_exist_only_with_tokens() -> None:
    source: Any = source_at("http://127.0.0.1:1")
    routes = {s.name: CONNECTOR.route(source, s) for s in CONNECTOR.streams(source)}
    assert {name: route.by for name, route in routes.items() if route is not None} == {
        "companies": "whole",
        "staff": "whole",
        "records": "day",
        "transactions": "day",
        "clients": "whole",
        "reviews": "whole",
    }
    assert routes["records"] is not None
    assert routes["records"].ahead_days == 90
    bare: Any = options("yclients")
    assert CONNECTOR.route(bare, stream_of(bare, "records")) is None


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"user_token": "x", "company_id": 5}, "yclients needs partner_token too"),
        ({"partner_token": "x"}, "needs company_id, user_token too"),
        ({"payer_types": {"Касса": "money"}}, "'money' is none of cash, card"),
    ],
)
def test_half_a_configuration_is_one_clear_line(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        options("yclients", **settings)


# --- saved answers ---


def sample(shared: Path, name: str, stream: str, **given: Any) -> Read:
    path = shared / "emr_mis/yclients" / f"{name}.json"
    return read(CONNECTOR, path, stream, timezone="Europe/Moscow", **given)


def test_the_vendor_s_example_of_records(shared: Path) -> None:
    rows = sample(shared, "records_list", "records").landed
    assert [(r["record_id"], r["visit_id"], r["attendance"], r["line_no"]) for r in rows] == [
        ("2", "8262996", 0, 1),
        ("9", "8262996", 1, 1),
    ]
    assert [(r["service"], r["cost"]) for r in rows] == [("Наращивание волос", Decimal(100)), (None, None)]
    assert rows[0]["scheduled_at"] == datetime(2019, 1, 16, 7, tzinfo=UTC)
    assert rows[0]["booked_at"] == datetime(2019, 1, 16, 11, 35, 11, tzinfo=UTC)
    assert [r["client_id"] for r in rows] == [None, None]
    assert [(r["is_online"], r["is_deleted"], r["staff_name"]) for r in rows] == [
        (False, False, "Оксана"),
        (True, False, "Сергей"),
    ]


def test_the_vendor_s_example_of_one_record(shared: Path) -> None:
    found = sample(shared, "record_get", "records")
    raw = json.loads((shared / "emr_mis/yclients/record_get.json").read_text())["data"]
    lines = [*raw["services"], *raw["goods_transactions"]]
    assert [r["service"] for r in found.landed] == [line["title"] for line in lines]
    assert sum(r["cost"] for r in found.landed) == sum(Decimal(str(line["cost"])) for line in lines)
    assert {r["record_id"] for r in found.landed} == {str(raw["id"])}


def test_the_vendor_s_example_of_money(shared: Path) -> None:
    (row,) = sample(shared, "transactions_list", "transactions").landed
    assert (row["transaction_id"], row["amount"], row["client_id"]) == (
        "4815162342",
        Decimal(1000),
        "481516",
    )
    assert (row["account"], row["expense"], row["staff_id"]) == ("Карты", "Оказание услуг", "1926")
    assert row["paid_at"] == datetime(2016, 4, 13, 11, 34, 31, tzinfo=UTC)
    assert row["is_real_money"] is None


def test_the_vendor_s_examples_of_clients(shared: Path) -> None:
    rows = sample(shared, "clients_list_deprecated", "clients").landed
    assert [(r["client_id"], r["birth_year"], r["sex"]) for r in rows] == [
        ("66", 2011, None),
        ("16", None, None),
    ]
    (card,) = sample(shared, "client_get", "clients").landed
    assert card["phone_keys"] == rows[1]["phone_keys"]
    assert card["email_keys"] is None
    assert "Клиент" not in str(rows)


def test_the_vendor_s_examples_of_reviews_staff_and_branches(shared: Path) -> None:
    reviews = sample(shared, "comments_list", "reviews").landed
    assert [(r["review_id"], r["rating"], r["staff_id"]) for r in reviews] == [
        ("18437", 4, "8864"),
        ("20314", 5, None),
    ]
    assert reviews[0]["reviewed_at"] == datetime(2015, 8, 3, 17, 31, 5, tzinfo=UTC)
    assert [r["name"] for r in sample(shared, "staff_list", "staff").landed] == ["Сотрудник 1"]
    branches = sample(shared, "companies_list", "companies")
    assert [r["title"] for r in branches.landed] == ["Ля Визаж", "Ля Визаж 2"]
    assert branches.log.notes == []


@pytest.mark.parametrize(
    "name",
    [
        "accounts_list",
        "kkm_transactions",
        "medicine_record_appointments",
        "sale_document",
        "services_list",
        "visit_details",
        "visit_get",
    ],
)
@pytest.mark.parametrize("stream", ["records", "transactions"])
def test_answers_of_other_methods_pass_for_nothing(shared: Path, name: str, stream: str) -> None:
    found = sample(shared, name, stream)
    assert found.landed == []
    assert found.quarantined


def saved(tmp_path: Path, content: Any, stream: str = "records") -> Read:
    path = tmp_path / "answer.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return read(CONNECTOR, path, stream, timezone="Europe/Moscow")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is no answer of the API"),
        (b"<html><body>Maintenance</body></html>", "is no answer of the API"),
        (b"id;client\n1;2\n", "is no answer of the API"),
        (b'{"success": true, "data": [{"id": 1', "not whole JSON"),
        ('{"data": [{"title": "№"}]}'.encode("cp1251"), "not whole JSON"),
        (b'{"success": false, "data": null, "meta": {"message": "no"}}', "holds an error"),
        (b'{"success": true, "meta": []}', "has no `data`"),
        (b'{"data": []}{"data": []}', "more than one JSON document"),
    ],
)
def test_what_is_no_whole_answer_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(FileRefused, match=reason):
        saved(tmp_path, content)


def test_an_empty_answer_is_no_rows(tmp_path: Path) -> None:
    assert saved(tmp_path, {"success": True, "data": [], "meta": []}).raw == []


def test_items_out_of_shape_are_quarantined_alone_and_a_record_whole(tmp_path: Path) -> None:
    bad_money = record(5, "2024-03-08")
    bad_money["services"].append({"title": "x", "cost": "a lot"})
    found = saved(
        tmp_path,
        {
            "success": True,
            "data": [
                record(1, "2024-03-08"),
                7,
                record(2, "2024-03-08", datetime="08.03.2024 10:00"),
                record(3, "1023-03-08"),
                record(4, "2024-03-08", attendance="maybe"),
                bad_money,
                record(0, "2024-03-08"),
            ],
        },
    )
    assert [r["record_id"] for r in found.landed] == ["1"]
    assert found.reasons == [
        ": is not a JSON object",
        "scheduled_at: is not a time like 2024-03-09T10:00:00+0300",
        "scheduled_at: has the absurd year 1023",
        "attendance: is not a whole number",
        "cost: is not an amount",
        "record_id: is empty but required",
    ]


def test_a_client_s_card_may_tell_sex_and_birthday_in_several_ways(tmp_path: Path) -> None:
    cards = [
        {"id": 1, "phone": "79161234567", "sex": 2, "birthday": "1980-02-03"},
        {"id": 2, "gender": 1, "birth_date": "1970-01-01"},
        {"id": 3, "sex": "Женский", "sex_id": 2, "birthday": "0000-00-00"},
        {"id": 4, "sex": 0, "birthday": ""},
    ]
    data = [record(n, "2024-03-08", client=card) for n, card in enumerate(cards, 1)]
    rows = saved(tmp_path, {"data": data}).landed
    assert [(r["sex"], r["birth_year"]) for r in rows] == [
        ("female", 1980),
        ("male", None),
        ("female", None),
        (None, None),
    ]
    assert rows[0]["phone_key"] == Privacy(b"a key for tests only", "HR").phone_key("+79161234567")


_AMOUNTS = st.decimals(min_value=-(10**9), max_value=10**9, places=2, allow_nan=False, allow_infinity=False)


@given(
    records=st.lists(
        st.tuples(st.lists(_AMOUNTS, max_size=4), st.booleans(), st.booleans()), min_size=1, max_size=12
    )
)
def test_every_line_of_every_record_lands_once_with_its_money(
    tmp_path_factory: pytest.TempPathFactory, records: list[tuple[list[Decimal], bool, bool]]
) -> None:
    """Ids and amounts may be written as text or as numbers."""
    data = []
    for number, (amounts, is_text, is_deleted) in enumerate(records, start=1):
        item = record(number, "2024-03-08", deleted=is_deleted)
        item["id"] = str(number) if is_text else number
        item["services"] = [{"title": "s", "cost": str(amount)} for amount in amounts]
        data.append(item)
    found = saved(tmp_path_factory.mktemp("yclients"), {"data": data})
    assert found.quarantined == []
    assert len(found.landed) == sum(max(1, len(amounts)) for amounts, _, _ in records)
    for number, (amounts, _, is_deleted) in enumerate(records, start=1):
        lines = [r for r in found.landed if r["record_id"] == str(number)]
        assert [r["cost"] for r in lines if r["cost"] is not None] == amounts
        assert {r["is_deleted"] for r in lines} == {is_deleted}
        assert [r["line_no"] for r in lines] == list(range(1, len(lines) + 1))


def test_a_day_of_the_clock_s_change_is_asked_for_whole(branch: Branch, pauses: list[float]) -> None:
    branch.records = [record(1, "2024-03-31")]
    with playing(branch) as server:
        fetched(source_at(server.url), "records", window("2024-03-31"))
        first = server.requests[0].query
    assert (first["start_date"], first["end_date"]) == ("2024-03-30", "2024-04-01")
    assert date.fromisoformat(first["end_date"]) - date.fromisoformat(first["start_date"]) == timedelta(2)
