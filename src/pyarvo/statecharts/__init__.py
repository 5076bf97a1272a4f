"""
Statecharts: `(definition, snapshot, event) -> (snapshot, emitted, output)`, pure.

Definitions are written in the form of XState v5; `docs/statecharts.md` says what is supported and what holds where the
specifications disagree.
"""

from __future__ import annotations

from pyarvo.statecharts.actions import assign, emit, enqueue_arvo_event, raise_
from pyarvo.statecharts.compile import Machine
from pyarvo.statecharts.diagram import to_dot, to_mermaid, to_text
from pyarvo.statecharts.engine.step import StepResult, step
from pyarvo.statecharts.events import Event
from pyarvo.statecharts.forms import MachineForm, StateForm, TransitionForm
from pyarvo.statecharts.guards import and_, not_, or_, state_in
from pyarvo.statecharts.setup import ArvoMachine, ArvoMachineSetup, MachineContracts, setup_arvo_machine

__all__ = [
    "ArvoMachine",
    "ArvoMachineSetup",
    "Event",
    "Machine",
    "MachineContracts",
    "MachineForm",
    "StateForm",
    "StepResult",
    "TransitionForm",
    "and_",
    "assign",
    "emit",
    "enqueue_arvo_event",
    "not_",
    "or_",
    "raise_",
    "setup_arvo_machine",
    "state_in",
    "step",
    "to_dot",
    "to_mermaid",
    "to_text",
]
