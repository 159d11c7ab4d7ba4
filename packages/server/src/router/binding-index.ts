/**
 * Finds the first binding in file order that matches an address, at a cost that does not grow with
 * the number of bindings.
 *
 * Bindings that name the same set of fields have one *shape*. An address can match a shape's
 * bindings in exactly one way, by its own values of those fields, so one probe of a hash table per
 * shape finds the answer (32 shapes at most). Roles are a subset question instead: each binding's
 * roles, sorted, are a path in a trie whose nodes live in the same table, and a lookup walks only
 * the nodes whose roles are all held, and of those only the ones that can beat what was found.
 *
 * The table holds pairs of a hash and a binding number, eight bytes a slot; what a slot stands for
 * is read from the binding itself, which makes every hit exact. Bindings go in in file order and no
 * slot is ever freed, so the first slot of a probe that fits holds the lowest binding that fits.
 */
import type { Address } from '../store/store.ts';
import { FIELDS, type Binding } from './binding.ts';

const EMPTY = 0xffff_ffff;
const NO_ROLES: readonly string[] = [];

/** What is looked for: bindings of a shape with these field values that have these roles … */
interface Wanted {
  readonly fields: Binding | Address;
  readonly shape: number;
  readonly roles: readonly string[];
  /** … and, for a trie node, more roles after them. */
  readonly isNode: boolean;
}

/** An address prepared once for the probes of all tiers. */
export interface Question {
  readonly address: Address;
  /** Bits of the fields that the address has. */
  readonly present: number;
  /** One hash per field. */
  readonly hashes: readonly number[];
  readonly roles: readonly string[];
  readonly roleHashes: readonly number[];
}

/** Prepares an address for `BindingIndex.find`. */
export function createQuestion(address: Address): Question {
  const roles = sortRoles(address.roles);
  return {
    address,
    present: getShape(address),
    hashes: hashEach(address),
    roles,
    roleHashes: roles.map(hashText),
  };
}

export class BindingIndex {
  readonly #bindings: readonly Binding[];
  readonly #plainShapes = new Set<number>();
  /** Shapes of bindings that name roles as well → the most roles one of them names. */
  readonly #roleShapes = new Map<number, number>();
  /** Roles in sorted order, of the bindings whose own order is another. */
  readonly #sorted = new Map<number, readonly string[]>();
  readonly #slots: Uint32Array;

  /**
   * @param bindings All of them, in file order; kept, not copied.
   * @param members Ascending numbers of those that belong in this index.
   */
  constructor(bindings: readonly Binding[], members: readonly number[]) {
    this.#bindings = bindings;
    let entries = 0;
    for (const index of members) entries += Math.max(bindings[index]?.roles?.length ?? 0, 1);
    // A power of two, at most half full.
    this.#slots = new Uint32Array(2 * 2 ** Math.ceil(Math.log2(entries * 2 + 1))).fill(EMPTY);
    for (const index of members) this.#insert(index);
  }

