"""SQL lives in `.sql` files: a line `-- name: x`, comment lines that describe it, then the statement."""

from __future__ import annotations

from importlib.resources import files
from types import MappingProxyType

__all__ = ["load_statements"]


def load_statements(package: str, name: str = "queries.sql") -> MappingProxyType[str, str]:
    """The statements of a file inside *package*, by name."""
    text = files(package).joinpath(name).read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for block in text.split("-- name: ")[1:]:
        title, _, body = block.partition("\n")
        lines = [line for line in body.splitlines() if not line.startswith("--")]
        found[title.strip()] = "\n".join(lines).strip()
    return MappingProxyType(found)
