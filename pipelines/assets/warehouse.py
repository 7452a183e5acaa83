"""Every dbt model as an asset, every dbt test as a check, in one build of the whole warehouse."""

import importlib.metadata
import os
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import (
    DagsterDbtCliRuntimeError,
    DagsterDbtTranslator,
    DbtCliEventMessage,
    DbtCliInvocation,
    dbt_assets,
)
from packaging import version

from pipelines import dbt as dbt_project
from pipelines import progress
from pipelines.home import POOL
from pipelines.metadata import BuildMetadata
from pipelines.night import Night

# dbt's log says so in the data of these events.
_RESULTS = frozenset({"LogModelResult", "LogSeedResult", "LogTestResult"})


class Translator(DagsterDbtTranslator):
    """Names and groups: a model is `<schema>/<name>` and stands in the group of its layer."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """`[schema, name]` for a model or seed, `[landing, kind, stream]` for a source: the landing asset."""
        if dbt_resource_props["resource_type"] == "source":
            return dg.AssetKey(["landing", dbt_resource_props["source_name"], dbt_resource_props["name"]])
        return dg.AssetKey([dbt_resource_props["schema"], dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """The layer."""
        if dbt_resource_props["resource_type"] == "source":
            return None
        return str(dbt_resource_props["schema"])

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """The model's own description; its SQL is in the project, not in every page of the UI."""
        return str(dbt_resource_props.get("description") or dbt_resource_props["name"])


def warehouse_assets(manifest: Mapping[str, Any]) -> dg.AssetsDefinition:
    """The dbt models of this clinic's manifest as one multi-asset."""
    translator = Translator()

    @dbt_assets(
        manifest=manifest,
        dagster_dbt_translator=translator,
        name="dbt_models",
        pool=POOL,
    )
    def dbt_models(context: dg.AssetExecutionContext, night: dg.ResourceParam[Night]) -> Iterator[Any]:
        progress.current().stage("transforming", "dbt builds and tests the warehouse")
        build = _start(night, manifest, translator)
        made: list[Any] = []
        failed: DagsterDbtCliRuntimeError | None = None
        try:
            made.extend(_events(build, context, manifest, translator))
        except DagsterDbtCliRuntimeError as error:
            failed = error
        finally:
            if build.process.poll() is None:
                build.process.terminate()
                build.process.wait()
        # DuckDB lets nobody read the file while dbt writes it, so what it says comes when dbt has ended.
        progress.current().doing("row counts and column lineage")
        yield from _with_metadata(made, night, manifest, translator)
        if failed is not None:
            wrong = dbt_project.failures(night.target, manifest)
            context.log.error(str(failed))
            raise dg.Failure(
                "nothing was published: " + ("; ".join(wrong) or _last_words(failed)),
                metadata={"dbt_log": dg.MetadataValue.path(night.target / "dbt.log")},
                allow_retries=False,
            )

    return dbt_models


def _start(night: Night, manifest: Mapping[str, Any], translator: DagsterDbtTranslator) -> DbtCliInvocation:
    """Start `dbt build` of the whole warehouse into this run's build file.

    Whole whatever is selected in Dagster: the file is new, so a part would lack what it reads. Unit tests
    guard code, not data; CI runs them. Started without dagster-dbt's resource, which would call `dbt
    --version` first, and that asks the package index for newer ones.
    """
    dbt_project.reuse_parsing(night.clinic, night.target)
    return DbtCliInvocation.run(
        args=[
            str(dbt_project.executable()),
            "--no-use-colors",
            "--log-level-file",
            "info",
            "build",
            "--exclude-resource-type",
            "unit_test",
            "--vars",
            dbt_project.variables(night.clinic),
        ],
        env={**os.environ, **dbt_project.environment(night.build, night.target), "DBT_LOG_FORMAT": "json"},
        manifest=manifest,
        dagster_dbt_translator=translator,
        project_dir=dbt_project.PROJECT_DIR,
        target_path=night.target,
        raise_on_error=True,
        context=None,
        adapter=None,
        cli_version=version.parse(importlib.metadata.version("dbt-core")),
    )


def _with_metadata(
    made: list[Any], night: Night, manifest: Mapping[str, Any], translator: DagsterDbtTranslator
) -> Iterator[Any]:
    """The events of a build, its models' with row count, column schema and column lineage."""
    if not any(isinstance(event, dg.Output) for event in made):
        yield from made
        return
    nodes = [*manifest["nodes"].values(), *manifest["sources"].values()]
    keys = {
        node["unique_id"]: translator.get_asset_key(node)
        for node in nodes
        if node["resource_type"] in ("model", "seed", "source")
    }
    metadata = BuildMetadata(night.build, night.target / "compiled", manifest, keys)
    for event in made:
        if isinstance(event, dg.Output):
            unique_id = str(event.metadata["unique_id"].value)
            yield event.with_metadata({**event.metadata, **metadata.of(unique_id)})
        else:
            yield event


def _events(
    build: DbtCliInvocation,
    context: dg.AssetExecutionContext,
    manifest: Mapping[str, Any],
    translator: DagsterDbtTranslator,
) -> Iterator[Any]:
    """Dbt's events as Dagster's, for the assets and checks of this step that are selected."""
    outputs = {key.to_python_identifier() for key in context.selected_asset_keys}
    for event in build.stream_raw_events():
        _report(event, manifest)
        for made in event.to_default_asset_events(
            manifest=manifest,
            dagster_dbt_translator=translator,
            context=context,
            target_path=build.target_path,
        ):
            # Tests of unselected models come as observations; they were run all the same.
            if isinstance(made, dg.AssetObservation):
                continue
            if not isinstance(made, dg.Output) or made.output_name in outputs:
                yield made


def _report(event: DbtCliEventMessage, manifest: Mapping[str, Any]) -> None:
    """Tell who listens how far dbt is."""
    data = event.raw_event["data"]
    if event.raw_event["info"]["name"] not in _RESULTS:
        return
    node = manifest["nodes"].get(data.get("node_info", {}).get("unique_id"))
    if node is None:
        return
    listener = progress.current()
    name = f"{node['schema']}.{node['name']}" if node["resource_type"] != "test" else node["name"]
    listener.doing(name, done=data.get("index"), of=data.get("total"))
    status = str(data.get("status", "")).lower()
    if node["resource_type"] != "test" and status.startswith(("ok", "success", "pass")):
        listener.finished(name)
    elif status.startswith(("fail", "error", "warn")):
        listener.finished(name, note=_outcome(event), failed=True)


def _outcome(event: DbtCliEventMessage) -> str:
    failures = event.raw_event["data"].get("num_failures")
    status = str(event.raw_event["data"].get("status", "")).lower().split()[0]
    return f"{status}, {failures} rows" if failures else status


def _last_words(error: DagsterDbtCliRuntimeError) -> str:
    """The end of what dbt said, on one line, when it stopped before it had results."""
    said = " ".join(str(error.description or error).split())
    return f"dbt failed: {said[-600:]}"
