/**
 * The soul: the text that says who an agent is, always first in its context. It is read again when
 * its file changes, so that an edit shows in the next answer.
 */
import { readFile, stat } from 'node:fs/promises';
import { isSystemError } from '../lib/error.ts';
import type { Log } from '../lib/log.ts';

const MAX_BYTES = 256 * 1024;

interface CachedSoul {
  readonly mtimeMs: number;
  readonly size: number;
  readonly text: string;
}

export class SoulReader {
  readonly #cache = new Map<string, CachedSoul>();
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  /** The trimmed text; empty when there is no such file. A file that can't be read is logged. */
  async read(path: string): Promise<string> {
    const cached = this.#cache.get(path);
    try {
      const { mtimeMs, size } = await stat(path);
      if (cached?.mtimeMs === mtimeMs && cached.size === size) return cached.text;
      if (size > MAX_BYTES) {
        this.#log.warn({ path, size }, `soul is over ${MAX_BYTES} bytes and was left out`);
        return cached?.text ?? '';
      }
      const text = (await readFile(path, 'utf8')).trim();
      this.#cache.set(path, { mtimeMs, size, text });
      return text;
    } catch (error) {
      // An editor that replaces the file may leave a moment without one.
      if (!isSystemError(error, 'ENOENT'))
        this.#log.warn({ err: error, path }, 'soul not readable');
      return cached?.text ?? '';
    }
  }
}
