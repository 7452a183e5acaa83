"""The arithmetic of attribution over plain frames: journeys in, credits and removal effects out.

Usable on any journeys, without a clinic, Dagster or dbt:

    import attribution

    effects = attribution.removal_effects(attribution.transition_counts(touches))
    credits = attribution.credits(touches, removal_effects=effects)

A journey is a row per touch. Frames are pandas DataFrames or pyarrow Tables; answers are pyarrow Tables. The
heuristics and the counts are SQL, the same that the warehouse runs (dbt_project/macros/attribution.sql); the
linear system is numpy's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import jinja2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    import pandas as pd

    Frame = pa.Table | pd.DataFrame

START, CONVERSION, NULL = "(start)", "(conversion)", "(null)"
_MACROS = Path(__file__).resolve().parents[1] / "dbt_project" / "macros" / "attribution.sql"
_DAY_US = 86_400_000_000
# Channels that say nothing of where a person came from, unless the caller has a column is_known.
UNKNOWN_CHANNELS = ("direct", "unassigned")

_EFFECTS = pa.schema(
    [
        pa.field(name, type_)
        for name, type_ in (
            ("channel", pa.string()),
            ("journeys", pa.int64()),
            ("removal_effect", pa.float64()),
            ("markov_share", pa.float64()),
        )
    ]
)


def credits(  # noqa: A001 - the field's term
    touches: Frame,
    *,
    half_life_days: float = 7,
    removal_effects: Frame | None = None,
) -> pa.Table:
    """Credits of each touch under the ten models.

    touches
        One row per touch of a converted journey: journey_id, touch_id (together unique), touched_at
        (timestamp; touches are ordered by it, then by touch_id), channel. Optional: converted_at (timestamp
        of the conversion, else the journey's last touch; time_decay measures from it), is_known (false for
        channels that say nothing, else those of `UNKNOWN_CHANNELS`), is_paid (false without), is_contact
        (somebody called, wrote or came by this touch; false without), is_acquiring (the touch of the contact
        that brought the booking; false without).
    half_life_days
        Days in which time_decay halves.
    removal_effects
        What `removal_effects` gives: channel, removal_effect. Without it, removal_effect is linear.

    Returns journey_id, attribution_model, touch_id, channel, credit (double; sums to 1 per journey and
    model). Raises duckdb.Error for a frame without one of the required columns.
    """
    names = set(touches.column_names if isinstance(touches, pa.Table) else touches.columns)

    def column(name: str, default: str) -> str:
        return name if name in names else default

    listed = ", ".join(f"'{channel}'" for channel in UNKNOWN_CHANNELS)
    converted_at = column("converted_at", "max(touched_at) over (partition by journey_id)")
    effects = (
        removal_effects
        if removal_effects is not None
        else pa.table({"channel": pa.array([], pa.string()), "removal_effect": pa.array([], pa.float64())})
    )
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        con.register("given_touches", touches)
        con.register("given_effects", effects)
        con.execute(
            f"""
            create temp view touches as
            select
                given_touches.journey_id,
                given_touches.touch_id,
                given_touches.touched_at,
                given_touches.channel,
                greatest(epoch_us({converted_at}) - epoch_us(touched_at), 0) as us_before,
                {column("is_known", f"given_touches.channel not in ({listed})")} as is_known,
                {column("is_paid", "false")} as is_paid,
                {column("is_contact", "false")} as is_contact,
                {column("is_acquiring", "false")} as is_acquiring,
                given_effects.removal_effect
            from given_touches
            left join given_effects on given_touches.channel = given_effects.channel
            """
        )
        query = _render("touch_credits", "touches", ["touch_id", "channel"], round(half_life_days * _DAY_US))
        found: pa.Table = con.sql(query).to_arrow_table()
        return found


def transition_counts(touches: Frame) -> pa.Table:
    """How often journeys went from one state to the next.

    `touches` has one row per touch of journeys that converted and of those that did not: journey_id,
    touch_id, touched_at, channel, is_converted (boolean, the same on all touches of a journey).

    Returns from_state, to_state, transitions; the states are `(start)`, the channels, `(conversion)` and
    `(null)`. Raises duckdb.Error for a frame without one of the columns.
    """
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        con.register("touches", touches)
        found: pa.Table = con.sql(_render("count_transitions", "touches")).to_arrow_table()
        return found


def removal_effects(counts: Frame) -> pa.Table:
    """What share of the conversions would be lost without each channel: order-1 Markov chain, solved exactly.

    `counts` is what `transition_counts` gives. With P(conversion) the probability to end in conversion from
    the start, removal_effect_c = 1 − P(conversion | edges into c go to null) / P(conversion), and
    markov_share_c = removal_effect_c / Σ removal_effect (Anderl, Becker, von Wangenheim, Schumann 2016).

    Returns channel, journeys (how often the channel was entered), removal_effect, markov_share, by channel;
    NULL effects where nothing converted. Raises ValueError for a state that is left more often than entered.
    """
    table = counts if isinstance(counts, pa.Table) else pa.Table.from_pandas(counts, preserve_index=False)
    rows = [
        (str(a), str(b), int(n))
        for a, b, n in zip(
            *(table.column(name).to_pylist() for name in ("from_state", "to_state", "transitions")),
            strict=True,
        )
    ]
    channels = sorted({state for a, b, _ in rows for state in (a, b)} - {START, CONVERSION, NULL})
    at = {channel: number for number, channel in enumerate(channels)}
    size = len(channels)
    start, converts = np.zeros(size), np.zeros(size)
    moves = np.zeros((size, size))
    leaves, entered = np.zeros(size), np.zeros(size)
    for a, b, n in rows:
        if a == START:
            start[at[b]] += n
            entered[at[b]] += n
            continue
        leaves[at[a]] += n
        if b == CONVERSION:
            converts[at[a]] += n
        elif b != NULL:
            moves[at[a], at[b]] += n
            entered[at[b]] += n
    if not np.array_equal(leaves, entered):
        raise ValueError("a channel is not entered as often as it is left; count whole journeys")
    if not size or not converts.any():
        return _effects(channels, entered, None)
    start /= start.sum()
    moves /= leaves[:, None]
    converts /= leaves

    def conversion(start: Any, moves: Any) -> float:
        # P = (I − Q)⁻¹ b: every walk ends, for each channel is left to an end at least once.
        return float(start @ np.linalg.solve(np.eye(size) - moves, converts))

    whole = conversion(start, moves)
    lost = np.empty(size)
    for removed in range(size):
        without_start, without = start.copy(), moves.copy()
        without_start[removed] = 0.0
        without[:, removed] = 0.0
        lost[removed] = 1.0 - conversion(without_start, without) / whole
    # What is zero but for the rounding of doubles is zero.
    return _effects(channels, entered, np.where(lost < 1e-12, 0.0, lost))


def connected_groups(edges: Frame) -> pa.Table:
    """Which nodes hang together.

    `edges` has the text columns a and b; a node of its own is an edge to itself. Returns node, group_id (the
    smallest node of the group), each node once. Labels are halved along the way, so that the rounds grow with
    the logarithm of the longest chain.
    """
    table = edges if isinstance(edges, pa.Table) else pa.Table.from_pandas(edges, preserve_index=False)
    a = table.column("a").cast(pa.string())
    b = table.column("b").cast(pa.string())
    unsorted = pa.chunked_array([*a.chunks, *b.chunks], type=pa.string()).unique()
    nodes = unsorted.take(pc.sort_indices(unsorted))
    left, right = (pc.index_in(side, nodes).to_numpy() for side in (a, b))
    labels = np.arange(len(nodes))
    while True:
        before = labels
        lowest = np.minimum(labels[left], labels[right])
        labels = labels.copy()
        for side in (left, right):
            # The root of each side hooks onto the lower root.
            np.minimum.at(labels, before[side], lowest)
        while not np.array_equal(jumped := labels[labels], labels):
            labels = jumped
        if np.array_equal(labels, before):
            groups = nodes.take(pa.array(labels, pa.int64()))
            return pa.Table.from_arrays([nodes, groups], ["node", "group_id"])


def _effects(channels: Sequence[str], entered: Any, effects: Any | None) -> pa.Table:
    nothing: list[float | None] = [None] * len(channels)
    total = 0.0 if effects is None else float(effects.sum())
    return pa.table(
        {
            "channel": list(channels),
            "journeys": [int(n) for n in entered],
            "removal_effect": nothing if effects is None else effects.tolist(),
            "markov_share": nothing if effects is None or not total else (effects / total).tolist(),
        },
        schema=_EFFECTS,
    )


def _render(macro: str, *arguments: Any) -> str:
    return str(getattr(_macros(), macro)(*arguments))


@cache
def _macros() -> Any:
    environment = jinja2.Environment(
        extensions=["jinja2.ext.do"],
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - SQL
    )
    return environment.from_string(_MACROS.read_text(encoding="utf-8")).module
