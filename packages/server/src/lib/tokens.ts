/**
 * Counts the tokens of a text without a tokenizer: in one pass, by the pieces that byte-pair
 * tokenizers cut a text into before they merge. It is made to come out high, by a few per cent on
 * dialogue and by more on code and JSON, so that a reservation made with it holds.
 *
 * A word costs 1, and more when it is long or in capitals; up to three digits cost 1; any other
 * sign 1; a letter outside ASCII a half inside a word; an ideograph or syllable 1; a character
 * beyond the basic plane 3; a blank only where tokenizers cannot attach it to what follows.
 */

// Sums are kept in sixths of a token, so that they are exact.
const ONE = 6;
const HALF = 3;
const THREE = 18;

/** A word of this length is one token; each further letter a sixth. */
const SHORT_WORD = 7;
/** Letters beyond this length in one word are seldom language: a third each. */
const LONG_WORD = 16;
/** So many blanks or line ends make one token. */
const LONG_BLANK = 16;

// Kinds of characters; numbers and a table, because this runs over everything that is sent.
const EDGE = 0;
const LOWER = 1;
const UPPER = 2;
const DIGIT = 3;
const FOREIGN = 4;
const BLANK = 5;
const LINE = 6;
const SIGN = 7;

const ASCII_KINDS = Uint8Array.from({ length: 128 }, (_, code) => {
  const char = String.fromCharCode(code);
  if (/[a-z]/.test(char)) return LOWER;
  if (/[A-Z]/.test(char)) return UPPER;
  if (/[0-9]/.test(char)) return DIGIT;
  if (char === ' ' || char === '\t') return BLANK;
  return char === '\n' || char === '\r' ? LINE : SIGN;
});

/** Estimated tokens of a text, an integer; 0 for an empty one. */
export function countTokens(text: string): number {
  let sixths = 0;
  let last = EDGE;
  /** Letters, digits or blanks of the piece that is being read. */
  let length = 0;

  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    const kind = code < 128 ? (ASCII_KINDS[code] ?? SIGN) : toForeignKind(code);
    if (last === BLANK && kind !== BLANK) sixths += toBlankCost(length, kind);
    if (kind === LOWER) {
      const inside = last === LOWER || last === UPPER;
      length = inside ? length + 1 : 1;
      sixths += inside ? toLetterCost(length) : ONE;
    } else if (kind === BLANK) {
      length = last === BLANK ? length + 1 : 1;
    } else if (kind === UPPER) {
      // After a small letter this is `camelCase`: a new piece.
      const inside = last === UPPER;
      length = inside ? length + 1 : 1;
      sixths += inside ? HALF + toLetterCost(length) : ONE;
    } else if (kind === DIGIT) {
      length = last === DIGIT && length < 3 ? length + 1 : 1;
      if (length === 1) sixths += ONE;
    } else if (kind === FOREIGN) {
      sixths += last === LOWER || last === UPPER || last === FOREIGN ? HALF : ONE;
    } else if (kind === LINE) {
      length = last === LINE && length < LONG_BLANK ? length + 1 : 1;
      if (length === 1) sixths += ONE;
    } else {
      sixths += toSignCost(code);
      // The second half of a pair was counted with the first.
      if (code >= 0xd800 && code < 0xdc00) index += 1;
    }
    last = kind;
  }
  if (last === BLANK) sixths += toBlankCost(length, EDGE);
  return Math.ceil(sixths / ONE);
}

/** Estimated tokens of a value as compact JSON; 0 for what JSON cannot hold. */
export function countJson(value: unknown): number {
  return countTokens(JSON.stringify(value) ?? '');
}

/** A single blank becomes part of a word or sign that follows it, but not of a number. */
function toBlankCost(length: number, next: number): number {
  const attached = length === 1 && next !== DIGIT && next !== LINE && next !== EDGE;
  return attached ? 0 : ONE * Math.ceil(length / LONG_BLANK);
}

/** Of the letter at this place in its word, counted from 1. */
function toLetterCost(position: number): number {
  if (position <= SHORT_WORD) return 0;
  return position <= LONG_WORD ? 1 : 2;
}

/** Letters of alphabets that tokenizers know well: Latin, Greek, Cyrillic, Hebrew, Arabic, Indic. */
function toForeignKind(code: number): number {
  const isLetter =
    code < 0x250
      ? code >= 0xc0 && code !== 0xd7 && code !== 0xf7
      : (code >= 0x370 && code < 0x530) ||
        (code >= 0x5d0 && code < 0x5f0) ||
        (code >= 0x620 && code < 0x64b) ||
        (code >= 0x900 && code < 0xb00);
  return isLetter ? FOREIGN : SIGN;
}

/** A sign, or a character of any other script; rare blocks are spelled out byte by byte. */
function toSignCost(code: number): number {
  const isPair = code >= 0xd800 && code < 0xdc00;
  const isRareIdeograph = code >= 0x3400 && code < 0x4dc0;
  const isPrivate = code >= 0xe000 && code < 0xf900;
  return isPair || isRareIdeograph || isPrivate ? THREE : ONE;
}
