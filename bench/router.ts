/**
 * Nanoseconds per `resolve` at 100, 10,000 and 1,000,000 bindings: over all tiers, and over role
 * bindings of one guild. "Warm" is a gateway with 1,000 active senders, whose ratio of the largest
 * to the smallest is that of the algorithm; "cold" never sees a sender twice in a row of 200,000,
 * which adds the processor's cache misses.
 */
import { createRouter, type Router } from '../packages/server/src/router/router.ts';
import type { Binding } from '../packages/server/src/router/binding.ts';
import type { Address } from '../packages/server/src/store/store.ts';

const SIZES = [100, 10_000, 1_000_000];
const SENDERS = { warm: 1_000, cold: 200_000 };
const LOOKUPS = 200_000;

function createMixed(index: number): Binding {
  const base = { agentId: `agent-${index % 50}`, channel: 'discord' };
  switch (index % 5) {
    case 0:
      return { ...base, peer: `peer-${index}` };
    case 1:
      return { ...base, guild: `guild-${index}` };
    case 2:
      return { ...base, guild: `guild-${index}`, roles: [`role-${index % 7}`] };
    case 3:
      return { ...base, team: `team-${index}`, account: 'bot' };
    default:
      return { ...base, account: `bot-${index}` };
  }
}

function createRoles(index: number): Binding {
  const pair = [`role-${index % 1400}`, `role-${Math.floor(index / 1400)}`];
  return { agentId: `agent-${index % 50}`, guild: 'one', roles: pair };
}

function toMixedAddress(index: number, size: number): Address {
  const near = (index * 7919) % size;
  return {
    channel: 'discord',
    account: `bot-${near}`,
    peer: `peer-${near}`,
    guild: `guild-${near}`,
    team: `team-${near}`,
    roles: ['role-1', 'role-3'],
  };
}

function toRolesAddress(index: number, size: number): Address {
  const roles = Array.from({ length: 6 }, (_, at) => `role-${(index * 31 + at * 17) % size}`);
  return { channel: 'discord', account: 'bot', peer: 'someone', guild: 'one', roles };
}

function measure(router: Router, addresses: readonly Address[]): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5; round += 1) {
    const start = process.hrtime.bigint();
    for (let done = 0; done < LOOKUPS; done += addresses.length) {
      for (const address of addresses) router.resolve(address);
    }
    best = Math.min(best, Number(process.hrtime.bigint() - start) / LOOKUPS);
  }
  return best;
}

for (const [name, createBinding, toAddress] of [
  ['all tiers', createMixed, toMixedAddress],
  ['role pairs of one guild', createRoles, toRolesAddress],
] as const) {
  const times: { readonly warm: number; readonly cold: number }[] = [];
  for (const size of SIZES) {
    const bindings = Array.from({ length: size }, (_, index) => createBinding(index));
    const rssBefore = process.memoryUsage().rss;
    const start = performance.now();
    const router = createRouter({ bindings, defaultAgentId: 'main' });
    const buildMs = performance.now() - start;
    const rssMb = (process.memoryUsage().rss - rssBefore) / 2 ** 20;
    const [warm, cold] = [SENDERS.warm, SENDERS.cold].map((length) =>
      measure(
        router,
        Array.from({ length }, (_, index) => toAddress(index, size)),
      ),
    );
    times.push({ warm: warm ?? 0, cold: cold ?? 0 });
    console.log(
      `${name}, ${size} bindings: ${warm?.toFixed(0)} ns warm, ${cold?.toFixed(0)} ns cold; built in ${buildMs.toFixed(0)} ms, +${rssMb.toFixed(0)} MB`,
    );
  }
  for (const kind of ['warm', 'cold'] as const) {
    const ratio = (times.at(-1)?.[kind] ?? 0) / (times[0]?.[kind] ?? 1);
    console.log(`${name}, ratio ${kind}: ${ratio.toFixed(2)}`);
  }
}
