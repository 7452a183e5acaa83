"""Bitrix24: lists by id, batches, two kinds of throttling, stages, exports, and what is never asked for."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import _bitrix24_api
from connectors._bitrix24_api import encoded
from connectors.bitrix24 import CONNECTOR
from connectors.contract import SourceOptions
from connectors.errors import AuthError, FileRefused, IncompleteError, PermanentError, TransientError
from connectors.privacy import Privacy
from tests.unit import vendor_files
from tests.unit.vendor_files import Read
from tests.vendors.loopback import ApiContract, Reply, Request, fetched, options, playing, stream_of, window

PRIVACY = Privacy(b"k" * 32, "HR")
CODE = "c0de4webhook"
# What a list method knows of; PHONE and EMAIL come only when they are named.
SINGLE = {
    "ID",
    "TITLE",
    "NAME",
    "COMMENTS",
    "DATE_CREATE",
    "DATE_MODIFY",
    "SOURCE_ID",
    "ASSIGNED_BY_ID",
    "STATUS_ID",
    "STATUS_SEMANTIC_ID",
    "CATEGORY_ID",
    "STAGE_ID",
    "STAGE_SEMANTIC_ID",
    "LEAD_ID",
    "CONTACT_ID",
    "IS_RECURRING",
    "UTM_SOURCE",
    "UTM_MEDIUM",
    "UTM_CAMPAIGN",
    "UTM_CONTENT",
    "UTM_TERM",
}


def lead(number: int, created: str, **more: Any) -> dict[str, Any]:
    return {
        "ID": str(number),
        "TITLE": "Ana Horvat asks for an appointment",
        "NAME": "Ana",
        "COMMENTS": "has a sore throat",
        "DATE_CREATE": created,
        "DATE_MODIFY": created,
        "SOURCE_ID": "WEB",
        "ASSIGNED_BY_ID": "7",
        "STATUS_ID": "NEW",
        "STATUS_SEMANTIC_ID": "P",
        "CONTACT_ID": None,
        "PHONE": [{"ID": "1", "VALUE_TYPE": "WORK", "VALUE": f"+38591{number:07}", "TYPE_ID": "PHONE"}],
        "EMAIL": [],
        **more,
    }


def deal(number: int, created: str, **more: Any) -> dict[str, Any]:
    record = lead(number, created, CATEGORY_ID="0", STAGE_ID="NEW", STAGE_SEMANTIC_ID="P", LEAD_ID=None)
    for name in ("PHONE", "EMAIL", "STATUS_ID", "STATUS_SEMANTIC_ID"):
        del record[name]
    return {**record, **more}


def contact(number: int, phone: str, **more: Any) -> dict[str, Any]:
    return {
        "ID": str(number),
        "NAME": "Ana",
        "DATE_CREATE": "2024-03-01T10:00:00+03:00",
        "DATE_MODIFY": "2024-03-01T10:00:00+03:00",
        "PHONE": [{"VALUE": phone}],
        "EMAIL": [{"VALUE": "ana@example.com"}],
        **more,
    }


STATUSES = [
    {"ENTITY_ID": "STATUS", "STATUS_ID": "NEW", "NAME": "Новый", "SEMANTICS": None},
    {"ENTITY_ID": "STATUS", "STATUS_ID": "UC_1", "NAME": "Спам", "SEMANTICS": "F"},
    {"ENTITY_ID": "SOURCE", "STATUS_ID": "WEB", "NAME": "Веб-сайт", "SEMANTICS": None},
    {"ENTITY_ID": "DEAL_STAGE_1", "STATUS_ID": "C1:UC_9", "NAME": "Записан на приём", "SEMANTICS": None},
]


class Bitrix:
    """A portal on its REST interface; `$result[…]` in a batch is what an earlier call gave, else nothing."""

    def __init__(self, code: str = CODE) -> None:
        self.code = code
        self.tables: dict[str, list[dict[str, Any]]] = {"lead": [], "deal": [], "contact": []}
        self.users = [{"ID": "7", "NAME": "Iva", "LAST_NAME": "Ban", "EMAIL": "iva@clinic.example"}]
        # method -> what it answers instead, once.
        self.trouble: dict[str, list[Reply]] = {}
        # Records that the count knows and the pages do not.
        self.miscounted = 0
        self.calls: list[str] = []

    def __call__(self, request: Request) -> Reply:
        head, _, method = request.path.rpartition("/")
        if head != f"/rest/1/{self.code}":
            return Reply({"error": "NO_AUTH_FOUND", "error_description": "Wrong authorization data"}, 401)
        assert request.method == "POST"
        assert request.query == {}
        if method == "batch":
            return self._batch(request.json())
        if self.trouble.get(method):
            return self.trouble[method].pop(0)
        return Reply({**self._run(method, request.json()), "time": {"operating": 0.1}})

    def _batch(self, body: dict[str, Any]) -> Reply:
        assert body.keys() <= {"halt", "cmd"}
        assert 1 <= len(body["cmd"]) <= 50
        results: dict[str, Any] = {}
        errors: dict[str, Any] = {}
        for key, command in body["cmd"].items():
            method, _, query = command.partition("?")
            if self.trouble.get(method):
                errors[key] = self.trouble[method].pop(0).body
                continue
            results[key] = self._run(method, nested(query, results))["result"]
        inner = {"result": results or [], "result_error": errors or [], "result_total": []}
        return Reply({"result": inner, "time": {}})

    def _run(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(method)
        if method == "crm.status.list":
            return {"result": STATUSES}
        if method == "user.get":
            start = int(params["start"])
            more = {"next": start + 50} if start + 50 < len(self.users) else {}
            return {"result": self.users[start : start + 50], "total": len(self.users), **more}
        found = re.fullmatch(r"crm\.(lead|deal|contact)\.list", method)
        assert found, method
        assert params.keys() == {"order", "filter", "select", "start"}
        assert params["order"] == {"ID": "ASC"}
        records = sorted(self.tables[found[1]], key=lambda record: int(record["ID"]))
        records = [record for record in records if matches(record, params["filter"])]
        select = set(params["select"])
        assert "*" not in select
        page = [self._shown(record, select, found[1]) for record in records[:50]]
        if int(params["start"]) == -1:
            return {"result": page, "total": 0}
        assert int(params["start"]) == 0
        following = {"next": 50} if len(records) > 50 else {}
        return {"result": page, "total": len(records) + self.miscounted, **following}

    def _shown(self, record: dict[str, Any], select: set[str], entity: str) -> dict[str, Any]:
        known = SINGLE | {key for key in record if key.startswith("UF_")}
        if entity != "deal":
            known |= {"PHONE", "EMAIL"}
        return {key: record.get(key) for key in select & known}


def nested(query: str, results: dict[str, Any]) -> dict[str, Any]:
    """A query as PHP's parse_str reads it, results of earlier calls put in."""
    top: dict[str, Any] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        reference = re.fullmatch(r"\$result\[(\w+)\]\[(\d+)\]\[(\w+)\]", value)
        if reference:
            rows = results.get(reference[1], [])
            at = int(reference[2])
            value = rows[at][reference[3]] if at < len(rows) else ""
        names = re.findall(r"[^\[\]]+", key)
        here = top
        for name in names[:-1]:
            here = here.setdefault(name, {})
        here[names[-1]] = value
    return {
        name: list(value.values()) if name == "select" else _lists(value) if name == "filter" else value
        for name, value in top.items()
    }


