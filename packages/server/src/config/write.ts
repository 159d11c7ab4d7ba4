/**
 * Replaces a file in one step: the new content is written and synced beside it, then renamed over
 * it. Whoever reads it, and whoever pulls the plug, finds the old content or the new, whole.
 */
import {
  chmodSync,
  closeSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { randomBytes } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import { isSystemError } from '../lib/error.ts';

export interface WriteOptions {
  /** Permissions of the file; default: those it has, else 0600. */
  readonly mode?: number;
  /** Permissions its folder is given, if it belongs to exoclaw. */
  readonly folderMode?: number;
}

/** Content that is safe on disk but not in its place yet. One of the two has to be called. */
export interface StagedFile {
  commit(): void;
  /** Leaves the file as it was. */
  discard(): void;
}

/** @throws the system's error when the folder or the file can't be written. */
export function stageFile(path: string, text: string, options: WriteOptions = {}): StagedFile {
  // A link is followed, so that a configuration kept elsewhere stays a link.
  const target = followLink(path);
  const folder = dirname(target);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (options.folderMode !== undefined) chmodSync(folder, options.folderMode);
  const mode = options.mode ?? currentMode(target) ?? 0o600;
  const staged = join(folder, `.${basename(target)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    // `wx` refuses a file or link that somebody has put there.
    const file = openSync(staged, 'wx', mode);
    try {
      fchmodSync(file, mode);
      writeFileSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    rmSync(staged, { force: true });
    throw error;
  }
  return {
    commit: () => {
      try {
        renameSync(staged, target);
      } catch (error) {
        rmSync(staged, { force: true });
        throw error;
      }
      syncFolder(folder);
    },
    discard: () => rmSync(staged, { force: true }),
  };
}

export function writeFileAtomic(path: string, text: string, options: WriteOptions = {}): void {
  stageFile(path, text, options).commit();
}

function followLink(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return path;
    throw error;
  }
}

function currentMode(path: string): number | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? undefined : stat.mode & 0o777;
}

function syncFolder(folder: string): void {
  // Windows opens no folders; its rename is durable as it is.
  if (process.platform === 'win32') return;
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
