"""What a demo run came to, and the table that shows it."""

from __future__ import annotations

import msgspec
from rich.table import Table

__all__ = ["DeadLetter", "KillReport", "Report", "ServerKill", "as_table"]


class KillReport(msgspec.Struct, frozen=True):
    """
    A worker that was killed, and what became of its step.

    Attributes:
        point: Where: "after_acquire" or "after_commit".

        worker: Its name.

        order: The id of the execution that it was in.

        settled: Whether the lease was taken over and the workflow ended, or the committed step was replayed.
    """

    point: str
    worker: str
    order: str
    settled: bool


class ServerKill(msgspec.Struct, frozen=True):
    """
    The memory's server was killed, and started again on its data.

    Attributes:
        effects: How many effects there were.

        away_s: Seconds until it answered again.
    """

    effects: int
    away_s: float


class DeadLetter(msgspec.Struct, frozen=True):
    """
    An event, or a line that is none, that was not delivered.

    Attributes:
        what: Event key, or line number.

        reason: Why.
    """

    what: str
    reason: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """
    What store and effects say after a run.

    Attributes:
        orders: How many were placed, by how they ended: done, rejected, compensated, failed, unfinished.

        versions: How many ran on each version of the order machine.

        events: Steps committed plus effects done.

        effects: Rows of the table of effects.

        replays: Events that the journal recognised; their step was handed on again.

        takeovers: Leases that were never given up and were followed by another's.

        kills: The workers that were killed.

        lost: Orders without an end, wrong ends, and effects that are missing.

        doubled: Effects that there are too many of.

        findings: The first of what is lost or doubled, in words.

        dead_letters: What was not delivered.

        server_kills: How often the memory's server was killed; workers had to wait until it was back.
    """

    orders: dict[str, int]
    versions: dict[str, int]
    events: int
    effects: int
    replays: int
    takeovers: int
    kills: list[KillReport]
    lost: int
    doubled: int
    findings: list[str]
    dead_letters: list[DeadLetter]
    server_kills: list[ServerKill] = []

    @property
    def is_good(self) -> bool:
        """Whether somebody was killed, everything was settled, and nothing was lost or doubled."""
        return (
            self.takeovers >= 1
            and self.replays >= 1
            and self.lost == 0
            and self.doubled == 0
            and all(kill.settled for kill in self.kills)
        )


def as_table(report: Report) -> Table:
    """The report for people."""
    table = Table(title="The demo, counted by a fresh process", show_header=False, title_justify="left")
    table.add_column("what")
    table.add_column("count", justify="right")
    table.add_column("means", style="dim")
    ended = report.orders
    placed = ", ".join(f"{count} on {version}" for version, count in sorted(report.versions.items()))
    table.add_row("orders placed", str(sum(ended.values())), f"two machine versions side by side: {placed}")
    table.add_row("orders done", str(ended["done"]), "reserved, charged, shipped, invoiced, told")
    table.add_row("orders rejected", str(ended["rejected"]), "out of stock, nothing to take back")
    table.add_row(
        "orders compensated", str(ended["compensated"]), "declined, not approved or not deliverable"
    )
    table.add_row("orders failed", str(ended["failed"]), "the machine's own code raised; the shop was told")
    table.add_section()
    table.add_row("events", str(report.events), "steps committed and effects done")
    table.add_row("workers killed", str(len(report.kills)), "; ".join(map(_told, report.kills)))
    if report.server_kills:
        killed = "; ".join(
            f"after {kill.effects} effects, back in {kill.away_s:.1f} s" for kill in report.server_kills
        )
        table.add_row("server killed", str(len(report.server_kills)), killed)
    table.add_row("takeovers", str(report.takeovers), "leases of the dead that a successor took")
    table.add_row("replays", str(report.replays), "events known to the journal, handed on again")
    table.add_row("dead letters", str(len(report.dead_letters)), "lines and events that are wrong, and shown")
    table.add_section()
    table.add_row("lost", _judged(report.lost), "orders without an end, effects missing")
    table.add_row("doubled", _judged(report.doubled), "effects done more often than ordered")
    return table


def _told(kill: KillReport) -> str:
    fate = "settled" if kill.settled else "NOT settled"
    return f"{kill.worker} {kill.point.replace('_', ' ')} in {kill.order}: {fate}"


def _judged(count: int) -> str:
    return f"[bold {'red' if count else 'green'}]{count}[/]"
