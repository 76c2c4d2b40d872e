// ask.py for pg of Node. Arguments: PORT DATABASE USER TENANT SECONDS.
'use strict';
const { Client } = require('pg');

async function main() {
  const [port, database, user, tenant, seconds] = process.argv.slice(2);
  const client = new Client({ host: '127.0.0.1', port: Number(port), database, user, ssl: false,
    options: '-c pgsidecar.tenant=' + tenant });
  await client.connect();
  let answered = 0;
  let refused = 0;
  const began = performance.now();
  let last = began;
  while (performance.now() < began + 1000 * Number(seconds)) {
    try {
      await client.query('SELECT $1::int', [answered]);
      answered++;
      last = performance.now();
    } catch (error) {
      if (error.code !== '55P03') throw error;
      refused++;
    }
  }
  await client.end();
  console.log(JSON.stringify({ answered, refused, seconds: (last - began) / 1000 }));
}

main().catch((error) => { console.error(String(error)); process.exit(1); });
