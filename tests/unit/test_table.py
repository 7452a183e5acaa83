"""Exports in blocks: where the header is, which lines are rows, and what is refused."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from connectors import _table_files
from connectors._table import (
    UNREADABLE,
    Layout,
    constant,
    days,
    moments,
    numbers,
    open_table,
    percents,
    refuse,
    split,
    total,
    without,
)
from connectors._table_files import OddLine, TextTable, cuts_plainly
from connectors.contract import Block, ReadLog
from connectors.errors import FileRefused
from connectors.files import InboxFile

ENGLISH = Layout(
    headings={
        "day": ("Day", "Date"),
        "campaign": ("Campaign name", "Campaign"),
        "cost": ("Cost", re.compile(r"amount spent \((?P<currency>[a-z]{3})\)")),
    },
    required=("day", "cost"),
    ignored=("CTR",),
    remedy="click there",
)
RUSSIAN = Layout(
    headings={"day": ("День",), "campaign": ("Кампания",), "cost": ("Расход",)}, required=("day", "cost")
)
LAYOUTS = {"en": ENGLISH, "ru": RUSSIAN}


def read(
    folder: Path, content: str | bytes, name: str = "export.csv", log: ReadLog | None = None, **how: Any
) -> list[tuple[Any, ...]]:
    """(line, day, campaign, cost) of every row."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    table = open_table(InboxFile(path), LAYOUTS, ReadLog() if log is None else log, **how)
    return [
        (row.number, *(row.values.get(column) for column in ("day", "campaign", "cost")))
        for block in table.blocks()
        for row in block.rows()
    ]


def refusal(folder: Path, content: str | bytes, name: str = "export.csv", **how: Any) -> str:
    with pytest.raises(FileRefused) as refused:
        read(folder, content, name, **how)
    return str(refused.value)


# --- the header --------------------------------------------------------------------------------------


def test_the_header_is_found_by_its_headings_wherever_it_stands(tmp_path: Path) -> None:
    log = ReadLog()
    rows = read(
        tmp_path,
        "Report\nMarch, all campaigns\n\n  COST ,Extra,dAy,CTR,Campaign\n1.5,x,2024-03-01,1%,Spring\n",
        log=log,
    )
    assert rows == [(5, "2024-03-01", "Spring", "1.5")]
    assert log.unknown_columns == {"Extra"}
    assert log.skipped == {"preamble": 3}


def test_the_language_whose_headings_are_there_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "export.tsv"
    path.write_text("День\tКампания\tРасход\n2024-03-01\tВесна\t1,5\n", encoding="utf-8")
    table = open_table(InboxFile(path), LAYOUTS, ReadLog())
    assert (table.language, table.headings) == (
        "ru",
        {"day": "День", "campaign": "Кампания", "cost": "Расход"},
    )
    assert [len(block) for block in table.blocks()] == [1]


def test_a_heading_may_be_a_pattern_and_tell_something(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("Totals of the year\nDay,Amount spent (EUR)\n2024-03-01,1\n")
    table = open_table(InboxFile(path), LAYOUTS, ReadLog())
    assert table.match("cost") == {"currency": "eur"}
    assert table.match("day") == table.match("campaign") == {}
    assert table.above == [["Totals of the year"]]
    assert table.header_line == 2


def test_the_preferred_of_two_headings_is_read(tmp_path: Path) -> None:
    log = ReadLog()
    assert read(tmp_path, "Day,Campaign,Campaign name,Cost\n2024-03-01,a,b,1\n", log=log) == [
        (2, "2024-03-01", "b", "1")
    ]
    assert not log.unknown_columns


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\ufeff \n", "is empty"),
        ("<html><body>Sign in", "is a web page"),
        ("Day,Campaign\n2024-03-01,a\n", "no column Cost; click there"),
        ("Day,Cost,cost \n2024-03-01,1,2\n", "has the column Cost twice; click there"),
        ("alpha,beta\n1,2\n", "no header in its first 30 lines (one with Day, Cost); click there"),
        ("x\n" * 30 + "Day,Cost\n2024-03-01,1\n", "no header in its first 30 lines"),
    ],
)
def test_what_has_no_header_is_refused(tmp_path: Path, content: str, message: str) -> None:
    assert message in refusal(tmp_path, content)


def test_only_a_header_gives_no_rows(tmp_path: Path) -> None:
    assert (
        read(tmp_path, "Day,Cost") == read(tmp_path, "Day,Cost\r\n") == read(tmp_path, "Day,Cost\n\n") == []
    )


# --- encodings ---------------------------------------------------------------------------------------

