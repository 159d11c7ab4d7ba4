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
/** After a stride the window is this full, so that it can grow again before the next one. */
const STRIDE_FILL = 0.6;
const MAX_REMEMBERED_STARTS = 4096;
/** Role, separators and block framing of one message on the wire. */
const MESSAGE_TOKENS = 4;

export function createWindowMemory(options: {
  readonly store: Pick<Store, 'readMessages'>;
  readonly log: Log;
}): Memory {
  const souls = new SoulReader(options.log);
  /** Session key → sequence number the window starts at; least recently used first. */
  const starts = new Map<string, number>();

  return {
    async assemble(request: ContextRequest): Promise<Context> {
      const soul = request.soulPath === undefined ? '' : await souls.read(request.soulPath);
      const system = [soul, request.systemPrompt].filter((text) => text !== '').join('\n\n');
      const soulTokens = system === '' ? 0 : countTokens(system) + MESSAGE_TOKENS;
      const room = Math.max(0, request.maxTokens - soulTokens - request.toolTokens);

      const from = starts.get(request.sessionKey) ?? 0;
      const runs = await readRuns(options.store, request, from, room);
      let chosen = runs;
      if (sumTokens(chosen) > room) {
        chosen = fit(chosen, room * STRIDE_FILL);
        const start = chosen[0]?.seq ?? 0;
        starts.delete(request.sessionKey);
        starts.set(request.sessionKey, start);
        const [oldest] = starts.keys();
        if (starts.size > MAX_REMEMBERED_STARTS && oldest !== undefined) starts.delete(oldest);
      }
      return {
        system,
        messages: chosen.flatMap((run) => run.messages),
        parts: {
          soul: soulTokens,
          facts: 0,
          recall: 0,
          window: sumTokens(chosen),
          tools: request.toolTokens,
        },
      };
    },
  };
}

/** The runs from `from` on, or as many of the newest as are more than fit. */
async function readRuns(
  store: Pick<Store, 'readMessages'>,
  { sessionKey, runId }: ContextRequest,
  from: number,
  room: number,
): Promise<readonly WindowRun[]> {
  let history: readonly StoredMessage[] = [];
  for (;;) {
    const beforeSeq = history[0]?.seq;
    const page = await store.readMessages(sessionKey, {
      limit: PAGE,
      ...(beforeSeq === undefined ? {} : { beforeSeq }),
    });
    history = [...page, ...history];
    const oldest = history[0]?.seq ?? 0;
    const runs = toRuns(history, runId).filter(({ seq }) => seq >= from);
    const isAll = page.length < PAGE || oldest <= from || history.length >= MAX_MESSAGES;
    if (isAll || sumTokens(runs) > room) return runs;
  }
}

/** Messages of one run, with what they cost. */
interface WindowRun {
  readonly seq: number;
  readonly messages: readonly Message[];
  readonly tokens: number;
}

/** Groups history by run, oldest first, up to and including the run that is to be answered. */
function toRuns(history: readonly StoredMessage[], runId: string): WindowRun[] {
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
