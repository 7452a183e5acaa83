"""The command line before anything has run: every foreseen mistake is one line and an exit code."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from pipelines import progress
from pipelines.config import load_clinic
from pipelines.lock import data_lock
from tests.nightly.small_clinic import CONFIG, SmallClinic


@pytest.fixture
def clinic(tmp_path: Path) -> SmallClinic:
    return SmallClinic(tmp_path)


def refused(clinic: SmallClinic, code: int, *arguments: str) -> str:
    """The one line on stderr with which a command ends."""
    said = clinic.firstvisit(*arguments)
    assert said.code == code, said.out + said.err
    assert "Traceback" not in said.out + said.err
    [line] = said.err.splitlines()
    assert line.startswith("firstvisit: ")
    return line


@pytest.mark.parametrize("command", ["run", "ui"])
def test_without_a_configuration_it_says_how_to_get_one(clinic: SmallClinic, command: str) -> None:
    assert "`firstvisit init` writes one" in refused(clinic, 2, command)


def test_a_misspelt_key_is_named_with_its_path(clinic: SmallClinic) -> None:
    clinic.config.write_text(CONFIG.replace("phone_region", "fone_region"))
    said = clinic.firstvisit("run")
    assert said.code == 2
    assert "clinic.fone_region: unknown key; did you mean phone_region?" in said.err
    assert not clinic.data.exists()


def test_query_before_anything_is_published_says_what_publishes(clinic: SmallClinic) -> None:
    assert "`firstvisit run` publishes" in refused(clinic, 1, "query", "select 1")


def test_a_taken_port_is_said_before_anything_starts(clinic: SmallClinic) -> None:
    import socket

    clinic.write()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        line = refused(clinic, 1, "ui", "--port", str(taken.getsockname()[1]))
    assert "is taken; choose another with --port" in line


def test_init_writes_a_configuration_that_holds_and_its_inboxes(clinic: SmallClinic) -> None:
    said = clinic.firstvisit("init")
    assert said.code == 0, said.err
    made = load_clinic(clinic.config, clinic.data)
    assert made.clinic.name == "Northgate ENT"
    assert (clinic.data / "inbox" / "mis" / "visits").is_dir()
    assert "exists already" in refused(clinic, 1, "init")
    assert clinic.firstvisit("init", "--force").code == 0


def test_every_source_that_the_example_only_comments_in_holds_too(
    clinic: SmallClinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commented blocks are documentation that people copy."""
    monkeypatch.setenv("CALLTOUCH_TOKEN", "from the cabinet")
    assert clinic.firstvisit("init").code == 0
    lines = clinic.config.read_text(encoding="utf-8").splitlines()
    opened = [
        line.replace("  # ", "  ", 1)
        if line.startswith("  # ") and (":" in line) and _is_yaml(line)
        else line
        for line in lines
    ]
    clinic.config.write_text("\n".join(opened), encoding="utf-8")
    made = load_clinic(clinic.config, clinic.data)
    assert {"calltouch", "yandex_direct", "emr"} <= set(made.sources)


def _is_yaml(line: str) -> bool:
    key = line.removeprefix("  # ").strip().split(":")[0]
    return key in {
        "calltouch",
        "yandex_direct",
        "kind",
        "account",
        "currency",
        "money",
        "include_vat",
        "emr",
    }


def test_a_demo_does_not_remove_what_is_no_demo(clinic: SmallClinic) -> None:
    precious = clinic.data / "demo" / "precious.txt"
    precious.parent.mkdir(parents=True)
    precious.touch()
    assert "no earlier demo" in refused(clinic, 1, "demo")
    assert precious.exists()


def test_check_names_every_mistake_and_changes_nothing(clinic: SmallClinic) -> None:
    clinic.write()
    reference = clinic.data / "reference"
    reference.mkdir()
    (reference / "campaign_map.csv").write_text("campaign,branch\nENT search,Centar\nENT search,Maksimir\n")
    (reference / "campagne.csv").write_text("a\n")
    clinic.drop("marketng/other_costs/x.csv", "a\n")
    said = clinic.firstvisit("check")
    assert said.code == 1, said.out + said.err
    assert "✗ reference/campaign_map.csv:3: campaign as on line 2; keep one of them" in said.out
    assert "! reference/campagne.csv: is not read" in said.out
    assert "! inbox/marketng: no source of that name" in said.out
    assert "✓ inbox/mis/visits/: 1 files, 0.0 MB, 1 not landed yet" in said.out
    assert not (clinic.data / "landing").exists()


def test_a_run_that_waits_gets_the_lock_when_it_is_free_and_one_that_does_not_says_who_has_it(
    clinic: SmallClinic,
) -> None:
    from pipelines.lock import DataLocked

    with (
        data_lock(clinic.data, "the first"),
        pytest.raises(DataLocked, match="the first"),
        data_lock(clinic.data, "the second"),
    ):
        pass
    with data_lock(clinic.data, "the third", wait=1):
        pass


def test_quarantine_lists_rows_by_reason_and_one_by_one(clinic: SmallClinic) -> None:
    folder = clinic.data / "quarantine" / "mapped_file" / "visits" / "source=mis"
    folder.mkdir(parents=True)
    (folder / "load.jsonl").write_text(
        '{"load_id": "load", "file_hash": "h", "row_number": 3, "column": "paid", '
        '"reason": "is not an amount", "values": {"visit_id": "v1"}}\n'
    )
    assert clinic.firstvisit("quarantine").out.splitlines()[1].split() == [
        "mis",
        "visits",
        "load",
        "paid",
        "is",
        "not",
        "an",
        "amount",
        "1",
    ]
    assert "visit_id=v1" in clinic.firstvisit("quarantine", "--rows").out
    assert "Nothing is quarantined" in clinic.firstvisit("quarantine", "--source", "site").out


def test_help_teaches_with_examples(clinic: SmallClinic) -> None:
    for command in ("demo", "init", "run", "query", "quarantine"):
        said = clinic.firstvisit(command, "--help")
        assert said.code == 0
        assert "Example" in said.out, command


def test_the_display_shows_stage_rows_and_time_on_a_terminal_and_plain_lines_elsewhere() -> None:
    for terminal in (True, False):
        out = io.StringIO()
        console = Console(file=out, force_terminal=terminal, width=100, no_color=True)
        with progress.display(console) as listener, progress.listening(listener):
            now = progress.current()
            now.stage("landing", "the inbox")
            now.doing("mis/visits", 1200)
            now.finished("mis/visits", 1234, "2 duplicate")
            now.finished("site/events", None, "cut short", failed=True)
            now.stage("publishing")
        assert "1,234 rows" in out.getvalue()
        assert "site/events: cut short" in out.getvalue()
        assert "0:00" in out.getvalue()
        assert ("\x1b[" in out.getvalue()) is terminal
    assert progress.current() is not listener
