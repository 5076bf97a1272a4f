"""Suites of scenarios: what passes, what fails with which words, and repetition."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import pytest
from pydantic import BaseModel

import pyarvo as arvo
from pyarvo.errors import InvalidOption
from pyarvo.testing.suites import (
    ArvoCase,
    ArvoConfig,
    ArvoStep,
    ArvoSuite,
    Repeat,
    Scenario,
    ScenarioFailed,
    arvo_scenarios,
    run_arvo_test_suites,
)


class Number(BaseModel):
    n: int


contract = arvo.create_simple_arvo_contract(
    uri="#/double", type="number.double", versions={"1.0.0": {"accepts": Number, "emits": Number}}
)
accepts = arvo.create_arvo_event_factory(contract.version("1.0.0")).accepts


def event(n: object) -> arvo.ArvoEvent:
    return arvo.create_arvo_event(
        source="com.test.caller",
        type=contract.type,
        subject="s",
        dataschema="#/double/1.0.0",
        data={"n": n},
    )


async def double(call: arvo.HandlerCall) -> arvo.Emission:
    return {"type": call.contract.emit_list[0].type, "data": {"n": 2 * call.event.data["n"]}}


def make() -> arvo.ArvoEventHandler:
    return arvo.create_arvo_event_handler(contract=contract, executionunits=0, handler={"1.0.0": double})


def again(events: Sequence[arvo.ArvoEvent]) -> arvo.ArvoEvent:
    return event(events[-1].data["n"])


async def plain(given: arvo.ArvoEvent) -> list[arvo.ArvoEvent]:
    return [event(2 * given.data["n"])]


SUITE = ArvoSuite(
    config=[ArvoConfig(handler=make()), ArvoConfig(make=make, name="anew"), ArvoConfig(run=plain)],
    cases=[
        ArvoCase(
            name="twice",
            steps=[
                ArvoStep(input=event(1), expected_events=lambda events: events[0].data == {"n": 2}),
                ArvoStep(input=again, expected_events=lambda events: events[0].data == {"n": 4}),
            ],
        ),
        ArvoCase(name="nothing expected", steps=[ArvoStep(input=event(3))], repeat=Repeat(times=3)),
    ],
)


@pytest.mark.parametrize("scenario", arvo_scenarios(SUITE), ids=str)
async def test_scenarios_are_parameters(scenario: Scenario) -> None:
    await scenario.run()


def test_scenarios_bear_names() -> None:
    assert [str(one) for one in arvo_scenarios(SUITE)][::2] == [
        "com.number.double-twice",
        "anew-twice",
        "plain-twice",
    ]


async def test_an_expected_error_is_looked_at() -> None:
    def suite(wanted: type[Exception]) -> ArvoSuite:
        step = ArvoStep(input=event("x"), expected_error=lambda error: isinstance(error, wanted))
        return ArvoSuite(config=ArvoConfig(handler=make()), cases=[ArvoCase(name="no number", steps=[step])])

    assert await run_arvo_test_suites(suite(arvo.ContractViolation)) == 1
    with pytest.raises(ScenarioFailed, match="step 1: another error was expected than ContractViolation"):
        await run_arvo_test_suites([suite(arvo.ConfigViolation)])


def failing(step: ArvoStep) -> ArvoSuite:
    return ArvoSuite(config=ArvoConfig(handler=make()), cases=[ArvoCase(name="case", steps=[step])])


async def test_failures_say_where_and_what() -> None:
    def asserts(events: Sequence[arvo.ArvoEvent]) -> None:
        assert len(events) == 2, "two of them"

    suites = [
        failing(ArvoStep(input=event(1), expected_events=lambda _: False)),
        failing(ArvoStep(input=event(1), expected_events=asserts)),
        failing(ArvoStep(input=event("x"))),
        failing(ArvoStep(input=event(1), expected_error=lambda _: True)),
        failing(ArvoStep(input=event(1), expected_events=lambda events: len(events) == 1)),
    ]
    with pytest.raises(ScenarioFailed) as caught:
        await run_arvo_test_suites(suites)
    head, *told = str(caught.value).splitlines()
    assert head == "4 of 5 scenarios failed"
    where = "com.number.double-case, step 1: "
    output = make().contract.version("1.0.0").emit_list[0].type
    assert told[0] == f"{where}other events were expected than [{output}]"
    assert told[1].startswith(f"{where}other events were expected than [{output}]: two of them")
    assert any(line.startswith(f"{where}raised ContractViolation") for line in told)
    assert told[-1] == f"{where}an error was expected, it returned [{output}]"


@pytest.mark.parametrize(("threshold", "passes"), [(75.0, True), (76.0, False)])
async def test_a_repeated_case_passes_by_its_share(threshold: float, passes: bool) -> None:
    numbers = count()

    async def mostly(given: arvo.ArvoEvent) -> list[arvo.ArvoEvent]:
        if next(numbers) % 4 == 0:
            raise LookupError("this time not")
        return [given]

    case = ArvoCase(
        name="mostly",
        steps=[ArvoStep(input=event(1))],
        repeat=Repeat(times=8, success_threshold=threshold),
    )
    suite = ArvoSuite(config=ArvoConfig(run=mostly), cases=[case])
    if passes:
        assert await run_arvo_test_suites(suite) == 1
        return
    with pytest.raises(ScenarioFailed, match=r"75\.0 % of 8 runs succeeded, 76 % are needed") as caught:
        await run_arvo_test_suites(suite)
    assert "step 1, run 1 of 8: raised LookupError" in str(caught.value)


@pytest.mark.parametrize(("threshold", "passes"), [(50.0, True), (51.0, False)])
async def test_an_expectation_that_finds_no_events_is_not_met(threshold: float, passes: bool) -> None:
    numbers = count()

    async def half(given: arvo.ArvoEvent) -> list[arvo.ArvoEvent]:
        return [given] if next(numbers) % 2 else []

    step = ArvoStep(input=event(1), expected_events=lambda events: events[0].data == {"n": 1})
    case = ArvoCase(name="half", steps=[step], repeat=Repeat(times=4, success_threshold=threshold))
    suite = ArvoSuite(config=ArvoConfig(run=half), cases=[case])
    if passes:
        assert await run_arvo_test_suites(suite) == 1
        return
    with pytest.raises(ScenarioFailed, match=r"step 1, run 1 of 4: other events .* than \[\]: IndexError"):
        await run_arvo_test_suites(suite)


async def test_a_mistake_in_a_suite_is_no_failed_run() -> None:
    def wrong(_: Sequence[arvo.ArvoEvent]) -> arvo.ArvoEvent:
        raise KeyError("typo")

    case = ArvoCase(name="x", steps=[ArvoStep(input=wrong)], repeat=Repeat(times=2, success_threshold=1.0))
    with pytest.raises(KeyError, match="typo"):
        await run_arvo_test_suites(ArvoSuite(config=ArvoConfig(make=make), cases=[case]))


def test_suites_refuse_what_makes_no_sense() -> None:
    step = ArvoStep(input=event(1))
    wrong = (
        lambda: ArvoStep(input=event(1), expected_events=bool, expected_error=bool),
        lambda: ArvoCase(name="x", steps=[]),
        lambda: ArvoConfig(),
        lambda: ArvoConfig(run=plain, make=make),
        lambda: Repeat(times=0),
        lambda: Repeat(times=1, success_threshold=0.0),
        lambda: arvo_scenarios(ArvoSuite(config=[], cases=[ArvoCase(name="x", steps=[step])])),
    )
    for each in wrong:
        with pytest.raises(InvalidOption):
            each()
