/**
 * Runs the benches one after the other and prints a table for each: `npm run bench [-- name…]`.
 * A figure stands beside the same of the floor server, measured in the same run, because only the
 * ratio carries over to another machine. A bar that is missed changes the exit code only with
 * `--strict`, a bench that fails always does. `--json FILE` keeps the figures.
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { buildKernel, buildPlugins } from '../scripts/build-wasm.ts';
import { formatTable, meetsBar, type Bench, type Outcome } from './figures.ts';
import { context } from './gateway/context.ts';
import { sessions, sockets } from './gateway/crowd.ts';
import { concurrent, message, sustained } from './gateway/message.ts';
import { idle, start } from './gateway/start.ts';
import { router, sandbox } from './printed.ts';

const BENCHES: readonly Bench[] = [
  message,
  concurrent,
  sustained,
  start,
  idle,
  sockets,
  sessions,
  context,
  router,
  sandbox,
];

interface Result extends Outcome {
  readonly name: string;
  readonly error?: string;
}

async function runBench(bench: Bench): Promise<Result> {
  const { name, title } = bench;
  console.log(`\n${name}: ${title}`);
  try {
    const outcome = await bench.run();
    console.log(formatTable(outcome.figures));
    for (const note of outcome.notes ?? []) console.log(`  ${note}`);
    return { name, ...outcome };
  } catch (error) {
    console.log(`failed: ${error instanceof Error ? error.message : String(error)}`);
    return { name, figures: [], error: String(error) };
  }
}

function findBenches(names: readonly string[]): readonly Bench[] | undefined {
  const unknown = names.filter((name) => !BENCHES.some((bench) => bench.name === name));
  if (unknown.length === 0) {
    return names.length === 0 ? BENCHES : BENCHES.filter(({ name }) => names.includes(name));
  }
  const known = BENCHES.map((bench) => bench.name).join(', ');
  console.log(`Unknown bench "${unknown.join('", "')}"; there are ${known}`);
  return undefined;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'string' }, strict: { type: 'boolean', default: false } },
});
// Leaving by `exit` is what kills the processes under measurement.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

const benches = findBenches(positionals);
if (benches === undefined) process.exit(2);

await buildKernel();
await buildPlugins();
const machine = {
  node: process.version,
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: availableParallelism(),
  load: loadavg()[0] ?? 0,
};
console.log(
  `Node ${machine.node}, ${machine.cores} cores (${machine.cpu}), load ${machine.load.toFixed(2)}`,
);

const results: Result[] = [];
for (const bench of benches) results.push(await runBench(bench));

const missed = results.flatMap(({ name, figures }) =>
  figures.filter((figure) => meetsBar(figure) === false).map((figure) => `${name}: ${figure.name}`),
);
const failed = results.filter((result) => result.error !== undefined);
if (missed.length > 0) console.log(`\nOver the bar:\n  ${missed.join('\n  ')}`);
if (values.json !== undefined) {
  const report = { at: new Date().toISOString(), machine, benches: results };
  writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
}
process.exitCode = failed.length > 0 || (values.strict && missed.length > 0) ? 1 : 0;
