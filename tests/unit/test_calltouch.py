"""Calltouch's calls journal: real answers, and everything that is not one."""

from __future__ import annotations

import codecs
import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import cli
from connectors.calltouch import CONNECTOR
from connectors.errors import FileRefused
from tests.unit.vendor_files import Read, read

CALL: dict[str, Any] = {
    "callId": 1,
    "timestamp": 1702569133,
    "successful": True,
    "callerNumber": "79160000001",
}


def calls(tmp_path: Path, *records: dict[str, Any], **given_options: Any) -> Read:
    path = tmp_path / "calls.json"
    path.write_text(json.dumps(list(records), ensure_ascii=False), encoding="utf-8")
    return read(CONNECTOR, path, **given_options)


def refusal(tmp_path: Path, content: str | bytes) -> str:
    path = tmp_path / "calls.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FileRefused) as caught:
        read(CONNECTOR, path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- real answers ---


def test_both_pages_of_a_real_journal(shared: Path) -> None:
    folder = shared / "call_tracking" / "calltouch"
    first = read(CONNECTOR, folder / "calls_diary_page_1_of_2.json", timezone="Europe/Moscow")
    second = read(CONNECTOR, folder / "calls_diary_page_2_of_2.json", timezone="Europe/Moscow")
    rows = {row["call_id"]: row for row in first.landed + second.landed}
    assert len(rows) == 7
    assert not first.quarantined
    assert not first.log.unknown_columns
    assert first.log.notes == ["page 1 of 2"]
    assert {measure: int(total) for (_, measure), total in first.log.control_totals.items()} == {
        "page": 1,
        "pageTotal": 2,
        "pageSize": 4,
        "recordsTotal": 7,
    }
    # the epoch is the truth, whatever the local text says
    assert rows["22746722"]["called_at"] == datetime(2023, 12, 14, 15, 52, 13, tzinfo=UTC)
    assert rows["22746722"]["tracking_number"] == "+74990000001"
    assert rows["22746722"]["visitor_id"] == "ga:1000000001.1699613239"
    assert rows["22746722"]["landing_path"] == "/company.html"
    assert rows["22746722"]["referrer_host"] == "www.google.com"
    assert rows["22746722"]["keyword"] is None
    assert (rows["24129060"]["duration_s"], rows["24129060"]["is_successful"]) == (-30, True)
    assert (rows["22698807"]["duration_s"], rows["22698807"]["is_successful"]) == (3, False)
    assert rows["22698807"]["is_callback"] is True
    assert rows["22698807"]["recording_ref"] is None
    assert rows["23668659"]["pbx_ref"] == "1710142605.37793"


def test_a_dedicated_number_is_no_campaign(shared: Path) -> None:
    path = shared / "call_tracking" / "calltouch" / "calls_diary_page_1_of_2.json"
    offline = next(r for r in read(CONNECTOR, path).landed if r["call_id"] == "23668659")
    assert offline["medium"] == "offline"
    assert offline["tracking_number"] == "+74990000002"
    origin = (
        "source",
        "utm_source",
        "utm_medium",
        "utm_campaign",
        "campaign_id",
        "visitor_id",
        "landing_path",
    )
    assert [offline[name] for name in origin] == [None] * len(origin)


def test_an_ad_click_keeps_its_ids(shared: Path) -> None:
    path = shared / "call_tracking" / "calltouch" / "calls_diary_page_2_of_2.json"
    ad = next(r for r in read(CONNECTOR, path).landed if r["call_id"] == "23701745")
    assert (ad["source"], ad["medium"], ad["keyword"]) == ("yandex", "cpc", "заказать пластиковые окна")
    assert ad["utm_campaign"] == "adv_plastikovye_okna_v050719_plastik_search_keywords_mo~ntzinzjm"
    assert (ad["click_id_type"], ad["click_id"]) == ("yclid", "2418476499800000001")
    assert ad["campaign_id"] == "74655848"
    assert ad["landing_path"] == "/okna.html"


def test_the_bare_array_gives_the_same_rows(shared: Path) -> None:
    folder = shared / "call_tracking" / "calltouch"
    bare = {r["call_id"]: r for r in read(CONNECTOR, folder / "calls_diary_bare_array.json").landed}
    paged = {r["call_id"]: r for r in read(CONNECTOR, folder / "calls_diary_page_1_of_2.json").landed}
    strip = {"_row_number"}
    assert set(bare) == {"22698807", "22746722"}
    for call_id, row in bare.items():
        assert {k: v for k, v in row.items() if k not in strip} == {
            k: v for k, v in paged[call_id].items() if k not in strip
        }


def test_tags_of_equal_type_all_stay(shared: Path) -> None:
    path = shared / "call_tracking" / "calltouch" / "calls_diary_bare_array.json"
    rows = {r["call_id"]: r for r in read(CONNECTOR, path).landed}
    assert rows["22698807"]["tags"] == [
        "AUTO-CT: Обратный звонок с формы",
        "AUTO-CT: Последний в цепочке",
        "AUTO-CT: c-up",
        "WEB-API: Платный сервис",
    ]


def test_an_empty_period_is_a_success(shared: Path) -> None:
    found = read(CONNECTOR, shared / "call_tracking" / "calltouch" / "calls_diary_empty.json")
    assert found.raw == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("requests_reassembled.json", "requests journal"),
        ("raw_landing_calls.csv", "not JSON"),
        ("webhook_call_fields_reassembled.json", "no calls journal"),
        ("webhook_call_body_reassembled.txt", "not JSON"),
        ("lead_tag_add_request.json", "no calls journal"),
    ],
)
def test_other_calltouch_files_are_refused_with_a_remedy(shared: Path, name: str, reason: str) -> None:
    with pytest.raises(FileRefused, match=reason) as caught:
        read(CONNECTOR, shared / "call_tracking" / "calltouch" / name)
    assert "calls-diary" in str(caught.value)


