/** Text that came from a guest, made safe to show: bounded, on one line, nothing invisible. */

// Controls, soft hyphen, zero-width and bidirectional marks, line separators, tags, noncharacters.
const UNSAFE =
  // eslint-disable-next-line no-control-regex -- finding control characters is the purpose
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\uffff\u{e0000}-\u{e0fff}]|\p{Surrogate}/gu;
const ELLIPSIS = '…';
const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/**
 * Escapes what could forge a line, move a terminal's cursor or hide from a reader, and cuts to
 * `maxBytes` of UTF-8, never inside a character; what was cut is marked with an ellipsis.
 */
export function escapeText(text: string, maxBytes: number): string {
  // Each UTF-16 unit gives a byte at least, so nothing beyond this can be in the answer.
  const safe = text
    .slice(0, maxBytes + 1)
    .replace(UNSAFE, (char) => NAMED[char] ?? `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
  const bytes = Buffer.from(safe);
  if (bytes.length <= maxBytes) return safe;
  let end = Math.max(0, maxBytes - Buffer.byteLength(ELLIPSIS));
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.toString('utf8', 0, end) + ELLIPSIS;
}
