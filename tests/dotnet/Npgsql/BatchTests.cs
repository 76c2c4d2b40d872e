// Batches and multiplexing: many statements in one round trip, and what an error in the middle ends.
using Npgsql;
using Xunit;

namespace Behaviour;

public sealed class BatchTests(Database database) : Case(database)
{
    private const int Many = 500;

    private static NpgsqlBatch Batch(NpgsqlConnection c, IEnumerable<(string Sql, object? Value)> commands)
    {
        var batch = new NpgsqlBatch(c);
        foreach (var (sql, value) in commands)
        {
            var command = new NpgsqlBatchCommand(sql);
            if (value != null)
                command.Parameters.Add(new NpgsqlParameter { Value = value });
            batch.BatchCommands.Add(command);
        }
        return batch;
    }

    private static IEnumerable<(string, object?)> Inserts(string table, params int[] wrong) =>
        Enumerable.Range(0, Many).Select(i => wrong.Contains(i)
            ? ("SELECT 1 / $1", (object?)0)
            : ($"INSERT INTO {table} VALUES ($1)", i));

    private async Task<long> Count(string table) => await Source.One<long>($"SELECT count(*) FROM {table}");

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Five_hundred_reads(bool prepared)
    {
        await Source.Run("CREATE TABLE IF NOT EXISTS dose AS SELECT i AS id, 'dose ' || i AS name FROM generate_series(1, 600) i");
        await Database.Settle();
        await using var c = await Source.OpenConnectionAsync(Stop);
        for (var turn = 0; turn < 4; turn++)
        {
            await using var batch = Batch(c, Enumerable.Range(1, Many).Select(i => ("SELECT name FROM dose WHERE id = $1", (object?)i)));
            if (prepared)
                await batch.PrepareAsync(Stop);
            await using var reader = await batch.ExecuteReaderAsync(Stop);
            for (var i = 1; i <= Many; i++)
            {
                Assert.True(await reader.ReadAsync(Stop));
                Assert.Equal("dose " + i, reader.GetString(0));
                Assert.Equal(i < Many, await reader.NextResultAsync(Stop));
            }
        }
    }

    [Fact]
    public async Task Reads_of_a_batch_see_its_writes()
    {
        await using var c = await Source.OpenConnectionAsync(Stop);
        await c.Run("CREATE TABLE counter AS SELECT 0 AS n");
        await Database.Settle();
        for (var turn = 0; turn < 5; turn++)
        {
            await using var batch = Batch(c, Enumerable.Range(0, Many / 2).SelectMany(_ => new[]
                { ("UPDATE counter SET n = n + $1", (object?)1), ("SELECT n FROM counter", null) }));
            await using var reader = await batch.ExecuteReaderAsync(Stop);
            for (var i = 1; i <= Many / 2; i++)
            {
                Assert.True(await reader.ReadAsync(Stop));
                Assert.Equal(turn * Many / 2 + i, reader.GetInt32(0));
                await reader.NextResultAsync(Stop);
            }
        }
    }

    [Fact]
    public async Task Without_barriers_an_error_in_the_middle_takes_all_back()
    {
        await using var c = await Source.OpenConnectionAsync(Stop);
        await c.Run("CREATE TABLE whole (i int PRIMARY KEY)");
        await Database.Settle();
        for (var turn = 0; turn < 3; turn++)
        {
            Assert.Equal(0, await Count("whole"));
            await using var batch = Batch(c, Inserts("whole", wrong: 250));
            var error = await Short.Fails("22012", () => batch.ExecuteNonQueryAsync(Stop));
            Assert.Equal("division by zero", error.MessageText);
        }
        Assert.Equal(0, await Count("whole"));
        await using var good = Batch(c, Inserts("whole"));
        Assert.Equal(Many, await good.ExecuteNonQueryAsync(Stop));
        Assert.Equal(Many, await Count("whole"));
    }

    [Fact]
    public async Task With_barriers_an_error_in_the_middle_is_that_statements_alone()
    {
        await using var c = await Source.OpenConnectionAsync(Stop);
        await c.Run("CREATE TABLE parts (i int PRIMARY KEY)");
        await Database.Settle();
        Assert.Equal(0, await Count("parts"));
        await using var batch = Batch(c, Inserts("parts", wrong: 250));
        batch.EnableErrorBarriers = true;
        await Short.Fails("22012", () => batch.ExecuteNonQueryAsync(Stop));
        Assert.Equal(Many - 1, await Count("parts"));
        Assert.Equal(1, await c.One<int>("SELECT 1"));
    }

