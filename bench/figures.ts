/**
 * What a bench hands back, and how it is shown: one table per bench, a figure a line, beside the
 * floor where one was measured in the same run, with the bar it has to meet.
 */

/** What counts as good enough; `ratioAtMost` is of the figure to its floor. */
export type Bar =
  | { readonly atMost: number }
  | { readonly atLeast: number }
  | { readonly ratioAtMost: number };

export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** The same of the floor, measured in the same run. */
  readonly floor?: number;
  readonly bar?: Bar;
}

export interface Outcome {
  readonly figures: readonly Figure[];
  /** What a reader has to know to read the figures, a sentence each. */
  readonly notes?: readonly string[];
}

export interface Bench {
  readonly name: string;
  readonly title: string;
  run(): Promise<Outcome>;
}

/** Whether a figure meets its bar; undefined when it has none. A figure that is NaN does not. */
export function meetsBar({ value, floor, bar }: Figure): boolean | undefined {
  if (bar === undefined) return undefined;
  if ('atMost' in bar) return value <= bar.atMost;
  if ('atLeast' in bar) return value >= bar.atLeast;
  return value <= bar.ratioAtMost * (floor ?? Number.NaN);
}

/** A table of text with aligned columns; numbers to the right. */
export function formatTable(figures: readonly Figure[]): string {
  const head = ['', 'exoclaw', 'floor', 'ratio', 'bar', ''];
  const rows = [head, ...figures.map(toRow)];
  const widths = head.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, at) =>
          at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function toRow(figure: Figure): string[] {
  const { name, value, unit, floor, bar } = figure;
  const isMet = meetsBar(figure);
  return [
    name,
    `${formatNumber(value)} ${unit}`,
    floor === undefined ? '' : formatNumber(floor),
    floor === undefined ? '' : `${formatNumber(value / floor)}x`,
    bar === undefined ? '' : formatBar(bar),
    isMet === undefined ? '' : isMet ? 'ok' : 'over',
  ];
}

function formatBar(bar: Bar): string {
  if ('atMost' in bar) return `<= ${formatNumber(bar.atMost)}`;
  if ('atLeast' in bar) return `>= ${formatNumber(bar.atLeast)}`;
  return `<= ${formatNumber(bar.ratioAtMost)}x`;
}

/** Three digits that count, but whole numbers from 100 on. */
function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (Number.isInteger(value) || Math.abs(value) >= 100)
    return Math.round(value).toLocaleString('en');
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
}