def _lists(where: dict[str, Any]) -> dict[str, Any]:
    return {k: list(v.values()) if isinstance(v, dict) else v for k, v in where.items()}


def matches(record: dict[str, Any], where: dict[str, Any]) -> bool:
    for key, wanted in where.items():
        operator, name = re.fullmatch(r"(>=|<|>|@)([A-Z_]+)", key).groups()  # type: ignore[union-attr]
        if name == "ID":
            number = int(record["ID"])
            if operator == ">" and not number > int(wanted or 0):
                return False
            if operator == "@" and record["ID"] not in wanted:
                return False
            continue
        asked = datetime.fromisoformat(wanted)
        assert asked.tzinfo is not None, "a time without offset is the portal's, whatever that is"
        moment = datetime.fromisoformat(record[name])
        if not (moment >= asked if operator == ">=" else moment < asked):
            return False
    return True


def source(url: str, **more: Any) -> SourceOptions:
    return options("bitrix24", webhook=f"{url}/rest/1/{CODE}/", **more)


@pytest.fixture
def portal() -> Bitrix:
    return Bitrix()


def many(count: int, start: int = 1, day: str = "2024-03-08") -> list[dict[str, Any]]:
    return [lead(n, f"{day}T{n % 24:02}:30:00+01:00") for n in range(start, start + count)]


class TestBitrix24Api(ApiContract):
    stream = "leads"
    key = "lead_id"
    asked = window("2024-03-08")
    empty = window("2024-03-20")
    ids: ClassVar[list[str]] = [str(n) for n in range(1, 231)]
    secret = CODE
    setting = "webhook"

    def vendor(self, request: Request) -> Reply:
        portal = Bitrix()
        portal.tables["lead"] = [*many(230), *many(3, 300, "2024-03-09")]
        return portal(request)

    def source(self, url: str) -> SourceOptions:
        return source(url)


