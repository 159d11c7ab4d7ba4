/**
 * The client side of a measurement: sockets that send `chat.send` and time the stream that comes
 * back. Anything but an answer that ends in `done` makes the measurement fail.
 */
import { WebSocket } from 'ws';

const ANSWER_MS = 60_000;

/** One message, from its sending on. */
export interface Sample {
  /** To its first text, without the time the provider took: what the runtime adds. */
  readonly overheadMs: number;
  readonly firstTextMs: number;
  readonly totalMs: number;
  readonly text: string;
}

interface Frame {
  readonly id?: string;
  readonly ok?: boolean;
  readonly event?: string;
  readonly data?: string;
  readonly error?: string;
}

interface Waiting {
  readonly sentAtMs: number;
  firstAtMs: number;
  text: string;
  readonly answer: PromiseWithResolvers<Sample>;
  readonly timer: NodeJS.Timeout;
}

export class Client implements Disposable {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<string, Waiting>();
  readonly #greeted = Promise.withResolvers<void>();
  #lastId = 0;

  private constructor(url: string) {
    this.#socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, { perMessageDeflate: false });
    this.#socket.on('message', (data: Buffer) => this.#receive(data.toString('utf8')));
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('close', (code) => this.#fail(new Error(`The socket was closed with ${code}`)));
  }

  /** Resolves when the server has greeted. @param url As `http://127.0.0.1:7200`. */
  static async connect(url: string): Promise<Client> {
    const client = new Client(url);
    await client.#greeted.promise;
    return client;
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  /** Sends one message and resolves when its answer is complete. */
  async send(session: string, content: string): Promise<Sample> {
    this.#lastId += 1;
    const id = String(this.#lastId);
    const answer = Promise.withResolvers<Sample>();
    const timer = setTimeout(() => this.#fail(new Error('No answer came in time')), ANSWER_MS);
    const waiting = { sentAtMs: performance.now(), firstAtMs: 0, text: '', answer, timer };
    this.#waiting.set(id, waiting);
    const params = { channel: 'web', account: 'bench', peer: session, content };
    this.#socket.send(JSON.stringify({ id, method: 'chat.send', params }));
    return answer.promise;
  }

  [Symbol.dispose](): void {
    this.#socket.terminate();
  }

  #receive(text: string): void {
    const frame = JSON.parse(text) as Frame;
    if (frame.ok === true) this.#greeted.resolve();
    const waiting = this.#waiting.get(frame.id ?? '');
    if (frame.error !== undefined || frame.event === 'error') {
      this.#fail(new Error(`The server answered with an error: ${frame.error ?? frame.data}`));
    } else if (waiting !== undefined && frame.event === 'text') {
      if (waiting.firstAtMs === 0) waiting.firstAtMs = performance.now();
      waiting.text += frame.data ?? '';
    } else if (waiting !== undefined && frame.event === 'done') {
      this.#waiting.delete(frame.id ?? '');
      finish(waiting);
    }
  }

  #fail(error: Error): void {
    this.#greeted.reject(error);
    for (const { answer, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      answer.reject(error);
    }
    this.#waiting.clear();
  }
}

function finish({ sentAtMs, firstAtMs, text, answer, timer }: Waiting): void {
  clearTimeout(timer);
  const ownMs = /\[own=([\d.]+)\]/.exec(text)?.[1];
  if (ownMs === undefined) {
    answer.reject(new Error("The answer lacks the provider's mark"));
    return;
  }
  const firstTextMs = firstAtMs - sentAtMs;
  const totalMs = performance.now() - sentAtMs;
  answer.resolve({ overheadMs: firstTextMs - Number(ownMs), firstTextMs, totalMs, text });
}

/** Opens `count` connections, a hundred at a time. @throws {Error} when one is refused. */
export async function connectAll(url: string, count: number): Promise<Client[]> {
  const clients: Client[] = [];
  while (clients.length < count) {
    const batch = Math.min(100, count - clients.length);
    clients.push(...(await Promise.all(Array.from({ length: batch }, () => Client.connect(url)))));
  }
  return clients;
}

export interface LoadResult {
  readonly samples: readonly Sample[];
  readonly seconds: number;
}

/**
 * All clients at once, each sending its messages one after the other.
 * @param sessionsOf The session of each message of the client with this number.
 */
export async function runLoad(
  clients: readonly Client[],
  sessionsOf: (client: number) => readonly string[],
): Promise<LoadResult> {
  const startMs = performance.now();
  const samples = await Promise.all(
    clients.map(async (client, number) => {
      const own: Sample[] = [];
      for (const session of sessionsOf(number)) {
        own.push(await client.send(session, `message ${own.length} of client ${number}`));
      }
      return own;
    }),
  );
  return { samples: samples.flat(), seconds: (performance.now() - startMs) / 1000 };
}
