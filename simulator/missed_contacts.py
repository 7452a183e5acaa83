"""What missed_contacts must show: first contacts that nobody answered, and what that cost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date
from fractions import Fraction
from typing import Any

from simulator.arithmetic import euros, month_of, number, quotient
from simulator.enquiries import FEWEST, Desk, Enquiry, of_last_months
from simulator.truth import Key, Truth

Cells = dict[str, Any]


def missed_contacts(truth: Truth) -> list[Cells]:
    """Month, channel, source, hour of day, weekday."""
    desk = Desk(truth)
    first = [e for e in desk.enquiries if e.is_eligible and e.told.is_first]
    spent: dict[tuple[date, Key], int] = defaultdict(int)
    for day, place, cents, _, _ in truth.daily_costs:
        spent[month_of(day), place.key] += cents
    bought = Counter((e.month, e.told.place.key) for e in first)
    cells: dict[tuple[date, str, str, int, int], list[Enquiry]] = defaultdict(list)
    for e in first:
        cells[e.month, e.told.place.channel, e.told.place.source, e.hour, e.weekday].append(e)
    kinds = {(e.month, e.told.place.channel) for e in first}
    rates = {kind: _rates(desk, first, *kind) for kind in kinds}
    worth = desk.year_of_a_patient
    rows = []
    for (month, channel, source, hour, weekday), group in sorted(cells.items()):
        missed = [e for e in group if e.told.is_missed]
        lost = [e for e in missed if e.told.recovered_at is None]
        booking, show = rates[month, channel]
        wasted = sum(
            (Fraction(spent[month, e.told.place.key], bought[month, e.told.place.key]) for e in lost),
            Fraction(0),
        )
        revenue = None
        if booking is not None and show is not None and worth is not None:
            revenue = len(lost) * booking * show * worth
        rows.append(
            {
                "month": month,
                "channel": channel,
                "source": source,
                "hour_of_day": hour,
                "weekday": weekday,
                "first_contacts": len(group),
                "missed": len(missed),
                "recovered": len(missed) - len(lost),
                "not_recovered": len(lost),
                "missed_rate": number(quotient(len(missed), len(group))),
                "recovery_rate": number(quotient(len(missed) - len(lost), len(missed))),
                "spend_wasted": euros(wasted),
                "booking_rate": number(booking),
                "show_rate": number(show),
                "revenue_365d_avg": euros(worth),
                "revenue_lost": euros(revenue),
            }
        )
    return rows


def _rates(
    desk: Desk, first: Sequence[Enquiry], month: date, channel: str
) -> tuple[Fraction | None, Fraction | None]:
    """Booking and show rate of those that were answered: the channel's, where it has enough, else all."""
    if not desk.is_over(month):
        return None, None
    everybody = [e for e in of_last_months(first, month) if not e.told.is_missed]
    alike = [e for e in everybody if e.told.place.channel == channel]
    taken = alike if len(alike) >= FEWEST else everybody
    due = alike if sum(e.due for e in alike) >= FEWEST else everybody
    return (
        quotient(sum(e.is_booked for e in taken), len(taken)),
        quotient(sum(e.kept for e in due), sum(e.due for e in due)),
    )
