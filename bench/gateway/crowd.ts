/**
 * What many clients cost in memory: ten thousand sockets that only stay open, and a thousand
 * sessions that have just been used.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench } from '../figures.ts';
import { connectAll, runLoad } from './load.ts';
import { readFileLimit, readMemory, toMedian } from './measure.ts';
import { createHome, openStage, startProvider, startGateway, type Server } from './server.ts';

const SOCKETS = 10_000;
/** Files a process needs besides the sockets. */
const SPARE_FILES = 200;
const PROBES = 20;
const HOLD_MS = 3_000;

const SESSIONS = 1_000;
const WORKERS = 10;
const WARM_UP = 1_000;

interface Crowd {
  readonly rssMb: number;
  readonly kbEach: number;
  readonly alive: number;
  readonly firstTextMs: number;
  readonly laterTextMs: number;
}

async function openSockets(server: Server, count: number): Promise<Crowd> {
  const before = readMemory(server.pid);
  const clients = await connectAll(server.url, count);
  using open = new DisposableStack();
  for (const client of clients) open.use(client);
  await sleep(HOLD_MS);
  const { rssMb } = readMemory(server.pid);
  const alive = clients.filter((client) => client.isOpen).length;
  const [speaker] = clients;
  if (speaker === undefined) throw new Error('No socket could be opened');
  const { samples } = await runLoad([speaker], () => Array(PROBES).fill('speaker'));
  return {
    rssMb,
    kbEach: ((rssMb - before.rssMb) * 1024) / count,
    alive,
    firstTextMs: samples[0]?.firstTextMs ?? Number.NaN,
    laterTextMs: toMedian(samples.slice(1).map((sample) => sample.firstTextMs)),
  };
}

export const sockets: Bench = {
  name: 'sockets',
  title: `${SOCKETS.toLocaleString('en')} idle WebSockets, and one that talks meanwhile`,
  async run() {
    const limit = readFileLimit();
    const count = Math.min(SOCKETS, limit - SPARE_FILES);
    await using stage = await openStage();
    const floor = await openSockets(stage.floor, count);
    const gateway = await openSockets(stage.gateway, count);
    const toFigure = (name: string, unit: string, read: (crowd: Crowd) => number) => ({
      name,
      unit,
      value: read(gateway),
      floor: read(floor),
    });
    return {
      figures: [
        { ...toFigure('still open', '', ({ alive }) => alive), bar: { atLeast: SOCKETS } },
        { ...toFigure('gateway process, RSS', 'MB', ({ rssMb }) => rssMb), bar: { atMost: 250 } },
        toFigure('each socket', 'KB', ({ kbEach }) => kbEach),
        toFigure('first text of a first message', 'ms', ({ firstTextMs }) => firstTextMs),
        {
          ...toFigure('first text of later messages, p50', 'ms', ({ laterTextMs }) => laterTextMs),
          bar: { atMost: 20 },
        },
      ],
      notes:
        count < SOCKETS
          ? [`Only ${count} sockets: a process may have ${limit} open files (ulimit -Hn)`]
          : [],
    };
  },
};

export const sessions: Bench = {
  name: 'sessions',
  title: `${SESSIONS.toLocaleString('en')} sessions with one message each, ${WORKERS} at a time`,
  async run() {
    const fresh = await addSessions(0);
    const used = await addSessions(WARM_UP);
    return {
      figures: [
        { name: 'added to a used gateway, RSS', unit: 'MB', value: used, bar: { atMost: 30 } },
        { name: 'added to one just started, RSS', unit: 'MB', value: fresh },
      ],
      notes: [
        `A used gateway has answered ${WARM_UP.toLocaleString('en')} messages in ${WORKERS} other sessions: what it has grown by then is code and heap that sessions share`,
      ],
    };
  },
};

/** Memory that the sessions add to a gateway after so many messages in others, in MB. */
async function addSessions(warmUp: number): Promise<number> {
  using home = createHome();
  await using provider = await startProvider(home);
  await using gateway = await startGateway(home, provider.url);
  using open = new DisposableStack();
  const clients = await connectAll(gateway.url, WORKERS);
  for (const client of clients) open.use(client);
  await runLoad(clients, (worker) => Array(warmUp / WORKERS).fill(`warm-${worker}`));
  await sleep(HOLD_MS);
  const before = readMemory(gateway.pid);
  await runLoad(clients, (worker) =>
    Array.from({ length: SESSIONS / WORKERS }, (_, index) => `session-${worker}-${index}`),
  );
  await sleep(HOLD_MS);
  return readMemory(gateway.pid).rssMb - before.rssMb;
}
