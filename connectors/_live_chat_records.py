"""Records of Jivo's webhooks and of Intercom's conversations.

Jivo posts events (jivochat.com/docs/webhooks); none says when a chat began, so its first message does.
Intercom's conversations (developers.intercom.com, list all conversations) include the campaigns that a clinic
sends out: what nobody wrote back to is no contact.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from connectors._live_chat_rows import Rules, any_matches, from_epoch, lower, origin, tag, text_of
from connectors.contract import ReadLog, Row

_EVENTS = frozenset({"chat_finished", "offline_message", "call_event"})
_NO_TIME = "the event carries no time; let the receiver add received_at (ISO 8601 or epoch seconds)"
_INTERCOM_KINDS = {"conversation": "chat", "push": "chat", "email": "form"}
_NONE: dict[str, Any] = {}


def jivo(number: int, event: dict[str, Any], rules: Rules, log: ReadLog) -> Row | None:
    """A contact of one webhook event; None for events of which another will tell."""
    name = event.get("event_name")
    if name not in _EVENTS:
        log.skip(f"event {name}")
        return None
    chat_id = text_of(event.get("chat_id"))
    widget = text_of(event.get("widget_id")) or ""
    if chat_id is None:
        return Row(number, {}, ("contact_id", "chat_id is missing"))
    visitor = _object(event.get("visitor"))
    at, told = _JIVO[str(name)](event)
    at = at or _received_at(event)
    if at is None:
        return Row(number, {}, ("contacted_at", _NO_TIME))
    phone = text_of(told.pop("phone", None)) or text_of(visitor.get("phone"))
    email = text_of(visitor.get("email"))
    labels = _names(event.get("tags"))
    visitor_number = text_of(visitor.get("number"))
    is_valid = rules.is_valid(labels)
    if told["is_dialog"] is False and is_valid is not None:
        is_valid = False
    values = {
        # A visitor's number is one within the widget.
        "visitor_id": None if visitor_number is None else f"jivo:{widget}:{visitor_number}",
        "contact_id": f"jivo:{widget}:{chat_id}",
        "system": "jivo",
        "contacted_at": at,
        "phone_key": phone,
        "email_key": email,
        "tags": labels or None,
        "is_contact_left": phone is not None or email is not None or any_matches(labels, rules.contact),
        "is_booked": any_matches(labels, rules.booked) if rules.booked else None,
        **told,
        "is_valid": False if _object(event.get("chat")).get("blacklisted") is True else is_valid,
        **_jivo_origin(event),
    }
    return Row(number, values)


def _chat_finished(event: dict[str, Any]) -> tuple[datetime | None, dict[str, Any]]:
    written = _object(event.get("chat")).get("messages")
    messages = [m for m in written if isinstance(m, dict)] if isinstance(written, list) else []
    times = [at for m in messages if (at := from_epoch(m.get("timestamp"))) is not None]
    visitors = sum(m.get("type") == "visitor" for m in messages)
    agents = event.get("agents")
    agent = next((a for a in agents if isinstance(a, dict)), None) if isinstance(agents, list) else None
    return min(times, default=None), {
        "contact_kind": "chat",
        "operator": _agent(agent),
        "status_raw": text_of(event.get("status")) or "chat_finished",
        "visitor_messages": visitors,
        "agent_messages": sum(m.get("type") == "agent" for m in messages),
        "is_dialog": visitors > 0,
        "is_missed": agent is None,
    }


def _offline_message(event: dict[str, Any]) -> tuple[datetime | None, dict[str, Any]]:
    """A message left while nobody was there. Its id is the millisecond in which it was left."""
    return from_epoch(event.get("offline_message_id")), {
        "contact_kind": "chat",
        "operator": None,
        "status_raw": "offline_message",
        "visitor_messages": 1,
        "agent_messages": 0,
        "is_dialog": True,
        "is_missed": True,
    }


def _call_event(event: dict[str, Any]) -> tuple[datetime | None, dict[str, Any]]:
    """A callback that was asked for on the site, which is a form filled in, or a call by the product."""
    call = _object(event.get("call"))
    return None, {
        "contact_kind": "form" if call.get("type") == "callback" else "call",
        "operator": _agent(event.get("agent")),
        "status_raw": f"{call.get('type')}: {call.get('status')}",
        "is_dialog": None,
        "is_missed": None,
        "phone": call.get("phone"),
    }


_JIVO = {"chat_finished": _chat_finished, "offline_message": _offline_message, "call_event": _call_event}


def _jivo_origin(event: dict[str, Any]) -> dict[str, Any]:
    """Tags of the session, else of the page: that is where the chat was opened, not the visit's first."""
    session = _object(event.get("session"))
    tags = session.get("utm_json")
    if not isinstance(tags, dict):
        pairs = (pair.partition("=") for pair in (text_of(session.get("utm")) or "").split("|"))
        tags = {name: value for name, _, value in pairs}
    page = origin(page=text_of(_object(event.get("page")).get("url")))
    return page | {
        "utm_source": lower(tag(tags.get("source"))) or page["utm_source"],
        "utm_medium": lower(tag(tags.get("medium"))) or page["utm_medium"],
        "utm_campaign": tag(tags.get("campaign")) or page["utm_campaign"],
        "utm_content": tag(tags.get("content")) or page["utm_content"],
        "utm_term": tag(tags.get("term")) or page["utm_term"],
    }


