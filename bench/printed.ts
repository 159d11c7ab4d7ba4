/**
 * Benches that are scripts of their own and print lines: each is run as a child process, its lines
 * are shown, and the figures that have a bar are read out of them.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Bar, Bench } from './figures.ts';

interface PrintedFigure {
  readonly name: string;
  readonly unit: string;
  /** Its first group is the number. */
  readonly pattern: RegExp;
  readonly bar: Bar;
}

/** Shows the lines of a script indented and hands them back. @throws {Error} when it fails. */
async function runScript(file: string): Promise<string> {
  const child = spawn(process.execPath, [join(import.meta.dirname, file)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const kill = () => child.kill('SIGKILL');
  process.on('exit', kill);
  const closed = once(child, 'close');
  let text = '';
  for await (const line of createInterface({ input: child.stdout })) {
    console.log(`  ${line}`);
    text += `${line}\n`;
  }
  const [code] = await closed;
  process.off('exit', kill);
  if (code !== 0) throw new Error(`bench/${file} ended with ${String(code)}`);
  return text;
}

function createPrinted(name: string, title: string, figures: readonly PrintedFigure[]): Bench {
  return {
    name,
    title,
    async run() {
      const text = await runScript(`${name}.ts`);
      return {
        figures: figures.map(({ name: figure, unit, pattern, bar }) => {
          const found = pattern.exec(text)?.[1];
          if (found === undefined) throw new Error(`bench/${name}.ts did not print "${figure}"`);
          return { name: figure, unit, value: Number(found), bar };
        }),
      };
    },
  };
}

export const router = createPrinted('router', 'Resolving a route, by number of bindings', [
  {
    name: 'resolve at 1,000,000 bindings, warm',
    unit: 'ns',
    pattern: /^all tiers, 1000000 bindings: (\d+) ns warm/m,
    bar: { atMost: 2_000 },
  },
  {
    name: '1,000,000 to 100 bindings, warm',
    unit: 'x',
    pattern: /^all tiers, ratio warm: ([\d.]+)/m,
    bar: { atMost: 2 },
  },
]);

export const sandbox = createPrinted('sandbox', 'A call through the sandbox', [
  {
    name: 'tool "echo" in a fresh instance, p50',
    unit: 'ms',
    pattern: /^tool "echo"\s+p50 ([\d.]+)/m,
    bar: { atMost: 0.3 },
  },
]);
