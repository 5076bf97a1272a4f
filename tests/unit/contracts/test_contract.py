import datetime as dt
import json
import uuid
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError, field_validator

from pyarvo.contracts import (
    ArvoContract,
    SystemErrorData,
    create_arvo_contract,
    create_arvo_error,
    create_arvo_event_factory,
    create_simple_arvo_contract,
)
from pyarvo.errors import ContractViolation, ExecutionViolation, InvalidContract


class Add(BaseModel):
    a: float
    b: float = 1
    at: dt.datetime | None = Field(default=None, alias="at$$")


class Result(BaseModel):
    result: float


class Why(BaseModel):
    why: Literal["odd", "even"]


def add_contract(**changes: Any) -> ArvoContract:
    fields: dict[str, Any] = {
        "uri": "#/calc/add",
        "type": "com.calc.add",
        "domain": "calc.domain",
        "description": "Adds.",
        "metadata": {"team": "maths"},
        "versions": {
            "1.0.0": {"accepts": Add, "emits": {"evt.calc.add.success": Result, "evt.calc.add.refused": Why}},
            "10.0.0": {"accepts": Add, "emits": {}},
            "9.2.0": {"accepts": Add, "emits": {}},
        },
    }
    return create_arvo_contract(**{**fields, **changes})


def one_version(version: str = "1.0.0", accepts: Any = Add, emits: Any = None) -> Any:
    return {version: {"accepts": accepts, "emits": emits or {}}}


class Name(str, Enum):  # noqa: UP042 - formats as its own name, where a StrEnum formats as its text
    URI = "#/calc/add"
    TYPE = "calc.add.now"
    EMIT = "evt.calc.add.success"
    VERSION = "1.0.0"
    DOMAIN = "calc.domain"


def test_members_of_an_enumeration_are_their_text() -> None:
    named = create_arvo_contract(
        uri=Name.URI,
        type=Name.TYPE,
        domain=Name.DOMAIN,
        versions=one_version(Name.VERSION, emits={Name.EMIT: Result}),
    )
    plain = create_arvo_contract(
        uri="#/calc/add",
        type="calc.add.now",
        domain="calc.domain",
        versions=one_version(emits={"evt.calc.add.success": Result}),
    )
    assert json.dumps(named.to_json_schema()) == json.dumps(plain.to_json_schema())
    version = named.version(Name.VERSION)
    assert (version.dataschema, version.system_error.type) == ("#/calc/add/1.0.0", "sys.calc.add.now.error")
    assert {type(text) for text in (version.uri, version.type, version.version, version.domain)} == {str}
    made = create_arvo_event_factory(version).accepts(source="com.test.client", data={"a": 1})
    assert made.dataschema == "#/calc/add/1.0.0"
    simple = create_simple_arvo_contract(
        uri=Name.URI, type=Name.TYPE, versions={Name.VERSION: {"accepts": Add, "emits": Result}}
    )
    assert (simple.type, *simple.version("any").emits) == ("com.calc.add.now", "evt.calc.add.now.success")


def test_parts_of_a_contract() -> None:
    contract = add_contract()
    version = contract.version("1.0.0")
    assert version is contract.versions["1.0.0"]
    assert (version.uri, version.version, version.type) == ("#/calc/add", "1.0.0", "com.calc.add")
    assert (version.accepts.type, version.accepts.schema) == ("com.calc.add", Add)
    assert version.emits == {"evt.calc.add.success": Result, "evt.calc.add.refused": Why}
    assert [(event.type, event.schema) for event in version.emit_list] == list(version.emits.items())
    assert (version.system_error.type, version.system_error.schema) == (
        "sys.com.calc.add.error",
        SystemErrorData,
    )
    assert contract.system_error.type == "sys.com.calc.add.error"
    assert version.dataschema == "#/calc/add/1.0.0"
    assert version.system_error_dataschema == "#/calc/add/0.0.0"
    for part in (contract, version):
        assert part.domain == "calc.domain"
        assert part.description == "Adds."
        assert part.metadata == {"team": "maths"}
        assert not part.is_orchestrator
    assert version.complete_type is None


def test_a_contract_cannot_be_changed() -> None:
    contract = add_contract()
    for mapping in (contract.versions, contract.metadata, contract.version("1.0.0").emits):
        with pytest.raises(TypeError):
            mapping["x"] = 1  # type: ignore[index] -- the point of the test
    with pytest.raises(AttributeError):
        contract.uri = "#/other"  # type: ignore[misc] -- the point of the test


