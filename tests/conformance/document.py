"""The page docs/contract.md, made from the breaks. In `tests/`: `python -m conformance.document`."""

from __future__ import annotations

import sys

from .breaks import BREAKS, Break

CLAUSES: dict[str, str] = {
    "v1": "read: `None` only where no record is; faults retried, corrupt bytes raised",
    "v2": "write: one attempt, on a lease, with a known outcome or `WriteOutcomeUnknown`",
    "v3": "lock: granted, denied and failed kept apart; a TTL always; not re-entrant",
    "v4": "unlock: this caller's lease and nobody else's; never raises for the store",
    "v5": "whose lock it is: the cell in the caller's context",
    "v6": "refusals before any I/O",
    "l1": "two calls a step",
    "l2": "tokens",
    "l3": "fences",
    "l4": "denials change nothing",
    "l5": "copies",
    "l6": "`expires_in_s`",
    "l7": "versions",
    "l8": "refused records and steps change nothing",
    "l9": "release is tolerant",
    "l10": "closed memories refuse",
    "c1": "token, fence and version are checked in the operation that writes",
    "c2": "a frozen holder loses, its successor never notices",
    "c3": "a late holder whose lease nobody took may commit and renew",
    "c4": "the store's clock",
    "c5": "renewal never shortens; of a lost lease it raises",
    "c6": "release ends every right of its token and no other's",
    "c7": "delete, tombstones, sweep",
    "c8": "one creator; absent is version 0",
    "c9": "repeats recognise themselves",
    "c10": "cancelled callers",
    "c11": "steps and replays",
    "c12": "nobody waits for another's lease",
    "s1": "ids are opaque",
    "s7": "what a record may be",
    "q1": "get",
    "q2": "lists by label",
    "q3": "lists by age, lease, deletion",
    "q4": "labels follow the record",
    "q5": "pages",
    "q6": "bounds",
    "q7": "hierarchy",
    "q8": "journal",
    "q9": "history",
    "q10": "release by force",
    "q11": "purge",
}

HEAD = """\
# The contract, clause by clause, and the tests that hold it

`src/pyarvo/memory/contract.py` says the clauses C1 to C12 in words. Each row below is a test in
`tests/conformance/`, run on every backend, and one line of the source that turns it red when it is changed as
shown. `tests/conformance/test_breaks_are_found.py` applies every one of these changes and checks that the test
fails; it also checks that this page says the same as the code. A test without such a line does not count.

V is the four verbs, L the handle of a lease, C the leased protocol, S ids and records, Q the query level.
Faults of processes, disks and files are tested in `tests/integration/`.
"""


def contract_page() -> str:
    """The whole page."""
    parts = [HEAD]
    for clause, words in CLAUSES.items():
        rows = [
            _row(name, broken) for broken in BREAKS for name in broken.red if name.split("_")[1] == clause
        ]
        parts.append(
            f"\n## {clause.upper()}: {words}\n\n| test | the break that turns it red | backends |\n|---|---|---|\n"
        )
        parts.extend(rows)
    return "".join(parts)


def _row(name: str, broken: Break) -> str:
    was, becomes = _code(broken.line), _code(broken.broken)
    return f"| `{name}` | {broken.where}: {was} → {becomes} | {', '.join(broken.kinds)} |\n"


def _code(text: str) -> str:
    if not text.strip():
        return "nothing"
    plain = " ".join(text.split()).replace("|", "\\|")
    return f"`` {plain} ``" if "`" in plain else f"`{plain}`"


if __name__ == "__main__":
    sys.stdout.write(contract_page())
