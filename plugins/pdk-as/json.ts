// Finds members of a JSON object without parsing the rest of it: strings, nesting and escapes are
// skipped for what they are, so a name inside a string or a deeper object is not found. A value
// is handed out as the bytes it has in the text, so that what is passed on is passed on unchanged.

const QUOTE: u8 = 0x22;
const BACKSLASH: u8 = 0x5c;
const COMMA: u8 = 0x2c;
const COLON: u8 = 0x3a;
const OPEN_OBJECT: u8 = 0x7b;
const CLOSE_OBJECT: u8 = 0x7d;
const OPEN_ARRAY: u8 = 0x5b;
const CLOSE_ARRAY: u8 = 0x5d;

// The raw value of a top-level member, or null; of several with this name, the last one.
export function member(json: Uint8Array, name: string): Uint8Array | null {
  const key = Uint8Array.wrap(String.UTF8.encode('"' + name + '"'));
  let found: Uint8Array | null = null;
  let at = skipSpace(json, 0);
  if (byteAt(json, at) != OPEN_OBJECT) return null;
  at = skipSpace(json, at + 1);
  while (byteAt(json, at) == QUOTE) {
    const keyEnd = skipString(json, at);
    const isMatch = equals(json, at, keyEnd, key);
    at = skipSpace(json, keyEnd);
    if (byteAt(json, at) != COLON) return null;
    at = skipSpace(json, at + 1);
    const end = skipValue(json, at);
    if (end == at) return null;
    if (isMatch) found = json.slice(at, end);
    at = skipSpace(json, end);
    if (byteAt(json, at) != COMMA) break;
    at = skipSpace(json, at + 1);
  }
  return byteAt(json, at) == CLOSE_OBJECT ? found : null;
}

// The same for members that must be strings.
export function stringMember(json: Uint8Array, name: string): Uint8Array | null {
  const value = member(json, name);
  return value != null && byteAt(value, 0) == QUOTE ? value : null;
}

function byteAt(json: Uint8Array, at: i32): u8 {
  return at < json.length ? unchecked(json[at]) : 0;
}

function skipSpace(json: Uint8Array, from: i32): i32 {
  let at = from;
  while (isSpace(byteAt(json, at))) at++;
  return at;
}

function isSpace(byte: u8): bool {
  return byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09;
}

// Returns where the string at `from` has ended, or the end of the text.
function skipString(json: Uint8Array, from: i32): i32 {
  for (let at = from + 1; at < json.length; at++) {
    const byte = unchecked(json[at]);
    if (byte == QUOTE) return at + 1;
    if (byte == BACKSLASH) at++;
  }
  return json.length;
}

// Returns where the value at `from` has ended; `from` itself when there is none.
function skipValue(json: Uint8Array, from: i32): i32 {
  const first = byteAt(json, from);
  if (first == QUOTE) return skipString(json, from);
  let at = from;
  let depth = 0;
  while (at < json.length) {
    const byte = unchecked(json[at]);
    if (byte == QUOTE) {
      at = skipString(json, at);
      continue;
    }
    if (depth == 0 && (byte == COMMA || byte == CLOSE_OBJECT || byte == CLOSE_ARRAY)) break;
    if (depth == 0 && isSpace(byte)) break;
    if (byte == OPEN_OBJECT || byte == OPEN_ARRAY) depth++;
    if (byte == CLOSE_OBJECT || byte == CLOSE_ARRAY) depth--;
    at++;
    if (depth == 0 && (byte == CLOSE_OBJECT || byte == CLOSE_ARRAY)) break;
  }
  return at;
}

function equals(json: Uint8Array, from: i32, to: i32, key: Uint8Array): bool {
  if (to - from != key.length) return false;
  for (let i = 0; i < key.length; i++) {
    if (unchecked(json[from + i]) != unchecked(key[i])) return false;
  }
  return true;
}