  /** The lowest number of a matching binding, or undefined. */
  find(question: Question): number | undefined {
    let best = EMPTY;
    for (const shape of this.#plainShapes) {
      if ((shape & question.present) !== shape) continue;
      const hash = hashFields(question.hashes, shape);
      const wanted = { fields: question.address, shape, roles: NO_ROLES, isNode: false };
      best = Math.min(best, this.#get(hash, wanted));
    }
    if (question.roles.length > 0) {
      for (const shape of this.#roleShapes.keys()) {
        if ((shape & question.present) !== shape) continue;
        best = this.#walk(question, shape, hashFields(question.hashes, shape), NO_ROLES, 0, best);
      }
    }
    return best === EMPTY ? undefined : best;
  }

  /** Goes on from the trie node `path` with each held role from number `from` on. */
  #walk(
    question: Question,
    shape: number,
    hash: number,
    path: readonly string[],
    from: number,
    bound: number,
  ): number {
    let best = bound;
    const isDeepest = path.length + 1 >= (this.#roleShapes.get(shape) ?? 0);
    for (let at = from; at < question.roles.length; at += 1) {
      const roles = [...path, question.roles[at] ?? ''];
      const next = mix(hash, question.roleHashes[at] ?? 0);
      const leaf = { fields: question.address, shape, roles, isNode: false };
      best = Math.min(best, this.#get(next, leaf));
      if (isDeepest) continue;
      const lowestBelow = this.#get(~next, { ...leaf, isNode: true });
      if (lowestBelow < best) best = this.#walk(question, shape, next, roles, at + 1, best);
    }
    return best;
  }

  #insert(index: number): void {
    const binding = this.#bindings[index];
    if (binding === undefined) return;
    const shape = getShape(binding);
    const roles = sortRoles(binding.roles);
    if (roles.length > 0 && roles !== binding.roles) this.#sorted.set(index, roles);
    if (roles.length === 0) this.#plainShapes.add(shape);
    else this.#roleShapes.set(shape, Math.max(roles.length, this.#roleShapes.get(shape) ?? 0));
    let hash = hashFields(hashEach(binding), shape);
    for (const [at, role] of roles.entries()) {
      hash = mix(hash, hashText(role));
      if (at + 1 === roles.length) break;
      const path = roles.slice(0, at + 1);
      this.#put(~hash, index, { fields: binding, shape, roles: path, isNode: true });
    }
    this.#put(hash, index, { fields: binding, shape, roles, isNode: false });
  }

  #put(hash: number, index: number, wanted: Wanted): void {
    const slot = this.#probe(hash, wanted);
    if (this.#slots[slot + 1] !== EMPTY) return;
    this.#slots[slot] = hash;
    this.#slots[slot + 1] = index;
  }

  #get(hash: number, wanted: Wanted): number {
    return this.#slots[this.#probe(hash, wanted) + 1] ?? EMPTY;
  }

  /** Where what is wanted is, or the empty slot where it would be. */
  #probe(hash: number, wanted: Wanted): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let slot = (hash << 1) & mask; ; slot = (slot + 2) & mask) {
      const index = slots[slot + 1] ?? EMPTY;
      if (index === EMPTY) return slot;
      if (slots[slot] === hash >>> 0 && this.#fits(index, wanted)) return slot;
    }
  }

  #fits(index: number, { fields, shape, roles, isNode }: Wanted): boolean {
    const binding = this.#bindings[index];
    if (binding === undefined || getShape(binding) !== shape) return false;
    // Both have exactly the fields of the shape, or the address some more.
    if (FIELDS.some((field) => binding[field] !== undefined && binding[field] !== fields[field])) {
      return false;
    }
    const own = this.#sorted.get(index) ?? binding.roles ?? NO_ROLES;
    if (isNode ? own.length <= roles.length : own.length !== roles.length) return false;
    return roles.every((role, at) => own[at] === role);
  }
}

/** A bit for each field that is there. */
function getShape(from: Binding | Address): number {
  let shape = 0;
  for (let bit = 0; bit < FIELDS.length; bit += 1) {
    const field = FIELDS[bit];
    if (field !== undefined && from[field] !== undefined) shape |= 1 << bit;
  }
  return shape;
}

function hashEach(from: Binding | Address): readonly number[] {
  return FIELDS.map((field) => hashText(from[field] ?? ''));
}

/** Distinct roles in a fixed order; the very list when it is in that order already. */
function sortRoles(roles: readonly string[] = NO_ROLES): readonly string[] {
  const isSorted = roles.every((role, at) => at === 0 || (roles[at - 1] ?? '') < role);
  return isSorted ? roles : [...new Set(roles)].sort();
}

// FNV-1a. An outsider chooses addresses but not bindings, so there is nothing to collide with.
function hashText(text: string): number {
  let hash = 0x811c_9dc5;
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x0100_0193);
  }
  return hash;
}

function mix(hash: number, value: number): number {
  const mixed = Math.imul((hash << 5) ^ (hash >>> 3) ^ value, 0x85eb_ca6b);
  return mixed ^ (mixed >>> 15);
}

function hashFields(hashes: readonly number[], shape: number): number {
  let hash = shape + 1;
  for (let bit = 0; bit < hashes.length; bit += 1) {
    if ((shape & (1 << bit)) !== 0) hash = mix(hash, hashes[bit] ?? 0);
  }
  return hash;
}