TEXT = "День;Кампания;Расход\r\n2024-03-01;Стоматология;1,5\r\n"


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        TEXT.encode("cp1251"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_every_encoding_gives_the_same(tmp_path: Path, content: bytes, packed: bool) -> None:
    name = "export.csv.gz" if packed else "export.csv"
    content = gzip.compress(content) if packed else content
    assert read(tmp_path, content, name, fallback="cp1251") == [(2, "2024-03-01", "Стоматология", "1,5")]


def test_a_configured_encoding_is_kept_to(tmp_path: Path) -> None:
    assert read(tmp_path, TEXT.encode("koi8-r"), encoding="koi8-r")[0][2] == "Стоматология"
    assert "is not utf-8 text" in refusal(tmp_path, TEXT.encode("cp1251"), encoding="utf-8")
    late = "Day,Cost\n" + "2024-03-01,1\n" * 100
    assert "or later is not utf-8 text" in refusal(tmp_path, late.encode() + b"\xff,1\n")
    with_mark = codecs.BOM_UTF8 + b"Day,Cost\n2024-03-01,1\n"
    for encoding in ("utf-8", "utf-8-sig"):
        assert read(tmp_path, with_mark, encoding=encoding) == [(2, "2024-03-01", None, "1")]


def test_a_cut_archive_is_refused(tmp_path: Path) -> None:
    lines = "".join(f"2024-03-01,{n * 7919 % 10007}\n" for n in range(100_000))
    content = gzip.compress(b"Day,Cost\n" + lines.encode())
    for encoding in (None, "utf-8", "cp1251"):
        assert "cannot be unpacked" in refusal(tmp_path, content[:-9], "a.csv.gz", encoding=encoding)
    damaged = bytearray(content)
    damaged[len(content) // 2 : len(content) // 2 + 40] = bytes(40)
    assert "export.csv.gz: " in refusal(tmp_path, bytes(damaged), "export.csv.gz", encoding="utf-8")


# --- rows and other lines ----------------------------------------------------------------------------


def footer(cells: list[str]) -> str | None:
    return "footer" if cells[0][:1] == "@" else None


def test_footers_and_blank_lines_are_no_rows_and_lines_are_counted_through_them(tmp_path: Path) -> None:
    log = ReadLog()
    content = 'Day,Campaign,Cost\n\n2024-03-01,a,1\n,,\n2024-03-02,"b\nb",2\n\n2024-03-03,c,3\n\n"@2020"\n\n'
    assert read(tmp_path, content, log=log, footer=footer) == [
        (3, "2024-03-01", "a", "1"),
        (6, "2024-03-02", "b\nb", "2"),
        (8, "2024-03-03", "c", "3"),
    ]
    assert log.skipped == {"blank line": 5, "footer": 1}
    two_lines = 'Day,Campaign,Cost\n2024-03-01,a,1\n"@2020\nall"\n@2021\nTotal\n'
    assert "line 6 has 1 cells under 3" in refusal(tmp_path, two_lines, footer=footer)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Day,Campaign,Cost\n2024-03-01,a,1\n2024-03-02,b\n2024-03-03,c,3\n", "line 3 has 2 cells under 3"),
        ("Day,Campaign,Cost\n2024-03-01,a,1\n\n2024-03-02,b,1,5\n", "line 4 has 4 cells under 3"),
        ('Day,Campaign,Cost\n2024-03-01,"a\n\na",1\n2024-03-02', "line 5 has 1 cells under 3"),
        ("Day,Campaign,Cost\n2024-03-01,a,1\n@2020\n2024-03-02,b,2\n", "line 3 ends the report, but rows"),
        ("Day,Campaign,Cost\n@2020\nTotal\n", "line 3 has 1 cells"),
        ('Day,Campaign,Cost\n2024-03-01,a,"12.5', "unexpected end of data"),
        ('Day,Campaign,Cost\n2024-03-01,"a,1\n2024-03-02,"b",2\n', "expected after"),
        # Two rows, one of them within a cell, and an even number of quotes.
        ('Day,Campaign,Cost\n2024-03-01,"a,1\n2024-03-02,"b,2\n2024-03-03,"c"x"y",2\n', "expected after"),
    ],
)
def test_a_line_that_is_no_row_refuses_the_file(tmp_path: Path, content: str, message: str) -> None:
    assert message in refusal(tmp_path, content, footer=footer)


def test_an_opening_quote_that_swallows_the_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_table_files, "_BLOCK_BYTES", 4096)
    content = 'Day,Campaign,Cost\n2024-03-01,"a,1\n' + "2024-03-02,b,2\n" * 1000
    assert "a quote does not close" in refusal(tmp_path, content)


