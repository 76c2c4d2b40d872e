// COPY, binary and text, in and out: whole, broken off, and refused by the server.
using System.Text;
using Npgsql;
using NpgsqlTypes;
using Xunit;

namespace Behaviour;

public sealed class CopyTests(Database database) : Case(database)
{
    private const int Rows = 20000;

    private async Task<NpgsqlConnection> Table(string name)
    {
        var c = await Source.OpenConnectionAsync(Stop);
        await c.Run($"CREATE TABLE {name} (id int PRIMARY KEY, name text, amount numeric, at timestamptz)");
        await Database.Settle();
        Assert.Equal(0, await c.One<long>($"SELECT count(*) FROM {name}"));
        Assert.Equal(0, await c.One<long>($"SELECT count(*) FROM {name}"));  // may have come from the cache
        return c;
    }

    private static async Task Write(NpgsqlBinaryImporter writer, int first, int count)
    {
        for (var i = first; i < first + count; i++)
        {
            await writer.StartRowAsync(Stop);
            await writer.WriteAsync(i, NpgsqlDbType.Integer, Stop);
            if (i % 3 == 0)
                await writer.WriteNullAsync(Stop);
            else
                await writer.WriteAsync("row " + i, NpgsqlDbType.Text, Stop);
            await writer.WriteAsync(i / 4m, NpgsqlDbType.Numeric, Stop);
            await writer.WriteAsync(DateTime.UnixEpoch.AddHours(i), NpgsqlDbType.TimestampTz, Stop);
        }
    }

    [Fact]
    public async Task Binary_in_and_out()
    {
        await using var c = await Table("both_ways");
        await using (var writer = await c.BeginBinaryImportAsync("COPY both_ways FROM STDIN (FORMAT BINARY)", Stop))
        {
            await Write(writer, 0, Rows);
            Assert.Equal((ulong)Rows, await writer.CompleteAsync(Stop));
        }
        Assert.Equal(Rows, await c.One<long>("SELECT count(*) FROM both_ways"));
        await using var reader = await c.BeginBinaryExportAsync("COPY (SELECT * FROM both_ways ORDER BY id) TO STDOUT (FORMAT BINARY)", Stop);
        for (var i = 0; i < Rows; i++)
        {
            Assert.Equal(4, await reader.StartRowAsync(Stop));
            Assert.Equal(i, await reader.ReadAsync<int>(NpgsqlDbType.Integer, Stop));
            if (reader.IsNull)
                await reader.SkipAsync(Stop);
            else
                Assert.Equal("row " + i, await reader.ReadAsync<string>(NpgsqlDbType.Text, Stop));
            Assert.Equal(i / 4m, await reader.ReadAsync<decimal>(NpgsqlDbType.Numeric, Stop));
            Assert.Equal(DateTime.UnixEpoch.AddHours(i), await reader.ReadAsync<DateTime>(NpgsqlDbType.TimestampTz, Stop));
        }
        Assert.Equal(-1, await reader.StartRowAsync(Stop));
    }

    [Fact]
    public async Task What_is_not_completed_is_not_there()
    {
        await using var c = await Table("broken_off");
        await using (var writer = await c.BeginBinaryImportAsync("COPY broken_off FROM STDIN (FORMAT BINARY)", Stop))
            await Write(writer, 0, 5000);
        Assert.Equal(0, await c.One<long>("SELECT count(*) FROM broken_off"));
        await using (var reader = await Export(c))
            Assert.Equal(1, await reader.StartRowAsync(Stop));  // and the rest is thrown away
        Assert.Equal(1, await c.One<int>("SELECT 1"));
    }

    private static Task<NpgsqlBinaryExporter> Export(NpgsqlConnection c) =>
        c.BeginBinaryExportAsync("COPY (SELECT i FROM generate_series(1, 100000) i) TO STDOUT (FORMAT BINARY)", Stop);

    [Fact]
    public async Task A_row_that_the_server_refuses()
    {
        await using var c = await Table("refused");
        await using (var writer = await c.BeginBinaryImportAsync("COPY refused FROM STDIN (FORMAT BINARY)", Stop))
        {
            await Write(writer, 0, 100);
            await Write(writer, 99, 1);
            await Short.Fails("23505", async () => await writer.CompleteAsync(Stop));
        }
        Assert.Equal(0, await c.One<long>("SELECT count(*) FROM refused"));
        await Short.Fails("42P01", () => c.BeginBinaryImportAsync("COPY nowhere FROM STDIN (FORMAT BINARY)", Stop));
        Assert.Equal(0, await c.One<long>("SELECT count(*) FROM refused"));
    }

    [Fact]
    public async Task Inside_a_transaction_others_see_it_at_the_commit()
    {
        await using var c = await Table("in_block");
        await using var transaction = await c.BeginTransactionAsync(Stop);
        await using (var writer = await c.BeginBinaryImportAsync("COPY in_block FROM STDIN (FORMAT BINARY)", Stop))
        {
            await Write(writer, 0, 10);
            await writer.CompleteAsync(Stop);
        }
        Assert.Equal(10, await c.One<long>("SELECT count(*) FROM in_block"));
        Assert.Equal(0, await Source.One<long>("SELECT count(*) FROM in_block"));
        await transaction.CommitAsync(Stop);
        Assert.Equal(10, await Source.One<long>("SELECT count(*) FROM in_block"));
    }

    [Fact]
    public async Task Text_in_and_out()
    {
        await using var c = await Table("as_text");
        await using (var writer = await c.BeginTextImportAsync("COPY as_text (id, name) FROM STDIN", Stop))
            for (var i = 0; i < 1000; i++)
                await writer.WriteAsync($"{i}\tname {i} \u00e4\u6f22\n");
        Assert.Equal(1000, await c.One<long>("SELECT count(*) FROM as_text"));
        using var reader = await c.BeginTextExportAsync("COPY (SELECT id, name FROM as_text ORDER BY id) TO STDOUT", Stop);
        for (var i = 0; i < 1000; i++)
            Assert.Equal($"{i}\tname {i} \u00e4\u6f22", await reader.ReadLineAsync(Stop));
        Assert.Null(await reader.ReadLineAsync(Stop));
    }

    [Fact]
    public async Task Raw_bytes_from_one_table_into_another()
    {
        await using var from = await Table("raw_from");
        await from.Run("INSERT INTO raw_from SELECT i, md5(i::text) FROM generate_series(1, 50000) i");
        await using var to = await Table("raw_to");
        await using (var source = await from.BeginRawBinaryCopyAsync("COPY raw_from TO STDOUT (FORMAT BINARY)", Stop))
        await using (var target = await to.BeginRawBinaryCopyAsync("COPY raw_to FROM STDIN (FORMAT BINARY)", Stop))
            await source.CopyToAsync(target, Stop);
        Assert.Equal(await from.One<string>("SELECT md5(string_agg(name, '' ORDER BY id)) FROM raw_from"),
            await to.One<string>("SELECT md5(string_agg(name, '' ORDER BY id)) FROM raw_to"));
    }

    [Fact]
    public async Task A_raw_import_that_is_cancelled()
    {
        await using var c = await Table("cancelled");
        var stream = await c.BeginRawBinaryCopyAsync("COPY cancelled FROM STDIN (FORMAT BINARY)", Stop);
        await stream.WriteAsync(Encoding.Latin1.GetBytes("PGCOPY\n\u00ff\r\n\0"), Stop);  // how such data begins
        await stream.CancelAsync();
        await stream.DisposeAsync();
        Assert.Equal(0, await c.One<long>("SELECT count(*) FROM cancelled"));
    }
}
