"""Chat products: exports of Shangwutong and Kuaishangtong, events of Jivo, conversations of Intercom."""

from __future__ import annotations

import codecs
import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors._live_chat_rows import mobile_in, promotion_in_addresses, promotion_in_remark
from connectors.errors import FileRefused
from connectors.live_chat import CONNECTOR
from connectors.privacy import Privacy
from pipelines.config import load_clinic
from pipelines.landing import Landing
from tests.unit.vendor_files import Read, read

SHANGHAI = "Asia/Shanghai"
SWT_HEADER = (
    "编号,开始访问时间,开始对话时间,对话类型,客人讯息数,客服讯息数,名称,客人类别,"
    "永久身份,初次访问网址,客人说明,关键词,初始接待客服,对话类别"
)
SWT_ROW = "7,2026/05/07 09:58:00,2026/05/07 10:00:00,一般对话,2,1,v-1,,'123456,,,,客服A,"
KST_HEADER = "对话时间,备注说明,名片标签,搜索词,访客消息数"
MOBILE = "13812345678"


def chats(tmp_path: Path, content: str | bytes, name: str = "export.csv", **given_options: Any) -> Read:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(CONNECTOR, path, **{"timezone": SHANGHAI, **given_options})


def one(tmp_path: Path, content: str, **given_options: Any) -> dict[str, Any]:
    found = chats(tmp_path, content, **given_options)
    assert found.reasons == []
    (row,) = found.landed
    return row


def swt(**cells: str) -> str:
    """An export of one chat with other cells than usual."""
    names = SWT_HEADER.split(",")
    given_cells = dict(zip(names, SWT_ROW.split(","), strict=True)) | cells
    return f"{SWT_HEADER}\n" + ",".join(f'"{given_cells[name]}"' for name in names) + "\n"


def refusal(tmp_path: Path, content: str | bytes, name: str = "export.csv", **given_options: Any) -> str:
    with pytest.raises(FileRefused) as caught:
        chats(tmp_path, content, name, **given_options)
    assert "\n" not in str(caught.value)
    assert MOBILE not in str(caught.value)
    return str(caught.value)


# --- Shangwutong ---


@pytest.mark.parametrize("row", [1, 3])
def test_a_shangwutong_export_with_its_header_on_either_row(shared: Path, row: int) -> None:
    path = shared / f"call_tracking/chat_shangwutong/export_header_on_row_{row}_reassembled.csv"
    found = read(CONNECTOR, path, timezone=SHANGHAI)
    assert found.reasons == []
    assert found.log.skipped == ({} if row == 1 else {"line above the header": 2})
    assert not found.log.unknown_columns
    good, general, silent = found.landed
    assert good["contact_id"] == "swt:1:20260507095800"
    assert good["contacted_at"] == datetime(2026, 5, 7, 2, tzinfo=UTC)
    assert (good["visitor_messages"], good["agent_messages"], good["operator"]) == (3, 5, "客服A")
    assert (good["visitor_id"], general["visitor_id"]) == ("swt:1234567890", "swt:1234567891")
    assert [r["is_dialog"] for r in found.landed] == [True, True, False]
    assert [r["is_valid"] for r in found.landed] == [True, False, False]
    assert [r["is_contact_left"] for r in found.landed] == [True, False, False]
    assert [r["is_missed"] for r in found.landed] == [False, False, False]
    assert (good["source"], good["medium"], good["utm_campaign"]) == ("baidu", "cpc", "baidu01")
    assert (silent["source"], silent["promotion_id"]) == ("sogou", "sogou-2")
    assert (general["source"], general["medium"], general["promotion_id"]) == (None, None, None)
    assert (good["utm_term"], good["landing_path"], good["referrer_host"]) == ("银屑病", "/", "www.baidu.com")
    # 开始对话时间 is empty where the visitor never wrote
    assert silent["contacted_at"] == datetime(2026, 5, 7, 2, 20, tzinfo=UTC)


