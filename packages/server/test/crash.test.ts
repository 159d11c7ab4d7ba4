/** `kill -9` at any moment: what was acknowledged is answered once, in order, and billed right. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import path from 'node:path';
import { test } from 'node:test';
import { openSqliteStore } from '../src/store/sqlite/sqlite.ts';
import type { LedgerRow, Message } from '../src/store/store.ts';
import {
  connectClient,
  createHome,
  spawnGateway,
  toConfig,
  type GatewayProcess,
  type Home,
  type TestClient,
} from './daemon-harness.ts';
import { startProviderServer, type RecordedRequest, type Reply } from './provider-server.ts';

const KILLS = 20;
const SESSIONS = 6;

/** Answers every other message through the echo tool, so that kills hit all parts of a run. */
function reply(request: RecordedRequest): Reply {
  const messages = request.body['messages'] as { content: unknown }[];
  const last = JSON.stringify(messages.at(-1)?.content ?? '');
  const words = [{ text: 'an ' }, { text: 'answer ' }, { text: `(${request.number})` }];
  const usage = { input: 100 + request.number, output: 7 + (request.number % 5) };
  if (last.includes('tool_result') || !last.includes('use the tool'))
    return { steps: words, usage };
  const toolCall = { id: `toolu_${request.number}`, name: 'echo', input: { text: 'x' } };
  return { steps: [{ text: 'one moment ' }, { toolCall }], usage };
}

/** A gateway that is killed and started again, and the clients that live with it. */
class Victim {
  readonly #home: Home;
  #gateway: Promise<GatewayProcess>;
  kills = 0;

  constructor(home: Home) {
    this.#home = home;
    this.#gateway = spawnGateway(home);
  }

  async connect(): Promise<TestClient> {
    for (;;) {
      const { url } = await this.#gateway;
      try {
        return await connectClient(url);
      } catch {
        // Killed between being found and being reached: the next one is on its way.
      }
    }
  }

  /** Kills once; calls that come while the next one starts do nothing. */
  async kill(): Promise<void> {
    const dying = this.#gateway;
    const { child } = await dying;
    if (this.#gateway !== dying || this.kills >= KILLS) return;
    this.kills += 1;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    this.#gateway = exited.then(() => spawnGateway(this.#home));
    await this.#gateway;
  }

  async stop(): Promise<void> {
    const { child } = await this.#gateway;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    assert.deepEqual(await exited, [0, null]);
  }
}

/** Sends messages until the kills are over. @returns what was acknowledged, in order. */
async function talk(victim: Victim, account: string): Promise<readonly string[]> {
  const acknowledged: string[] = [];
  let client = await victim.connect();
  for (let number = 1; victim.kills < KILLS || number <= 5; number += 1) {
    const messageId = `${account}-${number}`;
    const content = `${messageId}${number % 2 === 0 ? ', use the tool' : ''}`;
    const params = { channel: 'web', account, content, message_id: messageId, ack: true };
    for (let accepted = false; !accepted;) {
      try {
        client.send({ id: messageId, method: 'chat.send', params });
        await client.waitFor(({ id, event }) => id === messageId && event === 'accepted');
        accepted = true;
        acknowledged.push(content);
        // A third of the messages are the moment of a kill, each at another point of its run.
        if (number % 3 === 0) await strike(victim, client, messageId, number);
        await client.waitFor(({ id, event }) => id === messageId && event === 'done');
      } catch {
        client.close();
        client = await victim.connect();
      }
    }
  }
  client.close();
  return acknowledged;
}

async function strike(
  victim: Victim,
  client: TestClient,
  messageId: string,
  number: number,
): Promise<void> {
  const moments = ['accepted', 'text', 'tool_use', 'tool_result', 'usage'];
  const moment = moments[number % moments.length];
  await client.waitFor(
    ({ id, event }) => id === messageId && (event === moment || event === 'done'),
  );
  await victim.kill();
}

function toUserTexts(history: readonly { readonly message: Message }[]): readonly string[] {
  return history.flatMap(({ message }) => (message.role === 'user' ? [message.content] : []));
}

test('twenty kills during a load of turns lose, double and misplace nothing', async () => {
  using home = createHome({ ANTHROPIC_API_KEY: 'test-key' });
  await using provider = await startProviderServer();
  provider.respond(reply);
  home.configure(toConfig(provider.url, '[budgets]\ndaily = 100000000\n'));
  const victim = new Victim(home);
  const accounts = Array.from({ length: SESSIONS }, (_, index) => `s${index}`);
  const acknowledged = await Promise.all(accounts.map((account) => talk(victim, account)));

  // A repeat of the last message is answered when everything before it has been.
  const client = await victim.connect();
  await Promise.all(
    accounts.map((account, index) =>
      client.chat(acknowledged[index]?.at(-1) ?? '', {
        account,
        message_id: `${account}-${acknowledged[index]?.length}`,
      }),
    ),
  );
  client.close();
  await victim.stop();
  assert.equal(victim.kills, KILLS);

  await using store = await openSqliteStore({ path: path.join(home.path, 'exoclaw.db') });
  for (const [index, account] of accounts.entries()) {
    const key = `personal:web:${account}:main`;
    const history = await store.readMessages(key, { limit: 100_000 });
    assert.deepEqual(toUserTexts(history), acknowledged[index]);
    assert.deepEqual(
      history.map(({ seq }) => seq),
      history.map((_, position) => position + 1),
    );
    const runs = Map.groupBy(history, ({ runId }) => runId);
    for (const messages of runs.values()) {
      const roles = messages.map(({ message }) => message.role);
      assert.ok(
        ['user,assistant', 'user,assistant,tool-result,assistant'].includes(roles.join()),
        roles.join(),
      );
    }
  }

  const ledger = await store.listUsage({ limit: 100_000 });
  assertAgrees(ledger, provider.requests);
  assert.deepEqual(await store.listReservations(), []);
  const total = ledger.reduce((sum, { usage }) => sum + usage.input + usage.output, 0);
  const day = new Date().toISOString().slice(0, 10);
  const [budget] = await store.readBudgets([{ scope: 'all', period: day }]);
  assert.deepEqual([budget?.usedTokens, budget?.heldTokens], [total, 0]);
});

/** One row for each request the provider has seen; what ended well has exactly its figures. */
function assertAgrees(ledger: readonly LedgerRow[], requests: readonly RecordedRequest[]): void {
  const rows = new Map(ledger.map((row) => [row.callId, row]));
  assert.equal(rows.size, ledger.length);
  for (const request of requests) {
    const id = String(request.headers['x-client-request-id']);
    const row = rows.get(id);
    assert.ok(row !== undefined, `request ${request.number} is not in the ledger`);
    rows.delete(id);
    if (row.status === 'ok') assert.deepEqual(row.usage, request.usage);
    else assert.deepEqual([row.status, row.estimated], ['interrupted', true]);
  }
  // What was killed between its reservation and its request: charged, and marked as a guess.
  for (const row of rows.values()) assert.equal(row.status, 'interrupted');
}
