"""1C: an infobase played on loopback, a real answer, and exports as clinics with 1C have them."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors import _onec_odata
from connectors._mapped_tables import TABLES
from connectors._onec_headings import HEADINGS, VALUES, heading_key
from connectors.conformed import APPOINTMENT_STATUSES, PAYER_TYPES
from connectors.contract import ReadLog, SourceOptions
from connectors.errors import AuthError, FileRefused, IncompleteError, PermanentError
from connectors.onec import CONNECTOR
from connectors.privacy import Privacy
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

PASSWORD = "s3cret/пароль"
BASE = "/clinic/odata/standard.odata"
SALE = "Document_РеализацияТоваровУслуг"
IN_CASH, OUT_CASH = "Document_ПриходныйКассовыйОрдер", "Document_РасходныйКассовыйОрдер"
CARD, BANK = "Document_ОплатаПлатежнойКартой", "Document_ПоступлениеНаРасчетныйСчет"
CARDS = "Catalog_Контрагенты"
NOBODY = "00000000-0000-0000-0000-000000000000"
_WANTED = re.compile(
    r"Posted eq true and DeletionMark eq false and Date ge datetime'(\d{4}-\d\d-\d\dT00:00:00)' "
    r"and Date lt datetime'(\d{4}-\d\d-\d\dT00:00:00)'"
)


def guid(number: int) -> str:
    return f"8B9660F6-6332-11EC-AD72-{number:012d}"


def key(number: int) -> str:
    return guid(number).lower()


def sale(number: int, day: str, **over: Any) -> dict[str, Any]:
    """An act of sale of one service, as OData gives it."""
    return {
        "Ref_Key": guid(number),
        "DataVersion": "AAAACwAAAAA=",
        "DeletionMark": False,
        "Number": "0000-000002",
        "Date": f"{day}T17:23:05",
        "Posted": True,
        "Контрагент_Key": guid(900),
        "ПодразделениеОрганизации_Key": NOBODY,
        "СуммаВключаетНДС": True,
        "СуммаДокумента": 1500.5,
        "Комментарий": "a secret comment",
        "ДоверенностьДата": "0001-01-01T00:00:00",
        "Услуги": [
            {
                "Ref_Key": guid(number),
                "LineNumber": "1",
                "Номенклатура_Key": guid(700),
                "Содержание": "secret words",
                "Количество": 1,
                "Сумма": 1500.5,
                "СуммаНДС": 0,
            }
        ],
        "Товары": [],
        **over,
    }


def order(number: int, day: str, operation: str, **over: Any) -> dict[str, Any]:
    """A document that moves money."""
    return {
        "Ref_Key": guid(number),
        "DataVersion": "AAAACwAAAAA=",
        "DeletionMark": False,
        "Posted": True,
        "Date": f"{day}T10:00:00",
        "ВидОперации": operation,
        "Контрагент_Key": guid(900),
        "СуммаДокумента": 1500.5,
        **over,
    }


class Infobase:
    """A published infobase: ordered pages, counts, and its ways of refusing."""

    def __init__(self, password: str = PASSWORD) -> None:
        both = base64.b64encode(f"odata:{password}".encode()).decode()
        self.authorization = f"Basic {both}"
        self.tables: dict[str, list[dict[str, Any]]] = {
            name: [] for name in (SALE, IN_CASH, OUT_CASH, CARD, BANK, CARDS, "Catalog_Номенклатура")
        }
        self.kept_back = 0

    def __call__(self, request: Request) -> Reply:
        if request.headers.get("Authorization") != self.authorization:
            return Reply("", 401)
        if request.method != "GET" or not request.path.startswith(BASE):
            return refusal(404, "Not found")
        entity = unquote(request.path.removeprefix(BASE)).strip("/")
        if entity == "":
            return Reply({"odata.metadata": "x", "value": [{"name": n, "url": n} for n in self.tables]})
        name, _, count = entity.partition("/")
        if name not in self.tables:
            return refusal(404, f"Сущность {name} не найдена")
        rows = self.tables[name]
        query = dict(request.query)
        if name.startswith("Document_"):
            wanted = _WANTED.fullmatch(query.pop("$filter", ""))
            if wanted is None:
                return refusal(400, "Ошибка разбора опции запроса $filter")
            rows = [
                row
                for row in rows
                if wanted[1] <= row["Date"] < wanted[2] and row["Posted"] and not row["DeletionMark"]
            ]
        if count == "$count":
            return Reply("\ufeff" + str(len(rows))) if not query else refusal(400, f"unknown {sorted(query)}")
        order_by = "Date,Ref_Key" if name.startswith("Document_") else "Ref_Key"
        if query.pop("$format", "") != "json" or query.pop("$orderby", "") != order_by:
            return refusal(406, "not ordered, or not JSON")
        top, skip = int(query.pop("$top")), int(query.pop("$skip"))
        if query:  # $inlinecount among them: 1C would then ignore $top and $skip
            return refusal(400, f"unknown {sorted(query)}")
        ordered = sorted(rows, key=lambda row: (row.get("Date", ""), row["Ref_Key"]))
        shown = ordered[: len(ordered) - self.kept_back][skip : skip + top]
        return Reply({"odata.metadata": f"http://10.0.1.22{BASE}/$metadata#{name}", "value": shown})


def refusal(status: int, message: str) -> Reply:
    return Reply({"odata.error": {"code": "8", "message": {"lang": "ru", "value": message}}}, status)


def source_at(url: str, password: str = PASSWORD, **settings: Any) -> SourceOptions:
    return options(
        "onec",
        base_url=f"{url}{BASE}",
        user="odata",
        password=password,
        timezone="Europe/Moscow",
        currency="RUB",
        **settings,
    )


class TestOnecApi(ApiContract):
    stream = "visits"
    key = "visit_id"
    asked = window("2024-03-08", "2024-03-17")
    empty = window("2023-01-01")
    ids = [key(n) for n in range(1, 9)]  # noqa: RUF012
    setting = "password"

    @pytest.fixture(autouse=True)
    def _small_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_onec_odata, "_PAGE_ROWS", 3)

    def vendor(self, request: Request) -> Reply:
        infobase = Infobase(self.secret)
        infobase.tables[SALE] = [sale(n, f"2024-03-{7 + n:02d}") for n in range(1, 9)]
        return infobase(request)

    def source(self, url: str) -> SourceOptions:
        return source_at(url, self.secret)


@pytest.fixture
def infobase() -> Infobase:
    return Infobase()


def landed(
    infobase: Infobase, stream: str, log: ReadLog | None = None, **settings: Any
) -> list[dict[str, Any]]:
    with playing(infobase) as server:
        return fetched(source_at(server.url, **settings), stream, window("2024-03-08"), log)


# --- visits ---


def test_a_posted_document_is_a_visit_with_its_services(infobase: Infobase, pauses: list[float]) -> None:
    lines = [
        {"LineNumber": "1", "Номенклатура_Key": guid(700), "Сумма": 1000, "Врач_Key": guid(801)},
        {"LineNumber": "2", "Номенклатура_Key": NOBODY, "Сумма": 500.55, "Врач_Key": NOBODY},
    ]
    infobase.tables[SALE] = [sale(1, "2024-03-08", Услуги=lines, Врач_Key=guid(800))]
    first, second = landed(infobase, "visits", visits={"doctor": "Врач"})
    assert (first["visit_id"], first["patient_id"], first["status"]) == (key(1), key(900), "completed")
    assert first["visited_at"] == datetime(2024, 3, 8, 14, 23, 5, tzinfo=UTC)
    assert [(r["line_id"], r["amount"], r["service_key"]) for r in (first, second)] == [
        ("1", Decimal(1000), key(700)),
        ("2", Decimal("500.55"), None),
    ]
    # the line's own doctor, else the document's
    assert [r["doctor_key"] for r in (first, second)] == [key(801), key(800)]
    assert (first["branch_key"], first["currency"], first["data_version"]) == (None, "RUB", "AAAACwAAAAA=")
    assert (first["is_line"], first["is_appointment"], first["document"]) == (True, False, SALE)
    assert "secret" not in str([first, second])


def test_only_posted_documents_that_nobody_struck_off_count(infobase: Infobase, pauses: list[float]) -> None:
    infobase.tables[SALE] = [
        sale(1, "2024-03-08", Posted=False),
        sale(2, "2024-03-08", DeletionMark=True),
        sale(3, "2024-03-08"),
        sale(4, "2024-03-09"),
    ]
    assert [r["visit_id"] for r in landed(infobase, "visits")] == [key(3)]


def test_a_server_that_ignores_the_filter_lands_nothing_more(pauses: list[float]) -> None:
    """Whether a document counts is looked at here too."""

    def careless(request: Request) -> Reply:
        if request.path.endswith("$count"):
            return Reply("2")
        return Reply({"value": [sale(1, "2024-03-08", Posted=False), sale(2, "2024-03-08")]})

    log = ReadLog()
    with playing(careless) as server:
        rows = fetched(source_at(server.url), "visits", window("2024-03-08"), log)
    assert [r["visit_id"] for r in rows] == [key(2)]
    assert log.skipped == {"document not posted, or marked for deletion": 1}


def test_goods_alone_are_no_visit_and_vat_on_top_is_added(infobase: Infobase, pauses: list[float]) -> None:
    line = {"LineNumber": "1", "Номенклатура_Key": guid(700), "Сумма": 1000, "СуммаНДС": 200.1}
    infobase.tables[SALE] = [
        sale(1, "2024-03-08", Услуги=[], Товары=[line]),
        sale(2, "2024-03-08", Услуги=[line], СуммаВключаетНДС=False),
        sale(3, "2024-03-08", Услуги=[line]),
    ]
    log = ReadLog()
    rows = landed(infobase, "visits", log)
    assert [(r["visit_id"], r["amount"]) for r in rows] == [
        (key(2), Decimal("1200.1")),
        (key(3), Decimal(1000)),
    ]
    assert log.skipped == {"document without services": 1}


def test_a_medical_configuration_has_names_of_its_own(infobase: Infobase, pauses: list[float]) -> None:
    document = {
        **sale(1, "2024-03-08"),
        "Пациент": guid(901),
        "Пациент_Type": "StandardODATA.Catalog_Пациенты",
        "Манипуляции": [{"LineNumber": 1, "Услуга_Key": guid(701), "Стоимость": "700.00", "Скидка": 70}],
        "Анализы": [{"LineNumber": 1, "Услуга_Key": guid(702), "Стоимость": 50}],
    }
    infobase.tables = {"Document_ОказаниеУслуг": [document]}
    rows = landed(
        infobase,
        "visits",
        visits={
            "document": "Document_ОказаниеУслуг",
            "sections": ["Манипуляции", "Анализы"],
            "patient": "Пациент",
            "service": "Услуга",
            "amount": "Стоимость",
            "discount": "Скидка",
        },
    )
    assert [(r["line_id"], r["amount"], r["discount"], r["patient_id"]) for r in rows] == [
        ("Манипуляции:1", Decimal(700), Decimal(70), key(901)),
        ("Анализы:1", Decimal(50), None, key(901)),
    ]


def test_documents_fewer_than_counted_are_incomplete(infobase: Infobase, pauses: list[float]) -> None:
    infobase.tables[SALE] = [sale(n, "2024-03-08") for n in range(1, 5)]
    infobase.kept_back = 1
    with pytest.raises(IncompleteError, match="3 of 4"):
        landed(infobase, "visits")


def test_days_are_those_of_the_infobase_s_clock(infobase: Infobase, pauses: list[float]) -> None:
    infobase.tables[SALE] = [
        sale(1, "2024-03-08", Date="2024-03-08T00:00:00"),
        sale(2, "2024-03-08", Date="2024-03-08T23:59:59"),
        sale(3, "2024-03-09", Date="2024-03-09T00:00:00"),
    ]
    rows = landed(infobase, "visits")
    assert [r["visited_at"] for r in rows] == [
        datetime(2024, 3, 7, 21, tzinfo=UTC),
        datetime(2024, 3, 8, 20, 59, 59, tzinfo=UTC),
    ]


# --- money ---


def test_money_of_patients_comes_in_and_goes_back_by_its_operation(
    infobase: Infobase, pauses: list[float]
) -> None:
    infobase.tables[IN_CASH] = [
        order(1, "2024-03-08", "ОплатаПокупателя"),
        order(2, "2024-03-08", "ПолучениеНаличныхВБанке"),
        order(3, "2024-03-08", "ОплатаПокупателя", Posted=False),
    ]
    infobase.tables[OUT_CASH] = [
        order(4, "2024-03-08", "ВозвратПокупателю", СуммаДокумента=200),
        order(5, "2024-03-08", "ВыплатаЗаработнойПлаты", СуммаДокумента=90000),
    ]
    infobase.tables[CARD] = [
        order(6, "2024-03-08", "ОплатаПокупателя"),
        order(7, "2024-03-08", "ВозвратПокупателю", СуммаДокумента="50.25"),
    ]
    infobase.tables[BANK] = [
        order(8, "2024-03-08", "ОплатаПокупателя", Контрагент_Key=None, Контрагент=guid(902)),
        order(9, "2024-03-08", "ПоступлениеОтПродажПоПлатежнымКартамИБанковскимКредитам"),
    ]
    log = ReadLog()
    rows = landed(infobase, "payments", log)
    assert [(r["payment_id"], r["amount"], r["payer_type"]) for r in rows] == [
        (key(1), Decimal("1500.5"), "cash"),
        (key(4), Decimal(-200), "cash"),
        (key(6), Decimal("1500.5"), "card"),
        (key(7), Decimal("-50.25"), "card"),
        (key(8), Decimal("1500.5"), "transfer"),
    ]
    assert rows[4]["patient_id"] == key(902)
    assert log.skipped == {
        f"{IN_CASH}: ПолучениеНаличныхВБанке": 1,
        f"{OUT_CASH}: ВыплатаЗаработнойПлаты": 1,
        f"{BANK}: ПоступлениеОтПродажПоПлатежнымКартамИБанковскимКредитам": 1,
    }


def test_usual_documents_may_be_missing_and_named_ones_may_not(
    infobase: Infobase, pauses: list[float]
) -> None:
    del infobase.tables[CARD]
    infobase.tables[IN_CASH] = [order(1, "2024-03-08", "ОплатаПокупателя")]
    log = ReadLog()
    assert len(landed(infobase, "payments", log)) == 1
    assert log.notes == [f"1C publishes no {CARD}; read without it"]
    with pytest.raises(PermanentError, match="publishes no Document_ОплатаПлатежнойКартой"):
        landed(infobase, "payments", payments=[{"document": CARD}])


def test_a_payment_for_several_visits_is_split_by_its_lines(infobase: Infobase, pauses: list[float]) -> None:
    lines = [
        {"LineNumber": "1", "Сделка": guid(1), "Сделка_Type": f"StandardODATA.{SALE}", "СуммаПлатежа": 1000},
        {"LineNumber": "2", "Сделка": NOBODY, "СуммаПлатежа": 500.5},
    ]
    infobase.tables[IN_CASH] = [order(5, "2024-03-08", "ОплатаПокупателя", РасшифровкаПлатежа=lines)]
    how = {"document": IN_CASH, "payer_type": "cash", "lines": "РасшифровкаПлатежа", "visit": "Сделка"}
    rows = landed(infobase, "payments", payments=[how])
    assert [(r["payment_id"], r["visit_id"], r["amount"]) for r in rows] == [
        (f"{key(5)}:1", key(1), Decimal(1000)),
        (f"{key(5)}:2", None, Decimal("500.5")),
    ]


def test_a_document_that_is_nothing_but_a_refund_needs_no_operation(
    infobase: Infobase, pauses: list[float]
) -> None:
    name = "Document_ВозвратОплаты"
    infobase.tables[name] = [order(5, "2024-03-08", "", ДокументОплаты_Key=guid(1))]
    rows = landed(
        infobase, "payments", payments=[{"document": name, "counts": "refund", "visit": "ДокументОплаты"}]
    )
    assert [(r["amount"], r["visit_id"]) for r in rows] == [(Decimal("-1500.5"), key(1))]


# --- catalogues ---


def test_patients_are_cards_without_names(infobase: Infobase, pauses: list[float]) -> None:
    contacts = [
        {"Тип": "Телефон", "НомерТелефона": "79161234567", "Представление": "+7 (916) 123-45-67"},
        {"Тип": "Телефон", "НомерТелефона": "", "Представление": "+7 916 000-00-01"},
        {"Тип": "АдресЭлектроннойПочты", "АдресЭП": "a@b.ru", "Представление": "a@b.ru"},
        {"Тип": "Адрес", "Представление": "a secret street"},
    ]
    infobase.tables[CARDS] = [
        {
            "Ref_Key": guid(1),
            "Description": "Secret Name",
            "ДатаРождения": "1980-02-03T00:00:00",
            "Пол": "Женский",
            "КонтактнаяИнформация": contacts,
        },
        {"Ref_Key": guid(2), "Description": "Folder", "IsFolder": True},
        {"Ref_Key": guid(3), "Description": "Gone", "DeletionMark": True},
        {"Ref_Key": guid(4), "Description": "Bare", "ДатаРождения": "0001-01-01T00:00:00"},
    ]
    woman, bare = landed(infobase, "patients")
    privacy = Privacy(b"k" * 32, "HR")
    assert woman["phone_keys"] == [privacy.phone_key("+79161234567"), privacy.phone_key("+79160000001")]
    assert (woman["patient_id"], woman["birth_year"], woman["sex"]) == (key(1), 1980, "female")
    assert len(woman["email_keys"]) == 1
    assert (bare["phone_keys"], bare["birth_year"], bare["sex"]) == (None, None, None)
    assert "ecret" not in str([woman, bare])


def test_only_catalogues_that_visits_refer_to_are_asked_for(infobase: Infobase, pauses: list[float]) -> None:
    infobase.tables["Catalog_Номенклатура"] = [{"Ref_Key": guid(700), "Description": "Consultation"}]
    infobase.tables["Catalog_Сотрудники"] = [{"Ref_Key": guid(800), "Description": "Dr. Petrova"}]
    log = ReadLog()
    assert [(r["ref_key"], r["name"]) for r in landed(infobase, "catalogs", log)] == [
        (key(700), "Consultation")
    ]
    assert log.notes == ["1C publishes no Catalog_ПодразделенияОрганизаций; read without it"]
    rows = landed(infobase, "catalogs", visits={"doctor": "Врач", "branch": None})
    assert [r["name"] for r in rows] == ["Consultation", "Dr. Petrova"]


def test_the_probe_tells_what_is_not_published(infobase: Infobase, pauses: list[float]) -> None:
    with playing(infobase) as server:
        source: Any = source_at(server.url)
        assert CONNECTOR.probe(source) == (
            "answers; 7 of 9 documents and catalogues are published; "
            "not published: Catalog_Сотрудники, Catalog_ПодразделенияОрганизаций"
        )


@pytest.mark.parametrize(
    ("reply", "kind", "match"),
    [
        (refusal(500, "Недостаточно прав"), PermanentError, "Недостаточно прав; a right of the user may be"),
        (refusal(400, "Ошибка разбора"), PermanentError, "HTTP 400 .Ошибка разбора"),
        (refusal(404, "нет"), PermanentError, "1C publishes no Document_РеализацияТоваровУслуг"),
        (Reply("", 401), AuthError, "mend `password`"),
        (Reply("many"), PermanentError, "gave no number"),
    ],
)
def test_what_will_not_do_is_not_asked_again(
    pauses: list[float], reply: Reply, kind: type[Exception], match: str
) -> None:
    with playing(lambda _request: reply) as server:
        with pytest.raises(kind, match=match) as failed:
            fetched(source_at(server.url), "visits", window("2024-03-08"))
        assert len(server.requests) == 1
    assert PASSWORD not in str(failed.value)
    assert base64.b64encode(f"odata:{PASSWORD}".encode()).decode() not in str(failed.value)


def test_an_answer_without_value_is_an_error_not_a_crash(pauses: list[float]) -> None:
    def odd(request: Request) -> Reply:
        return Reply("3" if request.path.endswith("$count") else [1, 2])

    with pytest.raises(PermanentError, match="without `value`"), playing(odd) as server:
        fetched(source_at(server.url), "visits", window("2024-03-08"))


# --- configuration ---


def test_routes_exist_only_with_a_password() -> None:
    source: Any = source_at("http://127.0.0.1:1")
    routes = {s.name: CONNECTOR.route(source, s) for s in CONNECTOR.streams(source)}
    assert {name: route.by for name, route in routes.items() if route is not None} == {
        "visits": "day",
        "payments": "day",
        "patients": "whole",
        "catalogs": "whole",
    }
    bare: Any = options("onec")
    assert CONNECTOR.route(bare, stream_of(bare, "visits")) is None


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"password": "x"}, "OData needs base_url, user too"),
        ({"catalogs": {"doctor": "Catalog_ФизическиеЛица"}}, "holds patients"),
        ({"catalogs": {"doctor": CARDS}}, "holds patients"),
        ({"patients": {"catalog": "Catalog_Лица"}, "catalogs": {"doctor": "Catalog_Лица"}}, "holds patients"),
        ({"visits": {"document": "Реализация"}}, "as OData publishes it"),
        ({"payments": [{"document": CARD, "payer_type": "money"}]}, "is none of cash"),
        (
            {"files": {"visits": {"columns": {"visit": "Визит"}}}},
            "files.visits.columns.visit: unknown column",
        ),
        ({"files": {"visits": {"values": {"status": {"Был": "came"}}}}}, "'came' is not accepted"),
        ({"files": {"calls": {}}}, "visits"),
        ({"datetime_format": "dd.mm.yyyy"}, "with a year"),
    ],
)
def test_half_a_configuration_is_one_clear_line(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        options("onec", **settings)


def test_the_usual_headings_are_of_columns_that_exist_and_never_ambiguous_within_a_stream() -> None:
    for stream, columns in HEADINGS.items():
        assert set(columns) <= set(TABLES[stream].columns)
    assert set(VALUES["status"].values()) <= set(APPOINTMENT_STATUSES)
    assert set(VALUES["payer_type"].values()) <= set(PAYER_TYPES)


# --- saved answers ---


def test_the_real_answer_has_two_documents_that_nobody_posted(shared: Path) -> None:
    found = read(CONNECTOR, shared / f"emr_mis/onec_odata/{SALE}.json", "visits", timezone="Europe/Moscow")
    assert found.raw == []
    assert found.log.skipped == {"document not posted, or marked for deletion": 2}


def test_the_real_answer_once_posted(shared: Path, tmp_path: Path) -> None:
    answer = json.loads((shared / f"emr_mis/onec_odata/{SALE}.json").read_text())
    for document in answer["value"]:
        document["Posted"] = True
    (tmp_path / "a.json").write_text(json.dumps(answer))
    found = read(CONNECTOR, tmp_path / "a.json", "visits", timezone="Europe/Moscow")
    # the first document sells goods alone
    assert found.log.skipped == {"document without services": 1}
    assert [(r["line_id"], r["amount"]) for r in found.landed] == [
        ("1", Decimal(52110)),
        ("2", Decimal(56444)),
    ]
    assert sum(r["amount"] for r in found.landed) == answer["value"][1]["СуммаДокумента"]
    assert {r["visit_id"] for r in found.landed} == {"8b9660f7-6332-11ec-ad72-000c29b45b09"}
    assert found.landed[0]["visited_at"] == datetime(2021, 12, 22, 14, 23, 5, tzinfo=UTC)
    assert {r["branch_key"] for r in found.landed} == {None}
    assert "мойки" not in str(found.landed)


def saved(tmp_path: Path, content: Any, stream: str = "visits", **given: Any) -> Read:
    path = tmp_path / "answer.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return read(CONNECTOR, path, stream, timezone="Europe/Moscow", **given)


def answer(entity: str, *items: Any) -> dict[str, Any]:
    return {"odata.metadata": f"http://h/$metadata#{entity}", "value": list(items)}


@pytest.mark.parametrize(
    ("content", "stream", "reason"),
    [
        (b'{"odata.error": {"code": "8"}}', "visits", "holds an error"),
        (b'{"odata.metadata": "x"}', "visits", "has no `value`"),
        (b'{"value": [{"Ref_Key": "a"', "visits", "an answer for nothing named"),
        (json.dumps(answer(IN_CASH)).encode(), "visits", f"is an answer for {IN_CASH}"),
        (json.dumps(answer(SALE)).encode(), "payments", f"is an answer for {SALE}"),
        (json.dumps(answer(SALE, {})).encode()[:-3], "visits", "not whole JSON"),
        (b"", "catalogs", "OData only"),
        (b"a;b\n", "catalogs", "OData only"),
    ],
)
def test_what_is_no_answer_for_the_stream_is_refused(
    tmp_path: Path, content: bytes, stream: str, reason: str
) -> None:
    with pytest.raises(FileRefused, match=reason):
        saved(tmp_path, content, stream)


def test_saved_answers_of_every_stream_are_read(tmp_path: Path) -> None:
    assert len(saved(tmp_path, answer(SALE, sale(1, "2024-03-08"))).landed) == 1
    paid = answer(IN_CASH, order(1, "2024-03-08", "ОплатаПокупателя"))
    assert saved(tmp_path, paid, "payments").landed[0]["payer_type"] == "cash"
    assert len(saved(tmp_path, answer(CARDS, {"Ref_Key": guid(1)}), "patients").landed) == 1
    names = answer("Catalog_Сотрудники", {"Ref_Key": guid(1), "Description": "Dr. A"})
    assert saved(tmp_path, names, "catalogs").landed[0]["catalog"] == "Catalog_Сотрудники"


def test_documents_out_of_shape_are_quarantined_whole_and_alone(tmp_path: Path) -> None:
    half = sale(5, "2024-03-08")
    half["Услуги"].append({"LineNumber": "2", "Сумма": "a lot"})
    found = saved(
        tmp_path,
        answer(
            SALE,
            sale(1, "2024-03-08"),
            7,
            sale(2, "2024-03-08", Date="08.03.2024"),
            sale(3, "2024-03-08", Date="0001-01-01T00:00:00"),
            sale(4, "2024-03-08", Контрагент_Key=NOBODY),
            half,
        ),
    )
    assert [r["visit_id"] for r in found.landed] == [key(1)]
    assert found.reasons == [
        ": is not a JSON object",
        "visited_at: is not a time like 2021-12-22T17:22:08",
        "visited_at: is empty but required",
        "patient_id: is empty but required",
        "amount: is not an amount",
    ]
    lines = [{"LineNumber": "1", "СуммаПлатежа": 1}]
    odd = saved(
        tmp_path,
        answer(
            IN_CASH,
            order(1, "2024-03-08", "ОплатаПокупателя", РасшифровкаПлатежа=lines),
            order(2, "2024-03-08", ""),
        ),
        "payments",
        payments=[{"document": IN_CASH, "lines": "РасшифровкаПлатежа", "visit": "Сделка"}],
    )
    assert odd.reasons == [
        "amount: the lines do not add up to the document",
        "operation: the document tells no operation; set `counts` or `operation` of it",
    ]


# --- exports ---

VISITS = (
    "Отчет о приемах за март;;;;;;;;;;;;;;;\r\n"
    "Клиника: Центр;;;;;;;;;;;;;;;\r\n"
    "№ приема;№ карты;Телефон;Моб. телефон;Дата рождения;Пол;Дата приема;Время приема;Врач;Филиал;Услуга;"
    "Статус;Сумма, руб.;Оплачено;Плательщик;Откуда узнали\r\n"
    "0101;0077;8 (916) 123-45-67;;05.03.1980;Ж;01.03.2024;9:05:00;Петрова;Центр;Консультация;Выполнен;"
    "1 234,50;1 234,50;Наличные;Яндекс\r\n"
    "0101;0077;8 (916) 123-45-67;;05.03.1980;Ж;01.03.2024;9:05:00;Петрова;Центр;УЗИ;Оказана;"
    "2\u00a0000,00 р.;2\u202f000,00;ДМС;Яндекс\r\n"
    "0102;0078;;+7 916 000-00-01, +7 916 000 00 02 (мама);;М;02.03.2024;11:00;Сидоров;Центр;Консультация;"
    "Не пришёл;1 000,00;-;;\r\n"
    "Итого;;;;;;;;;;;;4 234,50;3 234,50;;\r\n"
)


def export(tmp_path: Path, text: str | bytes, stream: str = "visits", **given: Any) -> Read:
    path = tmp_path / "export.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("cp1251"))
    settings: dict[str, Any] = {"timezone": "Europe/Moscow", "clinic_phone_region": "RU", **given}
    return read(CONNECTOR, path, stream, **settings)


@pytest.mark.parametrize("encoding", ["cp1251", "utf-8", "utf-8-sig", "utf-16"])
def test_a_list_of_visits_is_read_by_its_usual_headings(tmp_path: Path, encoding: str) -> None:
    text = VISITS if encoding != "cp1251" else VISITS.replace("\u202f", "\u00a0")
    found = export(tmp_path, text.encode(encoding))
    assert found.quarantined == []
    assert [(r["visit_id"], r["patient_id"], r["line_id"]) for r in found.landed] == [
        ("0101", "0077", "#1"),
        ("0101", "0077", "#2"),
        ("0102", "0078", "#1"),
    ]
    first, second, missed = found.landed
    assert first["visited_at"] == datetime(2024, 3, 1, 6, 5, tzinfo=UTC)
    assert (first["birth_year"], first["sex"], first["doctor"], first["branch"]) == (
        1980,
        "female",
        "Петрова",
        "Центр",
    )
    assert [r["status"] for r in found.landed] == ["completed", "completed", "no_show"]
    assert [r["amount"] for r in found.landed] == [Decimal("1234.5"), Decimal(2000), Decimal(1000)]
    assert [r["paid"] for r in found.landed] == [Decimal("1234.5"), Decimal(2000), None]
    assert [r["payer_type"] for r in found.landed] == ["cash", "insurer", None]
    assert (second["service"], first["self_reported_source"]) == ("УЗИ", "Яндекс")
    assert len(missed["phone_keys"]) == 2
    assert {r["is_appointment"] for r in found.landed} == {True}
    assert found.log.unknown_columns == set()
    assert found.log.skipped == {"preamble": 2, "total row": 1}
    assert found.log.control_totals == {
        ("total", "amount"): Decimal("4234.5"),
        ("total", "paid"): Decimal("3234.5"),
    }
    assert "916" not in str([{k: v for k, v in r.items() if k != "phone_keys"} for r in found.landed])


def test_a_workbook_is_read_like_a_text(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Приемы"])
    sheet.append(["ID визита", "ID пациента", "Дата и время приема", "Специалист", "Стоимость"])
    sheet.append([101, "0077", datetime(2024, 3, 1, 9, 5), "Петрова", 1234.5])
    sheet.append([102, "0078", 45353.5, "Петрова", 10])
    path = tmp_path / "v.xlsx"
    book.save(path)
    rows = read(CONNECTOR, path, "visits", timezone="Europe/Moscow").landed
    assert [(r["visit_id"], r["amount"], r["status"]) for r in rows] == [
        ("101", Decimal("1234.5"), "completed"),
        ("102", Decimal(10), "completed"),
    ]
    assert rows[1]["visited_at"] == datetime(2024, 3, 2, 9, tzinfo=UTC)


def test_a_document_s_number_is_a_key_only_with_its_day(tmp_path: Path) -> None:
    """Numbers begin anew each year: the second payment must not replace the first."""
    text = (
        "Номер;Дата;Код пациента;Сумма;Вид оплаты\n"
        "0000-000001;10.01.2023 12:00:00;7;100,00;Карта\n"
        "0000-000001;10.01.2024 0:00:00;7;-250,00;Нал\n"
    )
    rows = export(tmp_path, text, "payments").landed
    assert [(r["payment_id"], r["amount"], r["payer_type"]) for r in rows] == [
        ("0000-000001:10.01.2023 12:00:00", Decimal(100), "card"),
        ("0000-000001:10.01.2024 0:00:00", Decimal(-250), "cash"),
    ]
    # 1C prints midnight where it knows the day alone
    assert rows[1]["paid_at"] == datetime(2024, 1, 10, 20, 59, 59, 999999, tzinfo=UTC)


def test_patients_are_read_with_all_their_phones(tmp_path: Path) -> None:
    text = (
        "№ карты\tФ.И.О.\tТелефон\tМобильный телефон\tE-mail\tДата рождения\tИсточник\n"
        "1\tSecret\t+7 495 123-45-67\t79161234567\ta@b.ru\t01.02.1980\tСайт\n"
        "2\tSecret\t7,9161E+10\t\t\t\t\n"
    )
    found = export(tmp_path, text, "patients")
    assert [len(r["phone_keys"] or []) for r in found.landed] == [2, 0]
    assert found.log.unknown_columns == {"Ф.И.О."}
    assert any("ruined by a spreadsheet" in note for note in found.log.notes)
    assert "Secret" not in str(found.landed)


def test_what_a_clinic_heads_and_writes_otherwise_is_configured(tmp_path: Path) -> None:
    text = "Визит;Карта;Когда;Итог;Итого с учетом скидки\n1;2;2024-03-01 10:00;пришли;10.50\n"
    files = {
        "visits": {
            "columns": {
                "visit_id": "Визит",
                "patient_id": "Карта",
                "visited_at": "Когда",
                "status": "Итог",
                "amount": "Итого с учетом скидки",
            },
            "values": {"status": {"пришли": "completed"}},
            "datetime_format": "%Y-%m-%d %H:%M",
            "decimal": ".",
        }
    }
    (row,) = export(tmp_path, text, files=files).landed
    assert (row["visit_id"], row["status"], row["amount"]) == ("1", "completed", Decimal("10.5"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        (";;\n;;\n", "is empty"),
        ("<html><body>Ошибка</body></html>", "is a web page"),
        ("№ приема;Дата приема\n1;01.03.2024\n", "no column for patient_id: № карты"),
        ("Имя;Фамилия\nИван;Петров\n", "no column for visit_id: № приема"),
        ('№ приема;№ карты;Дата приема\n1;2;"01.03.2024', "cut short"),
        (b"\xff\xfe\x00", "encoding|is empty|not utf-16"),
    ],
)
def test_what_is_no_list_of_visits_is_refused(tmp_path: Path, text: str | bytes, reason: str) -> None:
    with pytest.raises(FileRefused, match=reason):
        export(tmp_path, text)


def test_rows_that_cannot_be_read_are_quarantined_alone(tmp_path: Path) -> None:
    text = (
        "№ приема;№ карты;Дата приема;Сумма;Плательщик\n"
        "1;7;01.03.2024;10,00;Карта\n"
        "1,23E+10;7;01.03.2024;10,00;Карта\n"
        "2;7;03/01/2024;10,00;Карта\n"
        "3;7;01.03.2024;10.00;Карта\n"
        "4;7;01.03.2024;10,00;Натурой\n"
        "5;7;01.03.1024;10,00;Карта\n"
        "6;;01.03.2024;10,00;Карта\n"
    )
    found = export(tmp_path, text)
    assert [r["visit_id"] for r in found.landed] == ["1"]
    assert [reason.split(":")[0] for reason in found.reasons] == [
        "visit_id",
        "visited_at",
        "amount",
        "payer_type",
        "visited_at",
        "patient_id",
    ]


def test_a_unit_and_the_letter_yo_are_no_part_of_a_heading() -> None:
    assert len({heading_key(h) for h in ("Сумма", "Сумма, руб.", "СУММА (руб.)", "Сумма, ₽", "Сумма:")}) == 1
    assert heading_key("Приём") == heading_key("прием")


_AMOUNTS = st.decimals(min_value=-(10**8), max_value=10**8, places=2, allow_nan=False, allow_infinity=False)


@given(amounts=st.lists(_AMOUNTS, min_size=1, max_size=20), data=st.data())
def test_amounts_survive_the_way_1c_prints_them_and_columns_may_stand_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, amounts: list[Decimal], data: st.DataObject
) -> None:
    headings = data.draw(st.permutations(["ID платежа", "№ карты", "Дата оплаты", "Сумма оплаты"]))
    lines = [";".join(headings)]
    for number, amount in enumerate(amounts, start=1):
        printed = f"{amount:,.2f}".replace(",", "\u00a0").replace(".", ",")
        cells = dict(
            zip(
                ["ID платежа", "№ карты", "Дата оплаты", "Сумма оплаты"],
                [str(number), "7", "01.03.2024", printed],
                strict=True,
            )
        )
        lines.append(";".join(cells[heading] for heading in headings))
    found = export(tmp_path_factory.mktemp("onec"), "\n".join(lines), "payments")
    assert found.quarantined == []
    assert [r["amount"] for r in found.landed] == amounts


@given(amounts=st.lists(st.lists(_AMOUNTS, max_size=4), min_size=1, max_size=10))
def test_every_line_of_every_posted_document_lands_once(
    tmp_path_factory: pytest.TempPathFactory, amounts: list[list[Decimal]]
) -> None:
    documents = [
        sale(
            number,
            "2024-03-08",
            Услуги=[{"LineNumber": str(n), "Сумма": str(a)} for n, a in enumerate(lines, start=1)],
        )
        for number, lines in enumerate(amounts, start=1)
    ]
    found = saved(tmp_path_factory.mktemp("onec"), answer(SALE, *documents))
    assert [r["amount"] for r in found.landed] == [amount for lines in amounts for amount in lines]
    assert found.log.skipped.get("document without services", 0) == sum(1 for lines in amounts if not lines)
