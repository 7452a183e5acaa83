"""The web interface of the small clinic, and a browser to look at it."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from tests.nightly.conftest import FirstNight, first_night
from tests.nightly.small_clinic import SmallClinic, wait_for

__all__ = ["first_night"]

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
    "--window-size=1800,1200",
)  # fmt: skip


@dataclass(frozen=True)
class Ui:
    """A running `firstvisit ui`."""

    address: str
    clinic: SmallClinic
    process: subprocess.Popen[str]

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Dagster's GraphQL answer."""
        request = urllib.request.Request(
            f"{self.address}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = json.load(answer)
        assert "errors" not in found, found
        data: dict[str, Any] = found["data"]
        return data


@pytest.fixture(scope="module")
def ui(first_night: FirstNight) -> Iterator[Ui]:
    """`firstvisit ui` over the small clinic; stopped with Ctrl-C, as a user stops it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = first_night.clinic.start("ui", "--port", str(port))
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith("http://"):
            break
    address = f"http://127.0.0.1:{port}"
    try:
        assert address in said, said
        yield Ui(address, first_night.clinic, process)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0
    wait_for(lambda: not _answers(port), 30)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    """Headless Chromium; the test is skipped, and says so, where there is none."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no Chromium with chromedriver on this machine; install both to run the browser tests")
    options = Options()
    options.binary_location = chromium
    for flag in FLAGS:
        options.add_argument(flag)
    found = webdriver.Chrome(options=options, service=Service(driver))
    found.set_page_load_timeout(60)
    yield found
    found.quit()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go, for whoever wants to look."""
    return tmp_path_factory.mktemp("pictures")
