"""The tables and the program of docs/attribution.md are what the package computes."""

from __future__ import annotations

import contextlib
import io
import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pandas as pd
import pytest

import attribution
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "attribution.md").read_text(encoding="utf-8")
BOOKED = datetime(2026, 3, 22, 10, tzinfo=UTC)
CHANNELS = ("paid_search", "email", "direct")


def table(*columns: str) -> list[dict[str, str]]:
    """The rows of the page's table that has exactly these columns."""
    header = "| " + " | ".join(columns) + " |\n"
    assert PAGE.count(header) == 1, header
    rows = PAGE.partition(header)[2].partition("\n\n")[0].splitlines()[1:]
    cells = [[cell.strip().strip("`") for cell in row.strip("|").split("|")] for row in rows]
    return [dict(zip(columns, row, strict=True)) for row in cells]


@pytest.fixture(scope="module")
def touches() -> pd.DataFrame:
    """The page's journeys."""
    rows = table("journey", "touch", "days before", "channel", "contact", "acquiring", "converted")
    return pd.DataFrame(
        {
            "journey_id": row["journey"],
            "touch_id": row["touch"],
            "touched_at": BOOKED - timedelta(days=int(row["days before"])),
            "channel": row["channel"],
            "is_paid": row["channel"] == "paid_search",
            "is_contact": row["contact"] == "yes",
            "is_acquiring": row["acquiring"] == "yes",
            "is_converted": row["converted"] == "yes",
        }
        for row in rows
    )


@pytest.fixture(scope="module")
def counts(touches: pd.DataFrame) -> pd.DataFrame:
    return attribution.transition_counts(touches).to_pandas()


@pytest.fixture(scope="module")
def credited(touches: pd.DataFrame, counts: pd.DataFrame) -> pd.DataFrame:
    """model, touch_id -> credit of the journeys that converted."""
    found = attribution.credits(
        touches[touches["is_converted"]], removal_effects=attribution.removal_effects(counts)
    )
    return found.to_pandas()


def test_the_credits_are_those_of_the_page(touches: pd.DataFrame, credited: pd.DataFrame) -> None:
    ids = list(touches.loc[touches["is_converted"], "touch_id"])
    rows = table("model", *ids)
    stated = {(row["model"], touch): Fraction(row[touch]) for row in rows for touch in ids}
    found = {(r.attribution_model, r.touch_id): r.credit for r in credited.itertuples()}
    assert found == pytest.approx({key: float(value) for key, value in stated.items()}, abs=1e-12)
    for row in rows:
        for journey in ("1", "2", "3"):
            assert sum(Fraction(row[touch]) for touch in ids if touch[0] == journey) == 1


def test_the_channels_new_patients_are_those_of_the_page(credited: pd.DataFrame) -> None:
    rows = table("model", *CHANNELS)
    stated = {(row["model"], channel): Fraction(row[channel]) for row in rows for channel in CHANNELS}
    found = credited.groupby(["attribution_model", "channel"])["credit"].sum().to_dict()
    assert found == pytest.approx({key: float(value) for key, value in stated.items()}, abs=1e-12)
    assert all(sum(Fraction(row[channel]) for channel in CHANNELS) == 3 for row in rows)


def test_every_model_is_described_on_the_page(credited: pd.DataFrame) -> None:
    described = {row["model"] for row in table("model", "weight of touch *i*")}
    assert described == set(credited["attribution_model"])


def test_the_transitions_are_those_of_the_page(counts: pd.DataFrame) -> None:
    stated = {(r["from"], r["to"]): int(r["transitions"]) for r in table("from", "to", "transitions")}
    assert {(r.from_state, r.to_state): r.transitions for r in counts.itertuples()} == stated


def test_the_removal_effects_are_those_of_the_page(counts: pd.DataFrame) -> None:
    rows = table("channel", "P without it", "removal effect", "Markov share")
    found = attribution.removal_effects(counts).to_pandas().set_index("channel")
    assert set(found.index) == {row["channel"] for row in rows}
    for row in rows:
        effect, share = Fraction(row["removal effect"]), Fraction(row["Markov share"])
        assert found.loc[row["channel"], "removal_effect"] == pytest.approx(float(effect), abs=1e-12)
        assert found.loc[row["channel"], "markov_share"] == pytest.approx(float(share), abs=1e-12)
        assert effect == 1 - Fraction(row["P without it"]) / Fraction(3, 5)


def test_the_program_prints_what_the_page_shows() -> None:
    ((program, shown),) = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(program, {})
    assert [line.rstrip() for line in printed.getvalue().splitlines()] == [
        line.rstrip() for line in shown.splitlines()
    ]