    [Fact]
    public async Task With_barriers_all_errors_are_told()
    {
        await using var c = await Source.OpenConnectionAsync(Stop);
        await c.Run("CREATE TABLE two_errors (i int PRIMARY KEY)");
        await using var batch = Batch(c, Inserts("two_errors", 100, 400));
        batch.EnableErrorBarriers = true;
        var error = await Assert.ThrowsAsync<NpgsqlException>(() => batch.ExecuteNonQueryAsync(Stop));
        var all = Assert.IsType<AggregateException>(error.InnerException).InnerExceptions;
        Assert.All(all, e => Assert.Equal("22012", Assert.IsType<PostgresException>(e).SqlState));
        Assert.Equal(2, all.Count);
        Assert.Equal(Many - 2, await Count("two_errors"));
    }

    [Fact]
    public async Task Barriers_inside_a_transaction_do_not_save_it()
    {
        await using var c = await Source.OpenConnectionAsync(Stop);
        await c.Run("CREATE TABLE one_block (i int PRIMARY KEY)");
        await using (var transaction = await c.BeginTransactionAsync(Stop))
        {
            await using var batch = Batch(c, Inserts("one_block", wrong: 3));
            batch.EnableErrorBarriers = true;
            var error = await Assert.ThrowsAsync<NpgsqlException>(() => batch.ExecuteNonQueryAsync(Stop));
            var all = Assert.IsType<AggregateException>(error.InnerException).InnerExceptions;
            Assert.Equal(["22012", .. Enumerable.Repeat("25P02", Many - 4)], all.Select(e => ((PostgresException)e).SqlState));
            await transaction.RollbackAsync(Stop);
        }
        Assert.Equal(0, await Count("one_block"));
    }

    [Fact]
    public async Task A_barrier_at_a_single_statement()
    {
        await using var c = await Source.OpenConnectionAsync(Stop);
        await c.Run("CREATE TABLE halves (i int PRIMARY KEY)");
        await using var batch = Batch(c, Inserts("halves", wrong: 400));
        batch.BatchCommands[249].AppendErrorBarrier = true;
        await Short.Fails("22012", () => batch.ExecuteNonQueryAsync(Stop));
        Assert.Equal(250, await Count("halves"));
    }

    [Theory]
    [InlineData("Maximum Pool Size=3")]
    [InlineData("Maximum Pool Size=3;Max Auto Prepare=10;Auto Prepare Min Usages=1")]
    public async Task Multiplexed_commands_each_get_their_own_answer(string keywords)
    {
        await Source.Run("CREATE TABLE IF NOT EXISTS dose AS SELECT i AS id, 'dose ' || i AS name FROM generate_series(1, 600) i");
        await Database.Settle();
        await using var multiplexed = With("Multiplexing=true;" + keywords);
        await Task.WhenAll(Enumerable.Range(1, Many).Select(async i =>
        {
            await using var command = multiplexed.CreateCommand(
                i % 10 == 0 ? "SELECT (1 / ($1 - $1))::text" : "SELECT name FROM dose WHERE id = $1");
            command.Parameters.Add(new NpgsqlParameter { Value = i });
            if (i % 10 == 0)
                await Short.Fails("22012", () => command.ExecuteScalarAsync(Stop));
            else
                Assert.Equal("dose " + i, (string?)await command.ExecuteScalarAsync(Stop));
        }));
    }

    [Fact]
    public async Task Multiplexed_transactions_have_a_connection_each()
    {
        await using var multiplexed = With("Multiplexing=true;Maximum Pool Size=4");
        await multiplexed.Run("CREATE TABLE apart (i int PRIMARY KEY)");
        await Task.WhenAll(Enumerable.Range(1, 40).Select(async i =>
        {
            await using var c = await multiplexed.OpenConnectionAsync(Stop);
            await using var transaction = await c.BeginTransactionAsync(Stop);
            await c.Run("INSERT INTO apart VALUES ($1)", i);
            Assert.True(await c.One<bool>("SELECT EXISTS (SELECT FROM apart WHERE i = $1)", i));
            if (i % 2 == 0)
                await transaction.CommitAsync(Stop);
            else
                await transaction.RollbackAsync(Stop);
        }));
        Assert.Equal(20, await multiplexed.One<long>("SELECT count(*) FROM apart"));
    }
}
