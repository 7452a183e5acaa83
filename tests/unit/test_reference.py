"""The clinic's own tables: the documented examples read clean, mistakes are named by line."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from connectors.conformed import REFERENCES
from connectors.contract import ReadLog, Row
from connectors.errors import FileRefused
from connectors.files import InboxFile
from pipelines.reference import read_reference, reference_streams
from tests.conftest import ROOT

STREAMS = {stream.name: stream for stream in reference_streams()}


def read(path: Path, name: str) -> list[Row]:
    zone = ZoneInfo("Europe/Zagreb")
    return list(read_reference(InboxFile(path), STREAMS[name], zone=zone, region="HR", log=ReadLog()))


@pytest.mark.parametrize("name", REFERENCES)
def test_the_documented_example_reads_clean(name: str) -> None:
    rows = read(ROOT / "data" / "reference" / f"{name}.example.csv", name)
    assert rows
    assert all(row.refused is None for row in rows)


@pytest.mark.parametrize(
    ("name", "text", "mistakes"),
    [
        ("campaign_map", "", ["campaign_map.csv: is empty; its first line must be: campaign,branch,"]),
        (
            "campaign_map",
            "campain,branch\nx,y\n",
            ["campaign_map.csv:1: unknown column 'campain'", "'campaign' is missing"],
        ),
        ("campaign_map", "campaign,campaign\nx,y\n", ["stands twice in the header"]),
        (
            "self_reported_map",
            "text,channel\nfriends,freinds\n",
            [":2: channel: 'freinds' is not accepted; accepted: direct"],
        ),
        (
            "fx_rates",
            "rate_date,currency,rate\n01.05.2026,USD,0.9\n",
            [":2: rate_date: '01.05.2026' is not a date like"],
        ),
        ("fx_rates", "rate_date,currency,rate\n2026-05-01,USD,abc\n", [":2: rate: 'abc' is not a number"]),
        ("fx_rates", "rate_date;currency;rate\n2026-05-01;USD;\n", [":2: rate: is empty or unreadable"]),
        ("tracking_numbers", "number,channel\n12,maps\n", [":2: number: '12' is not a phone number"]),
        (
            "channel_rules",
            "priority,source,channel\n1,goo(gle,maps\n",
            [":2: source: 'goo(gle' is not a regular expression"],
        ),
        (
            "channel_rules",
            "priority,source,channel\n1,goo(?=gle),maps\n",
            [":2: source: 'goo(?=gle)' is not a regular expression"],
        ),
        ("patient_merges", "patient_id,into_patient_id\na,b\na,c\n", [":3: patient_id as on line 2"]),
    ],
)
def test_a_mistake_is_named_by_line(tmp_path: Path, name: str, text: str, mistakes: list[str]) -> None:
    path = tmp_path / f"{name}.csv"
    path.write_text(text)
    with pytest.raises(FileRefused) as refused:
        read(path, name)
    for mistake in mistakes:
        assert mistake in str(refused.value)


def test_a_number_is_written_in_e164_and_recognised_as_a_caller(tmp_path: Path) -> None:
    path = tmp_path / "tracking_numbers.csv"
    path.write_text("number,channel\n01 555 0201,maps\n")
    (row,) = read(path, "tracking_numbers")
    assert row.values["number"] == row.values["phone_key"] == "+38515550201"
