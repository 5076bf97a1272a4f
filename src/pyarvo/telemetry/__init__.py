"""
Telemetry: what pyarvo tells OpenTelemetry, and how it finds out that nobody listens.

Set up an SDK as for any other library, and spans and metrics appear; without one, nothing is built. Names are
in `names.py`; `docs/telemetry.md` says what they answer.
"""

from pyarvo.telemetry.providers import active, active_trace, use_providers

__all__ = ["active", "active_trace", "use_providers"]
