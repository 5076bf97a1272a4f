"""The command as people run it: a process, on a store that real handlers wrote."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from pyarvo.events import ArvoEvent, ArvoOrchestrationSubject
from pyarvo.handlers import ArvoOrchestrator, ArvoResumable, create_arvo_orchestrator, create_arvo_resumable
from pyarvo.memory import SqliteMachineMemory

SHOP = '''
"""A shop: an order asks a service for payment, and a child execution to deliver."""

from typing import Any

from pydantic import BaseModel

from pyarvo.contracts import create_arvo_contract, create_arvo_orchestrator_contract
from pyarvo.statecharts import emit, setup_arvo_machine


class Amount(BaseModel):
    amount: int


class Nothing(BaseModel):
    pass


pay = create_arvo_contract(
    uri="#/shop/pay",
    type="com.shop.pay",
    versions={"1.0.0": {"accepts": Amount, "emits": {"evt.shop.pay.success": Nothing}}},
)
parcel = create_arvo_orchestrator_contract(
    uri="#/shop/parcel", name="shop.parcel", versions={"1.0.0": {"init": Nothing, "complete": Nothing}}
)
order = create_arvo_orchestrator_contract(
    uri="#/shop/order", name="shop.order", versions={"1.0.0": {"init": Amount, "complete": Nothing}}
)


def started(input: Any) -> dict[str, Any]:
    return {"amount": input.data["amount"]}


def request(context: Any, event: Any) -> dict[str, Any]:
    return {"type": "com.shop.pay", "data": {"amount": context["amount"]}}


def deliver(context: Any, event: Any) -> dict[str, Any]:
    if context["amount"] < 0:
        raise ValueError("[red]negative[/red]")
    return {"type": "arvo.orc.shop.parcel", "data": {}}


machine = setup_arvo_machine(
    contracts={
        "self": order.version("1.0.0"),
        "services": {"pay": pay.version("1.0.0"), "parcel": parcel.version("1.0.0")},
    }
).create_machine(
    {
        "id": "order",
        "context": started,
        "initial": "working",
        "states": {
            "working": {
                "type": "parallel",
                "entry": [emit(request), emit(deliver)],
                "states": {
                    "paying": {
                        "initial": "asked",
                        "states": {"asked": {"on": {"evt.shop.pay.success": "paid"}}, "paid": {"type": "final"}},
                    },
                    "shipping": {
                        "initial": "asked",
                        "states": {
                            "asked": {"on": {"arvo.orc.shop.parcel.done": "there"}},
                            "there": {"type": "final"},
                        },
                    },
                },
                "onDone": "finished",
            },
            "finished": {"type": "final"},
        },
    }
)


async def pack(call: Any) -> Any:
    if call.input is not None:
        return {"services": [{"type": "com.shop.pay", "data": {"amount": 1}, "domain": ["human.desk"]}]}
    return {"output": {}}


contracts = {"self": parcel, "services": {"pay": pay.version("1.0.0")}}
'''


def order_of(n: int, amount: int) -> ArvoEvent:
    subject = ArvoOrchestrationSubject.new(
        orchestrator="arvo.orc.shop.order",
        version="1.0.0",
        initiator="com.shop.web",
        execution_id=f"order-{n}",
    )
    return ArvoEvent.from_dict(
        {
            "id": f"init-{n}",
            "source": "com.shop.web",
            "specversion": "1.0",
            "type": "arvo.orc.shop.order",
            "subject": subject,
            "datacontenttype": "application/cloudevents+json;charset=UTF-8;profile=arvo",
            "dataschema": "#/shop/order/1.0.0",
            "data": {"parentSubject$$": None, "amount": amount},
            "time": "2026-01-02T03:04:05.678+00:00",
            "to": "arvo.orc.shop.order",
        }
    )


def answer_of(asked: ArvoEvent, type: str, dataschema: str) -> ArvoEvent:
    """The answer of a service to *asked*."""
    return ArvoEvent.from_dict(
        {
            **order_of(0, 0).to_dict(),
            "id": f"answer-{asked.id}",
            "source": asked.to,
            "type": type,
            "subject": asked.subject,
            "dataschema": dataschema,
            "data": {},
            "to": asked.source,
            "parentid": asked.id,
        }
    )


class Handlers:
    def __init__(self, memory: SqliteMachineMemory, shop: Any) -> None:
        self.order: ArvoOrchestrator = create_arvo_orchestrator(
            memory=memory, executionunits=1, machines=[shop["machine"]]
        )
        self.parcel: ArvoResumable = create_arvo_resumable(
            contracts=shop["contracts"], memory=memory, handler={"1.0.0": shop["pack"]}
        )


class Store:
    """A store with an order that was paid and waits for its parcel, and one that failed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.url = f"sqlite:///{directory / 'shop.db'}"
        (directory / "shop.py").write_text(SHOP)
        self.shop: dict[str, Any] = {"__name__": "shop"}
        exec(compile(SHOP, "shop.py", "exec"), self.shop)
        self.order = order_of(1, 5)
        self.failed = order_of(2, -5)
        self.parcel = asyncio.run(self._fill())

    async def _fill(self) -> str:
        async with SqliteMachineMemory(self.directory / "shop.db", history=2) as memory:
            handlers = Handlers(memory, self.shop)
            pay, parcel = (await handlers.order.execute(self.order)).events
            await handlers.order.execute(answer_of(pay, "evt.shop.pay.success", "#/shop/pay/1.0.0"))
            await handlers.parcel.execute(parcel)
            await handlers.order.execute(self.failed)
        assert parcel.subject is not None
        return parcel.subject

    def pyarvo(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {
            k: v for k, v in os.environ.items() if k not in {"PYARVO_MEMORY_URL", "COLUMNS", "FORCE_COLOR"}
        }
        return subprocess.run(
            [sys.executable, "-m", "pyarvo", *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=self.directory,
            env={**clean, **environment},
        )

    def json(self, *words: str) -> Any:
        done = self.pyarvo("--memory", self.url, *words, "-o", "json")
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("shop"))


def test_list_shows_what_the_handlers_wrote(store: Store) -> None:
    answer = store.json("instances", "list")
    assert {one["id"]: one["status"] for one in answer["instances"]} == {
        store.order.subject: "active",
        store.parcel: "active",
        store.failed.subject: "failure",
    }


def test_explain_an_order_that_waits_for_its_parcel(store: Store) -> None:
    answer = store.json("instances", "explain", store.order.subject)
    assert answer["situation"] == "waiting"
    assert answer["state"] == {"working": {"paying": "paid", "shipping": "asked"}}
    assert [(one["type"], one["child"]) for one in answer["waits_for"]] == [
        ("arvo.orc.shop.parcel", store.parcel)
    ]
    assert answer["last_step"]["type"] == "evt.shop.pay.success"
    assert [one["id"] for one in answer["children"]["unfinished"]] == [store.parcel]
    assert "$.value.working.paying" in [change["path"] for change in answer["diff"]["changes"]]
    assert answer["next"][0]["argv"][-3:] == ["instances", "explain", store.parcel]


def test_explain_a_parcel_that_waits_for_a_person(store: Store) -> None:
    answer = store.json("instances", "explain", store.parcel)
    assert [(one["type"], one["domain"]) for one in answer["waits_for"]] == [("com.shop.pay", "human.desk")]
    assert [one["id"] for one in answer["parents"]] == [store.order.subject]


def test_explain_an_order_that_failed(store: Store) -> None:
    answer = store.json("instances", "explain", store.failed.subject)
    assert answer["situation"] == "failed"
    assert (answer["error"]["name"], answer["error"]["message"]) == ("ValueError", "[red]negative[/red]")
    text = store.pyarvo("--memory", store.url, "instances", "explain", store.failed.subject).stdout
    assert "ValueError: [red]negative[/red]" in text


def test_tree_and_history(store: Store) -> None:
    tree = store.json("instances", "tree", store.parcel)
    assert tree["root"]["instance"]["id"] == store.order.subject
    assert [child["instance"]["id"] for child in tree["root"]["children"]] == [store.parcel]
    steps = store.json("instances", "history", store.order.subject)["steps"]
    assert [step["event"]["source"] for step in steps] == ["com.shop.web", "com.shop.pay"]
    assert [event["type"] for event in steps[0]["produced"]] == ["com.shop.pay", "arvo.orc.shop.parcel"]


@pytest.mark.parametrize(
    ("format", "said"), [("mermaid", "stateDiagram"), ("dot", "digraph"), ("text", "shipping")]
)
def test_diagram_of_a_machine_in_the_present_directory(store: Store, format: str, said: str) -> None:
    done = store.pyarvo("diagram", "shop:machine", "-f", format)
    assert (done.returncode, done.stderr) == (0, "")
    assert said in done.stdout
    assert "paying" in done.stdout


def test_the_memory_comes_from_the_environment_or_from_either_side_of_the_command(store: Store) -> None:
    listed = ["instances", "list", "-o", "json"]
    wrong = "sqlite:///nothing-here.db"
    for done in (
        store.pyarvo(*listed, PYARVO_MEMORY_URL=store.url),
        store.pyarvo("--memory", store.url, *listed, PYARVO_MEMORY_URL=wrong),
        store.pyarvo(*listed, "--memory", store.url, PYARVO_MEMORY_URL=wrong),
        store.pyarvo("--memory", wrong, *listed, "--memory", store.url),
        store.pyarvo("--memory", "sqlite:///shop.db", *listed),
    ):
        assert json.loads(done.stdout)["count"] == 3
    assert store.pyarvo(*listed).returncode == 2
    assert "PYARVO_MEMORY_URL" in store.pyarvo(*listed).stderr
    explained = store.pyarvo("instances", "explain", store.parcel, PYARVO_MEMORY_URL=store.url)
    assert "--memory" not in explained.stdout


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["instances", "list"], 0),
        (["instances", "list", "--memory", "sqlite:///nothing-here.db"], 1),
        (["instances", "list", "--bogus"], 2),
        (["instances", "list", "--memory", "mongo://host"], 2),
        (["instances", "show", "nobody-knows-it"], 3),
        (["locks", "release", "nobody-knows-it", "--reason", "x"], 3),
        (["diagram", "shop:nothing"], 3),
        (["diagram", "shop:SHOP"], 3),
        (["diagram", "shop:pay"], 2),
        (["demo", "--orders", "1"], 2),
        (["demo", "--workers", "0"], 2),
    ],
)
def test_exit_statuses(store: Store, words: list[str], status: int) -> None:
    done = store.pyarvo("--memory", store.url, *words)
    assert done.returncode == status
    assert bool(done.stderr) == bool(status)
    assert "Traceback" not in done.stderr
    assert not (store.directory / "nothing-here.db").exists()


