"""One full load of the table `sales` from PostgreSQL into PostgreSQL by dlt: the rival of `bench rivals`.

usage: dlt_pipeline.py SOURCE TARGET BACKEND FORMAT FOLDER

BACKEND reads (connectorx, pyarrow, sqlalchemy), FORMAT is what dlt loads (csv, parquet, insert_values). The rows land
in `dlt_load.sales`. The settings are those that make dlt quicker, not slower: columns stay columns all the way, chunks
are large, and no index is kept up while it loads.
"""

import os
import sys

source, target, backend, file_format, folder = sys.argv[1:]

# dlt reads its settings from the environment when it is imported.
os.environ.update(
    {
        "DESTINATION__POSTGRES__CREATE_INDEXES": "false",
        "NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS": "200000",
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "ERROR",
    }
)

import dlt
from dlt.sources.sql_database import sql_table


def login(url, scheme):
    """dlt insists on a password where the throwaway servers ask for none."""
    user, _, place = url.removeprefix("postgres://").partition("@")
    return f"{scheme}://{user}:none@{place}"


READS_ARROW = {"connectorx": {"return_type": "arrow"}}

table = sql_table(
    credentials=login(source, "postgresql+psycopg2"),
    table="sales",
    backend=backend,
    backend_kwargs=READS_ARROW.get(backend, {}),
    chunk_size=100_000,
)
pipeline = dlt.pipeline(
    "rival",
    destination=dlt.destinations.postgres(login(target, "postgresql")),
    dataset_name="dlt_load",
    pipelines_dir=folder,
)
info = pipeline.run(table, write_disposition="replace", refresh="drop_sources", loader_file_format=file_format)
info.raise_on_failed_jobs()
