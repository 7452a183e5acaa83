"""Exports of Shangwutong (商务通) and Kuaishangtong (快商通), and dialogs that the latter pushes.

Staff call any of these products 商务通, so the headings tell them apart. Shangwutong's header stands on line
1, 3 or 4, below lines of its own; 永久身份 has an apostrophe in front as a text guard; footers have no number
in 编号, which is unique within a tenant only. Kuaishangtong's columns go by several names; rows have no id.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from connectors._cells import cell_text, header_key, id_text
from connectors._live_chat_rows import (
    Promotion,
    Rules,
    any_matches,
    mobile_in,
    moments,
    origin,
    promotion_in_addresses,
    promotion_in_remark,
    split_labels,
    tag,
    text_of,
)
from connectors.contract import ReadLog, Row, SourceOptions
from connectors.errors import FileRefused
from connectors.files import Cell, InboxFile

# Types, categories and tags as hospitals use them; clinic.yaml replaces them.
SHANGWUTONG = Rules(
    valid=("较好对话", "极佳对话", "转微信", "转电话", "转QQ", "预约"),
    invalid=("无效咨询", "掉线", "广告否词", "重复咨询"),
    contact=("预约", "转微信", "转电话", "转QQ", "留联", "转联"),
    booked=("预约",),
)
KUAISHANGTONG = Rules(
    valid=("*转潜-有效*", "*有效-三句*", "dt_d_o", "dt_d_g", "dt_d_b"),
    contact=("*转潜-*", "*转微信*", "*转电话*", "*转QQ*", "*留联*", "*转联*"),
    booked=("*预约*",),
)

# Nobody took the chat, or whoever took it wrote nothing.
_MISSED = frozenset({"客服未接待", "客服无讯息", "dt_c_na", "dt_c_nm"})
_TEST_NAME = "测试"

_SWT: dict[str, tuple[str, ...]] = {
    "number": ("编号",),
    "visited": ("开始访问时间",),
    "opened": ("开始对话时间",),
    "type": ("对话类型",),
    "visitor_messages": ("客人讯息数",),
    "agent_messages": ("客服讯息数",),
    "name": ("名称",),
    "agents": ("参与接待客服",),
    "first_agent": ("初始接待客服",),
    "visitor_class": ("客人类别",),
    "classes": ("对话类别",),
    "visitor": ("永久身份",),
    "page": ("对话来源",),
    "referrer": ("访问来源",),
    "landing": ("初次访问网址",),
    "remark": ("客人说明",),
    "keyword": ("关键词",),
}
_UNREAD = "对话时长 开始方式 结束方式 操作系统 ip定位 分辨率 本次访问页数 参与邀请客服 ip"
_SWT_UNREAD = frozenset(_UNREAD.split())
_KST: dict[str, tuple[str, ...]] = {
    "opened": ("对话时间",),
    "tags": ("名片标签", "客户标签", "访客标签", "标签"),
    "remark": ("备注说明", "备注", "说明"),
    "account": ("推广账户", "来源账户", "账户名称", "账户"),
    "keyword": ("搜索词", "搜索关键词", "对话关键词"),
    "visitor_messages": (
        "访客消息数",
        "访客发送消息数",
        "访客发送数",
        "访客消息",
        "访客消息量",
        "客户消息数",
        "访客发言数",
    ),
    "name": ("访客名称",),
}
_LOOKED_AT = 10
_BIFF = b"\xd0\xcf\x11\xe0"
_REMEDY = (
    "export 历史对话 of Shangwutong or 访客历史对话报表 of Kuaishangtong; mapped_file reads other products"
)
_DIGITS = re.compile(r"\d+")


def read(
    file: InboxFile,
    source: SourceOptions,
    rules: Callable[[Rules], Rules],
    log: ReadLog,
    *,
    only: str,
    encoding: str | None,
) -> Iterator[Row]:
    """Yield the chats of an export. `only` is the product that clinic.yaml names, or auto.

    `rules` turns a product's usual rules into the clinic's. Raises FileRefused for anything else.
    """
    with file.open_binary() as stream:
        if stream.read(4) == _BIFF:
            raise FileRefused(f"{file.name}: is an old .xls workbook; save it as .xlsx or CSV")
    table = file.table(encoding=encoding, fallback="gb18030")
    product, columns = _find_header(file, table, log)
    if only not in ("auto", product):
        raise FileRefused(f"{file.name}: is an export of {product}, but `format:` of the source is {only}")
    # A sheet leaves out empty cells at a row's end; in text they are there, unless the file was cut.
    width = 0 if file.suffix in (".xlsx", ".xlsm") else 1 + max(columns.values())
    reader: _Table
    if product == "shangwutong":
        reader = _Shangwutong(rules(SHANGWUTONG), columns, source)
    else:
        reader = _Kuaishangtong(rules(KUAISHANGTONG), columns, source)
    for number, cells in table:
        texts = reader.texts(cells)
        if why := reader.skipped(texts):
            log.skip(why)
        elif len(cells) < width:
            yield Row(number, {}, ("", f"has {len(cells)} columns where the header has {width} or more"))
        else:
            yield reader.row(number, cells, texts)


def _find_header(
    file: InboxFile, table: Iterator[tuple[int, list[Cell]]], log: ReadLog
) -> tuple[str, dict[str, int]]:
    """(product, column -> place)."""
    for _, cells in table:
        names = [header_key(cell_text(cell)) for cell in cells]
        for product, wanted, needed in (
            ("shangwutong", _SWT, ("number", "visitor_messages")),
            ("kuaishangtong", _KST, ("opened",)),
        ):
            places = _places(names, wanted)
            if not all(name in places for name in needed):
                continue
            if product == "kuaishangtong" and not {"tags", "visitor_messages"} & places.keys():
                continue
            if product == "shangwutong" and not {"visited", "opened"} & places.keys():
                raise FileRefused(f"{file.name}: has no column 开始访问时间 or 开始对话时间; {_REMEDY}")
            known = {header_key(alias) for aliases in wanted.values() for alias in aliases} | _SWT_UNREAD
            log.unknown_columns.update(set(names) - known - {""})
            return product, places
        log.skip("line above the header")
        if log.skipped["line above the header"] == _LOOKED_AT:
            break
    raise FileRefused(f"{file.name}: no header of a chat export in its first lines; {_REMEDY}")


def _places(names: list[str], wanted: dict[str, tuple[str, ...]]) -> dict[str, int]:
    """Where each column stands: whole headings only, since 说明 is a part of many."""
    places: dict[str, int] = {}
    for column, aliases in wanted.items():
        for alias in aliases:
            if header_key(alias) in names:
                places[column] = names.index(header_key(alias))
                break
    return places


class _Table:
    """Rows of one export."""

    def __init__(self, rules: Rules, columns: dict[str, int], source: SourceOptions) -> None:
        self.rules = rules
        self.columns = columns
        self._when = moments(source.zone)

    def row(self, number: int, cells: list[Cell], texts: dict[str, str]) -> Row:
        """The chat of one line, or why it is none."""
        raise NotImplementedError

    def skipped(self, texts: dict[str, str]) -> str | None:
        """Why a line is no chat."""
        if not any(texts.values()):
            return "blank line"
        return "test chat" if texts.get("name") == _TEST_NAME else None

    def texts(self, cells: list[Cell]) -> dict[str, str]:
        """Column -> text."""
        return {name: cell_text(cells[at]) if at < len(cells) else "" for name, at in self.columns.items()}

    def moment(self, cells: list[Cell], *names: str) -> Any:
        """The first of several times that is given. Raises ValueError for one that is no time."""
        for name in names:
            at = self.columns.get(name)
            found = self._when.read(cells[at]) if at is not None and at < len(cells) else None
            if found is not None:
                return self._when.moment(found)
        return None

    def flags(
        self, labels: list[str], texts: dict[str, str], phone: str | None, *said_by: str
    ) -> dict[str, Any]:
        """The flags of a chat. `said_by`: columns that say what came of it; without any, nothing is known."""
        is_told = any(name in self.columns for name in said_by)
        written = texts.get("visitor_messages", "")
        is_dialog = int(written) > 0 if _DIGITS.fullmatch(written) else None
        is_valid = self.rules.is_valid(labels) if is_told else None
        left = any_matches(labels, self.rules.contact) or phone is not None
        return {
            "visitor_messages": written or None,
            "is_dialog": is_dialog,
            # A valid chat is first of all a chat.
            "is_valid": False if is_dialog is False and is_valid is not None else is_valid,
            "is_contact_left": left if left or is_told else None,
            "is_booked": any_matches(labels, self.rules.booked) if is_told else None,
        }


class _Shangwutong(_Table):
    def __init__(self, rules: Rules, columns: dict[str, int], source: SourceOptions) -> None:
        super().__init__(rules, columns, source)
        self._tenant = "" if source.account is None else f"{source.account}:"

    def skipped(self, texts: dict[str, str]) -> str | None:
        number = texts["number"].lstrip("'")
        is_footer = any(texts.values()) and not _DIGITS.fullmatch(number) and "E+" not in number.upper()
        return "footer line" if is_footer else super().skipped(texts)

    def _visitor(self, cells: list[Cell]) -> str | None:
        """The visitor, without the text guard; None for an id that a spreadsheet made the same as others."""
        at = self.columns.get("visitor")
        try:
            text = "" if at is None or at >= len(cells) else id_text(cells[at]).strip("'’‘ ")
            return f"swt:{id_text(text)}" if text else None
        except ValueError:
            return None

    def row(self, number: int, cells: list[Cell], texts: dict[str, str]) -> Row:
        try:
            chat = id_text(cells[self.columns["number"]]).lstrip("'")
        except ValueError as error:
            return Row(number, {}, ("contact_id", str(error)))
        try:
            visited_at = self.moment(cells, "visited", "opened")
            opened_at = self.moment(cells, "opened", "visited")
        except ValueError as error:
            return Row(number, {}, ("contacted_at", str(error)))
        if opened_at is None:
            return Row(number, {}, ("contacted_at", "is empty but required"))
        get = texts.get
        chat_type = get("type", "")
        classes = split_labels(get("classes", "")) + split_labels(get("visitor_class", ""))
        remark = get("remark", "")
        phone = mobile_in(remark)
        visitor = self._visitor(cells)
        landing, page = get("landing") or get("page"), get("page")
        agent = next(iter(split_labels(get("first_agent") or get("agents", ""))), None)
        values = {
            "contact_id": f"swt:{self._tenant}{chat}:{visited_at:%Y%m%d%H%M%S}",
            "system": "shangwutong",
            "contact_kind": "chat",
            "contacted_at": opened_at,
            "phone_key": phone,
            "visitor_id": visitor,
            "operator": agent,
            "status_raw": chat_type,
            "tags": classes or None,
            "agent_messages": get("agent_messages"),
            "is_missed": chat_type in _MISSED if chat_type else None,
            **self.flags([chat_type, *classes], texts, phone, "type", "classes", "visitor_class"),
            **origin(
                landing=landing,
                page=page,
                referrer=get("referrer"),
                keyword=get("keyword"),
                promotion=promotion_in_addresses(landing, page) or promotion_in_remark(remark),
            ),
        }
        return Row(number, values)


class _Kuaishangtong(_Table):
    """A row has no id: its time, promotion, account and keyword tell it, and its place among equals."""

    def __init__(self, rules: Rules, columns: dict[str, int], source: SourceOptions) -> None:
        super().__init__(rules, columns, source)
        self._equals: Counter[str] = Counter()

    def row(self, number: int, cells: list[Cell], texts: dict[str, str]) -> Row:
        try:
            opened_at = self.moment(cells, "opened")
        except ValueError as error:
            return Row(number, {}, ("contacted_at", str(error)))
        if opened_at is None:
            return Row(number, {}, ("contacted_at", "is empty but required"))
        get = texts.get
        remark, account, keyword = get("remark", ""), tag(get("account")), tag(get("keyword"))
        promotion = promotion_in_remark(remark) or promotion_in_remark(account or "")
        if promotion is None and account is not None:
            promotion = Promotion(account)
        labels = split_labels(get("tags", ""))
        phone = mobile_in(remark)
        # Tags and remarks are edited after the chat, so a later export must find the row without them.
        told = repr([promotion and promotion.code, account, keyword])
        digest = hashlib.blake2b(told.encode(), digest_size=6).hexdigest()
        identity = f"kst:{opened_at:%Y%m%d%H%M%S}:{digest}"
        self._equals[identity] += 1
        values = {
            "contact_id": f"{identity}:{self._equals[identity]}",
            "system": "kuaishangtong",
            "contact_kind": "chat",
            "contacted_at": opened_at,
            "phone_key": phone,
            "status_raw": get("tags"),
            "tags": labels or None,
            **self.flags(labels, texts, phone, "tags"),
            **origin(keyword=keyword, promotion=promotion),
        }
        return Row(number, values)


def pushed(number: int, record: dict[str, Any], source: SourceOptions, rules: Rules) -> Row:
    """A dialog that Kuaishangtong pushed (HISTORYDATA)."""
    get = record.get
    when = moments(source.zone)
    try:
        found = when.read(text_of(get("diaStartTime")) or text_of(get("curEnterTime")))
    except ValueError as error:
        return Row(number, {}, ("contacted_at", str(error)))
    chat, visitor = text_of(get("recId")), text_of(get("visitorId"))
    kind, remark = text_of(get("dialogType")) or "", text_of(get("info")) or ""
    landing, page = text_of(get("curFirstViewPage")), text_of(get("diaPage"))
    written = text_of(get("visitorSendNum"))
    is_dialog = int(written) > 0 if written is not None and _DIGITS.fullmatch(written) else None
    is_valid = rules.is_valid([kind]) if kind else None
    phone = mobile_in(remark)
    agents = split_labels(text_of(get("joinCsIds")) or "")
    values = {
        "contact_id": None if chat is None else f"kst:{chat}",
        "system": "kuaishangtong",
        "contact_kind": "chat",
        "contacted_at": None if found is None else when.moment(found),
        "phone_key": phone,
        "visitor_id": None if visitor is None else f"kst:{visitor}",
        "operator": text_of(get("firstCsId")) or next(iter(agents), None),
        "status_raw": kind,
        "visitor_messages": written,
        "agent_messages": get("csSendNum"),
        "is_dialog": is_dialog,
        "is_valid": False if is_dialog is False and is_valid is not None else is_valid,
        "is_contact_left": True if phone is not None else None,
        "is_missed": kind in _MISSED if kind else None,
        **origin(
            landing=landing,
            page=page,
            referrer=text_of(get("sourceUrl")),
            keyword=text_of(get("keyword")),
            promotion=promotion_in_remark(remark) or promotion_in_addresses(landing, page),
        ),
    }
    return Row(number, values)
