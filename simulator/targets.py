"""The artificial clinic's targets, and what it counts of itself besides: followers, answers, people reached.

Told after all stories, from a stream of random numbers of its own: the stories stay as they were. The targets
are sized by the clinic, so that at any scale some are met and some are not.
"""

from __future__ import annotations

import csv
import io
import os
import random
from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from simulator import clinic
from simulator.arithmetic import month_end, month_of
from simulator.model import US, Observation, Target, World, instant

FOLLOWERS: Final = "followers"
SATISFACTION: Final = "satisfaction"
REACH: Final = "event_reach"


def set_targets(world: World) -> None:
    """Observations of all months, and targets of every kind that a scorecard must tell apart."""
    _observe(world, random.Random(f"{world.seed}:targets"))
    months = sorted({month_of(day) for day in world.days})
    size = len([v for v in world.visits if v.is_completed]) / len(months)
    world.targets += [
        *_of_months(months, size),
        *_of_whole_times(months, size),
        *_of_levels(months),
        *_faulty(months),
    ]


def write_observations(world: World, out: Path) -> int:
    """Write what was observed as the export of source `surveys`, a file a quarter. Returns how many files."""
    quarters: dict[date, list[Observation]] = defaultdict(list)
    for observation in world.observations:
        if observation.metric.lower() in (FOLLOWERS, SATISFACTION, REACH):
            first = observation.day.month - (observation.day.month - 1) % 3
            quarters[observation.day.replace(month=first, day=1)].append(observation)
    folder = out / "data" / "inbox" / "surveys" / "metric_observations"
    folder.mkdir(parents=True, exist_ok=True)
    for quarter, group in sorted(quarters.items()):
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(("date", "what", "of", "which", "figure"))
        lines.writerows(
            (o.day, o.metric, o.scope, o.scope_value, f"{o.hundredths // 100}.{o.hundredths % 100:02d}")
            for o in group
        )
        path = folder / f"observed-{quarter:%Y-%m}.csv"
        path.write_text(text.getvalue(), encoding="utf-8")
        made = instant(max(o.day for o in group) + timedelta(days=1), 6) // US
        os.utime(path, (made, made))
    return len(quarters)


def _observe(world: World, rng: random.Random) -> None:
    followers = 120_000
    for number, month in enumerate(sorted({month_of(day) for day in world.days})):
        last = month_end(month)
        followers += 900 + rng.randrange(-500, 500)
        # Counted twice a month: the later count is the month's.
        world.observations += [
            Observation(last - timedelta(days=12), FOLLOWERS, "", "", followers - rng.randrange(400)),
            Observation(last, FOLLOWERS, "Clinic", "", followers),
        ]
        if number % 3 == 2:
            for branch in ("Centar", "Maksimir"):
                world.observations.append(
                    Observation(last, SATISFACTION.title(), "branch", branch, 400 + rng.randrange(-40, 60))
                )
        if number % 4 == 1:
            for part in range(2):
                day = last - timedelta(days=9 * part)
                name = clinic.EVENT_CAMPAIGN if part else clinic.EVENT_CAMPAIGN.upper()
                people = rng.randrange(60, 300)
                world.observations.append(Observation(day, REACH, "event", name, 100 * people))


def _of_months(months: list[date], size: float) -> list[Target]:
    """A month's figure that is to be reached by a day: counts, money, prices and shares."""
    start, middle, last = months[-6], months[-2] + timedelta(days=14), month_end(months[-1])
    ahead, later = last + timedelta(days=120), last + timedelta(days=620)
    base = round(size * 0.55, 1)
    doctor, other = "dr. Ana Horvat", "dr. Petar Vukovic"
    return [
        Target("new_patients", "clinic", "", 0.15, base, True, start, ahead, "director", "mid"),
        Target("revenue", "", "", *_up(size * 300, size * 110), False, months[3], later, "director", "long"),
        Target(
            "cost_per_patient",
            "channel",
            "paid_search",
            60,
            92.5,
            starts=start + timedelta(days=9),
            due=ahead,
        ),
        Target("cost_per_patient.roas", "Channel", " Paid_Search_Brand ", 1.5, starts=months[1], due=middle),
        Target(
            "cost_per_call.cost_per_call",
            "campaign",
            "ENT Search Zagreb",
            -0.2,
            31,
            is_relative=True,
            starts=start,
            due=month_end(months[-3]),
            owner="marketing",
            horizon="short",
        ),
        Target("missed_calls", "clinic", "", round(size * 0.1), starts=start, horizon="short"),
        Target("show_rate", "channel", "paid_search", 0.99, 0.8, starts=months[2], due=ahead),
        Target("booking_rate", "source", "google", 0.35, starts=months[2], due=months[-5]),
        Target("new_patients", "branch", "Centar", round(size * 0.2), starts=start, due=last),
        Target("clv_365d_avg", "doctor", doctor, 500, 250, starts=months[0], due=ahead),
        Target("revenue_90d", "doctor", other, *_up(size * 15, size * 8), starts=months[4], due=last),
        Target("clv_by_first_doctor.avg_rating", "branch", "maksimir", 4.2, starts=months[2], due=ahead),
        Target(
            "contacts", "operator", "MARINA", *_up(size * 0.3, size * 0.1), False, start, ahead, "desk", "mid"
        ),
        Target("sessions", "region", "Zagreb County", *_up(size * 4, size), starts=start, due=ahead),
        Target("revenue", "doctor", other, *_up(size * 25, size * 20), starts=start, due=ahead),
        Target("utilisation", "resource", "outpatient", 0.3, starts=months[1], due=last),
        Target("sessions", "event", clinic.EVENT_CAMPAIGN.lower(), 3, starts=start, due=ahead),
    ]


