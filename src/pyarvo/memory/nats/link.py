"""
One connection of one event loop: questions and their answers, each with a deadline.

The driver connects, parses and pings; matching answers to questions is done here, because the driver's own way
costs several times as much. The driver does not reconnect either: it would send again what was in its buffer. A
lost connection ends every question under way at once, and the next question opens another.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any, Final, TypeVar

import msgspec
import nats.errors
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

from pyarvo.errors import MemoryUnavailable
from pyarvo.memory.nats.address import Address
from pyarvo.memory.nats.faults import DRIVER_ERRORS, Silence, connect_fault

__all__ = ["EXPECTED", "Answer", "Ask", "Link", "decode_answer", "end_client", "end_subscription"]

EXPECTED: Final = "Nats-Expected-Last-Subject-Sequence"

_CONNECT_S: Final = 2.0
_PING_S: Final = 5
_WAIT_S: Final = 0.05
_AGAIN_S: Final = 1.0
_ELECTION_S: Final = 1.0
_WATCH_S: Final = 0.02

_REFUSED: Final = re.compile(r'permissions violation for publish to "([^"]*)"')

Answer = bytes | Silence
_Waiting = tuple[asyncio.Future[Answer], float, str]
A = TypeVar("A", bound=Struct)


class Ask(Struct, frozen=True):
    """One question: a message and where it goes."""

    subject: str
    payload: bytes = b""
    headers: dict[str, str] | None = None


def decode_answer(decoder: msgspec.json.Decoder[A], answer: bytes) -> A:
    """
    What the server said.

    Raises:
        MemoryUnavailable: It is not an answer of JetStream.
    """
    try:
        return decoder.decode(answer)
    except msgspec.MsgspecError as exc:
        raise MemoryUnavailable("something else than JetStream answered", transient=False) from exc


async def end_subscription(subscription: Any) -> None:
    """End *subscription* of the driver and its task, also when its connection is gone."""
    try:
        await subscription.unsubscribe()
    except DRIVER_ERRORS:
        # The driver leaves the task behind when the connection breaks while it is closing.
        subscription._stop_processing()  # noqa: SLF001 - there is no other way to end it without a connection


async def end_client(client: Any) -> None:
    """Close the driver's connection, also when it is gone."""
    try:
        await client.close()
    except OSError:
        # The driver stops where it would flush what was left, before it lets go of the socket.
        client._transport.close()  # noqa: SLF001 - it counts as closed: there is no other way


