/**
 * How soon a gateway is ready and what it holds when nobody talks to it. "Warm" has the compiled
 * code and the database of an earlier start, "cold" has neither.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench } from '../figures.ts';
import { Client } from './load.ts';
import { readMemory, toMedian } from './measure.ts';
import {
  createHome,
  openStage,
  startFloor,
  startGateway,
  startProvider,
  type Home,
  type Server,
  type StartOptions,
} from './server.ts';

const WARM_RUNS = 7;
const COLD_RUNS = 3;
/** What a start leaves behind has been collected by then. */
const SETTLE_MS = 5_000;

interface Start {
  readonly readyMs: number;
  /** From the spawn to the first text of a first message, sent as soon as it is ready. */
  readonly firstTextMs: number;
}

interface Pair {
  readonly gateway: Start;
  readonly floor: Start;
}

async function startOnce(starting: Promise<Server>): Promise<Start> {
  await using server = await starting;
  const readyAtMs = performance.now();
  using client = await Client.connect(server.url);
  const connectMs = performance.now() - readyAtMs;
  const { firstTextMs } = await client.send('first', 'hello');
  return { readyMs: server.readyMs, firstTextMs: server.readyMs + connectMs + firstTextMs };
}

export const start: Bench = {
  name: 'start',
  title: `From spawn to the first 200 of /ready, median of ${WARM_RUNS} (cold: ${COLD_RUNS})`,
  async run() {
    using warmHome = createHome();
    await using provider = await startProvider(warmHome);
    const startBoth = async (home: Home, options?: StartOptions): Promise<Pair> => ({
      floor: await startOnce(startFloor(home, provider.url, options)),
      gateway: await startOnce(startGateway(home, provider.url, options)),
    });
    await startBoth(warmHome);
    const warm: Pair[] = [];
    const cold: Pair[] = [];
    while (warm.length < WARM_RUNS) {
      warm.push(await startBoth(warmHome));
      if (cold.length === COLD_RUNS) continue;
      using home = createHome();
      cold.push(await startBoth(home, { isCold: true }));
    }
    const toFigure = (name: string, runs: readonly Pair[], read: (start: Start) => number) => ({
      name,
      unit: 'ms',
      value: toMedian(runs.map(({ gateway }) => read(gateway))),
      floor: toMedian(runs.map(({ floor }) => read(floor))),
    });
    return {
      figures: [
        { ...toFigure('ready, warm', warm, ({ readyMs }) => readyMs), bar: { atMost: 500 } },
        toFigure('ready, cold', cold, ({ readyMs }) => readyMs),
        toFigure('first text of a first message, warm', warm, ({ firstTextMs }) => firstTextMs),
        toFigure('first text of a first message, cold', cold, ({ firstTextMs }) => firstTextMs),
      ],
    };
  },
};

export const idle: Bench = {
  name: 'idle',
  title: `Memory ${SETTLE_MS / 1000} s after the start, before any message`,
  async run() {
    await using stage = await openStage();
    await sleep(SETTLE_MS);
    const gateway = readMemory(stage.gateway.pid);
    const floor = readMemory(stage.floor.pid);
    return {
      figures: [
        {
          name: 'gateway process, RSS',
          unit: 'MB',
          value: gateway.rssMb,
          floor: floor.rssMb,
          bar: { atMost: 130 },
        },
        { name: 'all its processes, RSS', unit: 'MB', value: gateway.treeRssMb },
        {
          name: 'all its processes, PSS',
          unit: 'MB',
          value: gateway.treePssMb,
          floor: floor.treePssMb,
        },
        { name: 'processes', unit: '', value: gateway.processes, floor: floor.processes },
      ],
    };
  },
};
