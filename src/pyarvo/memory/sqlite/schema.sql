-- Version 1. Times are seconds since the epoch by the host's clock. Ids are found by a 128-bit hash (BLAKE2b): they
-- may have 4 KiB, and most share their first characters.

CREATE TABLE instance (
    serial               INTEGER PRIMARY KEY,
    key                  BLOB    NOT NULL UNIQUE,
    id                   TEXT    NOT NULL,
    version              INTEGER NOT NULL DEFAULT 0,
    fence                INTEGER NOT NULL DEFAULT 0,
    token                TEXT    NOT NULL DEFAULT '',
    holder               TEXT    NOT NULL DEFAULT '',
    granted_at           REAL    NOT NULL DEFAULT 0.0,
    until                REAL    NOT NULL DEFAULT 0.0,
    deleted_at           REAL,
    note                 TEXT    NOT NULL DEFAULT '',
    orchestrator         TEXT,
    orchestrator_version TEXT,
    status               TEXT,
    parent               TEXT,
    created_at           REAL    NOT NULL,
    updated_at           REAL    NOT NULL
);

-- Lists by orchestrator and status, children of a parent, and what the sweep looks for.
CREATE INDEX instance_label ON instance (orchestrator, status);
CREATE INDEX instance_parent ON instance (parent) WHERE parent IS NOT NULL;
CREATE INDEX instance_unwritten ON instance (updated_at) WHERE version = 0;

-- Apart from `instance`, so that taking a lease does not rewrite the record.
CREATE TABLE record (
    serial INTEGER PRIMARY KEY,
    data   BLOB NOT NULL
);

-- The journal: one row for each applied write. `event_key` is NULL for a write without a step, `produced` also
-- for a body that is no longer kept.
CREATE TABLE step (
    serial    INTEGER NOT NULL,
    version   INTEGER NOT NULL,
    event_key TEXT,
    token     TEXT NOT NULL,
    digest    BLOB NOT NULL,
    produced  BLOB,
    at        REAL NOT NULL,
    PRIMARY KEY (serial, version)
) WITHOUT ROWID;

CREATE UNIQUE INDEX step_event ON step (serial, event_key) WHERE event_key IS NOT NULL;

-- Earlier records, only with the option `history`.
CREATE TABLE history (
    serial  INTEGER NOT NULL,
    version INTEGER NOT NULL,
    data    BLOB NOT NULL,
    PRIMARY KEY (serial, version)
);