@pytest.mark.parametrize(
    ("asked", "found"),
    [("latest", "10.0.0"), ("any", "10.0.0"), ("oldest", "1.0.0"), ("9.2.0", "9.2.0")],
)
def test_version_lookup_is_numeric(asked: str, found: str) -> None:
    assert add_contract().version(asked).version == found


@pytest.mark.parametrize("unknown", ["1.0.1", "0.0.0", "newest", "", None, 1, []])
def test_an_unknown_version_is_refused(unknown: Any) -> None:
    with pytest.raises(InvalidContract, match=r"1\.0\.0, 10\.0\.0, 9\.2\.0"):
        add_contract().version(unknown)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"uri": ""}, "uri"),
        ({"uri": "#/a b"}, "uri"),
        ({"type": "calc.add"}, "type"),
        ({"type": "com.calc.Add"}, "type"),
        ({"type": "arvo.orc.calc"}, "type"),
        ({"type": "arvo.orchid.flower"}, "type"),
        ({"domain": "Calc"}, "domain"),
        ({"domain": ""}, "domain"),
        ({"versions": {}}, "versions"),
        ({"versions": one_version("0.0.0")}, "versions"),
        ({"versions": one_version("1.0")}, "versions"),
        ({"versions": one_version("1.0.0-rc1")}, "versions"),
        ({"versions": one_version(accepts=dict)}, "versions.1.0.0.accepts"),
        ({"versions": one_version(accepts=Add(a=1))}, "versions.1.0.0.accepts"),
        ({"versions": one_version(emits={"evt.done": Result})}, "versions.1.0.0.emits.evt.done"),
        ({"versions": one_version(emits={"evt.a.b": None})}, "versions.1.0.0.emits.evt.a.b"),
        (
            {"versions": one_version(emits={"arvo.orc.x.done": Result})},
            "versions.1.0.0.emits.arvo.orc.x.done",
        ),
        ({"versions": one_version(emits={"arvo.orchid.x": Result})}, "versions.1.0.0.emits.arvo.orchid.x"),
        ({"uri": 5}, "uri"),
        ({"type": None}, "type"),
        ({"domain": 5}, "domain"),
        ({"description": 5}, "description"),
        ({"metadata": 5}, "metadata"),
        ({"metadata": "team"}, "metadata"),
        ({"metadata": [1]}, "metadata"),
        ({"metadata": {1: "team"}}, "metadata"),
        ({"versions": None}, "versions"),
        ({"versions": {1: {"accepts": Add, "emits": {}}}}, "versions"),
        ({"versions": {"1.0.0": None}}, "versions.1.0.0"),
        ({"versions": {"1.0.0": {"accepts": Add}}}, "versions.1.0.0.emits"),
        ({"versions": {"1.0.0": {"emits": {}}}}, "versions.1.0.0.accepts"),
        ({"versions": {"1.0.0": {"accepts": Add, "emits": None}}}, "versions.1.0.0.emits"),
        ({"versions": {"1.0.0": {"accepts": Add, "emits": {5: Result}}}}, "versions.1.0.0.emits.5"),
    ],
)
def test_rules_of_a_contract(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidContract) as caught:
        add_contract(**changes)
    assert caught.value.field == field


def test_validated_data_is_plain_json_by_alias_with_defaults() -> None:
    version = add_contract().version("1.0.0")
    data = {"a": 2, "at$$": "2026-01-02T03:04:05Z", "unknown": 1}
    assert version.validate_accepts(data) == {"a": 2, "b": 1, "at$$": "2026-01-02T03:04:05Z"}
    parsed = version.parse_accepts(data)
    assert isinstance(parsed, Add)
    assert parsed.at == dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    assert version.validate_accepts(parsed) == version.validate_accepts(data)
    assert version.validate_emit("evt.calc.add.success", {"result": 3}) == {"result": 3}
    assert version.parse_emit("evt.calc.add.refused", Why(why="odd")) == Why(why="odd")


def test_the_system_error_is_an_emit_too() -> None:
    version = add_contract().version("1.0.0")
    data = {"errorName": "E", "errorMessage": "m", "errorStack": None}
    assert version.validate_emit("sys.com.calc.add.error", data) == data
    with pytest.raises(ContractViolation, match=r"errorStack"):
        version.validate_emit("sys.com.calc.add.error", {"errorName": "E", "errorMessage": "m"})


def test_an_event_of_another_contract_is_refused() -> None:
    with pytest.raises(
        ContractViolation, match=r"evt\.calc\.add\.success, evt\.calc\.add\.refused"
    ) as caught:
        add_contract().version("1.0.0").validate_emit("evt.other.thing", {})
    assert caught.value.metadata == {"uri": "#/calc/add", "version": "1.0.0", "type": "evt.other.thing"}


