"""
Random charts as data, that Python and JavaScript can both read.

Actions are `{"$emit": type}`, `{"$raise": type}` and `{"$inc": k}` (adds to `n` in the context, which starts at 0); guards
are `{"$lt": k}` (n < k), `{"$mod": [k, j]}` (n % k == j), `{"$in": "#id"}`, `{"$and": [...]}`, `{"$or": [...]}` and
`{"$not": ...}`.

Every chart comes to rest: what the machine does on its own (`always`, `onDone`, raised events) either counts `n` up
towards a limit, or raises only events of a later kind.
"""

from __future__ import annotations

from random import Random
from typing import Any

__all__ = ["EVENTS", "Chart", "random_chart"]

Chart = dict[str, Any]

EVENTS = ("A", "B", "C", "D.x", "D.y")
_DESCRIPTORS = ("A", "B", "C", "D.x", "D.y", "D.*")
_RAISED = "R"


class _Builder:
    """Grows the tree of states first, then transitions between any of them."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.nodes: list[Chart] = []
        self.parents: dict[str, Chart] = {}

    def chance(self, percent: int) -> bool:
        return self.random.randrange(100) < percent

    def grow(self, depth: int, *, kind: str | None = None) -> Chart:
        name = f"s{len(self.nodes)}"
        node: Chart = {"id": name}
        self.nodes.append(node)
        chosen = kind or self.random.choice(
            ["compound"] * 4 + ["parallel"] * 2 + ["atomic"] * 2 if depth else ["atomic"] * 4 + ["final"]
        )
        if chosen == "final":
            node["type"] = "final"
        elif chosen != "atomic":
            self._inside(node, chosen, depth)
        return node

    def _inside(self, node: Chart, kind: str, depth: int) -> None:
        regions = kind == "parallel"
        children = [
            self.grow(depth - 1, kind="compound" if regions and depth > 1 and self.chance(70) else None)
            for _ in range(self.random.choice([2, 2, 3] if regions else [1, 2, 3]))
        ]
        if regions:
            for child in children:
                if child.get("type") == "final":
                    del child["type"]
        inner = [child["id"] for child in children]
        if self.chance(35):
            children.append(self._history(inner, regions=regions))
        for child in children:
            self.parents[child["id"]] = node
        node["states"] = {child["id"]: child for child in children}
        if regions:
            node["type"] = "parallel"
        else:
            first = self.random.choice(inner)
            node["initial"] = (
                {"target": first, "actions": [{"$emit": f"i{node['id']}"}]} if self.chance(15) else first
            )

    def _history(self, inner: list[str], *, regions: bool) -> Chart:
        name = f"h{len(self.nodes)}"
        node: Chart = {"id": name, "type": "history", "history": self.random.choice(["shallow", "deep"])}
        self.nodes.append(node)
        if not regions and self.chance(50):
            node["target"] = self.random.choice(inner)
        return node

    def behave(self, node: Chart) -> None:
        name = node["id"]
        if node.get("type") == "history":
            return
        node["entry"] = [{"$emit": f"+{name}"}]
        node["exit"] = [{"$emit": f"-{name}"}]
        if node.get("type") == "final":
            return
        on: Chart = {
            one: [self.transition(name) for _ in range(self.random.choice([1, 1, 2]))]
            for one in _DESCRIPTORS
            if self.chance(35)
        }
        if self.chance(35):
            on[_RAISED] = [self.transition(name, raises=False)]
        if self.chance(25):
            on["*"] = [self.bounded(name)]  # takes raised events and completions too
        if on:
            node["on"] = on
        if self.chance(25):
            node["always"] = [self.bounded(name)]
        if "states" in node and name != "s0" and self.chance(60):
            node["onDone"] = [self.bounded(name)]

    def transition(self, name: str, *, raises: bool = True) -> Chart:
        actions: list[Chart] = [{"$emit": f"{name}/{self.random.randrange(100)}"}]
        if self.chance(35):
            actions.append({"$inc": 1})
        if raises and self.chance(20):
            actions.insert(self.random.randrange(len(actions) + 1), {"$raise": _RAISED})
        made: Chart = {"actions": actions}
        if self.chance(80):
            made["target"] = self._target()
        if self.chance(25):
            made["reenter"] = True
        if self.chance(30):
            made["guard"] = self._guard(depth=1)
        return made

    def bounded(self, name: str) -> Chart:
        made = self.transition(name, raises=False)
        made["actions"] = [one for one in made["actions"] if "$inc" not in one] + [{"$inc": 1}]
        made["guard"] = {"$lt": self.random.choice([1, 3, 6])}
        return made

    def _target(self) -> Any:
        if self.chance(88):
            return f"#{self.random.choice(self.nodes)['id']}"
        parallel = [node for node in self.nodes if node.get("type") == "parallel"]
        if not parallel:
            return f"#{self.random.choice(self.nodes)['id']}"
        regions = [
            child
            for child in self.random.choice(parallel)["states"].values()
            if child.get("type") != "history"
        ]
        return [
            f"#{self.random.choice(self._below(region))['id']}" for region in self.random.sample(regions, 2)
        ]

    def _below(self, node: Chart) -> list[Chart]:
        found = [node]
        for child in node.get("states", {}).values():
            found += self._below(child)
        return found

    def _guard(self, depth: int) -> Chart:
        match self.random.randrange(6 if depth else 3):
            case 0:
                return {"$lt": self.random.choice([1, 2, 4, 8])}
            case 1:
                return {"$mod": [2, self.random.randrange(2)]}
            case 2:
                states = [node for node in self.nodes if node.get("type") != "history"]
                return {"$in": f"#{self.random.choice(states)['id']}"}
            case 3:
                return {"$and": [self._guard(0), self._guard(0)]}
            case 4:
                return {"$or": [self._guard(0), self._guard(0)]}
            case _:
                return {"$not": self._guard(0)}


def random_chart(seed: int) -> tuple[Chart, list[str]]:
    """
    Make the chart of *seed*, and events for it.

    Args:
        seed: The same seed makes the same chart.

    Returns:
        The chart, and 12 events.
    """
    random = Random(seed)
    builder = _Builder(random)
    root = builder.grow(3, kind="parallel" if random.randrange(8) == 0 else "compound")
    root["context"] = {"n": 0}
    for node in builder.nodes:
        builder.behave(node)
    return root, [random.choice(EVENTS) for _ in range(12)]
