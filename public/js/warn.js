// What is wrong with the page around us is said to its developer, once.

const said = new Set();

export function warnOnce(text) {
  if (said.has(text) || said.size > 50) return;
  said.add(text);
  console.warn(`Rollcall: ${text}`);
}
