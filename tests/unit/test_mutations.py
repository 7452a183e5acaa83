"""The list of mutations fits the project; whether tests notice them is `make mutations`."""

from __future__ import annotations

from collections import Counter

import pytest

from pipelines.dbt import PROJECT_DIR
from tests.mutations import Mutation, applied, mutations


def test_every_mutation_changes_one_place_of_the_project() -> None:
    trouble = []
    for mutation in mutations():
        before = (PROJECT_DIR / mutation.file).read_text(encoding="utf-8")
        try:
            assert applied(mutation, before) != before
        except ValueError as error:
            trouble.append(f"{mutation.rule}: {error}")
    assert trouble == []


def test_no_two_mutations_are_the_same() -> None:
    counts = Counter((m.file, m.old, m.new) for m in mutations())
    assert max(counts.values()) == 1
    assert max(Counter((m.file, m.rule) for m in mutations()).values()) == 1


def test_a_text_that_the_project_no_longer_has_once_is_refused() -> None:
    mutation = Mutation("a rule", "a.sql", "x < 1", "x <= 1")
    assert applied(mutation, "where x < 1") == "where x <= 1"
    for text in ("where x > 1", "where x < 1 or x < 10"):
        with pytest.raises(ValueError, match=r"a\.sql has \d times: x < 1"):
            applied(mutation, text)
