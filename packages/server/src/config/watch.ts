/**
 * Tells when files have changed, by what is found at their paths and not by what the system
 * reports: editors replace a file, deployments swap a link, and a folder may appear only later. So
 * folders are watched, and an event is only a reason to look again.
 */
import { type FSWatcher, readdirSync, realpathSync, statSync, watch } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isSystemError } from '../lib/error.ts';

export interface WatchOptions {
  /** Ends the watching, and with it the iteration. */
  readonly signal: AbortSignal;
  /** Quiet time that ends a burst of changes, milliseconds. */
  readonly settleMs?: number;
}

const SETTLE_MS = 100;
/** A file that is written without pause is looked at all the same after this many rests. */
const MAX_RESTS = 10;

/**
 * Watches files and folders (their direct content), from the moment it is called. Yields the paths
 * that are different from what they were at the last look; a missing file is a state like others.
 * @throws the system's error when no more folders can be watched.
 */
export function watchConfig(
  paths: readonly string[],
  { signal, settleMs = SETTLE_MS }: WatchOptions,
): AsyncIterable<readonly string[]> {
  const watchers = new Set<FSWatcher>();
  let happened = Promise.withResolvers<void>();
  let changed = false;
  const wake = (): void => {
    changed = true;
    happened.resolve();
  };
  const close = (): void => {
    for (const watcher of watchers) watcher.close();
    watchers.clear();
  };
  const stop = (): void => {
    close();
    wake();
  };
  // All anew each time: a watch on a folder that was replaced under its name is dead.
  const follow = (): void => {
    close();
    for (const folder of new Set(paths.flatMap(foldersOf))) {
      const watcher = watchFolder(folder, wake);
      if (watcher === undefined) wake();
      else watchers.add(watcher);
    }
  };
  if (!signal.aborted) {
    follow();
    signal.addEventListener('abort', stop, { once: true });
  }
  let seen = new Map(paths.map((path) => [path, fingerprint(path)]));

  async function* changes(): AsyncGenerator<readonly string[]> {
    try {
      while (!signal.aborted) {
        await happened.promise;
        for (let rests = 0; changed && rests < MAX_RESTS; rests += 1) {
          changed = false;
          // An abort ends the rest early; the loop sees it.
          await sleep(settleMs, undefined, { signal }).catch(() => undefined);
        }
        if (signal.aborted) return;
        happened = Promise.withResolvers();
        changed = false;
        follow();
        const now = new Map(paths.map((path) => [path, fingerprint(path)]));
        const different = paths.filter((path) => now.get(path) !== seen.get(path));
        seen = now;
        if (different.length > 0) yield different;
      }
    } finally {
      signal.removeEventListener('abort', stop);
      close();
    }
  }
  return changes();
}

/** @returns undefined when the folder has gone since it was found: look again. */
function watchFolder(folder: string, wake: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(folder, wake);
    watcher.on('error', wake);
    return watcher;
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** What has to be watched to notice that a path changes, appears or leads elsewhere. */
function foldersOf(path: string): string[] {
  const folders = [existingParent(path)];
  const real = attempt(() => realpathSync(path));
  if (real !== undefined) folders.push(isFolder(real) ? real : dirname(real));
  return folders;
}

function existingParent(path: string): string {
  const parent = dirname(path);
  return parent === path || isFolder(parent) ? parent : existingParent(parent);
}

function isFolder(path: string): boolean {
  return attempt(() => statSync(path))?.isDirectory() === true;
}

function fingerprint(path: string): string {
  const names = isFolder(path) ? (attempt(() => readdirSync(path)) ?? []) : [];
  return [describe(path), ...names.map((name) => `${name} ${describe(join(path, name))}`)].join(
    '\n',
  );
}

function describe(path: string): string {
  const stat = attempt(() => statSync(path));
  if (stat === undefined) return 'missing';
  // A folder's own times change with files that come and go under temporary names.
  if (stat.isDirectory()) return `folder ${stat.ino}`;
  return `${stat.ino} ${stat.size} ${stat.mtimeMs} ${stat.mode}`;
}

/** Undefined for what is not there, or may not be looked at. */
function attempt<Result>(read: () => Result): Result | undefined {
  try {
    return read();
  } catch (error) {
    if (isSystemError(error)) return undefined;
    throw error;
  }
}
