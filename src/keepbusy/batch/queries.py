"""SQL over the shards of a batch, with DuckDB: read-only, over the shards that the manifest names and no others."""

from __future__ import annotations

import difflib
import os
import re
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepbusy.batch.results import Snapshot, snapshot
from keepbusy.batch.schema import TABLES, arrow, schemas
from keepbusy.batch.shards import shard_path
from keepbusy.errors import ConfigError, KeepbusyError, MissingExtraError, first_line
from keepbusy.texts import fit, shortened, valid_text

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

_HINT = "write one SELECT over `detections` and `frames`"


def query(folder: str | Path, sql: str) -> pyarrow.Table:
    """Ask a batch in SQL.

    There are two tables, `detections` and `frames`; see `keepbusy.batch.schema` for their columns. A batch may be asked
    while it goes on: the shards that are done then are what it has.

    Args:
        folder: The batch's.
        sql: A question in DuckDB's SQL, or the name of one of `QUESTIONS`.

    Returns:
        The answer, a `pyarrow.Table`: `.to_pandas()`, `.to_pylist()`. No two columns have the same name: of two that
        are called `source` the second is `source_1`, as in DuckDB.

    Raises:
        ConfigError: There is no batch in the folder, or the question cannot be answered.
        KeepbusyError: The manifest or a shard is damaged.
        MissingExtraError: DuckDB or PyArrow is not installed.
    """
    arrow()
    try:
        import duckdb
    except ImportError as error:
        raise MissingExtraError("a query", extra="batch") from error
    if not isinstance(sql, str):
        raise ConfigError(f"query: {type(sql).__name__} is no text", hint=_HINT)
    batch = snapshot(folder)
    text = _question(valid_text(sql))
    with _connected(batch) as connection:
        try:
            _check(connection.extract_statements(text))
            return _with_own_names(connection.sql(text).to_arrow_table())
        except duckdb.OutOfMemoryException as error:
            raise KeepbusyError(
                f"query: needs more memory than there is: {first_line(error)}",
                hint="ask for fewer rows, or for sums of them",
            ) from error
        except duckdb.Error as error:
            if isinstance(error, (duckdb.IOException, duckdb.InvalidInputException)):
                # Said of shards that cannot be read, and of much that can be wrong with a question.
                batch.check()
            raise ConfigError(f"query: {first_line(error)}", hint=_columns_hint()) from error


def _question(sql: str) -> str:
    """A question's SQL, given that or its name.

    Raises:
        ConfigError: There is none, or none of this name.
    """
    name = sql.strip()
    if not name:
        raise ConfigError("query: is empty", hint=_HINT)
    if name in QUESTIONS or not re.fullmatch(r"[\w-]+", name):
        return QUESTIONS.get(name, sql)
    near = difflib.get_close_matches(name.lower(), QUESTIONS, 1)
    told = f", did you mean {near[0]}?" if near else ""
    raise ConfigError(
        f"query: no question is called {fit(shortened(name))}{told}",
        hint=f"there are {', '.join(QUESTIONS)}; or write a SELECT over `detections` and `frames`",
    )


def _check(statements: Sequence[Any]) -> None:
    """See that there is one question, and nothing that changes something.

    Raises:
        ConfigError: There is not.
    """
    import duckdb

    kinds = [one.type for one in statements]
    if len(kinds) != 1:
        what = f"has {len(kinds)} statements, and can have one" if kinds else "is empty"
        raise ConfigError(f"query: {what}", hint=_HINT)
    if kinds[0] != duckdb.StatementType.SELECT:
        raise ConfigError(f"query: {kinds[0].name} is no question, and a batch is only read", hint=_HINT)


def _with_own_names(answer: pyarrow.Table) -> pyarrow.Table:
    """A table in which no two columns have the same name."""
    taken, names = set(answer.column_names), []
    seen: set[str] = set()
    for name in answer.column_names:
        own, number = name, 0
        while own in seen or (number and own in taken):
            number += 1
            own = f"{name}_{number}"
        seen.add(own)
        names.append(own)
    return answer.rename_columns(names)


@contextmanager
def _connected(batch: Snapshot) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the two tables of a batch, without access to anything else."""
    import duckdb

    # What does not fit into memory: made when it is needed, and removed when the connection is closed.
    spilled = os.path.join(tempfile.gettempdir(), f"keepbusy-query-{secrets.token_hex(8)}")
    config = {"autoinstall_known_extensions": "false", "temp_directory": spilled}
    place, shards = batch.place.resolve(), [work.shard for work in batch.works]
    connection = duckdb.connect(":memory:", config=config)
    try:
        for table in TABLES:
            _attach(connection, table, [shard_path(place, table, shard) for shard in shards])
        folders = [str(place / table) for table in TABLES]
        # Asked for both: where the pattern begins, and where the file is.
        allowed = ", ".join(map(_quoted, dict.fromkeys([*folders, *map(_literal, folders)])))
        connection.execute(f"SET allowed_directories = [{allowed}]")
        connection.execute("SET enable_external_access = false")
        # A name in a question is no variable of this program.
        connection.execute("SET python_enable_replacements = false")
        connection.execute("SET lock_configuration = true")
        yield connection
    finally:
        connection.close()


def _attach(connection: duckdb.DuckDBPyConnection, table: str, paths: Sequence[Path]) -> None:
    columns = ", ".join(f'"{name}"' for name in schemas()[table].names)
    if paths:
        files = ", ".join(_quoted(_literal(str(path))) for path in paths)
        # A folder called `source=x` would be a column.
        read = f"read_parquet([{files}], hive_partitioning = false)"
        connection.execute(f"CREATE VIEW {table} AS SELECT {columns} FROM {read}")  # nosec B608
    else:
        empty: Any = schemas()[table].empty_table()
        connection.register(f"no_{table}", empty)
        connection.execute(f"CREATE TABLE {table} AS SELECT * FROM no_{table}")  # nosec B608


def _literal(path: str) -> str:
    """A path for DuckDB, which takes it for a pattern."""
    return re.sub(r"([*?\[])", r"[\1]", path)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _columns_hint() -> str:
    told = [f"`{table}` has {', '.join(schema.names)}" for table, schema in schemas().items()]
    return "; ".join(told)
