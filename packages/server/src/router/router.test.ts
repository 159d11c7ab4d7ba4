import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Address } from '../store/store.ts';
import { getTier, matchesBinding, TIERS, type Binding } from './binding.ts';
import { createRouter } from './router.ts';

const ADDRESS: Address = { channel: 'discord', account: 'bot', peer: 'ann', guild: 'g', team: 't' };

function agentFor(bindings: readonly Binding[], address: Address): string | undefined {
  return createRouter({ bindings, defaultAgentId: undefined }).resolve(address)?.agentId;
}

/** What the index must reproduce, said in the plainest way. */
function findNaively(bindings: readonly Binding[], address: Address): Binding | undefined {
  for (const tier of TIERS) {
    const found = bindings.find(
      (binding) => getTier(binding) === tier && matchesBinding(binding, address),
    );
    if (found !== undefined) return found;
  }
  return undefined;
}

const value = fc.constantFrom('a', 'b', '', 'constructor');
const role = fc.constantFrom('r1', 'r2', 'r3', 'r4', 'r5');
const addresses: fc.Arbitrary<Address> = fc.record(
  { channel: value, account: value, peer: value, guild: value, team: value, roles: fc.array(role) },
  { requiredKeys: ['channel', 'account', 'peer'], noNullPrototype: true },
);
const bindings: fc.Arbitrary<Binding[]> = fc.array(
  fc.record(
    {
      agentId: fc.constantFrom('x', 'y', 'z'),
      channel: value,
      account: value,
      peer: value,
      guild: value,
      team: value,
      roles: fc.array(role, { maxLength: 4 }),
    },
    { requiredKeys: ['agentId'], noNullPrototype: true },
  ),
  { maxLength: 60 },
);

test('resolve() finds the binding that a walk over all of them finds', () => {
  fc.assert(
    fc.property(bindings, fc.array(addresses, { minLength: 1, maxLength: 8 }), (list, asked) => {
      const router = createRouter({ bindings: list, defaultAgentId: undefined });
      for (const address of asked) {
        assert.equal(router.resolve(address)?.binding, findNaively(list, address));
      }
    }),
    { numRuns: 1500 },
  );
});

test('resolve() finds the lowest of many role bindings, as a walk over all of them does', () => {
  const roleSets = fc.array(fc.uniqueArray(role, { minLength: 1 }), {
    minLength: 20,
    maxLength: 80,
  });
  fc.assert(
    fc.property(roleSets, fc.uniqueArray(role), (sets, roles) => {
      const list = sets.map((set, at) => ({ agentId: `agent-${at}`, guild: 'g', roles: set }));
      const address = { ...ADDRESS, roles };
      const router = createRouter({ bindings: list, defaultAgentId: undefined });
      assert.equal(router.resolve(address)?.binding, findNaively(list, address));
    }),
    { numRuns: 1000 },
  );
});

test('resolve() prefers peer over guild with roles over guild over team over account over channel', () => {
  const ordered: Binding[] = [
    { agentId: 'everyone' },
    { agentId: 'channel', channel: 'discord' },
    { agentId: 'account', account: 'bot' },
    { agentId: 'team', team: 't' },
    { agentId: 'guild', guild: 'g' },
    { agentId: 'roles', guild: 'g', roles: ['admin'] },
    { agentId: 'peer', peer: 'ann' },
  ];
  const address = { ...ADDRESS, roles: ['admin'] };
  while (ordered.length > 0) {
    assert.equal(agentFor(ordered, address), ordered.at(-1)?.agentId);
    ordered.pop();
  }
});

test('resolve() takes the first in the file inside a tier', () => {
  const first = { agentId: 'first', peer: 'ann' };
  const second = { agentId: 'second', peer: 'ann', channel: 'discord' };
  assert.equal(agentFor([first, second], ADDRESS), 'first');
  assert.equal(agentFor([second, first], ADDRESS), 'second');
});

test('resolve() needs every field of a binding to match', () => {
  const binding = { agentId: 'x', peer: 'ann', channel: 'telegram' };
  assert.equal(agentFor([binding], ADDRESS), undefined);
  assert.equal(agentFor([binding], { ...ADDRESS, channel: 'telegram' }), 'x');
});

test('resolve() needs every role of a binding to be held', () => {
  const binding = { agentId: 'x', guild: 'g', roles: ['staff', 'admin'] };
  assert.equal(agentFor([binding], { ...ADDRESS, roles: ['admin'] }), undefined);
  assert.equal(agentFor([binding], { ...ADDRESS, roles: ['admin', 'other', 'staff'] }), 'x');
  assert.equal(agentFor([binding], ADDRESS), undefined);
});

test('resolve() falls back to the default agent, and to nothing without one', () => {
  const list = [{ agentId: 'x', peer: 'bob' }];
  assert.equal(agentFor(list, ADDRESS), undefined);
  assert.deepEqual(createRouter({ bindings: list, defaultAgentId: 'main' }).resolve(ADDRESS), {
    agentId: 'main',
    tier: 'default',
    binding: undefined,
    sessionKey: 'main:discord:bot:ann',
  });
});

test('resolve() answers the same at 200,000 bindings, without a scan', () => {
  const list = Array.from({ length: 200_000 }, (_, at) => ({
    agentId: `agent-${at}`,
    guild: 'g',
    roles: [`role-${at}`, 'member'],
  }));
  // A list that counts how often it is read shows a scan without a clock.
  let reads = 0;
  const counted = new Proxy(list, {
    get(target, key, receiver) {
      if (typeof key === 'string' && /^\d+$/.test(key)) reads += 1;
      return Reflect.get(target, key, receiver);
    },
  });
  const router = createRouter({ bindings: counted, defaultAgentId: undefined });
  reads = 0;
  const roles = ['role-150000', 'role-77', 'member', 'role-199999'];
  assert.equal(router.resolve({ ...ADDRESS, roles })?.agentId, 'agent-77');
  assert.ok(reads < 50, `${reads} bindings were looked at`);
});

test('explain() says for each tier what won and why the others lost', () => {
  const list = [
    { agentId: 'x', peer: 'bob' },
    { agentId: 'y', guild: 'g' },
    { agentId: 'z', channel: 'discord' },
  ];
  const { route, considered } = createRouter({ bindings: list, defaultAgentId: 'main' }).explain(
    ADDRESS,
  );
  assert.equal(route?.agentId, 'y');
  assert.deepEqual(
    considered.map(({ tier, candidates, outcome }) => `${tier} ${candidates} ${outcome}`),
    [
      'peer 1 none matches this address',
      'guild+roles 0 no binding of this tier',
      'guild 1 won: binding 2 is the first of its tier that matches',
      'team 0 no binding of this tier',
      'account 0 no binding of this tier',
      'channel 1 binding 3 matches, but a guild binding is more specific',
      'default 0 the default agent, asked only when no binding matches',
    ],
  );
});

test('explain() says when nothing takes an address', () => {
  const { route, considered } = createRouter({ bindings: [], defaultAgentId: undefined }).explain(
    ADDRESS,
  );
  assert.equal(route, undefined);
  assert.equal(considered.at(-1)?.outcome, 'no default agent is configured');
});
