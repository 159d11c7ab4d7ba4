/**
 * The log: JSON lines on stderr, synchronous, so that nothing is lost when the process dies.
 * Values under names that usually hold a credential are removed before they are written, as a
 * second line behind `Secret`.
 */
import { pino, type Logger } from 'pino';

export type Log = Logger;
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

const REDACTED = ['token', 'apiKey', 'api_key', 'authorization', 'cookie', 'password', 'secret'];

/**
 * Opens the log.
 * @param options.pretty One readable line instead of JSON, for a person at a terminal.
 */
export function createLog(level: LogLevel, options: { readonly pretty?: boolean } = {}): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: REDACTED.flatMap((name) => [name, `*.${name}`]), censor: '[secret]' },
      formatters: { level: (label) => ({ level: label }) },
    },
    options.pretty === true
      ? { write: (line) => void process.stderr.write(toPrettyLine(line)) }
      : pino.destination({ dest: 2, sync: true }),
  );
}

/** `12:00:00 warn message key=value`, with control characters as their JSON escapes. */
function toPrettyLine(line: string): string {
  const { time, level, msg, err, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const reason =
    typeof err === 'object' && err !== null && 'message' in err ? { reason: err.message } : {};
  const pairs = Object.entries({ ...rest, ...reason }).map(
    ([key, value]) => ` ${key}=${JSON.stringify(value)}`,
  );
  const text = JSON.stringify(msg ?? '')
    .slice(1, -1)
    .replaceAll('\\n', '\n')
    .replaceAll('\\"', '"');
  return `${String(time).slice(11, 19)} ${String(level)} ${text}${pairs.join('')}\n`;
}

export function createSilentLog(): Log {
  return pino({ level: 'silent' });
}
