/** The way from a command to the running gateway of this configuration. */
import { connect, type Client } from '@exoclaw/client';
import { processEnv } from '../config/env.ts';
import { loadConfig, type LoadedConfig } from '../config/load.ts';
import { ExoclawError } from '../lib/error.ts';

/** Options of every command that talks to a gateway. */
export const GATEWAY_ARGS = {
  url: {
    type: 'string',
    description: 'Address of the gateway; default: that of the configuration',
  },
} as const;

interface Target {
  readonly url: string;
  readonly loaded: LoadedConfig;
}

/** Where the gateway of the configuration listens, or the one that was named. */
function findGateway(url: string | undefined): Target {
  const loaded = loadConfig({ env: processEnv() });
  const { bind, port } = loaded.config.gateway;
  const host = bind === '0.0.0.0' || bind === '::' ? '127.0.0.1' : bind;
  const own = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  return { url: url ?? own, loaded };
}

/**
 * Connects, or says how to start a gateway.
 * @throws {ExoclawError} auth_failed, or provider-independent `not_found` when nothing answers.
 */
export async function connectGateway(url: string | undefined): Promise<Client> {
  const target = findGateway(url);
  const { token } = target.loaded.config.gateway;
  try {
    return await connect({
      url: target.url,
      ...(token === undefined ? {} : { token: token.reveal() }),
    });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'auth_failed') {
      throw new ExoclawError(
        'auth_failed',
        'The gateway did not accept the token; EXOCLAW_TOKEN has to be the one it was started with',
        { cause: error },
      );
    }
    throw new ExoclawError(
      'not_found',
      `No gateway answers at ${target.url}; start one with "exoclaw gateway"`,
      { cause: error },
    );
  }
}
