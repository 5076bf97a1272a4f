-- Every statement is one transaction in READ COMMITTED, and does a whole batch: `op` has one row for each operation,
-- no two of one instance, in the order of their keys.
--
--   {op}        the operations: `unnest` of one array for each column, or, for a lone one, its plain parameters
--   {schema}    the quoted schema
--   {settings}  always true; bounds the wait for a row lock to $1 ms and makes this transaction's commit synchronous
--   {row} {consumed} {seen}   what `decide` needs to name a refusal
--
-- Lookups stand in sub-selects and LATERAL ... OFFSET 0, which the planner leaves as they are: one look into the index
-- for each operation. Joins it would plan by sizes it guessed when the tables were nearly empty.
--
-- How they are right while others write. An UPDATE finds its rows by the snapshot that the statement took when it
-- began. Where another transaction has changed such a row since, it waits for the end of that one and then judges
-- the newest version of the row by its WHERE once more; only that row, all other tables are still seen as they were
-- at the beginning. Therefore:
--
-- 1. Whatever an operation stands on is a condition in the WHERE of the UPDATE that applies it: it holds of the
--    newest row, in the very moment of the write. `clock_timestamp()` stands there too, never a time read before: a
--    time from before the wait is earlier than the grant that was waited for, and would look like a clock set back.
-- 2. What also stands on the journal (`acquire`, `delete`) asks in addition that fence and version are those of the
--    snapshot (row `s`). A commit raises the version and a deletion the fence, so a pair never comes again: where it
--    is the same, no step has been added or removed since the snapshot. A commit has the same by its token and its
--    expected version; the unique keys of the journal stand behind it.
-- 3. An operation that was not applied returns the row and its journal entries as the snapshot had them: one
--    consistent view, of a moment after the request came in. `decide` names the refusal from it. Where it finds no
--    reason to refuse, the row was changed in between: the statement is sent again, with a new snapshot.
-- 4. Nothing waits for the lock of a row whose lease is held: such a row fails the WHERE by the snapshot already.
--    Rows are locked in the order of their keys, new ones after existing ones, so that batches do not wait in a circle.

-- Acquires and commits are first sent with the ending `_applied`, which returns only those that were applied, at the
-- cost of a plain UPDATE. What it does not return was not applied, and the whole statement follows for that.

-- name: settings
-- Set for this transaction only. Asynchronous commit would lose acknowledged steps and let fences come twice.
(SELECT set_config('lock_timeout', $1::text, true)
        || CASE WHEN current_setting('synchronous_commit') = 'off'
                THEN set_config('synchronous_commit', 'on', true) ELSE '' END) IS NOT NULL

-- name: unchanged
-- The row is as the snapshot has it; see note 2.
(i.fence, i.version) = (SELECT s.fence, s.version FROM {schema}.instance AS s WHERE s.key = op.key)

-- name: row
-- The row of an operation that was not applied; NULL finds nothing, so one that was costs nothing.
LEFT JOIN LATERAL (
    SELECT i.* FROM {schema}.instance AS i WHERE i.key = CASE WHEN won.key IS NULL THEN op.key END OFFSET 0
) AS i ON TRUE

-- name: consumed
-- The step that consumed its event.
LEFT JOIN LATERAL (
    SELECT c.* FROM {schema}.step AS c WHERE c.event = CASE WHEN won.key IS NULL THEN op.event END OFFSET 0
) AS c ON TRUE

-- name: seen
clock_timestamp() AS now, i.id, i.version, i.fence, i.token, i.granted_at, i.until, i.deleted_at

-- name: read
WITH op AS ({op})
SELECT op.n, i.id, i.version, i.data FROM op LEFT JOIN {schema}.instance AS i ON i.key = op.key

