"""`python -m benchmarks.attribution`: our attribution beside ChannelAttribution, on the same journeys.

ChannelAttribution (GPL, compiled at install) is no dependency of the project: install it, and matplotlib
which it imports, into the environment first (`pip install ChannelAttribution matplotlib`). On 100,000
journeys the heuristics must be equal and its simulated Markov model must lie around our exact figures within
its own error, taken from five seeds and orders of the paths. Its longest walk is raised: at its default, the
longest path of the data, it cuts walks short and is biased. On 1,000,000 both are timed, from a frame of
touches to shares of the channels. Writes benchmarks/results/attribution.json.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

import attribution

RESULTS = Path(__file__).parent / "results" / "attribution.json"
CHANNELS = ("paid_search", "organic_search", "email", "maps", "direct", "paid_social", "referral", "video")
_SEEDS = 5
# Student's t for four degrees of freedom, 99.9 %: eight channels are looked at together.
_T = 8.61


def journeys(count: int, seed: int = 1) -> pd.DataFrame:
    """Touches of `count` journeys: up to some twenty steps, of which about a tenth converts."""
    chance = np.random.default_rng(seed)
    lengths = chance.geometric(0.35, count)
    total = int(lengths.sum())
    number = np.repeat(np.arange(count), lengths)
    step = np.arange(total) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    weights = chance.dirichlet(np.ones(len(CHANNELS)), 2)
    channel = np.where(
        step % 2 == 0,
        chance.choice(len(CHANNELS), total, p=weights[0]),
        chance.choice(len(CHANNELS), total, p=weights[1]),
    )
    converted = chance.random(count) < 0.04 + 0.02 * np.minimum(lengths, 6)
    start = pd.Timestamp("2026-01-01", tz="UTC")
    return pd.DataFrame(
        {
            "journey_id": number,
            "touch_id": step,
            "touched_at": start + pd.to_timedelta(step, unit="h"),
            "channel": np.array(CHANNELS)[channel],
            "is_converted": np.repeat(converted, lengths),
        }
    )


def paths(touches: pd.DataFrame) -> pd.DataFrame:
    """ChannelAttribution's form: a path a row, with its conversions and non-conversions."""
    with duckdb.connect() as con:
        con.register("touches", touches)
        return con.execute(
            """
            select path, sum(converted::int) as total_conversions, sum(1 - converted::int) as total_null
            from (
                select
                    string_agg(channel, ' > ' order by touched_at) as path,
                    bool_or(is_converted) as converted
                from touches group by journey_id
            ) group by path
            """
        ).df()


def ours(touches: pd.DataFrame) -> pd.DataFrame:
    """Channel -> removal effect and Markov share."""
    found = attribution.removal_effects(attribution.transition_counts(touches))
    return found.to_pandas().set_index("channel")


def our_heuristics(touches: pd.DataFrame) -> pd.DataFrame:
    """Channel × model -> credits."""
    found = attribution.credits(touches[touches.is_converted]).to_pandas()
    return found.pivot_table(index="channel", columns="attribution_model", values="credit", aggfunc="sum")


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    done = work()
    return time.perf_counter() - started, done


def main() -> None:
    """Compare, time, print, write."""
    try:
        other = importlib.import_module("ChannelAttribution")
    except ImportError as error:
        raise SystemExit(f"{error}: pip install ChannelAttribution matplotlib") from None

    def markov(walks: pd.DataFrame, seed: int) -> Any:
        return other.markov_model(
            walks, "path", "total_conversions", var_null="total_null", out_more=True, seed=seed,
            nsim_start=1_000_000, max_step=10_000, verbose=False, flg_pro=False,
        )  # fmt: skip

    touches = journeys(100_000)
    walks = paths(touches)
    theirs = other.heuristic_models(walks, "path", "total_conversions", flg_pro=False).set_index(
        "channel_name"
    )
    mine = our_heuristics(touches)
    worst = max(
        float((theirs[f"{name}_touch"] - mine[column]).abs().max())
        for name, column in (("first", "first_touch"), ("last", "last_touch"), ("linear", "linear"))
    )
    exact = ours(touches)
    drawn = pd.DataFrame(
        {
            seed: markov(walks.sample(frac=1, random_state=seed), seed)["removal_effects"]
            .set_index("channel_name")
            .iloc[:, 0]
            for seed in range(1, _SEEDS + 1)
        }
    )
    error = drawn.std(axis=1, ddof=1) / np.sqrt(_SEEDS)
    off = (drawn.mean(axis=1) - exact["removal_effect"]) / error

    big = journeys(1_000_000)
    mine_s, _ = timed(lambda: ours(big))
    heuristics_s, _ = timed(lambda: our_heuristics(big))
    prepare_s, big_walks = timed(lambda: paths(big))
    their_heuristics_s, _ = timed(
        lambda: other.heuristic_models(big_walks, "path", "total_conversions", flg_pro=False)
    )
    their_markov_s, _ = timed(
        lambda: other.markov_model(
            big_walks,
            "path",
            "total_conversions",
            var_null="total_null",
            out_more=True,
            verbose=False,
            flg_pro=False,
        )
    )
    effects = {
        channel: {
            "exact": float(exact.removal_effect[channel]),
            "simulated": float(drawn.loc[channel].mean()),
            "standard_errors_off": float(off[channel]),
        }
        for channel in exact.index
    }
    seconds = {
        "ours": {"removal_effects": mine_s, "ten_models": heuristics_s},
        "ChannelAttribution": {
            "paths": prepare_s,
            "three_heuristics": their_heuristics_s,
            "markov": their_markov_s,
        },
    }
    table = Table("channel", "exact", "simulated (5 seeds)", "standard errors off")
    for channel, row in effects.items():
        table.add_row(
            channel, f"{row['exact']:.5f}", f"{row['simulated']:.5f}", f"{row['standard_errors_off']:.1f}"
        )
    console = Console()
    console.print(f"heuristics differ by at most {worst:.2e} conversions")
    console.print(table)
    console.print(json.dumps(seconds, indent=1))
    RESULTS.parent.mkdir(exist_ok=True)
    results = {"heuristics_worst_difference": worst, "removal_effects": effects, "seconds_1m": seconds}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    if worst > 1e-6 or off.abs().max() > _T:
        raise SystemExit("the two disagree beyond ChannelAttribution's own error")


if __name__ == "__main__":
    main()
