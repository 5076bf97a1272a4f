"""
The synchronous face: memories and handlers for Django, Flask, scripts and threads.

`open_memory` gives a memory with the same verbs as calls that return when they are done; `execute` hands an event to a
handler; `run` does the same for any other asynchronous function. They share one event loop in a background thread.
"""

from pyarvo.sync.memory import SyncMemory, open_memory
from pyarvo.sync.portal import Handler, execute, run

__all__ = ["Handler", "SyncMemory", "execute", "open_memory", "run"]
