/** What the parts of one gateway share: its options, and the state that is about all connections. */
import { createId } from '../lib/id.ts';
import { KeyedLimiter } from './limiter.ts';
import { Metrics } from './metrics.ts';
import type { GatewayOptions } from './options.ts';

/** Sessions whose message rate is remembered; the least recently used are forgotten first. */
const MAX_RATED_SESSIONS = 50_000;

export class GatewayContext {
  readonly options: GatewayOptions;
  /** Of this process; a client that meets another one knows that event numbers count anew. */
  readonly instanceId = createId('proc');
  readonly startedAtMs: number;
  readonly metrics = new Metrics();
  readonly messageLimiter: KeyedLimiter;
  connectionCount = 0;
  draining = false;

  constructor(options: GatewayOptions) {
    this.options = options;
    this.startedAtMs = options.clock.now();
    this.messageLimiter = new KeyedLimiter(
      options.limits.messagesPerMinute,
      MAX_RATED_SESSIONS,
      options.clock,
    );
  }

  get isReady(): boolean {
    return !this.draining && this.options.ready();
  }
}