-- name: acquire
-- The lease of a row that is there, or a new row; else what is needed to say why not.
WITH op AS ({op}),
took AS (
    UPDATE {schema}.instance AS i
    SET fence = i.fence + 1, token = op.token, holder = op.holder,
        granted_at = clock_timestamp(), until = clock_timestamp() + op.ttl_s * interval '1 second'
    FROM op
    WHERE i.key = op.key AND i.id = op.id AND {unchanged}
      AND i.token <> op.token
      AND (i.granted_at <= clock_timestamp() AND clock_timestamp() < i.until) IS NOT TRUE
      AND (SELECT c.version FROM {schema}.step AS c WHERE c.event = op.event) IS NULL
      AND {settings}
    RETURNING i.key, i.fence, i.version, i.deleted_at, i.data
),
made AS (
    INSERT INTO {schema}.instance (key, id, fence, token, holder, granted_at, until, created_at, updated_at)
    SELECT op.key, op.id, 1, op.token, op.holder, t.now, t.now + op.ttl_s * interval '1 second', t.now, t.now
    FROM op, (SELECT clock_timestamp() AS now) AS t
    WHERE (SELECT i.serial FROM {schema}.instance AS i WHERE i.key = op.key) IS NULL AND {settings}
    ORDER BY op.key
    ON CONFLICT (key) DO NOTHING
    RETURNING key, fence, version, deleted_at, data
),
won AS (SELECT * FROM took UNION ALL SELECT * FROM made)
{answer}

-- name: acquire_applied
SELECT op.n, TRUE AS won,
       won.fence AS won_fence, won.version AS won_version, won.deleted_at AS won_deleted_at, won.data AS won_data
FROM op JOIN won ON won.key = op.key

-- name: acquire_answer
SELECT op.n, won.key IS NOT NULL AS won,
       won.fence AS won_fence, won.version AS won_version, won.deleted_at AS won_deleted_at, won.data AS won_data,
       {seen}, CASE WHEN i.token = op.token OR c.version IS NOT NULL THEN i.data END AS data,
       c.version AS c_version, c.event_key AS c_event_key, c.token AS c_token, c.digest AS c_digest,
       c.produced AS c_produced, c.at AS c_at
FROM op
LEFT JOIN won ON won.key = op.key
{row}
{consumed}

-- name: commit
-- Record, journal and release in one.
WITH op AS ({op}),
won AS (
    UPDATE {schema}.instance AS i
    SET version = i.version + 1, until = CASE WHEN op.release THEN NULL ELSE i.until END, deleted_at = NULL,
        written = TRUE, orchestrator = op.orchestrator, orchestrator_version = op.orchestrator_version,
        status = op.status, parent = op.parent, updated_at = clock_timestamp(), data = op.data
    FROM op
    WHERE i.key = op.key AND i.id = op.id
      AND i.token = op.token AND i.until IS NOT NULL AND i.version = op.expected
      AND (SELECT c.version FROM {schema}.step AS c WHERE c.event = op.event) IS NULL
      AND {settings}
    RETURNING i.key, i.serial, i.version
),
noted AS (
    INSERT INTO {schema}.step (serial, version, event, event_key, token, digest, at, produced)
    SELECT won.serial, won.version, op.event, op.event_key, op.token, op.digest, clock_timestamp(), op.produced
    FROM won JOIN op ON op.key = won.key
){pruned}{history}
{answer}

-- name: commit_applied
SELECT op.n, TRUE AS won, won.version AS won_version FROM op JOIN won ON won.key = op.key

-- name: commit_answer
SELECT op.n, won.key IS NOT NULL AS won, won.version AS won_version, {seen}, NULL::bytea AS data,
       c.version AS c_version, c.event_key AS c_event_key, c.token AS c_token, c.digest AS c_digest,
       c.produced AS c_produced, c.at AS c_at,
       w.version AS w_version, w.event_key AS w_event_key, w.token AS w_token, w.digest AS w_digest,
       w.produced AS w_produced, w.at AS w_at
FROM op
LEFT JOIN won ON won.key = op.key
{row}
{consumed}
LEFT JOIN LATERAL (
    SELECT w.* FROM {schema}.step AS w WHERE w.serial = i.serial AND w.version = op.expected + 1 OFFSET 0
) AS w ON TRUE

