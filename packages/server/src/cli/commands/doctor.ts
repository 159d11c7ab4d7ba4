/** `exoclaw doctor`: looks at everything that can be wrong, and says what to do about each. */
import { defineCommand } from 'citty';
import { processEnv } from '../../config/env.ts';
import { systemClock } from '../../lib/clock.ts';
import { examine, type Finding } from '../doctor.ts';
import { escapeControl, paint } from '../format.ts';
import { EXIT, output } from '../output.ts';
import { COMMON_ARGS } from '../table.ts';

const MARKS = { ok: 'ok', warning: 'warning', problem: 'problem' } as const;
const COLOURS = { ok: 'green', warning: 'yellow', problem: 'red' } as const;

export default defineCommand({
  meta: { description: 'Look for problems, each with its remedy' },
  args: {
    ...COMMON_ARGS,
    fix: { type: 'boolean', description: 'Mend what can be mended', default: false },
  },
  async run({ args }) {
    const findings = await examine({ env: processEnv(), clock: systemClock, fix: args.fix });
    output(args.json, { findings }, () => findings.map(format).join('\n'));
    return findings.some(({ state }) => state === 'problem') ? EXIT.failure : EXIT.ok;
  },
});

function format({ subject, state, text, remedy }: Finding): string {
  const mark = paint(COLOURS[state], MARKS[state].padEnd(8), process.stdout);
  const lines = [`${mark} ${subject}: ${escapeControl(text)}`];
  if (remedy !== undefined) lines.push(`         ${escapeControl(remedy)}`);
  return lines.join('\n');
}
