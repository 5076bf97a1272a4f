"""
A workflow on one SQLite file: ask a service, wait for its answer, done.

    python examples/quickstart.py

Run it twice: the second time the workflow runs no step again, its journal answers with the events of the first.
"""

import asyncio

from pydantic import BaseModel

import pyarvo as arvo
from pyarvo.handlers import Emission


class Name(BaseModel):
    name: str


class Text(BaseModel):
    text: str


GREET = arvo.create_simple_arvo_contract(
    uri="#/greet", type="text.greet", versions={"1.0.0": {"accepts": Name, "emits": Text}}
)
WELCOME = arvo.create_arvo_orchestrator_contract(
    uri="#/welcome", name="welcome", versions={"1.0.0": {"init": Name, "complete": Text}}
)


async def greet(call: arvo.HandlerCall) -> Emission:
    return {"type": "evt.text.greet.success", "data": {"text": f"Hello, {call.event.data['name']}!"}}


machine = arvo.setup_arvo_machine(
    contracts={"self": WELCOME.version("1.0.0"), "services": {"greet": GREET.version("1.0.0")}}
).create_machine(
    {
        "id": "welcome",
        "context": lambda init: {"name": init.data["name"], "text": ""},
        "output": lambda context: {"text": context["text"]},
        "initial": "greeting",
        "states": {
            "greeting": {
                "entry": arvo.emit(
                    lambda context: {"type": "com.text.greet", "data": {"name": context["name"]}}
                ),
                "on": {
                    "evt.text.greet.success": {
                        "target": "greeted",
                        "actions": arvo.assign({"text": lambda _, event: event.data["text"]}),
                    }
                },
            },
            "greeted": {"type": "final"},
        },
    }
)


async def main() -> None:
    # Id and subject are the caller's to choose: with the same ones it is the same event, and takes effect once.
    init = arvo.create_arvo_orchestrator_event_factory(WELCOME.version("1.0.0")).init(
        id="welcome-ada-1",
        source="com.example.web",
        subject=arvo.ArvoOrchestrationSubject.new(
            orchestrator=WELCOME.type, version="1.0.0", initiator="com.example.web", execution_id="ada-1"
        ),
        data={"parentSubject$$": None, "name": "Ada"},
    )
    async with arvo.open_memory("sqlite:///quickstart.db") as memory:
        handlers = [
            arvo.create_arvo_orchestrator(memory=memory, executionunits=1, machines=[machine]),
            arvo.create_arvo_event_handler(contract=GREET, executionunits=1, handler={"1.0.0": greet}),
        ]
        async with arvo.create_simple_event_broker(handlers) as broker:
            done = await broker.resolve(init)
        print(done.data["text"] if done else "no answer")


asyncio.run(main())