def test_a_lead_lands_with_its_tags_and_without_its_words(portal: Bitrix, pauses: list[float]) -> None:
    portal.tables["lead"] = [
        lead(
            5,
            "2024-03-08T10:30:00+03:00",
            PHONE=[{"VALUE": "+7 (916) 123-45-67"}, {"VALUE": "+385912345678"}],
            EMAIL=[{"VALUE": "Ana@Example.com"}],
            CONTACT_ID="31",
            UTM_SOURCE="Yandex",
            UTM_MEDIUM="CPC",
            UTM_CAMPAIGN="Импланты | поиск",
            UF_CRM_1="GA1.2.123456789.1700000000",
            UF_CRM_2="17000000001234567890",
            UF_CRM_3=["CjwKCAiA-x"],
            UF_CRM_4="P-77",
            UF_CRM_5="815",
            UF_CRM_6="",
        )
    ]
    with playing(portal) as server:
        src = source(
            server.url,
            fields={
                "ym_client_id": "UF_CRM_2",
                "ga_client_id": "UF_CRM_1",
                "gclid": ["UF_CRM_6", "UF_CRM_3"],
                "patient_id": "UF_CRM_4",
                "call_id": "UF_CRM_5",
                "branch": "UF_CRM_6",
            },
            calls_source="calltouch",
        )
        (row,) = fetched(src, "leads", window("2024-03-08"))
        asked = {name for r in server.requests for name in r.json().get("select", [])}
    assert {name: value for name, value in row.items() if value is not None} == {
        "lead_id": "5",
        "created_at": datetime(2024, 3, 8, 7, 30, tzinfo=UTC),
        "modified_at": datetime(2024, 3, 8, 7, 30, tzinfo=UTC),
        "status_id": "NEW",
        "status_semantic": "P",
        "source_id": "WEB",
        "contact_id": "31",
        "responsible_id": "7",
        "phone_key": PRIVACY.phone_key("+79161234567"),
        "phone_keys": [PRIVACY.phone_key("+79161234567"), PRIVACY.phone_key("+385912345678")],
        "email_key": PRIVACY.email_key("ana@example.com"),
        "email_keys": [PRIVACY.email_key("ana@example.com")],
        "visitor_id": "ym:17000000001234567890",
        "patient_id": "P-77",
        "contact_ref": "calltouch:815",
        "utm_source": "yandex",
        "utm_medium": "cpc",
        "utm_campaign": "Импланты | поиск",
        "click_id_type": "gclid",
        "click_id": "CjwKCAiA-x",
        "_row_number": 1,
    }
    assert {"PHONE", "EMAIL", "UF_CRM_1", "UF_CRM_6"} <= asked
    assert not {"*", "UF_*", "TITLE", "NAME", "LAST_NAME", "COMMENTS", "ADDRESS"} & asked


def test_pages_are_asked_for_by_id_in_batches_that_grow(portal: Bitrix, pauses: list[float]) -> None:
    portal.tables["lead"] = many(480)
    with playing(portal) as server:
        rows = fetched(source(server.url), "leads", window("2024-03-08"))
        bodies = [r.json() for r in server.requests]
    assert [row["lead_id"] for row in rows] == [str(n) for n in range(1, 481)]
    assert bodies[0]["start"] == 0
    batches = [body["cmd"] for body in bodies if "cmd" in body]
    assert [len(cmd) for cmd in batches] == [2, 4, 8, 2, 4, 8]
    assert all("start=-1" in command for cmd in batches for command in cmd.values())
    assert "filter[%3EID]=50&" in batches[0]["p0"]
    assert "filter[%3EID]=$result[p0][49][ID]" in batches[0]["p1"]


def test_the_last_page_of_a_batch_may_be_the_last_of_all_or_full(portal: Bitrix, pauses: list[float]) -> None:
    for count in (0, 1, 49, 50, 51, 100, 149, 150, 151, 349, 350, 351):
        portal.tables["lead"] = many(count)
        with playing(portal) as server:
            rows = fetched(source(server.url), "leads", window("2024-03-08"))
        assert len(rows) == len({row["lead_id"] for row in rows}) == count, count


def test_what_was_created_earlier_and_modified_now_comes_too_and_once(
    portal: Bitrix, pauses: list[float]
) -> None:
    portal.tables["lead"] = [
        lead(1, "2024-01-08T10:00:00+01:00", DATE_MODIFY="2024-03-08T10:00:00+01:00"),
        lead(2, "2024-03-08T00:00:00+01:00", DATE_MODIFY="2024-03-08T11:00:00+01:00"),
        lead(3, "2024-03-08T23:59:59+01:00", DATE_MODIFY="2024-03-09T11:00:00+01:00"),
        lead(4, "2024-03-09T00:00:00+01:00"),
    ]
    with playing(portal) as server:
        rows = fetched(source(server.url), "leads", window("2024-03-08"))
    assert [row["lead_id"] for row in rows] == ["2", "3", "1"]


