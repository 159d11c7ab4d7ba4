/**
 * What the gateway is built from. It owns connections, authentication and limits; everything
 * behind them is handed in here.
 */
import type { MethodResult } from '@exoclaw/protocol';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import type { Secret } from '../lib/secret.ts';
import type { Meter } from '../meter/meter.ts';
import type { PluginManager } from '../plugins/plugins.ts';
import type { Dispatcher } from '../router/dispatcher.ts';
import type { Router } from '../router/router.ts';
import type { Store } from '../store/store.ts';

/** Bounds of what an outsider may do; the configuration has the same names in snake case. */
export interface GatewayLimits {
  /** Largest WebSocket frame; a larger one closes with 1009. */
  readonly frameBytes: number;
  /** Requests a connection may have open. */
  readonly inFlight: number;
  /** Unsent bytes of a connection; a slower client is closed with 1013. */
  readonly outboundBytes: number;
  /** Time between pings of a connection. */
  readonly pingSeconds: number;
  /** Time a connection has to send its token. */
  readonly authSeconds: number;
  /** Of one connection, and webhook calls of one channel. */
  readonly requestsPerMinute: number;
  /** Of one session. */
  readonly messagesPerMinute: number;
  readonly maxConnections: number;
  /** Largest body of a webhook. */
  readonly webhookBytes: number;
  /** Time a webhook call waits for the answer; the run goes on after it. */
  readonly webhookWaitSeconds: number;
  /** Largest header of an HTTP request. */
  readonly headerBytes: number;
}

/** The parts of `status` that the gateway can't know by itself. */
export type RuntimeStatus = Pick<MethodResult<'status'>, 'agents' | 'bus' | 'sandbox' | 'sessions'>;

export interface GatewayOptions {
  /** Address to listen on; other than loopback needs a token. */
  readonly bind: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Origins besides its own whose pages may connect, such as `https://chat.example.org`. */
  readonly allowedOrigins: readonly string[];
  /** Names besides its own that a Host header may carry on a loopback bind. */
  readonly allowedHosts: readonly string[];
  readonly limits: GatewayLimits;
  readonly token: Secret | undefined;
  readonly version: string;
  /** Whether `/metrics` is served. */
  readonly metrics: boolean;
  /** Whether a scripted model answers; told to every client. */
  readonly demo: boolean;
  /** Asked at every message, so that a reloaded configuration counts from then on. */
  readonly router: () => Router;
  readonly dispatcher: Dispatcher;
  readonly plugins: PluginManager;
  readonly store: Store;
  readonly meter: Pick<Meter, 'budgetStatus'>;
  readonly status: () => Promise<RuntimeStatus>;
  /** Whether plugins and store are ready to take messages. */
  readonly ready: () => boolean;
  readonly log: Log;
  readonly clock: Clock;
}
