"""Asterisk's call detail records: every layout, legs and their directions, and calls folded from legs."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import jinja2
import openpyxl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors import asterisk_cdr, cli
from connectors.asterisk_cdr import CONNECTOR, LEGS
from connectors.errors import FileRefused
from connectors.files import InboxFile
from tests.unit.vendor_files import Read, options, read

ROOT = Path(__file__).resolve().parents[2]
CALLER = "+385911234567"
STAGING = ROOT / "dbt_project/models/staging/asterisk_cdr"

WRITTEN = """
    accountcode src dst dcontext clid channel dstchannel lastapp lastdata start answer end duration billsec
    disposition amaflags uniqueid userfield
"""
FIELDS = WRITTEN.split()
TALKED: dict[str, str] = {
    "src": CALLER,
    "dst": "38515550100",
    "dcontext": "from-trunk",
    "clid": f'"Ana Anić" <{CALLER}>',
    "channel": "PJSIP/provider-00000001",
    "dstchannel": "PJSIP/1001-00000002",
    "lastapp": "Dial",
    "lastdata": "PJSIP/1001,30",
    "start": "2026-03-10 11:00:00",
    "answer": "2026-03-10 11:00:05",
    "end": "2026-03-10 11:01:05",
    "duration": "65",
    "billsec": "60",
    "disposition": "ANSWERED",
    "amaflags": "DOCUMENTATION",
    "uniqueid": "1773136800.1",
}


def master(*records: dict[str, str], names: list[str] | None = None) -> str:
    """Lines as cdr_csv writes them: text quoted, numbers not, quotes doubled."""
    lines = []
    for record in records:
        cells = []
        for name in names or FIELDS:
            text = (TALKED | record).get(name, "")
            is_number = name in ("duration", "billsec", "sequence")
            cells.append(text if is_number else '"' + text.replace('"', '""') + '"')
        lines.append(",".join(cells) + "\n")
    return "".join(lines)


def legs(tmp_path: Path, content: str | bytes, **given_options: Any) -> Read:
    path = tmp_path / "Master.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(CONNECTOR, path, **given_options)


def leg(tmp_path: Path, record: dict[str, str], **given_options: Any) -> dict[str, Any]:
    found = legs(tmp_path, master(record), **given_options)
    assert found.reasons == []
    (row,) = found.landed
    return row


def refusal(tmp_path: Path, content: str | bytes, **given_options: Any) -> str:
    with pytest.raises(FileRefused) as caught:
        legs(tmp_path, content, **given_options)
    assert "\n" not in str(caught.value)
    assert CALLER not in str(caught.value)
    return str(caught.value)


# --- real files ---


def test_eighteen_columns_without_a_header(shared: Path) -> None:
    folder = shared / "call_tracking" / "asterisk_cdr"
    found = read(CONNECTOR, folder / "master_18col_no_header.csv", timezone="UTC")
    rows = {row["uniqueid"]: row for row in found.landed}
    assert len(rows) == 4
    assert [row["direction"] for row in found.landed] == ["internal", "outbound", "internal", "internal"]
    talked = rows["1790000001.1"]
    assert (talked["duration_s"], talked["billsec_s"], talked["disposition"]) == (197, 192, "ANSWERED")
    assert talked["started_at"] == datetime(2026, 9, 23, 14, 2, tzinfo=UTC)
    assert talked["answered_at"] == datetime(2026, 9, 23, 14, 2, 5, tzinfo=UTC)
    # the id's second is two days from the start, so it is of another clock
    assert talked["created_at"] is None
    out = rows["1790000002.2"]
    assert (out["agent"], out["destination"], out["phone_key"] is not None) == ("87", None, True)
    assert found.log.notes == ["`trunks` is not set: directions are told by contexts and numbers"]


def test_seventeen_columns_where_userfield_is_left_out(shared: Path) -> None:
    folder = shared / "call_tracking" / "asterisk_cdr"
    found = read(CONNECTOR, folder / "master_17col_userfield_omitted.csv", timezone="UTC")
    (row,) = found.landed
    assert row["uniqueid"] == "1779308728.0"
    assert row["created_at"] == row["started_at"] == datetime(2026, 5, 20, 20, 25, 28, tzinfo=UTC)
    assert (row["disposition"], row["direction"], row["agent"]) == ("NO ANSWER", "internal", "1002")
    assert row["answered_at"] is None


def test_a_queue_that_gave_up_and_a_call_out_through_a_dongle(shared: Path) -> None:
    path = shared / "call_tracking" / "asterisk_cdr" / "master_queue_leg_answer_equals_start.csv"
    queue, out = read(CONNECTOR, path, timezone="UTC", clinic_phone_region="UA").landed
    assert (queue["direction"], queue["reached"], queue["disposition"]) == ("inbound", "device", "NO ANSWER")
    assert (queue["billsec_s"], queue["uniqueid"], queue["agent"]) == (15, None, "8006")
    assert queue["channel_ref"] == "Dongle/MTS-SUP-0100000151"
    assert queue["tracking_number"] == "+380000000002"
    assert (out["direction"], out["agent"], out["uniqueid"]) == ("outbound", "8016", "1530369902.8942")
    assert out["tracking_number"] is None


def test_a_missed_call_through_a_local_channel(shared: Path) -> None:
    path = shared / "call_tracking" / "asterisk_cdr" / "master_trunk_inbound_missed.csv"
    missed, *out = read(CONNECTOR, path, timezone="UTC").landed
    assert (missed["direction"], missed["is_local"], missed["destination"]) == ("inbound", True, "Q1000")
    assert missed["created_at"] == datetime(2026, 7, 24, 11, 44, 19, tzinfo=UTC)
    assert [row["direction"] for row in out] == ["outbound", "outbound"]
    assert [row["reached"] for row in out] == ["none", "none"]
    assert [row["agent"] for row in out] == ["1001", "1001"]


def test_every_real_file_folds_to_its_calls(shared: Path) -> None:
    folder = shared / "call_tracking" / "asterisk_cdr"
    rows = [r for f in sorted(folder.glob("*.csv")) for r in read(CONNECTOR, f, timezone="UTC").landed]
    calls = {call["call_id"]: call for call in folded(rows)}
    assert len(rows) == 10
    assert len(calls) == 6
    assert {c["direction"] for c in calls.values()} == {"inbound", "outbound"}
    missed = calls["1784893459.324"]
    assert (missed["is_answered"], missed["wait_s"], missed["operator"]) == (False, 4, None)
    queue = next(c for c in calls.values() if c["tracking_number"] == "+380000000002")
    assert (queue["is_answered"], queue["talk_s"], queue["wait_s"]) == (False, None, 15)
    assert (calls["1530369902.8942"]["talk_s"], calls["1530369902.8942"]["operator"]) == (83, "8016")


# --- layouts ---


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (FIELDS[:16], (None, None)),
        (FIELDS[:17], ("1773136800.1", None)),
        ([*FIELDS[:16], "userfield"], (None, None)),
        (FIELDS, ("1773136800.1", None)),
        ([*FIELDS[:16], "peeraccount", "linkedid", "sequence"], (None, "1773136790.7")),
        ([*FIELDS[:17], "peeraccount", "linkedid", "sequence"], ("1773136800.1", "1773136790.7")),
        (
            [*FIELDS[:16], "userfield", "peeraccount", "linkedid", "sequence"],
            (None, "1773136790.7"),
        ),
        ([*FIELDS, "peeraccount", "linkedid", "sequence"], ("1773136800.1", "1773136790.7")),
    ],
)
def test_columns_are_told_by_their_number_and_content(
    tmp_path: Path, names: list[str], ids: tuple[str | None, str | None]
) -> None:
    record = {"userfield": "note of a person", "linkedid": "1773136790.7", "sequence": "12"}
    found = legs(tmp_path, master(record, names=names))
    (row,) = found.landed
    assert (row["uniqueid"], row["linkedid"]) == ids
    assert row["sequence"] == (12 if "sequence" in names else None)
    assert row["duration_s"] == 65


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_with_a_header_is_read_by_its_names(tmp_path: Path, delimiter: str) -> None:
    names = ["Calldate", "clid", "src", "dst", "dcontext", "channel", "dstchannel", "lastapp", "lastdata"]
    names += ["duration", "billsec", "disposition", "uniqueid", "did", "recordingfile", "linkedid", "mood"]
    record = TALKED | {"Calldate": TALKED["start"], "did": "01 5550 100", "linkedid": "1773136790.7"}
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(names)
    writer.writerow([record.get(name, "in-0911234567.wav" if "file" in name else "good") for name in names])
    found = legs(tmp_path, "\ufeff" + text.getvalue())
    (row,) = found.landed
    assert row["tracking_number"] == "+38515550100"
    assert row["has_recording"] is True
    assert row["linked_at"] == datetime(2026, 3, 10, 9, 59, 50, tzinfo=UTC)
    assert found.log.unknown_columns == {"mood"}


def test_the_table_and_the_file_of_one_exchange_give_the_same_leg(tmp_path: Path) -> None:
    names = ["calldate", "src", "dst", "dcontext", "channel", "dstchannel", "lastapp", "duration", "billsec"]
    names += ["disposition", "uniqueid"]
    line = ",".join((TALKED | {"calldate": TALKED["start"]})[name] for name in names)
    from_table = legs(tmp_path, f"{','.join(names)}\n{line}\n").landed[0]
    assert from_table["leg_key"] == leg(tmp_path, {})["leg_key"]


def test_another_order_of_columns_is_said_in_the_configuration(tmp_path: Path) -> None:
    names = ["start", "src", "dst", "channel", "dstchannel", "duration", "billsec", "disposition", "uniqueid"]
    found = legs(tmp_path, master({}, names=names), columns=names)
    assert found.landed[0]["uniqueid"] == "1773136800.1"
    with pytest.raises(ValidationError, match="must include channel, dstchannel"):
        options(CONNECTOR, columns=["start", "src", "dst", "duration", "billsec", "disposition"])


def test_a_line_still_being_written_waits_for_the_next_time(tmp_path: Path) -> None:
    whole = master({}, {"uniqueid": "1773136900.9"}, names=FIELDS[:17])
    for cut in range(1, len(whole) // 2 - 2):
        found = legs(tmp_path, whole[:-cut])
        # only the line's end is missing: it is whole
        expected = 2 if cut == 1 else 1
        assert [len(found.landed), found.reasons] == [expected, []], cut
        assert found.log.skipped == ({} if cut == 1 else {"last line, still being written": 1})


def test_a_number_at_the_end_of_an_open_line_may_lack_digits(tmp_path: Path) -> None:
    names = [*FIELDS, "peeraccount", "linkedid", "sequence"]
    whole = master({"sequence": "1"}, {"uniqueid": "1773136900.9", "sequence": "1234"}, names=names)
    assert len(legs(tmp_path, whole).landed) == 2
    assert len(legs(tmp_path, whole[:-2]).landed) == 1


def test_a_table_without_a_line_end_is_whole(tmp_path: Path) -> None:
    names = ["calldate", *FIELDS[1:9], "duration", "billsec", "disposition"]
    line = ",".join(f'"{(TALKED | {"calldate": TALKED["start"], "clid": ""})[name]}"' for name in names)
    assert len(legs(tmp_path, f"{','.join(names)}\n{line}".replace('"ANSWERED"', "ANSWERED")).landed) == 1


def test_a_file_that_grew_brings_its_old_legs_under_their_old_keys(tmp_path: Path) -> None:
    first = master({})
    before = [row["leg_key"] for row in legs(tmp_path, first).landed]
    after = [row["leg_key"] for row in legs(tmp_path, first + master({"uniqueid": "1773136900.9"})).landed]
    assert after[:1] == before
    assert len(set(after)) == 2


def test_a_misquoted_line_costs_itself_alone(tmp_path: Path) -> None:
    broken = master({}).replace('"PJSIP/1001,30"', '"PJSIP/1001,30')
    found = legs(tmp_path, master({}) + broken + master({"uniqueid": "1773136900.9"}))
    assert len(found.landed) == 2
    assert found.reasons == [": has 1 columns where the file has 18"]


def test_lines_keep_their_numbers_over_many_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asterisk_cdr, "_BLOCK_LINES", 7)
    monkeypatch.setattr(asterisk_cdr, "_LOOKED_AT", 3)
    broken = {4: "a,b\n", 9: 'x"y\n', 20: master({})[:-1] + ",1\n", 30: "\n"}
    lines = [broken.get(n, master({"uniqueid": f"1773136800.{n}"})) for n in range(1, 41)]
    found = legs(tmp_path, "".join(lines))
    assert sorted(bad.row_number for bad in found.quarantined) == [4, 9, 20]
    assert found.log.skipped == {"blank line": 1}
    assert {r.number: r.values["uniqueid"] for r in found.raw if r.values} == {
        n: f"1773136800.{n}" for n in range(1, 41) if n not in broken
    }


# --- times ---


def test_the_second_pass_of_the_repeated_hour_is_told_by_the_id(tmp_path: Path) -> None:
    # 25 October 2026: Zagreb's clocks go back from 3 to 2 at 01:00 UTC.
    first = int(datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp())
    local = {"start": "2026-10-25 02:30:00"}
    early = leg(tmp_path, local | {"uniqueid": f"{first}.1"})
    late = leg(tmp_path, local | {"uniqueid": f"{first + 3600}.1"})
    unknown = leg(tmp_path, local | {"uniqueid": ""})
    assert early["started_at"] == unknown["started_at"] == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert late["started_at"] == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


def test_a_zone_that_the_ids_contradict_is_named(tmp_path: Path) -> None:
    found = legs(tmp_path, master({}, {"dst": "01"}), timezone="Europe/Moscow")
    assert any("is -2 h from the second in uniqueid" in note for note in found.log.notes)
    assert found.landed[0]["created_at"] == datetime(2026, 3, 10, 10, tzinfo=UTC)
    assert not any("uniqueid" in note for note in legs(tmp_path, master({})).log.notes)


def test_an_id_with_a_system_name_tells_its_second_too(tmp_path: Path) -> None:
    row = leg(tmp_path, {"uniqueid": "pbx-main-1773136800.17"})
    assert row["created_at"] == datetime(2026, 3, 10, 10, tzinfo=UTC)


# --- legs ---

DIRECTIONS: list[tuple[str, dict[str, str], dict[str, Any], str]] = [
    ("a trunk that is named", {"channel": "SIP/beeline-01", "src": "1001", "dcontext": "x"}, {}, "inbound"),
    ("a context from outside", {"dcontext": "from-pstn-e164", "src": "100"}, {}, "inbound"),
    ("a withheld number", {"src": "anonymous", "dcontext": "ext-group"}, {}, "inbound"),
    ("no number at all", {"src": "", "dcontext": "ivr-1"}, {}, "inbound"),
    (
        "a phone calls a phone",
        {"src": "1001", "dst": "1002", "channel": "SIP/1001-0a", "dcontext": "x"},
        {},
        "internal",
    ),
    (
        "a phone calls out",
        {"src": "1001", "dst": "0911234567", "channel": "SIP/1001-0a", "dcontext": "x"},
        {},
        "outbound",
    ),
    (
        "a phone that shows the clinic's number",
        {"src": "015550100", "dst": "0911234567", "channel": "SIP/1001-0a", "dcontext": "from-internal"},
        {},
        "outbound",
    ),
    (
        "a phone with a name that shows the clinic's number",
        {"src": "015550100", "dst": "0911234567", "channel": "PJSIP/anna-0a", "dcontext": "from-internal"},
        {},
        "outbound",
    ),
    (
        "a phone reaches a trunk by a short number",
        {
            "src": "1001",
            "dst": "112",
            "channel": "SIP/1001-0a",
            "dstchannel": "SIP/beeline-02",
            "dcontext": "x",
        },
        {},
        "outbound",
    ),
    (
        "a transferred call keeps its caller",
        {"dst": "1002", "channel": "PJSIP/provider-0a", "dcontext": "from-internal-xfer"},
        {},
        "inbound",
    ),
    (
        "a ring of a group",
        {"channel": "Local/1002@from-internal-0a;2", "dst": "1002", "dcontext": "from-internal"},
        {},
        "inbound",
    ),
    (
        "a ring of a group for a withheld number",
        {"channel": "Local/1002@from-internal-0a;2", "src": "", "dst": "1002", "dcontext": "from-internal"},
        {},
        "inbound",
    ),
    (
        "a ring of a group for a colleague",
        {
            "channel": "Local/1002@from-internal-0a;2",
            "src": "1001",
            "dst": "1002",
            "dcontext": "from-internal",
        },
        {},
        "internal",
    ),
    ("short numbers", {"src": "234567", "dcontext": "x"}, {"extension_digits": 6, "trunks": []}, "outbound"),
]


@pytest.mark.parametrize(
    ("record", "given_options", "direction"),
    [case[1:] for case in DIRECTIONS],
    ids=[c[0] for c in DIRECTIONS],
)
def test_the_direction_of_a_leg(
    tmp_path: Path, record: dict[str, str], given_options: dict[str, Any], direction: str
) -> None:
    assert leg(tmp_path, record, **{"trunks": ["sip/BEELINE*"], **given_options})["direction"] == direction


@pytest.mark.parametrize(
    ("record", "reached"),
    [
        ({}, "device"),
        ({"dstchannel": ""}, "none"),
        ({"dstchannel": "Local/1001@from-queue-0000001a;1"}, "local"),
        ({"lastapp": "VoiceMail"}, "voicemail"),
        ({"dst": "vmu1001"}, "voicemail"),
        ({"lastapp": "VoiceMailMain", "dstchannel": ""}, "none"),
        ({"dstchannel": "CBAnn/conf-0a;1"}, "machine"),
        ({"dstchannel": "SIP/robot-0a"}, "machine"),
    ],
)
def test_what_a_leg_reached(tmp_path: Path, record: dict[str, str], reached: str) -> None:
    assert leg(tmp_path, record, machines=["sip/robot*"])["reached"] == reached


@pytest.mark.parametrize(
    ("dstchannel", "agent"),
    [
        ("PJSIP/1001-0a", "Ana"),
        ("SIP/1002-0a", "1002"),
        ("Local/1001@from-queue-0a;1", "Ana"),
        ("Local/FMGL-1001@from-internal-0a;1", "Ana"),
        ("Local/0911234567@from-internal-0a;1", None),
        ("Agent/1001", "Ana"),
        ("SIP/0911234567-0a", None),
        ("SIP/beeline-0a", None),
        ("PJSIP/reception-0a", "reception"),
    ],
)
def test_who_was_rung(tmp_path: Path, dstchannel: str, agent: str | None) -> None:
    record = {"dstchannel": dstchannel}
    assert leg(tmp_path, record, operators={1001: "Ana"}, trunks=["SIP/beeline"])["agent"] == agent


def test_what_is_dialled_before_an_outside_number_is_no_part_of_it(tmp_path: Path) -> None:
    record = {"src": "1001", "channel": "SIP/1001-0a", "dcontext": "x", "dst": "90911234567"}
    with_prefix = leg(tmp_path, record, dial_prefix="9")
    plain = leg(tmp_path, record | {"dst": "0911234567"})
    assert with_prefix["phone_key"] == plain["phone_key"] != leg(tmp_path, record)["phone_key"]
    assert leg(tmp_path, {})["phone_key"] == plain["phone_key"]


def test_the_number_a_call_was_sent_on_to_is_not_the_clinics(tmp_path: Path) -> None:
    record = {"dst": "0915550199", "dstchannel": "SIP/beeline-0a"}
    assert leg(tmp_path, record, trunks=["SIP/beeline"])["tracking_number"] is None
    assert leg(tmp_path, {"dst": "s"})["tracking_number"] is None


def test_nothing_personal_lands(tmp_path: Path) -> None:
    record = {
        "userfield": "in-0911234567-ana.wav",
        "lastdata": "DAHDI/g1/0911234567",
        "channel": "Local/0911234567@from-internal-0a;2",
        "dstchannel": "DAHDI/i1/0911234567-5",
        "dst": "0911234567",
    }
    row = leg(tmp_path, record, recording_column="userfield")
    landed = str(row)
    for personal in ("0911234567", CALLER, "911234567", "Anić", "ana.wav"):
        assert personal not in landed
    assert (row["channel"], row["destination_channel"]) == ("Local/…@from-internal", "DAHDI/i1/…")
    assert row["has_recording"] is True
    # a plain hash of a number could be tried out, so none goes into the key
    other = record | {"src": "+385917654321", "dst": "0917654321", "lastdata": ""}
    assert leg(tmp_path, other)["leg_key"] == leg(tmp_path, record)["leg_key"]
    # the address of a stranger's phone
    assert leg(tmp_path, {"channel": "SIP/203.0.113.9-0a"})["channel"] == "SIP/…"


# --- bad input ---


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("<html><body>Login</body></html>\n", "no call detail record"),
        ("name,phone\nAna,0911234567\n", "no call detail record"),
        (master({}, names=FIELDS[:15]), "no call detail record"),
        (master({"start": "10.03.2026 11:00"}), "no call detail record"),
        ("calldate,src,dst,channel,duration,billsec,disposition\n", "no column dstchannel"),
        ("src,dst,channel,dstchannel,duration,billsec,disposition\n", "no column calldate"),
        (master({}).encode("utf-16-le"), "no call detail record"),
        (b"PK\x03\x04 not a workbook", "no call detail record"),
    ],
)
def test_what_is_no_cdr_is_refused_with_a_remedy(tmp_path: Path, content: str | bytes, reason: str) -> None:
    message = refusal(tmp_path, content)
    assert reason in message
    assert "Master.csv" in message


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"start": "2026-13-40 11:00:00"}, "started_at: is not a time like 2024-03-09 10:30:00"),
        ({"start": "0001-01-01 00:00:00"}, "started_at: is not a time like 2024-03-09 10:30:00"),
        ({"start": "2036-03-10 11:00:00"}, "started_at: lies in the future of the file (2030-01-02)"),
        ({"disposition": "8"}, "disposition: is none of Asterisk's"),
        ({"duration": "-5"}, "duration_s: is not a whole number of seconds"),
        ({"billsec": "1,5"}, ": has 19 columns where the file has 18"),
        ({"uniqueid": "1,77314E+09"}, "uniqueid: was ruined by a spreadsheet (1,23E+10); export it as text"),
        (
            {"uniqueid": "1773136800"},
            "uniqueid: is a whole number: a spreadsheet has cut it; export the table as CSV",
        ),
        ({"src": "3,8591E+11"}, "phone_key: was ruined by a spreadsheet (1,23E+10); export the table as CSV"),
    ],
)
def test_a_bad_record_is_quarantined(tmp_path: Path, record: dict[str, str], reason: str) -> None:
    found = legs(tmp_path, master({}, record))
    assert (len(found.landed), found.reasons) == (1, [reason])


def test_an_old_code_page_in_a_name_does_not_stop_the_file(tmp_path: Path) -> None:
    found = legs(tmp_path, master({}).encode("cp1250"))
    assert (len(found.landed), found.reasons) == (1, [])


def test_a_cut_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "Master.csv.gz"
    path.write_bytes(gzip.compress(master(*[{"lastdata": str(n)} for n in range(5000)]).encode())[:-20])
    with pytest.raises(FileRefused, match="cannot be unpacked"):
        read(CONNECTOR, path)


def test_a_workbook_that_holds_ids_as_numbers_is_quarantined(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    names = [
        "calldate",
        "src",
        "dst",
        "channel",
        "dstchannel",
        "duration",
        "billsec",
        "disposition",
        "uniqueid",
    ]
    sheet.append(names)
    values: dict[str, Any] = TALKED | {"calldate": datetime(2026, 3, 10, 11), "duration": 65, "billsec": 60}
    sheet.append([values[name] for name in names])
    sheet.append([values[name] for name in names[:-1]] + [1773136800.1])
    sheet.append([values[name] for name in names[:-1]] + [1773136800])
    book.save(tmp_path / "cdr.xlsx")
    found = read(CONNECTOR, tmp_path / "cdr.xlsx")
    # one decimal is what the sheet shows of .1, .10 and .100
    assert [row["uniqueid"] for row in found.landed] == ["1773136800.1"]
    assert len(found.quarantined) == 2


def test_identical_lines_are_one_leg(tmp_path: Path) -> None:
    found = legs(tmp_path, master({}) * 3)
    assert len({row["leg_key"] for row in found.landed}) == 1


def test_the_command_line_tells_counts_and_no_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "Master.csv"
    path.write_text(master({}))
    cli.main(CONNECTOR, [str(path), "--timezone", "Europe/Zagreb", "--set", 'trunks=["PJSIP/provider"]'])
    out = capsys.readouterr().out
    assert "1 rows read, 1 fit to land" in out
    assert "911234567" not in out


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "src": st.sampled_from([CALLER, "1001", "", "anonymous", "12", "x y"]),
                "dst": st.text(
                    st.characters(
                        codec="utf-8", exclude_characters="\r\n\0\x85\x1c\x1d\x1e\x0b\x0c\u2028\u2029"
                    ),
                    max_size=8,
                ),
                "channel": st.sampled_from(["", "SIP/1001-0a", "Local/1@x-0b;2", "DAHDI/1-1", "odd"]),
                "disposition": st.sampled_from(["ANSWERED", "NO ANSWER", "BUSY", "???"]),
                "duration": st.integers(-5, 500).map(str),
                "uniqueid": st.sampled_from(["", "1773136800.1", "17", "x"]),
                "start": st.sampled_from(["2026-03-10 11:00:00", "2026-02-30 11:00:00", "yesterday"]),
            }
        ),
        max_size=6,
    )
)
def test_every_line_lands_or_is_quarantined(tmp_path: Path, records: list[dict[str, str]]) -> None:
    found = legs(tmp_path, master({}, *records))
    assert len(found.landed) + len(found.quarantined) == len(records) + 1
    assert not found.log.skipped


# --- calls folded from legs ---


def folded(rows: list[dict[str, Any]], source_name: str = "pbx") -> list[dict[str, Any]]:
    """The calls that the staging models make of landed legs, by running their SQL."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    macros = (ROOT / "dbt_project/macros/measures.sql").read_text()
    names: dict[str, Any] = {
        "source": lambda *_: "legs",
        "ref": lambda name: name,
        "var": dict,
        "return": str,
    }
    schema = LEGS.schema().append(pa.field("source_name", pa.string()))
    table = pa.Table.from_pylist([{**row, "source_name": source_name} for row in rows], schema=schema)
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        con.register("legs", table)
        for model in ("stg_asterisk_cdr__legs", "stg_asterisk_cdr__calls"):
            sql = environment.from_string(macros + (STAGING / f"{model}.sql").read_text()).render(names)
            con.execute(f"create view {model} as {sql}")
        calls = con.sql("from stg_asterisk_cdr__calls order by call_id")
        return list(calls.to_arrow_table().to_pylist())