-- name: pruned
-- Part of `commit`: a step that is no longer among the latest keeps its key and loses its events; a write without a
-- step needs to be recognised only for a while.
,
bodies AS (
    UPDATE {schema}.step AS b SET produced = NULL FROM won
    WHERE b.serial = won.serial AND b.version = won.version - {journal} AND b.event IS NOT NULL
),
plain AS (
    DELETE FROM {schema}.step AS b USING won
    WHERE b.serial = won.serial AND b.version = won.version - {journal} AND b.event IS NULL
)

-- name: history_of_commit
-- Part of `commit` with the option `history`: the snapshot still has the record that the commit replaces.
,
kept AS (
    INSERT INTO {schema}.history (serial, version, data)
    SELECT i.serial, i.version, i.data FROM {schema}.instance AS i JOIN won USING (serial)
    WHERE i.version = won.version - 1 AND i.data IS NOT NULL
),
dropped AS (
    DELETE FROM {schema}.history AS h USING won
    WHERE h.serial = won.serial AND h.version < won.version - {keep}
)

-- name: renew
-- Never shortens, except where the clock was set back before the grant: then the old end means nothing.
WITH op AS ({op}),
won AS (
    UPDATE {schema}.instance AS i
    SET granted_at = clock_timestamp(),
        until = CASE WHEN clock_timestamp() < i.granted_at THEN clock_timestamp() + op.ttl_s * interval '1 second'
                     ELSE greatest(i.until, clock_timestamp() + op.ttl_s * interval '1 second') END
    FROM op
    WHERE i.key = op.key AND i.id = op.id AND i.token = op.token AND i.until IS NOT NULL AND {settings}
    RETURNING i.key, i.until
)
SELECT op.n, won.key IS NOT NULL AS won, won.until AS won_until, {seen}, NULL::bytea AS data
FROM op
LEFT JOIN won ON won.key = op.key
{row}

-- name: release
WITH op AS ({op}),
won AS (
    UPDATE {schema}.instance AS i SET until = NULL
    FROM op
    WHERE i.key = op.key AND i.id = op.id AND i.token = op.token AND i.until IS NOT NULL AND {settings}
    RETURNING i.key
)
SELECT op.n, won.key IS NOT NULL AS won, {seen}, NULL::bytea AS data
FROM op
LEFT JOIN won ON won.key = op.key
{row}

-- name: force_release
WITH op AS ({op}),
won AS (
    UPDATE {schema}.instance AS i SET fence = i.fence + 1, token = '', holder = '', until = NULL, note = op.note
    FROM op
    WHERE i.key = op.key AND i.id = op.id AND i.until IS NOT NULL AND i.fence > 0 AND {settings}
    RETURNING i.key
)
SELECT op.n, won.key IS NOT NULL AS won, {seen}, NULL::bytea AS data
FROM op
LEFT JOIN won ON won.key = op.key
{row}

-- name: delete
-- A tombstone; with the condition of note 2 no step can be left that the snapshot does not show.
WITH op AS ({op}),
won AS (
    UPDATE {schema}.instance AS i
    SET version = 0, fence = i.fence + 1, token = '', holder = '', granted_at = NULL, until = NULL,
        deleted_at = clock_timestamp(), note = '', written = FALSE, orchestrator = NULL,
        orchestrator_version = NULL, status = NULL, parent = NULL, updated_at = clock_timestamp(), data = NULL
    FROM op
    WHERE i.key = op.key AND i.id = op.id AND {unchanged}
      AND CASE WHEN i.granted_at <= clock_timestamp() AND clock_timestamp() < i.until THEN op.force
               ELSE i.version > 0 OR i.until IS NOT NULL END
      AND {settings}
    RETURNING i.key, i.serial, (SELECT s.version FROM {schema}.instance AS s WHERE s.key = i.key) > 0 AS existed
),
steps AS (DELETE FROM {schema}.step AS b USING won WHERE b.serial = won.serial),
older AS (DELETE FROM {schema}.history AS h USING won WHERE h.serial = won.serial)
SELECT op.n, won.key IS NOT NULL AS won, won.existed AS won_existed, {seen}, NULL::bytea AS data
FROM op
LEFT JOIN won ON won.key = op.key
{row}

