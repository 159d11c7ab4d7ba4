/**
 * Checks what citty lets pass: unknown options, options without their value, arguments a command
 * does not take. Messages name an option, never a value or an argument: it may be a secret.
 */
import type { ArgsDef } from 'citty';
import { didYouMean } from '../config/suggest.ts';
import { UsageError } from './output.ts';

/**
 * @param args Arguments behind the name of the command.
 * @throws {UsageError} for the first that the command does not take.
 */
export function checkArgs(args: readonly string[], definition: ArgsDef): void {
  const options = new Map<string, 'boolean' | 'value'>([
    ['help', 'boolean'],
    ['h', 'boolean'],
  ]);
  let positionals = 0;
  for (const [name, option] of Object.entries(definition)) {
    if (option.type === 'positional') positionals += 1;
    else {
      const aliases = 'alias' in option && option.alias !== undefined ? [option.alias].flat() : [];
      const kind = option.type === 'boolean' ? 'boolean' : 'value';
      for (const key of [name, ...aliases]) options.set(key, kind);
    }
  }
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] ?? '';
    if (arg === '--') break;
    if (!arg.startsWith('-') || arg === '-') {
      if (positionals === 0) throw new UsageError('This command takes options only, no arguments');
      continue;
    }
    const [given = ''] = arg.replace(/^--?/, '').split('=', 1);
    const negated = given.startsWith('no-') ? given.slice('no-'.length) : given;
    const kind = options.get(given) ?? (options.get(negated) === 'boolean' ? 'boolean' : undefined);
    const shown = `${arg.startsWith('--') ? '--' : '-'}${given}`;
    if (kind === undefined) {
      const known = [...options.keys()].filter((name) => name.length > 1);
      const hint = didYouMean(given, known).replace('"', '"--');
      throw new UsageError(`Unknown option ${shown}${hint}`);
    }
    if (kind === 'value' && !arg.includes('=')) {
      index += 1;
      if (args[index] === undefined) throw new UsageError(`${shown} needs a value`);
    }
  }
}
