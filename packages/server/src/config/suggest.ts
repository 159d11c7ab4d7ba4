/** "Did you mean": the closest of a few known words to one that was mistyped. */

/**
 * The optimal string alignment distance: inserts, deletes, replacements and swaps of neighbours,
 * no part edited twice.
 */
export function editDistance(left: string, right: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const same = left[row - 1] === right[column - 1];
      let best = Math.min(
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (previous[column - 1] ?? 0) + (same ? 0 : 1),
      );
      const swapped = left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      if (row > 1 && column > 1 && swapped) best = Math.min(best, (before[column - 2] ?? 0) + 1);
      current.push(best);
    }
    before = previous;
    previous = current;
  }
  return previous[right.length] ?? 0;
}

/**
 * @returns the closest of `known` within two edits, or undefined. A word must keep at least half
 * of itself: "ab" does not mean "xy". Letter case, `-` and `_` do not count.
 */
export function closest(word: string, known: Iterable<string>): string | undefined {
  // Words this long are no typing mistakes, and the distance costs their product.
  if (word.length > 64) return undefined;
  const wanted = normalise(word);
  let found: string | undefined;
  let best = Math.min(2, Math.floor(wanted.length / 2));
  for (const candidate of known) {
    const distance = editDistance(wanted, normalise(candidate));
    if (distance > best || (distance === best && found !== undefined)) continue;
    found = candidate;
    best = distance;
  }
  return found;
}

/** ` (did you mean "x"?)`, or nothing. */
export function didYouMean(word: string, known: Iterable<string>): string {
  const found = closest(word, known);
  return found === undefined ? '' : ` (did you mean "${found}"?)`;
}

function normalise(word: string): string {
  return word.toLowerCase().replaceAll('-', '_');
}