def test_releasing_what_nobody_holds_is_status_4(store: Store) -> None:
    done = store.pyarvo("--memory", store.url, "locks", "release", store.parcel, "--reason", "x")
    assert (done.returncode, done.stdout) == (4, "")


def test_a_terminal_without_unicode_is_no_failure(store: Store) -> None:
    done = store.pyarvo("--memory", store.url, "instances", "tree", store.parcel, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert store.parcel[-16:] in done.stdout


@pytest.mark.parametrize(
    ("closed", "status", "said"), [(">&-", 1, "stdout is closed"), (">&- 2>&-", 1, ""), ("2>&-", 2, "")]
)
def test_a_closed_stream_is_said_in_one_line_where_there_is_one(
    store: Store, closed: str, status: int, said: str
) -> None:
    words = ("migrate", "nonsense") if status == 2 else ("migrate", "sqlite:///closed.db")
    done = subprocess.run(
        ["sh", "-c", f'"$@" {closed}', "sh", sys.executable, "-W", "error", "-m", "pyarvo", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=store.directory,
    )
    assert (done.returncode, done.stdout) == (status, "")
    assert len(done.stderr.splitlines()) == bool(said)
    assert said in done.stderr
    assert not (store.directory / "closed.db").exists()


def test_a_closed_stdin_is_nobody_to_ask(store: Store) -> None:
    words = ("--memory", store.url, "instances", "delete", store.parcel)
    done = subprocess.run(
        ["sh", "-c", '"$@" <&-', "sh", sys.executable, "-W", "error", "-m", "pyarvo", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "pyarvo: nobody is there to ask; say --yes\n"


def test_help_and_version(store: Store) -> None:
    text = store.pyarvo("--help", COLUMNS="100").stdout
    for said in ("PYARVO_MEMORY_URL", "--memory", "instances", "locks", "diagram", "demo", "Exit status"):
        assert said in text
    version = store.pyarvo("--version")
    assert (version.returncode, version.stdout.split()[0]) == (0, "pyarvo")
    assert "s3cret" not in store.pyarvo("--help", PYARVO_MEMORY_URL="redis://me:s3cret@host").stdout


def test_the_installed_command_is_the_same() -> None:
    (entry,) = entry_points(group="console_scripts", name="pyarvo")
    assert entry.value == "pyarvo.cli:main"


def test_the_package_loads_neither_typer_nor_rich() -> None:
    code = (
        "import sys, pyarvo, pyarvo.memory, pyarvo.handlers, pyarvo.statecharts, pyarvo.brokers\n"
        "sys.exit(any(name.partition('.')[0] in ('typer', 'rich', 'click') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
