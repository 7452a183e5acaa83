"""What may be written of a row, and what may not, wherever it stands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.check import Quarantined, check
from connectors.contract import ARROW, Block, Column, ReadLog, Row, Stream
from connectors.privacy import Privacy

PRIVACY = Privacy(b"a key of the tests, 32 bytes long", "RU")
STREAM = Stream(
    name="visits",
    description="visits",
    columns=(
        Column("visit_id", "text", "visit", required=True, record_id=True),
        Column("patient_id", "text", "patient", record_id=True),
        Column("visited_at", "timestamp", "time", required=True),
        Column("user_ref", "text", "account"),
        Column("visitor_id", "text", "browser"),
        Column("self_reported_source", "text", "how did you hear about us"),
        Column("tags", "text[]", "tags"),
    ),
    primary_key=("visit_id",),
    event_day="visited_at",
)
ARRIVED = datetime(2026, 6, 1, tzinfo=UTC)
AT = "2026-05-01T10:00:00Z"


def checked(**values: object) -> tuple[dict[str, object], dict[str, str]]:
    """(landed values or {}, values kept in quarantine or {})."""
    (batch,) = check([Row(1, dict(values))], STREAM, PRIVACY, ReadLog(), arrived_at=ARRIVED)
    landed = batch.batch.to_pylist()
    return (landed[0] if landed else {}), (batch.quarantined[0].values if batch.quarantined else {})


@pytest.mark.parametrize(
    "slipped",
    [
        "Иванов Иван",
        "8 916 123-45-67 мама",
        "8 916 123-45-67, 8 495 111-22-33",
        "anna@mail.ru",
        "89161234567",
        "1234567",
    ],
)
def test_quarantine_keeps_no_id_that_may_be_a_person(slipped: str) -> None:
    assert checked(visit_id=slipped, patient_id=slipped, visited_at="bad") == ({}, {})


def test_quarantine_keeps_ids_of_the_usual_shape() -> None:
    _, kept = checked(visit_id="V-10457", patient_id="P_12", visited_at="bad")
    assert kept == {"visit_id": "V-10457", "patient_id": "P_12"}


def test_accounts_that_are_an_e_mail_or_a_phone_are_keyed_and_still_join() -> None:
    first, _ = checked(visit_id="1", visited_at=AT, user_ref="Anna@mail.ru", visitor_id="79161234567@c.us")
    second, _ = checked(visit_id="2", visited_at=AT, user_ref="anna@mail.ru", visitor_id="wa:+79161234567")
    assert first["user_ref"] == second["user_ref"]
    for landed in (first, second):
        for column in ("user_ref", "visitor_id"):
            assert "@" not in str(landed[column])
            assert "9161234567" not in str(landed[column])


@pytest.mark.parametrize(
    "plain", ["ga:332684732.1699613239", "ym:1693664394841450666", "ct:800000000802881118", "u-77"]
)
def test_ids_of_analytics_stay_as_they_are(plain: str) -> None:
    landed, _ = checked(visit_id="1", visited_at=AT, visitor_id=plain, user_ref=plain)
    assert landed["visitor_id"] == landed["user_ref"] == plain


def test_batches_stay_small_and_fractions_are_no_whole_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.check.BATCH_ROWS", 2)
    stream = Stream("s", "s", (Column("n", "integer", "n"),), ("n",))
    rows = [Row(i, {"n": Decimal(i)}) for i in range(5)] + [Row(5, {"n": Decimal("3.7")}), Row(6, {"n": 2.5})]
    batches = list(check(rows, stream, PRIVACY, ReadLog(), arrived_at=ARRIVED))
    assert [batch.batch.num_rows for batch in batches] == [2, 2, 1]
    assert [q.reason for batch in batches for q in batch.quarantined] == ["is not a whole number"] * 2


def test_numbers_and_addresses_in_typed_texts_do_not_land() -> None:
    landed, _ = checked(
        visit_id="1",
        visited_at=AT,
        self_reported_source="sestra Petra +7 916 123-45-67, petra@mail.ru",
        tags=["MANUAL: call 8(916)1234567 back", "AUTO-PN: звонок"],
    )
    assert landed["self_reported_source"] == "sestra Petra …, …"
    assert landed["tags"] == ["MANUAL: call …back", "AUTO-PN: звонок"]


# --- blocks: the same as their rows ------------------------------------------------------------------

ALL_TYPES = Stream(
    name="everything",
    description="a column of every kind",
    columns=(
        Column("id", "text", "id", required=True, record_id=True),
        Column("day", "date", "day"),
        Column("at", "timestamp", "time"),
        Column("count", "integer", "count"),
        Column("cost", "decimal", "money"),
        Column("share", "double", "share"),
        Column("is_new", "boolean", "flag"),
        Column("visitor_id", "text", "browser"),
        Column("status_raw", "text", "typed text"),
        Column("tags", "text[]", "typed texts"),
        Column("services", "text[]", "texts"),
        Column("phone_key", "text", "phone", personal="phone"),
        Column("phone_keys", "text[]", "phones", personal="phone"),
        Column("email_key", "text", "mail", personal="email"),
    ),
    primary_key=("id",),
    event_day="day",
)
_LIKELY = {
    "id": ["A-1", " 77 ", "\u00a0x\u3000", "  ", "", None, "8 916 123-45-67"],
    "day": ["2024-01-31", "20240131", "2024-W05-1", "2024-02-30", "0023-01-01", "2100-12-31", "2026-06-03",
            " 2024-01-31", "2024-1-1", "", None],
    "at": ["2024-01-31T10:00:00Z", "2024-01-31 10:00:00+03", "2024-01-31 10:00:00.1234567+03:00",
           "2024-01-31", "1900-01-01T00:00:00+05:00", "2100-12-31T23:59:59-05:00",
           "2101-01-01T01:00:00+05:00",
           "20240131T100000Z", "2024-01-31 24:00:00Z", "2024-01-31 10:00:00+24:00", "", None],
    "count": ["1", "-0", "+5", " 7 ", "0x1F", "1_000", "٣", "1.0", "1e3", "9223372036854775807",
              "9223372036854775808", " ", "", None],
    "cost": ["1.50", "-.5", "5.", "1e3", "1E-7", "0.0000005", "-0.0000005", "1.12345650",
             "999999999999.999999", "999999999999.9999995", "1000000000000",
             "NaN", "Infinity", "1_0.5", "+1", " 2 ", " ", "0x1",
             "0.00000000000000000000005", "", None],
    "share": ["0.5", "nan", "inf", "nan(1)", "1e400", "1_0", "+.5", " 2 ", "0x1p3", "1,5", " ", "", None],
    "is_new": ["true", "", None],
    "visitor_id": ["ga:1.2", "wa:+385911234567", "385911234567@c.us", "Anna@mail.hr", " ym:16936643948414506",
                   "0911234567", "x:(091) 123-4567", "u-77", "", None],
    "status_raw": ["done", "call +385 91 123 4567", "anna@mail.hr wrote", " ", "", None],
    "tags": ["a", "", None],
    "phone_key": ["+385911234567", "0911234567, 01 4567 890", "3,85E+11", "anonymous", "", None],
    "phone_keys": ["+385911234567; 0911234568", "3,85E+11", "", None],
    "email_key": ["Anna@Mail.hr", "none", "", None],
}  # fmt: skip
_ROWS = st.lists(
    st.fixed_dictionaries(
        {
            name: st.sampled_from(values) | st.text("0123456789+-.,:eExXnaT@ \u00a0\u0416\u0663", max_size=12)
            for name, values in _LIKELY.items()
        }
    ),
    max_size=8,
)
_PARSED: dict[str, list[Any]] = {
    "day": [date(2024, 1, 31), date(1, 1, 1), date(2027, 1, 1), None],
    "at": [datetime(2024, 1, 31, 10, tzinfo=UTC), datetime(1899, 12, 31, tzinfo=UTC), None],
    "count": [0, -5, 1 << 62, None],
    "cost": [Decimal("1.5"), Decimal("999999999999.999999"), None],
    "share": [0.5, -0.0, None],
    "is_new": [True, False, None],
    "services": [["x", " y "], [], [""], [None], ["x", None], None],
    "tags": [["call 091 123 4567 back", "x"], [], [""], None],
    "phone_keys": [["+385911234567", "0911234568"], [], ["3,85E+11"], None],
}


def outcome(records: Sequence[Row | Block], privacy: Privacy) -> tuple[list[Any], list[Quarantined], Any]:
    log = ReadLog()
    batches = list(check(records, ALL_TYPES, privacy, log, arrived_at=ARRIVED))
    assert sum(b.rows_read for b in batches) == sum(b.batch.num_rows + len(b.quarantined) for b in batches)
    landed = [row for b in batches for row in b.batch.to_pylist()]
    for batch in batches:
        assert batch.batch.schema.names == [*ALL_TYPES.schema().names, "_row_number"]
    # nan is not equal to itself
    return (
        [{k: repr(v) for k, v in row.items()} for row in landed],
        [q for b in batches for q in b.quarantined],
        log.notes,
    )


@pytest.mark.parametrize("hashed", [False, True])
@given(rows=_ROWS, repeats=st.sampled_from([1, 100]), encoded=st.booleans())
def test_a_block_of_texts_gives_what_its_rows_give(
    hashed: bool, rows: list[dict[str, str | None]], repeats: int, encoded: bool
) -> None:
    privacy = Privacy(b"a key of the tests, 32 bytes long", "HR", hash_record_ids=hashed)
    good = {"id": "A-2", "cost": "1.5", "day": "2024-05-01"}
    many = [*rows, *[good] * repeats]
    columns: dict[str, pa.Array[Any]] = {
        name: pa.array([row.get(name) for row in many], pa.string()) for name in _LIKELY
    }
    if encoded:
        columns = {name: values.dictionary_encode() for name, values in columns.items()}
    block = Block(pa.array(range(5, 5 + len(many)), pa.int64()), columns)
    assert outcome([block], privacy) == outcome(list(block.rows()), privacy)
    # A part of a block is no different.
    part = block.slice(1, max(0, len(many) - 2))
    assert outcome([part], privacy) == outcome(list(part.rows()), privacy)


@pytest.mark.parametrize("column", list(_LIKELY))
def test_a_single_odd_text_in_a_block_gives_what_its_row_gives(column: str) -> None:
    odd = [*_LIKELY[column], "-0.0000015", "0.5", "2.5", "7", "x", "0x10", "nan(2)"]
    for text in odd:
        cells = {"id": "A-2", column: text}
        block = Block(
            pa.array([3, 4], pa.int64()),
            {name: pa.array([cell, cell], pa.string()) for name, cell in cells.items()},
        )
        assert outcome([block], PRIVACY) == outcome(list(block.rows()), PRIVACY), text


@given(st.data())
def test_a_block_of_parsed_values_gives_what_its_rows_give(data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 5))
    columns: dict[str, pa.Array[Any]] = {"id": pa.array([f"A-{n}" for n in range(count)], pa.string())}
    for name, values in _PARSED.items():
        drawn = data.draw(st.lists(st.sampled_from(values), min_size=count, max_size=count))
        columns[name] = pa.array(drawn, type=ARROW[ALL_TYPES.column(name).type])
    refused = {at: ("cost", "is negative") for at in range(count) if data.draw(st.booleans())}
    apart = {
        at: Row(at, {"id": f"B-{at}", "cost": data.draw(st.sampled_from(["7", "x"]))})
        for at in range(count)
        if data.draw(st.booleans())
    }
    block = Block(pa.array(range(count), pa.int64()), columns, refused, apart)
    rows = list(block.rows())
    assert [row.values["id"][0] for row in rows] == ["B" if at in apart else "A" for at in range(count)]
    assert outcome([block], PRIVACY) == outcome(rows, PRIVACY)
    assert outcome([*rows, block], PRIVACY) == outcome(rows + rows, PRIVACY)


def test_one_bad_value_costs_its_block_one_row_only() -> None:
    texts = ["1.5"] * 10_000
    texts[7_777] = "n/a"
    block = Block(
        pa.array(range(10_000), pa.int64()),
        {"id": pa.array(["A-1"] * 10_000), "cost": pa.array(texts)},
    )
    (batch,) = check([block], ALL_TYPES, PRIVACY, ReadLog(), arrived_at=ARRIVED)
    assert batch.batch.num_rows == 9_999
    assert [(q.row_number, q.column, q.reason) for q in batch.quarantined] == [
        (7_777, "cost", "is not an amount")
    ]
    assert batch.batch.column("_row_number").to_pylist() == [n for n in range(10_000) if n != 7_777]


def test_blocks_and_rows_keep_their_order_and_batches_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.check.BATCH_ROWS", 4)
    block = Block(pa.array(range(1, 11), pa.int64()), {"id": pa.array([f"A-{n}" for n in range(1, 11)])})
    records = [Row(0, {"id": "A-0"}), block, Row(11, {"id": "A-11"})]
    batches = list(check(records, ALL_TYPES, PRIVACY, ReadLog(), arrived_at=ARRIVED))
    assert [batch.rows_read for batch in batches] == [1, 4, 4, 2, 1]
    assert [n for b in batches for n in b.batch.column("_row_number").to_pylist()] == list(range(12))


def test_an_amount_that_rounds_to_a_trillion_is_refused_not_a_crash() -> None:
    stream = Stream("s", "s", (Column("n", "decimal", "n"),), ("n",))
    rows = [Row(1, {"n": "999999999999.9999995"}), Row(2, {"n": "999999999999.9999994"})]
    (batch,) = check(rows, stream, PRIVACY, ReadLog(), arrived_at=ARRIVED)
    assert batch.batch.column("n").to_pylist() == [Decimal("999999999999.999999")]
    assert [q.reason for q in batch.quarantined] == ["is absurdly large for an amount"]