RING_GROUP = [
    # The caller's channel hears the group ring, then talks through a Local channel.
    {"dstchannel": "Local/1002@from-queue-0a;1", "lastapp": "Queue", "duration": "75", "billsec": "70"},
    {
        "channel": "Local/1001@from-queue-0b;2",
        "dcontext": "from-queue",
        "dst": "1001",
        "dstchannel": "PJSIP/1001-0c",
        "duration": "8",
        "billsec": "0",
        "disposition": "NO ANSWER",
        "uniqueid": "1773136801.4",
    },
    {
        "channel": "Local/1002@from-queue-0a;2",
        "dcontext": "from-queue",
        "dst": "1002",
        "dstchannel": "PJSIP/1002-0d",
        "duration": "75",
        "billsec": "65",
        "uniqueid": "1773136801.6",
    },
]
SECOND_CALL = [
    {
        "start": "2026-03-10 11:05:00",
        "uniqueid": "1773137100.9",
        "dstchannel": "Local/1001@from-queue-1a;1",
        "disposition": "NO ANSWER",
        "duration": "30",
        "billsec": "0",
    },
    {
        "start": "2026-03-10 11:05:01",
        "channel": "Local/1001@from-queue-1a;2",
        "dcontext": "from-queue",
        "dst": "1001",
        "dstchannel": "PJSIP/1001-1b",
        "disposition": "NO ANSWER",
        "duration": "29",
        "billsec": "0",
        "uniqueid": "1773137101.2",
    },
]