def test_nothing_personal_lands_from_a_real_journal(shared: Path) -> None:
    path = shared / "call_tracking" / "calltouch" / "calls_diary_page_1_of_2.json"
    source = json.loads(path.read_text(encoding="utf-8"))["records"]
    landed = str(read(CONNECTOR, path).landed)
    for call in source:
        for name in ("callerNumber", "ip", "userAgent", "ctCallerId"):
            assert call[name] is None or str(call[name]) not in landed


# --- single rules ---


def test_ids_above_2_to_the_53_keep_their_digits(tmp_path: Path) -> None:
    found = calls(tmp_path, CALL | {"callId": 9007199254740993, "ctClientId": 800000000000000107})
    assert found.landed[0]["call_id"] == "9007199254740993"
    assert found.landed[0]["visitor_id"] == "ct:800000000000000107"


@pytest.mark.parametrize(
    ("ids", "visitor"),
    [
        ({"clientId": "1.2", "yaClientId": "3", "ctClientId": 4}, "ga:1.2"),
        ({"clientId": None, "yaClientId": "3", "ctClientId": 4}, "ym:3"),
        ({"clientId": "<не указано>", "yaClientId": "", "ctClientId": 4}, "ct:4"),
        ({"clientId": None, "yaClientId": None, "ctClientId": 0}, None),
    ],
)
def test_the_visitor_is_known_by_the_best_id(
    tmp_path: Path, ids: dict[str, Any], visitor: str | None
) -> None:
    assert calls(tmp_path, CALL | ids).landed[0]["visitor_id"] == visitor


@pytest.mark.parametrize("masked", ["7916***0001", "anonymous", "", None, "101", "+7 (916) 000"])
def test_masked_and_short_numbers_make_no_person(tmp_path: Path, masked: str | None) -> None:
    assert calls(tmp_path, CALL | {"callerNumber": masked}).landed[0]["phone_key"] is None


def test_equal_callers_have_equal_keys_however_written(tmp_path: Path) -> None:
    found = calls(
        tmp_path,
        CALL,
        CALL | {"callId": 2, "callerNumber": "+79160000001"},
        CALL | {"callId": 3, "callerNumber": 79160000001},
    )
    keys = {row["phone_key"] for row in found.landed}
    assert len(keys) == 1
    assert None not in keys


