// A reporter for `node --test`: failures in full, and what took longest.
import { basename } from 'node:path';

const SLOWEST = 10;

export default async function* report(events) {
  const files = new Map(); // name -> ms of its outermost tests
  const tests = [];
  const count = { passed: 0, failed: 0, skipped: 0 };
  for await (const { type, data } of events) {
    if (type === 'test:stderr' || type === 'test:stdout') yield data.message;
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const file = basename(data.file ?? '');
    const { duration_ms: ms, error, type: kind } = data.details;
    const failed = type === 'test:fail' && !data.todo;
    if (data.nesting === 0) files.set(file, (files.get(file) ?? 0) + ms);
    if (kind !== 'suite') {
      count[failed ? 'failed' : data.skip ? 'skipped' : 'passed']++;
      tests.push([`${file}: ${data.name}`, ms]);
    }
    if (failed && error?.failureType !== 'subtestsFailed') {
      const cause = error?.cause ?? error;
      yield `FAILED ${file}:${data.line}: ${data.name}\n${cause?.stack ?? cause}\n\n`;
    }
  }
  for (const [what, times] of [['files', [...files]], ['tests', tests]]) {
    yield `slowest ${what}:\n`;
    for (const [name, ms] of times.sort((a, b) => b[1] - a[1]).slice(0, SLOWEST)) yield `${(ms / 1000).toFixed(1).padStart(7)} s  ${name}\n`;
  }
  yield `${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped\n`;
}
