/**
 * What one message costs: the time the runtime adds to the provider's, alone and with 50 sessions
 * at once, how many messages it takes a second, and the CPU time of its processes for each. Gateway
 * and floor take turns, so that whatever else the machine does meets both.
 */
import type { Bench, Figure } from '../figures.ts';
import { connectAll, runLoad, type Client, type Sample } from './load.ts';
import { readCpuMs, toMedian, toPercentile } from './measure.ts';
import { openStage, type Server } from './server.ts';

const SESSIONS = 50;

/** Numbers of messages are those of each session. */
interface Plan {
  readonly sessions: number;
  readonly warmUp: number;
  readonly rounds: number;
  readonly perRound: number;
}

/** One of the two that are compared, and what was measured of it so far. */
class Side {
  readonly #server: Server;
  readonly #clients: readonly Client[];
  readonly #samples: Sample[] = [];
  #seconds = 0;
  #cpuMs = 0;

  constructor(server: Server, clients: readonly Client[]) {
    this.#server = server;
    this.#clients = clients;
  }

  async warmUp(messages: number): Promise<void> {
    await this.#send(messages);
  }

  async measure(messages: number): Promise<void> {
    const cpuMs = readCpuMs(this.#server.pid);
    const { samples, seconds } = await this.#send(messages);
    this.#cpuMs += readCpuMs(this.#server.pid) - cpuMs;
    this.#samples.push(...samples);
    this.#seconds += seconds;
  }

  get overheadMs(): readonly number[] {
    return this.#samples.map((sample) => sample.overheadMs);
  }

  get totalMs(): readonly number[] {
    return this.#samples.map((sample) => sample.totalMs);
  }

  get perSecond(): number {
    return this.#samples.length / this.#seconds;
  }

  get cpuMs(): number {
    return this.#cpuMs / this.#samples.length;
  }

  #send(messages: number) {
    return runLoad(this.#clients, (client) => Array(messages).fill(`session-${client}`));
  }
}

interface Sides {
  readonly gateway: Side;
  readonly floor: Side;
}

async function compare({ sessions, warmUp, rounds, perRound }: Plan): Promise<Sides> {
  await using stage = await openStage();
  using open = new DisposableStack();
  const prepare = async (server: Server): Promise<Side> => {
    const clients = await connectAll(server.url, sessions);
    for (const client of clients) open.use(client);
    const side = new Side(server, clients);
    await side.warmUp(warmUp);
    return side;
  };
  const gateway = await prepare(stage.gateway);
  const floor = await prepare(stage.floor);
  for (let round = 0; round < rounds; round += 1) {
    await floor.measure(perRound);
    await gateway.measure(perRound);
  }
  return { gateway, floor };
}

function toFigure(
  { gateway, floor }: Sides,
  name: string,
  unit: string,
  read: (side: Side) => number,
): Figure {
  return { name, unit, value: read(gateway), floor: read(floor) };
}

export const message: Bench = {
  name: 'message',
  title: 'One message after the other in one session',
  async run() {
    const sides = await compare({ sessions: 1, warmUp: 60, rounds: 4, perRound: 60 });
    const overhead = 'overhead to first text';
    return {
      figures: [
        {
          ...toFigure(sides, `${overhead}, p50`, 'ms', (side) => toMedian(side.overheadMs)),
          bar: { ratioAtMost: 3 },
        },
        toFigure(sides, `${overhead}, p95`, 'ms', (side) => toPercentile(side.overheadMs, 0.95)),
        toFigure(sides, 'whole answer, p50', 'ms', (side) => toMedian(side.totalMs)),
        toFigure(sides, 'CPU per message', 'ms', (side) => side.cpuMs),
      ],
    };
  },
};

export const concurrent: Bench = {
  name: 'concurrent',
  title: `${SESSIONS} sessions at once`,
  async run() {
    const loop = await compare({ sessions: SESSIONS, warmUp: 6, rounds: 4, perRound: 6 });
    const burst = await compare({ sessions: SESSIONS, warmUp: 6, rounds: 12, perRound: 1 });
    const overhead = 'overhead to first text';
    return {
      figures: [
        {
          ...toFigure(loop, `${overhead}, p50`, 'ms', (side) => toMedian(side.overheadMs)),
          bar: { atMost: 60 },
        },
        toFigure(loop, `${overhead}, p95`, 'ms', (side) => toPercentile(side.overheadMs, 0.95)),
        toFigure(loop, 'whole answer, p50', 'ms', (side) => toMedian(side.totalMs)),
        toFigure(burst, `${overhead}, one burst, p50`, 'ms', (side) => toMedian(side.overheadMs)),
      ],
      notes: [
        'Each session sends again as soon as it is answered, so the gateway is never idle; in a burst each sends once, and the next burst waits for all answers',
      ],
    };
  },
};

export const sustained: Bench = {
  name: 'sustained',
  title: `Sustained load: ${SESSIONS} sessions, 3,000 messages in one go`,
  async run() {
    const sides = await compare({ sessions: SESSIONS, warmUp: 6, rounds: 1, perRound: 60 });
    return {
      figures: [
        {
          ...toFigure(sides, 'messages a second', '/s', (side) => side.perSecond),
          bar: { atLeast: 300 },
        },
        { ...toFigure(sides, 'CPU per message', 'ms', (side) => side.cpuMs), bar: { atMost: 4 } },
      ],
    };
  },
};
