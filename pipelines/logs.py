"""Dagster's log of a run as a file, for runs whose terminal shows something better."""

import logging

import dagster as dg


@dg.logger(
    config_schema={"path": dg.Field(str, description="The file; lines are appended.")},
    description="Appends the run's log to a file.",
)
def file_logger(context: dg.InitLoggerContext) -> logging.Logger:
    """A logger of one run. Its file is closed when the process ends."""
    path = context.logger_config["path"]
    logger = logging.Logger(f"firstvisit.{path}", level=logging.DEBUG)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    return logger
