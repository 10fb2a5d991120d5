// The samples in README.md and docs/. The second word behind a fence's three backticks is a
// name, under which a test runs that block; `before` marks what is replaced.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

const docs = new URL('../../docs/', import.meta.url);
const ROLLCALL = /https:\/\/rollcall\.example\.com|http:\/\/localhost:8000/g;

export const readDoc = (name) => readFileSync(new URL(name, docs), 'utf8');

// blocksOf are the fenced blocks of a text, in order.
export function blocksOf(text) {
  return [...text.matchAll(/^```(\S+)(?: (\S+))?\n([\s\S]*?)^```$/gm)].map(([, language, name, code]) => ({ language, name, code }));
}

// runnable are the blocks of a document that a test has to run.
export function runnable(doc, text) {
  const blocks = blocksOf(text).filter(({ language, name }) => ['js', 'html'].includes(language) && name !== 'before');
  for (const { language, name, code } of blocks) assert.ok(name, `${doc} has a block of ${language} without a name, which no test can run:\n${code}`);
  return blocks;
}

// Samples hands out the JavaScript and HTML of documents, by name, and knows in
// the end what nobody asked for.
export class Samples {
  #unread = new Map();
  #known = new Map();

  constructor(docs, read = readDoc) {
    this.docs = [docs].flat();
    for (const doc of this.docs) for (const { name, code } of runnable(doc, read(doc))) {
      assert.ok(!this.#known.has(name), `${this.docs} have two blocks named ${name}`);
      this.#known.set(name, code);
      this.#unread.set(name, code);
    }
  }

  // take is a sample as it stands there, but for Rollcall's address.
  take(name, server) {
    const code = this.#known.get(name);
    assert.ok(code, `${this.docs} have no sample named ${name}`);
    this.#unread.delete(name);
    return code.replaceAll(ROLLCALL, server.url);
  }

  unread() {
    return [...this.#unread.keys()];
  }
}

// slug is the anchor that GitHub gives to a heading.
export const slug = (heading) => heading.trim().toLowerCase().replace(/[^\p{L}\p{N}_ -]/gu, '').replaceAll(' ', '-');

// anchorsOf are those of a document's headings.
export const anchorsOf = (text) => [...text.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/^#+ (.*)$/gm)].map(([, heading]) => slug(heading));

// linksOf are the targets of a document's links.
export const linksOf = (text) => [...text.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target);
