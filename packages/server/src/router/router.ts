/**
 * Address → agent and session. The most specific tier with a matching binding wins, inside a tier
 * the first in the file; without a match the default agent takes it. A router never changes: a
 * new configuration makes a new one.
 */
import type { Address } from '../store/store.ts';
import { BindingIndex, createQuestion, type Question } from './binding-index.ts';
import { getTier, TIERS, type Binding, type Tier } from './binding.ts';
import { formatSessionKey } from './session-key.ts';

export interface Route {
  readonly agentId: string;
  readonly tier: Tier;
  /** Undefined when the default agent took it. */
  readonly binding: Binding | undefined;
  readonly sessionKey: string;
}

/** One tier of an explanation, most specific first. */
export interface ConsideredTier {
  readonly tier: Tier;
  /** Bindings of this tier. */
  readonly candidates: number;
  /** Whether it won, or why it lost. */
  readonly outcome: string;
}

export interface RouteExplanation {
  readonly route: Route | undefined;
  readonly considered: readonly ConsideredTier[];
}

export interface Router {
  /** Undefined when nothing matches and there is no default agent. */
  resolve(address: Address): Route | undefined;
  explain(address: Address): RouteExplanation;
}

/**
 * Builds the index over the bindings once.
 * @param options.bindings In file order; not to be changed afterwards.
 */
export function createRouter(options: {
  readonly bindings: readonly Binding[];
  readonly defaultAgentId: string | undefined;
}): Router {
  const { bindings, defaultAgentId } = options;
  const members = new Map<Tier, number[]>(TIERS.map((tier) => [tier, []]));
  for (const [index, binding] of bindings.entries()) members.get(getTier(binding))?.push(index);
  const tiers = TIERS.map((tier) => {
    const indexes = members.get(tier) ?? [];
    return { tier, candidates: indexes.length, index: new BindingIndex(bindings, indexes) };
  });

  function toRoute(address: Address, tier: Tier, agentId: string, binding?: Binding): Route {
    return { agentId, tier, binding, sessionKey: formatSessionKey({ agent: agentId, ...address }) };
  }

  function resolveQuestion(question: Question): Route | undefined {
    for (const { tier, candidates, index } of tiers) {
      const found = candidates === 0 ? undefined : index.find(question);
      const binding = found === undefined ? undefined : bindings[found];
      if (binding !== undefined) {
        return toRoute(question.address, tier, binding.agentId, binding);
      }
    }
    if (defaultAgentId === undefined) return undefined;
    return toRoute(question.address, 'default', defaultAgentId);
  }

  function explain(address: Address): RouteExplanation {
    const question = createQuestion(address);
    const route = resolveQuestion(question);
    const considered = tiers.map(({ tier, candidates, index }) => {
      const found = index.find(question);
      return { tier, candidates, outcome: describeOutcome(tier, candidates, found, route) };
    });
    return { route, considered };
  }

  return { resolve: (address) => resolveQuestion(createQuestion(address)), explain };
}

function describeOutcome(
  tier: Tier,
  candidates: number,
  found: number | undefined,
  route: Route | undefined,
): string {
  if (found !== undefined) {
    return route?.tier === tier
      ? `won: binding ${found + 1} is the first of its tier that matches`
      : `binding ${found + 1} matches, but a ${route?.tier} binding is more specific`;
  }
  if (tier !== 'default') {
    return candidates === 0 ? 'no binding of this tier' : 'none matches this address';
  }
  if (route === undefined) return 'no default agent is configured';
  return route.tier === 'default'
    ? 'won: the default agent'
    : 'the default agent, asked only when no binding matches';
}
