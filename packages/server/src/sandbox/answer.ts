/**
 * What a sandbox process answered, turned into the result of a call. The process is not believed:
 * an answer of the wrong shape is a breach of the protocol, every text is escaped and cut.
 */
import { z } from 'zod';
import { FROM_CHILD, type Frame } from './child/frames.ts';
import { GUEST_ERROR_CODES, LOG_LEVELS } from './child/messages.ts';
import { decodePacket } from './child/packet.ts';
import type { LogLine, PluginLimits, SandboxCallError } from './plugin.ts';
import type { Death } from './process.ts';
import { escapeText } from './text.ts';

const MAX_META_BYTES = 2 * 1_024 * 1_024;
const MAX_LOG_LINE_BYTES = 4 * 1_024;
const MAX_KEY_CHARS = 256;

const droppedLogLines = z.int().nonnegative();

const resultSchema = z.strictObject({
  vars: z.array(z.tuple([z.string().max(MAX_KEY_CHARS), z.boolean()])),
  droppedLogLines,
});

const guestErrorSchema = z.strictObject({
  code: z.enum(GUEST_ERROR_CODES),
  message: z.string(),
  grant: z.string().max(1_024).optional(),
  droppedLogLines,
});

export type Answer =
  | {
      readonly ok: true;
      readonly output: Uint8Array;
      /** Changed vars; undefined means deleted. */
      readonly vars: ReadonlyMap<string, Uint8Array | undefined>;
      readonly droppedLogLines: number;
    }
  | { readonly ok: false; readonly error: SandboxCallError; readonly droppedLogLines: number };

/**
 * Reads a `result` or `guestError` frame.
 * @throws {Error} when the process broke the protocol with it.
 */
export function parseAnswer(frame: Frame, limits: PluginLimits): Answer {
  const packet = decodePacket(frame.body, {
    metaBytes: MAX_META_BYTES,
    parts: limits.varKeys * 2 + 1,
  });
  if (frame.type === FROM_CHILD.guestError) {
    const { code, message, grant, droppedLogLines: dropped } = guestErrorSchema.parse(packet.meta);
    const error: SandboxCallError = {
      code,
      message: escapeText(message, limits.errorBytes),
      ...(grant === undefined ? {} : { grant: escapeText(grant, 512) }),
    };
    return { ok: false, error, droppedLogLines: dropped };
  }
  const meta = resultSchema.parse(packet.meta);
  const [output, ...values] = packet.parts;
  if (output === undefined || output.length > limits.outputBytes) {
    throw new RangeError('Output of a size that was not allowed');
  }
  const vars = new Map<string, Uint8Array | undefined>();
  for (const [key, isSet] of meta.vars) {
    const value = isSet ? values.shift() : undefined;
    if (isSet && value === undefined) throw new RangeError('Var without its value');
    vars.set(key, value);
  }
  if (values.length > 0) throw new RangeError('Value without its var');
  return { ok: true, output, vars, droppedLogLines: meta.droppedLogLines };
}

/** The error of a call whose process died under it. */
export function describeDeath(
  death: Death,
  phase: { readonly deadlineMs: number; readonly detail: 'cpu' | 'load' },
): SandboxCallError {
  switch (death.reason) {
    case 'timeout': {
      const message = `Plugin was stopped: it did not finish within ${phase.deadlineMs} ms`;
      return { code: 'timeout', message, detail: phase.detail };
    }
    case 'cancelled':
      return { code: 'cancelled', message: 'Call was cancelled' };
    case 'protocol':
      return { code: 'protocol', message: 'Plugin broke out of its protocol and was stopped' };
    case 'closed':
      return { code: 'unavailable', message: 'Sandbox is closed' };
    case 'crash':
      return describeCrash(death);
    default:
      return death.reason satisfies never;
  }
}

/** V8 aborts when its own memory ends; SIGKILL that is not ours came from outside. */
function describeCrash(death: Death): SandboxCallError {
  if (death.detail.includes('out of memory') || death.signal === 'SIGABRT') {
    return { code: 'memory_limit', message: 'Plugin used up the memory of its process' };
  }
  if (death.signal === 'SIGKILL' || death.signal === 'SIGTERM') {
    const message = `Sandbox process was ended from outside (${death.signal})`;
    return { code: 'unavailable', message };
  }
  const how = death.signal === undefined ? '' : ` (${death.signal})`;
  return { code: 'guest_trap', message: `Plugin crashed its process${how}` };
}

/** Takes the log lines of one call, in the limits that the process has to keep as well. */
export class LogCollector {
  readonly lines: LogLine[] = [];
  readonly #limits: PluginLimits;
  #bytes = 0;

  constructor(limits: PluginLimits) {
    this.#limits = limits;
  }

  /** @returns false when the process sent more than it may. */
  add(level: number, text: Uint8Array): boolean {
    this.#bytes += text.length;
    const name = LOG_LEVELS[level];
    const fits = this.#bytes <= this.#limits.logBytes && this.lines.length < this.#limits.logLines;
    if (!fits || name === undefined) return false;
    const decoded = Buffer.from(text.buffer, text.byteOffset, text.byteLength).toString('utf8');
    this.lines.push({ level: name, text: escapeText(decoded, MAX_LOG_LINE_BYTES) });
    return true;
  }

  /** Says how many lines are missing. */
  close(dropped: number): readonly LogLine[] {
    if (dropped > 0) this.lines.push({ level: 'warn', text: `${dropped} log lines were dropped` });
    return this.lines;
  }
}
