// The samples in docs/. The second word behind a fence's three backticks is a
// name, under which a test runs that block; `before` marks what is replaced.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

const docs = new URL('../../docs/', import.meta.url);
const ROLLCALL = 'https://rollcall.example.com';

export const readDoc = (name) => readFileSync(new URL(name, docs), 'utf8');

// blocksOf are the fenced blocks of a text, in order.
export function blocksOf(text) {
  return [...text.matchAll(/^```(\S+)(?: (\S+))?\n([\s\S]*?)^```$/gm)].map(([, language, name, code]) => ({ language, name, code }));
}

// Samples hands out the JavaScript and HTML of one document, and knows in the
// end what nobody asked for.
export class Samples {
  #unread = new Map();
  #known = new Map();

  constructor(doc, text = readDoc(doc)) {
    this.doc = doc;
    for (const { language, name, code } of blocksOf(text)) {
      if (!['js', 'html'].includes(language) || name === 'before') continue;
      assert.ok(name, `${doc} has a block of ${language} without a name, which no test can run:\n${code}`);
      assert.ok(!this.#known.has(name), `${doc} has two blocks named ${name}`);
      this.#known.set(name, code);
      this.#unread.set(name, code);
    }
  }

  // take is a sample as it stands there, but for Rollcall's address.
  take(name, server) {
    const code = this.#known.get(name);
    assert.ok(code, `${this.doc} has no sample named ${name}`);
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
