"""amoCRM: HAL pages, phones on contacts, unsorted enquiries, deletions, stages that repeat, exports."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import _amocrm_api
from connectors.amocrm import CONNECTOR
from connectors.contract import ReadLog, SourceOptions
from connectors.errors import AuthError, FileRefused, PermanentError
from connectors.privacy import Privacy
from tests.unit import vendor_files
from tests.unit.vendor_files import Read
from tests.vendors.loopback import ApiContract, Reply, Request, fetched, options, playing, stream_of, window

PRIVACY = Privacy(b"k" * 32, "HR")
TOKEN = "eyJ.long-lived"
LIST_PARAMS = {"page", "limit", "with", "order[id]", "order[created_at]"}


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def field(code: str | None, *values: Any, name: str = "Поле", id_: int = 1) -> dict[str, Any]:
    return {
        "field_id": id_,
        "field_name": name,
        "field_code": code,
        "field_type": "tracking_data",
        "values": [{"value": value} for value in values],
    }


def lead(number: int, created: str, contact: int | None = None, **more: Any) -> dict[str, Any]:
    people = [] if contact is None else [{"id": contact, "is_main": True}]
    return {
        "id": number,
        "name": "Ana Horvat, sore throat",
        "price": 1200,
        "responsible_user_id": 7,
        "status_id": 42,
        "pipeline_id": 10,
        "loss_reason_id": None,
        "created_at": at(created),
        "updated_at": at(created),
        "is_deleted": False,
        "custom_fields_values": None,
        "_embedded": {"tags": [{"id": 1, "name": "звонила 8 916 123-45-67"}], "contacts": people},
        **more,
    }


def contact(number: int, *fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": number,
        "name": "Ana Horvat",
        "created_at": at("2024-03-08T09:00:00+01:00"),
        "updated_at": at("2024-03-08T09:00:00+01:00"),
        "custom_fields_values": list(fields) or None,
    }


PIPELINES = [
    {
        "id": 10,
        "name": "Запись",
        "_embedded": {
            "statuses": [
                {"id": 42, "name": "Первичный контакт"},
                {"id": 43, "name": "Записан"},
                {"id": 44, "name": "Спам"},
                {"id": 142, "name": "Успешно реализовано"},
                {"id": 143, "name": "Закрыто и не реализовано"},
            ]
        },
    },
    {
        "id": 20,
        "name": "Лечение",
        "_embedded": {
            "statuses": [{"id": 52, "name": "Записан"}, {"id": 142, "name": "Успешно реализовано"}]
        },
    },
]


class Amo:
    """One account. Its lists are pages of at most `limit`; an empty one is 204."""

    def __init__(self, token: str = TOKEN) -> None:
        self.token = token
        self.leads: list[dict[str, Any]] = []
        self.contacts: list[dict[str, Any]] = []
        self.unsorted: list[dict[str, Any]] = []
        self.users = [{"id": 7, "name": "Iva Ban", "email": "iva@clinic.example"}]
        self.has_filters = True
        self.users_allowed = True
        self.queries: list[dict[str, str]] = []
        # Path -> status to answer with.
        self.refusals: dict[str, int] = {}

    def __call__(self, request: Request) -> Reply:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return problem(401, "Unauthorized")
        assert request.method == "GET"
        if request.path in self.refusals:
            return problem(self.refusals[request.path], "Refused")
        return self._route(request)

    def _route(self, request: Request) -> Reply:
        parts = request.path.split("/")
        if request.path == "/api/v4/account":
            return Reply({"id": 22324900, "name": "Clinic"})
        if request.path == "/api/v4/leads/pipelines":
            return Reply({"_total_items": 2, "_links": {}, "_embedded": {"pipelines": PIPELINES}})
        if request.path == "/api/v4/users":
            return self._page(request, "users", self.users) if self.users_allowed else problem(403, "No")
        if request.path == "/api/v4/leads/unsorted":
            return self._page(request, "unsorted", self.unsorted)
        if request.path == "/api/v4/leads":
            return self._leads(request)
        if request.path == "/api/v4/contacts":
            wanted = {int(v) for k, v in request.query.items() if k.startswith("filter[id][")}
            assert len(wanted) <= 250
            found = [c for c in self.contacts if not self.has_filters or c["id"] in wanted]
            return self._page(request, "contacts", found)
        if len(parts) == 5 and parts[3] == "contacts":
            one = next((c for c in self.contacts if c["id"] == int(parts[4])), None)
            return Reply("", 204) if one is None else Reply(one)
        raise AssertionError(request.path)

    def _leads(self, request: Request) -> Reply:
        query = request.query
        self.queries.append(query)
        known = LIST_PARAMS | {
            f"filter[{f}][{e}]" for f in ("created_at", "updated_at") for e in ("from", "to")
        }
        assert query.keys() <= known
        only_deleted = query["with"] == "only_deleted"
        found = [r for r in self.leads if r["is_deleted"] is only_deleted]
        for name in ("created_at", "updated_at"):
            if self.has_filters and f"filter[{name}][from]" in query:
                since, until = (int(query[f"filter[{name}][{end}]"]) for end in ("from", "to"))
                found = [r for r in found if since <= r[name] <= until]
        assert query["order[id]"] == "asc"
        found = sorted(found, key=lambda r: int(r["id"]))
        if only_deleted:
            found = [{k: r[k] for k in ("id", "updated_at", "is_deleted")} for r in found]
        elif "contacts" not in query["with"].split(","):
            found = [{**r, "_embedded": {}} for r in found]
        return self._page(request, "leads", found)

    def _page(self, request: Request, name: str, records: list[dict[str, Any]]) -> Reply:
        query = request.query
        page, limit = int(query["page"]), int(query["limit"])
        assert 1 <= limit <= 250
        shown = records[(page - 1) * limit : page * limit]
        if not shown:
            return Reply("", 204)
        links = {"self": {"href": "…"}}
        if page * limit < len(records):
            links["next"] = {"href": f"{request.path}?page={page + 1}"}
        return Reply({"_page": page, "_links": links, "_embedded": {name: shown}})


def problem(status: int, title: str) -> Reply:
    return Reply({"title": title, "type": "…", "status": status, "detail": ""}, status)


def source(url: str, **more: Any) -> SourceOptions:
    return options("amocrm", base_url=url, token=TOKEN, **more)


@pytest.fixture
def amo(monkeypatch: pytest.MonkeyPatch) -> Amo:
    monkeypatch.setattr(_amocrm_api, "LIMIT", 3)
    return Amo()


class TestAmocrmApi(ApiContract):
    stream = "leads"
    key = "lead_id"
    asked = window("2024-03-08")
    empty = window("2024-03-20")
    ids: ClassVar[list[str]] = [str(n) for n in range(1, 601)]
    secret = TOKEN

    def vendor(self, request: Request) -> Reply:
        amo = Amo()
        amo.leads = [lead(n, f"2024-03-08T{n % 24:02}:30:00+01:00") for n in range(1, 601)]
        amo.leads += [lead(900, "2024-03-09T00:00:00+01:00")]
        return amo(request)

    def source(self, url: str) -> SourceOptions:
        return source(url)


def test_pages_hold_as_many_as_the_interface_allows(pauses: list[float]) -> None:
    vendor = Amo()
    vendor.leads = [lead(n, "2024-03-08T10:00:00+01:00") for n in range(1, 252)]
    with playing(vendor) as server:
        assert len(fetched(source(server.url), "leads", window("2024-03-08"))) == 251
    assert [(q["page"], q["limit"]) for q in vendor.queries[:2]] == [("1", "250"), ("2", "250")]


def test_a_lead_lands_with_its_tracking_and_without_its_words(amo: Amo, pauses: list[float]) -> None:
    amo.leads = [
        lead(
            5,
            "2024-03-08T10:30:00+03:00",
            contact=31,
            custom_fields_values=[
                field("UTM_SOURCE", "Yandex"),
                field("UTM_MEDIUM", "cpc"),
                field("UTM_CAMPAIGN", "Импланты"),
                field("YCLID", "17000000009"),
                field("_YM_UID", "1700000000123456789"),
                field("GCLIENTID", "123.456"),
                field("ROISTAT", "1001"),
                field("REFERRER", "https://yandex.ru/search?text=лор"),
                field(None, "P-77", name="Номер карты", id_=555),
                field(None, "815", name="ID звонка", id_=556),
                field(None, None, name="Пусто", id_=557),
            ],
        )
    ]
    with playing(amo) as server:
        src = source(
            server.url,
            fields={"ym_client_id": "_YM_UID", "patient_id": 555, "call_id": "ID звонка"},
            calls_source="calltouch",
        )
        (row,) = fetched(src, "leads", window("2024-03-08"))
    assert {name: value for name, value in row.items() if value is not None} == {
        "lead_id": "5",
        "created_at": datetime(2024, 3, 8, 7, 30, tzinfo=UTC),
        "modified_at": datetime(2024, 3, 8, 7, 30, tzinfo=UTC),
        "pipeline_id": "10",
        "status_id": "42",
        "is_enquiry": True,
        "contact_id": "31",
        "responsible_id": "7",
        "visitor_id": "ym:1700000000123456789",
        "patient_id": "P-77",
        "contact_ref": "calltouch:815",
        "utm_source": "yandex",
        "utm_medium": "cpc",
        "utm_campaign": "Импланты",
        "click_id_type": "yclid",
        "click_id": "17000000009",
        "referrer_host": "yandex.ru",
        "_row_number": 1,
    }


def test_the_phone_is_on_the_contact_that_the_lead_names(amo: Amo, pauses: list[float]) -> None:
    amo.leads = [
        lead(1, "2024-03-08T10:00:00+01:00", contact=31),
        lead(2, "2024-03-08T10:00:00+01:00"),
        lead(3, "2024-03-08T10:00:00+01:00", contact=404),
        lead(4, "2024-03-08T10:00:00+01:00", contact=31),
        lead(
            5,
            "2024-03-08T10:00:00+01:00",
            _embedded={
                "contacts": [{"id": 32, "is_main": False}, {"id": 33, "is_main": True}],
                "source": {"id": 1, "name": "WhatsApp"},
            },
        ),
    ]
    amo.contacts = [
        contact(31, field("PHONE", "+7 (916) 123-45-67", "+385912345678"), field("EMAIL", "Ana@Example.com")),
        contact(32, field("PHONE", "+385912345679")),
        contact(33),
        contact(99, field("PHONE", "+385912345670")),
    ]
    for has_filters in (True, False):
        amo.has_filters = has_filters
        with playing(amo) as server:
            rows = fetched(source(server.url), "contacts", window("2024-03-08"))
        assert {row["contact_id"] for row in rows} == {"31", "33"}
        person = next(row for row in rows if row["contact_id"] == "31")
        assert person["phone_keys"] == [PRIVACY.phone_key("+79161234567"), PRIVACY.phone_key("+385912345678")]
        assert person["email_key"] == PRIVACY.email_key("ana@example.com")


def test_what_was_modified_or_deleted_lately_comes_too(amo: Amo, pauses: list[float]) -> None:
    now = at("2024-03-08T12:00:00+01:00")
    amo.leads = [
        lead(1, "2024-01-08T10:00:00+01:00", updated_at=now),
        lead(2, "2024-03-08T00:00:00+01:00", updated_at=now),
        lead(3, "2024-03-08T23:59:59+01:00", updated_at=at("2024-03-09T10:00:00+01:00")),
        lead(4, "2024-03-09T00:00:00+01:00"),
        lead(5, "2024-01-08T10:00:00+01:00", updated_at=now, is_deleted=True),
        lead(6, "2024-03-08T10:00:00+01:00", is_deleted=True, updated_at=at("2024-03-10T10:00:00+01:00")),
    ]
    with playing(amo) as server:
        rows = fetched(source(server.url), "leads", window("2024-03-08"))
    assert [(row["lead_id"], row["is_deleted"]) for row in rows] == [
        ("2", None),
        ("3", None),
        ("1", None),
        ("5", True),
    ]
    gone = rows[-1]
    assert (gone["created_at"], gone["modified_at"]) == (None, datetime(2024, 3, 8, 11, tzinfo=UTC))


def test_an_account_without_filters_gives_the_same(amo: Amo, pauses: list[float]) -> None:
    amo.has_filters = False
    amo.leads = [
        lead(n, f"2024-03-{day:02}T10:00:00+01:00") for n, day in enumerate((7, 8, 8, 9, 8, 10, 1), start=1)
    ]
    log = ReadLog()
    with playing(amo) as server:
        rows = fetched(source(server.url), "leads", window("2024-03-08"), log)
    assert [row["lead_id"] for row in rows] == ["2", "3", "5"]
    assert list(log.skipped) == ["lead outside the days asked for: the account does not obey filters"]


def test_a_lead_that_moved_to_another_page_comes_once(amo: Amo, pauses: list[float]) -> None:
    amo.leads = [lead(n, "2024-03-08T10:00:00+01:00") for n in range(2, 9)]
    original = amo._leads

    def moved(request: Request) -> Reply:
        if request.query["page"] == "2" and len(amo.leads) == 7:
            amo.leads.insert(0, lead(1, "2024-03-08T10:00:00+01:00"))
        return original(request)

    amo._leads = moved  # type: ignore[method-assign]
    with playing(amo) as server:
        rows = fetched(source(server.url), "leads", window("2024-03-08"))
    assert sorted(row["lead_id"] for row in rows) == [str(n) for n in range(1, 9)]


def test_a_list_that_gives_the_same_page_for_ever_ends(amo: Amo, pauses: list[float]) -> None:
    same = {"_links": {"next": {"href": "…"}}, "_embedded": {"leads": [lead(1, "2024-03-08T10:00:00+01:00")]}}
    amo._leads = lambda _request: Reply(same)  # type: ignore[method-assign]
    with playing(amo) as server:
        assert len(fetched(source(server.url), "leads", window("2024-03-08"))) == 1


UNSORTED = [
    {
        "uid": "aa1",
        "source_uid": "s",
        "category": "sip",
        "pipeline_id": 10,
        "created_at": at("2024-03-08T10:00:00+01:00"),
        "metadata": {
            "from": "385912345678",
            "phone": "38515550100",
            "called_at": 1,
            "duration": 54,
            "link": "https://rec.example/1.mp3",
            "service_code": "pbx",
            "uniq": "call-815",
        },
        "_embedded": {"contacts": [{"id": 31}], "leads": [{"id": 77}]},
    },
    {
        "uid": "aa2",
        "category": "forms",
        "pipeline_id": 20,
        "created_at": at("2024-03-08T11:00:00+01:00"),
        "metadata": {
            "form_id": 1,
            "form_name": "Запись",
            "form_page": "https://clinic.example/ent?utm_source=Yandex&utm_campaign=ENT&yclid=99887766&name=Ana",
            "ip": "10.0.0.1",
            "referer": "https://ya.ru/",
        },
        "_embedded": {"contacts": [], "lead": {"id": 78}},
    },
]


def test_what_nobody_accepted_is_read_from_its_own_list(amo: Amo, pauses: list[float]) -> None:
    amo.unsorted = [*UNSORTED, *({**UNSORTED[0], "uid": f"b{n}"} for n in range(5))]
    with playing(amo) as server:
        src = source(server.url, calls_source="pbx", pipelines="запись")
        rows = fetched(src, "unsorted", window("2024-03-08"))
    assert len(rows) == 7
    call, form = rows[:2]
    assert {name: value for name, value in call.items() if value is not None} == {
        "uid": "aa1",
        "category": "sip",
        "created_at": datetime(2024, 3, 8, 9, tzinfo=UTC),
        "pipeline_id": "10",
        "is_enquiry": True,
        "lead_id": "77",
        "contact_id": "31",
        "phone_key": PRIVACY.phone_key("+385912345678"),
        "call_ref": "pbx:call-815",
        "_row_number": 1,
    }
    assert (form["lead_id"], form["is_enquiry"], form["phone_key"]) == ("78", False, None)
    assert (form["utm_source"], form["utm_campaign"], form["click_id"]) == ("yandex", "ENT", "99887766")
    assert (form["landing_path"], form["referrer_host"]) == ("/ent", "ya.ru")
    assert "Ana" not in str(rows)


def test_stages_repeat_in_every_pipeline_and_go_with_it(amo: Amo, pauses: list[float]) -> None:
    moment = "2024-03-08T10:00:00+01:00"
    stages = [(10, 42), (10, 43), (10, 44), (10, 142), (10, 143), (20, 52), (20, 142), (10, 999)]
    amo.leads = [
        lead(n, moment, pipeline_id=pipeline, status_id=status)
        for n, (pipeline, status) in enumerate(stages, start=1)
    ]

    def flags(**settings: Any) -> list[tuple[bool | None, bool | None, bool]]:
        with playing(amo) as server:
            rows = fetched(source(server.url, **settings), "leads", window("2024-03-08"))
        return [(row["is_valid"], row["is_booked"], row["is_enquiry"]) for row in rows]

    won, lost, is_open, junk = (
        (True, True, True),
        (None, False, True),
        (None, None, True),
        (False, False, True),
    )
    assert flags() == [is_open, is_open, is_open, won, lost, is_open, won, is_open]
    # «Записан» of one pipeline only, by name, or by id
    for stage in ("Запись/Записан", "10/43", "запись/43"):
        assert flags(booked_stages=stage)[1:6] == [won, is_open, won, lost, is_open], stage
    by_name = flags(booked_stages="Записан", junk_stages=["Спам"], pipelines="Запись")
    assert by_name == [is_open, won, junk, won, lost, (True, True, False), (True, True, False), is_open]
    assert [flag[2] for flag in flags(pipelines=20)] == [False] * 5 + [True] * 2 + [False]


def test_names_of_stages_and_staff_are_read_whole(amo: Amo, pauses: list[float]) -> None:
    amo.users = [{"id": n, "name": f"Iva {n}", "email": "iva@clinic.example"} for n in range(1, 8)]
    with playing(amo) as server:
        src = source(server.url)
        stages = fetched(src, "pipelines", window("2024-03-08"))
        assert [(s["pipeline_id"], s["status_id"]) for s in stages][-2:] == [("20", "52"), ("20", "142")]
        assert len(stages) == 7
        users = fetched(src, "users", window("2024-03-08"))
        assert [(u["user_id"], u["name"]) for u in users][-1] == ("7", "Iva 7")
        assert CONNECTOR.probe(src) == "answers as account 22324900"
        amo.users_allowed = False
        with pytest.raises(PermanentError, match="operator_names: false"):
            fetched(src, "users", window("2024-03-08"))
    assert CONNECTOR.route(source("http://127.0.0.1", operator_names=False), stream_of(src, "users")) is None


def test_refusals_say_what_to_do(amo: Amo, pauses: list[float]) -> None:
    with playing(amo) as server:
        amo.refusals = {"/api/v4/leads": 402}
        with pytest.raises(PermanentError, match="subscription has ended"):
            fetched(source(server.url), "leads", window("2024-03-08"))
        amo.refusals = {"/api/v4/leads": 403}
        with pytest.raises(AuthError, match="mend `token`"):
            fetched(source(server.url), "leads", window("2024-03-08"))
        amo.refusals = {}
        amo._leads = lambda _request: Reply({"_embedded": {}})  # type: ignore[method-assign]
        with pytest.raises(PermanentError, match="the answer has no leads"):
            fetched(source(server.url), "leads", window("2024-03-08"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"token": TOKEN}, "belong together"),
        ({"base_url": "https://clinic.amocrm.ru"}, "belong together"),
        ({"base_url": "clinic.amocrm.ru", "token": TOKEN}, "e.g. https://clinic.amocrm.ru"),
        ({"base_url": "http://clinic.amocrm.ru", "token": TOKEN}, "e.g. https://clinic.amocrm.ru"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        options("amocrm", **settings)
    assert TOKEN not in str(refused.value)


def test_without_a_token_only_files_are_read() -> None:
    src = options("amocrm")
    assert {CONNECTOR.route(src, s) for s in CONNECTOR.streams(src)} == {None}
    assert CONNECTOR.feeds_of(src) == ("contacts",)
    routes = {
        s.name: CONNECTOR.route(asked, s)
        for asked in [source("http://127.0.0.1:1")]
        for s in CONNECTOR.streams(asked)
    }
    assert {name: route.by for name, route in routes.items() if route} == {
        "leads": "day",
        "contacts": "change",
        "unsorted": "whole",
        "pipelines": "whole",
        "users": "whole",
    }


# Files


def read(path: Path, stream: str = "leads", **more: Any) -> Read:
    return vendor_files.read(CONNECTOR, path, stream, **more)


def saved(tmp_path: Path, body: Any, name: str = "answer.json") -> Path:
    path = tmp_path / name
    path.write_text(body if isinstance(body, str) else json.dumps(body), encoding="utf-8")
    return path


def test_the_logged_reply_lands_without_its_contacts_phone(shared: Path) -> None:
    result = read(shared / "emr_mis/amocrm/lead_get.json")
    (row,) = result.landed
    assert {name: value for name, value in row.items() if value is not None} == {
        "lead_id": "28433860",
        "created_at": datetime(2021, 9, 24, 12, 55, 8, tzinfo=UTC),
        "modified_at": datetime(2021, 9, 24, 12, 55, 8, tzinfo=UTC),
        "pipeline_id": "4627251",
        "status_id": "42508695",
        "is_enquiry": True,
        "contact_id": "42015703",
        "responsible_id": "2873617",
        "_row_number": 1,
    }
    with pytest.raises(FileRefused, match="holds leads, not contacts"):
        read(shared / "emr_mis/amocrm/lead_get.json", "contacts")
    with pytest.raises(FileRefused, match="holds no unsorted"):
        read(shared / "emr_mis/amocrm/lead_get.json", "unsorted")


def test_saved_lists_of_every_kind_land(tmp_path: Path) -> None:
    moment = "2024-03-08T10:00:00+01:00"

    def page(name: str, *records: dict[str, Any]) -> Path:
        body = {"_page": 1, "_links": {"next": {"href": "…"}}, "_embedded": {name: list(records)}}
        return saved(tmp_path, body, f"{name}.json")

    leads = read(page("leads", lead(1, moment), lead(2, moment)))
    assert [r["lead_id"] for r in leads.landed] == ["1", "2"]
    assert leads.log.notes == ["a page: the answer has a next one"]
    people = read(page("contacts", contact(31, field("PHONE", "+385912345678"))), "contacts")
    assert people.landed[0]["phone_key"]
    assert [r["uid"] for r in read(page("unsorted", *UNSORTED), "unsorted").landed] == ["aa1", "aa2"]
    assert len(read(page("pipelines", *PIPELINES), "pipelines").landed) == 7
    assert read(page("users", {"id": 7, "name": "Iva", "rights": {}}), "users").landed[0]["name"] == "Iva"
    with pytest.raises(FileRefused, match="holds leads, not unsorted; move it to the folder leads/"):
        read(page("leads", lead(1, moment)), "unsorted")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "not one whole JSON document"),
        ('{"_embedded": {"leads": [{"id": 1', "not one whole JSON document"),
        ('{"title": "Unauthorized", "status": 401, "detail": "x"}', "is an error answer"),
        ('{"_embedded": {"leads": []}}', "is no answer of amoCRM with leads"),
        ('{"_embedded": {"companies": []}}', "holds nothing"),
        ("[1]", "is no answer of amoCRM with leads"),
        ('{"id": 1, "name": "x"}', "holds no leads .they have status_id."),
        ("<html>", "is a web page"),
        ("", "has no column id, nor дата создания"),
        ("ID;Этап сделки\n1;x\n", "has no column дата создания"),
    ],
)
def test_files_that_cannot_be_read_are_refused(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(FileRefused, match=message):
        read(saved(tmp_path, body))


HEADINGS = [
    "ID",
    "Название сделки",
    "Основной контакт",
    "Ответственный",
    "Этап сделки",
    "Воронка",
    "Бюджет",
    "Дата создания",
    "Дата редактирования",
    "Теги сделки",
    "Примечание 1",
    "Рабочий телефон (контакт)",
    "Мобильный телефон (контакт)",
    "Рабочий email (контакт)",
    "utm_source",
    "_ym_uid",
    "Номер карты (контакт)",
    "Возраст",
]
LINES = [
    [
        "28433860",
        "Ана Х.",
        "Ана Х.",
        "Ива Бан",
        "Успешно реализовано",
        "Запись",
        "1200",
        "08.03.2024 10:30:00",
        "09.03.2024 09:00:00",
        "звонила",
        "перезвонить 8 916 123-45-67",
        "'79161234567",
        "'+385 91 234 5678",
        "ana@example.com",
        "Yandex",
        "1700000000123456789",
        "P-77",
        "44",
    ],
    ["28433861", "x", "", "", "Закрыто и не реализовано", "Лечение", "0", "08.03.2024 23:59:59", *[""] * 10],
]
SETTINGS: dict[str, Any] = {
    "timezone": "Europe/Moscow",
    "pipelines": ["Запись"],
    "fields": {"patient_id": ["555", "Номер карты (контакт)"]},
}


def expect_export(result: Read) -> None:
    privacy = Privacy(b"a key for tests only", "HR")
    first, second = result.landed
    assert {name: value for name, value in first.items() if value is not None} == {
        "lead_id": "28433860",
        "created_at": datetime(2024, 3, 8, 7, 30, tzinfo=UTC),
        "modified_at": datetime(2024, 3, 9, 6, tzinfo=UTC),
        "pipeline_id": "Запись",
        "status_id": "Успешно реализовано",
        "is_enquiry": True,
        "is_valid": True,
        "is_booked": True,
        "responsible": "Ива Бан",
        "phone_key": privacy.phone_key("+79161234567"),
        "phone_keys": [privacy.phone_key("+79161234567"), privacy.phone_key("+385912345678")],
        "email_key": privacy.email_key("ana@example.com"),
        "email_keys": [privacy.email_key("ana@example.com")],
        "visitor_id": "ym:1700000000123456789",
        "patient_id": "P-77",
        "utm_source": "yandex",
        "_row_number": 2,
    }
    assert (second["lead_id"], second["is_booked"], second["is_enquiry"]) == ("28433861", False, False)
    assert result.log.unknown_columns == {"Возраст"}


def test_the_accounts_own_export_lands_the_same_as_csv_and_xlsx(tmp_path: Path) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=";", quoting=csv.QUOTE_ALL).writerows([HEADINGS, *LINES])
    path = tmp_path / "amocrm_export_leads.csv"
    path.write_bytes(text.getvalue().encode("utf-8-sig"))
    expect_export(read(path, **SETTINGS))
    book = openpyxl.Workbook()
    assert book.active is not None
    for line in [HEADINGS, *LINES]:
        book.active.append([int(cell) if cell.isdigit() and len(cell) < 12 else cell for cell in line])
    book.save(tmp_path / "export.xlsx")
    expect_export(read(tmp_path / "export.xlsx", **SETTINGS))
    with pytest.raises(FileRefused, match="contacts are read from saved answers of the API only"):
        read(path, "contacts")


def test_an_english_export_lands_too(tmp_path: Path) -> None:
    text = (
        "ID,Lead title,Responsible user,Lead status,Pipeline,Sale,Created at,Work phone (contact)\n"
        "1,x,Iva Ban,Closed - won,Sales,0,08.03.2024 10:30:00,+385 91 234 5678\n"
    )
    (row,) = read(saved(tmp_path, text, "leads.csv")).landed
    assert (row["is_booked"], row["responsible"], row["pipeline_id"]) == (True, "Iva Ban", "Sales")
    assert row["phone_key"]


def test_rows_that_cannot_be_used_are_quarantined_one_by_one(tmp_path: Path) -> None:
    text = (
        "ID;Этап сделки;Дата создания\n"
        "2,84E+07;x;08.03.2024 10:30:00\n"
        "1;x\n"
        "2;x;03/20/2024\n"
        "3;x;\n"
        "4;x;08.03.2024 10:30:00\n"
    )
    result = read(saved(tmp_path, text, "leads.csv"))
    assert [row["lead_id"] for row in result.landed] == ["4"]
    assert [q.column for q in result.quarantined] == ["lead_id", "", "created_at", "created_at"]


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 2 * 10**9), st.booleans()), max_size=20))
def test_every_record_of_an_answer_lands_or_is_quarantined(
    tmp_path_factory: pytest.TempPathFactory, records: list[tuple[int, int, bool]]
) -> None:
    if not records:
        return
    body = [
        {**lead(number, "2024-03-08T10:00:00+01:00"), "created_at": moment, "is_deleted": gone}
        for number, moment, gone in records
    ]
    path = saved(tmp_path_factory.mktemp("answer"), {"_embedded": {"leads": body}})
    result = read(path)
    assert len(result.landed) + len(result.quarantined) == len(records)
    for row in result.landed:
        if row["created_at"] is not None:
            assert int(row["created_at"].timestamp()) in {moment for _, moment, _ in records}
    assert "Ana" not in str(result.landed)


def test_a_source_named_by_a_number_lands_without_it(tmp_path: Path) -> None:
    moment = "2024-03-08T10:00:00+01:00"
    names = ("WhatsApp", "+7 (916) 123-45-67", "ana@example.com")
    records = [
        lead(n, moment, _embedded={"source": {"id": n, "name": name}}) for n, name in enumerate(names, 1)
    ]
    result = read(saved(tmp_path, {"_embedded": {"leads": records}}))
    assert [row["source_label"] for row in result.landed] == ["WhatsApp", None, None]
