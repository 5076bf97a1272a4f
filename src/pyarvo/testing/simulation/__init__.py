"""
The protocol of leases, fences, commits and redeliveries, simulated: shipped code, virtual time, faults by seed.

What runs is what ships: handlers, steps, memories, batching and the rules of `decide`. What is simulated is the world
around: a loop whose time is virtual, a network that delays and loses, processes that freeze and die, a clock that
is set back. A seed decides everything, so a seed that fails fails again.
"""

from pyarvo.testing.simulation.loop import Process, VirtualLoop
from pyarvo.testing.simulation.run import SimulationFailed, Verdict, run_seed, run_seeds
from pyarvo.testing.simulation.watch import Broken, Watch
from pyarvo.testing.simulation.world import World

__all__ = [
    "Broken",
    "Process",
    "SimulationFailed",
    "Verdict",
    "VirtualLoop",
    "Watch",
    "World",
    "run_seed",
    "run_seeds",
]