@pytest.mark.parametrize("has_linkedid", [True, False])
def test_a_ring_group_is_one_call_with_and_without_linkedid(tmp_path: Path, has_linkedid: bool) -> None:
    names = [*FIELDS, "peeraccount", "linkedid", "sequence"] if has_linkedid else FIELDS
    records = [
        record | {"linkedid": first["uniqueid"] if "uniqueid" in first else TALKED["uniqueid"]}
        for first, group in ((RING_GROUP[0], RING_GROUP), (SECOND_CALL[0], SECOND_CALL))
        for record in group
    ]
    calls = folded(legs(tmp_path, master(*records, names=names)).landed)
    assert [call["call_id"] for call in calls] == ["1773136800.1", "1773137100.9"]
    taken, missed = calls
    assert (taken["is_answered"], taken["talk_s"], taken["wait_s"]) == (True, 65, 10)
    assert (taken["operator"], taken["tracking_number"]) == ("1002", "+38515550100")
    assert taken["called_at"] == datetime(2026, 3, 10, 10, tzinfo=UTC)
    assert (missed["is_answered"], missed["talk_s"], missed["wait_s"]) == (False, None, 30)
    assert taken["phone_key"] == missed["phone_key"] is not None
    assert [call["is_pbx"] for call in calls] == [True, True]


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(RING_GROUP + SECOND_CALL), st.integers(0, 5))
def test_folding_does_not_depend_on_the_order_or_on_where_a_file_was_cut(
    tmp_path: Path, records: list[dict[str, str]], cut: int
) -> None:
    expected = folded(legs(tmp_path, master(*RING_GROUP, *SECOND_CALL)).landed)
    rows = legs(tmp_path, master(*records[:cut])).landed if cut else []
    rows += legs(tmp_path, master(*records[cut:])).landed if cut < len(records) else []
    assert folded(rows) == expected


