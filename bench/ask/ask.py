#!/usr/bin/python3
"""One session of a tenant that asks as fast as it can, and at once again when its rate is refused.

    ask.py psycopg|asyncpg PORT DATABASE USER TENANT SECONDS

Prints {"answered": N, "refused": N, "seconds": S}: S from before the first question until after the
last answer, so that every query that counted was counted within it. Any other error ends it.
Ask.java and ask.js are the same for JDBC and for pg of Node.
"""
import asyncio
import json
import sys
import time


def with_psycopg(port, database, user, tenant, seconds):
    import psycopg
    conn = psycopg.connect(host="127.0.0.1", port=port, dbname=database, user=user,
                           sslmode="disable", options="-c pgsidecar.tenant=" + tenant,
                           autocommit=True)
    answered = refused = 0
    began = last = time.monotonic()
    while time.monotonic() < began + seconds:
        try:
            conn.execute("SELECT %s::int", [answered])
        except psycopg.errors.LockNotAvailable:
            refused += 1
        else:
            answered, last = answered + 1, time.monotonic()
    conn.close()
    return answered, refused, last - began


async def with_asyncpg(port, database, user, tenant, seconds):
    import asyncpg
    conn = await asyncpg.connect(host="127.0.0.1", port=port, database=database, user=user,
                                 ssl=False, server_settings={"pgsidecar.tenant": tenant})
    answered = refused = 0
    began = last = time.monotonic()
    while time.monotonic() < began + seconds:
        try:
            await conn.fetchval("SELECT $1::int", answered)
        except asyncpg.LockNotAvailableError:
            refused += 1
        else:
            answered, last = answered + 1, time.monotonic()
    await conn.close()
    return answered, refused, last - began


def main():
    driver, port, database, user, tenant, seconds = sys.argv[1:]
    arguments = int(port), database, user, tenant, float(seconds)
    if driver == "asyncpg":
        got = asyncio.run(with_asyncpg(*arguments))
    else:
        got = with_psycopg(*arguments)
    print(json.dumps(dict(zip(("answered", "refused", "seconds"), got))))


main()
