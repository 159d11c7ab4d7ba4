/**
 * One tool of a loaded plugin. Arguments go in as JSON, and whatever comes back is the content of a
 * tool result: `{content, is_error}` when the guest speaks the contract, else its text as a whole.
 */
import * as z from 'zod';
import type { CallResult, SandboxPlugin } from '../sandbox/plugin.ts';
import { toPlainText, type ToolManifest } from './manifest.ts';
import type { Tool, ToolOutcome } from './tools.ts';

/** Characters of a tool's text that a model is shown; more is cut, with a note. */
const MAX_CONTENT = 32 * 1024;

const answer = z.object({ content: z.string(), is_error: z.boolean().default(false) });

export interface ToolBinding {
  readonly plugin: SandboxPlugin;
  readonly manifest: ToolManifest;
  /** Whether the guest has to be told which of its tools is meant. */
  readonly several: boolean;
  readonly walls: () => readonly string[];
}

export function createTool({ plugin, manifest, several, walls }: ToolBinding): Tool {
  const { name, description, inputSchema } = manifest;
  return {
    spec: { name, description, inputSchema },
    check: manifest.check,
    async call(input, { signal, session }) {
      const payload = JSON.stringify(several ? { tool: name, input } : input);
      const result = await plugin.call('handle_tool_call', payload, { signal, session });
      return { ...toOutcome(result), walls: walls() };
    },
  };
}

/** Reads what a guest answered; a call that went wrong becomes an error in words. */
export function toOutcome(result: CallResult): ToolOutcome {
  if (!result.ok) {
    const { code, message, grant } = result.error;
    return {
      content: clip(`${code}: ${message}`),
      isError: true,
      ...(grant === undefined ? {} : { deniedGrant: grant }),
    };
  }
  const text = new TextDecoder().decode(result.output);
  const parsed = answer.safeParse(parseJson(text));
  return parsed.success
    ? { content: clip(parsed.data.content), isError: parsed.data.is_error }
    : { content: clip(text), isError: false };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Plain text is a legal answer.
    return undefined;
  }
}

function clip(text: string): string {
  const plain = toPlainText(text);
  if (plain.length <= MAX_CONTENT) return plain;
  // Never between the halves of a surrogate pair.
  const cut = plain.slice(0, MAX_CONTENT).replace(/[\uD800-\uDBFF]$/u, '');
  return `${cut}\n[cut: ${plain.length - cut.length} more characters]`;
}
