/**
 * The commands, in the order of `--help`. A command's module is loaded when it is called and not
 * before: `commands/VERB.ts` exports a citty command as its default.
 */
import type { CommandDef } from 'citty';

export const COMMANDS = {
  onboard: 'Choose a model provider and store its key',
  gateway: 'Run the gateway: WebSocket and webhooks',
  chat: 'Talk to an agent from the terminal',
  status: 'What runs, and where',
  doctor: 'Look for problems, each with its remedy',
  plugin: 'Try, load and inspect plugins',
  sessions: 'List and manage conversations',
  usage: 'Tokens and money spent',
  config: 'Check the configuration, show its schema',
} as const;

export type CommandName = keyof typeof COMMANDS;

export function isCommandName(name: string): name is CommandName {
  return Object.hasOwn(COMMANDS, name);
}

export async function loadCommand(name: CommandName): Promise<CommandDef> {
  const module: { readonly default: CommandDef } = await import(`./commands/${name}.ts`);
  return module.default;
}

/** Options every command takes. */
export const COMMON_ARGS = {
  json: { type: 'boolean', description: 'Print the result as JSON', default: false },
} as const;
