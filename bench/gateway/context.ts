/**
 * What is sent to the model, in tokens by our own count, which errs on the high side: for a first
 * "hello" with one tool on offer, and after fifty exchanges, beside what the whole history would be.
 */
import { countJson, countTokens } from '../../packages/server/src/lib/tokens.ts';
import type { Bench } from '../figures.ts';
import { Client } from './load.ts';
import { createHome, SOUL, startGateway, startProvider, type Server } from './server.ts';

const TURNS = 50;
const WORDS_PER_CHUNK = 8;

/** Role and separators of one message, as providers charge them. */
const MESSAGE_TOKENS = 4;

interface Block {
  readonly text?: string;
}

interface ProviderRequest {
  readonly system?: readonly Block[];
  readonly messages: readonly { readonly content: readonly Block[] }[];
  readonly tools?: readonly unknown[];
}

interface Count {
  readonly tokens: number;
  readonly tools: number;
}

/** Counts the texts of system and messages and the JSON of the tools, without the soul. */
async function countLast(provider: Server): Promise<Count> {
  const response = await fetch(`${provider.url}/last`);
  const { system = [], messages, tools = [] } = (await response.json()) as ProviderRequest;
  const parts = [countBlocks(system), ...messages.map(({ content }) => countBlocks(content))];
  const said = parts.reduce((sum, tokens) => sum + tokens + MESSAGE_TOKENS, 0);
  return { tokens: said + countJson(tools) - countTokens(SOUL), tools: tools.length };
}

/** A block that is no text counts as JSON. */
function countBlocks(blocks: readonly Block[]): number {
  return blocks.reduce((sum, block) => {
    return sum + (block.text === undefined ? countJson(block) : countTokens(block.text));
  }, 0);
}

/** What a person may write: about sixty words, none like the last. */
function toQuestion(turn: number): string {
  const about = `In meeting ${turn} we agreed to move item ${turn * 7} of the plan to week ${turn % 52}.`;
  const rest =
    'Please compare this with what was said before, tell me which of the people who were there have to be asked again, what it changes for the costs of the quarter, and whether the order of the remaining steps still makes sense or should be turned around.';
  return `${about} ${rest}`;
}

export const context: Bench = {
  name: 'context',
  title: 'Tokens sent to the model, beside the soul',
  async run() {
    using home = createHome();
    await using provider = await startProvider(home, WORDS_PER_CHUNK);
    await using gateway = await startGateway(home, provider.url);
    using client = await Client.connect(gateway.url);
    await client.send('hello', 'hello');
    const hello = await countLast(provider);
    if (hello.tools !== 1) throw new Error(`${hello.tools} tools were offered instead of one`);
    let whole = hello.tokens;
    for (let turn = 1; turn <= TURNS; turn += 1) {
      const question = toQuestion(turn);
      const { text } = await client.send('long', question);
      // The last answer is not part of what is sent.
      whole += countTokens(question) + (turn === TURNS ? 0 : countTokens(text));
    }
    const last = await countLast(provider);
    return {
      figures: [
        { name: 'first "hello", echo tool', unit: '', value: hello.tokens, bar: { atMost: 300 } },
        { name: `turn ${TURNS}`, unit: '', value: last.tokens, bar: { atMost: 4_000 } },
        { name: `turn ${TURNS}, were the whole history sent`, unit: '', value: whole },
      ],
    };
  },
};
