"""Trials with real processes and real servers: `python -m trials`. What they come to is in docs/trials.md."""
