"""Exports that lose a fifth of what carries identity: the links that are made stay right, nothing is lost."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import fields
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.privacy import split_phones, to_e164
from simulator import clinic, simulate
from simulator.model import Card, Contact, World
from simulator.noise import as_recorded
from simulator.run import build_world
from tests.truth.comparison import TABLES, differences, open_published, read_truth
from tests.truth.conftest import NOISY, Build

PRECISION, RECALL = 0.98, 0.98
SEED, SCALE, NOISE = NOISY
# What ad platforms know of clicks is not spoiled: its truth needs both what happened and what was recorded.
OF_BOTH_WORLDS = ("keyword_performance",)

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(seed=SEED, scale=SCALE)


@pytest.fixture(scope="module")
def recorded(world: World) -> World:
    return as_recorded(world, NOISE)


def test_without_noise_the_exports_show_the_world_itself(world: World) -> None:
    assert as_recorded(world, 0) is world


@pytest.mark.parametrize("noise", [-0.1, 1.01])
def test_a_noise_that_is_no_share_is_refused(tmp_path: Path, noise: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        simulate(tmp_path / "x", scale=0.02, noise=noise)


def test_what_happened_stays_and_only_what_carries_identity_differs(world: World) -> None:
    before = deepcopy(world)
    recorded = as_recorded(world, NOISE)
    spoiled = {f.name for f in fields(World) if getattr(recorded, f.name) != getattr(before, f.name)}
    assert {f.name for f in fields(World) if getattr(world, f.name) != getattr(before, f.name)} == {
        "personal"
    }
    carries_identity = {"sessions", "contacts", "cards", "cause", "personal"}
    assert carries_identity <= spoiled <= carries_identity | {"visits"}
    assert as_recorded(before, NOISE) == recorded


def test_a_fifth_of_each_kind_is_spoiled_and_more_noise_spoils_the_same_and_more(world: World) -> None:
    def spoiled(noise: float) -> tuple[set[str], set[str], set[str]]:
        seen = as_recorded(world, noise)
        kept = {s.session_id for s in seen.sessions}
        return (
            {s.session_id for s in world.sessions} - kept,
            {a.phone for a, b in zip(world.contacts, seen.contacts, strict=True) if a.phone and not b.phone},
            {number for number, card in seen.cards.items() if card.phones != world.cards[number].phones},
        )

    fifth, half = spoiled(0.2), spoiled(0.5)
    callers = {c.phone for c in world.contacts if _is_outside_call(c) and c.phone}
    for some, more, all_of_them in zip(fifth, half, (world.sessions, callers, world.cards), strict=True):
        assert 0.15 < len(some) / len(all_of_them) < 0.25
        assert some < more


def test_who_withholds_a_number_does_so_on_every_call_and_only_outside_callers_do(
    world: World, recorded: World
) -> None:
    pairs = list(zip(world.contacts, recorded.contacts, strict=True))
    withheld = {a.phone for a, b in pairs if a.phone != b.phone}
    for a, b in pairs:
        assert b.phone == (None if _is_outside_call(a) and a.phone in withheld else a.phone)


def _is_outside_call(contact: Contact) -> bool:
    return contact.kind == "call" and contact.direction == "inbound" and not contact.internal


def test_a_wrong_number_is_a_digit_off_plausible_and_nobodys(world: World, recorded: World) -> None:
    taken = {phone for card in world.cards.values() for phone in card.phones}
    taken |= {c.phone for c in world.contacts if c.phone} | {v.phone for v in world.visits if v.phone}
    wrong = []
    for number, card in recorded.cards.items():
        before = world.cards[number]
        slips = {was: now for was, now in zip(before.phones, card.phones, strict=True) if was != now}
        for was, now in slips.items():
            assert sum(a != b for a, b in zip(was, now, strict=True)) == 1
            assert was not in clinic.OWN_NUMBERS
            assert {now, now.removeprefix("+")} <= world.personal
        assert _numbers_on(card) == {slips.get(phone, phone) for phone in _numbers_on(before)}
        wrong += slips.values()
    assert len(wrong) > 50
    assert len({*wrong}) == len(wrong)
    assert not taken & {*wrong}


def _numbers_on(card: Card) -> set[str | None]:
    """What the connector reads of a card's text."""
    return {to_e164(part, "HR") for text in card.written for part in split_phones(text)}


