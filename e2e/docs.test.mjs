// What holds for all documents: links lead somewhere, one thing has one name.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { anchorsOf, blocksOf, linksOf } from './migrating/samples.mjs';

const root = new URL('../', import.meta.url);
const at = (path) => new URL(path, root);
const documents = ['README.md', 'CHANGELOG.md', 'e2e/README.md', 'public/dist/README.md',
  ...readdirSync(at('docs'), { recursive: true }).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)];
const read = (path) => readFileSync(at(path), 'utf8');

// faultOf says what is wrong with a link in a document; "" if nothing is.
function faultOf(path, link, anchors = (url) => anchorsOf(readFileSync(url, 'utf8'))) {
  if (/^[a-z]+:/i.test(link)) return ''; // somewhere else
  const url = new URL(link, at(path));
  const anchor = decodeURIComponent(url.hash.slice(1));
  url.hash = '';
  if (!existsSync(url)) return `${path} links to ${link}, and there is no such file`;
  if (!anchor || !url.pathname.endsWith('.md')) return '';
  return anchors(url).includes(anchor) ? '' : `${path} links to ${link}, and there is no such heading`;
}

test('every link in a document leads somewhere', () => {
  const links = documents.flatMap((path) => linksOf(read(path)).map((link) => [path, link]));
  assert.deepEqual(links.map(([path, link]) => faultOf(path, link)).filter(Boolean), []);
  const within = links.filter(([, link]) => !/^[a-z]+:/i.test(link));
  assert.ok(within.length > 60, `only ${within.length} links found`);
  for (const path of ['README.md', 'docs/operating.md']) assert.ok(within.some(([one]) => one === path), `no link found in ${path}`);
});

test('a link that leads nowhere is noticed', () => {
  for (const link of ['none.md', '../none.md#tokens', 'rails.md#none', '#none', '../README.md#configure-it', 'page.gif']) assert.notEqual(faultOf('docs/events.md', link), '', link);
  for (const link of ['rails.md', 'rails.md#tokens', '#tokens', '../README.md#configuration', 'page.png', 'https://example.com/none']) assert.equal(faultOf('docs/events.md', link), '');
});

test('the secret has one name in all samples', () => {
  const names = documents.flatMap((path) => blocksOf(read(path)).flatMap(({ code }) =>
    [...code.matchAll(/(?:ENV(?:\.fetch\(|\[)["']|process\.env\.)(\w*(?:SECRET|KEY)\w*)/g)].map(([, name]) => `${path} ${name}`)));
  assert.ok(names.length >= 5, String(names));
  assert.deepEqual(names.filter((name) => !/ ROLLCALL_(AUTH_SECRET|API_KEY)$/.test(name)), []);
});
