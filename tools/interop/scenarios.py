"""What each system must do alike, whoever runs which handler: a parent, its child, a resumable and a service."""

from __future__ import annotations

from typing import Any

from pyarvo.events import ARVO_CONTENT_TYPE, ArvoDomain, ArvoOrchestrationSubject
from pyarvo.events.event import WIRE_FIELDS

from .play import Scenario

__all__ = ["SCENARIOS", "SOURCES"]

Json = dict[str, Any]

PARENT, CHILD, GATHER, ADD = SOURCES = (
    "arvo.orc.parent",
    "arvo.orc.child",
    "arvo.orc.gather",
    "com.calc.add",
)
URIS = {"com.human.review": "#/human/review", **{source: f"#/{source.split('.')[-1]}" for source in SOURCES}}
TRACE: Json = {
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "a=1,b=2",
}
SYMBOLS = [
    *(ArvoDomain.FROM_SELF_CONTRACT, ArvoDomain.FROM_EVENT_CONTRACT, ArvoDomain.FROM_TRIGGERING_EVENT),
    *(ArvoDomain.FROM_CURRENT_SUBJECT, ArvoDomain.FROM_PARENT_SUBJECT, ArvoDomain.ORCHESTRATION_CONTEXT),
    *("own.text", None),
]
SUM: Json = {"type": "evt.calc.add.success", "data": {"result": {"$": "event.data.a"}}}
REFUSED: Json = {"type": "evt.calc.add.refused", "data": {}}
ASK: Json = {"type": ADD, "data": {"a": 3, "do": SUM}}
RICH: Json = {
    "id": {"deduplication": "ARVO_MANAGED", "value": " mine "},
    "to": "com.else.where é",
    "redirectto": "com.back.here now",
    "accesscontrol": "role:boss",
    "executionunits": 0,
    "domain": [ArvoDomain.FROM_EVENT_CONTRACT, None, "audit.x"],
    "__extensions": {"b": 1, "a": "x", "10": True, "9": None},
}
START_CHILD: Json = {"type": CHILD, "data": {"parentSubject$$": {"$": "context.subject"}, "a": 4}}
START_GATHER: Json = {
    "type": GATHER,
    "data": {
        "parentSubject$$": {"$": "context.subject"},
        "steps": [{"services": [ASK]}, {"output": {"total": 2, "note": {"$": "event.data"}}}],
    },
}
REVIEW: Json = {
    "type": "com.human.review",
    "data": {"question": "ok?"},
    "domain": [ArvoDomain.FROM_EVENT_CONTRACT],
}


def line(*steps: list[Json], output: Json | None = None) -> Json:
    """A machine of one state after the other; each emits, and any answer leads on."""
    states: Json = {
        f"s{n}": {
            "entry": [{"$emit": each} if "type" in each else each for each in step],
            "on": {"*": {"target": f"s{n + 1}", "actions": [{"$assign": {"last": {"$": "event.data"}}}]}},
        }
        for n, step in enumerate(steps)
    }
    return {
        "context": {"subject": {"$": "input.subject"}, "last": None},
        "output": output or {"final": 7},
        "initial": "s0",
        "states": {**states, f"s{len(steps)}": {"type": "final"}},
    }


def region(request: Json, answer: str, wanted: Json) -> Json:
    """A region that asks, and is over when the answer is the wanted one."""
    ((field, value),) = wanted.items()
    taken = {"target": "over", "actions": [{"$assign": {"v": {"$": f"event.data.{field}"}}}]}
    return {
        "initial": "asked",
        "states": {
            "asked": {
                "entry": [{"$emit": request}],
                "on": {answer: [{"guard": [f"event.data.{field}", value], **taken}, {"target": "no"}]},
            },
            "over": {"type": "final"},
            "no": {"type": "final", "entry": [{"$assign": {"w": "no"}}]},
        },
    }


PARALLEL: Json = {
    "context": {"v": None, "w": "yes"},
    "output": {"final": 1, "note": {"$": "context.w"}},
    "initial": "both",
    "states": {
        "both": {
            "type": "parallel",
            "states": {
                "sum": region(ASK, "evt.calc.add.success", {"result": 3}),
                "review": region(REVIEW, "evt.human.review.done", {"approved": True}),
            },
            "onDone": {"target": "over"},
        },
        "over": {"type": "final"},
    },
}


def contract(source: str, versions: Json, domain: str | None = None) -> Json:
    kind = "orchestrator" if source.startswith("arvo") else "contract"
    name = source.removeprefix("arvo.orc.")
    return {"kind": kind, "uri": URIS[source], "name": name, "domain": domain, "versions": versions}