def _up(value: float, baseline: float) -> tuple[float, float]:
    """Target and baseline, to the cent."""
    return round(value, 2), round(baseline, 2)


def _of_whole_times(months: list[date], size: float) -> list[Target]:
    """What is to add up between two days."""
    half, last = months[-6], month_end(months[-1])
    ahead, soon = last + timedelta(days=180), last + timedelta(days=45)
    event = clinic.EVENT_CAMPAIGN
    return [
        Target("total:new_patients", "clinic", "", round(size * 6), starts=half, due=ahead, horizon="mid"),
        Target("Total: revenue", "clinic", "", 0.1, round(size * 900), True, half, last, "director", "short"),
        Target("total:revenue", "service_group", "Surgery", round(size * 500), starts=half, due=ahead),
        Target("total:cost", "channel", "paid_search", round(size * 40), starts=half, due=ahead),
        Target("total:cost", "channel", "paid_social", round(size * 40), starts=half, due=ahead),
        Target("total:calls", "clinic", "", round(size * 3), starts=months[-2], due=ahead),
        Target(f"total:{REACH}", "event", event, 900, starts=months[2], due=ahead, horizon="long"),
        Target(
            "total:acquisition_funnel.arrivals",
            "channel",
            "organic_search",
            round(size),
            starts=half,
            due=soon,
        ),
        Target("total:spam", "branch", "Centar", 3, starts=months[2], due=month_end(months[5])),
    ]


def _of_levels(months: list[date]) -> list[Target]:
    """What is known only when somebody looks."""
    start, ahead = months[-6], month_end(months[-1]) + timedelta(days=120)
    past = months[8] + timedelta(days=20)
    return [
        Target(FOLLOWERS, "clinic", "", 1_500, 1_300, starts=start, due=ahead, horizon="mid"),
        Target(FOLLOWERS, "clinic", "", 1_000, starts=months[2], due=past),
        Target(f"metric_observations.{SATISFACTION}", "branch", "centar", 4.9, 3.9, starts=start, due=ahead),
        Target(SATISFACTION, "branch", "Maksimir", 5, starts=months[-1], due=ahead),
    ]


def _faulty(months: list[date]) -> list[Target]:
    """What cannot be measured, each for one reason, and what has not begun."""
    start, soon = months[-6], month_end(months[-1]) + timedelta(days=20)
    later = soon + timedelta(days=60)
    return [
        Target("happiness", "clinic", "", 1, starts=start, due=soon),
        Target("total:cost_per_call", "clinic", "", 20, starts=start, due=soon),
        Target("cost_per_call.cost_per_call", "doctor", "dr. Ana Horvat", 20, starts=start, due=soon),
        Target("new_patients", "", "Centar", 5, starts=start, due=soon),
        Target(FOLLOWERS, "channel", "vk", 100, starts=start, due=soon),
        Target("new_patients", "clinic", "", 0.2, is_relative=True, starts=start, due=soon),
        Target("calls", "channel", "", 5, starts=start, due=soon),
        Target("calls", "clinic", "", 5, starts=soon, due=start),
        Target("total:revenue", "clinic", "", 5, starts=start),
        Target("calls", "campaign", "No such campaign", 5, starts=start, due=soon),
        Target("calls", "clinic", "", 5, starts=soon, due=later),
        Target("total:revenue", "clinic", "", 50_000, starts=soon, due=later),
        Target("acquisition_funnel.bookings", "clinic", "", 5, starts=months[-1], due=soon),
    ]