class Card(BaseModel):
    kind: Literal["card"]
    number: int


class Cash(BaseModel):
    kind: Literal["cash"]


class Payment(BaseModel):
    model_config = ConfigDict(extra="forbid")

    items: list[Result]
    pay: Annotated[Card | Cash, Field(discriminator="kind")]


def test_a_violation_lists_every_fault_and_no_value() -> None:
    version = add_contract(versions=one_version(accepts=Payment)).version("any")
    data = {"items": [{"result": 1}, {"result": "secret-1"}], "pay": {"kind": "secret-2"}, "more": "secret-3"}
    with pytest.raises(ContractViolation) as caught:
        version.validate_accepts(data)
    violation = caught.value
    assert isinstance(violation.__cause__, ValidationError)
    assert violation.metadata is not None
    assert {key: violation.metadata[key] for key in ("uri", "version", "type")} == {
        "uri": "#/calc/add",
        "version": "1.0.0",
        "type": "com.calc.add",
    }
    assert [fault["path"] for fault in violation.metadata["faults"]] == [
        "data.items[1].result",
        "data.pay",
        "data.more",
    ]
    assert all(fault["message"] for fault in violation.metadata["faults"])
    assert "secret" not in str(violation.metadata)
    assert "secret" not in str(violation)
    assert "data.items[1].result" in str(violation)


class Loose(BaseModel):
    value: Any = None
    number: float = 0


@pytest.mark.parametrize(
    ("data", "path", "message"),
    [
        ({"number": float("nan")}, "data.number", "finite"),
        ({"value": [1, {"deep": 2**53}]}, "data.value[1].deep", "exact"),
        ({"value": "\ud800"}, "data.value", "surrogate"),
        ({"value": object()}, "data", "cannot be written"),
    ],
)
def test_what_json_cannot_hold_is_a_violation(data: Any, path: str, message: str) -> None:
    version = add_contract(versions=one_version(accepts=Loose)).version("any")
    with pytest.raises(ContractViolation, match=r"at data") as caught:
        version.validate_accepts(data)
    assert caught.value.metadata is not None
    (fault,) = caught.value.metadata["faults"]
    assert fault["path"] == path
    assert message in fault["message"]


def test_data_is_an_object() -> None:
    version = add_contract(versions=one_version(accepts=RootModel[list[int]])).version("any")
    with pytest.raises(ContractViolation) as caught:
        version.validate_accepts([1])
    assert caught.value.metadata is not None
    assert caught.value.metadata["faults"] == [{"path": "data", "message": "must be an object"}]
    version = add_contract(versions=one_version(accepts=RootModel[dict[str, int]])).version("any")
    assert version.validate_accepts({"a": 1}) == {"a": 1}


def test_faults_are_bounded() -> None:
    version = add_contract(versions=one_version(accepts=Payment)).version("any")
    data: dict[str, Any] = {"items": [{}] * 1000, "pay": {"kind": "cash"}}
    with pytest.raises(ContractViolation) as caught:
        version.validate_accepts(data)
    assert caught.value.metadata is not None
    assert len(caught.value.metadata["faults"]) == 50


def test_data_that_is_no_object_is_refused() -> None:
    others: list[Any] = [None, [], "text", 5, Result(result=1)]
    for data in others:
        with pytest.raises(ContractViolation):
            add_contract().version("1.0.0").validate_accepts(data)


def test_simple_contract() -> None:
    contract = create_simple_arvo_contract(
        uri="#/user/create",
        type="user.create",
        versions={"1.0.0": {"accepts": Add, "emits": Result}},
        metadata={"team": "users", "rootType": "no"},
        domain="eu.west",
        description="Creates.",
    )
    version = contract.version("any")
    assert version.type == "com.user.create"
    assert version.emits == {"evt.user.create.success": Result}
    assert contract.metadata == {
        "team": "users",
        "contractType": "SimpleArvoContract",
        "rootType": "user.create",
    }
    assert (contract.domain, contract.description) == ("eu.west", "Creates.")
    with pytest.raises(InvalidContract, match="emits"):
        create_simple_arvo_contract(uri="#/u", type="user.create", versions={"1.0.0": {"accepts": Add}})  # pyright: ignore[reportArgumentType] - on purpose
    with pytest.raises(InvalidContract, match="metadata"):
        create_simple_arvo_contract(
            uri="#/u",
            type="user.create",
            versions={"1.0.0": {"accepts": Add, "emits": Result}},
            metadata=5,  # pyright: ignore[reportArgumentType] - on purpose
        )
    with pytest.raises(InvalidContract, match="type"):
        create_simple_arvo_contract(
            uri="#/u",
            type=1.5,  # pyright: ignore[reportArgumentType] - on purpose
            versions={"1.0.0": {"accepts": Add, "emits": Result}},
        )
    with pytest.raises(InvalidContract, match="three segments"):
        create_simple_arvo_contract(
            uri="#/user", type="user", versions={"1.0.0": {"accepts": Add, "emits": Result}}
        )


