"""
The conformance kit: is this memory one that a workflow can be trusted to?

    report = await validate(factory)            # or: pyarvo conformance URL
    print(report.to_text())

`factory(**options)` opens another memory object over one and the same store; it takes `lease_ttl_s`. In pytest:
see `MachineMemoryConformance`. The page docs/conformance.md lists the clauses.
"""

from pyarvo.testing.conformance.bench import Bench, Factory, PromiseBroken
from pyarvo.testing.conformance.clause import Clause, Kind
from pyarvo.testing.conformance.clause import clauses as all_clauses
from pyarvo.testing.conformance.levels import Level
from pyarvo.testing.conformance.report import Outcome, Report, Result
from pyarvo.testing.conformance.running import validate
from pyarvo.testing.conformance.suite import MachineMemoryConformance

__all__ = [
    "Bench",
    "Clause",
    "Factory",
    "Kind",
    "Level",
    "MachineMemoryConformance",
    "Outcome",
    "PromiseBroken",
    "Report",
    "Result",
    "all_clauses",
    "validate",
]
