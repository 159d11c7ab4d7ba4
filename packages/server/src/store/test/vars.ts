/** Variables of plugins and their quota. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OpenStore } from './harness.ts';

const WIDE = { maxBytes: 1000, maxKeys: 10 };
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

export function testVars(open: OpenStore): void {
  test('writeVars() sets, replaces and deletes, for one plugin, across a reopen', async () => {
    await using opened = await open();
    const { store } = opened;
    const first = new Map([
      ['a', bytes(0, 255)],
      ['empty', bytes()],
      ['gone', bytes(1)],
    ]);
    assert.equal(await store.writeVars('p', first, WIDE), true);
    assert.equal(await store.writeVars('other', new Map([['a', bytes(9)]]), WIDE), true);
    const second = new Map([
      ['a', bytes(7)],
      ['gone', undefined],
      ['never', undefined],
    ]);
    assert.equal(await store.writeVars('p', second, WIDE), true);
    const reopened = await opened.reopen();
    const vars = await reopened.readVars('p');
    assert.deepEqual(
      vars,
      new Map([
        ['a', bytes(7)],
        ['empty', bytes()],
      ]),
    );
    assert.deepEqual(await reopened.readVars('nobody'), new Map());
  });

  test('writeVars() writes nothing of a call that would pass the quota', async () => {
    await using opened = await open();
    const { store } = opened;
    // Two bytes of key and two of value in UTF-8.
    assert.equal(
      await store.writeVars('p', new Map([['é', bytes(1, 2)]]), { maxBytes: 4, maxKeys: 1 }),
      true,
    );
    const more = new Map([
      ['é', bytes(3)],
      ['b', bytes(1, 2, 3)],
    ]);
    assert.equal(await store.writeVars('p', more, { maxBytes: 6, maxKeys: 9 }), false);
    assert.equal(await store.writeVars('p', more, { maxBytes: 99, maxKeys: 1 }), false);
    assert.deepEqual([...((await store.readVars('p')).get('é') ?? [])], [1, 2]);
    assert.equal(await store.writeVars('p', more, { maxBytes: 7, maxKeys: 2 }), true);
  });
}
