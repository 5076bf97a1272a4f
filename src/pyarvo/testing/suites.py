"""Scenarios of handlers: suites of cases of steps, run by plain pytest or by anything else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pyarvo.brokers.delivery import EventHandler
from pyarvo.errors import InvalidOption
from pyarvo.events import ArvoEvent

__all__ = [
    "ArvoCase",
    "ArvoConfig",
    "ArvoStep",
    "ArvoSuite",
    "Repeat",
    "Scenario",
    "ScenarioFailed",
    "arvo_scenarios",
    "run_arvo_test_suites",
]

Events: TypeAlias = Sequence[ArvoEvent]
Run: TypeAlias = Callable[[ArvoEvent], Awaitable[Any]]


class ScenarioFailed(AssertionError):
    """A step did not do what was expected; the message names suite, case and step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArvoStep:
    """
    One event, and what is expected of it.

    Attributes:
        input: The event, or a function that makes it of the events of the step before (of the first step: of none).

        expected_events: Told the events that came out; false, or an error, fails the step.

        expected_error: Told the error that was raised; without it an error fails the step, and with it none does.
    """

    input: ArvoEvent | Callable[[Events], ArvoEvent]
    expected_events: Callable[[Events], object] | None = None
    expected_error: Callable[[Exception], object] | None = None

    def __post_init__(self) -> None:
        if self.expected_events is not None and self.expected_error is not None:
            raise InvalidOption("expected_error", "a step has events or an error, not both")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """
    Run a case many times at once; for what is right mostly, like the answers of language models.

    Attributes:
        times: How often, 1 or more.

        success_threshold: Share of runs that must succeed, over 0.0 to 100.0 percent.
    """

    times: int
    success_threshold: float = 100.0

    def __post_init__(self) -> None:
        if self.times < 1:
            raise InvalidOption("times", f"must be 1 or more, is {self.times!r}")
        if not 0.0 < self.success_threshold <= 100.0:
            raise InvalidOption(
                "success_threshold", f"must be over 0.0 to 100.0 percent, is {self.success_threshold!r}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ArvoCase:
    """
    Steps that follow one another.

    Attributes:
        name: Of the case.

        steps: At least one.

        repeat: Whether it runs more than once.
    """

    name: str
    steps: Sequence[ArvoStep]
    repeat: Repeat | None = None

    def __post_init__(self) -> None:
        if not self.steps:
            raise InvalidOption("steps", f"case {self.name!r} has none")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArvoConfig:
    """
    What is tested: exactly one of the three.

    Attributes:
        handler: A handler.

        make: A function that makes the handler, called anew for each run of a case, so that no case sees the workflows
            of another.

        run: An async function of an event that returns events.

        name: Of the configuration; by default the handler's source or the function's name.
    """

    handler: EventHandler | None = None
    make: Callable[[], EventHandler] | None = None
    run: Run | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if sum(one is not None for one in (self.handler, self.make, self.run)) != 1:
            raise InvalidOption("config", "must have exactly one of handler, make and run")

    @property
    def title(self) -> str:
        """Its name."""
        if self.name is not None:
            return self.name
        if self.handler is not None:
            return self.handler.source
        return getattr(self.run or self.make, "__name__", "config")

    def runner(self) -> Run:
        """What one run of a case calls with each event."""
        if self.run is not None:
            return self.run
        handler = self.handler if self.make is None else self.make()
        assert handler is not None  # noqa: S101 - `__post_init__` saw to it
        return handler.execute


@dataclass(frozen=True, slots=True, kw_only=True)
class ArvoSuite:
    """
    Cases, each run with each configuration.

    Attributes:
        config: One or several.

        cases: The cases.
    """

    config: ArvoConfig | Sequence[ArvoConfig]
    cases: Sequence[ArvoCase]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One case with one configuration; `str` of it is its name."""

    config: ArvoConfig
    case: ArvoCase

    def __str__(self) -> str:
        return f"{self.config.title}-{self.case.name}"

    async def run(self) -> None:
        """
        Run the case, as often as it says.

        Raises:
            ScenarioFailed: A step did not do what was expected, or too many runs failed.
        """
        repeat = self.case.repeat
        if repeat is None:
            await self._once("")
            return
        runs = [self._once(f", run {n} of {repeat.times}") for n in range(1, repeat.times + 1)]
        failed = [one for one in await asyncio.gather(*runs, return_exceptions=True) if one is not None]
        for one in failed:
            if not isinstance(one, ScenarioFailed):
                raise one
        share = 100.0 * (repeat.times - len(failed)) / repeat.times
        if share < repeat.success_threshold:
            told = "\n".join(f"  {one}" for one in failed[:5])
            raise ScenarioFailed(
                f"{self}: {share:.1f} % of {repeat.times} runs succeeded, "
                f"{repeat.success_threshold:g} % are needed\n{told}"
            )

    async def _once(self, which: str) -> None:
        run = self.config.runner()
        events: Events = ()
        for number, step in enumerate(self.case.steps, 1):
            events = await _take(step, run, events, f"{self}, step {number}{which}")


async def _take(step: ArvoStep, run: Run, before: Events, where: str) -> Events:
    event = step.input(before) if callable(step.input) else step.input
    try:
        result = await run(event)
    except Exception as error:
        if step.expected_error is None:
            raise ScenarioFailed(f"{where}: raised {error!r}") from error
        _expect(step.expected_error, error, f"{where}: another error was expected than {error!r}")
        return ()
    events: Events = tuple(getattr(result, "events", result))
    if step.expected_error is not None:
        raise ScenarioFailed(f"{where}: an error was expected, it returned {_names(events)}")
    if step.expected_events is not None:
        _expect(step.expected_events, events, f"{where}: other events were expected than {_names(events)}")
    return events


def _expect(predicate: Callable[[Any], object], given: object, message: str) -> None:
    try:
        met = predicate(given)
    except AssertionError as failed:
        raise ScenarioFailed(f"{message}: {failed}") from failed
    except Exception as failed:  # such as `events[0]` where none came
        raise ScenarioFailed(f"{message}: {failed!r}") from failed
    if not met and met is not None:  # a function of assertions returns None
        raise ScenarioFailed(message)


def _names(events: Events) -> str:
    return f"[{', '.join(event.type for event in events)}]"


def arvo_scenarios(*suites: ArvoSuite) -> list[Scenario]:
    """
    Every case of *suites* with every configuration, for `pytest.mark.parametrize("scenario", ..., ids=str)`.

    Raises:
        InvalidOption: There is none: a parametrised test without parameters would be left out in silence.
    """
    found = [
        Scenario(config, case)
        for suite in suites
        for config in ((suite.config,) if isinstance(suite.config, ArvoConfig) else suite.config)
        for case in suite.cases
    ]
    if not found:
        raise InvalidOption("suites", "hold no case")
    return found


async def run_arvo_test_suites(suites: ArvoSuite | Iterable[ArvoSuite]) -> int:
    """
    Run all cases of *suites*, one after the other, without any test runner.

    Returns:
        How many ran.

    Raises:
        ScenarioFailed: With the message of every case that failed.
        InvalidOption: There is no case.
    """
    scenarios = arvo_scenarios(*((suites,) if isinstance(suites, ArvoSuite) else suites))
    failed: list[str] = []
    for scenario in scenarios:
        try:
            await scenario.run()
        except ScenarioFailed as failure:
            failed.append(str(failure))
    if failed:
        raise ScenarioFailed("\n".join((f"{len(failed)} of {len(scenarios)} scenarios failed", *failed)))
    return len(scenarios)