-- name: sweep
-- Old tombstones, and instances that were leased but never written; a bounded number at a time. Rows that somebody
-- works on are passed over; a row that was leased or written since the snapshot fails the condition.
DELETE FROM {schema}.instance WHERE serial IN (
    SELECT serial FROM {schema}.instance
    WHERE NOT written
      AND coalesce(deleted_at, created_at) < (SELECT clock_timestamp() - $1::float8 * interval '1 second')
      AND (granted_at < clock_timestamp() - $1::float8 * interval '1 second') IS NOT FALSE
      AND (granted_at <= clock_timestamp() AND clock_timestamp() < until) IS NOT TRUE
    ORDER BY coalesce(deleted_at, created_at)
    LIMIT 500
    FOR UPDATE SKIP LOCKED
)

-- name: get
SELECT clock_timestamp() AS now, serial, id, version, fence, token, holder, granted_at, until, deleted_at, note, data,
       orchestrator, orchestrator_version, status, parent, created_at, updated_at
FROM {schema}.instance WHERE key = $1::bytea

-- name: find
-- Newest first. The conditions are those of below that were asked for, so that each combination has a plan of its own.
SELECT clock_timestamp() AS now, serial, id, version, fence, token, holder, granted_at, until, deleted_at, note,
       NULL::bytea AS data, orchestrator, orchestrator_version, status, parent, created_at, updated_at
FROM {schema}.instance
WHERE {matches}
ORDER BY serial DESC LIMIT {limit}

-- name: count
SELECT count(*) AS number FROM {schema}.instance WHERE {matches}

-- name: of_orchestrator
sha256(orchestrator) = sha256({value}::bytea) AND orchestrator = {value}::bytea

-- name: of_version
orchestrator_version = {value}::bytea

-- name: of_status
sha256(status) = sha256({value}::bytea) AND status = {value}::bytea

-- name: of_parent
sha256(parent) = sha256({value}::bytea) AND parent = {value}::bytea

-- name: of_root
(parent IS NULL) = {value}::boolean

-- name: of_held
(granted_at <= clock_timestamp() AND clock_timestamp() < until) IS TRUE = {value}::boolean

-- name: of_updated_before
updated_at < {value}::timestamptz

-- name: of_updated_after
updated_at > {value}::timestamptz

-- name: of_deleted
(deleted_at IS NOT NULL) = {value}::boolean

-- name: of_before
serial < {value}::bigint

-- name: journal
SELECT s.version, s.event_key, s.token, s.digest, s.produced, s.at
FROM {schema}.step AS s JOIN {schema}.instance AS i ON i.serial = s.serial
WHERE i.key = $1::bytea AND s.version > $2::bigint ORDER BY s.version LIMIT $3::bigint

-- name: history
SELECT h.version, h.data
FROM {schema}.history AS h JOIN {schema}.instance AS i ON i.serial = h.serial
WHERE i.key = $1::bytea ORDER BY h.version DESC

-- name: put
-- A whole instance, its lease ended, unless its key is there; as many arrays of the journal as it has columns.
WITH made AS (
    INSERT INTO {schema}.instance (
        key, id, version, fence, token, holder, granted_at, deleted_at, note, written,
        orchestrator, orchestrator_version, status, parent, created_at, updated_at, data
    )
    VALUES ($2, $3, $4::bigint, $5, $6, $7, $8, $9, $10, $4::bigint > 0, $11, $12, $13, $14, $15, $16, $17)
    ON CONFLICT (key) DO NOTHING
    RETURNING serial
),
steps AS (
    INSERT INTO {schema}.step (serial, version, event, event_key, token, digest, at, produced)
    SELECT made.serial, s.*
    FROM made, unnest($18::bigint[], $19::bytea[], $20::bytea[], $21::text[], $22::bytea[], $23::timestamptz[],
                      $24::bytea[]) AS s
),
older AS (
    INSERT INTO {schema}.history (serial, version, data)
    SELECT made.serial, h.* FROM made, unnest($25::bigint[], $26::bytea[]) AS h
)
SELECT {settings} FROM made

-- name: ping
SELECT 1