def test_flags_written_as_text_are_read(tmp_path: Path) -> None:
    row = calls(tmp_path, CALL | {"successful": "True", "targetCall": "false", "callbackCall": "1"}).landed[0]
    assert (row["is_successful"], row["is_target"], row["is_callback"]) == (True, False, True)


def test_a_call_under_way_is_marked(tmp_path: Path) -> None:
    found = calls(
        tmp_path, CALL | {"callphase": "callconnected"}, CALL | {"callId": 2, "callphase": "calldisconnected"}
    )
    assert [row["is_finished"] for row in found.landed] == [False, True]


def test_attempts_of_one_callback_share_its_reference(tmp_path: Path) -> None:
    info = {
        "callbackRequestId": 55501,
        "callbackFinalAttempt": False,
        "fields": [{"name": "fio", "value": "Ana"}],
    }
    row = calls(tmp_path, CALL | {"callbackInfo": info}).landed[0]
    assert row["callback_ref"] == "55501"
    assert "Ana" not in str(row)


def test_the_ad_systems_campaign_id_comes_before_the_links(tmp_path: Path) -> None:
    url = "https://c.example/?utm_id=from-link"
    given_by = {"yandexDirect": {"campaignId": 74655848}, "googleAdWords": None, "url": url}
    assert calls(tmp_path, CALL | given_by).landed[0]["campaign_id"] == "74655848"
    assert calls(tmp_path, CALL | {"googleAdWords": {"campaignId": "77"}}).landed[0]["campaign_id"] == "77"
    assert calls(tmp_path, CALL | {"url": url}).landed[0]["campaign_id"] == "from-link"


def test_session_date_is_never_looked_at(tmp_path: Path) -> None:
    """It is a 12-hour clock without AM/PM: 06:51 stands for the evening of a call at 18:52."""
    morning = calls(tmp_path, CALL | {"sessionDate": "14/12/2023 06:51:57"}).landed
    nonsense = calls(tmp_path, CALL | {"sessionDate": "99/99/9999 99:99:99"}).landed
    assert morning == nonsense


@pytest.mark.parametrize("timestamp", [None, "", 0, -5, 1702569133000, "soon"])
def test_a_call_without_a_usable_epoch_is_quarantined(tmp_path: Path, timestamp: Any) -> None:
    found = calls(tmp_path, CALL, CALL | {"callId": 2, "timestamp": timestamp})
    assert len(found.landed) == 1
    assert [q.column for q in found.quarantined] == ["called_at"]


def test_a_local_text_in_another_zone_is_noted_and_the_epoch_taken(tmp_path: Path) -> None:
    call = CALL | {"date": "14/12/2023 18:52:13"}
    assert calls(tmp_path, call, timezone="Europe/Moscow").log.notes == []
    found = calls(tmp_path, call, timezone="Europe/Zagreb")
    assert "timestamp" in found.log.notes[0]
    assert found.landed[0]["called_at"] == datetime(2023, 12, 14, 15, 52, 13, tzinfo=UTC)


def test_a_field_nobody_knows_is_named_and_the_call_lands(tmp_path: Path) -> None:
    found = calls(tmp_path, CALL | {"mood": "fine"})
    assert found.log.unknown_columns == {"mood"}
    assert len(found.landed) == 1


def test_tags_that_were_not_filled_in_are_noted(tmp_path: Path) -> None:
    found = calls(tmp_path, CALL | {"url": "https://c.example/?utm_campaign={campaign_id}"})
    assert found.landed[0]["utm_campaign"] is None
    assert "1 calls have a tag" in found.log.notes[0]


def test_odd_shapes_inside_a_call_do_not_stop_the_file(tmp_path: Path) -> None:
    odd = {"callTags": {"type": "X"}, "yandexDirect": "none", "callbackInfo": [], "url": 5, "manager": {}}
    row = calls(tmp_path, CALL | odd).landed[0]
    assert (row["tags"], row["campaign_id"], row["callback_ref"], row["manager"]) == (None, None, None, None)


