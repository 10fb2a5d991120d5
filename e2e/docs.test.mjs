// What holds for all documents: links lead somewhere, samples are run, tests that
// are named exist, one thing has one name.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { anchorsOf, blocksOf, linksOf, runnable } from './migrating/samples.mjs';

const root = new URL('../', import.meta.url);
const at = (path) => new URL(path, root);
const documents = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'e2e/README.md', 'public/dist/README.md',
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
  assert.ok(within.length > 200, `only ${within.length} links found`);
});

test('a link that leads nowhere is noticed', () => {
  const from = 'docs/reference/events.md';
  for (const link of ['none.md', '../none.md#values', 'limits.md#none', '#none', '../../README.md#configure-it', '../page.gif']) assert.notEqual(faultOf(from, link), '', link);
  for (const link of ['limits.md', 'limits.md#memory', '#values', '../../README.md#try-it', '../page.png', 'https://example.com/none']) assert.equal(faultOf(from, link), '');
});

test('every document is in the table of contents', () => {
  const contents = linksOf(read('docs/README.md')).map((link) => new URL(link, at('docs/README.md')).href);
  const pages = documents.filter((path) => /^docs\/(tutorial|how-to|reference|explanation|dev)\//.test(path));
  assert.ok(pages.length > 30, String(pages));
  assert.deepEqual(pages.filter((path) => !contents.includes(at(path).href)), []);
});

// That each of its samples is run is for the test to hold: Samples.unread.
test('every document with samples in JavaScript or HTML has a test', () => {
  const tests = readdirSync(at('e2e')).filter((name) => /^(migrating|docs\.samples).*\.test\.mjs$/.test(name)).map((name) => read(`e2e/${name}`)).join('\n');
  const sampled = documents.filter((path) => /^(docs\/|README)/.test(path) && runnable(path, read(path)).length);
  assert.ok(sampled.length > 10, String(sampled));
  assert.deepEqual(sampled.filter((path) => !tests.includes(`'${path.replace(/^docs\//, '').replace(/^README/, '../README')}'`)), []);
});

// testsOf are the names of the Go tests and fuzz targets in files.
const testsOf = (files) => [...files.filter((file) => /_test\.go$/.test(file)).map(read).join('\n').matchAll(/^func ((?:Test|Fuzz)\w+)/gm)].map(([, name]) => name);
const begins = (names, name) => names.some((one) => one.startsWith(name)); // TestBurst… means several

test('every test that a document names exists', () => {
  const all = testsOf(readdirSync(root, { recursive: true }).filter((name) => !/node_modules/.test(name)));
  const named = documents.flatMap((path) => [...read(path).matchAll(/`((?:Test|Fuzz)[A-Z]\w*)/g)].map(([, name]) => [path, name]));
  assert.ok(named.length > 80, `only ${named.length} tests are named`);
  assert.deepEqual(named.filter(([, name]) => !begins(all, name)), []);
});

test('every folder and file of the code that a document names exists, with the tests named with it', () => {
  const faults = documents.flatMap((path) => {
    const text = read(path);
    const paths = [...text.matchAll(/`((?:adapter|bench|e2e|internal|public|rooms|scripts)\/[\w./-]*\w)`/g)].map(([, name]) => name);
    const tests = [...text.matchAll(/`((?:adapter|e2e|internal|rooms)[\w/]*)`: (`\w+`(?:, `\w+`)*)/g)].filter(([, folder]) => existsSync(at(folder))).flatMap(([, folder, list]) => {
      const there = testsOf(readdirSync(at(folder)).map((file) => `${folder}/${file}`));
      return [...list.matchAll(/`((?:Test|Fuzz)\w+)`/g)].filter(([, name]) => !begins(there, name)).map(([, name]) => `${path}: ${name} is not in ${folder}`);
    });
    return [...paths.filter((name) => !existsSync(at(name))).map((name) => `${path}: there is no ${name}`), ...tests];
  });
  assert.deepEqual(faults, []);
});

test('the versions that documents name are those that the tests run', () => {
  const { dependencies } = JSON.parse(read('e2e/package.json'));
  const clients = Object.entries(dependencies).filter(([name]) => name.startsWith('client-')).map(([, version]) => version.split('@')[1]);
  const servers = ['@socket.io/redis-adapter', '@socket.io/redis-emitter'].map((name) => dependencies[name]);
  assert.ok(clients.length >= 5, String(clients));
  const missing = (path, versions) => versions.filter((version) => !read(path).includes(version));
  assert.deepEqual(missing('README.md', clients), []);
  assert.deepEqual(missing('docs/reference/compatibility.md', [...clients, ...servers]), []);
  const reviewed = read('docs/dev/supply-chain.md').match(/\bv\d+\.\d+\.\d+/g);
  assert.deepEqual(missing('go.mod', reviewed), []);
});

test('the secret has one name in all samples', () => {
  const names = documents.flatMap((path) => blocksOf(read(path)).flatMap(({ code }) =>
    [...code.matchAll(/(?:ENV(?:\.fetch\(|\[)["']|process\.env\.)(\w*(?:SECRET|KEY)\w*)/g)].map(([, name]) => `${path} ${name}`)));
  assert.ok(names.length >= 4, String(names));
  assert.deepEqual(names.filter((name) => !/ ROLLCALL_(AUTH_SECRET|API_KEY)$/.test(name)), []);
});
