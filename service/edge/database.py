"""The database behind the ledger: SQLite that survives a power cut, or PostgreSQL by URL, with an up-to-date schema."""

from pathlib import Path
from typing import Any

import sqlalchemy as sql
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import Connection, Engine

from service.core.errors import ConfigurationError

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_SECONDS = 8  # less than a lease: a worker that waits for the database does not lose its job


def connect(url: str) -> Engine:
    """An engine for an SQLAlchemy URL. Raises ConfigurationError when there is no driver for it."""
    sqlite = url.startswith("sqlite")
    patience = {"timeout": _BUSY_SECONDS} if sqlite else {}
    try:
        engine = sql.create_engine(url, connect_args=patience, hide_parameters=True, pool_pre_ping=not sqlite)
    except (ModuleNotFoundError, sql.exc.ArgumentError) as error:
        raise ConfigurationError(f"the ledger {url.rsplit('@', maxsplit=1)[-1]!r} cannot be opened: {error}") from error
    if engine.dialect.name == "sqlite":
        sql.event.listen(engine, "connect", _prepare_sqlite)
        sql.event.listen(engine, "begin", _begin_immediate)
    return engine


def migrate(engine: Engine) -> None:
    """Bring the schema up to date."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN is deferred, and fails at once under contention
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
