/**
 * What a call costs, in whole nano-dollars (1e-9 USD): a price of one dollar per million tokens is
 * 1000 of them a token. The configuration's own prices come first, then a bundled price list; a
 * model that neither knows is charged at the worst rate known for its provider, and marked.
 */
import type * as PriceList from '@pydantic/genai-prices';
import type { ModelId } from '../llm/provider.ts';
import type { TokenUsage } from '../store/store.ts';

/** USD per million tokens, from `[[prices]]`; cache rates that are left out are the input rate. */
export interface PriceRow {
  readonly provider: string;
  readonly model: string;
  readonly input: number;
  readonly output: number;
  readonly cacheRead?: number | undefined;
  readonly cacheWrite?: number | undefined;
}

export interface Cost {
  readonly nanoUsd: number;
  /** True when the price is a guess. */
  readonly estimated: boolean;
}

export interface Prices {
  costOf(model: ModelId, usage: TokenUsage): Promise<Cost>;
}

interface Rates {
  readonly input: number;
  readonly output: number;
  readonly cacheRead: number;
  readonly cacheWrite: number;
}

const FREE: ReadonlySet<string> = new Set(['demo', 'ollama']);
/** Providers whose prices are in the list, under the same names. */
const LISTED: readonly string[] = ['anthropic', 'openai', 'google'];
const NANO_USD_PER_USD = 1e9;
const NANO_USD_PER_RATE = 1000;

/**
 * @param rows The prices of the configuration as they are now; asked at each call, so that an
 *   edit counts at once.
 */
export function createPrices(rows: () => readonly PriceRow[] = () => []): Prices {
  // The list takes 7 MB and tens of milliseconds to load: only a process that needs a price pays.
  let list: Promise<typeof PriceList> | undefined;
  const worst = new Map<string, Rates>();
  /** Looking in vain takes longer than finding; a configuration names few models. */
  const unlisted = new Set<string>();

  return {
    async costOf({ provider, model }, usage) {
      const row = rows().find((row) => row.provider === provider && row.model === model);
      if (row !== undefined) return { nanoUsd: toNanoUsd(fillRates(row), usage), estimated: false };
      if (FREE.has(provider)) return { nanoUsd: 0, estimated: false };

      const prices = await (list ??= import('@pydantic/genai-prices'));
      const name = `${provider}/${model}`;
      const isListed = LISTED.includes(provider) && !unlisted.has(name);
      const listed = isListed ? findPrice(prices, provider, model, usage) : undefined;
      if (listed !== undefined) return { nanoUsd: listed, estimated: false };
      unlisted.add(name);

      let rates = worst.get(provider);
      if (rates === undefined) {
        const providers = LISTED.includes(provider) ? [provider] : LISTED;
        rates = findWorst(prices, providers);
        worst.set(provider, rates);
      }
      return { nanoUsd: toNanoUsd(rates, usage), estimated: true };
    },
  };
}

function fillRates(row: PriceRow): Rates {
  const { input, output, cacheRead = input, cacheWrite = input } = row;
  return { input, output, cacheRead, cacheWrite };
}

function toNanoUsd(rates: Rates, { input, output, cacheRead, cacheWrite }: TokenUsage): number {
  const plain = Math.max(0, input - cacheRead - cacheWrite);
  const dollarsPerMillion =
    plain * rates.input +
    cacheRead * rates.cacheRead +
    cacheWrite * rates.cacheWrite +
    output * rates.output;
  return Math.round(dollarsPerMillion * NANO_USD_PER_RATE);
}

function findPrice(
  prices: typeof PriceList,
  provider: string,
  model: string,
  usage: TokenUsage,
): number | undefined {
  // `input_tokens` is all of the input, as in our own figures.
  const counts = {
    input_tokens: usage.input,
    cache_read_tokens: usage.cacheRead,
    cache_write_tokens: usage.cacheWrite,
    output_tokens: usage.output,
  };
  try {
    const price = prices.calcPrice(counts, model, { providerId: provider });
    return price === null ? undefined : Math.round(price.total_price * NANO_USD_PER_USD);
  } catch {
    // The list throws for a model that it prices by something else than tokens; the caller then
    // charges the worst rate, as for any model without a price.
    return undefined;
  }
}

function findWorst(prices: typeof PriceList, providers: readonly string[]): Rates {
  const models = providers.flatMap(
    (providerId) => prices.findProvider({ providerId })?.models ?? [],
  );
  const worstOf = (key: string): number => Math.max(0, ...models.map((info) => highest(info, key)));
  const input = worstOf('input_mtok');
  return {
    input,
    output: worstOf('output_mtok'),
    // A model whose cache has no price of its own pays the input rate for it.
    cacheRead: input,
    cacheWrite: Math.max(input, worstOf('cache_write_mtok')),
  };
}

/** The highest price a model has had under a key, over all dates and sizes. */
function highest({ prices }: PriceList.ModelInfo, key: string): number {
  const sets = Array.isArray(prices) ? prices.map((conditional) => conditional.prices) : [prices];
  return Math.max(
    0,
    ...sets.map((set) => {
      const price = set[key];
      if (price === undefined || typeof price === 'number') return price ?? 0;
      return Math.max(price.base, ...price.tiers.map((tier) => tier.price));
    }),
  );
}
