"""Pictures of a machine: Mermaid, Graphviz and plain text, with the active states of a snapshot marked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pyarvo.statecharts.behaviour import label_of
from pyarvo.statecharts.compile import Machine
from pyarvo.statecharts.definition import one_or_many
from pyarvo.statecharts.events import done_type
from pyarvo.statecharts.model import Kind, State, Transition
from pyarvo.statecharts.snapshot import active_states

__all__ = ["to_dot", "to_mermaid", "to_text"]

_UNSAFE = re.compile(r"[^\w .,/*\[\]()+$-]", re.ASCII)


def to_mermaid(machine: Machine, snapshot: Mapping[str, Any] | None = None) -> str:
    """
    A Mermaid `stateDiagram-v2`.

    Args:
        machine: The machine.

        snapshot: Its active states are marked; None marks none.

    Raises:
        InvalidSnapshot: The snapshot is not one of this machine.
    """
    lines = ["stateDiagram-v2"]
    root = machine.root
    if root.kind is Kind.COMPOUND:
        for child in (*root.children, *root.histories):
            lines += _mermaid_state(child, 1)
        lines += [*_mermaid_any(root, 1), *(f"  [*] --> {_node(target)}" for target in _starts(root))]
    else:
        lines += [*_mermaid_state(root, 1), f"  [*] --> {_node(root)}"]
    for state in machine.states:
        for transition in _arrows(state):
            label = _mermaid_text(_arrow_label(transition))
            for target in transition.targets or (state,):
                lines.append(f"  {_mermaid_from(state, target)} --> {_mermaid_to(state, target)} : {label}")
    active = [] if snapshot is None else active_states(machine, snapshot)
    marked = [_node(state) for state in active if not state.children]
    if marked:
        lines += ["  classDef active fill:#ffe08a,stroke:#b8860b", f"  class {','.join(marked)} active"]
    return "\n".join(lines) + "\n"


def _mermaid_state(state: State, depth: int) -> list[str]:
    pad = "  " * depth
    node = _node(state)
    lines = [f'{pad}state "{_mermaid_text(_title(state))}" as {node}']
    if state.children:
        lines = [f"{lines[0]} {{"]
        for position, child in enumerate((*state.children, *state.histories)):
            if state.kind is Kind.PARALLEL and 0 < position < len(state.children):
                lines.append(f"{pad}  --")
            lines += _mermaid_state(child, depth + 1)
        lines += _mermaid_any(state, depth + 1)
        if state.kind is Kind.COMPOUND:
            lines += [f"{pad}  [*] --> {_node(target)}" for target in _starts(state)]
        lines.append(f"{pad}}}")
    elif state.kind is Kind.FINAL:
        lines.append(f"{pad}{node} --> [*]")
    if not state.children:
        lines += [f"{pad}{node} : {_mermaid_text(what)}" for what in _inside(state)]
    return lines


def _is_inward(source: State, target: State) -> bool:
    return bool(source.children) and (target is source or bool(source.below & target.bit))


def _mermaid_any(state: State, depth: int) -> list[str]:
    """A node that stands for whatever is active in *state*: no arrow can be drawn from a box to what it holds."""
    arrows = [(arrow, target) for arrow in _arrows(state) for target in arrow.targets or (state,)]
    if not any(_is_inward(state, target) for _, target in arrows):
        return []
    return [f'{"  " * depth}state "any of {_mermaid_text(_title(state))}" as {_node(state)}any']


def _mermaid_from(source: State, target: State) -> str:
    return f"{_node(source)}any" if _is_inward(source, target) else _node(source)


def _mermaid_to(source: State, target: State) -> str:
    return _mermaid_from(source, target) if source is target else _node(target)


def _mermaid_text(text: str) -> str:
    return _UNSAFE.sub(lambda found: f"#{ord(found.group())};", text)


def to_dot(machine: Machine, snapshot: Mapping[str, Any] | None = None) -> str:
    """
    A Graphviz digraph, one cluster per state that has states inside.

    Args:
        machine: The machine.

        snapshot: Its active states are marked; None marks none.

    Raises:
        InvalidSnapshot: The snapshot is not one of this machine.
    """
    active = _active(machine, snapshot)
    lines = [
        f"digraph {_quoted(machine.id)} {{",
        "  compound=true; rankdir=LR; node [shape=box, style=rounded];",
    ]
    lines += _dot_state(machine.root, active, 1)
    for state in machine.states:
        for target in _starts(state):
            lines.append(
                f"  {_quoted('start ' + state.id)} -> {_dot_end(target)}{_dot_options(None, target, '')};"
            )
        for arrow in _arrows(state):
            for target in arrow.targets or (state,):
                options = _dot_options(state, target, _arrow_label(arrow))
                lines.append(f"  {_dot_end(state)} -> {_dot_end(target)}{options};")
    return "\n".join([*lines, "}"]) + "\n"


def _dot_state(state: State, active: frozenset[int], depth: int) -> list[str]:
    pad = "  " * depth
    mark = ', fillcolor="#ffe08a", style="rounded,filled"' if state.index in active else ""
    label = _quoted("\n".join([_title(state), *_inside(state)]))
    if not state.children:
        shape = {Kind.FINAL: ", peripheries=2", Kind.HISTORY: ", shape=circle"}.get(state.kind, "")
        return [f"{pad}{_quoted(state.id)} [label={label}{shape}{mark}];"]
    border = "dashed" if state.parent is not None and state.parent.kind is Kind.PARALLEL else "rounded"
    lines = [f"{pad}subgraph {_quoted('cluster ' + state.id)} {{", f"{pad}  label={label}; style={border};"]
    if state.index in active:
        lines.append(f'{pad}  color="#b8860b"; penwidth=2;')
    lines.append(f"{pad}  {_quoted('start ' + state.id)} [shape=point];")
    for child in (*state.children, *state.histories):
        lines += _dot_state(child, active, depth + 1)
    return [*lines, f"{pad}}}"]


def _dot_end(state: State) -> str:
    """The node an edge is drawn at: a cluster has none, so its start point stands for it."""
    return _quoted(f"start {state.id}" if state.children else state.id)


def _dot_options(source: State | None, target: State, label: str) -> str:
    options = [f"label={_quoted(label)}"] if label else []
    if source is not None and source.children and not source.below & target.bit and source is not target:
        options.append(f"ltail={_quoted('cluster ' + source.id)}")
    if target.children and not (source is not None and target.below & source.bit) and source is not target:
        options.append(f"lhead={_quoted('cluster ' + target.id)}")
    return f" [{', '.join(options)}]" if options else ""


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def to_text(machine: Machine, snapshot: Mapping[str, Any] | None = None) -> str:
    """
    An indented text, one line per state and transition.

    Args:
        machine: The machine.

        snapshot: Its active states are marked with `>`; None marks none.

    Raises:
        InvalidSnapshot: The snapshot is not one of this machine.
    """
    active = _active(machine, snapshot)
    lines: list[str] = []
    for state in machine.states:
        pad = "    " * state.depth
        starts = ", ".join(target.key for target in _starts(state) if state.kind is Kind.COMPOUND)
        notes = [state.config.get("type") or "", f"starts in {starts}" if starts else ""]
        about = ", ".join(note for note in notes if note)
        mark = "> " if state.index in active else "  "
        lines.append(f"{mark}{pad}{_title(state)}{f' ({about})' if about else ''}")
        lines += [f"  {pad}    {what}" for what in _inside(state)]
        for arrow in _arrows(state):
            names = ", ".join(target.key for target in arrow.targets) or "(stays)"
            lines.append(f"  {pad}    {_arrow_label(arrow, to=names)}")
    return "\n".join(lines) + "\n"


def _active(machine: Machine, snapshot: Mapping[str, Any] | None) -> frozenset[int]:
    if snapshot is None:
        return frozenset()
    return frozenset(state.index for state in active_states(machine, snapshot))


def _arrows(state: State) -> Iterator[Transition]:
    yield from state.transitions()
    if state.kind is Kind.HISTORY and state.defaults:
        yield Transition(state, state.path, "default", state.defaults)


def _arrow_label(arrow: Transition, *, to: str = "") -> str:
    event = "always" if arrow.event is None else arrow.event
    if event == done_type(arrow.source.id):
        event = "done"
    guard = f" [{arrow.guard_label}]" if arrow.guard_label else ""
    written = arrow.action_labels
    return f"{event}{guard}{f' -> {to}' if to else ''}{f' / {written}' if written else ''}"


def _inside(state: State) -> list[str]:
    found: list[str] = []
    for when in ("entry", "exit"):
        labels = ", ".join(label_of(one) for one, _ in one_or_many(state.config.get(when), ""))
        if labels:
            found.append(f"{when} / {labels}")
    return found


def _title(state: State) -> str:
    if state.kind is Kind.HISTORY:
        return f"{state.key} (H{'*' if state.deep else ''})"
    return state.id if state.parent is None else state.key


def _starts(state: State) -> tuple[State, ...]:
    if state.initial is not None:
        return state.initial.targets
    return state.children if state.kind is Kind.PARALLEL else ()


def _node(state: State) -> str:
    return f"s{state.index}"
