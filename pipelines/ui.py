"""`firstvisit ui`: Dagster's webserver and daemon for one clinic, on this machine only."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from pipelines import dbt
from pipelines.config import Clinic
from pipelines.definitions import CONFIG_VARIABLE, DATA_VARIABLE
from pipelines.home import ROOT, bury_dead_runs, dagster_home, open_instance

HOST = "127.0.0.1"
_START_SECONDS = 120.0
_STOP_SECONDS = 20.0


class UiError(Exception):
    """The web interface could not be started or stopped by itself. The message says why."""


def environment(clinic: Clinic) -> dict[str, str]:
    """What every Dagster process of this clinic needs in its environment; paths are absolute."""
    dbt.quiet_environment()
    return {
        **os.environ,
        CONFIG_VARIABLE: str(clinic.config_path.resolve()),
        DATA_VARIABLE: str(clinic.data_dir.resolve()),
        "DAGSTER_HOME": str(dagster_home(clinic.data_dir)),
        # The code servers import `pipelines` as an installed package; from a checkout, by this.
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])),
    }


def serve(clinic: Clinic, port: int, say: Callable[[str], None]) -> None:
    """Run webserver and daemon until interrupted. Raises UiError when one cannot start or stops."""
    _check_port(port)
    # Parsed here, where a mistake is one line, and not in two servers at once.
    dbt.prepare_manifest(clinic)
    with open_instance(clinic.data_dir) as instance:
        bury_dead_runs(instance, dagster_home(clinic.data_dir))
    logs = clinic.data_dir.resolve() / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    workspace = ["--workspace", str(ROOT / "workspace.yaml")]
    commands = {
        "webserver": ["dagster-webserver", "--host", HOST, "--port", str(port), *workspace],
        "daemon": ["dagster-daemon", "run", *workspace],
    }
    running: dict[str, subprocess.Popen[bytes]] = {}
    interrupted = _Interrupted()
    try:
        for name, command in commands.items():
            with (logs / f"{name}.log").open("ab") as log:
                running[name] = subprocess.Popen(
                    [str(Path(sys.executable).parent / command[0]), *command[1:]],
                    env=environment(clinic),
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    cwd=ROOT,
                    start_new_session=True,
                )
        _wait_until_up(port, running, logs, interrupted)
        say(f"http://{HOST}:{port}")
        while not interrupted.received:
            _check_running(running, logs)
            time.sleep(0.5)
    finally:
        _stop(running)
        interrupted.restore()


class _Interrupted:
    """Ctrl-C and SIGTERM, noted instead of raised, so that both servers are always stopped."""

    def __init__(self) -> None:
        self.received = False
        self._before = {
            number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)
        }

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.received = True

    def restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UiError(
                f"port {port} of {HOST} is taken; choose another with --port ({error.strerror})"
            ) from None


def _wait_until_up(
    port: int, running: dict[str, subprocess.Popen[bytes]], logs: Path, interrupted: _Interrupted
) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and not interrupted.received:
        _check_running(running, logs)
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/server_info", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    if not interrupted.received:
        raise UiError(
            f"the web interface did not answer within {_START_SECONDS:.0f} s; see {logs / 'webserver.log'}"
        )


def _check_running(running: dict[str, subprocess.Popen[bytes]], logs: Path) -> None:
    for name, process in running.items():
        if process.poll() is not None:
            raise UiError(f"the {name} stopped (exit code {process.returncode}); see {logs / f'{name}.log'}")


def _stop(running: dict[str, subprocess.Popen[bytes]]) -> None:
    """Stop both servers; their code servers notice and follow."""
    for process in running.values():
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + _STOP_SECONDS
    for process in running.values():
        try:
            process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
