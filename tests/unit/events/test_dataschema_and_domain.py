import json
from pathlib import Path
from typing import Any

import pytest

from pyarvo.events import (
    WILDCARD_VERSION,
    ArvoDomain,
    ArvoOrchestrationSubject,
    is_version,
    make_dataschema,
    parse_dataschema,
    resolve_domain,
    version_key,
)

DOMAINS: Any = json.loads((Path(__file__).parents[2] / "vectors" / "domains.json").read_text())


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("#/contract/order/1.0.0", ("#/contract/order", "1.0.0")),
        ("/1.2.3", ("", "1.2.3")),
        ("a//10.20.30", ("a/", "10.20.30")),
        ("1.0.0", ("", "1.0.0")),
        ("#/a/1.0", None),
        ("#/a/1.0.0-rc1", None),
        ("#/a/1.0.0/", None),
        ("", None),
    ],
)
def test_dataschema_splits_at_the_last_slash(text: Any, parts: Any) -> None:
    assert parse_dataschema(text) == parts
    if parts and "/" in text:
        assert make_dataschema(*parts) == text


def test_versions() -> None:
    assert is_version(WILDCARD_VERSION)
    assert not is_version("v1.0.0")
    assert not is_version("1.0.0\n")
    assert not is_version("\u0661.0.0")
    assert sorted(["10.0.0", "9.9.9", "9.10.0"], key=version_key) == ["9.9.9", "9.10.0", "10.0.0"]
    with pytest.raises(ValueError, match=r"1\.2\.3"):
        version_key("1.0")


def subject(domain: Any) -> str:
    return ArvoOrchestrationSubject.new(
        orchestrator="arvo.orc.x", version="1.0.0", initiator="com.a.b", domain=domain, execution_id="e"
    )


@pytest.mark.parametrize("row", DOMAINS, ids=lambda row: "-".join(map(str, row.values())))
def test_domain_table_of_the_reference(row: Any) -> None:
    resolved = resolve_domain(
        getattr(ArvoDomain, row["symbol"]),
        self_domain=None,
        event_domain="calc.domain",
        trigger_domain=row["trigger"],
        current_subject=subject(row["current"]),
        parent_subject=None if row["parent"] == "no parent" else subject(row["parent"]),
    )
    assert resolved == row["resolved"]


def resolve(domain: Any, **changes: Any) -> str | None:
    context = {
        "self_domain": "self",
        "event_domain": "event",
        "trigger_domain": "trigger",
        "current_subject": "broken",
        "parent_subject": "broken",
    }
    return resolve_domain(domain, **{**context, **changes})


def test_literals_and_subjects_that_do_not_parse() -> None:
    assert resolve("human.review") == "human.review"
    assert resolve(None) is None
    assert resolve(ArvoDomain.FROM_SELF_CONTRACT) == "self"
    assert resolve(ArvoDomain.FROM_EVENT_CONTRACT) == "event"
    assert resolve(ArvoDomain.FROM_CURRENT_SUBJECT) is None
    assert resolve(ArvoDomain.FROM_PARENT_SUBJECT, parent_subject=None) is None
    assert resolve(ArvoDomain.ORCHESTRATION_CONTEXT, current_subject=subject("a")) is None
    assert resolve(ArvoDomain.ORCHESTRATION_CONTEXT, parent_subject=subject("p")) == "p"
    assert resolve(ArvoDomain.ORCHESTRATION_CONTEXT, current_subject=None, parent_subject=None) is None


def test_symbols_have_the_values_of_the_reference() -> None:
    assert {name: value for name, value in vars(ArvoDomain).items() if name.isupper()} == {
        "FROM_SELF_CONTRACT": "domain.contract.self.inherit",
        "FROM_EVENT_CONTRACT": "domain.contract.inherit",
        "FROM_TRIGGERING_EVENT": "domain.event.inherit",
        "FROM_CURRENT_SUBJECT": "domain.event.current.subject",
        "FROM_PARENT_SUBJECT": "domain.parent.subject",
        "ORCHESTRATION_CONTEXT": "domain.orchestration.context",
        "LOCAL": None,
    }
