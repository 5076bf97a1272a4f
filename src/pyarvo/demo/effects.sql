-- name: tables
-- The demo's own tables. No row of `demo_effect` is kept out by a UNIQUE: doubling must show.
CREATE TABLE IF NOT EXISTS demo_effect (
    event_key TEXT NOT NULL,
    name      TEXT NOT NULL,
    action    TEXT NOT NULL,
    answer    TEXT NOT NULL,
    worker    TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS demo_effect_key ON demo_effect (event_key);
CREATE TABLE IF NOT EXISTS demo_replay (instance TEXT NOT NULL, event_key TEXT NOT NULL, worker TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS demo_release (instance TEXT NOT NULL, fence INTEGER NOT NULL, worker TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS demo_kill (
    point     TEXT NOT NULL,
    instance  TEXT NOT NULL,
    event_key TEXT NOT NULL,
    fence     INTEGER NOT NULL,
    version   INTEGER NOT NULL,
    worker    TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS demo_dead_letter (what TEXT NOT NULL, reason TEXT NOT NULL, worker TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS demo_server_kill (effects INTEGER NOT NULL, away_s REAL NOT NULL);

-- name: find_effect
SELECT answer FROM demo_effect WHERE event_key = ? LIMIT 1

-- name: add_effect
INSERT INTO demo_effect (event_key, name, action, answer, worker) VALUES (?, ?, ?, ?, ?)

-- name: add_replay
INSERT INTO demo_replay (instance, event_key, worker) VALUES (?, ?, ?)

-- name: add_release
INSERT INTO demo_release (instance, fence, worker) VALUES (?, ?, ?)

-- name: add_kill
INSERT INTO demo_kill (point, instance, event_key, fence, version, worker) VALUES (?, ?, ?, ?, ?, ?)

-- name: add_dead_letter
INSERT INTO demo_dead_letter (what, reason, worker) VALUES (?, ?, ?)

-- name: add_server_kill
INSERT INTO demo_server_kill (effects, away_s) VALUES (?, ?)

-- name: count_effects
SELECT count(*) FROM demo_effect

-- name: effects
-- How often each action was done.
SELECT name, action, count(*) FROM demo_effect GROUP BY name, action

-- name: replays
SELECT instance, event_key FROM demo_replay

-- name: releases
-- Leases of an instance that were given up without a commit.
SELECT instance, count(DISTINCT fence) FROM demo_release GROUP BY instance

-- name: kills
SELECT point, instance, event_key, fence, version, worker FROM demo_kill ORDER BY rowid

-- name: dead_letters
-- The same event is a dead letter again when the input is fed again.
SELECT DISTINCT what, reason FROM demo_dead_letter ORDER BY rowid

-- name: server_kills
SELECT effects, away_s FROM demo_server_kill ORDER BY rowid
