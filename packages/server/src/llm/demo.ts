/**
 * The provider "demo": a scripted model that needs no key and no network, so that a newcomer sees
 * streaming, tool calls and memory at work. Every answer says what it is. It knows a few phrases
 * and answers everything else with what to try.
 */
import type { Clock } from '../lib/clock.ts';
import type { AssistantMessage, Message, TokenUsage } from '../store/store.ts';
import { aborted } from './failure.ts';
import type { LlmEvent, LlmRequest, ModelId, Provider } from './provider.ts';

export interface DemoOptions {
  readonly model: string;
  readonly clock: Clock;
}

const WORD_DELAY_MS = 15;
const CHARS_PER_TOKEN = 4;
const LABEL = '[demo model]';

type Plan =
  | { readonly kind: 'say'; readonly text: string }
  | { readonly kind: 'echo'; readonly text: string };

export function createDemoProvider({ model, clock }: DemoOptions): Provider {
  const id: ModelId = { provider: 'demo', model };
  return { model: id, stream: (request, { signal }) => perform(id, clock, request, signal) };
}

async function* perform(
  model: ModelId,
  clock: Clock,
  request: LlmRequest,
  signal: AbortSignal,
): AsyncGenerator<LlmEvent> {
  const plan = planAnswer(request);
  let said = '';
  try {
    if (plan.kind === 'echo') {
      await clock.sleep(WORD_DELAY_MS, { signal });
      const id = `demo_${request.messages.length}`;
      const call = { type: 'tool-call', id, name: 'echo', input: { text: plan.text } } as const;
      yield { type: 'tool-call', call };
      const message: AssistantMessage = { role: 'assistant', content: [call] };
      const usage = countUsage(request, JSON.stringify(call.input));
      yield { type: 'finish', model, stopReason: 'tool-call', message, usage };
      return;
    }
    for (const word of plan.text.match(/\s*\S+/g) ?? []) {
      await clock.sleep(WORD_DELAY_MS, { signal });
      said += word;
      yield { type: 'text-delta', text: word };
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    const message: AssistantMessage = { ...toMessage(said), stopped: 'aborted' };
    const usage = countUsage(request, said);
    yield { type: 'error', model, error: aborted(signal.reason), message, usage };
    return;
  }
  const usage = countUsage(request, said);
  yield { type: 'finish', model, stopReason: 'stop', message: toMessage(said), usage };
}

function planAnswer({ system, messages, tools }: LlmRequest): Plan {
  const last = messages.at(-1);
  if (last?.role === 'tool-result') {
    const outcome = last.isError ? 'failed' : 'answered';
    return say(`The tool "${last.name}" ${outcome}: ${last.content}`);
  }
  const texts = messages.filter((message) => message.role === 'user').map(({ content }) => content);
  const text = texts.at(-1)?.trim() ?? '';
  const echo = /^(?:please\s+)?(?:repeat|echo|say)[\s:]+(?:after me[\s:]+)?["“]?(.+?)["”]?$/is.exec(
    text,
  );
  if (echo?.[1] !== undefined) {
    if (tools.some(({ name }) => name === 'echo')) return { kind: 'echo', text: echo[1] };
    return say(`${echo[1]} (With the "echo" plugin I would have called a tool for this.)`);
  }
  if (/\bwhat(?:'s| is) my name\b|\bwho am i\b/i.test(text)) return sayName(messages, system);
  if (/\bwhat did i (?:say|tell you|ask)\b/i.test(text)) return sayHistory(texts);
  const name = findName(text);
  if (name !== undefined) return say(`Nice to meet you, ${name}. Ask me "what is my name" later.`);
  if (/^(?:hi|hello|hey|good (?:morning|evening|day))\b/i.test(text)) {
    return say(
      'Hello! I am a script, not a language model, and I run offline. Try "echo hello" to see a ' +
        'tool run in its sandbox, or "my name is Ada" and then "what is my name" to see memory.',
    );
  }
  return say(
    'I am a script, not a language model, so I cannot think about that. I know "echo …", "my name ' +
      'is …", "what is my name" and "what did I say". To talk to a real model, add a key with ' +
      '`exoclaw onboard`.',
  );
}

/** Looks in the messages first, then in what memory may have put before them. */
function sayName(messages: readonly Message[], system: string): Plan {
  const names = messages
    .filter((message) => message.role === 'user')
    .map(({ content }) => findName(content))
    .filter((name) => name !== undefined);
  const name = names.at(-1) ?? findName(system);
  if (name === undefined) return say('You have not told me. Say "my name is …" and ask again.');
  return say(`Your name is ${name}; I read it in what I was sent.`);
}

function sayHistory(texts: readonly string[]): Plan {
  const before = texts.slice(-4, -1);
  if (before.length === 0) return say('Nothing before this, as far as I was sent it.');
  return say(`You said: ${before.map((text) => `"${text.slice(0, 200)}"`).join(', then ')}.`);
}

function findName(text: string): string | undefined {
  return /\b(?:my|user's) name is\s+([\p{L}][\p{L}'-]{0,40})/iu.exec(text)?.[1];
}

function say(text: string): Plan {
  return { kind: 'say', text: `${LABEL} ${text}` };
}

function toMessage(text: string): AssistantMessage {
  return { role: 'assistant', content: text === '' ? [] : [{ type: 'text', text }] };
}

/** Figures by length; good enough for budgets to be seen moving. */
function countUsage(request: LlmRequest, said: string): TokenUsage {
  const { system, messages, tools } = request;
  const chars = system.length + JSON.stringify(messages).length + JSON.stringify(tools).length;
  const toTokens = (length: number): number => Math.ceil(length / CHARS_PER_TOKEN);
  return { input: toTokens(chars), output: toTokens(said.length), cacheRead: 0, cacheWrite: 0 };
}
