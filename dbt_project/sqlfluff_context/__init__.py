"""What sqlfluff's Jinja templater sees beside its own stand-ins for dbt: `var()` with the real defaults.

Its own `var()` gives the same text for every variable, on which loops and arithmetic fail.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

_VARS: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[1] / "dbt_project.yml").read_text(encoding="utf-8")
)["vars"]


def var(name: str, default: Any = None) -> Any:
    """The variable's default in dbt_project.yml, else `default`, as dbt would give it."""
    return _VARS.get(name, default)
