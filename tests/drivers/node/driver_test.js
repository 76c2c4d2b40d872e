// What a Node application does with the pg driver, through the program. Arguments: port, database.
// Prints one "ok NAME", "not ok NAME: why" or "skip NAME: why" for each case; the exit code is the number of failures.
'use strict';
const assert = require('node:assert');
const { Client, Pool } = require('pg');
const { serialize } = require('pg-protocol');

const options = { host: '127.0.0.1', port: Number(process.argv[2]), database: process.argv[3],
  user: 'postgres', ssl: false };
let failures = 0;

async function test(name, body) {
  const client = new Client(options);
  try {
    await client.connect();
    await body(client);
    console.log('ok ' + name);
  } catch (error) {
    failures++;
    console.log('not ok ' + name + ': ' + error);
  } finally {
    await client.end();
  }
}

async function main() {
  const setup = new Client(options);
  await setup.connect();
  await setup.query('CREATE TABLE visit (id int PRIMARY KEY, note text, at timestamptz)');
  await setup.query("INSERT INTO visit SELECT i, 'note ' || i, timestamptz '2024-01-01 00:00+00' "
    + '+ i * interval \'1 day\' FROM generate_series(1, 200) i');
  await setup.end();

  await test('simple, parameterised and named statements repeat', async (c) => {
    for (let i = 0; i < 10; i++) {
      assert.equal((await c.query('SELECT count(*) FROM visit')).rows[0].count, '200');
      assert.equal((await c.query('SELECT note FROM visit WHERE id = $1', [5])).rows[0].note, 'note 5');
      const named = { name: 'by-id', text: 'SELECT note, at FROM visit WHERE id = $1', values: [i + 1] };
      assert.equal((await c.query(named)).rows[0].note, 'note ' + (i + 1));
      const array = await c.query({ text: 'SELECT id, note FROM visit WHERE id < 3 ORDER BY id',
        rowMode: 'array' });
      assert.deepEqual(array.rows, [[1, 'note 1'], [2, 'note 2']]);
    }
  });
  // Debian 12's node-pg announces one result format and does not send it: every server refuses that.
  const bind = serialize.bind({ portal: '', statement: '', values: [], binary: true });
  const binary = bind.subarray(-4).equals(Buffer.from([0, 1, 0, 1]));
  if (!binary) console.log('skip binary results: this driver sends a Bind without its result format');
  else await test('binary results', async (c) => {
    for (let i = 0; i < 5; i++) {
      const got = await c.query({ text: 'SELECT id FROM visit WHERE id = $1', values: [9], binary: true });
      assert.equal(got.rows[0].id, 9);
      assert.equal((await c.query('SELECT id FROM visit WHERE id = $1', [9])).rows[0].id, 9);
    }
  });
  await test('several statements in one string', async (c) => {
    const got = await c.query('SELECT 1 AS a; SELECT note FROM visit WHERE id = 2; SELECT 3 AS c');
    assert.deepEqual(got.map((r) => Object.values(r.rows[0])[0]), [1, 'note 2', 3]);
  });
  await test('errors carry the server code and leave the connection usable', async (c) => {
    await assert.rejects(c.query('SELECT nope'), { code: '42703' });
    await assert.rejects(c.query('SELECT 1/$1::int', [0]), { code: '22012' });
    assert.equal((await c.query('SELECT 1 AS one')).rows[0].one, 1);
  });
  await test('queued queries on one connection', async (c) => {
    const got = await Promise.all(Array.from({ length: 300 }, (_, i) =>
      c.query('SELECT note FROM visit WHERE id = $1', [1 + i % 200])));
    got.forEach((r, i) => assert.equal(r.rows[0].note, 'note ' + (1 + i % 200)));
  });
  await test('notifications', async (c) => {
    const heard = new Promise((resolve) => c.on('notification', resolve));
    await c.query('LISTEN desk');
    await c.query("NOTIFY desk, 'ring'");
    assert.equal((await heard).payload, 'ring');
  });
  await test('pool with transactions reads its writes', async () => {
    const pool = new Pool({ ...options, max: 5 });
    await Promise.all(Array.from({ length: 100 }, async (_, i) => {
      const c = await pool.connect();
      try {
        await c.query('BEGIN');
        await c.query('UPDATE visit SET note = $1 WHERE id = $2', ['w' + i, 1 + i]);
        await c.query('COMMIT');
        assert.equal((await c.query('SELECT note FROM visit WHERE id = $1', [1 + i])).rows[0].note,
          'w' + i);
      } finally {
        c.release();
      }
    }));
    await pool.end();
  });
  process.exit(failures);
}

main().catch((error) => { console.log('not ok start: ' + error); process.exit(1); });