def test_quotes_within_a_cell_are_text(tmp_path: Path) -> None:
    content = 'Day,Campaign,Cost\n2024-03-01,5" pipe,1\n2024-03-01,"a ""b"" c",1\n2024-03-01,,1\n'
    assert [row[2] for row in read(tmp_path, content)] == ['5" pipe', 'a "b" c', None]
    tabbed = 'Day\tCampaign\tCost\n2024-03-01\t"a\t1\n2024-03-01\tb"\t1\n'
    assert [row[2] for row in read(tmp_path, tabbed, quoted=False)] == ['"a', 'b"']


CELL = st.text('ab"\n,; é\U0001f600', max_size=6).filter(lambda text: text.strip("\r") == text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(CELL, CELL, CELL), max_size=30),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    delimiter=st.sampled_from("\t;,"),
    encoding=st.sampled_from(["utf-8", "utf-16"]),
    block=st.sampled_from([256, 1 << 20]),
)
@example(
    rows=[("a,\n,", "", "1"), ("b", "", "2")],
    quoting=csv.QUOTE_MINIMAL,
    delimiter=",",
    encoding="utf-8",
    block=256,
)
def test_what_is_written_is_read_line_for_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows: list[tuple[str, str, str]],
    quoting: Any,
    delimiter: str,
    encoding: str,
    block: int,
) -> None:
    monkeypatch.setattr(_table_files, "_BLOCK_BYTES", block)
    made = io.StringIO(newline="")
    writer = csv.writer(made, delimiter=delimiter, quoting=quoting, lineterminator="\n")
    writer.writerows([("Day", "Campaign", "Cost"), *rows])
    text = made.getvalue()
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    lines = [reader.line_num for _ in reader][1:]
    expected = [
        (line, *(cell or None for cell in row)) for line, row in zip(lines, rows, strict=True) if any(row)
    ]
    log = ReadLog()
    assert read(tmp_path, text.encode(encoding), log=log) == expected
    assert log.skipped.get("blank line", 0) == len(rows) - len(expected)


