"""What lies in the inbox, where it is read from, and what of it the latest run has seen."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from connectors import registry
from connectors.contract import SourceOptions
from pipelines import durable
from pipelines.config import Clinic

# Unfinished copies: browsers, rsync and editors write under these names first.
_UNFINISHED = (".part", ".partial", ".tmp", ".crdownload", ".swp", "~")
_MEMORY = "inbox.json"


def places(clinic: Clinic) -> Iterator[tuple[SourceOptions, str, Path]]:
    """(source, stream, folder) of every configured stream."""
    for source in clinic.sources.values():
        for stream in registry.connector(source.kind).streams(source):
            yield source, stream.name, clinic.data_dir / "inbox" / source.name / stream.name


def finished(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every file below a folder that is neither hidden nor a copy still being written."""
    for parent, names, files in os.walk(folder):
        names[:] = [name for name in names if not name.startswith(".")]
        for file in files:
            if file.startswith(".") or file.lower().endswith(_UNFINISHED):
                continue
            path = Path(parent, file)
            try:
                yield path, path.stat()
            except FileNotFoundError:  # moved away since the folder was read
                continue


def listing(data_dir: Path) -> dict[str, tuple[int, int]]:
    """Path below the inbox -> (size in bytes, modification time in ns) of every finished file."""
    inbox = data_dir / "inbox"
    return {str(path.relative_to(inbox)): (stat.st_size, stat.st_mtime_ns) for path, stat in finished(inbox)}


def misplaced(clinic: Clinic) -> list[str]:
    """One line for each inbox folder or file that no configured stream reads."""
    inbox = clinic.data_dir / "inbox"
    lines: list[str] = []
    for folder in sorted(inbox.iterdir()) if inbox.is_dir() else []:
        if folder.name.startswith("."):
            continue
        names = [stream for source, stream, _ in places(clinic) if source.name == folder.name]
        if not names:
            lines.append(
                f"inbox/{folder.name}: no source of that name in {clinic.config_path.name}; "
                f"it has: {', '.join(clinic.sources) or 'none'}"
            )
            continue
        wanted = names[0] if len(names) == 1 else "{" + ",".join(names) + "}"
        lines.extend(
            f"inbox/{folder.name}/{entry.name}: is not read; put files into inbox/{folder.name}/{wanted}/"
            for entry in (sorted(folder.iterdir()) if folder.is_dir() else [])
            if entry.name not in names and not entry.name.startswith(".")
        )
    return lines


def fingerprint(files: dict[str, tuple[int, int]]) -> str:
    """Changes when a file comes, goes, grows or is written anew."""
    return hashlib.sha256(json.dumps(sorted(files.items())).encode()).hexdigest()[:24]


def remember(data_dir: Path) -> None:
    """Note what the inbox held when a run began to land it, so that the sensor starts none for the same."""
    durable.write(data_dir / "landing" / _MEMORY, json.dumps({"fingerprint": fingerprint(listing(data_dir))}))


def remembered(data_dir: Path) -> str | None:
    """The fingerprint that the latest run noted; None before the first."""
    try:
        found = json.loads((data_dir / "landing" / _MEMORY).read_text())["fingerprint"]
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return str(found)
