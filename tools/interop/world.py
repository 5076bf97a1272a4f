"""
Worlds: contracts and handlers as data, which this module and `run.mjs` turn into the same system.

    contracts  kind (contract, orchestrator), uri, name, domain, versions; a field is [kind] or [kind, default]
    handlers   kind (handler, machine, resumable), contract, services (uri: version), executionunits, domains; a
               machine's versions are its definitions, with actions $emit, $enqueue, $assign, $throw and guards
               [path, value]

Stateless handlers and resumables do what their data says: `do` or `fail` of a request, `steps` of an init event. In a
template {"$": "event.data.x"} stands for what the path leads to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pydantic import BaseModel, create_model

import pyarvo as arvo

__all__ = ["Handler", "World", "make_handlers"]

World = dict[str, Any]
Handler = arvo.ArvoEventHandler | arvo.ArvoOrchestrator | arvo.ArvoResumable

_KINDS: dict[str, Any] = {"number": float, "text": str, "flag": bool, "any": Any}
_LATER = {"do", "steps"}
"""Whoever gets these fills them."""


class Error(Exception):
    """Named as JavaScript names it."""


def make_handlers(world: World) -> dict[str, Handler]:
    """Make the handlers of *world*, by source, each with a memory of its own."""
    contracts = {each["uri"]: _contract(each) for each in world["contracts"]}
    made = [_handler(each, contracts) for each in world["handlers"]]
    return {each.source: each for each in made}


def _model(fields: Mapping[str, list[Any]]) -> type[BaseModel]:
    shape: dict[str, Any] = {name: (_KINDS[kind], *(rest or [...])) for name, (kind, *rest) in fields.items()}
    return create_model("Model", **shape)


def _contract(written: World) -> arvo.ArvoContract:
    shared: dict[str, Any] = {"uri": written["uri"], "domain": written.get("domain")}
    versions: dict[str, Any] = written["versions"]
    if written["kind"] == "orchestrator":
        return arvo.create_arvo_orchestrator_contract(
            **shared,
            name=written["name"],
            versions={
                version: {"init": _model(each["init"]), "complete": _model(each["complete"])}
                for version, each in versions.items()
            },
        )
    return arvo.create_arvo_contract(
        **shared,
        type=written["name"],
        versions={
            version: {
                "accepts": _model(each["accepts"]),
                "emits": {type: _model(fields) for type, fields in each["emits"].items()},
            }
            for version, each in versions.items()
        },
    )


def _filled(template: Any, **scope: Any) -> Any:
    if isinstance(template, list):
        return [_filled(item, **scope) for item in cast("list[Any]", template)]
    if not isinstance(template, dict):
        return template
    template = cast("dict[str, Any]", template)
    if "$" in template:
        at: Any = scope
        for key in str(template["$"]).split("."):
            at = cast("World", at).get(key) if isinstance(at, dict) else getattr(at, key, None)
        return at
    return {key: value if key in _LATER else _filled(value, **scope) for key, value in template.items()}


def _from(template: Any) -> Any:
    def fill(context: Any, event: Any) -> Any:
        return _filled(template, context=context, event=event)

    return fill


def _fail(message: str) -> None:
    raise Error(message)


def _action(written: World) -> Any:
    ((kind, template),) = written.items()
    match kind:
        case "$emit":
            return arvo.emit(_from(template))
        case "$enqueue":
            return arvo.enqueue_arvo_event(_from(template))
        case "$assign":
            return arvo.assign({key: _from(value) for key, value in template.items()})
        case _:
            return lambda: _fail(template)


def _chart(written: Any) -> Any:
    if isinstance(written, list):
        return [_chart(item) for item in cast("list[Any]", written)]
    if not isinstance(written, dict):
        return written
    return {key: _part(key, value) for key, value in cast("dict[str, Any]", written).items()}


def _part(key: str, value: Any) -> Any:
    match key:
        case "entry" | "exit" | "actions":
            return [_action(each) for each in value]
        case "guard":
            return _guard(*value)
        case "context":
            return _context(value)
        case "output":
            return _from(value)
        case _:
            return _chart(value)


def _guard(path: str, wanted: Any) -> Any:
    def holds(context: Any, event: Any) -> bool:
        return _filled({"$": path}, context=context, event=event) == wanted

    return holds


def _context(template: Any) -> Any:
    def begin(init: Any) -> Any:
        return _filled(template, input=init)

    return begin


async def _answer(call: arvo.HandlerCall) -> Any:
    if fail := call.event.data["fail"]:
        _fail(fail)
    return _filled(call.event.data["do"], event=call.event)


async def _resume(call: arvo.ResumableCall) -> Any:
    event: Any = call.input or call.service
    context = call.context or {"n": 0, "steps": event.data["steps"]}
    step: World = next(iter(context["steps"][context["n"] :]), World())
    done = _filled(step, event=event, subject=event.subject)
    if fail := done.get("fail"):
        _fail(fail)
    return {"context": {**context, "n": context["n"] + 1}, **done}


def _handler(written: World, contracts: Mapping[str, arvo.ArvoContract]) -> Handler:
    own = contracts[written["contract"]]
    services = {uri: contracts[uri].version(version) for uri, version in written.get("services", {}).items()}
    domains = {
        "system_error" if kind == "systemError" else kind: given for kind, given in written["domains"].items()
    }
    shared: dict[str, Any] = {
        "executionunits": written["executionunits"],
        "default_event_emission_domains": domains,
    }
    match written["kind"]:
        case "machine":
            machines = [
                arvo.setup_arvo_machine(
                    contracts={"self": own.version(version), "services": services}
                ).create_machine(_chart(definition))
                for version, definition in written["versions"].items()
            ]
            return arvo.create_arvo_orchestrator(
                memory=arvo.SimpleMachineMemory(), machines=machines, **shared
            )
        case "resumable":
            return arvo.create_arvo_resumable(
                memory=arvo.SimpleMachineMemory(),
                contracts={"self": own, "services": services},
                handler=dict.fromkeys(own.versions, _resume),
                **shared,
            )
        case _:
            return arvo.create_arvo_event_handler(
                contract=own, handler=dict.fromkeys(own.versions, _answer), **shared
            )
