from typing import Any

import pytest

from pyarvo.events import ArvoOrchestrationSubject, Labels, labels

SUBJECT = ArvoOrchestrationSubject.new(orchestrator="arvo.orc.order", version="2.1.0", initiator="com.a.b")


def test_subject_and_record_are_read() -> None:
    record = {"executionStatus": "normal", "status": "active", "parentSubject": "parent"}
    assert labels(SUBJECT, record) == Labels(
        orchestrator="arvo.orc.order", version="2.1.0", status="active", parent="parent"
    )


def test_failure_goes_before_status() -> None:
    record = {"executionStatus": "failure", "status": "active", "parentSubject": None}
    assert labels(SUBJECT, record).status == "failure"


@pytest.mark.parametrize("odd", [1, None, {"a": 1}, ["x"], True])
def test_values_that_are_no_text_are_no_labels(odd: Any) -> None:
    record = {"executionStatus": odd, "status": odd, "parentSubject": odd}
    assert labels("any id", record) == Labels()


def test_an_id_that_is_no_subject_has_no_orchestrator() -> None:
    assert labels("any id", {"status": "done"}) == Labels(status="done")
