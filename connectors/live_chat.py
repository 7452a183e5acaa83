"""Chats on the clinic's site: Shangwutong, Kuaishangtong, Jivo and Intercom, told apart by their content.

Reads exports (CSV, TSV or XLSX; GBK or UTF-8) of Shangwutong (商务通) and Kuaishangtong (快商通), dialogs
that the latter pushes, bodies of Jivo's webhooks and conversations of Intercom (JSON, JSON Lines, or a saved
list). What was written in a chat, visitors' names, places and addresses do not land.

    python -m connectors.live_chat FILE
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import unquote_plus

from connectors import _live_chat_records, _live_chat_tables, cli
from connectors._live_chat_rows import Rules
from connectors._settings import Encoding
from connectors.contract import Column, Connector, ReadLog, Row, SourceOptions, Stream
from connectors.errors import FileRefused
from connectors.files import InboxFile

Format = Literal["auto", "shangwutong", "kuaishangtong", "jivo", "intercom"]

CONTACTS = Stream(
    name="contacts",
    description="Chats, messages left and callback requests, one row each.",
    columns=(
        Column("contact_id", "text", "The product's id, with the product in front.", required=True),
        Column("system", "text", "shangwutong, kuaishangtong, jivo or intercom.", required=True),
        Column(
            "contact_kind", "text", "chat, form (callback request, e-mail), messenger or call.", required=True
        ),
        Column("contacted_at", "timestamp", "Start of the chat, else of the visit.", required=True),
        Column("updated_at", "timestamp", "The product's own time of the latest change."),
        Column("phone_key", "text", "The visitor's number, or one in the agent's remark.", personal="phone"),
        Column("email_key", "text", "The visitor's address.", personal="email"),
        Column("visitor_id", "text", "The product's id of the visitor: swt:, kst:, jivo:, intercom:."),
        Column("operator", "text", "The first agent."),
        Column("status_raw", "text", "Type of the chat, tag or state, as the product has it."),
        Column("tags", "text[]", "Categories and tags."),
        Column("visitor_messages", "integer", "Messages of the visitor."),
        Column("agent_messages", "integer", "Messages of agents."),
        Column("is_dialog", "boolean", "The visitor wrote something."),
        Column("is_valid", "boolean", "By the clinic's rule over labels; NULL without a rule or labels."),
        Column("is_contact_left", "boolean", "By label, or a phone or e-mail is there."),
        Column("is_booked", "boolean", "By label; NULL without labels."),
        Column("is_missed", "boolean", "Nobody took it, or who took it wrote nothing."),
        Column("source", "text", "Platform that a promotion code names."),
        Column("medium", "text", "cpc for a promotion code on an untagged address."),
        Column("utm_source", "text", "utm_source, lower case."),
        Column("utm_medium", "text", "utm_medium, lower case."),
        Column("utm_campaign", "text", "utm_campaign, else the promotion code."),
        Column("campaign_id", "text", "Campaign id in the address."),
        Column("utm_content", "text", "utm_content."),
        Column("utm_term", "text", "utm_term, else the search word that the product found."),
        Column("click_id_type", "text", "Which click id the address carried."),
        Column("click_id", "text", "The click id, case kept."),
        Column("landing_path", "text", "Path of the visit's first page."),
        Column("referrer_host", "text", "Host of the referrer."),
        Column("promotion_id", "text", "推广ID of the remark, or the code in the address."),
    ),
    primary_key=("contact_id",),
    event_day="contacted_at",
    version="updated_at",
)

_REMEDY = "save bodies of Jivo's webhooks, Intercom conversations or pushed dialogs, one JSON object a line"


class LiveChatOptions(SourceOptions):
    """One account of one chat product.

    `format` names the product, where a file of another should be refused. `valid`, `invalid`, `contact` and
    `booked` are labels (types, categories, tags) that say so, `*` standing for anything; each replaces the
    product's usual ones. `account` tells tenants of Shangwutong apart, whose numbers repeat.
    """

    format: Format = "auto"
    encoding: Encoding | None = None
    valid: tuple[str, ...] | None = None
    invalid: tuple[str, ...] | None = None
    contact: tuple[str, ...] | None = None
    booked: tuple[str, ...] | None = None

    def rules(self, usual: Rules) -> Rules:
        """The product's usual rules, with what clinic.yaml says in place of them."""
        return Rules(
            valid=usual.valid if self.valid is None else self.valid,
            invalid=usual.invalid if self.invalid is None else self.invalid,
            contact=usual.contact if self.contact is None else self.contact,
            booked=usual.booked if self.booked is None else self.booked,
        )


