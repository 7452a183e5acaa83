"""What the clinic spent: ad platforms by day and campaign, the marketing cost sheet, exchange rates."""

from __future__ import annotations

import calendar
import random
from datetime import date, timedelta
from typing import Final

from simulator import clinic
from simulator.model import CostLine, Spend, World

# Millionths of EUR for one unit, around which the rates wander.
_RATES: Final = {"RUB": 10_350, "USD": 921_400}
_CLICK_CENTS: Final = {"google": 85, "yandex": 2_600, "facebook": 48}
_ZERO_DAY: Final = 0.03
_PAUSED_DAY: Final = 0.04


def spend_money(world: World, scale: float) -> None:
    """Fill spend, costs and rates of the world."""
    rng = random.Random(f"{world.seed}/money")
    _rates(world, rng)
    _ads(world, rng, scale)
    _costs(world, rng, scale)


def rate_on(world: World, currency: str, day: date) -> int | None:
    """Millionths of EUR for one unit on a day: that day's rate, else the last of the seven days before."""
    if currency == "EUR":
        return 1_000_000
    for back in range(8):
        found = world.rates.get((currency, day - timedelta(days=back)))
        if found is not None:
            return found
    return None


def _rates(world: World, rng: random.Random) -> None:
    """Central-bank rates: none on weekends and holidays, and once none for the seven days one serves."""
    outage = world.start + timedelta(days=(world.end - world.start).days * 7 // 10)
    outage += timedelta(days=(2 - outage.weekday()) % 7)  # after a Wednesday's rate
    for currency, middle in _RATES.items():
        rate = middle
        for offset in range(-5, (world.end - world.start).days + 1):
            day = world.start + timedelta(days=offset)
            rate = max(middle * 9 // 10, min(middle * 11 // 10, rate + round(rng.gauss(0, middle / 200))))
            is_holiday = (day.month, day.day) in ((1, 1), (1, 2), (12, 25), (12, 26))
            is_outage = outage < day <= outage + timedelta(days=7)
            if day.weekday() < 5 and not is_holiday and not is_outage:
                world.rates[currency, day] = rate


def _ads(world: World, rng: random.Random, scale: float) -> None:
    for campaign in world.campaigns:
        for day in world.days:
            if (campaign.starts and day < campaign.starts) or (campaign.ends and day > campaign.ends):
                continue
            roll = rng.random()
            if roll < _PAUSED_DAY:
                continue  # a paused campaign has no row at all
            if roll < _PAUSED_DAY + _ZERO_DAY:
                world.spend.append(Spend(day, campaign, rng.randint(3, 60), 0, 0))
                continue
            weekend = 0.7 if day.weekday() >= 5 else 1.0
            cents = max(1, round(campaign.daily_cents * max(scale, 0.05) * weekend * rng.uniform(0.6, 1.4)))
            clicks = max(1, round(cents / _CLICK_CENTS[campaign.platform] * rng.uniform(0.8, 1.25)))
            impressions = clicks * rng.randint(12, 60) + rng.randrange(40)
            world.spend.append(Spend(day, campaign, impressions, clicks, cents))


def _months(world: World) -> list[tuple[date, date]]:
    """(first, last) day of every calendar month that lies wholly in the period."""
    found = []
    day = world.start.replace(day=1)
    while day <= world.end:
        last = day.replace(day=calendar.monthrange(day.year, day.month)[1])
        if day >= world.start and last <= world.end:
            found.append((day, last))
        day = last + timedelta(days=1)
    return found


def _costs(world: World, rng: random.Random, scale: float) -> None:
    """Retainers, radio, billboard, an event: amounts that do not divide by the days, and a credit note."""
    size = max(scale, 0.05)
    switch = next(t.valid_to for t in world.tracking if t.valid_to is not None)
    months = _months(world)
    for index, (first, last) in enumerate(months, start=1):
        code = f"{first:%Y%m}"
        world.costs.append(
            CostLine(
                f"SEO-{code}", "organic_search", "google", "", first, last, round(100_000 * size) + 1, "EUR"
            )
        )
        world.costs.append(
            CostLine(
                f"CON-{code}", "organic_social", "instagram", "", first, last, round(45_055 * size), "EUR"
            )
        )
        if last <= switch:
            world.costs.append(
                CostLine(
                    f"RAD-{code}",
                    "offline",
                    "radio",
                    clinic.RADIO_CAMPAIGN,
                    first,
                    last,
                    round(62_000 * size) + rng.randrange(30),
                    "EUR",
                )
            )
        else:
            # Invoiced in dollars: converted day by day after spreading.
            world.costs.append(
                CostLine(
                    f"BIL-{code}",
                    "offline",
                    "billboard",
                    clinic.BILLBOARD_CAMPAIGN,
                    first,
                    last,
                    round(88_000 * size) + rng.randrange(30),
                    "USD",
                )
            )
        if index % 6 == 3:
            middle = first + timedelta(days=9)
            world.costs.append(
                CostLine(
                    f"EVT-{code}",
                    "event",
                    "open_day",
                    clinic.EVENT_CAMPAIGN,
                    middle,
                    middle + timedelta(days=2),
                    round(70_000 * size) + 1,
                    "EUR",
                )
            )
        if index % 7 == 4:
            # A credit note over eleven days that span two months.
            begins = last - timedelta(days=5)
            ends = begins + timedelta(days=10)
            if ends <= world.end:
                world.costs.append(
                    CostLine(
                        f"CRN-{code}",
                        "organic_search",
                        "google",
                        "",
                        begins,
                        ends,
                        -(round(9_999 * size) + 1),
                        "EUR",
                    )
                )
    # The agency works for a search campaign: its fee meets the campaign's own spend.
    for first, last in months[::3]:
        world.costs.append(
            CostLine(
                f"AGY-{first:%Y%m}",
                "paid_search",
                "google",
                "ENT Search Zagreb",
                first,
                last,
                round(30_000 * size) + 7,
                "EUR",
            )
        )
