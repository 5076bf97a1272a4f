"""
The command line, `pyarvo`: looks at a memory, tends its leases, draws machines, runs the demo.

Commands read, in `instances`, `locks`, `diagram`; what they say is made by pure functions (`explaining`, `advice`,
`waiting`, `diff`, `views`) and shown by `output`, as a table or as JSON. Nothing that a handler or a memory needs
imports this room: it loads typer and rich.
"""

from pyarvo.cli.app import app, main

__all__ = ["app", "main"]
