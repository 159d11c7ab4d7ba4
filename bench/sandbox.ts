/**
 * What a call through the sandbox costs: opening it, loading a plugin, a fresh instance with the
 * text "hello" in and out, 1 KB to 1 MB in and out, the start of a process and its memory.
 * Figures in milliseconds, p50 and p99, one call after the other.
 */
import { readFile } from 'node:fs/promises';
import { buildChild, buildKernel, buildPlugins } from '../scripts/build-wasm.ts';
import { openSandbox } from '../packages/server/src/sandbox/sandbox.ts';
import { ECHO_WAT, wat } from '../packages/server/src/sandbox/fixtures/modules.ts';
import { SandboxProcess } from '../packages/server/src/sandbox/process.ts';
import { findRuntime } from '../packages/server/src/sandbox/runtime.ts';
import type { SandboxPlugin } from '../packages/server/src/sandbox/plugin.ts';

function report(name: string, samples: number[]): void {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor((sorted.length - 1) * share)]?.toFixed(3);
  console.log(`${name.padEnd(36)} p50 ${at(0.5)}  p99 ${at(0.99)}  (${samples.length})`);
}

async function time(turns: number, run: () => Promise<unknown>): Promise<number[]> {
  const samples: number[] = [];
  for (let turn = 0; turn < turns; turn += 1) {
    const startMs = performance.now();
    await run();
    samples.push(performance.now() - startMs);
  }
  return samples;
}

async function callOnce(plugin: SandboxPlugin, name: string, input: Uint8Array | string) {
  const result = await plugin.call(name, input);
  if (!result.ok) throw new Error(result.error.message);
}

/** Resident memory of a process in MB, as Linux counts it. */
async function residentMb(pid: number | undefined): Promise<string> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return (Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1_024).toFixed(0);
}

await buildKernel();
await buildChild();
const echo = (await buildPlugins()).find((item) => item.path.endsWith('echo.wasm'));
if (echo === undefined) throw new Error('Plugin "echo" is missing');

const runtime = await findRuntime();
const started: SandboxProcess[] = [];
report(
  'start of a process until it is ready',
  await time(10, async () => started.push(await SandboxProcess.start(runtime))),
);
console.log(`memory of a blank process: ${await residentMb(started[0]?.pid)} MB resident`);
for (const item of started) await item[Symbol.asyncDispose]();

const openMs = performance.now();
await using sandbox = await openSandbox();
console.log(`open: ${(performance.now() - openMs).toFixed(0)} ms`);

const loadMs = performance.now();
const plain = await sandbox.load({ name: 'plain', bytes: await wat(ECHO_WAT), grants: [] });
console.log(`first load: ${(performance.now() - loadMs).toFixed(0)} ms`);
const tool = await sandbox.load({ name: 'echo', bytes: await readFile(echo.path), grants: [] });

await time(500, () => callOnce(plain, 'echo', 'hello'));
report('echo of 5 bytes', await time(3_000, () => callOnce(plain, 'echo', 'hello')));
const args = JSON.stringify({ text: 'hello' });
report('tool "echo"', await time(3_000, () => callOnce(tool, 'handle_tool_call', args)));
for (const [name, bytes, turns] of [
  ['1 KB', 1_024, 1_000],
  ['100 KB', 102_400, 300],
  ['1 MB', 1_048_576, 60],
] as const) {
  const input = new Uint8Array(bytes).fill(0x61);
  report(`echo of ${name} in and out`, await time(turns, () => callOnce(plain, 'echo', input)));
}
