/**
 * Builds what the sandbox runs: the ABI kernel out of its text form, the process' own code as
 * JavaScript (it starts in a quarter of the time, and takes half the memory, without the compiler
 * that strips types), and the plugins that are written in AssemblyScript. What is newer than all
 * it is made of is left alone. Run directly it builds everything and
 * prints a line for what is new.
 */
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const KERNEL_SOURCE = join(ROOT, 'packages/server/src/sandbox/kernel/abi.wat');
const KERNEL_OUTPUT = join(ROOT, 'packages/server/dist/abi-kernel.wasm');
const CHILD_SOURCE = join(ROOT, 'packages/server/src/sandbox/child');
const CHILD_OUTPUT = join(ROOT, 'packages/server/dist/sandbox-child');
const PLUGINS = join(ROOT, 'plugins');
const PDK = join(PLUGINS, 'pdk-as');

export interface Built {
  /** Absolute path of the file. */
  readonly path: string;
  readonly bytes: number;
  /** False when it was up to date. */
  readonly isNew: boolean;
}

/** Builds the kernel to `packages/server/dist/abi-kernel.wasm`. @throws {Error} for faulty text. */
export async function buildKernel(): Promise<Built> {
  return await buildIfOlder(KERNEL_OUTPUT, [KERNEL_SOURCE], async () => {
    const { default: wabt } = await import('wabt');
    const module = (await wabt()).parseWat(KERNEL_SOURCE, await readFile(KERNEL_SOURCE));
    module.validate();
    return module.toBinary({}).buffer;
  });
}

/**
 * Builds `packages/server/dist/sandbox-child/entry.js` and what it imports.
 * @throws {Error} with the messages of the compiler.
 */
export async function buildChild(): Promise<Built> {
  const entry = join(CHILD_OUTPUT, 'entry.js');
  const sources = (await filesIn(CHILD_SOURCE)).filter((file) => !file.endsWith('.test.ts'));
  if (await isNewer(entry, sources)) return await describe(entry, false);
  // Built aside and moved into place, so that no process starts from half a folder.
  const part = `${CHILD_OUTPUT}.${process.pid}.part`;
  // Types are the gate's business.
  const options = ['--ignoreConfig', '--noCheck', '--rewriteRelativeImportExtensions'];
  const target = ['--target', 'esnext', '--module', 'nodenext', '--outDir', part];
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
  const args = [compiler, ...options, ...target, join(CHILD_SOURCE, 'entry.ts')];
  await promisify(execFile)(process.execPath, args, { cwd: ROOT });
  // The process can read nothing else that would tell it so.
  await writeFile(join(part, 'package.json'), '{"type":"module"}\n');
  await rm(CHILD_OUTPUT, { recursive: true, force: true });
  await rename(part, CHILD_OUTPUT);
  return await describe(entry, true);
}

/** Builds `plugins/NAME/dist/NAME.wasm` for each plugin with an `assembly/index.ts`. */
export async function buildPlugins(): Promise<Built[]> {
  const entries = await readdir(PLUGINS, { withFileTypes: true });
  const built: Built[] = [];
  for (const entry of entries.filter((item) => item.isDirectory())) {
    const sources = await filesIn(join(PLUGINS, entry.name, 'assembly'));
    if (sources.length > 0) built.push(await buildPlugin(entry.name, sources));
  }
  return built;
}

async function buildPlugin(name: string, sources: readonly string[]): Promise<Built> {
  const output = join(PLUGINS, name, 'dist', `${name}.wasm`);
  return await buildIfOlder(output, [...sources, ...(await filesIn(PDK))], async () => {
    const part = `plugins/${name}/dist/${name}.${process.pid}.asc`;
    // Its own process: the types of the compiler's interface redefine those of the runtime.
    const args = [
      join(ROOT, 'node_modules/assemblyscript/bin/asc.js'),
      `plugins/${name}/assembly/index.ts`,
      `--baseDir=${ROOT}`,
      `--outFile=${part}`,
      '--runtime=stub',
      '--use=abort=plugins/pdk-as/index/trap',
      '-O3',
      '--shrinkLevel=2',
    ];
    await promisify(execFile)(process.execPath, args, { cwd: ROOT });
    const wasm = await readFile(join(ROOT, part));
    await rm(join(ROOT, part));
    return wasm;
  });
}

async function buildIfOlder(
  output: string,
  inputs: readonly string[],
  build: () => Promise<Uint8Array>,
): Promise<Built> {
  if (await isNewer(output, inputs)) return await describe(output, false);
  const bytes = await build();
  await mkdir(dirname(output), { recursive: true });
  // Renamed into place, so that a reader never sees half a file.
  const part = `${output}.${process.pid}.part`;
  await writeFile(part, bytes);
  await rename(part, output);
  return await describe(output, true);
}

/** Whether a file was made after all it is made of, this script included. */
async function isNewer(output: string, inputs: readonly string[]): Promise<boolean> {
  const made = await modifiedMs(output);
  const changes = await Promise.all([...inputs, import.meta.filename].map(modifiedMs));
  return made > Math.max(...changes);
}

async function describe(output: string, isNew: boolean): Promise<Built> {
  return { path: output, bytes: (await stat(output)).size, isNew };
}

/** 0 when there is no such file. */
async function modifiedMs(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined);
  return found?.mtimeMs ?? 0;
}

/** Paths of the TypeScript files in a folder; none when there is no such folder. */
async function filesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => name.endsWith('.ts')).map((name) => join(folder, name));
}

if (import.meta.main) {
  for (const item of [await buildKernel(), await buildChild(), ...(await buildPlugins())]) {
    if (!item.isNew) continue;
    console.log(`built ${relative(ROOT, item.path)} (${item.bytes} bytes)`);
  }
}
