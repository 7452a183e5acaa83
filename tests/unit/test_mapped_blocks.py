"""Mapped files in blocks of columns: the same as row by row, whatever the cells hold."""

from __future__ import annotations

import csv
import io
import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors import _text_parts
from connectors._mapped_tables import TABLES
from connectors.check import check
from connectors.contract import Block, ReadLog, Row
from connectors.errors import FileRefused
from connectors.files import Cell, InboxFile
from connectors.mapped_file import CONNECTOR, MappedFileOptions
from connectors.privacy import Privacy

ARRIVED = datetime(2026, 3, 1, 12, tzinfo=UTC)
PRIVACY = Privacy(b"a key of the tests, 32 bytes long", "HR")


class RowByRow(InboxFile):
    """A text file that is read as a workbook is: one by one, by Python's reader of CSV."""

    @property
    def suffix(self) -> str:
        return ".xlsx"

    def table(self, *, delimiter: str | None = None, **_given: Any) -> Iterator[tuple[int, list[Cell]]]:
        self.encoding = "utf-8"
        return InboxFile(self.path).table(delimiter=";", encoding=self.encoding)


def outcome(file: InboxFile, stream: str, given: dict[str, Any]) -> Any:
    """Everything that comes of a file, or why it is refused."""
    source = MappedFileOptions(
        name="mis", clinic_timezone="Europe/Zagreb", clinic_currency="EUR", clinic_phone_region="HR", **given
    )
    declared, log = TABLES[stream].stream, ReadLog()
    rows: list[Any] = []
    quarantined: list[Any] = []
    read = 0
    try:
        records = CONNECTOR.read(file, declared, source, log)
        for checked in check(records, declared, PRIVACY, log, arrived_at=ARRIVED):
            rows += checked.batch.to_pylist()
            quarantined += [(q.row_number, q.column, q.reason, q.values) for q in checked.quarantined]
            read += checked.rows_read
    except FileRefused as refused:
        return str(refused)
    return rows, quarantined, read, log


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    os.utime(path, (ARRIVED.timestamp(), ARRIVED.timestamp()))
    return path


def assert_same(path: Path, stream: str, given: dict[str, Any]) -> Any:
    by_block = outcome(InboxFile(path), stream, given)
    assert by_block == outcome(RowByRow(path), stream, given)
    return by_block


# Cells: what is usual, and what people, spreadsheets and vendors make of it.

ODD = st.sampled_from(
    [
        "",
        " ",
        "-",
        "—",
        "#N/A",
        "#ref!",
        "#x",
        "Итого",
        "1,23E+10",
        "12E5",
        "а\x1fб",
        "\x00",
        "\ufeff",
        '"',
        "x\ny",
    ]
) | st.text(st.characters(codec="utf-8"), max_size=6)
SPACE = st.sampled_from(["", "", "", " ", "\u00a0", "\t", "\x1c", "\u3000"])


def cells(*usual: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    written = st.one_of(*usual)
    return st.one_of(written, written, st.builds(lambda a, t, b: a + t + b, SPACE, written, SPACE), ODD)


def printed(moment: datetime, format_: str) -> str:
    # strftime does not pad years.
    return moment.strftime(format_.replace("%Y", f"{moment.year:04}"))


FORMATS = [
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%d",
]
# Both changes of the clock, the ends of what is accepted, and the usual.
MOMENTS = st.one_of(
    st.datetimes(datetime(2026, 3, 29), datetime(2026, 3, 29, 4)),
    st.datetimes(datetime(2025, 10, 26), datetime(2025, 10, 26, 4)),
    st.datetimes(datetime(2025, 1, 1), datetime(2026, 3, 4)),
    st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)),
    st.datetimes(datetime(1899, 12, 30), datetime(1900, 1, 3)),
    st.datetimes(datetime(2100, 12, 29), datetime(2101, 1, 2)),
)
TIMES = cells(
    st.builds(printed, MOMENTS, st.sampled_from(FORMATS)),
    st.builds(printed, st.datetimes(datetime(2025, 1, 1), datetime(2026, 2, 28)), st.just(FORMATS[0])),
    st.sampled_from(
        ["46024.5", "46024", "46024,25", "  .  .    ", "31.02.2026 10:00", "1.2.2026 9:05", "24:00"]
    ),
)
CLOCKS = cells(st.sampled_from(["09:30", "9:30", "10:00:05", "24:00", "10:30,5", "02:30"]))
IDS = cells(
    st.from_regex(r"[0-9]{1,3}", fullmatch=True), st.from_regex(r"[0-9]e?[+.]?[0-9]E[0-9]", fullmatch=True)
)
NUMBERS = cells(
    st.from_regex(r"-?[0-9]{1,4}[.,][0-9]{1,2}", fullmatch=True),
    st.from_regex(r"-?[0-9]{1,3}[ ,.'\u00a0][0-9]{3}([.,][0-9]{1,7})?", fullmatch=True),
    st.text("0123456789.,- ()€٣+e", max_size=14),
    st.from_regex(r"[0-9]{12,14}", fullmatch=True),
)
PHONES = cells(
    st.from_regex(r"\+385 ?9[0-9]{7,8}", fullmatch=True),
    st.sampled_from(
        ["01 555 0101", "+7 916 123-45-67; 8 495 123-45-67", "7,9161E+10", "anonymous", "091/234-5678"]
    ),
)
STATUSES = cells(st.sampled_from(["Выполнен", "выполнен ", "Неявка", "booked", "completed", "?"]))
TEXTS = cells(st.sampled_from(["Хорват И.", "Центр", 'ООО "Ромашка"', "a;b", "x\r\ny", "c\rd"]))
DURATIONS = cells(st.sampled_from(["1:35", "0:01:35", "95", "95.0", "-5", "99999999999999999999"]))
ANSWERS = cells(st.sampled_from(["да", "нет", "+", "0", "maybe", "П"]))
PAGES = cells(
    st.sampled_from(["https://clinic.example/a?utm_source=Google&utm_medium=cpc&gclid=Ab1_x", "/kids"])
)
BORN = cells(st.sampled_from(["17.05.1980", "1975", "01.02.45", "2015-01-01"]))

