/**
 * The frame of the command line: finds the command, checks its arguments, runs it, and turns what
 * comes back into an exit code (0 done, 1 failed, 2 called wrongly). Loads nothing it does not
 * need, so that `--version` and `--help` answer at once.
 */
import { stripVTControlCharacters } from 'node:util';
import type { CommandDef, SubCommandsDef } from 'citty';
import { didYouMean } from '../config/suggest.ts';
import { VERSION } from '../config/version.ts';
import { isSystemError } from '../lib/error.ts';
import { formatPairs } from './format.ts';
import { EXIT, fail, note, output, UsageError } from './output.ts';
import { COMMANDS, isCommandName, loadCommand } from './table.ts';

const HELP = new Set(['--help', '-h', 'help']);
const VERSION_FLAGS = new Set(['--version', '-v', 'version']);

/** Runs one command line. @returns the exit code; never rejects. */
export async function runCli(args: readonly string[]): Promise<number> {
  process.stdout.on('error', endQuietly);
  const json = isJson(args);
  try {
    const [name = '--help', ...rest] = args;
    if (VERSION_FLAGS.has(name)) {
      output(json, { version: VERSION }, () => VERSION);
      return EXIT.ok;
    }
    if (HELP.has(name)) {
      const [topic] = rest.filter((arg) => !arg.startsWith('-'));
      if (topic !== undefined) return await runNamed(topic, ['--help']);
      output(json, { commands: COMMANDS }, formatHelp);
      return EXIT.ok;
    }
    return await runNamed(name, rest);
  } catch (error) {
    const code = fail(error, json);
    if (code === EXIT.usage && !json) note('Run exoclaw --help to see what there is');
    return code;
  } finally {
    process.stdout.off('error', endQuietly);
  }
}

async function runNamed(name: string, args: readonly string[]): Promise<number> {
  if (name.startsWith('-')) throw new UsageError(`Unknown option ${name.split('=', 1)[0] ?? ''}`);
  if (!isCommandName(name)) {
    throw new UsageError(`Unknown command "${name}"${didYouMean(name, Object.keys(COMMANDS))}`);
  }
  return await runCommand([name], await loadCommand(name), args);
}

/** Follows sub-commands down, then runs the last one. */
async function runCommand(
  path: readonly string[],
  command: CommandDef,
  args: readonly string[],
): Promise<number> {
  const children = (await resolve(command.subCommands)) ?? {};
  const [next] = args;
  if (next !== undefined && !next.startsWith('-') && Object.keys(children).length > 0) {
    const child = await findChild(path, children, next);
    return await runCommand([...path, next], child, args.slice(1));
  }
  const own = args.slice(0, args.includes('--') ? args.indexOf('--') : undefined);
  if (own.includes('--help') || own.includes('-h')) {
    const usage = await formatUsage(path, command);
    output(false, undefined, () => usage);
    return EXIT.ok;
  }
  if (command.run === undefined) {
    throw new UsageError(
      `Say what to do: exoclaw ${path.join(' ')} ${Object.keys(children).join('|')}`,
    );
  }
  const citty = await import('citty');
  const { checkArgs } = await import('./args.ts');
  checkArgs(args, (await resolve(command.args)) ?? {});
  const { result } = await citty.runCommand(command, { rawArgs: [...args] });
  return typeof result === 'number' ? result : EXIT.ok;
}

async function findChild(
  path: readonly string[],
  children: SubCommandsDef,
  name: string,
): Promise<CommandDef> {
  if (!Object.hasOwn(children, name)) {
    const hint = didYouMean(name, Object.keys(children));
    throw new UsageError(`Unknown command "${[...path, name].join(' ')}"${hint}`);
  }
  const child: CommandDef | undefined = await resolve(children[name]);
  if (child === undefined) throw new UsageError(`Unknown command "${name}"`);
  return child;
}

async function formatUsage(path: readonly string[], command: CommandDef): Promise<string> {
  const { renderUsage } = await import('citty');
  const parent = { meta: { name: ['exoclaw', ...path.slice(0, -1)].join(' ') } };
  const name = path.at(-1) ?? '';
  const meta = { description: '', ...(await resolve(command.meta)), name };
  const usage = await renderUsage({ ...command, meta }, parent);
  return process.stdout.isTTY ? usage : stripVTControlCharacters(usage);
}

function formatHelp(): string {
  return `exoclaw ${VERSION}: a secure, WASM-sandboxed runtime for AI agents

Usage: exoclaw COMMAND [options]

${formatPairs(Object.entries(COMMANDS)).replaceAll(/^/gm, '  ')}

  --help, --version; --json with every command

Start with "exoclaw onboard", or without a key: "exoclaw gateway --demo".`;
}

/** What citty lets be given as it is, as a promise or as a function. */
async function resolve<Value>(
  value: Value | Promise<Value> | (() => Value) | (() => Promise<Value>) | undefined,
): Promise<Value | undefined> {
  return typeof value === 'function' ? await (value as () => Value)() : await value;
}

function isJson(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  return args.slice(0, end === -1 ? undefined : end).includes('--json');
}

/** A reader that has seen enough, such as `head`, is no failure. */
function endQuietly(error: Error): void {
  if (!isSystemError(error, 'EPIPE')) throw error;
  process.exit(EXIT.ok);
}
