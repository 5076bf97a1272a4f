// Orchestrations with Arvo's TypeScript packages: one JSON object a line in, one a line out.
//
// In:  {"way": "machine" | "resumable", "items": [...], "times": 300}, the orchestration of orchestration.py.
// Out: {"seconds": [...], "last": {"type", "data"}}, of each orchestration, and the event that ended the last.
// The packages are found next to the working directory (`node_modules`), where `make bench-typescript` puts them.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(`${process.cwd()}/`);
const {
  createArvoContract,
  createArvoOrchestratorContract,
  createArvoOrchestratorEventFactory,
} = require("arvo-core");
const {
  SimpleMachineMemory,
  createArvoEventHandler,
  createArvoOrchestrator,
  createArvoResumable,
  setupArvoMachine,
} = require("arvo-event-handler");
const { assign, emit } = require("xstate");
const { z } = require("zod");

const Item = z.object({ sku: z.string(), count: z.number().int(), price: z.number(), in_stock: z.boolean() });
const Amount = z.object({
  n: z.number().int(),
  note: z.string().default(""),
  items: z.array(Item).default([]),
});

const service = (name) =>
  createArvoContract({
    uri: `#/bench/${name}`,
    type: `com.bench.${name}`,
    versions: { "1.0.0": { accepts: Amount, emits: { [`evt.bench.${name}.success`]: Amount } } },
  });

const contracts = { one: service("one"), two: service("two"), three: service("three") };
const services = Object.fromEntries(
  Object.entries(contracts).map(([name, contract]) => [name, contract.version("1.0.0")]),
);
const self = createArvoOrchestratorContract({
  uri: "#/bench/orc",
  name: "bench",
  versions: { "1.0.0": { init: Amount, complete: Amount } },
});

const state = (name, target) => ({
  entry: emit(({ context }) => ({ type: `com.bench.${name}`, data: context })),
  on: { [`evt.bench.${name}.success`]: { target, actions: assign({ n: ({ event }) => event.data.n + 1 }) } },
});

const machine = setupArvoMachine({ contracts: { self: self.version("1.0.0"), services } }).createMachine({
  id: "bench",
  context: ({ input }) => ({ n: input.data.n, items: input.data.items }),
  output: ({ context }) => context,
  initial: "one",
  states: {
    one: state("one", "two"),
    two: state("two", "three"),
    three: state("three", "done"),
    done: { type: "final" },
  },
});

const NEXT = {
  "arvo.orc.bench": "com.bench.one",
  "evt.bench.one.success": "com.bench.two",
  "evt.bench.two.success": "com.bench.three",
};

async function resume({ input, service, context: before }) {
  const event = input ?? service;
  const context =
    before === null
      ? { n: event.data.n, items: event.data.items }
      : { ...before, n: event.data.n + 1 };
  const type = NEXT[event.type];
  return type === undefined ? { context, output: context } : { context, services: [{ type, data: context }] };
}

const executionunits = 0.1;
const orchestrators = {
  machine: createArvoOrchestrator({ memory: new SimpleMachineMemory(), executionunits, machines: [machine] }),
  resumable: createArvoResumable({
    contracts: { self, services },
    memory: new SimpleMachineMemory(),
    executionunits,
    handler: { "1.0.0": resume },
  }),
};

const serving = Object.entries(contracts).map(([name, contract]) =>
  createArvoEventHandler({
    contract,
    executionunits,
    handler: {
      "1.0.0": async ({ event }) => ({
        type: `evt.bench.${name}.success`,
        data: { ...event.data, n: event.data.n + 1 },
      }),
    },
  }),
);

const init = createArvoOrchestratorEventFactory(self.version("1.0.0"));

async function orchestrate(handlers, items) {
  const data = { parentSubject$$: null, n: 1, items };
  const waiting = [init.init({ source: "com.bench.client", data })];
  for (;;) {
    const event = waiting.shift();
    if (event.to === "com.bench.client") return event;
    waiting.push(...(await handlers[event.to].execute(event)).events);
  }
}

async function play({ way, items, times }) {
  const handlers = Object.fromEntries([orchestrators[way], ...serving].map((handler) => [handler.source, handler]));
  const seconds = [];
  let last;
  for (let n = 0; n < times; n += 1) {
    const started = performance.now();
    last = await orchestrate(handlers, items);
    seconds.push((performance.now() - started) / 1000);
    if (last.type !== "arvo.orc.bench.done" || last.data.n !== 7) throw new Error(JSON.stringify(last));
  }
  return { seconds, last: { type: last.type, data: last.data } };
}

// Without an SDK Arvo writes what it would add to its spans here.
console.log = () => {};
for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await play(JSON.parse(line)))}\n`);
}