Mapping = tuple[str, dict[str, st.SearchStrategy[str]], dict[str, Any]]
VISITS: Mapping = (
    "visits",
    {
        "id": IDS,
        "sub": IDS,
        "p": IDS,
        "at": TIMES,
        "clock": CLOCKS,
        "plan": TIMES,
        "booked": TIMES,
        "dr": TEXTS,
        "dr2": TEXTS,
        "st": STATUSES,
        "sum": NUMBERS,
        "line": IDS,
        "phone": PHONES,
        "mobile": PHONES,
        "born": BORN,
        "first": ANSWERS,
        "kind": st.sampled_from(["visit", "Visit ", "other", ""]),
    },
    {
        "columns": {
            "visit_id": ["id", "sub"],
            "patient_id": "p",
            "visited_at": ["at", "clock"],
            "scheduled_at": "plan",
            "booked_at": "booked",
            "doctor": ["dr", "dr2"],
            "service": "dr",
            "status": "st",
            "billed": "sum",
            "line_id": "line",
            "phone": ["phone", "mobile"],
            "birth_date": "born",
            "clinic_says_primary": "first",
            "visitor_id": "sub",
            "sex": "first",
        },
        "values": {"status": {"Выполнен": "completed", "": "unknown"}, "clinic_says_primary": {"": False}},
        "prefixes": {"visitor_id": "ga:"},
        "defaults": {"branch": "Centre", "doctor": "nobody", "billed": "5", "discount": "0"},
        "where": {"kind": ["visit", ""]},
    },
)
CALLS: Mapping = (
    "calls",
    {
        "id": IDS,
        "at": TIMES,
        "phone": PHONES,
        "to": PHONES,
        "talk": DURATIONS,
        "wait": DURATIONS,
        "ok": ANSWERS,
        "way": STATUSES,
        "page": PAGES,
        "tag": TEXTS,
        "tags": TEXTS,
    },
    {
        "columns": {
            "call_id": "id",
            "called_at": "at",
            "phone": "phone",
            "tracking_number": "to",
            "talk_s": "talk",
            "wait_s": "wait",
            "is_answered": "ok",
            "direction": "way",
            "landing_path": "page",
            "utm_source": "tag",
            "tags": "tags",
        },
        "values": {"direction": {"Выполнен": "inbound", "booked": "outbound"}},
        "defaults": {"tags": "a; b", "phone": "+38515550101", "is_answered": "да", "wait_s": "3"},
    },
)
PAYMENTS: Mapping = (
    "payments",
    {"id": IDS, "at": TIMES, "sum": NUMBERS, "how": TEXTS, "cur": TEXTS},
    {
        "columns": {
            "payment_id": "id",
            "paid_at": "at",
            "amount": "sum",
            "payer_type": "how",
            "currency": "cur",
        },
        "values": {"payer_type": {"Центр": "cash"}},
    },
)
COSTS: Mapping = (
    "other_costs",
    {"id": IDS, "from": TIMES, "to": TIMES, "sum": NUMBERS, "campaign": TEXTS},
    {
        "columns": {
            "cost_id": "id",
            "starts_on": "from",
            "ends_on": "to",
            "amount": "sum",
            "campaign": "campaign",
        }
    },
)
WRITTEN = st.fixed_dictionaries(
    {"decimal": st.sampled_from([".", ","])},
    optional={
        "datetime_format": st.sampled_from([FORMATS[:1], FORMATS[:3], FORMATS]),
        "date_format": st.sampled_from([["%d.%m.%Y"], ["%d.%m.%y", "%d.%m.%Y"]]),
        "timezone": st.sampled_from(["Europe/Moscow", "America/Sao_Paulo", "Asia/Beirut"]),
    },
)


