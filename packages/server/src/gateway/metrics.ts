/**
 * Counters of the gateway and their Prometheus text form. Label values come from closed sets
 * (method names, error codes, loaded channels), so an outsider can't grow the table.
 *
 * Source: https://prometheus.io/docs/instrumenting/exposition_formats/
 */

const HELP = {
  exoclaw_requests_total: 'Requests answered, by method and outcome',
  exoclaw_webhooks_total: 'Webhook calls answered, by HTTP status',
  exoclaw_auth_failures_total: 'Tokens that were not accepted',
  exoclaw_refused_upgrades_total: 'WebSocket upgrades refused, by HTTP status',
  exoclaw_slow_consumers_total: 'Connections closed because they did not read fast enough',
} as const;

export type CounterName = keyof typeof HELP;

export interface Gauge {
  readonly name: string;
  readonly help: string;
  readonly value: number;
}

export class Metrics {
  readonly #counters = new Map<CounterName, Map<string, number>>();

  /** Adds one. Label values must come from a closed set. */
  count(name: CounterName, labels: Readonly<Record<string, string>> = {}): void {
    let series = this.#counters.get(name);
    if (series === undefined) {
      series = new Map();
      this.#counters.set(name, series);
    }
    const key = formatLabels(labels);
    series.set(key, (series.get(key) ?? 0) + 1);
  }

  /** Everything counted so far and the gauges as they are now. */
  render(gauges: readonly Gauge[]): string {
    const lines: string[] = [];
    for (const { name, help, value } of gauges) {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} gauge`, `${name} ${value}`);
    }
    for (const [name, series] of this.#counters) {
      lines.push(`# HELP ${name} ${HELP[name]}`, `# TYPE ${name} counter`);
      for (const [labels, value] of series) lines.push(`${name}${labels} ${value}`);
    }
    return `${lines.join('\n')}\n`;
  }
}

function formatLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(
    ([name, value]) =>
      `${name}="${value.replace(/["\\\n]/g, (mark) => (mark === '\n' ? '\\n' : `\\${mark}`))}"`,
  );
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}
