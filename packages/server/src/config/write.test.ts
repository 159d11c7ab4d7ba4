import assert from 'node:assert/strict';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createHome } from './temp.fixture.ts';
import { stageFile, writeFileAtomic } from './write.ts';

test('writeFileAtomic() keeps the permissions a file has, and gives a new one 0600', (t) => {
  const home = createHome(t);
  const path = join(home, 'config.toml');
  writeFileAtomic(path, 'one');
  assert.equal(statSync(path).mode & 0o777, 0o600);
  chmodSync(path, 0o660);
  writeFileAtomic(path, 'two');
  assert.equal(statSync(path).mode & 0o777, 0o660);
  assert.equal(readFileSync(path, 'utf8'), 'two');
  assert.deepEqual(readdirSync(home), ['config.toml']);
});

test('writeFileAtomic() makes the folders it needs, for nobody else to see', (t) => {
  const home = createHome(t);
  writeFileAtomic(join(home, 'a', 'b', 'c'), 'x');
  assert.equal(statSync(join(home, 'a')).mode & 0o777, 0o700);
  assert.equal(statSync(join(home, 'a', 'b')).mode & 0o777, 0o700);
});

test('writeFileAtomic() writes through a link and leaves it a link', (t) => {
  const home = createHome(t);
  mkdirSync(join(home, 'dotfiles'));
  writeFileSync(join(home, 'dotfiles', 'c'), 'old');
  symlinkSync(join('dotfiles', 'c'), join(home, 'config.toml'));
  writeFileAtomic(join(home, 'config.toml'), 'new');
  assert.ok(lstatSync(join(home, 'config.toml')).isSymbolicLink());
  assert.equal(readFileSync(join(home, 'dotfiles', 'c'), 'utf8'), 'new');
});

test('stageFile() changes nothing until it is committed, and nothing when it is discarded', (t) => {
  const home = createHome(t);
  const path = join(home, 'f');
  writeFileSync(path, 'old');
  const discarded = stageFile(path, 'new');
  assert.equal(readFileSync(path, 'utf8'), 'old');
  discarded.discard();
  assert.deepEqual(readdirSync(home), ['f']);
  stageFile(path, 'new').commit();
  assert.equal(readFileSync(path, 'utf8'), 'new');
});

test('a commit that fails leaves no temporary file', (t) => {
  const home = createHome(t);
  const staged = stageFile(join(home, 'f'), 'x');
  mkdirSync(join(home, 'f'));
  assert.throws(() => staged.commit(), { code: 'EISDIR' });
  assert.deepEqual(readdirSync(home), ['f']);
});