def test_a_call_out_and_a_call_in_at_once_stay_two(tmp_path: Path) -> None:
    out = {
        "src": "1003",
        "dst": CALLER,
        "dcontext": "from-internal",
        "channel": "PJSIP/1003-0e",
        "dstchannel": "PJSIP/provider-0f",
        "uniqueid": "1773136803.8",
        "start": "2026-03-10 11:00:03",
    }
    calls = folded(legs(tmp_path, master(*RING_GROUP, out), trunks=["PJSIP/provider"]).landed)
    assert [(call["direction"], call["operator"]) for call in calls] == [
        ("inbound", "1002"),
        ("outbound", "1003"),
    ]
    assert calls[0]["phone_key"] == calls[1]["phone_key"]


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000))
def test_every_leg_with_the_outside_is_in_one_call(tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    records = []
    for number in range(12):
        start = datetime(2026, 3, 10, 11) + timedelta(seconds=source.randrange(600))
        channel = source.choice(["PJSIP/provider-0{n}", "Local/1001@q-0{n};2", "PJSIP/1001-0{n}"])
        records.append(
            {
                "src": source.choice([CALLER, "+385917654321", "1001", ""]),
                "dst": source.choice(["38515550100", "1001", "0911234567"]),
                "channel": channel.format(n=number),
                "dcontext": "x",
                "start": f"{start:%Y-%m-%d %H:%M:%S}",
                "duration": str(source.randrange(120)),
                "uniqueid": f"1773136800.{source.randrange(8)}" if source.random() < 0.8 else "",
                "disposition": source.choice(["ANSWERED", "NO ANSWER"]),
            }
        )
    rows = legs(tmp_path, master(*records)).landed
    calls = folded(rows)
    assert len({call["call_id"] for call in calls}) == len(calls)
    assert len(calls) <= len(rows)
    if any(row["direction"] != "internal" for row in rows):
        assert calls
    for call in calls:
        assert call["wait_s"] >= 0
        assert (call["talk_s"] is not None) == call["is_answered"]


def test_a_bom_before_a_header_is_no_part_of_it(tmp_path: Path) -> None:
    names = ["calldate", *FIELDS[1:9], "duration", "billsec", "disposition"]
    content = codecs.BOM_UTF8 + (",".join(names) + "\n").encode()
    path = tmp_path / "cdr.csv"
    path.write_bytes(content)
    assert list(CONNECTOR.read(InboxFile(path), LEGS, options(CONNECTOR), read(CONNECTOR, path).log)) == []  # type: ignore[arg-type]
