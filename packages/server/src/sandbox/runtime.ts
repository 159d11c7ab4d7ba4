/**
 * Where the parts of a sandbox process lie: the binary, the entry, the kernel. The only file that
 * knows how the installation is laid out. The built entry starts in a quarter of the time; it is
 * used while no source is newer, so that a change in a checkout is never missed.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { ExoclawError } from '../lib/error.ts';
import type { ChildRuntime } from './process.ts';

const KERNEL = new URL('../../dist/abi-kernel.wasm', import.meta.url);
const BUILT_CHILD = new URL('../../dist/sandbox-child/', import.meta.url);
const CHILD = new URL('./child/', import.meta.url);

/**
 * @param kernel Bytes of the ABI kernel; default the built one.
 * @throws {ExoclawError} `internal` when the kernel is not built.
 */
export async function findRuntime(kernel?: Uint8Array): Promise<ChildRuntime> {
  return {
    execPath: process.execPath,
    entry: fileURLToPath(await findEntry()),
    kernel: kernel ?? (await readKernel()),
  };
}

async function findEntry(): Promise<URL> {
  const built = new URL('entry.js', BUILT_CHILD);
  const names = await readdir(CHILD).catch(() => []);
  const sources = names.filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));
  const changes = await Promise.all(sources.map((name) => modifiedMs(new URL(name, CHILD))));
  return (await modifiedMs(built)) > Math.max(0, ...changes) ? built : new URL('entry.ts', CHILD);
}

/** 0 when there is no such file. */
async function modifiedMs(file: URL): Promise<number> {
  const found = await stat(file).catch(() => undefined);
  return found?.mtimeMs ?? 0;
}

async function readKernel(): Promise<Uint8Array> {
  try {
    return await readFile(KERNEL);
  } catch (error) {
    throw new ExoclawError('internal', 'Sandbox kernel is not built; run "npm run build"', {
      cause: error,
    });
  }
}