def test_links_that_are_made_are_right_and_what_can_be_found_is_found(noisy_build: Build) -> None:
    with open_published(noisy_build.warehouse) as warehouse:
        links = {
            patient: (contact, rule)
            for patient, contact, rule in warehouse.execute(
                "select patient_id, acquiring_contact_id, acquiring_rule from journeys.patient_journeys"
            ).fetchall()
        }
    truth = read_truth(noisy_build.truth_dir, "links")
    assert links == {r["patient_id"]: (r["acquiring_contact_id"], r["acquiring_rule"]) for r in truth}
    linked = [row for row in truth if links[row["patient_id"]][0] is not None]
    right = [row for row in linked if links[row["patient_id"]][0] == row["true_contact_id"]]
    caused = [row for row in truth if row["true_contact_id"] is not None]
    reachable = [row for row in truth if row["is_reachable"] == "True"]
    found = [row for row in reachable if links[row["patient_id"]][0] == row["true_contact_id"]]
    assert len(right) / len(linked) >= PRECISION
    assert len(found) / len(reachable) >= RECALL
    # With a fifth of the callers and a fifth of the cards' numbers gone, a good third cannot be found.
    assert 0.55 < len(reachable) / len(caused) < 0.8


@pytest.mark.parametrize("name", [name for name in TABLES if name not in OF_BOTH_WORLDS])
def test_published_table_is_what_the_exports_give_ground_for(noisy_build: Build, name: str) -> None:
    with open_published(noisy_build.warehouse) as warehouse:
        found = differences(warehouse, noisy_build.truth_dir / "recorded", name)
    assert not found, "\n".join([f"{len(found)} differences", *found[:20]])


def test_no_money_no_patient_and_no_contact_is_lost(noisy_build: Build) -> None:
    truth_dir = noisy_build.truth_dir
    with open_published(noisy_build.warehouse) as warehouse:
        # Neither what was spent and paid nor how many came depends on who they are taken for.
        for name in ("monthly_summary", "clv_by_first_doctor"):
            assert differences(warehouse, truth_dir, name) == []

        def sums(query: str) -> tuple[Decimal, ...]:
            (row,) = warehouse.execute(query).fetchall()
            return tuple(Decimal(str(value)) for value in row)

        spent = sum(Decimal(row["cost"]) for row in read_truth(truth_dir, "daily_costs"))
        journeys = read_truth(truth_dir, "patient_journeys")
        assert sums("select sum(cost) from marts.cost_per_call") == (spent,)
        assert sums("select sum(cost) from marts.cost_per_patient") == (spent,)
        patients = {
            row["patient_id"]: (Decimal(row["revenue_first_visit"]), Decimal(row["revenue_to_date"]))
            for row in journeys
        }
        published = {
            patient: (first, to_date)
            for patient, first, to_date in warehouse.execute(
                "select patient_id, revenue_first_visit, revenue_to_date from journeys.patient_journeys"
            ).fetchall()
        }
        assert published == patients
        new_patients, revenue = sums(
            "select sum(new_patients), sum(revenue_to_date) from marts.cost_per_patient"
        )
        assert round(new_patients, 6) == len(patients)
        assert revenue == sum(to_date for _, to_date in patients.values())
        contacts = {(row["contact_id"], row["contact_kind"]) for row in read_truth(truth_dir, "contacts")}
        assert {
            *warehouse.execute("select contact_id, contact_kind from conformed.contacts").fetchall()
        } == contacts
