"""The kit as a pytest class: one test a clause. Pytest itself is not imported."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, ClassVar

from pyarvo.testing.conformance.bench import Factory
from pyarvo.testing.conformance.clause import clauses
from pyarvo.testing.conformance.levels import Level, levels_of
from pyarvo.testing.conformance.report import Outcome, Report
from pyarvo.testing.conformance.running import validate
from pyarvo.testing.conformance.watched import offered_by

__all__ = ["MachineMemoryConformance"]


class MachineMemoryConformance:
    """
    Subclass it, and give it one fixture `memory_factory` that returns a factory; see `validate`.

        class TestMyMemory(MachineMemoryConformance):
            levels = ("base",)

            @pytest.fixture
            def memory_factory(self, tmp_path):
                return lambda **options: MyMemory(tmp_path / "store", **options)

    The first test runs all clauses that pytest selected, at the same time; so each store needs one second for
    everything that has to expire, not one for each. The other tests tell what came out.

    Attributes:
        levels: What the memory promises: "base", "leased", "query", "backend", "network". The last one needs one more
            fixture, `memory_server`: the "host:port" of the server; see `validate`.

        seed: Of everything drawn at random.
    """

    levels: ClassVar[Iterable[str]] = ("base",)
    seed: ClassVar[int] = 0

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """One test for each clause of the declared levels, with its id."""
        if "clause_id" in metafunc.fixturenames:
            declared = levels_of(metafunc.cls.levels)
            metafunc.parametrize("clause_id", [each.id for each in clauses() if each.level in declared])

    def test_clause(self, clause_id: str, memory_factory: Factory, request: Any) -> None:
        """The memory keeps the promise of the clause."""
        report = _report_of(request, memory_factory)
        (result,) = (each for each in report.clauses if each.id == clause_id)
        if result.outcome is not Outcome.PASSED:
            told = [f"{result.id} {result.outcome}: {result.title}", result.reason, *result.history]
            raise AssertionError("\n".join(told))

    def test_declares_what_it_offers(self, memory_factory: Factory) -> None:
        """Nothing that the memory offers goes untested."""

        async def offered() -> frozenset[Level]:
            memory = memory_factory()
            close = getattr(memory, "close", None)
            if close is not None:
                await close()
            return offered_by(memory)

        undeclared = asyncio.run(offered()) - levels_of(self.levels)
        if undeclared:
            raise AssertionError(
                f"the memory also offers {', '.join(sorted(undeclared))}: declare it in `levels`"
            )


def _report_of(request: Any, factory: Factory) -> Report:
    """What the clauses of this class gave, run once."""
    cls = request.cls
    reports: dict[type, Report] = request.config.__dict__.setdefault("_pyarvo_conformance", {})
    if cls not in reports:
        selected = [
            item.callspec.params["clause_id"]
            for item in request.session.items
            if getattr(item, "cls", None) is cls and hasattr(item, "callspec")
        ]
        server = request.getfixturevalue("memory_server") if Level.NETWORK in levels_of(cls.levels) else None
        run = validate(factory, levels=tuple(cls.levels), only=selected, seed=cls.seed, server=server)
        reports[cls] = asyncio.run(run)
    return reports[cls]
