/**
 * Loaded plugins as the rest of the runtime sees them: tools an agent may call, and channel
 * adapters the gateway hands platform payloads to. A plugin is one `.wasm` file in the sandbox.
 */
import type { CallResult } from '../sandbox/plugin.ts';

export interface PluginInfo {
  readonly name: string;
  readonly type: 'tool' | 'channel_adapter';
  readonly version: string | undefined;
  /** The author's words: untrusted, bounded. */
  readonly description: string;
  readonly tools: readonly string[];
  readonly channel: string | undefined;
  /** What the operator granted. */
  readonly capabilities: readonly string[];
  /** SHA-256 of the file, lowercase hex; empty when it could not be read. */
  readonly digest: string;
  readonly state: 'ready' | 'failed';
  /** Why it is not ready, for the operator. */
  readonly error: string | undefined;
}

/** How a platform proves that a payload is its own. More kinds come with more channels. */
export type WebhookVerify = { readonly kind: 'none' };

/** One message out of a platform payload; the host stamps the channel, the guest can't. */
export interface IncomingMessage {
  readonly content: string;
  readonly account: string;
  readonly peer: string;
  readonly guild?: string;
  readonly team?: string;
  readonly messageId?: string;
}

export type ParsedPayload =
  | { readonly kind: 'messages'; readonly messages: readonly IncomingMessage[] }
  /** A handshake the platform wants answered at once. */
  | {
      readonly kind: 'respond';
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: string;
    };

export interface ChannelAdapter {
  readonly pluginName: string;
  readonly channel: string;
  readonly verify: WebhookVerify;
  /** The operator's explicit word that payloads of this channel need no proof. */
  readonly allowUnverified: boolean;
  /** @throws {ExoclawError} plugin_error when the guest failed or answered nonsense. */
  parseIncoming(payload: string, options: { readonly signal: AbortSignal }): Promise<ParsedPayload>;
  /** The platform's own shape of an answer, ready for `JSON.stringify`. */
  formatOutgoing(
    answer: { readonly content: string; readonly to: IncomingMessage },
    options: { readonly signal: AbortSignal },
  ): Promise<unknown>;
}

export interface PluginManager extends AsyncDisposable {
  list(): readonly PluginInfo[];
  /**
   * Loads with the grants of the configuration: a request can't add any.
   * @throws {ExoclawError} plugin_error, with nothing changed.
   */
  load(request: {
    readonly name: string;
    /** Default: where the configuration says. */
    readonly path?: string;
  }): Promise<PluginInfo>;
  /** Calls that run finish first. @returns false when nothing of that name is loaded. */
  unload(name: string): Promise<boolean>;
  /** @throws {ExoclawError} not_found when no such plugin is loaded. */
  call(
    name: string,
    exportName: string,
    input: string,
    options: { readonly signal: AbortSignal },
  ): Promise<CallResult>;
  findChannel(channel: string): ChannelAdapter | undefined;
}
