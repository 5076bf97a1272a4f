"""
One worker process: `python -m pyarvo.demo.worker`; started by `pyarvo.demo.run`.

It has all handlers of the shop, a broker of its own, and a share of the input: all events of a workflow, children
included, are handled by the same worker. Nothing in it is durable but the memory and the file of effects; when it dies, another
process is given the same share from its first line.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path
from typing import Final

import msgspec

from pyarvo.brokers import DeadLetter, EventHandler, create_simple_event_broker
from pyarvo.demo.effects import Effects
from pyarvo.demo.orders import read_lines, share_of
from pyarvo.demo.place import Place, retry_on
from pyarvo.demo.services import Inbox, create_approver, create_services
from pyarvo.demo.watched import Kill, KillPoint, RandomIds, WatchedMemory
from pyarvo.demo.workflows import create_workflows
from pyarvo.events import ArvoEvent, event_key
from pyarvo.memory import open_memory

__all__ = ["Job", "main"]

_LEASE_S: Final = 1.0


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a worker is to do.

    Attributes:
        place: Of the run: the memory and the file of effects.

        input: The file of events.

        share: Which share of the input, from 0.

        shares: Of how many.

        name: Of the worker.

        kill: When it kills itself.

        forgetful: Without replay.
    """

    place: Place
    input: str
    share: int
    shares: int
    name: str
    kill: Kill | None = None
    forgetful: bool = False

    def arguments(self) -> list[str]:
        """The command line that `main` reads as this job."""
        return [
            *(
                "--memory",
                self.place.url,
                "--effects",
                self.place.effects,
                "--input",
                self.input,
                "--name",
                self.name,
            ),
            *("--share", f"{self.share}/{self.shares}"),
            *(("--kill-at", f"{self.kill.point}:{self.kill.count}") if self.kill else ()),
            *(("--no-replay",) if self.forgetful else ()),
        ]


async def work(job: Job) -> None:
    """Do the job, and come back when everything that it led to is done."""
    async with (
        Effects(job.place.effects, job.name) as effects,
        open_memory(job.place.url, lease_ttl_s=_LEASE_S, holder=job.name) as memory,
    ):
        watched = WatchedMemory(memory, effects=effects, kill=job.kill, forgetful=job.forgetful)
        workflows: list[EventHandler] = list(create_workflows(watched))
        if job.forgetful:
            workflows = [RandomIds(workflow) for workflow in workflows]

        async def tell(letter: DeadLetter) -> None:
            await effects.note_dead_letter(event_key(letter.event), _reason(letter))

        async def publish(event: ArvoEvent) -> None:
            await broker.publish(event)

        broker = create_simple_event_broker(
            [*workflows, *create_services(effects), Inbox(effects)],
            max_pending=64,
            max_concurrency=32,
            retry=retry_on(job.place),
            on_domained_event=create_approver(effects, publish),
            on_dead_letter=tell,
        )
        async with broker:
            for line in read_lines(Path(job.input)):
                if share_of(line, job.shares) != job.share:
                    continue
                if line.event is None:
                    await effects.note_dead_letter(f"line {line.number}", f"no event: {line.fault}")
                else:
                    await broker.publish(line.event)
            await broker.wait_idle()


def main(arguments: list[str]) -> None:
    """Read a job and do it."""
    parser = argparse.ArgumentParser(prog="python -m pyarvo.demo.worker", description=__doc__)
    parser.add_argument("--memory", required=True, help="URL of the memory")
    parser.add_argument("--effects", required=True, help="file of the effects")
    parser.add_argument("--input", required=True)
    parser.add_argument("--share", required=True, help="which share of how many: 0/2")
    parser.add_argument("--name", required=True)
    parser.add_argument("--kill-at", help="after_acquire:N or after_commit:N")
    parser.add_argument("--no-replay", action="store_true")
    given = parser.parse_args(arguments)
    share, shares = given.share.split("/")
    kill = None
    if given.kill_at is not None:
        point, count = given.kill_at.split(":")
        kill = Kill(KillPoint(point), int(count))
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    job = Job(
        place=Place(given.memory, given.effects),
        input=given.input,
        share=int(share),
        shares=int(shares),
        name=given.name,
        kill=kill,
        forgetful=given.no_replay,
    )
    asyncio.run(work(job))


def _reason(letter: DeadLetter) -> str:
    return letter.reason if letter.error is None else f"{letter.reason}: {type(letter.error).__name__}"


if __name__ == "__main__":
    main(sys.argv[1:])