def test_a_file_may_be_read_twice(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("Day,Cost\n\n2024-03-01,1\n")
    log, aside = ReadLog(), ReadLog()
    table = open_table(InboxFile(path), LAYOUTS, log)
    first = [row for block in table.blocks(aside) for row in block.rows()]
    assert first == [row for block in table.blocks() for row in block.rows()]
    assert log.skipped == aside.skipped == {"blank line": 1}


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    with path.open("w") as out:
        out.write("Day,Campaign,Cost\n")
        for n in range(400_000):
            out.write(f"2024-03-01,Campaign {n} of the long name that makes the file large enough,1.5\n")
    before = pa.total_allocated_bytes()
    rows = most = 0
    for block in open_table(InboxFile(path), LAYOUTS, ReadLog()).blocks():
        rows += len(block)
        most = max(most, pa.total_allocated_bytes() - before)
    assert rows == 400_000
    assert path.stat().st_size > 29_000_000
    assert most < 24_000_000


# --- spreadsheets ------------------------------------------------------------------------------------


def test_a_workbook_reads_like_the_text_file(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for cells in [
        ["Report of March"],
        ["Day", "Campaign", "Cost", None],
        [datetime(2024, 3, 1), "a", 1234.5],
        [],
        [date(2024, 3, 2), None, 7],
        ["2024-03-03", "x", "1 234,50"],
        ["@2020"],
    ]:
        sheet.append(cells)
    path = tmp_path / "export.xlsx"
    book.save(path)
    log = ReadLog()
    rows = read(tmp_path, path.read_bytes(), path.name, log=log, footer=footer, decimal=",")
    assert rows == [
        (3, "2024-03-01", "a", "1234,5"),
        (5, "2024-03-02", None, "7"),
        (6, "2024-03-03", "x", "1 234,50"),
    ]
    assert log.skipped == {"preamble": 1, "blank line": 1, "footer": 1}
    sheet.cell(5, 6).value = "outside"
    book.save(path)
    assert "line 5 has 6 cells under 3 headings" in refusal(tmp_path, path.read_bytes(), path.name)


# --- texts -------------------------------------------------------------------------------------------


def read_numbers(*given: str | None, decimal: str = ".") -> list[str | None]:
    return list(numbers(pa.array(given, pa.string()), decimal).to_pylist())


def test_numbers_are_read_with_the_known_mark_only() -> None:
    assert read_numbers("1", " 2.50 ", "-3", "", None) == ["1", "2.50", "-3", None, None]
    assert read_numbers("1,234.5", "1 234", "1\u00a0234\u202f567", "1'234.", ".5") == [
        "1234.5",
        "1234",
        "1234567",
        "1234.",
        ".5",
    ]
    assert read_numbers("1.234,5", "1234,5", "-1 234,05", ",5", decimal=",") == [
        "1234.5",
        "1234.5",
        "-1234.05",
        ".5",
    ]
    assert read_numbers("--", " -", "null", "N/A", "—") == [None] * 5


@pytest.mark.parametrize(
    ("text", "decimal"),
    [
        ("1,5", "."),
        ("1.5", ","),
        ("1,23,456", "."),
        ("1.2.3", "."),
        ("1e3", "."),
        ("0x1F", "."),
        ("12%", "."),
        ("€ 5", "."),
        ("< 10", "."),
        (".", "."),
        ("1-2", "."),
        ("--5", "."),
        ("1.23", ","),
        ("1234.567", ","),
        ("1,234,567", ","),
        ("five", "."),
        ("١", "."),
    ],
)
def test_other_texts_are_no_numbers(text: str, decimal: str) -> None:
    assert read_numbers(text, decimal=decimal) == [UNREADABLE]
    assert read_numbers("1", text, decimal=decimal) == ["1", UNREADABLE]


@given(
    st.lists(st.decimals(-(10**10), 10**10, places=2)),
    st.sampled_from(["", " ", "\u00a0", "\u202f", "'", "other"]),
    st.sampled_from(".,"),
)
def test_numbers_keep_their_value(amounts: list[Decimal], between: str, decimal: str) -> None:
    between = {".": ",", ",": "."}[decimal] if between == "other" else between
    printed = [f"{amount:,}".translate({ord(","): between, ord("."): decimal}) for amount in amounts]
    read_back = numbers(pa.array(printed, pa.string()), decimal)
    assert [Decimal(str(text)) for text in read_back.to_pylist()] == amounts
    assert total(read_back) == sum(amounts)


def test_percentages_become_ratios() -> None:
    given_ = pa.array(["12.5%", "100 %", "0.03", "--", "< 10%", None])
    assert percents(given_).to_pylist() == ["0.125", "1.00", "0.0003", None, UNREADABLE, None]
    assert percents(pa.array(["1.234,5%"]), decimal=",").to_pylist() == ["12.345"]


def test_days_are_read_in_the_formats_given() -> None:
    assert days(pa.array(["2024-03-01", None])).to_pylist() == ["2024-03-01", None]
    assert days(pa.array(["31.12.2024", " 1.2.2024", "", "2024-03-01"]), ("%d.%m.%Y",)).to_pylist() == [
        "2024-12-31",
        "2024-02-01",
        None,
        "2024-03-01",
    ]
    assert days(pa.array(["31.02.2024", "12/31/2024", "May"]), ("%d.%m.%Y",)).to_pylist() == [UNREADABLE] * 3
    assert days(pa.array(["1/31/2024 11:00:00 PM"]), ("%m/%d/%Y %I:%M:%S %p",)).to_pylist() == ["2024-01-31"]


ZAGREB = ZoneInfo("Europe/Zagreb")
_CLOCK = st.datetimes(datetime(1950, 1, 1), datetime(2090, 1, 1)).map(lambda at: at.replace(microsecond=0))


@pytest.mark.parametrize(
    "format_",
    ["%d.%m.%Y %H:%M:%S", "%Y-%m-%d %H:%M", "%m/%d/%Y %I:%M:%S %p", "%d/%m/%y %H:%M", "%Y年%m月%d日 %H:%M"],
)
@given(times=st.lists(_CLOCK | st.just(datetime(2024, 3, 31, 2, 30)) | st.none(), max_size=5))
@example(times=[datetime(2024, 10, 27, 2, 30), None, datetime(2024, 10, 27, 3, 0)])
def test_local_times_are_read_as_the_standard_library_reads_them(
    format_: str, times: list[datetime | None]
) -> None:
    printed = [None if at is None else at.strftime(format_) for at in times]
    expected = [
        None if text is None else datetime.strptime(text, format_).replace(tzinfo=ZAGREB).astimezone(UTC)
        for text in printed
    ]
    found = moments(pa.array(printed, pa.string()), ("%Y/%d/%m %H:%M", format_), ZAGREB).to_pylist()
    assert [datetime.fromisoformat(at) if isinstance(at, str) else at for at in found] == expected


def test_a_time_in_no_format_is_unreadable() -> None:
    given_ = pa.array(["31.02.2024 10:00", "01.03.2024 10:00", " ", "01.03.2024 24:00", "1.3.2024 9:05", "x"])
    assert moments(given_, ("%d.%m.%Y %H:%M",), ZAGREB).to_pylist() == [
        UNREADABLE,
        "2024-03-01T09:00:00+00:00",
        None,
        UNREADABLE,
        "2024-03-01T08:05:00+00:00",
        UNREADABLE,
    ]
    assert moments(pa.array(["2024-03-01 1 :00"]), ("%Y-%m-%d %H:%M",), ZAGREB).to_pylist() == [UNREADABLE]


def test_marks_of_no_value_are_null() -> None:
    assert without(pa.array(["--", "-5", "a", None])).to_pylist() == [None, "-5", "a", None]


def block_of(*costs: str | None) -> Block:
    return Block(
        pa.array(range(10, 10 + len(costs)), pa.int64()), {"cost": numbers(pa.array(costs, pa.string()))}
    )


def test_rows_are_refused_split_off_and_summed() -> None:
    block = block_of("1.5", "-2", "x", None, "4")
    refuse(block, pc.starts_with(block.columns["cost"], "-"), "cost", "is negative")
    refuse(block, pa.array([True, True, None, False, False]), "cost", "is odd")
    assert block.refused == {0: ("cost", "is odd"), 1: ("cost", "is negative")}
    assert total(block.columns["cost"]) == Decimal("3.5")
    block.columns["currency"] = constant("EUR", block)
    rest, rows = split(block, pa.array([True, False, None, False, True]))
    assert [(row.number, row.values["cost"], row.refused) for row in rows] == [
        (10, "1.5", ("cost", "is odd")),
        (14, "4", None),
    ]
    assert rest.refused == {0: ("cost", "is negative")}
    assert [row.values["currency"] for row in rest.rows()] == ["EUR"] * 3
    assert total(pa.array(["0.0000000000001", "1"])) == Decimal("1.0000000000001")
    assert total(pa.array([], pa.string())) == 0


def test_a_file_is_refused_for_an_unreadable_number_on_request(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("Day,Cost\n2024-03-01,1\n\n2024-03-01,x\n")
    table = open_table(InboxFile(path), LAYOUTS, ReadLog())
    (block,) = table.blocks()
    block.columns["cost"] = numbers(block.columns["cost"])
    with pytest.raises(FileRefused, match="line 4: Cost is no number"):
        table.require(block, "cost", "is no number")
    block.columns["day"] = days(block.columns["day"])
    table.require(block, "day", "is no day")


@given(
    text=st.text(alphabet='ab,"\n\r é', max_size=30),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "gb18030", "utf-16"]),
)
@example(text='a,"b"c\n', encoding="utf-8")
@example(text='a,""b\n', encoding="gb18030")
@example(text='"a""b",""""\r\n"a\nb",\n', encoding="utf-16")
def test_what_is_cut_plainly_is_cut_as_the_strict_reader_does(
    tmp_path_factory: pytest.TempPathFactory, text: str, encoding: str
) -> None:
    path = tmp_path_factory.mktemp("cut") / "r.csv"
    path.write_bytes(f"x,y\n{text}".encode(encoding))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("connectors._table_files._BLOCK_BYTES", 7)
        is_plain = cuts_plainly(InboxFile(path), encoding, ",")
    if not is_plain:
        return
    source = TextTable(InboxFile(path), encoding, "utf-8", ",", quoted=True)
    source.begin(",", 1)
    found: list[tuple[int, list[Any]]] = []
    for part in source.parts(2, None):
        if isinstance(part, OddLine):
            found.append((part.number, part.cells))
            continue
        columns = [[cell or "" for cell in values.to_pylist()] for values in part.columns]
        found += [(int(line), list(cells)) for line, *cells in zip(part.lines, *columns, strict=True)]
    strict = list(InboxFile(path).table(delimiter=",", encoding=encoding))[1:]
    # How many cells a blank line has depends on the reader.
    assert [(line, cells if any(cells) else []) for line, cells in sorted(found)] == [
        (line, cells if any(cells) else []) for line, cells in strict
    ]


@pytest.mark.parametrize("text", ['a,"b"c\n', 'a,b "c"\n', ' "a",b\n', '"a,b\n', "a,b\rc,d\n", 'a,"b\n'])
def test_what_two_readers_might_cut_otherwise_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.csv"
    path.write_text(text, encoding="utf-8")
    assert not cuts_plainly(InboxFile(path), "utf-8", ",")