@st.composite
def exports(draw: st.DrawFn) -> tuple[str, dict[str, Any], str]:
    """(table, settings, text of the file)."""
    stream, columns, mapping = draw(st.sampled_from([VISITS, CALLS, PAYMENTS, COSTS]))
    out = io.StringIO(newline="")
    end = draw(st.sampled_from(["\n", "\r\n", "\n", "\r"]))
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    writer = csv.writer(out, delimiter=";", quoting=quoting, lineterminator=end)
    writer.writerow(columns)
    row = st.tuples(*columns.values())
    for _ in range(draw(st.integers(0, 8))):
        line = list(draw(row))
        match draw(st.integers(0, 40)):
            case 0:
                line = line[: draw(st.integers(0, len(line)))]
            case 1:
                line = [*line, draw(ODD)]
            case 2:
                line = list(columns)
            case 3:
                line = ["Итого", *[""] * (len(line) - 2), "5"]
        writer.writerow(line)
    text = out.getvalue()
    if draw(st.integers(0, 15)) == 0:
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(['"', '"x', "\r", '""', "\n"])) + text[at:]
    return (
        stream,
        {**draw(WRITTEN), "streams": {stream: mapping}, "delimiter": ";", "encoding": "utf-8"},
        text,
    )


@given(export=exports(), part=st.sampled_from([1, 40, 300, 1 << 21]))
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_blocks_give_what_rows_give(
    tmp_path: Path, export: tuple[str, dict[str, Any], str], part: int
) -> None:
    stream, given_, text = export
    path = write(tmp_path / "export.csv", text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_text_parts, "_PART_BYTES", part)
        assert_same(path, stream, given_)


USUAL = {"datetime_format": "%d.%m.%Y %H:%M", "date_format": "%d.%m.%Y"}


def usual(rows: int, *, odd_every: int = 0) -> str:
    """Visits as a practice's system prints them, some of them written otherwise."""
    pick = random.Random(5)
    lines = ["id;sub;p;at;clock;plan;booked;dr;dr2;st;sum;line;phone;mobile;born;first;kind\n"]
    for n in range(rows):
        day = f"{pick.randrange(1, 29):02}.{pick.randrange(1, 13):02}.2025"
        clock = f"{pick.randrange(24):02}:{pick.randrange(60):02}"
        amount = f"{pick.randrange(9000)},{pick.randrange(100):02}"
        if odd_every and n % odd_every == 0:
            day, amount = pick.choice([("1.2.2025", "1 200,50"), (day, "12 тыс."), ("29.02.2025", amount)])
        lines.append(
            f"{n // 3};A;{n % 99};{day};{clock};{day} {clock};{day};Dr {n % 7};;Выполнен;{amount};;"
            f"+38591555{n % 500:04};;17.05.1980;да;visit\n"
        )
    return "".join(lines)


@pytest.mark.parametrize("odd_every", [0, 7])
def test_a_large_file_gives_what_rows_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd_every: int
) -> None:
    # Visits go on in the next part.
    monkeypatch.setattr(_text_parts, "_PART_BYTES", 20_000)
    path = write(tmp_path / "v.csv", usual(1_500, odd_every=odd_every))
    stream, _, mapping = VISITS
    given_ = {"streams": {stream: mapping}, "decimal": ",", "delimiter": ";", **USUAL}
    rows, quarantined, read, _ = assert_same(path, stream, given_)
    assert read == 1_500
    assert bool(quarantined) == bool(odd_every)
    assert {row["line_id"] for row in rows} == {"#1", "#2", "#3"}


def test_usual_rows_stand_in_columns_and_odd_ones_apart(tmp_path: Path) -> None:
    path = write(tmp_path / "v.csv", usual(700, odd_every=70))
    stream, _, mapping = VISITS
    source = MappedFileOptions(
        name="mis",
        clinic_timezone="Europe/Zagreb",
        clinic_currency="EUR",
        clinic_phone_region="HR",
        streams={stream: mapping},
        decimal=",",
        **USUAL,
    )
    [block] = CONNECTOR.read(InboxFile(path), TABLES[stream].stream, source, ReadLog())
    assert isinstance(block, Block)
    assert len(block) == 700
    # 1.2.2025 and 1 200,50 are read in columns too; what is refused is not.
    assert 0 < len(block.apart) <= 10
    assert all(isinstance(row, Row) and row.refused is not None for row in block.apart.values())
    together, alone = block.parted()
    assert (len(together), len(alone)) == (700 - len(block.apart), len(block.apart))
