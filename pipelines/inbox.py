"""What lies in the inbox, and what of it the latest run has seen."""

import hashlib
import json
import os
from pathlib import Path

# Unfinished copies: browsers, rsync and editors write under these names first.
_UNFINISHED = (".part", ".partial", ".tmp", ".crdownload", ".swp", "~")
_MEMORY = "inbox.json"


def is_unfinished(name: str) -> bool:
    """Whether a file of that name is a copy still being written, or hidden."""
    return name.startswith(".") or name.lower().endswith(_UNFINISHED)


def listing(data_dir: Path) -> dict[str, tuple[int, int]]:
    """Path below the inbox -> (size in bytes, modification time in ns) of every finished file."""
    inbox = data_dir / "inbox"
    found: dict[str, tuple[int, int]] = {}
    for folder, names, files in os.walk(inbox):
        names[:] = [name for name in names if not name.startswith(".")]
        for file in files:
            if is_unfinished(file):
                continue
            path = Path(folder, file)
            try:
                stat = path.stat()
            except FileNotFoundError:  # moved away since the folder was read
                continue
            found[str(path.relative_to(inbox))] = (stat.st_size, stat.st_mtime_ns)
    return found


def fingerprint(files: dict[str, tuple[int, int]]) -> str:
    """Changes when a file comes, goes, grows or is written anew."""
    return hashlib.sha256(json.dumps(sorted(files.items())).encode()).hexdigest()[:24]


def remember(data_dir: Path) -> None:
    """Note what the inbox held when a run began to land it, so that the sensor starts none for the same."""
    path = data_dir / "landing" / _MEMORY
    scratch = path.with_name(f".{_MEMORY}.tmp")
    scratch.write_text(json.dumps({"fingerprint": fingerprint(listing(data_dir))}))
    scratch.replace(path)


def remembered(data_dir: Path) -> str | None:
    """The fingerprint that the latest run noted; None before the first."""
    try:
        found = json.loads((data_dir / "landing" / _MEMORY).read_text())["fingerprint"]
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return str(found)
