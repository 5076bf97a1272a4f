-- name: load
-- Lease and version of one instance, and the step that consumed an event, for a decision that does not look at the
-- record. Parameters: event key (NULL finds no step), key.
SELECT i.serial, i.version, i.fence, i.token, i.holder, i.granted_at, i.until, i.deleted_at, i.note, NULL,
       s.version, s.event_key, s.token, s.digest, s.produced, s.at
FROM instance AS i LEFT JOIN step AS s ON s.serial = i.serial AND s.event_key = ?
WHERE i.key = ?

-- name: load_record
-- The same with the record.
SELECT i.serial, i.version, i.fence, i.token, i.holder, i.granted_at, i.until, i.deleted_at, i.note, r.data,
       s.version, s.event_key, s.token, s.digest, s.produced, s.at
FROM instance AS i
LEFT JOIN step AS s ON s.serial = i.serial AND s.event_key = ?
LEFT JOIN record AS r ON r.serial = i.serial
WHERE i.key = ?

-- name: entry_of_version
-- The write that made a version.
SELECT version, event_key, token, digest, produced, at FROM step WHERE serial = ? AND version = ?

-- name: add_instance
-- The first lease of an id makes its row.
INSERT INTO instance (key, id, created_at, updated_at) VALUES (?, ?, ?, ?)

-- name: save_lease
-- What a lease operation changes.
UPDATE instance SET fence = ?, token = ?, holder = ?, granted_at = ?, until = ?, note = ? WHERE serial = ?

-- name: save_commit
-- What a commit changes beside record and journal.
UPDATE instance
SET version = ?, until = ?, deleted_at = NULL, orchestrator = ?, orchestrator_version = ?, status = ?, parent = ?,
    updated_at = ?
WHERE serial = ?

-- name: save_record
INSERT INTO record (serial, data) VALUES (?, ?) ON CONFLICT (serial) DO UPDATE SET data = excluded.data

-- name: keep_record
-- The current record becomes an earlier one.
INSERT INTO history (serial, version, data) SELECT serial, ?, data FROM record WHERE serial = ?

-- name: drop_history
DELETE FROM history WHERE serial = ? AND version <= ?

-- name: add_step
INSERT INTO step (serial, version, event_key, token, digest, produced, at) VALUES (?, ?, ?, ?, ?, ?, ?)

-- name: drop_body
-- A step that is no longer among the latest keeps its key and loses its events.
UPDATE step SET produced = NULL WHERE serial = ? AND version = ? AND event_key IS NOT NULL

-- name: drop_plain
-- A write without a step needs to be recognised only for a while.
DELETE FROM step WHERE serial = ? AND version = ? AND event_key IS NULL

-- name: bury
-- The row of a deleted instance: a tombstone.
UPDATE instance
SET version = 0, fence = ?, token = '', holder = '', granted_at = 0.0, until = 0.0, deleted_at = ?, note = '',
    orchestrator = NULL, orchestrator_version = NULL, status = NULL, parent = NULL, updated_at = ?
WHERE serial = ?

-- name: delete_record
DELETE FROM record WHERE serial = ?

-- name: delete_steps
DELETE FROM step WHERE serial = ?

-- name: delete_history
DELETE FROM history WHERE serial = ?

-- name: sweep
-- Old tombstones, and instances that were leased but never written; a bounded number at a time.
DELETE FROM instance WHERE serial IN (
    SELECT serial FROM instance
    WHERE version = 0 AND updated_at < :oldest AND granted_at < :oldest
      AND NOT (granted_at <= :now AND :now < until)
    LIMIT :most
)

-- name: get
SELECT i.serial, i.id, i.version, i.fence, i.token, i.holder, i.granted_at, i.until, i.deleted_at, i.note, r.data,
       i.orchestrator, i.orchestrator_version, i.status, i.parent, i.created_at, i.updated_at
FROM instance AS i LEFT JOIN record AS r ON r.serial = i.serial WHERE i.key = ?

-- name: find
-- Newest first; every parameter that is NULL does not narrow.
SELECT serial, id, version, fence, token, holder, granted_at, until, deleted_at, note, NULL,
       orchestrator, orchestrator_version, status, parent, created_at, updated_at
FROM instance
WHERE (:before IS NULL OR serial < :before)
  AND (:orchestrator IS NULL OR orchestrator = :orchestrator)
  AND (:version IS NULL OR orchestrator_version = :version)
  AND (:status IS NULL OR status = :status)
  AND (:root IS NULL OR (parent IS NULL) = :root)
  AND (:held IS NULL OR (granted_at <= :now AND :now < until) = :held)
  AND (:updated_before IS NULL OR updated_at < :updated_before)
  AND (:updated_after IS NULL OR updated_at > :updated_after)
  AND (deleted_at IS NOT NULL) = :deleted
ORDER BY serial DESC LIMIT :limit

-- name: find_children
-- The same, by the index of parents.
SELECT serial, id, version, fence, token, holder, granted_at, until, deleted_at, note, NULL,
       orchestrator, orchestrator_version, status, parent, created_at, updated_at
FROM instance
WHERE parent = :parent
  AND (:before IS NULL OR serial < :before)
  AND (:orchestrator IS NULL OR orchestrator = :orchestrator)
  AND (:version IS NULL OR orchestrator_version = :version)
  AND (:status IS NULL OR status = :status)
  AND (:root IS NULL OR :root = 0)
  AND (:held IS NULL OR (granted_at <= :now AND :now < until) = :held)
  AND (:updated_before IS NULL OR updated_at < :updated_before)
  AND (:updated_after IS NULL OR updated_at > :updated_after)
  AND (deleted_at IS NOT NULL) = :deleted
ORDER BY serial DESC LIMIT :limit

-- name: journal
SELECT s.version, s.event_key, s.token, s.digest, s.produced, s.at
FROM step AS s JOIN instance AS i ON i.serial = s.serial
WHERE i.key = ? AND s.version > ? ORDER BY s.version LIMIT ?

-- name: history
SELECT h.version, h.data FROM history AS h JOIN instance AS i ON i.serial = h.serial
WHERE i.key = ? ORDER BY h.version DESC

-- name: put_instance
-- A whole instance of another store, its lease ended.
INSERT INTO instance (key, id, version, fence, token, holder, granted_at, deleted_at, note,
                      orchestrator, orchestrator_version, status, parent, created_at, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: put_history
INSERT INTO history (serial, version, data) VALUES (?, ?, ?)
