"""What may be written of a row, and what may not, wherever it stands."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from connectors.check import check
from connectors.contract import Column, ReadLog, Row, Stream
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
