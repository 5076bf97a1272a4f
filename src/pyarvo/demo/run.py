"""
The demo as a whole: workers on one memory, two of them killed, the input fed again, and a count at the end.

One worker is killed with a lease in hand, before its step is committed; another when its step is committed, before its
events are published. Each is followed by a new process, which is given the same share of the input from the
first line. Nothing else helps it: what was committed is replayed from the journal, what was not is run again.
A server that the demo started is killed too, once, in the middle of all this, and started again on its data.
"""

from __future__ import annotations

import asyncio
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from pyarvo.demo.contracts import ORDER
from pyarvo.demo.effects import create_tables
from pyarvo.demo.orders import INPUT, fate_of, first_orders, placed_orders, read_lines
from pyarvo.demo.outage import kill_once
from pyarvo.demo.place import Place, place_of, sqlite_place
from pyarvo.demo.report import Report, as_table
from pyarvo.demo.servers import Server, create_server
from pyarvo.demo.watched import Kill, KillPoint
from pyarvo.demo.worker import Job
from pyarvo.errors import ArvoError, InvalidOption, MemoryUnavailable
from pyarvo.memory import Find, open_memory
from pyarvo.memory.instances import FINISHED
from pyarvo.memory.queries import QueryLevel

__all__ = ["FEWEST_ORDERS", "MOST_WORKERS", "DemoFailed", "removed", "run_demo"]

FEWEST_ORDERS: Final = 20
MOST_WORKERS: Final = 4

_DEADLINE_S: Final = 240.0
_POLL_S: Final = 0.2
_WORDS: Final = {
    KillPoint.AFTER_ACQUIRE: "between acquire and commit",
    KillPoint.AFTER_COMMIT: "between commit and publish",
}


class DemoFailed(ArvoError):
    """A process of the demo ended as it should not have; the message has the last lines of its log."""


class _Demo(msgspec.Struct, frozen=True):
    """Where a run happens, and how."""

    folder: Path
    place: Place
    orders: int
    workers: int
    replay: bool
    server: Server | None

    @property
    def input(self) -> Path:
        """The file of events that this run is fed with."""
        return self.folder / "input.jsonl"


def run_demo(
    *,
    memory: str | None = None,
    server: str | None = None,
    replay: bool = True,
    orders: int | None = None,
    workers: int = 2,
    keep: bool = False,
    as_json: bool = False,
) -> int:
    """
    Run the demo and show what it came to.

    Args:
        memory: URL of a SQLite memory whose file does not exist yet, which is kept; or of a server, see
            `place.place_of`. None takes a SQLite file in a temporary folder.

        server: "redis", "postgres" or "nats": start one, run on it, kill it once and start it again. Instead of
            *memory*.

        replay: False switches replay off, to show that the count can fail.

        orders: How many of the input's orders, 20 or more; None means all.

        workers: Processes at work at the same time, 1 to 4.

        keep: Keep the temporary folder with memory or effects, input and the workers' logs; and what the run wrote
            into a server that was there before.

        as_json: Print the report as JSON, not as a table.

    Returns:
        0 when workers (with *server*, also that) were killed, and yet nothing was lost and nothing doubled; else 1.

    Raises:
        InvalidOption: An option is out of bounds, or the memory is none that the demo can use.
        ServerMissing: The server's program is not installed.
        DemoFailed: A process ended as it should not have.
    """
    lines = list(read_lines(INPUT))
    placed = len(placed_orders(lines))
    orders = placed if orders is None else orders
    if not FEWEST_ORDERS <= orders <= placed:
        raise InvalidOption("orders", f"must be {FEWEST_ORDERS} to {placed}, is {orders}")
    if not 1 <= workers <= MOST_WORKERS:
        raise InvalidOption("workers", f"must be 1 to {MOST_WORKERS}, is {workers}")
    if server is not None and memory is not None:
        raise InvalidOption("server", "is started by the demo itself, so no memory can be named")
    folder = Path(tempfile.mkdtemp(prefix="pyarvo-demo-"))
    try:
        with _started(server) as running:
            url = memory if running is None else running.url
            place = sqlite_place(folder / "memory.db") if url is None else place_of(url, folder)
            demo = _Demo(folder, place, orders, workers, replay, running)
            text = "".join(line.text for line in first_orders(lines, orders))
            demo.input.write_text(text, encoding="utf-8")
            report, seconds = asyncio.run(_run(demo, keep=keep))
    finally:
        if not keep:
            shutil.rmtree(folder)
    _show(report, seconds, demo, as_json=as_json, keep=keep, named=memory is not None)
    return 0 if report.is_good and len(report.server_kills) == (server is not None) else 1