class Link:
    """
    A connection that is made when it is needed, and made again when it was lost.

    Args:
        address: Where to connect; or

        client: A connected client to use instead; it is never closed.

        greet: Called with this link and its client after each connecting, before anything else is asked.
    """

    def __init__(
        self,
        address: Address | None,
        client: Client | None,
        greet: Callable[[Link, Client], Coroutine[Any, Any, None]],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self._address = address
        self._given = client
        self._greet = greet
        self._client: Client | None = None
        self._greeted = False
        self._inbox = ""
        self._subscription: Any = None
        self._numbers = count()
        self._waiting: dict[int, _Waiting] = {}
        self._watch: asyncio.TimerHandle | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._errors: list[Exception] = []

    # --- asking -----------------------------------------------------------------------------------------------

    async def ask(self, ask: Ask, within_s: float) -> Answer:
        """Send *ask* and wait for the answer, at most *within_s* seconds (connecting not counted)."""
        (answer,) = await self.ask_all((ask,), within_s)
        return answer

    async def inquire(self, ask: Ask, within_s: float) -> Answer:
        """
        `exchange` for a question that changes nothing: asked again every second until it is answered.

        A server that loses its part in a cluster takes the questions it was asked along.
        """
        until = self.loop.time() + within_s
        while True:
            left_s = until - self.loop.time()
            (answer,) = await self._answered((ask,), min(left_s, _AGAIN_S))
            if answer is not Silence.TIMED_OUT or left_s <= _AGAIN_S:
                return answer

    async def ask_all(self, asks: tuple[Ask, ...], within_s: float) -> list[Answer]:
        """
        Send all of *asks* in order, without waiting in between, then wait for all answers.

        Raises:
            MemoryUnavailable: There is no connection and none could be made; nothing was sent.
        """
        await self.connected()
        return await self._answered(asks, within_s)

    async def _answered(self, asks: tuple[Ask, ...], within_s: float) -> list[Answer]:
        """As `exchange`; what nobody took was not stored, and is sent again while a new leader may be elected."""
        until = self.loop.time() + within_s
        answers = await self.exchange(asks, within_s)
        patient = min(until, self.loop.time() + _ELECTION_S)
        while self.loop.time() < patient:
            untaken = [n for n, answer in enumerate(answers) if answer is Silence.NO_RESPONDERS]
            if not untaken:
                break
            await asyncio.sleep(_WAIT_S)
            again = await self.exchange(tuple(asks[n] for n in untaken), max(0.0, until - self.loop.time()))
            for n, answer in zip(untaken, again, strict=True):
                answers[n] = answer
        return answers

    async def exchange(self, asks: tuple[Ask, ...], within_s: float) -> list[Answer]:
        """As `ask_all`, over the connection as it is: for what is asked while connecting."""
        until = self.loop.time() + within_s
        return [await future for future in [await self._send(ask, until) for ask in asks]]

    async def _send(self, ask: Ask, until: float) -> asyncio.Future[Answer]:
        number = next(self._numbers)
        future: asyncio.Future[Answer] = self.loop.create_future()
        client = self._client
        if client is None or not client.is_connected:
            future.set_result(Silence.NOT_SENT)
            return future
        self._waiting[number] = future, until, ask.subject
        if self._watch is None:
            self._watch = self.loop.call_later(_WATCH_S, self._look)
        try:
            # Suspends only when megabytes wait to be sent.
            await client.publish(ask.subject, ask.payload, f"{self._inbox}{number:x}", ask.headers)
        except nats.errors.Error:
            self._settle(number, Silence.NOT_SENT)
        except OSError:
            self._settle(number, Silence.DISCONNECTED)
        return future

    def _look(self) -> None:
        """
        Now and then: what has waited too long, and whether the connection is still there.

        The driver does not always call when it was lost. One timer for all costs much less than one each.
        """
        self._watch = None
        if self._client is None or not self._client.is_connected:
            self._end_all()
            return
        now = self.loop.time()
        for number in [number for number, (_, until, _) in self._waiting.items() if until <= now]:
            self._settle(number, Silence.TIMED_OUT)
        if self._waiting:
            self._watch = self.loop.call_later(_WATCH_S, self._look)

    def _end_all(self) -> None:
        for number in list(self._waiting):
            self._settle(number, Silence.DISCONNECTED)

    async def _heard(self, message: Msg) -> None:
        number = int(message.subject[len(self._inbox) :], 16)
        if not message.data and message.headers and message.headers.get("Status") == "503":
            self._settle(number, Silence.NO_RESPONDERS)
        else:
            self._settle(number, message.data)

    def _settle(self, number: int, answer: Answer) -> None:
        waiting = self._waiting.pop(number, None)
        if waiting is not None:
            future = waiting[0]
            if not future.done():
                future.set_result(answer)

    # --- connecting -------------------------------------------------------------------------------------------

    async def connected(self) -> Client:
        """
        The client, connected now or already.

        Raises:
            MemoryFault: No connection could be made, or the bucket is not as it has to be.
        """
        client = self._client
        while client is None or not self._greeted or not client.is_connected:
            if self._connecting is None:
                self._connecting = self.loop.create_task(self._connect())
                self._connecting.add_done_callback(self._ended_connecting)
            # Shared by all who wait: none of them may cancel it.
            await asyncio.shield(self._connecting)
            client = self._client
        return client

    def _ended_connecting(self, task: asyncio.Task[None]) -> None:
        self._connecting = None
        if not task.cancelled():
            task.exception()  # whoever waited was told; if all went away, nobody needs to be

    async def _connect(self) -> None:
        if self._client is not None:
            await self._drop()
        client = await self._open() if self._given is None else self._given
        if not client.is_connected:
            raise MemoryUnavailable("the client passed in is not connected")
        try:
            driver: Any = client
            self._inbox = f"{client.new_inbox()}."
            self._client = client
            self._subscription = await driver.subscribe(f"{self._inbox}*", cb=self._heard)
            await self._greet(self, client)
            self._greeted = True
        except BaseException as exc:
            await self._drop()
            if isinstance(exc, DRIVER_ERRORS):
                raise MemoryUnavailable(Silence.DISCONNECTED.value) from exc
            raise

    async def _open(self) -> Client:
        address = self._address
        if address is None:
            raise AssertionError("neither an address nor a client")
        client = Client()
        self._errors.clear()
        try:
            await client.connect(
                **address.arguments,
                name="pyarvo",
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=_WAIT_S,  # pyright: ignore[reportArgumentType] - passed on to asyncio.sleep
                connect_timeout=_CONNECT_S,  # pyright: ignore[reportArgumentType] - passed on to asyncio.wait_for
                ping_interval=_PING_S,
                skip_subject_validation=True,  # ours are made of base64 and numbers
                error_cb=self._noted,
                closed_cb=self._lost,
            )
        except (*DRIVER_ERRORS, ValueError) as exc:
            await end_client(client)
            raise connect_fault(self._errors[-1] if self._errors else exc, address.shown) from exc
        return client

    async def _noted(self, error: Exception) -> None:
        """What the driver would log; the caller is told by a fault."""
        self._errors[:] = [error]
        # The server does not answer what it does not permit; it names the subject beside all answers, and the driver
        # makes small letters of it.
        refused = _REFUSED.search(str(error).lower())
        if refused is not None:
            for number, (_, _, subject) in list(self._waiting.items()):
                if subject.lower() == refused[1]:
                    self._settle(number, Silence.FORBIDDEN)

    async def _lost(self) -> None:
        self._end_all()

    async def _drop(self) -> None:
        client, self._client, self._greeted = self._client, None, False
        subscription, self._subscription = self._subscription, None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if subscription is not None:
            await end_subscription(subscription)
        if client is not None and client is not self._given:
            await end_client(client)
        await asyncio.sleep(0)  # for tasks that were cancelled to end
        self._end_all()

    async def close(self) -> None:
        """End the connection, if it is ours; questions under way are answered with silence."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait((self._connecting,))
        await self._drop()
