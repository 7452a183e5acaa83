"""Inbox files, whatever they are packed in; damaged ones are refused with a reason and a remedy."""

from __future__ import annotations

import gzip
import json
import zipfile
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import FileRefused
from connectors.files import InboxFile

TEXT = "Врач;Сумма\nИванова;1 234,50\n"


def written(folder: Path, name: str, data: bytes) -> InboxFile:
    path = folder / name
    path.write_bytes(data)
    return InboxFile(path)


@pytest.mark.parametrize(
    ("encoding", "detected"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("cp1251", "cp1251"), ("utf-16", "utf-16")],
)
def test_the_encoding_is_detected_and_recorded(tmp_path: Path, encoding: str, detected: str) -> None:
    file = written(tmp_path, "a.csv", TEXT.encode(encoding))
    assert list(file.table()) == [(1, ["Врач", "Сумма"]), (2, ["Иванова", "1 234,50"])]
    assert file.encoding == detected


def test_a_configured_encoding_that_does_not_fit_is_refused_by_line(tmp_path: Path) -> None:
    file = written(tmp_path, "a.csv", TEXT.encode("cp1251"))
    with pytest.raises(FileRefused, match=r"a\.csv: line 1 or later is not utf-8 text; set `encoding:`"):
        list(file.table(encoding="utf-8"))
    with pytest.raises(FileRefused, match="unknown encoding"):
        list(file.table(encoding="klingon"))


def test_gz_and_zip_read_like_the_plain_file(tmp_path: Path) -> None:
    plain = list(written(tmp_path, "a.csv", TEXT.encode()).table())
    assert list(written(tmp_path, "a.csv.gz", gzip.compress(TEXT.encode())).table()) == plain
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("export.csv", TEXT)
        archive.writestr("__MACOSX/._export.csv", "x")
    assert list(InboxFile(tmp_path / "a.zip").table()) == plain
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", TEXT)
        archive.writestr("b.csv", TEXT)
    with pytest.raises(FileRefused, match="holds 2 files; unpack it"):
        list(InboxFile(tmp_path / "two.zip").table())


@pytest.mark.parametrize("cut", [10, 25])
def test_a_truncated_gz_is_refused(tmp_path: Path, cut: int) -> None:
    whole = gzip.compress(TEXT.encode() * 50)
    with pytest.raises(FileRefused, match="cannot be unpacked"):
        list(written(tmp_path, "a.csv.gz", whole[:cut]).table())


def test_a_file_that_ends_within_quotes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match=r"line 2: .*cut short or misquoted"):
        list(written(tmp_path, "a.csv", b'a,b\n1,"two').table())


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    file = written(tmp_path, "a.csv", b"")
    assert list(file.table()) == []
    assert file.first_character() == ""


def test_a_workbook_keeps_numbers_and_dates(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["id", "when", "sum"])
    sheet.append(["007", datetime(2026, 5, 1, 9, 30), 12.5])
    book.save(tmp_path / "a.xlsx")
    file = InboxFile(tmp_path / "a.xlsx")
    assert list(file.table()) == [(1, ["id", "when", "sum"]), (2, ["007", datetime(2026, 5, 1, 9, 30), 12.5])]
    with pytest.raises(FileRefused, match="no sheet 'May'; it has Sheet"):
        list(file.table(sheet="May"))
    with pytest.raises(FileRefused, match="not a readable XLSX"):
        list(written(tmp_path, "b.xlsx", b"<html>").table())


def test_json_streams_with_exact_decimals_and_refuses_a_cut(tmp_path: Path) -> None:
    body = json.dumps({"records": [{"id": 9007199254740993, "cost": 0.1}]}).encode()
    assert list(written(tmp_path, "a.json", body).json_items("records.item")) == [
        (1, {"id": 9007199254740993, "cost": Decimal("0.1")})
    ]
    with pytest.raises(FileRefused, match="cut short or damaged"):
        list(written(tmp_path, "b.json", body[:-5]).json_items("records.item"))
    lines = b'{"a": 0.1}\n\n{"a": 2}\n'
    assert list(written(tmp_path, "c.ndjson", lines).json_lines()) == [
        (1, {"a": Decimal("0.1")}),
        (3, {"a": 2}),
    ]
    with pytest.raises(FileRefused, match="line 2 is not JSON"):
        list(written(tmp_path, "d.ndjson", b'{"a": 1}\n{"a":').json_lines())
    with pytest.raises(FileRefused, match="line 1 is not a JSON object"):
        list(written(tmp_path, "e.ndjson", b"[1]\n").json_lines())


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\x00"), max_size=8)


@given(rows=st.lists(st.lists(CELLS, min_size=2, max_size=4), min_size=1, max_size=6))
def test_quoted_cells_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    quoted = "".join(";".join('"' + cell.replace('"', '""') + '"' for cell in row) + "\n" for row in rows)
    file = written(tmp_path_factory.mktemp("files"), "a.csv", quoted.encode())
    assert [cells for _, cells in file.table(delimiter=";", encoding="utf-8")] == rows
