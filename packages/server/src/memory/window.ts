/**
 * The memory that keeps only what was said last: soul and instructions, then as many of the newest
 * runs as fit. A run goes in whole or not at all, so tool calls keep their results. The start of
 * the window moves in strides, not with every message: between strides the prompt is a stable
 * prefix and provider caches hit.
 */
import type { Log } from '../lib/log.ts';
import { countTokens } from '../lib/tokens.ts';
import type { Message, Store, StoredMessage } from '../store/store.ts';
import type { Context, ContextRequest, Memory } from './memory.ts';
import { SoulReader } from './soul.ts';

const MAX_MESSAGES = 400;
/** Messages read at a time, from the newest back, until the window is full. */
const PAGE = 64;
/** Read first: a run without tools, and the message that came after it, are three. */
const FIRST_PAGE = 3;
/** After a stride the window is this full, so that it can grow again before the next one. */
const STRIDE_FILL = 0.6;
/** Windows that are kept ready, for the sessions that talked last. */
const MAX_SESSIONS = 512;
/** Role, separators and block framing of one message on the wire. */
const MESSAGE_TOKENS = 4;

export function createWindowMemory(options: {
  readonly store: Pick<Store, 'readMessages'>;
  readonly log: Log;
}): Memory {
  const souls = new SoulReader(options.log);
  /** Least recently used first. */
  const windows = new Map<string, readonly WindowRun[]>();

  return {
    async assemble(request: ContextRequest): Promise<Context> {
      const { sessionKey, toolTokens, maxTokens } = request;
      const soul = request.soulPath === undefined ? '' : await souls.read(request.soulPath);
      const system = [soul, request.systemPrompt].filter((text) => text !== '').join('\n\n');
      const soulTokens = system === '' ? 0 : countTokens(system) + MESSAGE_TOKENS;
      const room = Math.max(0, maxTokens - soulTokens - toolTokens);

      let runs = await readRuns(options.store, request, windows.get(sessionKey) ?? [], room);
      if (sumTokens(runs) > room) runs = fit(runs, room * STRIDE_FILL);
      windows.delete(sessionKey);
      windows.set(sessionKey, runs);
      const [oldest] = windows.keys();
      if (windows.size > MAX_SESSIONS && oldest !== undefined) windows.delete(oldest);
      return {
        system,
        messages: runs.flatMap((run) => run.messages),
        parts: {
          soul: soulTokens,
          facts: 0,
          recall: 0,
          window: sumTokens(runs),
          tools: toolTokens,
        },
      };
    },
  };
}

/**
 * The last window with what came after it; where there is none, or it is not what history says any
 * more, as many of the newest runs as fit and one more.
 */
async function readRuns(
  store: Pick<Store, 'readMessages'>,
  { sessionKey, runId }: ContextRequest,
  last: readonly WindowRun[],
  room: number,
): Promise<readonly WindowRun[]> {
  let history = await store.readMessages(sessionKey, { limit: FIRST_PAGE });
  const known = last.at(-1);
  for (;;) {
    // The last known run is read again: its answer came after its context.
    const overlap = history.findIndex(({ seq }) => seq === known?.seq);
    if (known !== undefined && history[overlap]?.runId === known.runId) {
      return [...last.slice(0, -1), ...toRuns(history.slice(overlap), runId)];
    }
    const runs = toRuns(history, runId);
    const oldest = history[0]?.seq ?? 1;
    if (oldest === 1 || history.length >= MAX_MESSAGES || sumTokens(runs) > room) return runs;
    const page = await store.readMessages(sessionKey, { limit: PAGE, beforeSeq: oldest });
    if (page.length === 0) return runs;
    history = [...page, ...history];
  }
}

/** Messages of one run, with what they cost. */
interface WindowRun {
  /** Of its first message. */
  readonly seq: number;
  readonly runId: string;
  readonly messages: readonly Message[];
  readonly tokens: number;
}

/** Groups history by run, oldest first, up to and including the run that is to be answered. */
function toRuns(history: readonly StoredMessage[], runId: string): readonly WindowRun[] {
  const runs: { seq: number; runId: string; messages: Message[]; tokens: number }[] = [];
  for (const stored of history) {
    let run = runs.at(-1);
    if (run?.runId !== stored.runId) {
      if (run?.runId === runId) break;
      // The page may begin in the middle of a run, whose start is then missing: leave it out.
      if (stored.message.role !== 'user') continue;
      run = { seq: stored.seq, runId: stored.runId, messages: [], tokens: 0 };
      runs.push(run);
    }
    // No provider accepts an answer without content.
    if (stored.message.role === 'assistant' && stored.message.content.length === 0) continue;
    run.messages.push(stored.message);
    run.tokens += countMessage(stored.message);
  }
  return runs;
}

/** The newest runs that fit into `room` tokens; the last one always does. */
function fit(runs: readonly WindowRun[], room: number): WindowRun[] {
  const kept: WindowRun[] = [];
  let tokens = 0;
  for (const run of runs.toReversed()) {
    tokens += run.tokens;
    if (tokens > room && kept.length > 0) break;
    kept.unshift(run);
  }
  return kept;
}

function sumTokens(runs: readonly WindowRun[]): number {
  return runs.reduce((sum, run) => sum + run.tokens, 0);
}

function countMessage(message: Message): number {
  if (message.role === 'user') return MESSAGE_TOKENS + countTokens(message.content);
  if (message.role === 'tool-result') return MESSAGE_TOKENS + countTokens(message.content);
  return message.content.reduce(
    (sum, block) =>
      sum +
      (block.type === 'tool-call'
        ? MESSAGE_TOKENS + countTokens(block.name) + countTokens(JSON.stringify(block.input) ?? '')
        : countTokens(block.text)),
    MESSAGE_TOKENS,
  );
}
