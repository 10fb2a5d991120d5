// Warns the developer of the page, once for each text.

const said = new Set();

export function warnOnce(text) {
  if (said.has(text) || said.size > 50) return;
  said.add(text);
  console.warn(`Rollcall: ${text}`);
}