def play_of(parent: Json, *events: Json, **more: Any) -> Scenario:
    """
    A scenario.

    Args:
        parent: The parent's machine, version 1.0.0.

        events: Those that begin it.

        more: `child`: the child's machine; `second`: the parent's of version 2.0.0; `contracts`: domains of contracts
            by source; `domains`: default domains of all handlers; `answers`.
    """
    still = line([ASK])
    run = {"init": {"a": ["number", 1]}, "complete": {"final": ["number"], "note": ["text", "n/a"]}}
    add = {
        "accepts": {"a": ["number", 3], "do": ["any", None], "fail": ["any", None]},
        "emits": {
            "evt.calc.add.success": {"result": ["any"]},
            "evt.calc.add.refused": {"why": ["text", "odd"]},
        },
    }
    review = {"accepts": {"question": ["text"]}, "emits": {"evt.human.review.done": {"approved": ["flag"]}}}
    gather = {"init": {"steps": ["any"]}, "complete": {"total": ["number"], "note": ["any", None]}}
    given = more.get("contracts", {})
    shapes = {PARENT: run, CHILD: run, GATHER: gather, ADD: add, "com.human.review": review}
    domains = {ADD: "calc.domain", "com.human.review": "human.interaction", **given}
    kinds = {PARENT: "machine", CHILD: "machine", GATHER: "resumable", ADD: "handler"}
    machines = {
        PARENT: {"1.0.0": parent, "2.0.0": more.get("second", still)},
        CHILD: {"1.0.0": more.get("child", still)},
    }
    return {
        "world": {
            "contracts": [
                contract(source, {"1.0.0": shape, "2.0.0": shape, "10.0.0": shape}, domains.get(source))
                for source, shape in shapes.items()
            ],
            "handlers": [
                {
                    "kind": kinds[source],
                    "contract": URIS[source],
                    "services": {}
                    if source == ADD
                    else {URIS[each]: "1.0.0" for each in shapes if each != source},
                    "executionunits": units,
                    "domains": _domains(more.get("domains", {}), source),
                    "versions": machines.get(source),
                }
                for units, source in enumerate(SOURCES)
            ],
        },
        "events": list(events),
        "answers": more.get("answers", {}),
    }


def _domains(given: Json, source: str) -> Json:
    kinds = ("emits", "systemError") if source == ADD else ("services", "complete", "systemError")
    return {kind: given[kind] for kind in kinds if kind in given}


def subject(name: str = PARENT, version: str = "1.0.0", **more: Any) -> str:
    return ArvoOrchestrationSubject.new(
        orchestrator=name, version=version, initiator="com.test.client", execution_id="exec-1", **more
    )


def event(type: str, data: Json, version: str = "1.0.0", **more: Any) -> Json:
    return {
        **dict.fromkeys(sorted(WIRE_FIELDS)),
        "id": "in-1",
        "source": "com.test.client",
        "specversion": "1.0",
        "type": type,
        "to": type,
        "subject": "any",
        "datacontenttype": ARVO_CONTENT_TYPE,
        "time": "2026-01-02T03:04:05.678+00:00",
        "dataschema": f"{URIS.get(type)}/{version}",
        "data": data,
        **more,
    }


def init(
    name: str = PARENT, *, version: str = "1.0.0", of: Json | None = None, data: Any = None, **more: Any
) -> Json:
    """An init event; *of* goes into its subject."""
    fields = {"subject": subject(name, version, **(of or {})), **more}
    return event(name, {"parentSubject$$": None, **(data or {})}, version, **fields)


def gather(*steps: Json, **more: Any) -> Json:
    return init(GATHER, data={"steps": list(steps)}, **more)


def request(do: Any, **more: Any) -> Json:
    return event(ADD, {"a": 3, "do": do}, **more)


def answer(type: str, dataschema: str | None, data: Json, **more: Any) -> Json:
    return event(type, data, dataschema=dataschema, to=PARENT, source=ADD, subject=subject(), id=type, **more)