def _received_at(event: dict[str, Any]) -> datetime | None:
    raw = event.get("received_at")
    if isinstance(raw, str) and not raw.isdigit():
        try:
            at = datetime.fromisoformat(raw)
        except ValueError:
            return None
        return at if at.tzinfo is not None else None
    return from_epoch(raw)


def intercom(number: int, record: dict[str, Any], rules: Rules, log: ReadLog) -> Row | None:
    """A contact of one conversation; None for a message that nobody answered."""
    begun = _object(record.get("source"))
    figures = _object(record.get("statistics"))
    reply = record.get("first_contact_reply")
    is_asked = begun.get("delivered_as") == "customer_initiated"
    if not is_asked and not isinstance(reply, dict):
        log.skip("message of the clinic's that nobody answered")
        return None
    # What the clinic sent out becomes a contact when the person writes.
    at = record.get("created_at") if is_asked else _object(reply).get("created_at")
    author = _object(begun.get("author"))
    email = text_of(author.get("email")) if author.get("type") in ("user", "lead", "contact") else None
    contacts = _object(record.get("contacts")).get("contacts")
    contact = (
        next((c for c in contacts if isinstance(c, dict)), _NONE) if isinstance(contacts, list) else _NONE
    )
    labels = _names(_object(record.get("tags")).get("tags"))
    chat, visitor = text_of(record.get("id")), text_of(contact.get("id"))
    values = {
        "contact_id": None if chat is None else f"intercom:{chat}",
        "system": "intercom",
        "contact_kind": _INTERCOM_KINDS.get(str(begun.get("type")), "messenger"),
        "contacted_at": from_epoch(at),
        "updated_at": from_epoch(record.get("updated_at")),
        "email_key": email,
        "visitor_id": None if visitor is None else f"intercom:{visitor}",
        "operator": _assignee(record),
        "status_raw": text_of(record.get("state")),
        "tags": labels or None,
        "is_dialog": True,
        "is_valid": rules.is_valid(labels),
        "is_contact_left": email is not None or any_matches(labels, rules.contact),
        "is_booked": any_matches(labels, rules.booked) if rules.booked else None,
        "is_missed": figures.get("first_admin_reply_at") is None if figures else None,
        **origin(page=text_of(begun.get("url"))),
    }
    return Row(number, values)


def _assignee(record: dict[str, Any]) -> str | None:
    """Id of whoever has the conversation, else of the first who took part: names are not in it."""
    assignee = _object(record.get("assignee"))
    if (found := text_of(assignee.get("id"))) is not None:
        return found
    admins = _object(record.get("teammates")).get("admins")
    return text_of(_object(next(iter(admins), None)).get("id")) if isinstance(admins, list) else None


def _object(raw: Any) -> dict[str, Any]:
    return raw if isinstance(raw, dict) else _NONE


def _names(raw: Any) -> list[str]:
    """Names of tags, given as objects or as text."""
    items = raw if isinstance(raw, list) else []
    names = (
        text_of(item.get("name") or item.get("title")) if isinstance(item, dict) else text_of(item)
        for item in items
    )
    return [name for name in names if name is not None]


def _agent(raw: Any) -> str | None:
    agent = _object(raw)
    return text_of(agent.get("name")) or text_of(agent.get("id"))