def test_fewer_records_than_counted_are_no_whole_answer(portal: Bitrix, pauses: list[float]) -> None:
    portal.tables["lead"] = many(60)
    portal.miscounted = 1
    with playing(portal) as server, pytest.raises(IncompleteError, match="gave 60 of 61 records"):
        fetched(source(server.url), "leads", window("2024-03-08"))


def test_contacts_are_those_that_leads_and_deals_name(portal: Bitrix, pauses: list[float]) -> None:
    portal.tables["lead"] = [
        lead(n, "2024-03-08T10:00:00+01:00", CONTACT_ID=str(1000 + n)) for n in range(1, 121)
    ]
    portal.tables["deal"] = [
        deal(1, "2024-03-08T10:00:00+01:00", CONTACT_ID="1001"),
        deal(2, "2024-03-08T10:00:00+01:00", CONTACT_ID="2000"),
        deal(3, "2024-03-08T10:00:00+01:00", CONTACT_ID="0"),
        deal(4, "2024-03-08T10:00:00+01:00", CONTACT_ID="404"),
    ]
    portal.tables["contact"] = [contact(n, f"+38591{n:07}") for n in [*range(1000, 1200), 2000]]
    with playing(portal) as server:
        rows = fetched(source(server.url), "contacts", window("2024-03-08"))
    assert [row["contact_id"] for row in rows] == [str(n) for n in [*range(1001, 1121), 2000]]
    assert rows[-1]["phone_key"] == PRIVACY.phone_key("+385910002000")


def test_a_portal_that_is_asked_too_fast_is_asked_again(portal: Bitrix, pauses: list[float]) -> None:
    too_many = {"error": "QUERY_LIMIT_EXCEEDED", "error_description": "Too many requests"}
    portal.tables["lead"] = many(60)
    portal.trouble["crm.lead.list"] = [Reply(too_many, 503), Reply(too_many, 503)]
    with playing(portal) as server:
        assert len(fetched(source(server.url), "leads", window("2024-03-08"))) == 60


def test_a_method_that_worked_too_long_rests_as_long_as_the_portal_says(
    portal: Bitrix, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_bitrix24_api.time, "time", lambda: 1_710_000_000.0)
    limit = {"error": "OPERATION_TIME_LIMIT", "error_description": "Method is blocked"}
    told = {**limit, "time": {"operating": 480.2, "operating_reset_at": 1_710_000_077}}
    portal.tables["lead"] = many(3)
    portal.trouble["crm.lead.list"] = [Reply(told, 429), Reply(limit, 429)]
    with playing(portal) as server:
        assert len(fetched(source(server.url), "leads", window("2024-03-08"))) == 3
    assert [p for p in pauses if p > 10] == [77.0, 600.0]


def test_a_call_that_failed_within_a_batch_fails_it(portal: Bitrix, pauses: list[float]) -> None:
    portal.tables["lead"] = many(60)
    refused = Reply({"error": "ERROR_CORE", "error_description": "Invalid filter"})
    too_many = Reply({"error": "QUERY_LIMIT_EXCEEDED", "error_description": ""})
    with playing(portal) as server:
        src = source(server.url)

        def in_batch(*replies: Reply) -> None:
            # the first page is a call of its own
            portal.trouble["crm.lead.list"] = []
            original = portal._batch

            def batch(body: dict[str, Any]) -> Reply:
                portal._batch = original  # type: ignore[method-assign]
                portal.trouble["crm.lead.list"] = list(replies)
                return original(body)

            portal._batch = batch  # type: ignore[method-assign]

        in_batch(refused)
        with pytest.raises(PermanentError, match="ERROR_CORE Invalid filter"):
            fetched(src, "leads", window("2024-03-08"))
        in_batch(too_many)
        assert len(fetched(src, "leads", window("2024-03-08"))) == 60


def test_a_batch_that_leaves_calls_unanswered_is_refused(portal: Bitrix, pauses: list[float]) -> None:
    portal.tables["lead"] = many(60)
    portal._batch = lambda _body: Reply({"result": {"result": [], "result_error": []}})  # type: ignore[method-assign]
    with playing(portal) as server, pytest.raises(IncompleteError, match="left 2 of 2 calls unanswered"):
        fetched(source(server.url), "leads", window("2024-03-08"))


