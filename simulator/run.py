"""One call from seed to files: build the world, write its exports, write the truth behind them."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from simulator import clinic
from simulator.desk import staff
from simulator.exports import Exporter
from simulator.follow_ups import call_back
from simulator.model import World, local_day
from simulator.money import spend_money
from simulator.noise import as_recorded
from simulator.stories import populate
from simulator.targets import set_targets, write_observations
from simulator.truth_files import write_truth

START: Final = date(2024, 7, 1)
_FEWEST_MONTHS: Final = 15  # the hard cases need a year and a quarter of history


@dataclass(frozen=True, slots=True)
class SimulationSummary:
    """What was written. `as_of` is the day of the latest completed visit."""

    out: Path
    config: Path
    data_dir: Path
    truth_dir: Path
    seed: int
    start: date
    end: date
    as_of: date
    files: int
    sessions: int
    calls: int
    contacts: int
    patients: int
    new_patients: int
    visits: int


def build_world(
    *, seed: int, scale: float, months: int = 18, start: date = START, flaws: bool = False
) -> World:
    """The events of `months` whole months from `start`, the first of a month.

    With `flaws`, there are also appointments in a status that clinic.yaml does not map.

    Raises ValueError for a start that is not the first of a month, fewer than 15 months, or a scale ≤ 0.
    """
    if start.day != 1:
        raise ValueError("start must be the first day of a month")
    if months < _FEWEST_MONTHS:
        raise ValueError(f"months must be at least {_FEWEST_MONTHS}: the look-back needs the history")
    if scale <= 0:
        raise ValueError("scale must be positive")
    index = start.month - 1 + months - 1
    year, month = start.year + index // 12, index % 12 + 1
    end = date(year, month, calendar.monthrange(year, month)[1])
    world = World(seed, start, end)
    world.campaigns = clinic.campaigns(start, end)
    world.tracking = clinic.tracking_numbers(start, end)
    spend_money(world, scale)
    populate(world, scale, flaws=flaws)
    staff(world)
    call_back(world)
    set_targets(world)
    return world


def simulate(
    out: Path,
    *,
    seed: int = 1,
    scale: float = 1.0,
    months: int = 18,
    start: date = START,
    flaws: bool = False,
    noise: float = 0.0,
) -> SimulationSummary:
    """Write `out`/clinic.yaml, `out`/data/inbox, `out`/data/reference and `out`/truth.

    With `flaws`, the exports also hold what a run complains of while it publishes: a status nobody mapped.
    `noise` is the share of what carries identity that the exports spoil: sessions, callers' numbers, the
    patients' numbers. The truth stays what happened; links.csv says which contacts can still be found, and
    `out`/truth/recorded is what the exports give ground for.
    Equal arguments give byte-identical files with equal file times. Raises ValueError as `build_world`
    does and for a noise that is no share, and FileExistsError when `out` already holds an inbox, which would
    mix two worlds.
    """
    if (out / "data" / "inbox").exists():
        raise FileExistsError(f"{out / 'data' / 'inbox'} exists already; choose an empty folder")
    world = build_world(seed=seed, scale=scale, months=months, start=start, flaws=flaws)
    recorded = as_recorded(world, noise)
    files = Exporter(recorded, out, happened=world).write()
    files += write_observations(recorded, out)
    truth = write_truth(world, out / "truth", recorded)
    calls = sum(c.kind == "call" for c in world.contacts)
    return SimulationSummary(
        out=out,
        config=out / "clinic.yaml",
        data_dir=out / "data",
        truth_dir=out / "truth",
        seed=seed,
        start=world.start,
        end=world.end,
        as_of=max(local_day(v.scheduled_at) for v in world.visits if v.is_completed),
        files=files,
        sessions=len(world.sessions),
        calls=calls,
        contacts=len(world.contacts) - calls,
        patients=len(world.cards),
        new_patients=truth.new_patients,
        visits=len(world.visits),
    )


__all__ = ["START", "SimulationSummary", "build_world", "simulate"]
