"""Deliberately wrong memories. The conformance kit must find every one of them, and say which promise it breaks."""

from importlib import import_module

from pyarvo.testing.mutants.mutant import Factory, Mutant, honest, known
from pyarvo.testing.mutants.stores import InFile, InMemory, MutantStore, OnServer
from pyarvo.testing.mutants.typescript_faults import FAULTS, KnownFault

__all__ = [
    "FAULTS",
    "MUTANTS",
    "Factory",
    "InFile",
    "InMemory",
    "KnownFault",
    "Mutant",
    "MutantStore",
    "OnServer",
    "honest",
]

# Each of these modules makes its mutants known when it is imported.
for _name in (
    "leases life memories network queries records refusals rights rules steps telling typescript verbs writes"
).split():
    import_module(f"{__name__}.{_name}")

MUTANTS: tuple[Mutant, ...] = known()
"""All of them, in the order of their definition."""