class LiveChat(Connector[LiveChatOptions]):
    """Live-chat products."""

    kind = "live_chat"
    title = "Live chat (Shangwutong, Kuaishangtong, Jivo, Intercom)"
    options = LiveChatOptions
    feeds = ("contacts",)

    def streams(self, source: LiveChatOptions) -> tuple[Stream, ...]:
        """One stream: contacts."""
        return (CONTACTS,)

    def read(
        self,
        file: InboxFile,
        stream: Stream,
        source: LiveChatOptions,
        log: ReadLog,
    ) -> Iterator[Row]:
        """Yield contacts in the file's order. Raises FileRefused for a file of none of the products."""
        first = file.first_character()
        if first == "":
            raise FileRefused(f"{file.name}: is empty; export it again")
        if first == "<":
            raise FileRefused(f"{file.name}: is a web page; export as .xlsx or CSV")
        if first in "[{" or _is_posted(file):
            yield from self._records(file, source, log)
        else:
            yield from _live_chat_tables.read(
                file, source, source.rules, log, only=source.format, encoding=source.encoding
            )

    def _records(self, file: InboxFile, source: LiveChatOptions, log: ReadLog) -> Iterator[Row]:
        for place, (number, record) in enumerate(_json_records(file)):
            product = _product(record)
            if product is None:
                if place == 0:
                    raise FileRefused(f"{file.name}: is no record of a chat product; {_REMEDY}")
                yield Row(number, {}, ("system", "is no record of a chat product"))
                continue
            if source.format not in ("auto", product):
                raise FileRefused(
                    f"{file.name}: is of {product}, but `format:` of the source is {source.format}"
                )
            row = _row(product, number, record, source, log)
            if row is not None:
                yield row


def _row(
    product: str, number: int, record: dict[str, Any], source: LiveChatOptions, log: ReadLog
) -> Row | None:
    if product == "kuaishangtong":
        rules = source.rules(_live_chat_tables.KUAISHANGTONG)
        return _live_chat_tables.pushed(number, record, source, rules)
    read = _live_chat_records.jivo if product == "jivo" else _live_chat_records.intercom
    return read(number, record, source.rules(Rules()), log)


def _product(record: Any) -> str | None:
    """Which product's record it is."""
    if not isinstance(record, dict):
        return None
    if "event_name" in record:
        return "jivo"
    if "recId" in record:
        return "kuaishangtong"
    if record.get("type") == "conversation" or {"source", "statistics"} <= record.keys():
        return "intercom"
    return None


def _is_posted(file: InboxFile) -> bool:
    """Whether the file holds bodies as Kuaishangtong posts them: `data=` and JSON, escaped as in a form."""
    with file.open_binary() as stream:
        return stream.read(16).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"data=")


def _json_records(file: InboxFile) -> Iterator[tuple[int, Any]]:
    """(place, record) of a list, of a saved page of a list, of JSON Lines or of a single object."""
    if file.first_character() == "[":
        yield from file.json_items("item")
        return
    if file.first_character() != "{":
        yield from _posted(file)
        return
    head = next(line for line in file.lines(fallback="utf-8") if line.strip())
    try:
        names = json.loads(head).keys()
    except ValueError:
        # An object over several lines.
        names = {name for name, _, _ in file.json_head()}
        yield from file.json_items("conversations.item" if "conversations" in names else "")
        return
    yield from file.json_items("conversations.item") if "conversations" in names else file.json_lines()


def _posted(file: InboxFile) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(file.lines(fallback="utf-8"), start=1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(unquote_plus(line.strip().removeprefix("data=")))
        except ValueError:
            raise FileRefused(
                f"{file.name}: line {number} is not JSON behind `data=`; save it again"
            ) from None


CONNECTOR = LiveChat()

if __name__ == "__main__":
    cli.main(CONNECTOR)
