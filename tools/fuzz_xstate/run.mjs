// Runs charts in XState: one JSON object a line in, one a line out.
//
// In:  {"config": <chart>, "events": ["A", ...]}; actions and guards of the chart are data, see charts.py.
// Out: {"steps": [{"active", "emitted", "n", "done"}, ...]}, the first after the start; or {"error": "..."}.
// XState is found next to the working directory (`node_modules`), where `make fuzz-xstate` puts it.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(`${process.cwd()}/`);
const { and, assign, createActor, createMachine, emit, not, or, raise, stateIn } = require("xstate");

const list = (value) => (value === undefined ? [] : Array.isArray(value) ? value : [value]);

// XState has no bound of its own; every circle of a chart passes an action.
const MOST_ACTIONS = 5000;
let actions = 0;

function counted(value) {
  actions += 1;
  if (actions > MOST_ACTIONS) throw new Error("does not come to rest");
  return value;
}

function action(written) {
  if ("$emit" in written) return emit(() => counted({ type: written.$emit }));
  if ("$raise" in written) return raise(() => counted({ type: written.$raise }));
  return assign({ n: ({ context }) => counted(context.n + written.$inc) });
}

function guard(written) {
  if ("$lt" in written) return ({ context }) => context.n < written.$lt;
  if ("$mod" in written) return ({ context }) => context.n % written.$mod[0] === written.$mod[1];
  if ("$and" in written) return and(written.$and.map(guard));
  if ("$or" in written) return or(written.$or.map(guard));
  if ("$not" in written) return not(guard(written.$not));
  return stateIn(written.$in);
}

function chart(written) {
  if (Array.isArray(written)) return written.map(chart);
  if (written === null || typeof written !== "object") return written;
  const made = {};
  for (const [key, value] of Object.entries(written)) {
    if (["entry", "exit", "actions"].includes(key)) made[key] = list(value).map(action);
    else made[key] = key === "guard" ? guard(value) : key === "context" ? value : chart(value);
  }
  return made;
}

function seen(actor, emitted) {
  const snapshot = actor.getSnapshot();
  if (snapshot.status === "error") throw snapshot.error;
  return {
    active: snapshot._nodes.map((node) => node.id).sort(),
    emitted: emitted.splice(0),
    n: snapshot.context.n,
    done: snapshot.status === "done",
  };
}

function play({ config, events }) {
  const emitted = [];
  actions = 0;
  const actor = createActor(createMachine(chart(config)));
  actor.on("*", (event) => emitted.push(event.type));
  actor.subscribe({ error: () => {} });
  actor.start();
  const steps = [seen(actor, emitted)];
  for (const type of events) {
    actions = 0;
    actor.send({ type });
    steps.push(seen(actor, emitted));
  }
  return { steps };
}

console.warn = () => {};
for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = play(JSON.parse(line));
  } catch (error) {
    answer = { error: String(error?.message ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
