/**
 * Memory and CPU of a process and all that descend from it, as Linux counts them under `/proc`, and
 * percentiles. A process that ends while it is being read counts as nothing.
 */
import { readdirSync, readFileSync } from 'node:fs';

/** Length of a tick in `/proc/PID/stat`: the kernel tells user space 100 a second. */
const TICK_MS = 10;

/** In MB of 2^20 bytes. */
export interface Memory {
  /** Resident memory of the process itself. */
  readonly rssMb: number;
  /** Of the process and its descendants; pages they share count once for each. */
  readonly treeRssMb: number;
  /** Of the process and its descendants; pages they share count once. */
  readonly treePssMb: number;
  readonly processes: number;
}

/** What a process and its descendants hold now. */
export function readMemory(pid: number): Memory {
  const tree = findTree(pid);
  const rss = tree.map((member) => readKb(`/proc/${member}/status`, /^VmRSS:\s+(\d+)/m));
  const pss = tree.map((member) => readKb(`/proc/${member}/smaps_rollup`, /^Pss:\s+(\d+)/m));
  return {
    rssMb: (rss[0] ?? 0) / 1024,
    treeRssMb: sum(rss) / 1024,
    treePssMb: sum(pss) / 1024,
    processes: tree.length,
  };
}

/** CPU time a process and its descendants have used since they began, ended ones included. */
export function readCpuMs(pid: number): number {
  return sum(findTree(pid).map((member) => sum(readStat(member).slice(11, 15)) * TICK_MS));
}

/** The value that `share` of the samples do not exceed (nearest rank); NaN without samples. */
export function toPercentile(samples: readonly number[], share: number): number {
  const rank = Math.max(1, Math.ceil(samples.length * share));
  return samples.toSorted((a, b) => a - b)[rank - 1] ?? Number.NaN;
}

export function toMedian(samples: readonly number[]): number {
  return toPercentile(samples, 0.5);
}

/** Open files a process of this user may have; Node has raised the soft limit to the hard one. */
export function readFileLimit(): number {
  const limit = /^Max open files\s+(\S+)/m.exec(readText('/proc/self/limits'))?.[1];
  return limit === 'unlimited' ? Number.POSITIVE_INFINITY : Number(limit ?? 0);
}

/** The process first, then whatever descends from it. */
function findTree(pid: number): number[] {
  const parents = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({ pid: Number(name), parent: readStat(Number(name))[1] }));
  const tree = [pid];
  for (const member of tree) {
    tree.push(...parents.filter(({ parent }) => parent === member).map((child) => child.pid));
  }
  return tree;
}

/** The fields of `/proc/PID/stat` behind the name: state, parent, …; utime is number 11. */
function readStat(pid: number): number[] {
  const text = readText(`/proc/${pid}/stat`);
  // The name is in brackets and may hold anything, brackets and blanks too.
  return text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
}

function readKb(path: string, pattern: RegExp): number {
  return Number(pattern.exec(readText(path))?.[1] ?? 0);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
