"""Which schema the memory of a URL needs, and the SQL of it for those who apply it by hand."""

from __future__ import annotations

from importlib.resources import files

from msgspec import Struct

from pyarvo.memory.urls import check_url, is_built_in, parse_url

__all__ = ["Schema", "is_made", "schema_of"]


class Schema(Struct, frozen=True):
    """
    Tables of a memory.

    Attributes:
        version: The newest, which this pyarvo makes.

        sql: What makes it where there is nothing.
    """

    version: int
    sql: str


def is_made(url: str) -> bool:
    """Whether there is something to make at *url* before a memory is used: a file, tables, a bucket, a mark."""
    return is_built_in(url) and parse_url(url)[0] != "memory"


def schema_of(url: str) -> Schema | None:
    """
    The schema of the memory that *url* names; None where it keeps no tables.

    Raises:
        InvalidOption: It is not the URL of a memory, or the memory does not take an option.
    """
    check_url(url)
    scheme, options = parse_url(url)
    if scheme == "sqlite":
        from pyarvo.memory.sqlite.connection import APPLICATION_ID, SCHEMA_VERSION

        text = files("pyarvo.memory.sqlite").joinpath("schema.sql").read_text(encoding="utf-8")
        marks = f"PRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {SCHEMA_VERSION};\n"
        return Schema(SCHEMA_VERSION, f"{text.rstrip()}\n\n{marks}")
    if scheme == "postgresql":
        from pyarvo.memory import postgres

        return Schema(postgres.SCHEMA_VERSION, postgres.migration_sql(options.get("schema", "pyarvo")))
    return None