def test_both_real_files_hold_the_same_chats(shared: Path) -> None:
    folder = shared / "call_tracking/chat_shangwutong"
    first, third = (
        read(CONNECTOR, folder / f"export_header_on_row_{row}_reassembled.csv", timezone=SHANGHAI)
        for row in (1, 3)
    )
    numbers = {"_row_number"}
    assert [{k: v for k, v in r.items() if k not in numbers} for r in first.landed] == [
        {k: v for k, v in r.items() if k not in numbers} for r in third.landed
    ]


def test_a_header_on_row_four_of_a_workbook(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for _ in range(3):
        sheet.append(["商务通历史记录"])
    sheet.append(SWT_HEADER.split(","))
    cells: list[Any] = SWT_ROW.split(",")
    cells[0], cells[1], cells[4] = 7, datetime(2026, 5, 7, 9, 58), 2
    sheet.append(cells)
    sheet.append(["合计", None, None, None, 2])
    book.save(tmp_path / "swt.xlsx")
    found = read(CONNECTOR, tmp_path / "swt.xlsx", timezone=SHANGHAI)
    (row,) = found.landed
    assert row["contact_id"] == "swt:7:20260507095800"
    assert found.log.skipped == {"line above the header": 3, "footer line": 1}


def test_tests_footers_and_blank_lines_are_skipped(tmp_path: Path) -> None:
    test = SWT_ROW.replace("v-1", "测试").replace("7,", "8,", 1)
    found = chats(tmp_path, f"{SWT_HEADER}\n{SWT_ROW}\n{test}\n\n共2条\n")
    assert len(found.landed) == 1
    assert found.log.skipped == {"test chat": 1, "blank line": 1, "footer line": 1}


@pytest.mark.parametrize(
    ("kind", "is_missed"),
    [
        ("仅打开窗口", False),
        ("客服未接待", True),
        ("客服无讯息", True),
        ("访客无讯息", False),
        ("极佳对话", False),
        ("", None),
    ],
)
def test_a_chat_that_nobody_took_is_missed(tmp_path: Path, kind: str, is_missed: bool | None) -> None:
    assert one(tmp_path, swt(对话类型=kind))["is_missed"] is is_missed


@pytest.mark.parametrize(
    ("cells", "flags"),
    [
        ({"对话类型": "极佳对话"}, (True, False, False)),
        ({"对话类型": "极佳对话", "客人类别": "重复咨询"}, (False, False, False)),
        ({"对话类别": "其他,转微信"}, (True, True, False)),
        ({"对话类别": "预约"}, (True, True, True)),
        ({"对话类别": "留联"}, (False, True, False)),
        ({"对话类别": "预约", "客人讯息数": "0"}, (False, True, True)),
        ({"客人说明": f"电话{MOBILE}张先生"}, (False, True, False)),
        ({"客人说明": "推广ID：13812345678"}, (False, False, False)),
    ],
)
def test_what_a_shangwutong_chat_came_to(
    tmp_path: Path, cells: dict[str, str], flags: tuple[bool, bool, bool]
) -> None:
    row = one(tmp_path, swt(**cells))
    assert (row["is_valid"], row["is_contact_left"], row["is_booked"]) == flags


def test_the_clinics_own_rule_replaces_the_usual_one(tmp_path: Path) -> None:
    content = swt(对话类型="一般对话", 对话类别="转微信")
    assert one(tmp_path, content)["is_valid"] is True
    assert one(tmp_path, content, valid=["预约"])["is_valid"] is False
    assert one(tmp_path, content, valid=["*对话"], contact=["不存在"])["is_contact_left"] is False
    assert one(tmp_path, content, valid=["*对话"], invalid=["转*"])["is_valid"] is False
    assert one(tmp_path, content, booked=["转微信"])["is_booked"] is True


def test_one_number_in_two_tenants_is_two_chats(tmp_path: Path) -> None:
    first, second = (one(tmp_path, swt(), account=name)["contact_id"] for name in ("north", "south"))
    assert first == "swt:north:7:20260507095800" != second


@pytest.mark.parametrize("guarded", ["'1234567890123456789'", "’1234567890123456789", "1234567890123456789"])
def test_a_visitors_id_loses_its_guard_and_no_digit(tmp_path: Path, guarded: str) -> None:
    assert one(tmp_path, swt(永久身份=guarded))["visitor_id"] == "swt:1234567890123456789"
    # many visitors would be this one
    assert one(tmp_path, swt(永久身份="1.23457E+18"))["visitor_id"] is None


def test_a_keyword_read_in_a_wrong_code_page_is_none(tmp_path: Path) -> None:
    assert one(tmp_path, swt(关键词="\ufffd\ufffd病"))["utm_term"] is None


def test_what_people_wrote_does_not_land(tmp_path: Path) -> None:
    row = one(tmp_path, swt(名称="王小明", 客人说明=f"王小明 头痛 {MOBILE} 微信wx123"))
    landed = str(row)
    for personal in (MOBILE, "王小明", "头痛", "wx123"):
        assert personal not in landed
    assert row["phone_key"] == Privacy(b"a key for tests only", "HR").phone_key(f"+86{MOBILE}")


# --- Kuaishangtong ---


def test_the_same_kuaishangtong_export_in_two_code_pages(shared: Path) -> None:
    folder = shared / "call_tracking/chat_kuaishangtong"
    utf8, gbk = (
        read(CONNECTOR, folder / f"export_web_records_{name}.csv", timezone=SHANGHAI)
        for name in ("utf8_bom", "gbk")
    )
    assert utf8.landed == gbk.landed
    assert [row["is_valid"] for row in gbk.landed] == [True, False, False, False, True]
    # 转潜 says that a contact was obtained, also of an enquiry that is none
    assert [row["is_contact_left"] for row in gbk.landed] == [True, False, False, True, True]
    assert [row["visitor_messages"] for row in gbk.landed] == [1, 2, 1, 1, 1]
    assert [row["promotion_id"] for row in gbk.landed] == [
        "10000001",
        "10000001",
        "10000002",
        "10000003",
        "10000003",
    ]
    assert gbk.landed[0]["utm_term"] == "银屑病"
    assert gbk.landed[0]["contacted_at"] == datetime(2026, 5, 7, 2, tzinfo=UTC)
    assert len({row["contact_id"] for row in gbk.landed}) == 5


def test_the_promotion_of_a_remark(shared: Path) -> None:
    path = shared / "call_tracking/chat_kuaishangtong/export_edge_promotion_id_in_remark.csv"
    rows = read(CONNECTOR, path, timezone=SHANGHAI).landed
    assert [row["promotion_id"] for row in rows] == [
        "10000001",
        "10000001",
        "10000002",
        "10000003",
        "999999",
        "10000001",
    ]
    assert {row["medium"] for row in rows} == {"cpc"}
    # an id that no list has stays under its own name
    assert rows[4]["utm_campaign"] == "999999"
    # nobody wrote: no dialog, so no valid one either, whatever the tag says
    assert (rows[5]["is_dialog"], rows[5]["is_valid"], rows[5]["is_contact_left"]) == (False, False, True)
    # no tag is not valid
    assert rows[3]["is_valid"] is False


@pytest.mark.parametrize("name", ["sent_count", "sent_message_count"])
def test_columns_go_by_several_names(shared: Path, name: str) -> None:
    path = shared / f"call_tracking/chat_kuaishangtong/export_header_variant_{name}.csv"
    (row,) = read(CONNECTOR, path, timezone=SHANGHAI).landed
    assert (row["visitor_messages"], row["is_dialog"], row["is_valid"]) == (1, True, True)


def test_a_whole_heading_is_meant_where_another_contains_it(tmp_path: Path) -> None:
    content = "对话时间,使用说明,说明,标签\n2026-05-07 10:00,20000001,10000001,转潜-有效-已确诊\n"
    row = one(tmp_path, content)
    assert (row["promotion_id"], row["is_valid"], row["is_dialog"]) == ("10000001", True, None)


def test_a_chat_keeps_its_id_when_its_tag_is_edited(tmp_path: Path) -> None:
    before = one(tmp_path, f"{KST_HEADER}\n2026-05-07 10:00,10000001-abc,有效-一般,银屑病,1\n")
    after = one(tmp_path, f"{KST_HEADER}\n2026-05-07 10:00,10000001-改,转潜-有效,银屑病,4\n")
    assert before["contact_id"] == after["contact_id"]
    assert (before["is_valid"], after["is_valid"]) == (False, True)


def test_the_name_of_an_account_stands_where_it_has_no_number(tmp_path: Path) -> None:
    content = "对话时间,推广账户,标签\n2026-05-07 10:00,百度北区,无效\n2026-05-07 10:01,88000001,无效\n"
    assert [row["promotion_id"] for row in chats(tmp_path, content).landed] == ["百度北区", "88000001"]


def test_a_pushed_dialog(shared: Path) -> None:
    path = shared / "call_tracking/chat_kuaishangtong/push_historydata_reassembled.json"
    (row,) = read(CONNECTOR, path, timezone=SHANGHAI).landed
    assert row["contact_id"] == "kst:900000000001"
    assert row["contacted_at"] == datetime(2026, 5, 7, 2, tzinfo=UTC)
    assert (row["is_dialog"], row["is_valid"], row["is_missed"]) == (True, True, False)
    assert (row["visitor_messages"], row["agent_messages"], row["operator"]) == (3, 5, "cs01")
    assert (row["promotion_id"], row["referrer_host"], row["landing_path"]) == (
        "10000001",
        "www.baidu.com",
        "/",
    )
    assert "203.0.113" not in str(row)
    assert "湖北" not in str(row)


@pytest.mark.parametrize(
    ("kind", "is_valid", "is_missed"),
    [
        ("dt_v_ov", False, False),
        ("dt_v_nm", False, False),
        ("dt_c_na", False, True),
        ("dt_c_nm", False, True),
        ("dt_d_n", False, False),
        ("dt_d_o", True, False),
        ("dt_d_b", True, False),
    ],
)
def test_the_type_of_a_pushed_dialog(tmp_path: Path, kind: str, is_valid: bool, is_missed: bool) -> None:
    record = {"recId": 9007199254740993, "diaStartTime": "2026-05-07 10:00:00", "dialogType": kind}
    row = one(tmp_path, json.dumps(record | {"visitorSendNum": "2"}))
    assert (row["is_valid"], row["is_missed"]) == (is_valid, is_missed)
    assert row["contact_id"] == "kst:9007199254740993"


def test_bodies_saved_as_they_were_posted(tmp_path: Path) -> None:
    records = [{"recId": n, "diaStartTime": "2026-05-07 10:00:00", "keyword": "银屑病"} for n in (1, 2)]
    body = "".join(f"data={quote_plus(json.dumps(r, ensure_ascii=False))}\n" for r in records)
    found = chats(tmp_path, body, "push.txt")
    assert [row["contact_id"] for row in found.landed] == ["kst:1", "kst:2"]
    assert found.landed[0]["utm_term"] == "银屑病"
    assert "line 1 is not JSON" in refusal(tmp_path, "data=%7B%22recId\n")


# --- Jivo ---


def jivo(tmp_path: Path, event: dict[str, Any], **given_options: Any) -> Read:
    return chats(tmp_path, json.dumps(event), "event.json", **given_options)


CHAT: dict[str, Any] = {
    "event_name": "chat_finished",
    "widget_id": "3948",
    "chat_id": 7607,
    "visitor": {"name": "Ana", "number": "2198", "chats_count": 2},
    "agents": [{"id": "1", "name": "Thomas"}],
    "chat": {"messages": [{"timestamp": 1665396476, "type": "visitor", "message": "headache"}]},
}


def test_a_finished_chat(shared: Path) -> None:
    (row,) = read(CONNECTOR, shared / "call_tracking/chat_jivo/webhook_chat_finished.json").landed
    assert (row["contact_id"], row["contact_kind"]) == ("jivo:3948:7607", "chat")
    # no event says when a chat began: its first message does
    assert row["contacted_at"] == datetime(2022, 10, 10, 10, 7, 56, tzinfo=UTC)
    assert (row["visitor_messages"], row["agent_messages"], row["operator"]) == (1, 1, "Thomas Anderson")
    assert (row["is_dialog"], row["is_valid"], row["is_missed"]) == (True, None, False)
    assert row["is_contact_left"] is True
    assert row["phone_key"] == Privacy(b"a key for tests only", "HR").phone_key("+14084987855")
    assert row["email_key"] is not None
    tags = ("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term")
    # `...` is a placeholder
    assert [row[name] for name in tags] == ["google", "cpc", "campaign_name", "banner", None]
    # the page of the chat is not where the visit began
    assert row["landing_path"] is None
    for personal in ("John", "example.com", "4084987855", "Mozilla", "208.80", "Description", "agent@"):
        assert personal not in str(row)


def test_a_message_left_is_a_missed_chat_of_the_millisecond_in_its_id(shared: Path) -> None:
    (row,) = read(CONNECTOR, shared / "call_tracking/chat_jivo/webhook_offline_message.json").landed
    assert row["contacted_at"] == datetime(2022, 10, 10, 10, 58, 20, 726000, tzinfo=UTC)
    assert (row["contact_id"], row["is_missed"], row["is_dialog"]) == ("jivo:3948:2026", True, True)
    assert "Message text" not in str(row)


def test_a_callback_request_has_no_time_of_its_own(shared: Path, tmp_path: Path) -> None:
    path = shared / "call_tracking/chat_jivo/webhook_call_event.json"
    found = read(CONNECTOR, path)
    assert found.landed == []
    assert "let the receiver add received_at" in found.reasons[0]
    event = json.loads(path.read_text())
    for received in ("2026-05-07T10:00:00+02:00", 1778140800, 1778140800000, "1778140800"):
        (row,) = jivo(tmp_path, event | {"received_at": received}).landed
        assert row["contacted_at"] == datetime(2026, 5, 7, 8, tzinfo=UTC)
        assert (row["contact_kind"], row["status_raw"]) == ("form", "callback: end")
        assert (row["operator"], row["is_missed"], row["is_contact_left"]) == ("Thomas Anderson", None, True)
    assert jivo(tmp_path, event | {"received_at": "2026-05-07T10:00:00"}).landed == []
    incoming = event | {"received_at": 1778140800, "call": {"type": "incoming", "status": "start"}}
    assert jivo(tmp_path, incoming).landed[0]["contact_kind"] == "call"


def test_a_chat_without_an_agent_is_missed(tmp_path: Path) -> None:
    (row,) = jivo(tmp_path, CHAT | {"agents": []}).landed
    assert (row["is_missed"], row["operator"], row["is_contact_left"]) == (True, None, False)


def test_a_visitor_that_agents_blacklisted_is_not_valid(tmp_path: Path) -> None:
    chat = CHAT["chat"] | {"blacklisted": True}
    tagged = CHAT | {"tags": [{"name": "lead"}]}
    assert jivo(tmp_path, tagged | {"chat": chat}, valid=["lead"]).landed[0]["is_valid"] is False
    assert jivo(tmp_path, tagged, valid=["lead"]).landed[0]["is_valid"] is True
    assert jivo(tmp_path, CHAT, valid=["lead"]).landed[0]["is_valid"] is False
    assert jivo(tmp_path, CHAT).landed[0]["is_valid"] is None
    assert jivo(tmp_path, tagged).landed[0]["tags"] == ["lead"]


def test_the_first_message_tells_the_time_in_whatever_order(tmp_path: Path) -> None:
    messages = [{"timestamp": at, "type": "agent"} for at in (1665396500, 1665396476, 1665396490)]
    (row,) = jivo(tmp_path, CHAT | {"chat": {"messages": messages}}).landed
    assert row["contacted_at"] == datetime(2022, 10, 10, 10, 7, 56, tzinfo=UTC)
    assert (row["is_dialog"], row["agent_messages"]) == (False, 3)


def test_tags_in_pipe_text_and_in_the_page(tmp_path: Path) -> None:
    session = {"utm": "source=Google|medium=CPC|content=banner|campaign=Spring"}
    page = {"url": "https://c.example/price?utm_source=x&utm_term=lor&yclid=991234&phone=0911234567"}
    (row,) = jivo(tmp_path, CHAT | {"session": session, "page": page}).landed
    tags = ("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term")
    assert [row[name] for name in tags] == ["google", "cpc", "Spring", "banner", "lor"]
    assert (row["click_id_type"], row["click_id"], row["landing_path"]) == ("yclid", "991234", None)


def test_other_events_of_a_log_are_counted(tmp_path: Path) -> None:
    events = [CHAT, {"event_name": "chat_accepted", "chat_id": 7607}, CHAT | {"chat_id": None}]
    found = chats(tmp_path, "".join(json.dumps(event) + "\n" for event in events), "events.jsonl")
    assert len(found.landed) == 1
    assert found.log.skipped == {"event chat_accepted": 1}
    assert found.reasons == ["contact_id: chat_id is missing"]


def test_a_visitors_number_is_one_within_the_widget(tmp_path: Path) -> None:
    first, second = (jivo(tmp_path, CHAT | {"widget_id": w}).landed[0]["visitor_id"] for w in ("1", "2"))
    assert first == "jivo:1:2198" != second


# --- Intercom ---


def test_conversations(shared: Path) -> None:
    found = read(CONNECTOR, shared / "call_tracking/chat_intercom/conversations.jsonl")
    (row,) = found.landed
    # two messages that the clinic sent out and nobody answered
    assert found.log.skipped == {"message of the clinic's that nobody answered": 2}
    assert row["contact_id"] == "intercom:1"
    assert row["contacted_at"] == datetime(2020, 12, 9, 22, 34, 3, tzinfo=UTC)
    assert row["updated_at"] == datetime(2021, 7, 15, 10, 57, 53, tzinfo=UTC)
    assert (row["visitor_id"], row["operator"]) == ("intercom:5fd150d50697b6d0bbc4a2c2", "4423433")
    assert (row["is_dialog"], row["is_missed"], row["is_contact_left"]) == (True, False, False)
    assert "hey there" not in str(row)


def conversation(shared: Path, **changes: Any) -> dict[str, Any]:
    text = (shared / "call_tracking/chat_intercom/conversations.jsonl").read_text()
    return {**json.loads(text.splitlines()[1]), **changes}


def test_a_message_sent_out_becomes_a_contact_when_the_person_writes(shared: Path, tmp_path: Path) -> None:
    record = conversation(shared, first_contact_reply={"created_at": 1676470000})
    row = one(tmp_path, json.dumps(record))
    assert row["contacted_at"] == datetime.fromtimestamp(1676470000, UTC)
    # the author is the clinic's own
    assert (row["email_key"], row["is_missed"], row["operator"]) == (None, True, "4423433")


def test_who_wrote_leaves_an_address(shared: Path, tmp_path: Path) -> None:
    source = {
        "type": "email",
        "delivered_as": "customer_initiated",
        "author": {"type": "user", "email": "Ana@clinic.example", "name": "Ana"},
        "url": "https://c.example/lor?utm_source=newsletter&gclid=Cj0KCQ",
    }
    row = one(tmp_path, json.dumps(conversation(shared, source=source)))
    assert (row["contact_kind"], row["is_contact_left"]) == ("form", True)
    assert row["email_key"] == Privacy(b"a key for tests only", "HR").email_key("ana@clinic.example")
    assert (row["utm_source"], row["click_id_type"]) == ("newsletter", "gclid")
    assert "Ana" not in str(row)


def test_a_saved_page_of_a_list(shared: Path, tmp_path: Path) -> None:
    first = json.loads(
        (shared / "call_tracking/chat_intercom/conversations.jsonl").read_text().splitlines()[0]
    )
    page = {"type": "conversation.list", "pages": {"page": 1}, "conversations": [first]}
    for text in (json.dumps(page), json.dumps(page, indent=2), json.dumps([first])):
        assert one(tmp_path, text)["contact_id"] == "intercom:1"


def test_a_conversation_that_was_reopened_replaces_its_earlier_state(shared: Path, tmp_path: Path) -> None:
    config = tmp_path / "clinic.yaml"
    config.write_text(
        "clinic: {name: C, timezone: Europe/Zagreb, currency: EUR, phone_region: HR}\n"
        "sources: {chat: {kind: live_chat, format: intercom}}\n"
    )
    inbox = tmp_path / "data/inbox/chat/contacts"
    inbox.mkdir(parents=True)
    first = json.loads(
        (shared / "call_tracking/chat_intercom/conversations.jsonl").read_text().splitlines()[0]
    )
    later = {**first, "state": "closed", "updated_at": first["updated_at"] + 60}
    # the newer state lies in the file that is read first
    (inbox / "a.jsonl").write_text(json.dumps(later))
    (inbox / "b.jsonl").write_text(json.dumps(first))
    landing = Landing(load_clinic(config, tmp_path / "data"), Privacy(b"k" * 32, "HR"))
    landing.prepare()
    records = landing.land("live_chat", "contacts")
    assert [(r.status, r.rows_landed, r.rows_duplicate) for r in records] == [
        ("landed", 1, 0),
        ("landed", 0, 1),
    ]


# --- what is none of these ---


def test_another_product_is_refused_with_a_way_to_read_it(tmp_path: Path) -> None:
    header = (
        "客服姓名,客服ID,会话ID,会话请求ID,访客标识,访客静态ID,姓名,开始对话时间,消息数,访客消息数,客服消息数,"
        "访客IP,地区,对话总结标签,来源地址,会话时间,有效对话时间,搜索词,会话效果,最初访问,手机,电话"
    )
    assert "mapped_file reads other products" in refusal(tmp_path, f"{header}\n")


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        ("", "a.csv", "is empty"),
        ("<html><table><tr><td>编号</td></tr></table></html>", "a.xls", "is a web page"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500,
            "a.xls",
            "old .xls workbook; save it as .xlsx or CSV",
        ),
        ("name,phone\nx,y\n", "a.csv", "no header of a chat export"),
        ("编号,客人讯息数\n1,2\n", "a.csv", "no column 开始访问时间"),
        ("对话时间,备注\n2026-05-07 10:00,x\n", "a.csv", "no header of a chat export"),
        ('{"event_name": "chat_finished", "chat_id"', "a.json", "not whole JSON"),
        ('[{"event_name": "call_event"}', "a.json", "not whole JSON"),
        ('{"hello": "world"}', "a.json", "is no record of a chat product"),
        ("[1, 2]", "a.json", "is no record of a chat product"),
        (swt().encode("utf-16-le"), "a.csv", "is not gb18030 text; set `encoding:`"),
        (swt().encode()[:-60], "a.csv", "misquoted"),
    ],
)
def test_what_is_no_chat_is_refused(tmp_path: Path, content: str | bytes, name: str, reason: str) -> None:
    assert reason in refusal(tmp_path, content, name)