def test_json_schema_of_a_contract() -> None:
    contract = add_contract()
    exported = contract.to_json_schema()
    assert list(exported) == ["uri", "domain", "description", "metadata", "versions"]
    assert exported["metadata"] == {"team": "maths"}
    first = exported["versions"][0]
    assert set(first) == {"domain", "version", "accepts", "systemError", "emits", "metadata"}
    assert first["version"] == "1.0.0"
    assert first["accepts"]["type"] == "com.calc.add"
    assert set(first["accepts"]["schema"]["properties"]) == {"a", "b", "at$$"}
    assert first["accepts"]["schema"]["required"] == ["a"]
    assert [event["type"] for event in first["emits"]] == ["evt.calc.add.success", "evt.calc.add.refused"]
    assert first["systemError"]["schema"]["required"] == ["errorName", "errorMessage", "errorStack"]
    version = contract.version("1.0.0").to_json_schema()
    assert version["uri"] == "#/calc/add"
    assert version["description"] == "Adds."
    assert version["accepts"] == first["accepts"]


def test_error_data() -> None:
    assert create_arvo_error(KeyError("x")) == {
        "errorName": "KeyError",
        "errorMessage": "'x'",
        "errorStack": None,
    }
    assert create_arvo_error(ExecutionViolation("no"))["errorName"] == "ViolationError<Execution>"
    assert create_arvo_error(KeyError("\ud800"))["errorMessage"] == "'\\ud800'"
    assert create_arvo_error(ValueError("a\ud800"))["errorMessage"] == "a\\ud800"
    try:
        raise LookupError("gone")
    except LookupError as error:
        data = create_arvo_error(error)
    assert data["errorMessage"] == "gone"
    assert data["errorStack"] is not None
    assert "test_error_data" in data["errorStack"]
    assert SystemErrorData.model_validate(data).model_dump(by_alias=True) == data


class Checked(BaseModel):
    value: int

    @field_validator("value")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("must be even")
        return value


def test_a_models_own_rules_count() -> None:
    version = add_contract(versions=one_version(accepts=Checked)).version("any")
    assert version.validate_accepts({"value": 2}) == {"value": 2}
    with pytest.raises(ContractViolation) as caught:
        version.validate_accepts({"value": 3})
    assert caught.value.metadata is not None
    assert "must be even" in caught.value.metadata["faults"][0]["message"]


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    at: dt.datetime
    key: uuid.UUID
    pair: tuple[int, int]


def test_a_strict_model_takes_what_the_wire_can_hold() -> None:
    version = add_contract(versions=one_version(accepts=Strict)).version("any")
    sent = version.validate_accepts(
        Strict(at=dt.datetime(2026, 1, 2, tzinfo=dt.UTC), key=uuid.UUID(int=1), pair=(1, 2))
    )
    assert version.validate_accepts(sent) == sent
    assert version.parse_accepts(sent) == Strict(
        at=dt.datetime(2026, 1, 2, tzinfo=dt.UTC), key=uuid.UUID(int=1), pair=(1, 2)
    )
    with pytest.raises(ContractViolation) as caught:
        version.validate_accepts({**sent, "pair": ["1", 2]})
    assert caught.value.metadata is not None
    assert [fault["path"] for fault in caught.value.metadata["faults"]] == ["data.pair[0]"]


class MoreThanChecked(Checked):
    more: str = "unknown to the contract"


def test_an_instance_of_a_derived_model_brings_no_unknown_keys() -> None:
    version = add_contract(versions=one_version(accepts=Checked)).version("any")
    assert version.validate_accepts(MoreThanChecked(value=2)) == {"value": 2}


def test_an_instance_that_was_changed_to_another_type_does_not_fit() -> None:
    version = add_contract(versions=one_version(accepts=Checked)).version("any")
    changed = Checked(value=2)
    changed.value = "two"  # pyright: ignore[reportAttributeAccessIssue] - wrong on purpose
    with pytest.raises(ContractViolation, match=r"does not fit"):
        version.validate_accepts(changed)


def test_only_orchestrators_have_a_contract_that_says_so() -> None:
    with pytest.raises(InvalidContract, match=r"metadata\.contractType"):
        add_contract(metadata={"contractType": "ArvoOrchestratorContract"})
