// Save five steps of a saga, fail at the fifth, look back, and replay it with a corrected context.
//
//   SNAPSHOTD_URL=http://127.0.0.1:7420 node example.mjs

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

const base = process.env.SNAPSHOTD_URL ?? 'http://127.0.0.1:7420';
const token = process.env.SNAPSHOTD_TOKEN; // where one is asked for

// Every request here carries its id and may be repeated, so one that got no answer or a 429 or a 503 is tried again.
async function call(method, path, body) {
  const headers = body === undefined ? {} : { 'Content-Type': 'application/json' };
  if (token) headers.Authorization = `Bearer ${token}`;
  for (let left = 4; ; left--) {
    let wait = 1;
    try {
      const answer = await fetch(base + path, { method, headers, body, signal: AbortSignal.timeout(30_000) });
      const text = await answer.text();
      if (answer.ok) return text;
      if (![429, 503].includes(answer.status) || left === 0) throw new Error(`${method} ${path}: ${text}`);
      wait = Number(answer.headers.get('Retry-After') ?? 1);
    } catch (error) {
      const unanswered = error instanceof TypeError || error.name === 'TimeoutError';
      if (!unanswered || left === 0) throw error;
    }
    await sleep(wait * 1000);
  }
}

const steps = ['validate_order', 'reserve_inventory', 'charge_payment', 'book_courier', 'notify_customer'];

// As text: a number of JavaScript would round the serial. snapshotd keeps its digits.
const serial = '12345678901234567890123';
const context = `{"order":"A-17","serial":${serial},"email":"ada@example,org"}`;

const saga = `/v1/sagas/${randomUUID()}`;

for (const [index, step] of steps.entries()) {
  const fields = {
    saga_id: saga.split('/').at(-1),
    saga_name: 'order_processing',
    step_name: step,
    step_index: index,
    status: step === 'notify_customer' ? 'failed' : 'executing',
    completed_steps: steps.slice(0, index),
    created_at: new Date(Date.UTC(2026, 0, 5, 10, index)).toISOString(),
  };
  const body = `${JSON.stringify(fields).slice(0, -1)},"context":${context}}`;
  await call('PUT', `/v1/snapshots/${randomUUID()}`, body);
  console.log(`saved ${step}: ${fields.status}`);
}

const page = JSON.parse(await call('GET', `${saga}/snapshots?view=summary&limit=1000`));
assert.deepEqual(page.snapshots.map((s) => s.step_name), steps.toReversed());
assert.equal(page.next_cursor, null);
console.log(`listed ${page.snapshots.length} snapshots`);

const at = new URLSearchParams({ at: '2026-01-05T10:02:30+00:00' });
const then = JSON.parse(await call('GET', `${saga}/snapshots/latest?${at}`));
assert.equal(then.step_name, 'charge_payment');
at.set('pointer', '/context/serial');
const kept = await call('GET', `${saga}/snapshots/latest?${at}`);
assert.equal(kept.trim(), serial);
console.log(`at 10:02:30 it was at ${then.step_name}, serial ${kept.trim()}`);

const request = {
  replay_id: randomUUID(),
  checkpoint_step: 'notify_customer',
  context_override: { email: 'ada@example.org' },
};
const prepared = await call('POST', `${saga}/replays`, JSON.stringify(request));
const { resume } = JSON.parse(prepared);
assert.equal(resume.context.email, 'ada@example.org');
assert.deepEqual(resume.completed_steps, steps.slice(0, 4));
assert.ok(prepared.includes(`"serial":${serial}`), prepared);
console.log(`replaying ${resume.step_name} for ${resume.context.email}`);

// Here the runtime runs what is left of the saga, as resume.saga_id.

await call('PATCH', `/v1/replays/${request.replay_id}`, JSON.stringify({ replay_status: 'success' }));
const { replays } = JSON.parse(await call('GET', `${saga}/replays`));
assert.deepEqual(replays.map((r) => r.replay_status), ['success']);
console.log(`replay ${request.replay_id}: ${replays[0].replay_status}`);