def test_the_format_that_is_named_is_the_only_one_read(tmp_path: Path) -> None:
    assert len(chats(tmp_path, swt(), format="shangwutong").landed) == 1
    message = refusal(tmp_path, swt(), format="kuaishangtong")
    assert "is an export of shangwutong, but `format:` of the source is kuaishangtong" in message
    assert "is of jivo" in refusal(tmp_path, json.dumps(CHAT), format="intercom")


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"开始对话时间": "2026-13-07 10:00"}, "contacted_at: is not a date in the format"),
        ({"开始对话时间": "07.05.2026 10:00"}, "contacted_at: is not a date in the format"),
        ({"开始对话时间": "2026/05/07 25:00:00"}, "contacted_at: is not a date in the format"),
        ({"开始对话时间": "1010/05/07 10:00:00"}, "contacted_at: has the absurd year 1010"),
        ({"开始对话时间": "2036/05/07 10:00:00"}, "contacted_at: lies in the future"),
        ({"开始对话时间": "", "开始访问时间": ""}, "contacted_at: is empty but required"),
        ({"编号": "1.23E+10"}, "contact_id: was ruined by a spreadsheet"),
        ({"客人讯息数": "many"}, "visitor_messages: is not a whole number"),
    ],
)
def test_a_bad_row_is_quarantined(tmp_path: Path, cells: dict[str, str], reason: str) -> None:
    found = chats(tmp_path, swt(**cells))
    assert found.landed == []
    assert found.reasons[0].startswith(reason)