@contextmanager
def _started(name: str | None) -> Generator[Server | None]:
    """A server of the demo's own, in a folder that ends with it."""
    if name is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="pyarvo-demo-server-") as folder:
        server = create_server(name, Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()


async def _run(demo: _Demo, *, keep: bool) -> tuple[Report, float]:
    async with removed(demo.place, keep=keep or demo.server is not None):
        return await _counted(demo)


async def _counted(demo: _Demo) -> tuple[Report, float]:
    started = time.monotonic()
    async with open_memory(demo.place.url) as memory:
        await memory.count()  # the memory makes its file first, and then the demo its tables in it
        await asyncio.to_thread(create_tables, demo.place.effects)
        with _progress() as progress:
            bar = progress.add_task("orders", total=demo.orders)
            async with _polling(memory, progress, bar):
                await _work_off_all(demo, progress.console)
    return await _count(demo), time.monotonic() - started


@asynccontextmanager
async def removed(place: Place, *, keep: bool) -> AsyncGenerator[None]:
    """In the end nothing of the run is left in a server that was there before, however the run ends."""
    try:
        yield
    except BaseException:
        if not keep:
            with suppress(Exception):  # what broke the run matters more; its server may be away
                await place.remove()
        raise
    if not keep:
        await place.remove()


def _plan(demo: _Demo) -> list[deque[Kill]]:
    """For each share of the input, the deaths of its workers one after the other."""
    plan: list[deque[Kill]] = [deque() for _ in range(demo.workers)]
    share = demo.orders // demo.workers
    plan[0].append(Kill(KillPoint.AFTER_ACQUIRE, max(4, share)))
    plan[1 % demo.workers].append(Kill(KillPoint.AFTER_COMMIT, max(4, share)))
    return plan


async def _work_off_all(demo: _Demo, console: Console) -> None:
    """Work off all shares at once; when one fails, the workers of the others are killed."""
    try:
        async with asyncio.timeout(_DEADLINE_S), asyncio.TaskGroup() as tasks:
            shares = [
                tasks.create_task(_work_off(demo, share, kills, console))
                for share, kills in enumerate(_plan(demo))
            ]
            if demo.server is not None:
                tasks.create_task(
                    kill_once(
                        demo.server,
                        demo.place.effects,
                        after=_half_of_the_effects(demo),
                        is_over=lambda: all(share.done() for share in shares),
                        tell=console.print,
                    )
                )
    except TimeoutError as error:
        raise DemoFailed(f"the workers were not done after {_DEADLINE_S:g} s") from error
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures


def _half_of_the_effects(demo: _Demo) -> int:
    placed = placed_orders(read_lines(demo.input)).values()
    return sum(len(fate_of(order).actions) for order in placed) // 2


async def _work_off(demo: _Demo, share: int, kills: deque[Kill], console: Console) -> None:
    """Give a share of the input to one worker after another, until one lives to the end."""
    for life in range(1, len(kills) + 2):
        name = f"worker-{share + 1}.{life}"
        kill = kills.popleft() if kills else None
        job = Job(
            place=demo.place,
            input=str(demo.input),
            share=share,
            shares=demo.workers,
            name=name,
            kill=kill,
            forgetful=not demo.replay,
        )
        status = await _process(demo, name, "pyarvo.demo.worker", job.arguments())
        if status == 0:
            return
        if kill is None or status != -signal.SIGKILL:
            raise DemoFailed(f"{name} ended with status {status}:\n{_last_lines(demo, name)}")
        console.print(
            f"{name} was killed with SIGKILL {_WORDS[kill.point]}; the input is fed again to worker-{share + 1}.{life + 1}"
        )


async def _process(demo: _Demo, name: str, module: str, arguments: list[str]) -> int:
    """Run a module of this package as a process; its output goes to files named after it."""
    with _log(demo, name).open("wb") as log, (demo.folder / f"{name}.out").open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=log
        )
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()


async def _count(demo: _Demo) -> Report:
    place = ["--memory", demo.place.url, "--effects", demo.place.effects]
    arguments = [*place, "--input", str(demo.input), "--json"]
    status = await _process(demo, "check", "pyarvo.demo.check", arguments)
    if status != 0:
        raise DemoFailed(f"the check ended with status {status}:\n{_last_lines(demo, 'check')}")
    return msgspec.json.decode((demo.folder / "check.out").read_bytes(), type=Report)


@asynccontextmanager
async def _polling(memory: QueryLevel, progress: Progress, bar: TaskID) -> AsyncGenerator[None]:
    async def show() -> None:
        with suppress(MemoryUnavailable):  # the server is away; the next look finds it
            await update()

    async def update() -> None:
        counts = [await memory.count(Find(orchestrator=ORDER.type, status=status)) for status in FINISHED]
        progress.update(bar, completed=sum(counts))

    over = asyncio.Event()

    async def poll() -> None:
        while not over.is_set():
            await show()
            await asyncio.sleep(_POLL_S)

    polling = asyncio.create_task(poll())
    try:
        yield
        await show()
    finally:
        over.set()
        polling.cancel()
        await asyncio.gather(polling, return_exceptions=True)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True))


def _show(report: Report, seconds: float, demo: _Demo, *, as_json: bool, keep: bool, named: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
        return
    Console().print(as_table(report))
    console = Console(markup=False, emoji=False, highlight=False)  # of names and paths nothing is lost
    for finding in report.findings:
        console.print(f"  {finding}")
    console.print(f"{seconds:.1f} s with {demo.workers} workers on {_told(demo, keep=keep, named=named)}")
    if not demo.replay:
        console.print(
            f"Without replay: {report.doubled} effects too many, {report.lost} lost. This is what the journal prevents, "
            "and the sign that the count can fail."
        )
    if keep:
        console.print(f"Input, logs and effects: {demo.folder}", soft_wrap=True)
    if demo.place.is_file and (keep or named):
        url = sqlite_place(Path(demo.place.effects).resolve()).url
        console.print(f"Look around: pyarvo instances list --memory {shlex.quote(url)}", soft_wrap=True)


def _told(demo: _Demo, *, keep: bool, named: bool) -> str:
    """Where it was. The URL of a server is not repeated: it may hold a password."""
    if demo.place.is_file:
        return demo.place.effects if keep or named else "a temporary file (--keep keeps it)"
    if demo.server is not None:
        return "a server of its own, which is gone"
    option = demo.place.url.rpartition("?")[2].rpartition("&")[2]
    return f"the server, where it {'left' if keep else 'removed'} {option}"


def _log(demo: _Demo, name: str) -> Path:
    return demo.folder / f"{name}.log"


def _last_lines(demo: _Demo, name: str) -> str:
    return "\n".join(_log(demo, name).read_text(encoding="utf-8", errors="replace").splitlines()[-12:])
