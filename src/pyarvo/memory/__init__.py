"""Machine Memory: keeps the record of a workflow between two events, and decides who may change it."""

from pyarvo.memory.backend import Find
from pyarvo.memory.contract import JSON, Lease, LeasedMachineMemory, MachineMemory, Record, Step
from pyarvo.memory.instances import Instance, Page
from pyarvo.memory.leased import LeasedMemory
from pyarvo.memory.options import MemoryOptions
from pyarvo.memory.simple import SimpleMachineMemory
from pyarvo.memory.sqlite import SqliteMachineMemory
from pyarvo.memory.urls import open_memory

__all__ = [
    "JSON",
    "Find",
    "Instance",
    "Lease",
    "LeasedMachineMemory",
    "LeasedMemory",
    "MachineMemory",
    "MemoryOptions",
    "Page",
    "Record",
    "SimpleMachineMemory",
    "SqliteMachineMemory",
    "Step",
    "open_memory",
]