def test_a_row_that_was_cut_is_quarantined(tmp_path: Path) -> None:
    # its categories would be missing, and the chat would not be valid
    found = chats(tmp_path, f"{SWT_HEADER}\n{SWT_ROW}\n{SWT_ROW[:-12]}")
    assert (len(found.landed), found.reasons) == (1, [": has 9 columns where the header has 14 or more"])


def test_a_second_record_of_nothing_is_quarantined(tmp_path: Path) -> None:
    found = chats(tmp_path, json.dumps(CHAT) + '\n{"x": 1}\n', "a.jsonl")
    assert (len(found.landed), found.reasons) == (1, ["system: is no record of a chat product"])


def test_a_duplicated_line_is_one_chat(tmp_path: Path) -> None:
    found = chats(tmp_path, f"{SWT_HEADER}\n{SWT_ROW}\n{SWT_ROW}\n")
    assert len({row["contact_id"] for row in found.landed}) == 1


def test_unknown_columns_are_named(tmp_path: Path) -> None:
    found = chats(tmp_path, f"{KST_HEADER},心情\n2026-05-07 10:00,,,,1,好\n")
    assert found.log.unknown_columns == {"心情"}


def test_a_packed_file_with_a_mark_of_its_encoding(tmp_path: Path) -> None:
    content = gzip.compress(codecs.BOM_UTF8 + swt().encode())
    assert len(chats(tmp_path, content, "swt.csv.gz").landed) == 1
    assert len(chats(tmp_path, gzip.compress(swt().encode("gb18030")), "swt.csv.gz").landed) == 1
    with pytest.raises(FileRefused, match="cannot be unpacked"):
        chats(tmp_path, content[:-12], "swt.csv.gz")


