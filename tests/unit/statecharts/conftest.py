"""Playing a chart: every step of every test goes through JSON, and may not touch the snapshot that it was given."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from pyarvo.statecharts import Machine, StepResult, emit, step


@dataclass
class Played:
    """What happened, one entry per step; entry 0 is the start."""

    machine: Machine
    values: list[Any] = field(default_factory=list[Any])
    emitted: list[list[str]] = field(default_factory=list[list[str]])
    contexts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    results: list[StepResult] = field(default_factory=list[StepResult])

    @property
    def value(self) -> Any:
        return self.values[-1]

    @property
    def context(self) -> dict[str, Any]:
        return self.contexts[-1]

    @property
    def status(self) -> str:
        return self.results[-1].snapshot["status"]

    @property
    def last(self) -> StepResult:
        return self.results[-1]

    @property
    def said(self) -> list[str]:
        return self.emitted[-1]


def play(
    config: Mapping[str, Any],
    *events: Any,
    input: Any = None,
    actions: Mapping[str, Any] | None = None,
    guards: Mapping[str, Any] | None = None,
    max_microsteps: int = 1_000,
) -> Played:
    machine = Machine(config, actions=actions, guards=guards, max_microsteps=max_microsteps)
    played = Played(machine)
    text: str | None = None
    for event in (input, *events):
        given = None if text is None else json.loads(text)
        result = step(machine, given, event)
        assert text is None or json.dumps(given) == text, "the given snapshot was changed"
        text = json.dumps(result.snapshot)
        assert json.loads(text) == result.snapshot, "the snapshot is not JSON"
        played.values.append(result.snapshot["value"])
        played.emitted.append([one["type"] for one in result.emitted])
        played.contexts.append(result.snapshot["context"])
        played.results.append(result)
    return played


def tracked(config: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """The same chart, whose states say "+path" when entered and "-path" when left; the root's path is "root"."""
    if config.get("type") == "history" or config.get("history"):
        return dict(config)
    made = dict(config)
    for key, sign in (("entry", "+"), ("exit", "-")):
        own = config.get(key, [])
        made[key] = [emit({"type": f"{sign}{path or 'root'}"}), *(own if isinstance(own, list) else [own])]
    if "states" in config:
        made["states"] = {
            key: tracked(child, f"{path}.{key}" if path else key) for key, child in config["states"].items()
        }
    return made


@pytest.fixture(name="play")
def _play() -> Callable[..., Played]:
    return play


@pytest.fixture(name="tracked")
def _tracked() -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    return tracked


@pytest.fixture(name="leaves")
def _leaves() -> Callable[[Any], list[str]]:
    """The keys of the innermost active states in a state value, sorted."""

    def leaves(value: Any) -> Iterable[str]:
        if isinstance(value, str):
            return [value]
        return [leaf for key, inner in value.items() for leaf in (leaves(inner) or [key])]

    return lambda value: sorted(leaves(value))
