"""The code location: what lands, what dbt builds, what is published, and when.

`dagster` finds `defs` here (workspace.yaml). Which clinic it loads comes from FIRSTVISIT_CONFIG and
FIRSTVISIT_DATA_DIR; `build_definitions` makes the same for any checked configuration.
"""

import os
from pathlib import Path

import dagster as dg

from pipelines import dbt
from pipelines.assets.landing import landing_assets
from pipelines.assets.publication import publication_assets
from pipelines.assets.warehouse import warehouse_assets
from pipelines.config import Clinic, load_clinic
from pipelines.logs import file_logger
from pipelines.night import night_resource
from pipelines.sensor import inbox_sensor

JOB = "nightly"
CONFIG_VARIABLE = "FIRSTVISIT_CONFIG"
DATA_VARIABLE = "FIRSTVISIT_DATA_DIR"
DEFAULT_CONFIG = "clinic.yaml"
DEFAULT_DATA = "data"


def build_definitions(clinic: Clinic) -> dg.Definitions:
    """Everything Dagster knows of a clinic. Raises DbtError when the dbt project does not parse."""
    # A run may be executed from another working directory than the one that the paths were written for.
    clinic = clinic.model_copy(
        update={"data_dir": clinic.data_dir.resolve(), "config_path": clinic.config_path.resolve()}
    )
    manifest = dbt.prepare_manifest(clinic)
    landing = landing_assets(clinic)
    models = warehouse_assets(manifest)
    nightly = dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.all(),
        description="Land every source, build and test the warehouse, publish it, say how it went.",
    )
    schedule = dg.ScheduleDefinition(
        name=JOB,
        job=nightly,
        cron_schedule="0 3 * * *",
        execution_timezone=clinic.timezone.key,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Every night at 03:00 in {clinic.timezone.key}.",
    )
    return dg.Definitions(
        assets=[*landing, models, *publication_assets(models, landing)],
        jobs=[nightly],
        schedules=[schedule],
        sensors=[inbox_sensor(clinic, nightly)],
        resources={"night": night_resource(clinic)},
        # One process per run: the lock on the data directory then covers landing to publishing, and dies
        # with the process.
        executor=dg.in_process_executor,
        loggers={"console": dg.colored_console_logger, "file": file_logger},
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions of the clinic that the environment names. Raises ConfigError, DbtError."""
    config = Path(os.environ.get(CONFIG_VARIABLE, DEFAULT_CONFIG))
    data_dir = Path(os.environ.get(DATA_VARIABLE, DEFAULT_DATA))
    return build_definitions(load_clinic(config, data_dir))