# --- properties ---


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("推广ID：10000001</br>关键词ID：x", "10000001"),
        ("推广id:10000001", "10000001"),
        ("客户 推广 ID 10000001", "10000001"),
        ("10000001-abc", "10000001"),
        ("12345", None),
        (MOBILE, None),
        (f"{MOBILE} 张", None),
        ("预约周三", None),
    ],
)
def test_promotions_in_remarks(text: str, code: str | None) -> None:
    found = promotion_in_remark(text)
    assert (found and found.code) == code


@pytest.mark.parametrize(
    ("address", "promotion"),
    [
        ("https://c.example/#baidu01", ("baidu01", "baidu")),
        ("https://c.example/&sogou-2&", ("sogou-2", "sogou")),
        ("https://c.example/a?x=1&SM03", ("sm03", "sm")),
        ("https://c.example/?e_promotion=10000001&k=v", ("10000001", None)),
        ("https://c.example/baidu01", None),
        ("https://c.example/?utm_source=baidu01", None),
        ("https://c.example/#section2", None),
        ("https://c.example/#baidu0123456", None),
    ],
)
def test_promotions_in_addresses(address: str, promotion: tuple[str, str | None] | None) -> None:
    found = promotion_in_addresses(None, address)
    assert found == promotion


@given(st.text(max_size=30), st.integers(10**9, 10**10 - 1))
def test_a_mobile_is_found_whole_or_not_at_all(around: str, digits: int) -> None:
    number = f"1{digits}"
    found = mobile_in(f"{around} {number} 谢谢")
    if number[1] in "3456789" and not any(c.isdigit() for c in around) and "ID" not in around.upper():
        assert found == f"+86{number}"
    assert mobile_in(f"9{number}9") is None


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["2026-05-07 10:00", "2026-05-07 10:01", "2026-05-08 09:30"]),
        st.sampled_from(["10000001-abc", "10000002", "", "备注"]),
        st.sampled_from(["转潜-有效", "无效", ""]),
        st.sampled_from(["银屑病", ""]),
        st.sampled_from(["0", "1", "5", "x"]),
    ),
    max_size=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(ROWS, st.randoms(use_true_random=False))
def test_every_chat_has_its_own_id_in_any_order(
    tmp_path: Path, rows: list[tuple[str, ...]], random: Any
) -> None:
    def ids(lines: list[tuple[str, ...]]) -> list[str]:
        found = chats(tmp_path, "\n".join([KST_HEADER, *(",".join(line) for line in lines)]))
        assert len(found.landed) + len(found.quarantined) == len(lines)
        return sorted(str(row.values["contact_id"]) for row in found.raw)

    shuffled = list(rows)
    random.shuffle(shuffled)
    assert ids(rows) == ids(shuffled)
    assert len(set(ids(rows))) == len(rows)