@pytest.mark.parametrize(
    ("reply", "error", "message"),
    [
        (Reply({"error": "INVALID_CREDENTIALS", "error_description": "…"}, 403), AuthError, "mend `webhook`"),
        (Reply({"error": "", "error_description": "Access denied."}, 400), AuthError, "user of the webhook"),
        (
            Reply({"error": "insufficient_scope", "error_description": "…"}, 403),
            PermanentError,
            "permissions crm and user",
        ),
        (
            Reply({"error": "OVERLOAD_LIMIT", "error_description": "…"}, 503),
            TransientError,
            "ask its support; gave up after 1 tries",
        ),
        (
            Reply({"error": "", "error_description": "Parameter 'filter' must be array."}, 400),
            PermanentError,
            "must be array",
        ),
        (Reply({"time": {}}), PermanentError, "without a result"),
    ],
)
def test_refusals_say_what_to_do(
    portal: Bitrix, pauses: list[float], reply: Reply, error: type[Exception], message: str
) -> None:
    portal.trouble["crm.lead.list"] = [reply]
    with playing(portal) as server, pytest.raises(error, match=message) as failed:
        fetched(source(server.url), "leads", window("2024-03-08"))
    assert CODE not in str(failed.value)


def test_names_of_stages_and_staff_are_read_whole(portal: Bitrix, pauses: list[float]) -> None:
    portal.users = [{"ID": str(n), "NAME": "Iva", "LAST_NAME": None, "EMAIL": "x@y.z"} for n in range(1, 121)]
    with playing(portal) as server:
        src = source(server.url)
        assert [s["name"] for s in fetched(src, "statuses", window("2024-03-08"))] == [
            "Новый",
            "Спам",
            "Веб-сайт",
            "Записан на приём",
        ]
        users = fetched(src, "users", window("2024-03-08"))
        assert [u["user_id"] for u in users] == [str(n) for n in range(1, 121)]
        assert {u["name"] for u in users} == {"Iva"}
        assert CONNECTOR.probe(src) == "answers; 0 leads, 0 deals"
    assert CONNECTOR.route(source("http://127.0.0.1", operator_names=False), stream_of(src, "users")) is None


def test_stages_say_what_became_of_an_enquiry_by_id_or_by_name(portal: Bitrix, pauses: list[float]) -> None:
    at = "2024-03-08T10:00:00+01:00"
    portal.tables["lead"] = [
        lead(1, at),
        lead(2, at, STATUS_ID="JUNK", STATUS_SEMANTIC_ID="F"),
        lead(3, at, STATUS_ID="UC_1", STATUS_SEMANTIC_ID="F"),
        lead(4, at, STATUS_ID="UC_2", STATUS_SEMANTIC_ID="F"),
        lead(5, at, STATUS_ID="CONVERTED", STATUS_SEMANTIC_ID="S"),
        lead(6, at, UF_CRM_APP="A-1"),
    ]
    portal.tables["deal"] = [
        deal(1, at, LEAD_ID="5"),
        deal(2, at, STAGE_ID="C1:UC_9", CATEGORY_ID="1"),
        deal(3, at, STAGE_ID="C1:WON", STAGE_SEMANTIC_ID="S", CATEGORY_ID="1"),
        deal(4, at, STAGE_ID="LOSE", STAGE_SEMANTIC_ID="F"),
        deal(5, at, IS_RECURRING="Y"),
        deal(6, at, CATEGORY_ID="8"),
        deal(7, at, CATEGORY_ID="8", LEAD_ID="4"),
    ]
    with playing(portal) as server:
        src = source(
            server.url,
            booked_stages="записан на  прием",
            junk_stages=["Спам"],
            pipelines=[0, "1"],
            fields={"appointment_id": "UF_CRM_APP"},
        )
        leads = fetched(src, "leads", window("2024-03-08"))
        deals = fetched(src, "deals", window("2024-03-08"))
    assert [(r["lead_id"], r["is_valid"], r["is_booked"]) for r in leads] == [
        ("1", None, None),
        ("2", False, False),
        ("3", False, False),
        ("4", None, False),
        ("5", True, None),
        ("6", True, True),
    ]
    assert [(r["deal_id"], r["is_valid"], r["is_booked"], r["is_enquiry"], r["lead_id"]) for r in deals] == [
        ("1", None, None, True, "5"),
        ("2", True, True, True, None),
        ("3", True, True, True, None),
        ("4", None, False, True, None),
        ("5", None, None, False, None),
        ("6", None, None, False, None),
        ("7", None, None, True, "4"),
    ]


# Settings


