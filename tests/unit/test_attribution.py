"""The arithmetic of attribution over plain frames: worked by hand, and what must hold of any journeys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attribution
from simulator.channels import CONVERSION, NULL, START, effects

START_AT = datetime(2026, 1, 1, tzinfo=UTC)
MODELS = {
    "first_touch",
    "last_touch",
    "last_non_direct",
    "last_paid",
    "linear",
    "position_based",
    "time_decay",
    "w_shape",
    "removal_effect",
    "shapley_set",
}
CHANNELS = st.sampled_from(["paid_search", "email", "direct", "maps"])
WALKS = st.lists(
    st.tuples(st.lists(CHANNELS, min_size=1, max_size=6), st.booleans()), min_size=1, max_size=20
)


def frame(*walks: tuple[list[str], bool], **columns: Any) -> pd.DataFrame:
    """Touches of walks, a day apart."""
    rows = [
        {
            "journey_id": f"j{number}",
            "touch_id": f"t{step}",
            "touched_at": START_AT + timedelta(days=step),
            "channel": channel,
            "is_converted": converted,
        }
        for number, (channels, converted) in enumerate(walks)
        for step, channel in enumerate(channels)
    ]
    return pd.DataFrame(rows).assign(**columns)


def shares(found: pa.Table, model: str) -> dict[str, float]:
    """touch -> credit of the first journey."""
    rows = found.to_pylist()
    return {
        r["touch_id"]: r["credit"]
        for r in rows
        if r["attribution_model"] == model and r["journey_id"] == "j0"
    }


def effect_of(found: pa.Table) -> dict[str, tuple[float | None, float | None]]:
    return {r["channel"]: (r["removal_effect"], r["markov_share"]) for r in found.to_pylist()}


def test_the_worked_example_of_the_documentation() -> None:
    """Three journeys: paid_search → email → conversion; paid_search → null; email → conversion.

    P(conversion): the start leads to paid_search 2/3 and email 1/3; paid_search to email 1/2 and null 1/2;
    email converts. P = 2/3 · 1/2 + 1/3 = 2/3. Without paid_search 1/3 is left: half is lost; without email
    everything.
    """
    walks = frame((["paid_search", "email"], True), (["paid_search"], False), (["email"], True))
    counts = {
        (r["from_state"], r["to_state"]): r["transitions"]
        for r in attribution.transition_counts(walks).to_pylist()
    }
    assert counts == {
        ("(start)", "paid_search"): 2,
        ("(start)", "email"): 1,
        ("paid_search", "email"): 1,
        ("paid_search", "(null)"): 1,
        ("email", "(conversion)"): 2,
    }
    found = attribution.removal_effects(attribution.transition_counts(walks))
    assert effect_of(found)["paid_search"] == pytest.approx((1 / 2, 1 / 3))
    assert effect_of(found)["email"] == pytest.approx((1.0, 2 / 3))
    credited = attribution.credits(walks[walks.is_converted], removal_effects=found)
    assert shares(credited, "removal_effect") == pytest.approx({"t0": 1 / 3, "t1": 2 / 3})


def test_a_touch_decays_by_its_distance_to_the_conversion() -> None:
    walks = frame((["email", "email"], True), converted_at=START_AT + timedelta(days=1))
    assert shares(attribution.credits(walks, half_life_days=1), "time_decay") == pytest.approx(
        {"t0": 1 / 3, "t1": 2 / 3}
    )


def test_without_flags_nothing_is_paid_or_a_contact_and_direct_is_unknown() -> None:
    walks = frame((["paid_search", "email", "direct"], True))
    found = attribution.credits(pa.Table.from_pandas(walks))
    assert shares(found, "last_paid") == shares(found, "last_non_direct") == {"t0": 0.0, "t1": 1.0, "t2": 0.0}
    assert shares(found, "w_shape") == pytest.approx({"t0": 0.75, "t1": 0.125, "t2": 0.125})


def test_anchors_of_the_w_shape_add_up_where_they_coincide() -> None:
    walks = frame((["email", "maps", "email", "direct"], True))
    walks["is_contact"] = [False, True, False, True]
    walks["is_acquiring"] = [False, True, False, False]
    found = shares(attribution.credits(walks), "w_shape")
    assert found == pytest.approx({"t0": 0.3, "t1": 0.6, "t2": 0.05, "t3": 0.05})


def test_nothing_converted_gives_no_effect_rather_than_a_number() -> None:
    found = attribution.removal_effects(attribution.transition_counts(frame((["email"], False))))
    assert effect_of(found) == {"email": (None, None)}


def test_no_journeys_give_an_empty_table() -> None:
    empty = attribution.transition_counts(frame((["email"], True)).iloc[:0])
    assert attribution.removal_effects(empty).num_rows == 0


def test_counts_that_are_not_of_whole_journeys_are_refused() -> None:
    counts = pd.DataFrame([{"from_state": "(start)", "to_state": "email", "transitions": 2}])
    with pytest.raises(ValueError, match="whole journeys"):
        attribution.removal_effects(counts)


@settings(max_examples=60)
@given(walks=WALKS)
def test_effects_equal_those_in_fractions(walks: list[tuple[list[str], bool]]) -> None:
    counts: dict[tuple[str, str], int] = {}
    for channels, converted in walks:
        for step in zip((START, *channels), (*channels, CONVERSION if converted else NULL), strict=True):
            counts[step] = counts.get(step, 0) + 1
    exact: dict[str, Fraction] = effects(counts)
    found = attribution.removal_effects(attribution.transition_counts(frame(*walks))).to_pylist()
    for row in found:
        if exact:
            assert row["removal_effect"] == pytest.approx(float(exact[row["channel"]]), abs=1e-9)
            assert 0 <= row["removal_effect"] <= 1 + 1e-12
        else:
            assert row["removal_effect"] is None


@settings(max_examples=60)
@given(walks=WALKS, data=st.data())
def test_credits_sum_to_one_and_do_not_depend_on_the_order_of_rows(
    walks: list[tuple[list[str], bool]], data: st.DataObject
) -> None:
    touches = frame(*walks)
    touches["is_contact"] = data.draw(st.lists(st.booleans(), min_size=len(touches), max_size=len(touches)))
    effects_ = attribution.removal_effects(attribution.transition_counts(touches))
    found = attribution.credits(touches, removal_effects=effects_)
    sums = found.group_by(["journey_id", "attribution_model"]).aggregate([("credit", "sum")]).to_pylist()
    assert len(sums) == len(walks) * len(MODELS)
    assert {r["attribution_model"] for r in sums} == MODELS
    assert all(abs(r["credit_sum"] - 1) < 1e-9 for r in sums)
    assert all(r["credit"] >= 0 for r in found.to_pylist())
    shuffled = attribution.credits(touches.sample(frac=1, random_state=1), removal_effects=effects_)
    keys = ["journey_id", "attribution_model", "touch_id"]
    assert shuffled.sort_by([(k, "ascending") for k in keys]) == found.sort_by(
        [(k, "ascending") for k in keys]
    )


@settings(max_examples=80)
@given(edges=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=20))
def test_groups_are_the_connected_ones(edges: list[tuple[int, int]]) -> None:
    given_edges = pd.DataFrame([(f"n{a:02}", f"n{b:02}") for a, b in edges], columns=["a", "b"])
    found = {r["node"]: r["group_id"] for r in attribution.connected_groups(given_edges).to_pylist()}
    groups: list[set[str]] = []
    for a, b in given_edges.itertuples(index=False):
        joined = {a, b}.union(*(group for group in groups if group & {a, b}))
        groups = [group for group in groups if not group & joined] + [joined]
    assert found == {node: min(group) for group in groups for node in group}


def test_a_long_chain_is_one_group() -> None:
    chain = pd.DataFrame({"a": [f"{n:06}" for n in range(5000)], "b": [f"{n + 1:06}" for n in range(5000)]})
    found = attribution.connected_groups(chain)
    assert set(found.column("group_id").to_pylist()) == {"000000"}
