"""The engine of this package against XState in Node, on random charts: `make fuzz-xstate`."""
