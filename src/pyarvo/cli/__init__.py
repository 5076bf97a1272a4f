"""
The command line, `pyarvo`: looks at a memory, tends and examines it, draws machines, runs the demo.

Commands on instances are in `instances`, `versions`, `locks`; on a whole store in `purge`, `copy`, `migrate`, `doctor`,
`bench`; beside it `diagram` and `demo`. What they say is made by pure functions (`explaining`, `advice`, `waiting`,
`diff`, `views`) and shown by `output`, as a table or as JSON. Nothing that a handler or a memory needs
imports this room: it loads typer and rich.
"""

from pyarvo.cli.app import app, main

__all__ = ["app", "main"]