# --- whole files ---


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        ("   \n", "is empty"),
        ("<!DOCTYPE html><html>", "HTML page"),
        ('{"errors": [{"message": "bad token"}]}', "error answer"),
        ('{"message": "x"}', "no calls journal"),
        ("{}", "no calls journal"),
        ("null", "not JSON"),
        ("[1, 2]", "no callId"),
        ('[{"callId": 1, "timestamp": 1702569133}, {"call', "not whole JSON"),
        ('{"page": 1, "records": [{"callId": 1, "timestamp": 17025', "not whole JSON"),
        ('[{"callId": 1}][{"callId": 2}]', "more than one JSON document"),
        ('[{"callId": 1, "city": "Москва"}]'.encode("cp1251"), "not whole JSON"),
    ],
)
def test_what_is_no_calls_journal_is_refused_whole(tmp_path: Path, content: str | bytes, reason: str) -> None:
    assert reason in refusal(tmp_path, content)


def test_a_page_with_fewer_calls_than_announced_is_refused(tmp_path: Path) -> None:
    head = {"page": 1, "pageTotal": 1, "pageSize": 1000, "recordsTotal": 2}
    assert "1 of 2 calls" in refusal(tmp_path, json.dumps(head | {"records": [CALL]}))
    last = {"page": 3, "pageTotal": 3, "pageSize": 2, "recordsTotal": 6}
    assert "1 of 2 calls" in refusal(tmp_path, json.dumps(last | {"records": [CALL]}))


@pytest.mark.parametrize("bom", ["utf-8-sig", "utf-16"])
def test_json_saved_by_a_windows_shell_is_read(tmp_path: Path, bom: str) -> None:
    path = tmp_path / "calls.json"
    path.write_text(json.dumps([CALL | {"manager": "Željka"}], ensure_ascii=False), encoding=bom)
    assert read(CONNECTOR, path).landed[0]["manager"] == "Željka"
    assert path.read_bytes()[:2] in (codecs.BOM_UTF8[:2], codecs.BOM_UTF16)


def test_a_gzipped_answer_is_read(tmp_path: Path) -> None:
    path = tmp_path / "calls.json.gz"
    path.write_bytes(gzip.compress(json.dumps([CALL]).encode()))
    assert len(read(CONNECTOR, path).landed) == 1


def test_the_module_alone_prints_counts_and_no_values(
    shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shared / "call_tracking" / "calltouch" / "calls_diary_page_1_of_2.json"
    cli.main(CONNECTOR, [str(path), "--stream", "calls", "--region", "RU", "--timezone", "Europe/Moscow"])
    printed = capsys.readouterr().out
    assert printed.startswith("4 rows read, 4 fit to land, 0 quarantined")
    assert "  phone_key: 4" in printed
    for call in json.loads(path.read_text(encoding="utf-8"))["records"]:
        for name in ("callerNumber", "phoneNumber", "clientId", "ip", "callId"):
            assert call[name] is None or str(call[name]) not in printed


def test_the_module_alone_says_why_a_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "help.html"
    path.write_text("<html>")
    with pytest.raises(SystemExit) as caught:
        cli.main(CONNECTOR, [str(path), "--stream", "calls"])
    assert caught.value.code == 1
    assert "HTML page" in capsys.readouterr().err


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


_FIELDS = """
    timestamp callerNumber phoneNumber duration waitingConnect successful source medium url ref callTags
    callbackInfo yandexDirect clientId utmCampaign callphase date
"""


@given(
    call=st.fixed_dictionaries(
        {"callId": st.integers(min_value=1)}, optional=dict.fromkeys(_FIELDS.split(), _JSON)
    )
)
def test_any_json_in_any_field_is_landed_or_quarantined(
    tmp_path_factory: pytest.TempPathFactory, call: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("calls") / "calls.json"
    path.write_text(json.dumps([call]))
    found = read(CONNECTOR, path)
    assert len(found.landed) + len(found.quarantined) == 1


def test_a_refusal_quotes_nothing_of_the_file(tmp_path: Path) -> None:
    message = refusal(tmp_path, '[{"callId": 1, "manager": "Ana Horvat", "callerNumber": 0911234567}]')
    assert "Horvat" not in message
    assert "0911234567" not in message
