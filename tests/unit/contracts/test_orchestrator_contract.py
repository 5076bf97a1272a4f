from enum import Enum
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel

from pyarvo.contracts import ArvoContract, create_arvo_orchestrator_contract
from pyarvo.errors import ContractViolation, InvalidContract


class Init(BaseModel):
    """Starts it."""

    model_config = ConfigDict(extra="forbid")

    a: int
    k: int = 7


class Complete(BaseModel):
    final: int


class OwnParent(BaseModel):
    parent: str = Field(default="root", alias="parentSubject$$")


class WrongParent(BaseModel):
    parent_subject: str


def contract(**changes: Any) -> ArvoContract:
    fields: dict[str, Any] = {
        "uri": "#/orc/calc",
        "name": "calc",
        "versions": {"1.0.0": {"init": Init, "complete": Complete}},
    }
    return create_arvo_orchestrator_contract(**{**fields, **changes})


def test_types_and_metadata() -> None:
    made = contract(metadata={"team": "maths"})
    version = made.version("1.0.0")
    assert made.is_orchestrator
    assert version.is_orchestrator
    assert version.type == "arvo.orc.calc"
    assert version.complete_type == "arvo.orc.calc.done"
    assert version.emits == {"arvo.orc.calc.done": Complete}
    assert version.system_error.type == "sys.arvo.orc.calc.error"
    assert made.metadata == {
        "team": "maths",
        "contractType": "ArvoOrchestratorContract",
        "rootType": "calc",
        "initEventType": "arvo.orc.calc",
        "completeEventType": "arvo.orc.calc.done",
    }


def test_a_name_that_is_a_member_of_an_enumeration_is_its_text() -> None:
    class Name(str, Enum):  # noqa: UP042 - formats as its own name, where a StrEnum formats as its text
        CALC = "calc"

    assert contract(name=Name.CALC).metadata == contract().metadata


def test_the_parent_subject_is_required_and_may_be_null() -> None:
    version = contract().version("any")
    # The key comes first, as in the TypeScript system.
    assert list(version.validate_accepts({"a": 1, "parentSubject$$": None}).items()) == [
        ("parentSubject$$", None),
        ("a", 1),
        ("k", 7),
    ]
    parsed: Any = version.parse_accepts({"a": 1, "parentSubject$$": "eJw+"})
    assert Init in type(parsed).__mro__
    assert parsed.parent_subject == "eJw+"
    for data in ({"a": 1}, {"a": 1, "parentSubject$$": ""}, {"a": 1, "parentSubject$$": 5}):
        with pytest.raises(ContractViolation, match=r"data\.parentSubject\$\$"):
            version.validate_accepts(data)


def test_the_models_own_configuration_and_name_stay() -> None:
    version = contract().version("any")
    with pytest.raises(ContractViolation, match=r"data\.extra"):
        version.validate_accepts({"a": 1, "parentSubject$$": None, "extra": 1})
    assert version.accepts.schema.__name__ == "Init"
    schema = version.to_json_schema()["accepts"]["schema"]
    assert schema["required"] == ["parentSubject$$", "a"]
    assert schema["description"] == "Starts it."


def test_an_init_model_may_bring_the_alias_itself() -> None:
    version = contract(versions={"1.0.0": {"init": OwnParent, "complete": Complete}}).version("any")
    assert version.accepts.schema is OwnParent
    assert version.validate_accepts({}) == {"parentSubject$$": "root"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "Calc"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a-b"}, "name"),
        ({"name": "a..b"}, "type"),
        ({"uri": ""}, "uri"),
        ({"versions": {}}, "versions"),
        ({"versions": {"0.0.0": {"init": Init, "complete": Complete}}}, "versions"),
        ({"versions": {"1.0.0": {"init": dict, "complete": Complete}}}, "versions.1.0.0.init"),
        ({"versions": {"1.0.0": {"init": WrongParent, "complete": Complete}}}, "versions.1.0.0.init"),
        (
            {"versions": {"1.0.0": {"init": RootModel[dict[str, int]], "complete": Complete}}},
            "versions.1.0.0.init",
        ),
        ({"name": None}, "name"),
        ({"metadata": 5}, "metadata"),
        ({"description": b"x"}, "description"),
        ({"versions": None}, "versions"),
        ({"versions": {"1.0.0": {"init": Init}}}, "versions.1.0.0.complete"),
        ({"versions": {"1.0.0": {"init": Init, "complete": 1}}}, "versions.1.0.0.emits.arvo.orc.calc.done"),
    ],
)
def test_rules(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidContract) as caught:
        contract(**changes)
    assert caught.value.field == field


@pytest.mark.parametrize("part", ["init", "complete"])
def test_base_model_itself_is_no_model(part: str) -> None:
    with pytest.raises(InvalidContract, match="derived from pydantic's BaseModel"):
        contract(versions={"1.0.0": {"init": Init, "complete": Complete, part: BaseModel}})
