"""What holds for every kind of source: a page for the clinic, lines that are accepted, its own staging."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from connectors import registry
from tests.conftest import ROOT

PAGES = ROOT / "docs" / "sources"
KINDS = registry.kinds()
WANTED = (
    "amocrm asterisk_cdr baidu_ads bitrix24 callrail calltouch cost_sheet fhir ga4 google_ads "
    "google_reviews live_chat mapped_file matomo meta_ads microsoft_ads ocean_engine onec open_dental "
    "qihoo360_ads shenma_ads sogou_ads tencent_ads tiktok_ads uis_comagic yandex_direct yandex_metrica "
    "yclients"
)


def test_every_promised_kind_is_there() -> None:
    assert list(KINDS) == WANTED.split()


def test_every_page_is_of_a_kind_and_listed() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} - {"README"} == set(KINDS)
    listed = set(re.findall(r"\]\((\w+)\.md\)", (PAGES / "README.md").read_text(encoding="utf-8")))
    assert listed == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_has_what_a_clinic_needs_and_lines_that_are_accepted(kind: str) -> None:
    page = (PAGES / f"{kind}.md").read_text(encoding="utf-8")
    for heading in ("## What you get", "## What is restated", "## What is not read"):
        assert heading in page, heading
    options = registry.connector(kind).options
    written = list(sources_of(page, kind))
    assert written, "the lines for clinic.yaml"
    for source in written:
        assert set(source) <= set(options.model_fields), "an unknown key would be refused"
        for secret in options.secrets() & set(source):
            assert str(source[secret]).startswith("${"), "secrets come from the environment"


def sources_of(page: str, kind: str) -> Iterator[dict[str, object]]:
    """The sources of a kind in the page's blocks of code."""
    fenced = re.sub(
        r"^```\w*\n((?:.*\n)*?)```$", lambda m: re.sub("(?m)^", "    ", m[1]), page, flags=re.MULTILINE
    )
    for block in re.findall(r"(?:^    .*\n|^\n(?=    ))+", fenced, re.MULTILINE):
        for part in (block, *block.split("\n\n")):
            try:
                found = yaml.safe_load(textwrap.dedent(part))
            except yaml.YAMLError:
                continue
            while isinstance(found, dict) and set(found) == {"sources"}:
                found = found["sources"]
            for source in found.values() if isinstance(found, dict) else ():
                if isinstance(source, dict) and source.get("kind") == kind:
                    yield source


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_touches_its_own_staging_folder_only(kind: str) -> None:
    folder: Path = ROOT / "dbt_project" / "models" / "staging" / kind
    assert (folder / f"_{kind}__sources.yml").exists()
    for model in folder.glob("*.sql"):
        assert model.name.startswith(f"stg_{kind}__")
        assert re.search(r"(?:ref|source)\('(?!stg_|" + kind + r")\w+'", model.read_text()) is None
