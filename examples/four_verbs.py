"""
A memory of your own: any object with these four methods runs every handler. This one is a dictionary.

    python examples/four_verbs.py
"""

import asyncio
import json
from typing import Any

from pydantic import BaseModel

import pyarvo as arvo
from pyarvo.handlers import ResumableResult


class DictMemory:
    """Keeps records as JSON text, and who holds which; both are gone with the process."""

    def __init__(self) -> None:
        self.records: dict[str, str] = {}
        self.held: set[str] = set()

    async def read(self, id: str) -> dict[str, Any] | None:
        text = self.records.get(id)
        return None if text is None else json.loads(text)

    async def write(self, id: str, data: dict[str, Any]) -> None:
        self.records[id] = json.dumps(data)

    async def lock(self, id: str) -> bool:
        if id in self.held:
            return False
        self.held.add(id)
        return True

    async def unlock(self, id: str) -> bool:
        self.held.discard(id)
        return True


class Numbers(BaseModel):
    numbers: list[int]


class Total(BaseModel):
    total: int


SUM = arvo.create_arvo_orchestrator_contract(
    uri="#/sum", name="sum", versions={"1.0.0": {"init": Numbers, "complete": Total}}
)


async def add_up(call: arvo.ResumableCall) -> ResumableResult:
    if call.input is None:
        return {}
    return {"output": {"total": sum(call.input.data["numbers"])}}


async def main() -> None:
    memory = DictMemory()
    workflow = arvo.create_arvo_resumable(
        contracts={"self": SUM, "services": {}}, memory=memory, handler={"1.0.0": add_up}
    )
    init = arvo.create_arvo_orchestrator_event_factory(SUM.version("1.0.0")).init(
        source="com.example.web", data={"parentSubject$$": None, "numbers": [1, 2, 3]}
    )
    for _ in range(2):  # the event comes twice, and takes effect once
        result = await workflow.execute(init)
        print(result.outcome, result.events[0].data)
    print(f"{len(memory.records)} record, {len(memory.held)} held")


asyncio.run(main())
