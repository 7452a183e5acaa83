"""What site_traffic must show: the sessions of the web site, and the calls made from them."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date
from typing import Any

from simulator.arithmetic import month_of, number, quotient
from simulator.model import US, local_day
from simulator.truth import Truth

Cells = dict[str, Any]
Key = tuple[date, str, str, str, str]


def site_traffic(truth: Truth) -> list[Cells]:
    """Month, channel, region, device, landing page."""
    calls: Counter[str] = Counter(
        told.session.session_id
        for told in truth.contacts
        if told.is_call and told.is_unique and told.session is not None
    )
    visitors: dict[Key, set[str]] = defaultdict(set)
    found: dict[Key, Counter[str]] = defaultdict(Counter)
    for session in truth.world.sessions:
        key = (
            month_of(local_day(session.started_at)),
            session.origin.channel,
            "(unknown)" if session.region == "(not set)" else session.region,
            session.device,
            session.path,
        )
        visitors[key].add(session.visitor)
        found[key].update(
            {
                "sessions": 1,
                "pageviews": session.pages,
                "bounces": not session.engaged,
                # The last event of a session is its last page: one page takes no time.
                "duration_s": session.length // US if session.pages > 1 else 0,
                "unique_calls": calls[session.session_id],
            }
        )
    return [_row(key, cell, len(visitors[key])) for key, cell in sorted(found.items())]


def _row(key: Key, cell: Counter[str], visitors: int) -> Cells:
    month, channel, region, device, page = key
    return {
        "month": month,
        "channel": channel,
        "region": region,
        "device": device,
        "landing_page": page,
        "unique_visitors": visitors,
        "sessions": cell["sessions"],
        "pageviews": cell["pageviews"],
        "bounces": int(cell["bounces"]),
        "bounce_rate": number(quotient(cell["bounces"], cell["sessions"])),
        "duration_s": cell["duration_s"],
        "avg_duration_s": number(quotient(cell["duration_s"], cell["sessions"])),
        "unique_calls": cell["unique_calls"],
        "visitor_call_rate": number(quotient(cell["unique_calls"], visitors)),
    }
