"""SQL over the shards of a batch, with DuckDB: read-only, over the shards that the manifest names and no others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepbusy.batch.results import done_work, state_of
from keepbusy.batch.schema import TABLES, arrow, schemas
from keepbusy.batch.shards import shard_path
from keepbusy.errors import ConfigError, KeepbusyError, MissingExtraError, first_line

if TYPE_CHECKING:
    import duckdb
    import pyarrow

QUESTIONS = {
    "objects": "SELECT name, count(*) AS detections, count(DISTINCT (source, index)) AS frames, "
    "round(avg(confidence), 3) AS confidence FROM detections GROUP BY name ORDER BY detections DESC, name",
    "busiest-minutes": "SELECT source, floor(timestamp_s / 60)::INTEGER AS minute, sum(num_detections)::BIGINT AS "
    "detections, max(num_detections) AS most_in_a_frame FROM frames WHERE timestamp_s IS NOT NULL "
    "GROUP BY source, minute ORDER BY detections DESC, source, minute LIMIT 20",
    "objects-per-hour": "SELECT name, floor(timestamp_s / 3600)::INTEGER AS hour, count(*) AS detections "
    "FROM detections WHERE timestamp_s IS NOT NULL GROUP BY name, hour ORDER BY hour, detections DESC, name",
    "to-review": "SELECT source, index, timestamp_s, count(*) AS uncertain, round(min(confidence), 3) AS lowest "
    "FROM detections WHERE confidence < 0.4 GROUP BY ALL ORDER BY uncertain DESC, source, index LIMIT 50",
    "errors": "SELECT source, index, error.stage AS stage, error.message AS message FROM frames "
    "WHERE error IS NOT NULL ORDER BY source, index",
    "slowest": "SELECT source, index, round(read_ms, 1) AS read_ms, round(infer_ms, 1) AS infer_ms, "
    "round(latency_ms, 1) AS latency_ms FROM frames ORDER BY frames.latency_ms DESC NULLS LAST LIMIT 20",
}
"""Questions that have a name, as SQL."""


def query(folder: str | Path, sql: str) -> pyarrow.Table:
    """Ask a batch in SQL.

    There are two tables, `detections` and `frames`; see `keepbusy.batch.schema` for their columns. A batch may be asked
    while it goes on: the shards that are done then are what it has.

    Args:
        folder: The batch's.
        sql: A question in DuckDB's SQL, or the name of one of `QUESTIONS`.

    Returns:
        The answer, a `pyarrow.Table`: `.to_pandas()`, `.to_pylist()`.

    Raises:
        ConfigError: There is no batch in the folder, or the question cannot be answered.
        KeepbusyError: The manifest or a shard is damaged.
        MissingExtraError: DuckDB or PyArrow is not installed.
    """
    with connected(folder) as connection:
        return asked(connection, sql)


@contextmanager
def connected(folder: str | Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the two tables of a batch, without access to anything else.

    Raises:
        As for `query`.
    """
    arrow()
    try:
        import duckdb
    except ImportError as error:
        raise MissingExtraError("a query", extra="batch") from error
    place, state = state_of(folder)
    shards = [work.shard for work in done_work(place, state)]
    connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false"})
    try:
        for table in TABLES:
            _attach(connection, table, [shard_path(place, table, shard) for shard in shards])
        allowed = ", ".join(_quoted(str(place.resolve() / table)) for table in TABLES)
        connection.execute(f"SET allowed_directories = [{allowed}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection
    finally:
        connection.close()


def asked(connection: duckdb.DuckDBPyConnection, sql: str) -> pyarrow.Table:
    """The answer to one question.

    Raises:
        ConfigError: It cannot be answered.
        KeepbusyError: A shard is damaged.
    """
    import duckdb

    text = QUESTIONS.get(sql.strip(), sql)
    try:
        kinds = [one.type for one in connection.extract_statements(text)]
        if len(kinds) != 1 or kinds[0] != duckdb.StatementType.SELECT:
            raise ConfigError("query: is no single question", hint="write one SELECT over `detections` and `frames`")
        return connection.sql(text).to_arrow_table()
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        raise KeepbusyError(
            f"a shard cannot be read: {first_line(error)}",
            hint="`keepbusy batch status` finds damaged shards, and the same batch command does them again",
        ) from error
    except duckdb.Error as error:
        raise ConfigError(f"query: {first_line(error)}", hint=_columns_hint()) from error


def _attach(connection: duckdb.DuckDBPyConnection, table: str, paths: Sequence[Path]) -> None:
    columns = ", ".join(f'"{name}"' for name in schemas()[table].names)
    if paths:
        files = ", ".join(_quoted(str(path.resolve())) for path in paths)
        connection.execute(f"CREATE VIEW {table} AS SELECT {columns} FROM read_parquet([{files}])")  # nosec B608
    else:
        empty: Any = schemas()[table].empty_table()
        connection.register(f"no_{table}", empty)
        connection.execute(f"CREATE TABLE {table} AS SELECT * FROM no_{table}")  # nosec B608


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _columns_hint() -> str:
    told = [f"`{table}` has {', '.join(schema.names)}" for table, schema in schemas().items()]
    return "; ".join(told)
