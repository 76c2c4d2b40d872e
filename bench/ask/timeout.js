// Sessions that run into query_timeout, with pg of Node. Arguments: PORT DATABASE USER TENANT
// SESSIONS COUNT. Prints {"took_ms": [...], "strays": N}: for each of COUNT questions of each session
// the time until it failed with 57014, and how many of the queries sent after them were cancelled.
'use strict';
const { Client } = require('pg');

const took = [];
let strays = 0;

// The time until it was cancelled; null: it was not.
async function cancelled(client, sql) {
  const began = performance.now();
  try {
    await client.query(sql, []);
    return null;
  } catch (error) {
    if (error.code !== '57014') throw error;
    return performance.now() - began;
  }
}

async function session(port, database, user, tenant, count) {
  const client = new Client({ host: '127.0.0.1', port: Number(port), database, user, ssl: false,
    options: '-c pgsidecar.tenant=' + tenant });
  await client.connect();
  for (let i = 0; i < Number(count); i++) {
    const ms = await cancelled(client, 'SELECT pg_sleep(30)');
    if (ms !== null) took.push(ms);
    if (await cancelled(client, 'SELECT 2') !== null) strays++;
  }
  await client.end();
}

async function main() {
  const [port, database, user, tenant, sessions, count] = process.argv.slice(2);
  await Promise.all(Array.from({ length: Number(sessions) },
    () => session(port, database, user, tenant, count)));
  console.log(JSON.stringify({ took_ms: took, strays }));
}

main().catch((error) => { console.error(String(error)); process.exit(1); });
