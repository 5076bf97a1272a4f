"""The next command to type, for an instance in each situation: pure."""

from __future__ import annotations

import shlex

from pyarvo.cli.explanation import Advice, Facts, LastStep, Situation
from pyarvo.cli.waiting import Awaited
from pyarvo.memory import Instance
from pyarvo.memory.instances import FINISHED

__all__ = ["Advisor"]


class Advisor:
    """
    Finds the next commands for one instance.

    Args:
        facts: What the store says.

        last: The last event that took effect.

        waits_for: Requests without an answer; None when the record does not say.
    """

    def __init__(self, facts: Facts, last: LastStep | None, waits_for: tuple[Awaited, ...] | None) -> None:
        self._id = facts.instance.id
        self._facts = facts
        self._last = last
        self._waits_for = waits_for or ()

    def advice(self, situation: Situation) -> list[Advice]:
        """What to type, the best first."""
        return [*self._lapsed(situation), *self._by(situation)]

    def _lapsed(self, situation: Situation) -> list[Advice]:
        """A holder that never came back: the event that it worked on had no effect yet."""
        it = self._facts.instance
        if not it.lapsed or situation in (
            Situation.EMPTY,
            Situation.DONE,
            Situation.FAILED,
            Situation.DAMAGED,
        ):
            return []
        who = it.holder or "its last holder"
        why = (
            f"{who} died or froze in mid-step, or is late: redeliver the event that it worked on; nothing needs to be "
            "released, the next lease takes over"
        )
        return [self._type(why, "instances", "history", id=self._id)]

    def _by(self, situation: Situation) -> list[Advice]:
        match situation:
            case Situation.HELD:
                return self._held()
            case Situation.WAITING:
                return self._waiting()
            case Situation.FAILED:
                why = (
                    "the error with its stack; a failed instance takes no more events: "
                    "mend the cause, then start the work again under a new subject"
                )
                return [self._type(why, "instances", "show", "-o", "json", id=self._id)]
            case Situation.EMPTY:
                why = "it was leased and never written: redeliver the event that starts it, then look again"
                return [self._type(why, "instances", "explain", id=self._id)]
            case Situation.DAMAGED:
                return self._damaged()
            case Situation.DELETED:
                why = "nothing to do: late events are refused until the tombstone is swept"
                return [self._type(why, "instances", "list", "--deleted")]
            case Situation.DONE:
                return [self._type("nothing to do: it is finished", "instances", "show", id=self._id)]
            case Situation.IDLE:
                why = "it asked for nothing that is still open, so it goes on with whatever event comes"
                return [self._type(why, "instances", "show", id=self._id)]

    def _held(self) -> list[Advice]:
        it = self._facts.instance
        left = f"{max(0.0, it.expires_in_s or 0.0):.0f} s"
        if self._facts.holder_alive is False:
            gone = f"the holder {it.holder} no longer runs; or wait, the lease ends by itself in {left}"
            return [
                self._type(gone, "locks", "release", "--reason", f"{it.holder} is dead", id=self._id),
                self._type("look again", "instances", "explain", id=self._id),
            ]
        wait = f"wait: a step is running; its lease ends in {left} unless the holder renews it"
        force = "only if the holder is dead or stuck: its write will be refused"
        return [
            self._type(wait, "instances", "explain", id=self._id),
            self._type(force, "locks", "release", "--reason", "...", id=self._id),
        ]

    def _damaged(self) -> list[Advice]:
        read = (
            "its steps, and earlier records where they are kept. Every step of it is refused until the bytes are what "
            "they were: were they written with a codec that this URL does not name? Else restore them from a backup"
        )
        give_up = "give it up: late events are refused, and the work can start again under a new subject"
        return [
            self._type(read, "instances", "history", "-o", "json", id=self._id),
            self._type(give_up, "instances", "delete", id=self._id),
        ]

    def _waiting(self) -> list[Advice]:
        advice: list[Advice] = []
        child = self._child()
        if child is not None:
            why = "it waits for this execution"
            if child.status in FINISHED:
                why += (
                    ", which is finished: is its answer still under way? If it was lost, redeliver the last event of "
                    "that execution: it hands out the same answer"
                )
            advice.append(self._type(why, "instances", "explain", id=child.id))
        if self._waits_for:
            why = "what it asked for; is a service down, or an approval open?"
            if self._last is not None and self._last.event is not None:
                event = self._last.event
                source = "" if event.source is None else f" of {event.source}"
                why += f" If a request was lost, redeliver event {event.id}{source}: it hands out the same events"
            advice.append(self._type(why, "instances", "history", id=self._id))
        return advice

    def _child(self) -> Instance | None:
        """The child to look at: one that it waits for, unfinished before finished, else any unfinished one."""
        asked = {one.child for one in self._waits_for}
        unfinished = [child for child in self._facts.children if child.status not in FINISHED]
        awaited_ones = [child for child in (*unfinished, *self._facts.children) if child.id in asked]
        return next(iter([*awaited_ones, *unfinished]), None)

    def _type(self, why: str, *words: str, id: str | None = None) -> Advice:
        memory = () if self._facts.memory is None else ("--memory", self._facts.memory)
        ids = () if id is None else ("--", id) if id.startswith("-") else (id,)
        argv = ("pyarvo", *memory, *words, *ids)
        return Advice(shlex.join(argv), argv, why)