@pytest.mark.parametrize(
    "address",
    [
        "https://clinic.bitrix24.ru",
        "https://clinic.bitrix24.ru/rest/c0de/",
        "http://clinic.bitrix24.ru/rest/1/c0de/",
        "https://clinic.bitrix24.ru/rest/1/c0de/crm.lead.list",
    ],
)
def test_a_webhook_is_a_whole_address_and_is_not_repeated(address: str) -> None:
    with pytest.raises(ValueError, match="https://<portal>/rest/<user number>/<code>/") as refused:
        options("bitrix24", webhook=address)
    assert "c0de" not in str(refused.value)


def test_without_a_webhook_only_files_are_read() -> None:
    src = options("bitrix24")
    assert {CONNECTOR.route(src, s) for s in CONNECTOR.streams(src)} == {None}
    assert CONNECTOR.feeds_of(src) == ("contacts",)
    with_patients = options("bitrix24", fields={"patient_id": "UF_CRM_4"})
    assert CONNECTOR.feeds_of(with_patients) == ("contacts", "patients")
    with pytest.raises(ValueError, match="telephone"):
        options("bitrix24", fields={"telephone": "UF_CRM_4"})


def test_the_webhook_does_not_change_how_records_are_read() -> None:
    plain, asked = options("bitrix24"), source("http://127.0.0.1:1")
    leads = stream_of(plain, "leads")
    assert CONNECTOR.fingerprint(plain, leads) == CONNECTOR.fingerprint(asked, leads)
    staged = options("bitrix24", booked_stages="X")
    assert CONNECTOR.fingerprint(plain, leads) != CONNECTOR.fingerprint(staged, leads)


# Files


def read(path: Path, stream: str, **more: Any) -> Read:
    return vendor_files.read(CONNECTOR, path, stream, **more)


def saved(tmp_path: Path, body: Any, name: str = "answer.json") -> Path:
    path = tmp_path / name
    path.write_text(body if isinstance(body, str) else json.dumps(body), encoding="utf-8")
    return path


def test_the_documented_answers_land(shared: Path) -> None:
    folder = shared / "emr_mis/bitrix24"
    leads = read(folder / "crm.lead.list.response.json", "leads")
    assert [(r["lead_id"], r["status_id"], r["is_valid"], r["contact_id"]) for r in leads.landed] == [
        ("5", "CONVERTED", True, "2069"),
        ("6", "CONVERTED", True, "2070"),
    ]
    assert leads.landed[0]["created_at"] == datetime(2021, 5, 31, 12, 10, 16, tzinfo=UTC)
    assert leads.log.notes == ["a page: 2 of 654 records"]
    assert "Erasmus" not in str(leads.landed)
    (one,) = read(folder / "crm.lead.get.response.json", "leads").landed
    assert (one["lead_id"], one["status_semantic"], one["phone_key"] is None) == ("123", "P", False)
    deals = read(folder / "crm.deal.list.response.json", "deals").landed
    assert [d["deal_id"] for d in deals] == ["37", "38", "39", "40", "41", "42"]
    assert {(d["stage_id"], d["category_id"], d["is_booked"]) for d in deals} == {("C1:NEW", "1", None)}
    (got,) = read(folder / "crm.deal.get.response.json", "deals").landed
    assert (got["utm_source"], got["utm_medium"], got["contact_id"]) == ("google", "cpc", "84")
    people = read(folder / "crm.contact.list.response.json", "contacts").landed
    assert sorted(p["contact_id"] for p in people) == ["73", "74", "75", "77", "78"]
    assert all(p["email_key"] for p in people)
    (person,) = read(folder / "crm.contact.get.response.json", "contacts").landed
    assert len(person["phone_keys"]) == 1  # of the documented two, one is no possible number
    assert person["utm_campaign"] == "summer_sale"
    statuses = read(folder / "crm.status.list.response.json", "statuses").landed
    assert {(s["status_id"], s["semantic"]) for s in statuses} >= {("WON", "S"), ("LOSE", "F"), ("NEW", None)}
    assert len(statuses) == 8
    # crm.item.list was not asked for the time of creation
    items = read(folder / "crm.item.list.response.json", "leads")
    assert items.reasons == ["created_at: is empty but required"] * 4


def test_error_answers_and_records_of_another_kind_are_refused(shared: Path) -> None:
    folder = shared / "emr_mis/bitrix24"
    for path in folder.glob("*.error.json"):
        with pytest.raises(FileRefused, match="is an error answer"):
            read(path, "leads")
    for name, stream, message in (
        ("crm.deal.list.response.json", "leads", "holds deals, not leads; move it to the folder deals/"),
        ("crm.lead.list.response.json", "contacts", "holds leads"),
        ("crm.contact.list.response.json", "leads", "has no STATUS_ID"),
        ("crm.contact.list.response.json", "deals", "has no STAGE_ID"),
        ("crm.status.list.response.json", "deals", "holds statuses"),
        ("crm.item.list.response.json", "contacts", "holds deals"),
    ):
        with pytest.raises(FileRefused, match=message):
            read(folder / name, stream)


