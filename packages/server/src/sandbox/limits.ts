/** Every limit of the sandbox: what one plugin may use, and what no configuration can raise. */
import type { PluginLimits } from './plugin.ts';

const KIB = 1_024;
const MIB = 1_024 * KIB;
export const PAGE_BYTES = 64 * KIB;

/** Limits of one plugin; a configuration may change each of them up to `CEILING`. */
export const DEFAULT_LIMITS: PluginLimits = {
  deadlineMs: 30_000,
  loadDeadlineMs: 5_000,
  memoryBytes: 64 * MIB,
  inputBytes: 8 * MIB,
  outputBytes: 8 * MIB,
  errorBytes: 4 * KIB,
  logBytes: 64 * KIB,
  logLines: 200,
  varBytes: MIB,
  varKeys: 64,
  hostCalls: 1_000,
};

/** What no plugin can be given: a process is started before it is known which plugin it serves. */
const CEILING: PluginLimits = {
  deadlineMs: 3_600_000,
  loadDeadlineMs: 60_000,
  memoryBytes: 512 * MIB,
  inputBytes: 32 * MIB,
  outputBytes: 32 * MIB,
  errorBytes: 64 * KIB,
  logBytes: 8 * MIB,
  logLines: 10_000,
  varBytes: 8 * MIB,
  varKeys: 1_024,
  hostCalls: 1_000_000,
};

export const MAX_MEMORY_PAGES = CEILING.memoryBytes / PAGE_BYTES;
/** ABI memory beyond the input, which comes on top. */
export const KERNEL_BYTES = 16 * MIB;
/** Largest body of a frame from a process: an output, the vars, and what describes them. */
export const MAX_FRAME_BYTES = CEILING.outputBytes + CEILING.varBytes + 2 * MIB;
export const MAX_TABLE_ENTRIES = 100_000;
/** Bytes of a process' standard output and error that are kept for a crash report. */
export const MAX_STDERR_BYTES = 64 * KIB;
export const MAX_QUEUED_CALLS = 1_024;
export const MAX_QUEUED_CALLS_PER_SESSION = 128;

/** Limits of a module's shape, each against a way to make compiling or loading it expensive. */
export const MODULE_LIMITS = {
  bytes: 64 * MIB,
  types: 20_000,
  typeValues: 1_000,
  imports: 1_000,
  exports: 2_000,
  nameBytes: 512,
  functions: 100_000,
  functionBytes: MIB,
  tables: 16,
  globals: 100_000,
  tags: 1_000,
  elementSegments: 10_000,
  dataSegments: 100_000,
} as const;

/**
 * The base limits with the overrides of one plugin.
 * @throws {RangeError} for a value that is no positive whole number or above what can be given.
 */
export function resolveLimits(
  base: PluginLimits,
  overrides: Partial<PluginLimits> | undefined,
): PluginLimits {
  const limits: PluginLimits = { ...base, ...overrides };
  for (const key of Object.keys(DEFAULT_LIMITS) as (keyof PluginLimits)[]) {
    const value = limits[key];
    if (!Number.isSafeInteger(value) || value < 1 || value > CEILING[key]) {
      throw new RangeError(
        `Limit "${key}" is ${value}; it must be a whole number from 1 to ${CEILING[key]}`,
      );
    }
  }
  return limits;
}
