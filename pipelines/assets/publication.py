"""The last two steps: publish what was built, then say whether the night as a whole went well."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from pipelines import progress
from pipelines.exports import ExportError, write_exports
from pipelines.home import POOL
from pipelines.night import Night
from pipelines.publish import SCHEMAS, PublishError, publish

PUBLISHED = dg.AssetKey(["published_warehouse"])
OUTCOME = dg.AssetKey(["night_outcome"])


def publication_assets(
    models: dg.AssetsDefinition, landing: Sequence[dg.AssetsDefinition]
) -> list[dg.AssetsDefinition]:
    """`published_warehouse` and `night_outcome`, after dbt's models and the landing assets."""
    # Besides what is copied, the models that nothing reads: all of the build precedes the publication.
    read = {dep for deps in models.asset_deps.values() for dep in deps}
    published = sorted(key for key in models.keys if key.path[0] in SCHEMAS or key not in read)
    checks = sorted(
        (check for assets in (*landing, models) for check in assets.check_keys),
        key=lambda check: check.to_user_string(),
    )

    @dg.asset(
        key=PUBLISHED,
        group_name="publish",
        description=(
            "What analysts open: warehouse/firstvisit.duckdb with the schemas marts, journeys, conformed and "
            "ops, swapped in whole once every blocking test has passed. Readable by DuckDB 1.2 and later. "
            "The desk's lists follow in exports/, readable by their owner alone."
        ),
        kinds={"duckdb"},
        deps=published,
        pool=POOL,
    )
    def published_warehouse(
        context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]
    ) -> dg.MaterializeResult[Any]:
        listener = progress.current()
        listener.stage("publishing", "copying the tested warehouse and swapping it in")
        warnings = unsatisfied(context.instance, checks)
        try:
            done = publish(
                night.build,
                night.clinic.data_dir,
                run_id=night.run_id,
                warnings=warnings,
                keep=night.clinic.publish.keep,
            )
            lists = write_exports(night.build, night.clinic.data_dir)
        except (PublishError, ExportError) as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        marts = {name: rows for name, rows in done.tables.items() if name.startswith("marts.")}
        for name, rows in marts.items():
            listener.finished(name, rows)
        return dg.MaterializeResult(
            metadata={
                "path": dg.MetadataValue.path(done.path),
                "dagster/row_count": sum(done.tables.values()),
                "size_bytes": done.size,
                "as_of": done.as_of or "no completed visit yet",
                "marts": dg.MetadataValue.table(
                    [dg.TableRecord({"table": name, "rows": rows}) for name, rows in sorted(marts.items())]
                    or [dg.TableRecord({"table": "none", "rows": 0})]
                ),
                "tables": len(done.tables),
                "exports": dg.MetadataValue.text(
                    ", ".join(f"{name}: {rows} rows" for name, rows in lists.items()) or "none"
                ),
                "warnings": dg.MetadataValue.text("\n".join(warnings) or "none"),
            }
        )

    @dg.asset(
        key=OUTCOME,
        group_name="publish",
        description=(
            "Fails when a load failed or a test warned, naming each, although everything else was published: "
            "so that it is seen."
        ),
        deps=[PUBLISHED],
    )
    def night_outcome(
        context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]
    ) -> dg.MaterializeResult[Any]:
        wrong = unsatisfied(context.instance, checks)
        if wrong:
            raise dg.Failure(
                "published, but not everything went well: " + "; ".join(wrong),
                metadata={"run": night.run_id, "wrong": len(wrong)},
                allow_retries=False,
            )
        return dg.MaterializeResult(metadata={"run": night.run_id, "checks": len(checks)})

    return [published_warehouse, night_outcome]


def unsatisfied(instance: dg.DagsterInstance, checks: Sequence[dg.AssetCheckKey]) -> list[str]:
    """One line for each check whose latest evaluation did not pass.

    The latest, not this run's: a run that retries only the last step must not find everything well.
    """
    lines = []
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(checks))
    for key in checks:
        record = found.get(key)
        evaluation = None if record is None or record.event is None else record.event.asset_check_evaluation
        if evaluation is not None and not evaluation.passed:
            lines.append(check_line(evaluation))
    return lines


def check_line(check: dg.AssetCheckEvaluation) -> str:
    """A check that did not pass, on one line: asset, check, and what it says or how many rows it found."""
    rows = check.metadata.get("dagster_dbt/failed_row_count")
    about = check.description or (f"{rows.value} rows" if rows is not None else "")
    return f"{check.asset_key.to_user_string()}: {check.check_name}" + (f": {about}" if about else "")
