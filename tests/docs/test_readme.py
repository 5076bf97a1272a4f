"""What the README shows is run as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from pyarvo.demo.orders import INPUT, placed_orders, read_lines

README = Path(__file__).parents[2] / "README.md"


def test_the_example_runs_as_it_stands(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (promised,) = re.findall(r"# (arvo\.orc\..*)", example)
    command = [sys.executable, "-W", "error", "-c", example]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == promised
    assert (tmp_path / "orders.db").is_file()


def test_every_linked_page_is_there() -> None:
    links = re.findall(r"\]\(((?!https?:)[^)#]+)\)", README.read_text())
    assert links
    assert [link for link in links if not (README.parent / link).exists()] == []
    project = tomllib.loads((README.parent / "pyproject.toml").read_text())
    shipped = project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert [link for link in links if link.partition("/")[0] not in shipped] == []


def test_the_commands_for_contributors_are_targets() -> None:
    makefile = (README.parent / "Makefile").read_text()
    named = re.findall(r"^make ([\w-]+)", (README.parent / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert len(named) >= 8
    assert [target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


def test_every_link_between_pages_is_there() -> None:
    root = README.parent
    pages = [*root.glob("*.md"), *root.glob("docs/**/*.md")]
    links = [
        (page, link)
        for page in pages
        for link in re.findall(
            r"\]\(((?!https?:)[^)#\s]+)", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        )
    ]
    assert len(links) > 30
    assert [(page.name, link) for page, link in links if not (page.parent / link).exists()] == []


def test_the_index_names_every_page() -> None:
    docs = README.parent / "docs"
    named = set(re.findall(r"\]\(([\w/-]+\.md)\)", (docs / "README.md").read_text()))
    assert named == {str(page.relative_to(docs)) for page in docs.rglob("*.md")} - {"README.md"}


def test_it_says_how_many_orders_the_demo_has() -> None:
    (said,) = re.findall(r"pyarvo demo +# (\d+) orders", README.read_text())
    assert int(said) == len(placed_orders(read_lines(INPUT)))
