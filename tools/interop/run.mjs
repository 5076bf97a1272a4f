// The TypeScript system as one end of a pipe: one JSON object a line in, one a line out. See world.py for the worlds.
//
// In:  {"world": <world>}                    makes its handlers, each with a memory of its own
//      {"execute": <event>, "at": <source>}  runs one of them
// Out: {"events": [<text>, ...]}, or {"error": [name, message]}.
// The packages are found next to the working directory (`node_modules`), where `make interop` puts them.

import { AsyncLocalStorage } from "node:async_hooks";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(`${process.cwd()}/`);
const core = require("arvo-core");
const arvo = require("arvo-event-handler");
const { z } = require("zod");
const { assign, emit } = arvo.xstate;

// Without these two no trace goes on; nothing is recorded all the same.
const { context, propagation, ROOT_CONTEXT } = require("@opentelemetry/api");
const { W3CTraceContextPropagator } = require("@opentelemetry/core");
const storage = new AsyncLocalStorage();
context.setGlobalContextManager({
  active: () => storage.getStore() ?? ROOT_CONTEXT,
  with: (active, run, self, ...given) => storage.run(active, () => run.apply(self, given)),
  bind: (_, target) => target,
  enable() {},
  disable() {},
});
propagation.setGlobalPropagator(new W3CTraceContextPropagator());

const list = (value) => (value === undefined ? [] : Array.isArray(value) ? value : [value]);

const mapped = (object, change) =>
  Object.fromEntries(Object.entries(object ?? {}).map(([key, value]) => [key, change(value, key)]));

// Whoever gets these fills them.
const LATER = new Set(["do", "steps"]);

// Puts what the paths lead to into a template: {"$": "event.data.x"}.
function filled(template, scope) {
  if (Array.isArray(template)) return template.map((item) => filled(item, scope));
  if (template === null || typeof template !== "object") return template;
  if ("$" in template) return template.$.split(".").reduce((at, key) => at?.[key], scope) ?? null;
  return mapped(template, (value, key) => (LATER.has(key) ? value : filled(value, scope)));
}

const KINDS = { number: z.number(), text: z.string(), flag: z.boolean(), any: z.any() };

const schema = (fields) =>
  z.object(mapped(fields, ([kind, ...rest]) => (rest.length ? KINDS[kind].default(rest[0]) : KINDS[kind])));

function contract({ kind, uri, name, domain, versions }) {
  const shared = { uri, domain: domain ?? null };
  if (kind === "orchestrator")
    return core.createArvoOrchestratorContract({
      ...shared,
      name,
      versions: mapped(versions, ({ init, complete }) => ({ init: schema(init), complete: schema(complete) })),
    });
  return core.createArvoContract({
    ...shared,
    type: name,
    versions: mapped(versions, ({ accepts, emits }) => ({ accepts: schema(accepts), emits: mapped(emits, schema) })),
  });
}

function failed(message) {
  throw new Error(message);
}

function action(written) {
  if (written.$emit) return emit((scope) => filled(written.$emit, scope));
  if (written.$enqueue) return { type: "enqueueArvoEvent", params: (scope) => filled(written.$enqueue, scope) };
  if (written.$assign) return assign(mapped(written.$assign, (value) => (scope) => filled(value, scope)));
  return () => failed(written.$throw);
}

function chart(written) {
  if (Array.isArray(written)) return written.map(chart);
  if (written === null || typeof written !== "object") return written;
  return mapped(written, (value, key) => {
    if (["entry", "exit", "actions"].includes(key)) return list(value).map(action);
    if (key === "guard") return (scope) => filled({ $: value[0] }, scope) === value[1];
    if (key === "context" || key === "output") return (scope) => filled(value, scope);
    return chart(value);
  });
}

function machine(self, { version, services, definition }) {
  const contracts = { self: self.version(version), services };
  return arvo.setupArvoMachine({ contracts, types: {} }).createMachine({ id: self.type, ...chart(definition) });
}

function handler(written, contracts) {
  const self = contracts[written.contract];
  const memory = new arvo.SimpleMachineMemory();
  const services = mapped(written.services, (version, uri) => contracts[uri].version(version));
  const { executionunits } = written;
  const defaultEventEmissionDomains = written.domains ?? {};
  if (written.kind === "machine")
    return arvo.createArvoOrchestrator({
      memory,
      executionunits,
      machines: Object.entries(written.versions).map(([version, definition]) =>
        machine(self, { version, services, definition }),
      ),
      defaultEventEmissionDomains,
    });
  if (written.kind === "resumable")
    return arvo.createArvoResumable({
      memory,
      executionunits,
      types: {},
      contracts: { self, services },
      defaultEventEmissionDomains,
      handler: mapped(self.versions, () => ({ input, service, context }) => {
        const { n, steps } = context ?? { n: 0, steps: input.data.steps };
        const scope = { event: input ?? service, subject: (input ?? service).subject };
        const { fail, ...done } = filled(steps[n] ?? {}, scope);
        if (fail) failed(fail);
        return { context: { n: n + 1, steps }, ...done };
      }),
    });
  return arvo.createArvoEventHandler({
    contract: self,
    executionunits,
    defaultEventEmissionDomains,
    handler: mapped(self.versions, () => async ({ event }) => {
      if (event.data.fail) failed(event.data.fail);
      return filled(event.data.do, { event });
    }),
  });
}

const FIELDS = new Set([
  ..."id source specversion type subject datacontenttype dataschema time".split(" "),
  ..."to accesscontrol redirectto executionunits traceparent tracestate parentid domain".split(" "),
]);

function event({ data, ...wire }) {
  const fields = {};
  const extensions = {};
  for (const [key, value] of Object.entries(wire)) (FIELDS.has(key) ? fields : extensions)[key] = value;
  return new core.ArvoEvent(fields, data, extensions);
}

let handlers = {};

async function answer(asked) {
  if (asked.world) {
    const contracts = Object.fromEntries(asked.world.contracts.map((each) => [each.uri, contract(each)]));
    handlers = Object.fromEntries(
      asked.world.handlers.map((each) => handler(each, contracts)).map((each) => [each.source, each]),
    );
    return { events: [] };
  }
  const { events } = await handlers[asked.at].execute(event(asked.execute));
  return { events: events.map(String) };
}

console.log = console.info = console.warn = console.error = () => {};
for await (const line of createInterface({ input: process.stdin })) {
  let told;
  try {
    told = await answer(JSON.parse(line));
  } catch (error) {
    told = { error: [String(error?.name), String(error?.message)] };
  }
  process.stdout.write(`${JSON.stringify(told)}\n`);
}
