"""dbt as this project runs it: which executable, which manifest, which variables, what a failure says.

The graph that Dagster shows is dbt's manifest, and that depends on the clinic (its kinds of source, its
variables), so each data directory has its own under `dbt/`. Parsing takes seconds and is repeated only
when the project's files, the variables or dbt itself changed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from pipelines import durable
from pipelines.config import Clinic, load_clinic
from pipelines.publish import build_path

PROJECT_DIR = Path(__file__).resolve().parents[1] / "dbt_project"
BUILD_VARIABLE = "FIRSTVISIT_BUILD_DB"
_SOURCES = ("*.sql", "*.yml", "*.yaml", "*.csv", "*.py", "*.md")
_NOT_SOURCES = frozenset({"target", "logs", "dbt_packages"})
_QUIET = {"DO_NOT_TRACK": "1", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DBT_VERSION_CHECK": "false"}
# A test that fails shows at most this many names in one message; the log has them all.
_NAMES_SHOWN = 12


class DbtError(Exception):
    """dbt could not do what was asked. The message is fit for a reader: what failed, and where to look."""


def executable() -> Path:
    """The dbt command installed beside the running interpreter, whatever PATH says. Raises DbtError."""
    folder = Path(sys.executable).parent
    found = shutil.which("dbt", path=str(folder))
    if found is None:
        raise DbtError(f"{folder}: no dbt command there; install the requirements into this environment")
    return Path(found)


def quiet_environment() -> None:
    """Turn dbt's telemetry and version check off for this process and everything it starts."""
    os.environ.update(_QUIET)


def variables(clinic: Clinic) -> str:
    """The `--vars` of every dbt command, as one stable JSON text."""
    return json.dumps(clinic.dbt_vars(), ensure_ascii=False, sort_keys=True)


def manifest_dir(clinic: Clinic) -> Path:
    """Where the clinic's manifest is kept, and dbt's memory of having parsed it."""
    return clinic.data_dir.resolve() / "dbt" / "manifest"


def prepare_manifest(clinic: Clinic) -> Mapping[str, Any]:
    """The clinic's dbt manifest, parsed anew only when something it depends on changed. Raises DbtError."""
    folder = manifest_dir(clinic)
    folder.mkdir(parents=True, exist_ok=True)
    path, key_path = folder / "manifest.json", folder / "key"
    given = variables(clinic)
    key = _key(given)
    # Webserver, daemon and a run load the code location at the same time.
    with FileLock(folder / "lock"):
        if not (path.exists() and key_path.exists() and key_path.read_text() == key):
            key_path.unlink(missing_ok=True)
            _parse(clinic, given, folder)
            durable.write(key_path, key)
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    _attach_singular_tests(manifest)
    return manifest


def _parse(clinic: Clinic, given: str, folder: Path) -> None:
    done = subprocess.run(
        [str(executable()), "--no-use-colors", "--quiet", "parse", "--no-partial-parse", "--vars", given],
        env={**os.environ, **environment(build_path(clinic.data_dir), folder)},
        cwd=PROJECT_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = " ".join((done.stdout + done.stderr).split())
        raise DbtError(f"dbt cannot parse {PROJECT_DIR}: {said[-1500:]}")


def _key(given: str) -> str:
    """A digest of everything that decides what the manifest says."""
    digest = hashlib.sha256(given.encode())
    for package in ("dbt-core", "dbt-duckdb"):
        digest.update(importlib.metadata.version(package).encode())
    files = [path for pattern in _SOURCES for path in PROJECT_DIR.rglob(pattern)]
    for path in sorted(files):
        inner = path.relative_to(PROJECT_DIR)
        if inner.parts[0] not in _NOT_SOURCES:
            digest.update(f"\0{inner}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _attach_singular_tests(manifest: dict[str, Any]) -> None:
    """Say on which model a singular test with several parents is shown.

    Without it, dagster-dbt makes no asset check of such a test: the conservation laws would be the ones
    missing from the graph. The last parent in the order of building is the one that the law is about.
    """
    depth: dict[str, int] = {}

    def depth_of(unique_id: str) -> int:
        if unique_id not in depth:
            depth[unique_id] = 1 + max(map(depth_of, manifest["parent_map"].get(unique_id, [])), default=0)
        return depth[unique_id]

    for node in manifest["nodes"].values():
        if node["resource_type"] != "test" or node.get("attached_node"):
            continue
        parents = [p for p in node["depends_on"]["nodes"] if p in manifest["nodes"]]
        meta = node["config"].setdefault("meta", {})
        if len(node["depends_on"]["nodes"]) > 1 and parents and "dagster" not in meta:
            last = max(parents, key=lambda unique_id: (depth_of(unique_id), unique_id))
            meta["dagster"] = {"ref": {"name": manifest["nodes"][last]["name"]}}


def environment(build: Path, target: Path) -> dict[str, str]:
    """What dbt's environment says where it builds into `build` and keeps its files in `target`."""
    return {
        **_QUIET,
        BUILD_VARIABLE: str(build),
        "DBT_PROJECT_DIR": str(PROJECT_DIR),
        "DBT_PROFILES_DIR": str(PROJECT_DIR),
        "DBT_TARGET_PATH": str(target),
        "DBT_LOG_PATH": str(target),
        "PYTHONUNBUFFERED": "1",
    }


def reuse_parsing(clinic: Clinic, target: Path) -> None:
    """Let a dbt command with this target folder start from what was parsed: seconds less in each run."""
    target.mkdir(parents=True, exist_ok=True)
    parsed = manifest_dir(clinic) / "partial_parse.msgpack"
    if parsed.exists():
        shutil.copyfile(parsed, target / parsed.name)


def failures(target: Path, manifest: Mapping[str, Any]) -> list[str]:
    """One line for each model or test that stopped a finished dbt command, from its run_results.json."""
    try:
        results = json.loads((target / "run_results.json").read_text(encoding="utf-8"))["results"]
    except FileNotFoundError:
        return []
    lines = []
    for result in results:
        node = manifest["nodes"].get(result["unique_id"])
        if node is None or result["status"] not in ("error", "fail", "runtime error"):
            continue
        if result["status"] == "fail":
            about = f" on {parent}" if (parent := _about(node, manifest)) else ""
            rows = result.get("failures")
            lines.append(f"test {node['name']}{about} failed" + (f" ({rows} rows)" if rows else ""))
        else:
            said = " ".join(str(result.get("message") or "").split())
            lines.append(f"{node['resource_type']} {node['name']} could not be built: {said[:400]}")
    more = len(lines) - _NAMES_SHOWN
    return lines[:_NAMES_SHOWN] + ([f"and {more} more"] if more > 0 else [])


def _about(node: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    attached = manifest["nodes"].get(node.get("attached_node") or "")
    if attached is not None:
        return f"{attached['schema']}.{attached['name']}"
    return str(node["config"].get("meta", {}).get("dagster", {}).get("ref", {}).get("name", ""))


if __name__ == "__main__":
    # For dbt by hand: --vars "$(python -m pipelines.dbt [clinic.yaml [data-dir]])".
    _config, _data = (sys.argv[1:] + ["clinic.yaml", "data"][len(sys.argv) - 1 :])[:2]
    print(variables(load_clinic(Path(_config), Path(_data))))  # noqa: T201
