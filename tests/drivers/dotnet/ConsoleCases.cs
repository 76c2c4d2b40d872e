// The admin console through Npgsql: without type loading, pooled, prepared, in blocks.
using Npgsql;
using static Harness;

internal static class ConsoleCases
{
    public static async Task Run(string connection)
    {
        await using var source = NpgsqlDataSource.Create(connection + ";Server Compatibility Mode=NoTypeLoading;Maximum Pool Size=2");
        await Test("the console's tables", async () =>
        {
            for (var turn = 0; turn < 3; turn++)  // each time the connection was reset
            {
                await using var c = await source.OpenConnectionAsync();
                await using var reader = await new NpgsqlCommand("SHOW DATABASES", c).ExecuteReaderAsync();
                var found = false;
                while (await reader.ReadAsync())
                    found |= reader.GetString(0) == "pgsidecar" && reader.GetInt32(reader.GetOrdinal("paused")) == 0;
                Same(found, true);
            }
        });
        await Test("the console's numbers in binary", async () =>
        {
            await using var c = await source.OpenConnectionAsync();
            await using var reader = await new NpgsqlCommand("SHOW CACHE", c).ExecuteReaderAsync();
            Same(await reader.ReadAsync(), true);
            Same(reader.GetInt64(reader.GetOrdinal("max_memory")), 64L << 20);
            Same(reader.GetBoolean(reader.GetOrdinal("enabled")), true);
            Same(reader.GetDouble(reader.GetOrdinal("hit_ratio")) is >= 0 and <= 1, true);
        });
        await Test("prepared commands and batches at the console", async () =>
        {
            await using var c = await source.OpenConnectionAsync();
            await using var command = new NpgsqlCommand("SHOW VERSION", c);
            await command.PrepareAsync();
            for (var turn = 0; turn < 2; turn++)
                Same(((string)(await command.ExecuteScalarAsync())!).StartsWith("pgsidecar "), true);
            await using var batch = new NpgsqlBatch(c) { BatchCommands = { new("SELECT 1"), new("SHOW VERSION") } };
            await using var reader = await batch.ExecuteReaderAsync();
            Same(await reader.ReadAsync() && reader.GetInt32(0) == 1, true);
            Same(await reader.NextResultAsync() && await reader.ReadAsync(), true);
        });
        await Test("an error at the console leaves the connection usable", async () =>
        {
            await using var c = await source.OpenConnectionAsync();
            await Throws<PostgresException>(() => new NpgsqlCommand("SHOW nothing", c).ExecuteNonQueryAsync(),
                e => e.SqlState == "42601");
            await using (var t = await c.BeginTransactionAsync())
            {
                await new NpgsqlCommand("SHOW LISTS", c).ExecuteNonQueryAsync();
                await t.CommitAsync();
            }
            await new NpgsqlCommand("INVALIDATE ALL", c).ExecuteNonQueryAsync();
        });
    }
}
