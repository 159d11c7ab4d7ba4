/** The plugins that come with exoclaw, for a first start without any configuration. */
import { existsSync } from 'node:fs';
import path from 'node:path';

/** Where a built first-party plugin may be: in a checkout, and in an installed package. */
const PLACES: readonly ((name: string) => string)[] = [
  (name) => path.join(import.meta.dirname, '../../../plugins', name, 'dist', `${name}.wasm`),
  (name) => path.join(import.meta.dirname, '../plugins', `${name}.wasm`),
];

/** Absolute path of a first-party plugin; undefined when it has not been built. */
export function findBundledPlugin(name: string): string | undefined {
  return PLACES.map((place) => place(name)).find((file) => existsSync(file));
}
