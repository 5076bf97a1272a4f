"""Gathers from a memory what the commands tell."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass, field
from typing import Final

from pyarvo.cli.exits import Exit, Stop
from pyarvo.cli.explanation import Facts
from pyarvo.cli.ids import Shortener, resolve
from pyarvo.errors import RecordCorrupt
from pyarvo.memory import Instance, Record, Step
from pyarvo.memory.queries import QueryLevel

__all__ = ["Branch", "Look", "Tree", "damaged", "facts_of", "family_tree", "found", "last_steps", "looked_at"]

_STEPS: Final = 1_000  # of older ones a memory keeps no events


async def found(memory: QueryLevel, text: str) -> Instance:
    """
    The instance that *text* names, with its record.

    Raises:
        Stop: There is none, or several, or its record does not decode.
    """
    look = await looked_at(memory, text)
    if look.damage is not None:
        raise damaged(look)
    return look.instance


@dataclass(frozen=True, slots=True)
class Look:
    """
    What was found of an instance.

    Attributes:
        instance: Without its record when that is damaged.

        damage: Why the record does not decode; None when it does, or there is none.
    """

    instance: Instance
    damage: str | None


async def looked_at(memory: QueryLevel, text: str) -> Look:
    """
    The instance that *text* names, also when its record is damaged: its metadata stands elsewhere.

    Raises:
        Stop: There is none, or several.
        RecordCorrupt: Not even its metadata is readable.
    """
    id = await resolve(memory, text)
    try:
        instance = await memory.get(id)
    except RecordCorrupt as fault:
        async for each in memory.each():
            if each.id == id:
                return Look(each, str(fault.args[0]))
        raise
    if instance is None:
        raise Stop(Exit.NOT_FOUND, f"instance {id!r} has just gone")
    return Look(instance, None)


def damaged(look: Look) -> Stop:
    """The end of a command that needs the record of *look*."""
    id = look.instance.id
    return Stop(
        Exit.FAILED,
        f"the record of {Shortener([id])(id)} is damaged: {look.damage}; what is readable of it, and what to do: "
        f"pyarvo instances explain {Shortener([id]).typed(id)}",
    )


async def last_steps(memory: QueryLevel, instance: Instance, limit: int) -> tuple[Step, ...]:
    """The latest *limit* steps of *instance*, oldest first."""
    return await memory.journal(instance.id, after=max(0, instance.version - limit), limit=limit)


async def facts_of(memory: QueryLevel, text: str, to_repeat: str | None) -> Facts:
    """All that `explain` needs to know of the instance that *text* names."""
    look = await looked_at(memory, text)
    instance = look.instance
    return Facts(
        instance=instance,
        damage=look.damage,
        ancestors=await memory.ancestors(instance.id),
        children=await memory.children(instance.id),
        steps=await last_steps(memory, instance, _STEPS),
        kept=await _kept(memory, look),
        now=time.time(),
        holder_alive=_is_alive(instance.holder) if instance.held else None,
        memory=to_repeat,
    )


async def _kept(memory: QueryLevel, look: Look) -> tuple[tuple[int, Record | RecordCorrupt], ...]:
    """Earlier records, which add to what a record says: there is nothing to add to one that is damaged."""
    return () if look.damage is not None else await memory.earlier(look.instance.id)


def _is_alive(holder: str) -> bool | None:
    """Whether the process of a label `host:pid` runs; None when it is not of this machine."""
    host, _, pid = holder.rpartition(":")
    if host != socket.gethostname() or not pid.isdecimal():
        return None
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return None
    return True


@dataclass(slots=True)
class Branch:
    """An instance and those that it started, oldest first."""

    instance: Instance
    children: list[Branch] = field(default_factory=list["Branch"])


@dataclass(frozen=True, slots=True)
class Tree:
    """
    The family of an instance.

    Attributes:
        id: The instance that was asked for.

        root: The oldest ancestor that the store knows.

        missing_parent: Whose id the root names and the store does not know.

        cut: Whether there are more instances than were asked for.
    """

    id: str
    root: Branch
    missing_parent: str | None
    cut: bool


async def family_tree(memory: QueryLevel, text: str, limit: int) -> Tree:
    """The whole tree that the instance *text* belongs to: at most *limit* of its instances, level by level."""
    instance = (await looked_at(memory, text)).instance
    ancestors = await memory.ancestors(instance.id)
    top = ancestors[-1] if ancestors else instance
    root = Branch(top)
    known = {top.id, instance.id, *(ancestor.id for ancestor in ancestors)}
    seen = {top.id}
    waiting = [root]
    for branch in waiting:
        for child in reversed(await memory.children(branch.instance.id)):
            if child.id in seen:
                continue
            if len(seen) >= limit:
                return Tree(instance.id, root, _outside(top, known), cut=True)
            seen.add(child.id)
            below = Branch(child)
            branch.children.append(below)
            waiting.append(below)
    return Tree(instance.id, root, _outside(top, known), cut=False)


def _outside(top: Instance, known: set[str]) -> str | None:
    return None if top.parent in known else top.parent
