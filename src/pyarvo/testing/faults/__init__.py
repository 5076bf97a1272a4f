"""Faults for tests: of the memory, of the store below it, of the network, and of the process itself."""

from pyarvo.testing.faults.killing import Killer, KillPoint, kill_at
from pyarvo.testing.faults.memory import FaultyBackend, FaultyMemory
from pyarvo.testing.faults.plan import VERBS, Fault, FaultKind, Injected, Plan, RandomPlan, Script
from pyarvo.testing.faults.proxy import TcpProxy

__all__ = [
    "VERBS",
    "Fault",
    "FaultKind",
    "FaultyBackend",
    "FaultyMemory",
    "Injected",
    "KillPoint",
    "Killer",
    "Plan",
    "RandomPlan",
    "Script",
    "TcpProxy",
    "kill_at",
]
