"""One run at a time on a data directory, from landing to publishing."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout


class DataLocked(Exception):
    """Another run holds the data directory. The message says which."""


def holder(data_dir: Path) -> str:
    """Who holds the lock, as that run wrote it: "process 4711 since 03:00:02 UTC (firstvisit run)"."""
    try:
        note = json.loads((data_dir / "run.lock.json").read_text())
        return f"process {note['pid']} since {note['since']} ({note['what']})"
    except (OSError, ValueError, KeyError):
        return "another process"


def lock_is_held(data_dir: Path) -> bool:
    """Whether a living process says that it holds the lock; asked without touching the lock itself."""
    try:
        pid = int(json.loads((data_dir / "run.lock.json").read_text())["pid"])
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, ValueError, KeyError):
        return False
    return True


@contextmanager
def data_lock(data_dir: Path, what: str, wait: float = 0) -> Iterator[None]:
    """Hold the data directory's lock; `what` tells a second run who holds it.

    The lock is the operating system's (released when the process dies, however it dies). Raises
    DataLocked after `wait` seconds.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(data_dir / "run.lock")
    try:
        lock.acquire(timeout=wait, poll_interval=0.2)
    except Timeout:
        raise DataLocked(
            f"{data_dir}: a run is going on: {holder(data_dir)}; wait for it, or use --wait"
        ) from None
    note = data_dir / "run.lock.json"
    try:
        since = datetime.fromtimestamp(time.time(), tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        note.write_text(json.dumps({"pid": os.getpid(), "since": since, "what": what}))
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()