def test_records_of_the_universal_methods_have_the_same_meaning(tmp_path: Path) -> None:
    item = {
        "id": 253,
        "createdTime": "2024-07-23T10:45:54+02:00",
        "updatedTime": "2024-07-24T10:45:54+02:00",
        "stageId": "CONVERTED",
        "contactId": 9,
        "assignedById": 6,
        "utmSource": "google",
        "ufCrm_17": "A-1",
        "fm": [{"typeId": "PHONE", "value": "+385912345678"}, {"typeId": "WEB", "value": "x"}],
        "name": "Ana",
    }
    path = saved(tmp_path, {"result": {"items": [item]}, "total": 1})
    (row,) = read(path, "leads", fields={"appointment_id": "UF_CRM_17"}).landed
    assert (row["lead_id"], row["status_id"], row["contact_id"], row["responsible_id"]) == (
        "253",
        "CONVERTED",
        "9",
        "6",
    )
    assert (row["utm_source"], row["appointment_ref"], row["is_booked"]) == ("google", "A-1", True)
    assert row["modified_at"] == datetime(2024, 7, 24, 8, 45, 54, tzinfo=UTC)
    assert row["phone_key"] is not None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "not one whole JSON document"),
        ('{"result": [{"ID": "5", "STATUS_ID": "NEW"', "not one whole JSON document"),
        ('{"result": []}', "holds no record"),
        ('{"result": true}', "is no answer of a Bitrix24 list"),
        ("[1, 2]", "is no answer of a Bitrix24 list"),
        ("<html><body><table>", "is a web page, as Bitrix24's export to Excel is"),
        ("", "has no column id, nor дата создания"),
        ("a;b;c\n1;2;3\n", "has no column id, nor дата создания"),
    ],
)
def test_files_that_cannot_be_read_are_refused(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(FileRefused, match=message):
        read(saved(tmp_path, body), "leads")


LEADS_CSV = """\
"ID";"Название лида";"Имя";"Рабочий телефон";"Мобильный телефон";"Рабочий e-mail";"Комментарий";"Стадия";\
"Источник";"Ответственный";"Дата создания";"Дата изменения";"UTM Source";"UTM Campaign";"ClientID";"Наш пол"
"5";"Ана Х.";"Ана";"'+7 916 123-45-67";"";"ana@example.com";"перезвонить\nАне";"Некачественный лид";\
"Веб-сайт";"Ива Бан";"08.03.2024 10:30:00";"09.03.2024 09:00:00";"Yandex";"Импланты";"1700000000123456789";"ж"
"6";"Ана";"Ана";"";"";"";"";"Записан на прием";"Звонок";"Ива Бан";"08.03.2024 23:59:59";"";"";"";"";""
""".replace("\\\n", "")


def test_the_portals_own_export_of_leads_lands_the_same(tmp_path: Path) -> None:
    path = tmp_path / "LEAD_20240309.csv"
    path.write_bytes(b"\xef\xbb\xbf" + LEADS_CSV.encode())
    settings: dict[str, Any] = {
        "timezone": "Europe/Moscow",
        "fields": {"ym_client_id": ["UF_CRM_9", "clientid"]},
        "booked_stages": ["Записан на приём"],
    }
    result = read(path, "leads", **settings)
    first, second = result.landed
    assert {name: value for name, value in first.items() if value is not None} == {
        "lead_id": "5",
        "created_at": datetime(2024, 3, 8, 7, 30, tzinfo=UTC),
        "modified_at": datetime(2024, 3, 9, 6, tzinfo=UTC),
        "status_id": "Некачественный лид",
        "status_semantic": "F",
        "is_valid": False,
        "is_booked": False,
        "source_id": "Веб-сайт",
        "responsible": "Ива Бан",
        "phone_key": Privacy(b"a key for tests only", "HR").phone_key("+79161234567"),
        "phone_keys": [Privacy(b"a key for tests only", "HR").phone_key("+79161234567")],
        "email_key": Privacy(b"a key for tests only", "HR").email_key("ana@example.com"),
        "email_keys": [Privacy(b"a key for tests only", "HR").email_key("ana@example.com")],
        "visitor_id": "ym:1700000000123456789",
        "utm_source": "yandex",
        "utm_campaign": "Импланты",
        "_row_number": 3,
    }
    assert (second["lead_id"], second["is_booked"], second["is_valid"]) == ("6", True, True)
    assert result.log.unknown_columns == {"Наш пол"}
    older = tmp_path / "old.csv"
    older.write_bytes(LEADS_CSV.encode("cp1251"))
    assert read(older, "leads", **settings).landed == result.landed


def test_an_english_export_of_deals_and_dates_that_need_their_format(tmp_path: Path) -> None:
    text = (
        "ID,Deal name,Stage,Pipeline,Created on,Lead,Contact: Work phone,Contact: Mobile\n"
        "37,x,Deal won,General,03/08/2024 02:05:33 pm,Ana,+385 91 234 5678,+385 91 234 5679\n"
        "38,x,New,Spare,03/08/2024 02:05:33 am,,,\n"
    )
    path = saved(tmp_path, text, "DEAL.csv")
    refused = read(path, "deals")
    assert refused.landed == []
    assert {q.column for q in refused.quarantined} == {"created_at"}
    assert "set `datetime_format` of the source" in refused.reasons[0]
    won, spare = read(path, "deals", datetime_format="%m/%d/%Y %I:%M:%S %p", pipelines=["General"]).landed
    assert won["created_at"] == datetime(2024, 3, 8, 13, 5, 33, tzinfo=UTC)
    assert (won["is_booked"], won["is_from_lead"], won["lead_id"]) == (True, True, None)
    assert len(won["phone_keys"]) == 2
    assert (spare["is_from_lead"], spare["is_enquiry"]) == (False, False)
    with pytest.raises(FileRefused, match="holds deals, not leads"):
        read(path, "leads")
    with pytest.raises(FileRefused, match="read from saved answers of the API only"):
        read(path, "users")


def test_an_export_without_its_stage_or_day_is_refused_with_the_remedy(tmp_path: Path) -> None:
    without_day = saved(tmp_path, "ID;Название лида;Стадия\n5;x;Новый\n", "a.csv")
    with pytest.raises(FileRefused, match=r"has no column дата создания .*; show that column in the list"):
        read(without_day, "leads")
    contacts = saved(tmp_path, "ID;Имя;Рабочий телефон;Дата создания\n5;x;1;08.03.2024\n", "b.csv")
    with pytest.raises(FileRefused, match="has no column стадия"):
        read(contacts, "leads")
    assert read(contacts, "contacts").landed[0]["contact_id"] == "5"


def test_rows_that_cannot_be_used_are_quarantined_one_by_one(tmp_path: Path) -> None:
    text = (
        "ID;Стадия;Дата создания\n"
        "1,7E+10;Новый;08.03.2024 10:30\n"
        "5;Новый\n"
        "6;Новый;31.02.2024 10:30\n"
        "7;Новый;08.03.0024 10:30\n"
        ";Новый;08.03.2024 10:30\n"
        "\n"
        "8;Новый;08.03.2024 10:30\n"
    )
    result = read(saved(tmp_path, text, "a.csv"), "leads")
    assert [r["lead_id"] for r in result.landed] == ["8"]
    assert result.log.skipped == {"blank line": 1}
    assert [q.column for q in result.quarantined] == ["lead_id", "", "created_at", "created_at", "lead_id"]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**9),
            st.text(alphabet=" \"абвab;,'\t", max_size=8),
            st.sampled_from(["08.03.2024 10:30", "", "вчера"]),
        ),
        max_size=20,
    )
)
def test_every_line_of_an_export_lands_or_is_quarantined(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[int, str, str]]
) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=";", quoting=csv.QUOTE_ALL)
    writer.writerow(["ID", "Стадия", "Дата создания", "Комментарий"])
    writer.writerows([[number, stage, moment, "текст"] for number, stage, moment in lines])
    path = tmp_path_factory.mktemp("export") / "leads.csv"
    path.write_text(buffer.getvalue(), encoding="utf-8")
    result = read(path, "leads")
    assert len(result.landed) + len(result.quarantined) == len(lines)
    assert [r["lead_id"] for r in result.landed] == [
        str(n) for n, _, moment in lines if n and moment.startswith("08")
    ]
    assert "текст" not in str(result.landed)


@given(
    st.recursive(
        st.text(max_size=8),
        lambda inner: st.dictionaries(
            st.text("abc>@_", min_size=1, max_size=4), inner, min_size=1, max_size=3
        ),
        max_leaves=6,
    )
)
def test_what_php_reads_back_is_what_was_encoded(tree: Any) -> None:
    if isinstance(tree, str) or "$" in str(tree):
        return
    here: dict[str, Any] = {}
    for key, value in parse_qsl(encoded(tree), keep_blank_values=True):
        names = re.findall(r"[^\[\]]+", key)
        place = here
        for name in names[:-1]:
            place = place.setdefault(name, {})
        place[names[-1]] = value
    assert here == tree
