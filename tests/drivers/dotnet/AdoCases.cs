// Npgsql as ADO.NET: reset of pooled connections, batches, prepared statements, COPY, cancellation.
using System.Data;
using Npgsql;
using NpgsqlTypes;
using static Harness;

internal static class AdoCases
{
    private static async Task<T?> Scalar<T>(NpgsqlConnection c, string sql, params object[] values)
    {
        await using var command = new NpgsqlCommand(sql, c);
        foreach (var value in values)
            command.Parameters.Add(new NpgsqlParameter { Value = value });
        var got = await command.ExecuteScalarAsync();
        return got is null or DBNull ? default : (T)got;
    }

    public static async Task Run(string connection)
    {
        await using var source = NpgsqlDataSource.Create(connection);
        await using (var c = await source.OpenConnectionAsync())
            await new NpgsqlCommand("""
                CREATE TABLE dose (id int PRIMARY KEY, name text, amount numeric(8,2), at timestamptz, code uuid);
                INSERT INTO dose SELECT i, 'dose ' || i, i * 0.25, timestamptz '2024-01-01 00:00+00' + i * interval '1 day',
                    md5(i::text)::uuid FROM generate_series(1, 600) i
                """, c).ExecuteNonQueryAsync();

        await Test("repeated parameterised reads", async () =>
        {
            for (var turn = 0; turn < 20; turn++)
            {
                await using var c = await source.OpenConnectionAsync();
                Same(await Scalar<string>(c, "SELECT name FROM dose WHERE id = $1", 5), "dose 5");
                Same(await Scalar<decimal>(c, "SELECT amount FROM dose WHERE id = $1", 5), 1.25m);
                Same(await Scalar<DateTime>(c, "SELECT at FROM dose WHERE id = $1", 5),
                    new DateTime(2024, 1, 6, 0, 0, 0, DateTimeKind.Utc));
                Same(await Scalar<long>(c, "SELECT count(*) FROM dose"), 600L);
            }
        });
        await Test("explicit and automatic preparation", async () =>
        {
            await using var auto = NpgsqlDataSource.Create(connection + ";Max Auto Prepare=10;Auto Prepare Min Usages=2");
            for (var turn = 0; turn < 20; turn++)
            {
                await using var c = await auto.OpenConnectionAsync();
                for (var i = 0; i < 15; i++)  // more texts than slots: evicted all the time
                    Same(await Scalar<string>(c, $"SELECT name || '{i}' FROM dose WHERE id = $1", turn + 1), $"dose {turn + 1}{i}");
                await using var command = new NpgsqlCommand("SELECT name FROM dose WHERE id = $1", c);
                command.Parameters.Add(new NpgsqlParameter { NpgsqlDbType = NpgsqlDbType.Integer, Value = 3 });
                await command.PrepareAsync();
                Same((string?)await command.ExecuteScalarAsync(), "dose 3");
                Same((string?)await command.ExecuteScalarAsync(), "dose 3");
            }
        });
        await Test("a batch of five hundred", async () =>
        {
            await using var c = await source.OpenConnectionAsync();
            for (var turn = 0; turn < 4; turn++)
            {
                await using var batch = new NpgsqlBatch(c);
                for (var i = 1; i <= 500; i++)
                    batch.BatchCommands.Add(new NpgsqlBatchCommand("SELECT name FROM dose WHERE id = $1")
                        { Parameters = { new NpgsqlParameter { Value = i } } });
                await using var reader = await batch.ExecuteReaderAsync();
                for (var i = 1; i <= 500; i++)
                {
                    await reader.ReadAsync();
                    Same(reader.GetString(0), "dose " + i);
                    Same(await reader.NextResultAsync(), i < 500);
                }
            }
        });
        await Test("a failing command in a batch rolls its block back", async () =>
        {
            await using var c = await source.OpenConnectionAsync();
            await using var batch = new NpgsqlBatch(c);
            batch.BatchCommands.Add(new NpgsqlBatchCommand("UPDATE dose SET name = 'lost' WHERE id = 1"));
            batch.BatchCommands.Add(new NpgsqlBatchCommand("SELECT 1/0"));
            await Throws<PostgresException>(() => batch.ExecuteNonQueryAsync(), e => e.SqlState == "22012");
            Same(await Scalar<string>(c, "SELECT name FROM dose WHERE id = 1"), "dose 1");
        });
        await Test("a pooled connection forgets its settings", async () =>
        {
            await using var one = NpgsqlDataSource.Create(connection + ";Maximum Pool Size=1");
            for (var turn = 0; turn < 5; turn++)
            {
                await using (var c = await one.OpenConnectionAsync())
                {
                    await new NpgsqlCommand("SET TimeZone = 'Asia/Tokyo'; SET search_path = pg_catalog", c).ExecuteNonQueryAsync();
                    Same(await Scalar<string>(c, "SELECT at::text FROM public.dose WHERE id = 5"), "2024-01-06 09:00:00+09");
                }
                await using (var c = await one.OpenConnectionAsync())
                {
                    Same(await Scalar<string>(c, "SELECT at::text FROM dose WHERE id = 5"), "2024-01-06 00:00:00+00");
                    Same(await Scalar<string>(c, "SHOW search_path"), "\"$user\", public");
                }
            }
        });
        await Test("transactions and savepoints read their own writes", async () =>
        {
            await using var c = await source.OpenConnectionAsync();
            await using var other = await source.OpenConnectionAsync();
            await using (var t = await c.BeginTransactionAsync())
            {
                await Scalar<int>(c, "UPDATE dose SET name = 'mine' WHERE id = 2 RETURNING id");
                Same(await Scalar<string>(c, "SELECT name FROM dose WHERE id = 2"), "mine");
                Same(await Scalar<string>(other, "SELECT name FROM dose WHERE id = 2"), "dose 2");
                await t.SaveAsync("s");
                await Throws<PostgresException>(() => Scalar<int>(c, "SELECT 1/0"), e => e.SqlState == "22012");
                await t.RollbackAsync("s");
                await t.CommitAsync();
            }
            Same(await Scalar<string>(other, "SELECT name FROM dose WHERE id = 2"), "mine");
        });
        await Test("binary import and export", async () =>
        {
            await using var c = await source.OpenConnectionAsync();
            await using (var writer = await c.BeginBinaryImportAsync("COPY dose (id, name) FROM STDIN (FORMAT BINARY)"))
            {
                for (var i = 0; i < 1000; i++)
                {
                    await writer.StartRowAsync();
                    await writer.WriteAsync(10000 + i, NpgsqlDbType.Integer);
                    await writer.WriteAsync("copied", NpgsqlDbType.Text);
                }
                Same(await writer.CompleteAsync(), 1000UL);
            }
            Same(await Scalar<long>(c, "SELECT count(*) FROM dose"), 1600L);
            await Scalar<int>(c, "DELETE FROM dose WHERE id >= 10000");
            Same(await Scalar<long>(c, "SELECT count(*) FROM dose"), 600L);
        });
        await Test("cancellation and command timeout", async () =>
        {
            await using var c = await source.OpenConnectionAsync();
            using var cancel = new CancellationTokenSource(TimeSpan.FromMilliseconds(300));
            await Throws<OperationCanceledException>(
                () => new NpgsqlCommand("SELECT pg_sleep(60)", c).ExecuteNonQueryAsync(cancel.Token), _ => true);
            Same(await Scalar<int>(c, "SELECT 5"), 5);
            Same(c.ProcessID, await Scalar<int>(c, "SELECT pg_backend_pid()"));
        });
        await Test("notifications", async () =>
        {
            await using var c = await source.OpenConnectionAsync();
            await using var other = await source.OpenConnectionAsync();
            var heard = new TaskCompletionSource<string>();
            c.Notification += (_, e) => heard.TrySetResult(e.Payload);
            await new NpgsqlCommand("LISTEN desk", c).ExecuteNonQueryAsync();
            await new NpgsqlCommand("NOTIFY desk, 'ring'", other).ExecuteNonQueryAsync();
            await c.WaitAsync(TimeSpan.FromSeconds(30));
            Same(await heard.Task, "ring");
        });
        await Test("multiplexing", async () =>
        {
            await using var multiplexed = NpgsqlDataSource.Create(connection + ";Multiplexing=true;Maximum Pool Size=3");
            await Task.WhenAll(Enumerable.Range(1, 500).Select(async i =>
            {
                await using var command = multiplexed.CreateCommand("SELECT name FROM dose WHERE id = $1");
                command.Parameters.Add(new NpgsqlParameter { Value = i % 500 + 3 });
                Same((string?)await command.ExecuteScalarAsync(), $"dose {i % 500 + 3}");
            }));
        });
        await Test("composite metadata and schema-only reads", async () =>
        {
            await using var c = await source.OpenConnectionAsync();
            for (var turn = 0; turn < 3; turn++)
            {
                await using var command = new NpgsqlCommand("SELECT * FROM dose WHERE id = 4", c);
                await using (var reader = await command.ExecuteReaderAsync(CommandBehavior.SchemaOnly))
                    Same(reader.GetName(2), "amount");
                await using (var reader = await command.ExecuteReaderAsync(CommandBehavior.KeyInfo))
                    Same((await reader.GetColumnSchemaAsync())[0].IsKey, true);
            }
        });
    }
}