ERROR: Json = {"errorName": "x", "errorMessage": "m", "errorStack": None}
ELSEWHERE: Json = {"domain": "s.d", "meta": {"z": "1", "redirectto": "com.top.most", "10": "x"}}
EACH_SYMBOL = [{**ASK, "domain": [symbol]} for symbol in SYMBOLS]
OPAQUE: Json = {
    "type": "com.un.known",
    "data": {"b": 1, "free": [1, {"x": None}]},
    "dataschema": "#/opaque/1.0.0",
}
VALUES: list[Any] = [
    1e21,
    1.0,
    0.0,
    1e-7,
    123456789012345680000.0,
    'é\u2028\u0000"\\/',
    {"b": 1, "10": 2, "9": {}},
    True,
    None,
]
SAY: Json = {"com.human.review": {"type": "evt.human.review.done", "data": {"approved": True}}}
DENY: Json = {"com.human.review": {"type": "evt.human.review.done", "data": {"approved": False}}}
WHEN = [(own, trigger) for own in (None, "s.d") for trigger in (None, "t.d", "s.d")]

SCENARIOS: dict[str, Scenario] = {
    "linear": play_of(line([ASK], [{**ASK, "data": {"do": REFUSED}}]), init(**TRACE)),
    "parallel, approved": play_of(PARALLEL, init(), answers=SAY),
    "parallel, not approved": play_of(PARALLEL, init(), answers=DENY),
    "all fields": play_of(
        line([{**ASK, **RICH}, ASK]), init(accesscontrol="t", executionunits=9, domain="d.e")
    ),
    "ids of one's own": play_of(
        line(
            [{**ASK, "id": {"deduplication": "DEVELOPER_MANAGED", "value": way}} for way in (" a-b ", "  ")]
        ),
        init(),
    ),
    "enqueued after emitted": play_of(
        line([{"$enqueue": {**ASK, "domain": ["z"]}}, ASK, {"$enqueue": ASK}]), init()
    ),
    "opaque": play_of(line([OPAQUE, {**OPAQUE, "to": "com.some.where"}]), init()),
    "opaque, in each domain": play_of(
        line([{**OPAQUE, "domain": [symbol]} for symbol in SYMBOLS]), init(of={"domain": "s.d"}, domain="t.d")
    ),
    "in each domain": play_of(line(EACH_SYMBOL), init(of=ELSEWHERE, domain="t.d"), contracts={PARENT: "p.d"}),
    "completion emitted": play_of(
        line([{"type": f"{PARENT}.done", "data": {"final": 3, "x": 1}}, ASK]), init()
    ),
    "completion with all": play_of(
        line(
            output={
                "final": 1,
                "__executionunits": 0,
                "__domain": ["a.b", None, ArvoDomain.FROM_SELF_CONTRACT],
                "__id": {"deduplication": "DEVELOPER_MANAGED", "value": "done-1"},
            }
        ),
        init(),
        contracts={PARENT: "p.d"},
    ),
    "completion redirected": play_of(line([ASK]), init(of=ELSEWHERE, redirectto="com.not.there")),
    **{
        f"in {own}, by an event in {trigger}": play_of(
            line(),
            init(of={"domain": own}, domain=trigger),
            init(version="2.0.0", of={"domain": own}, domain=trigger, accesscontrol="t"),
            request([SUM, {**SUM, "domain": SYMBOLS[:-2]}], subject=subject(domain=own), domain=trigger),
            event(ADD, {"fail": "no"}, subject=subject(domain=own), domain=trigger, executionunits=3),
            second=line([{"$throw": "boom"}]),
        )
        for own, trigger in WHEN
    },
    "nested": play_of(line([START_CHILD], [ASK]), init(accesscontrol="t", **TRACE)),
    "nested, a root": play_of(line([{"type": CHILD, "data": {"parentSubject$$": None}}]), init(of=ELSEWHERE)),
    "nested, redirected": play_of(
        line([START_CHILD], [{**START_CHILD, "redirectto": "com.x.y"}]), init(of=ELSEWHERE)
    ),
    "nested, elsewhere": play_of(
        line([{**START_CHILD, "domain": [ArvoDomain.FROM_EVENT_CONTRACT, None]}], [ASK]),
        init(),
        contracts={CHILD: "kid.d"},
    ),
    "nested, fails": play_of(
        line([{**START_CHILD, "domain": ["kid.d"]}], [ASK]),
        init(of=ELSEWHERE, domain="t.d"),
        child=line([ASK], [{"$throw": "kid"}]),
    ),
    "nested, no parent": play_of(line([{"type": CHILD, "data": {"parentSubject$$": "nonsense"}}]), init()),
    "three deep": play_of(
        line([{**START_CHILD, "domain": ["kid.d"]}], [ASK]),
        init(of=ELSEWHERE),
        child=line([{**START_GATHER, "domain": ["g.d"]}], [ASK]),
    ),
    "resumable": play_of(
        line(),
        gather(
            {"services": [ASK, ASK]},
            {},
            {"services": [REVIEW]},
            {"output": {"total": 3, "__executionunits": 4, "__domain": ["o.d"]}},
            accesscontrol="t",
            **TRACE,
        ),
        answers=SAY,
    ),
    "resumable, all fields": play_of(
        line(),
        gather(
            {"services": [{**ASK, **RICH}, *EACH_SYMBOL], "output": {"total": 1}}, of=ELSEWHERE, domain="t.d"
        ),
        contracts={GATHER: "g.d"},
    ),
    "resumable, a child": play_of(
        line(),
        gather(
            {"services": [{"type": CHILD, "data": {"parentSubject$$": {"$": "subject"}}}]},
            {"output": {"total": {"$": "event.data.final"}}},
        ),
    ),
    "resumable, fails": play_of(line(), gather({"services": [ASK]}, {"fail": "unlucky"}, of=ELSEWHERE)),
    "resumable, refused": play_of(
        line(),
        gather({"services": [{**ASK, "data": {"a": "x"}}]}),
        gather({"output": {}}, of=ELSEWHERE, id="in-2"),
    ),
    "service fails": play_of(line([{**ASK, "data": {"fail": "no"}}], [ASK]), init(accesscontrol="t")),
    "emission refused": play_of(line([{**ASK, "data": {"a": "x"}}]), init()),
    "output refused": play_of(line([ASK], output={"note": "no final"}), init()),
    "versions": play_of(
        line([ASK]),
        init(version="2.0.0"),
        init(id="in-2", dataschema=f"{URIS[PARENT]}/0.0.0", of={"meta": {"n": "2"}}),
        *(init(version=version) for version in ("3.0.0", "0.0.0")),
        second=line([ASK], [ASK]),
    ),
    "dataschemas of an init": play_of(
        line(),
        *(
            init(dataschema=text, id=str(text))
            for text in (None, "nonsense", "#/x/1.0.0", "#/parent/2.0.0", "#/parent/1.0", "1.0.0", "/1.0.0")
        ),
    ),
    "dataschemas of a request": play_of(
        line(),
        *(
            request(SUM, dataschema=text, id=str(text))
            for text in (
                None,
                "nonsense",
                "#/x/1.0.0",
                "#/add/2.0.0",
                "#/add/3.0.0",
                "#/add/0.0.0",
                "1.0.0",
                "/1.0.0",
            )
        ),
    ),
    "subjects": play_of(
        line(), init(subject=subject(CHILD)), init(subject="nonsense"), init(data={"a": "x"})
    ),
    "answers": play_of(
        line([OPAQUE], [ASK]),
        answer("evt.calc.add.success", "#/add/1.0.0", {"result": 0}),
        init(),
        answer("evt.calc.add.success", "#/add/2.0.0", {"result": 1}),
        answer("evt.calc.add.success", "#/x/1.0.0", {"result": 1}),
        answer("evt.calc.add.success", None, {"result": 1}),
        answer("evt.un.known.success", "#/add/1.0.0", {}),
        answer("evt.calc.add.refused", "#/add/1.0.0", {"why": 1}),
        answer("sys.com.calc.add.error", "#/add/0.0.0", {"errorName": "x"}),
        answer("evt.calc.add.success", "#/add/0.0.0", {"result": 1}),
        answer("sys.com.calc.add.error", "#/add/1.0.0", ERROR),
    ),
    "outputs": play_of(
        line(),
        *(
            request(do, id=str(n), redirectto="com.go.back", accesscontrol="t", **TRACE)
            for n, do in enumerate(
                [
                    *(
                        None,
                        [],
                        SUM,
                        [SUM, REFUSED],
                        {**SUM, **RICH},
                        {**SUM, "time": "2020-02-03T04:05:06Z"},
                    ),
                    *({"type": "evt.calc.add.nothing", "data": {}}, {**REFUSED, "data": {"why": 1}}),
                    {"type": "sys.com.calc.add.error", "data": ERROR},
                ]
            )
        ),
    ),
    "values": play_of(line(), request({**SUM, "data": {"result": VALUES}})),
    "default domains": play_of(
        line([ASK], [{"$throw": "x"}]),
        init(),
        gather({"services": [ASK]}, {"fail": "z"}),
        domains={
            "services": ["z", None],
            "emits": ["em", None],
            "complete": ["c"],
            "systemError": ["e", ArvoDomain.FROM_SELF_CONTRACT],
        },
        contracts={PARENT: "p.d"},
    ),
}
