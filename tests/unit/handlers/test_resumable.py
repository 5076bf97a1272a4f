"""The resumable: what its function gets, and what becomes of what it returns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import MappingProxyType
from typing import Any

import pytest
from pydantic import BaseModel, model_validator

from pyarvo.contracts import create_arvo_orchestrator_contract
from pyarvo.errors import ConfigViolation, ContractViolation, InvalidOption
from pyarvo.events import ArvoOrchestrationSubject
from pyarvo.handlers import ArvoResumable, Outcome, ResumableCall, create_arvo_resumable

Function = Callable[[ResumableCall], Awaitable[Any]]


def resumable(world: Any, memory: Any, function: Function, **options: Any) -> ArvoResumable:
    settings: dict[str, Any] = {
        "contracts": world.contracts,
        "memory": memory,
        "handler": {"1.0.0": function},
        **options,
    }
    return create_arvo_resumable(**settings)


def ask(a: int, **fields: Any) -> dict[str, Any]:
    return {"type": "com.calc.add", "data": {"a": a}, **fields}


class Script:
    """Returns one result after the other, and keeps what it was called with."""

    def __init__(self, *results: Any) -> None:
        self._results = list(results)
        self.calls: list[ResumableCall] = []

    async def __call__(self, call: ResumableCall) -> Any:
        self.calls.append(call)
        return self._results.pop(0)


async def test_the_function_gets_the_init_event_first(world: Any, memory: Any) -> None:
    script = Script(None)
    await resumable(world, memory, script).execute(world.init(5, domain="eu.west"))
    (call,) = script.calls
    assert call.input is not None
    assert call.input.data == {"parentSubject$$": None, "n": 5, "step": 1}
    assert call.input.parsed.n == 5
    assert (call.service, call.context, call.metadata) == (None, None, None)
    assert dict(call.collected_events) == {}
    assert (call.domain.event, call.domain.self) == ("eu.west", None)
    assert call.contracts.self is world.job.version("1.0.0")
    assert call.contracts.services["add"] is world.add.version("1.0.0")


async def test_nothing_returned_leaves_the_workflow_waiting(world: Any, memory: Any) -> None:
    result = await resumable(world, memory, Script(None)).execute(world.init())
    assert (result.events, result.outcome) == ((), Outcome.RAN)
    record = await memory.read(world.subject())
    assert (record["status"], record["state$$"], record["events"]["expected"]) == ("active", None, None)


async def test_the_context_is_kept_and_replaced_as_a_whole(world: Any, memory: Any) -> None:
    script = Script({"context": {"a": 1, "b": 2}}, None, {"context": {"c": 3}}, {"context": {}})
    handler = resumable(world, memory, script)
    await handler.execute(world.init())
    for n in range(3):
        await handler.execute(world.answer(n))
    assert [call.context for call in script.calls] == [None, {"a": 1, "b": 2}, {"a": 1, "b": 2}, {"c": 3}]
    assert (await memory.read(world.subject()))["state$$"] == {}


async def test_any_mapping_is_a_context_and_an_output(world: Any, memory: Any) -> None:
    handler = resumable(
        world,
        memory,
        Script(
            {"context": MappingProxyType({"a": 1}), "services": [ask(1)]},
            {"output": MappingProxyType({"total": 1})},
        ),
    )
    await handler.execute(world.init())
    assert (await memory.read(world.subject()))["state$$"] == {"a": 1}
    (done,) = (await handler.execute(world.answer(1))).events
    assert done.data == {"total": 1}


async def test_the_function_sees_the_record_as_metadata(world: Any, memory: Any) -> None:
    script = Script({"context": {"a": 1}}, None)
    handler = resumable(world, memory, script)
    await handler.execute(world.init())
    before = await memory.read(world.subject())
    await handler.execute(world.answer(1))
    metadata = script.calls[1].metadata
    assert metadata is not None
    assert dict(metadata) == before
    assert len(metadata) == len(before)
    assert "initEventId" in repr(metadata)


async def test_answers_are_collected_by_type_in_the_order_of_the_requests(world: Any, memory: Any) -> None:
    script = Script({"services": [ask(1), ask(2)]}, None, None)
    handler = resumable(world, memory, script)
    first, second = (await handler.execute(world.init())).events
    await handler.execute(world.answer(20, to=second))
    await handler.execute(world.answer(10, to=first))
    collected = script.calls[2].collected_events
    assert list(collected) == ["evt.calc.add.success"]
    answers = collected["evt.calc.add.success"]
    assert [answer.data["result"] for answer in answers] == [10, 20]
    assert [answer.parsed.result for answer in answers] == [10, 20]
    assert script.calls[2].service is not None
    assert script.calls[2].service.parsed.result == 10


async def test_expected_answers_survive_later_emissions(world: Any, memory: Any) -> None:
    script = Script({"services": [ask(1), ask(2)]}, {"services": [ask(3)]}, None)
    handler = resumable(world, memory, script)
    first, second = (await handler.execute(world.init())).events
    (third,) = (await handler.execute(world.answer(10, to=first))).events
    await handler.execute(world.answer(20, to=second))
    expected = (await memory.read(world.subject()))["events"]["expected"]
    assert {id: [answer["data"] for answer in answers] for id, answers in expected.items()} == {
        first.id: [{"result": 10}],
        second.id: [{"result": 20}],
        third.id: [],
    }


async def test_an_answer_is_collected_once_even_when_the_journal_forgot_it(world: Any, memory: Any) -> None:
    script = Script({"services": [ask(1)]}, None, None)
    handler = resumable(world, memory, script)
    (request,) = (await handler.execute(world.init())).events
    answer = world.answer(10, to=request)
    await handler.execute(answer)

    async def forgetful(id: str, *, event_key: Any = None, ttl_s: Any = None) -> Any:
        return await memory.inner.acquire(id)

    memory.acquire = forgetful
    commit = memory.inner.commit

    async def committing(lease: Any, data: Any, *, step: Any = None, release: bool = True) -> int:
        return await commit(lease, data, release=release)

    memory.commit = committing
    await handler.execute(answer)
    assert len(script.calls) == 3
    assert len(script.calls[2].collected_events["evt.calc.add.success"]) == 1


async def test_an_event_that_answers_nothing_is_seen_but_not_collected(world: Any, memory: Any) -> None:
    script = Script({"services": [ask(1)]}, None)
    handler = resumable(world, memory, script)
    await handler.execute(world.init())
    await handler.execute(world.answer(10, parentid="of something else"))
    assert script.calls[1].service is not None
    assert dict(script.calls[1].collected_events) == {}


async def test_collected_data_has_the_defaults_of_the_contract(world: Any, memory: Any) -> None:
    script = Script({"services": [ask(1)]}, None)
    handler = resumable(world, memory, script)
    (request,) = (await handler.execute(world.init())).events
    await handler.execute(world.answer(10, to=request, data={"result": 10, "unknown": 1}))
    ((stored,),) = (await memory.read(world.subject()))["events"]["expected"].values()
    assert stored["data"] == {"result": 10}
    (answer,) = script.calls[1].collected_events["evt.calc.add.success"]
    assert answer.data == {"result": 10}


async def test_an_output_completes_the_workflow_once(world: Any, memory: Any) -> None:
    script = Script({"services": [ask(1)]}, {"services": [ask(2)], "output": {"total": 4}})
    handler = resumable(world, memory, script, executionunits=4)
    (request,) = (await handler.execute(world.init(accesscontrol="role:a"))).events
    extra, done = (await handler.execute(world.answer(4, to=request))).events
    assert extra.type == "com.calc.add"
    assert (done.type, done.data, done.dataschema) == ("arvo.orc.job.done", {"total": 4}, "#/orc/job/1.0.0")
    assert (done.to, done.subject, done.parentid) == ("com.test.client", world.subject(), "init-1")
    assert (done.redirectto, done.executionunits, done.accesscontrol) == ("arvo.orc.job", 4, None)
    record = await memory.read(world.subject())
    assert record["status"] == "done"
    assert list(record["events"]["expected"]) == [request.id, extra.id]
    late = await handler.execute(world.answer(5, to=extra))
    assert (late.events, late.outcome) == ((), Outcome.INSTANCE_DONE)


async def test_a_completion_can_be_shaped_by_its_output(world: Any, memory: Any) -> None:
    output = {"total": 1, "__id": "mine", "__domain": ["audit", None], "__executionunits": 9}
    answers = (await resumable(world, memory, Script({"output": output})).execute(world.init())).events
    assert [(event.id, event.domain, event.executionunits) for event in answers] == [
        ("mine", "audit", 9),
        ("mine", None, 9),
    ]
    assert all(event.data == {"total": 1} for event in answers)


async def test_a_completion_without_a_domain_is_sent_all_the_same(world: Any, memory: Any) -> None:
    script = Script({"output": {"total": 1, "__domain": []}})
    (done,) = (await resumable(world, memory, script).execute(world.init())).events
    assert (done.type, done.domain) == ("arvo.orc.job.done", None)


async def test_a_completion_that_is_sent_as_a_service_event_expects_no_answer(
    world: Any, memory: Any
) -> None:
    done = {"type": "arvo.orc.job.done", "data": {"total": 1}, "to": "com.test.client"}
    (event,) = (await resumable(world, memory, Script({"services": [done]})).execute(world.init())).events
    assert (event.type, event.parentid) == ("arvo.orc.job.done", "init-1")
    assert (await memory.read(world.subject()))["events"]["expected"] is None


async def test_an_empty_output_completes_too(world: Any, memory: Any) -> None:
    from pydantic import BaseModel

    class Nothing(BaseModel):
        pass

    contract = create_arvo_orchestrator_contract(
        uri="#/orc/job", name="job", versions={"1.0.0": {"init": Nothing, "complete": Nothing}}
    )
    handler = resumable(world, memory, Script({"output": {}}), contracts={"self": contract, "services": {}})
    result = await handler.execute(world.init())
    assert [(event.type, event.data) for event in result.events] == [("arvo.orc.job.done", {})]
    assert (await memory.read(world.subject()))["status"] == "done"


async def test_the_completion_follows_redirectto_of_the_subject(world: Any, memory: Any) -> None:
    subject = world.subject(meta={"redirectto": "com.other.place"})
    (done,) = (
        await resumable(world, memory, Script({"output": {"total": 1}})).execute(world.init(subject=subject))
    ).events
    assert done.to == "com.other.place"


async def test_parent_and_init_are_set_once(world: Any, memory: Any) -> None:
    parent = ArvoOrchestrationSubject.new(
        orchestrator="arvo.orc.parent", version="1.0.0", initiator="com.test.client"
    )
    script = Script({"services": [ask(1)]}, {"output": {"total": 4}})
    handler = resumable(world, memory, script)
    (request,) = (await handler.execute(world.init(parent=parent))).events
    await handler.execute(world.init(id="init-2", parent=None))
    (done,) = (await handler.execute(world.answer(4, to=request))).events
    assert (done.subject, done.parentid) == (parent, "init-1")
    record = await memory.read(world.subject())
    assert (record["parentSubject"], record["initEventId"]) == (parent, "init-1")


async def test_what_the_function_does_to_its_arguments_changes_no_record(world: Any, memory: Any) -> None:
    seen: list[Any] = []

    async def careless(call: ResumableCall) -> Any:
        if call.input is not None:
            return {"context": {"list": [1]}, "services": [ask(1)]}
        assert call.context is not None
        assert call.service is not None
        assert call.metadata is not None
        seen.append(call.context["list"][0])
        call.context["list"].append("oops")
        call.service.data["result"] = "oops"
        call.metadata["events"]["expected"].clear()
        call.collected_events["evt.calc.add.success"][0].data["result"] = "oops"
        if call.service.id == "answer-3":
            raise ValueError("after all that")
        return None

    handler = resumable(world, memory, careless)
    (request,) = (await handler.execute(world.init())).events
    await handler.execute(world.answer(2, to=request))
    record = await memory.read(world.subject())
    assert record["state$$"] == {"list": [1]}
    assert [answer["data"] for answer in record["events"]["expected"][request.id]] == [{"result": 2}]
    assert (await handler.execute(world.answer(3, to=request))).outcome is Outcome.FAILED
    failed = await memory.read(world.subject())
    assert failed["state$$"] == {"list": [1]}
    assert failed["events"]["expected"] == record["events"]["expected"]
    assert failed["events"]["consumed"]["data"] == {"result": 3}


async def test_what_the_function_does_to_the_model_changes_no_record(world: Any, memory: Any) -> None:
    class Loose(BaseModel):
        nested: dict[str, Any]

    async def careless(call: ResumableCall) -> None:
        assert call.input is not None
        call.input.parsed.nested["deep"]["n"] = "oops"
        call.input.data["nested"]["deep"]["n"] = "oops"

    contract = create_arvo_orchestrator_contract(
        uri="#/orc/job", name="job", versions={"1.0.0": {"init": Loose, "complete": Loose}}
    )
    handler = create_arvo_resumable(
        contracts={"self": contract, "services": {}}, memory=memory, handler={"1.0.0": careless}
    )
    data = {"parentSubject$$": None, "nested": {"deep": {"n": 1}}}
    event = world.init(data=data)
    assert (await handler.execute(event)).outcome is Outcome.RAN
    consumed = (await memory.read(world.subject()))["events"]["consumed"]
    assert consumed["data"] == event.data == {"parentSubject$$": None, "nested": {"deep": {"n": 1}}}


async def test_what_a_validator_does_to_what_it_is_given_changes_no_record(world: Any, memory: Any) -> None:
    class Renamed(BaseModel):
        amount: int

        @model_validator(mode="before")
        @classmethod
        def _rename(cls, data: dict[str, Any]) -> dict[str, Any]:
            data["amount"] = data.pop("count")
            return data

    async def silent(call: ResumableCall) -> None:
        assert call.input is not None
        assert call.input.parsed.amount == call.input.data["amount"] == 1

    contract = create_arvo_orchestrator_contract(
        uri="#/orc/job", name="job", versions={"1.0.0": {"init": Renamed, "complete": Renamed}}
    )
    handler = create_arvo_resumable(
        contracts={"self": contract, "services": {}}, memory=memory, handler={"1.0.0": silent}
    )
    event = world.init(data={"parentSubject$$": None, "count": 1})
    assert (await handler.execute(event)).outcome is Outcome.RAN
    consumed = (await memory.read(world.subject()))["events"]["consumed"]
    assert consumed["data"] == event.data == {"parentSubject$$": None, "count": 1}


async def test_what_the_function_does_to_the_extensions_changes_no_record(world: Any, memory: Any) -> None:
    async def careless(call: ResumableCall) -> None:
        assert call.input is not None
        call.input.extensions["tenant"] = object()  # pyright: ignore[reportArgumentType] - what must not be done

    event = world.init(tenant="t1")
    assert (await resumable(world, memory, careless).execute(event)).outcome is Outcome.RAN
    assert event.extensions == {"tenant": "t1"}
    assert (await memory.read(world.subject()))["events"]["consumed"]["tenant"] == "t1"


@pytest.mark.parametrize(
    ("result", "says"),
    [
        ({"service": []}, "'service' is unknown"),
        ({"services": {"type": "com.calc.add"}}, "'services' must not be dict"),
        ({"context": [1]}, "'context' must not be list"),
        ({"output": 5}, "'output' must not be int"),
        ([ask(1)], "a mapping or None"),
        ({"services": [ask("x")]}, "does not fit"),  # pyright: ignore[reportArgumentType] - on purpose
        ({"output": {"total": "x"}}, "does not fit"),
    ],
)
async def test_a_result_out_of_form_is_a_contract_violation(
    world: Any, memory: Any, result: Any, says: str
) -> None:
    with pytest.raises(ContractViolation, match=says):
        await resumable(world, memory, Script(result)).execute(world.init())
    assert await memory.read(world.subject()) is None
    assert await memory.is_free(world.subject())


async def test_an_emission_that_no_event_can_be_is_a_failure(world: Any, memory: Any) -> None:
    result = await resumable(world, memory, Script({"services": [{"type": "no type", "data": {}}]})).execute(
        world.init()
    )
    assert result.outcome is Outcome.FAILED
    assert result.events[0].data["errorName"] == "InvalidEvent"


ANSWER = {
    "id": "a",
    "source": "com.calc.add",
    "specversion": "1.0",
    "type": "evt.calc.add.success",
    "subject": "s",
    "datacontenttype": "application/json",
    "data": {"result": 1},
    "time": "2026-01-01T00:00:00Z",
}


DAMAGES: list[dict[str, Any]] = [
    {"events": None},
    {"events": {"expected": 5}},
    {"events": {"expected": {"r": 5}}},
    {"events": {"expected": {"r": [5]}}},
    {"events": {"expected": {"r": [{}]}}},
    {"events": {"expected": {"r": [{**ANSWER, "type": []}]}}},
    {"events": {"expected": {"r": [{name: ANSWER[name] for name in ANSWER if name != "subject"}]}}},
    {"state$$": 5},
    {"state$$": ["a"]},
]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_record_of_another_form_is_a_config_violation_and_stays(
    world: Any, memory: Any, damage: dict[str, Any]
) -> None:
    handler = resumable(world, memory, Script({"services": [ask(1)]}, None))
    (request,) = (await handler.execute(world.init())).events
    lease = await memory.inner.acquire(world.subject())
    match damage:
        case {"events": {"expected": {"r": answers}}}:
            damage = {"events": {"expected": {request.id: answers}}}
        case _:
            pass
    damaged = {**lease.data, **damage}
    await memory.inner.commit(lease, damaged)
    with pytest.raises(ConfigViolation, match=r"not written by a resumable|changed by hand"):
        await handler.execute(world.answer(2, to=request))
    assert await memory.read(world.subject()) == damaged
    assert await memory.is_free(world.subject())


async def test_versions_run_side_by_side(world: Any, memory: Any) -> None:
    old, new = Script({"context": {"v": 1}}), Script({"context": {"v": 2}})
    handler = resumable(world, memory, old, handler={"1.0.0": old, "2.0.0": new})
    newer = world.subject(version="2.0.0")
    await handler.execute(world.init())
    await handler.execute(world.init(subject=newer, dataschema="#/orc/job/2.0.0"))
    assert (await memory.read(world.subject()))["state$$"] == {"v": 1}
    assert (await memory.read(newer))["state$$"] == {"v": 2}


def plain(call: ResumableCall) -> None:
    """No async function."""


@pytest.mark.parametrize("contracts", [None, {}, "no", {"self": None}, {"services": {}}])
def test_contracts_are_given_as_self_and_services(world: Any, memory: Any, contracts: Any) -> None:
    with pytest.raises(ConfigViolation, match="`self` and `services`"):
        resumable(world, memory, Script(), contracts=contracts)


def test_contracts_of_another_kind_are_named(world: Any, memory: Any) -> None:
    given: list[tuple[Any, str]] = [
        ({"self": world.job.version("1.0.0"), "services": {}}, r"contracts\.self"),
        ({"self": world.job, "services": None}, "services"),
        ({"self": world.job, "services": {"add": world.add}}, "'add' must be one version"),
    ]
    for contracts, named in given:
        with pytest.raises(ConfigViolation, match=named):
            resumable(world, memory, Script(), contracts=contracts)
    handlers: list[Any] = [None, {}, "no"]
    for handler in handlers:
        with pytest.raises(ConfigViolation, match="at least one"):
            resumable(world, memory, Script(), handler=handler)


def test_set_up_faults_are_named(world: Any, memory: Any) -> None:
    script = Script()
    add = world.add.version("1.0.0")
    with pytest.raises(ConfigViolation, match="must be async"):
        resumable(world, memory, plain)  # pyright: ignore[reportArgumentType] - on purpose
    with pytest.raises(ConfigViolation, match=r"no version '9\.0\.0'"):
        resumable(world, memory, script, handler={"9.0.0": script})
    with pytest.raises(ConfigViolation, match="not an orchestrator contract"):
        resumable(world, memory, script, contracts={"self": world.add, "services": {}})
    with pytest.raises(ConfigViolation, match="once"):
        resumable(world, memory, script, contracts={"self": world.job, "services": {"a": add, "b": add}})
    with pytest.raises(ConfigViolation, match="its own service"):
        own = world.job.version("2.0.0")
        resumable(world, memory, script, contracts={"self": world.job, "services": {"own": own}})
    with pytest.raises(ConfigViolation, match="no kind 'emits'"):
        resumable(world, memory, script, default_event_emission_domains={"emits": [None]})
    with pytest.raises(InvalidOption, match="lease_ttl_s"):
        resumable(world, memory, script, lease_ttl_s=0.5)


def test_a_handler_shows_what_it_is(world: Any, memory: Any) -> None:
    handler = resumable(world, memory, Script(), executionunits=4, lease_ttl_s=60)
    assert (handler.source, handler.domain, handler.executionunits) == ("arvo.orc.job", None, 4)
    assert handler.memory is memory
    assert handler.contracts["self"] is world.job
