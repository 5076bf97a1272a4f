"""Workflows whose handlers run partly here and partly in the TypeScript system: `python -m tools.interop`."""
