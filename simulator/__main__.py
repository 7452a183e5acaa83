"""`python -m simulator --out DIR [--seed N] [--scale X] [--months 18] [--noise 0.2]`."""

from __future__ import annotations

import argparse
from pathlib import Path

from simulator.run import simulate


def main() -> None:
    """Write an artificial clinic and say what was written."""
    parser = argparse.ArgumentParser(
        prog="python -m simulator", description="Write an artificial clinic's exports."
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write to; must have no inbox yet")
    parser.add_argument("--seed", type=int, default=1, help="equal seeds give equal files")
    parser.add_argument("--scale", type=float, default=1.0, help="1 is a clinic of some 2,500 new patients")
    parser.add_argument("--months", type=int, default=18, help="whole months, at least 15")
    parser.add_argument("--flaws", action="store_true", help="plant what a run must complain of, too")
    parser.add_argument("--noise", type=float, default=0.0, help="share of sessions and numbers to spoil")
    given = parser.parse_args()
    try:
        made = simulate(
            given.out,
            seed=given.seed,
            scale=given.scale,
            months=given.months,
            flaws=given.flaws,
            noise=given.noise,
        )
    except (FileExistsError, ValueError) as error:
        parser.error(str(error))
    print(
        f"{made.start} to {made.end}: {made.sessions} sessions, {made.calls} calls, "
        f"{made.contacts} other contacts, {made.visits} visits, "
        f"{made.new_patients} new patients of {made.patients}, in {made.files} files"
    )
    print(f"firstvisit --config {made.config} --data-dir {made.data_dir} run")


if __name__ == "__main__":
    main()
