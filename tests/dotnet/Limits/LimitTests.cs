// Each limit as an application meets it: which exception, whether it is tried again, what becomes of the
// pool and of a transaction.
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Storage;
using Npgsql;
using Xunit;

namespace Behaviour;

public sealed class LimitTests(LimitedDatabase limited) : IClassFixture<LimitedDatabase>
{
    private Database Database { get; } = limited.Database;
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public static TheoryData<string> Names => [.. Limit.All.Select(l => l.Name)];

    private static Limit Given(string name)
    {
        Facts.NeedsTheProgram();
        Assert.SkipWhen(name == "pool" && Facts.Way != Way.Transaction, "transaction mode: there are no shared connections to wait for");
        return Limit.Of(name);
    }

    private static async Task<List<NpgsqlConnection>> OpenAll(NpgsqlDataSource source)
    {
        var all = new List<NpgsqlConnection>();
        for (var i = 0; i < 3; i++)
            all.Add(await source.OpenConnectionAsync(Stop));
        return all;
    }

    private static async Task<int[]> Processes(NpgsqlDataSource source)
    {
        var all = await OpenAll(source);
        var processes = all.Select(c => c.ProcessID).Order().ToArray();
        foreach (var c in all)
            await c.DisposeAsync();
        return processes;
    }

    [Theory]
    [MemberData(nameof(Names))]
    public async Task The_exception_and_the_pool(string name)
    {
        var limit = Given(name);
        await using var source = NpgsqlDataSource.Create(limit.Connection(Database, "pool"));
        var before = await Processes(source);
        Assert.Equal(3, before.Distinct().Count());
        await using (await limit.Prepare(Database, "pool"))
            for (var turn = 0; turn < 3; turn++)
            {
                await using var c = await source.OpenConnectionAsync(Stop);
                var error = await Short.Fails(limit.State, () => c.Run(limit.Sql));
                Assert.Equal(limit.Transient, error.IsTransient);
                Assert.Equal("ERROR", error.InvariantSeverity);
                Assert.Contains(limit.Message, error.MessageText + error.Detail);
                if (name != "pool")
                    Assert.Contains($"\"{name}-pool-", error.MessageText);
                if (name is "rate" or "concurrent" or "everybody")
                    Assert.Matches(@"Retry after \d+ ms", error.Hint);
                Assert.Equal(System.Data.ConnectionState.Open, c.State);
            }
        Assert.Equal(before, await Processes(source));
        if (name != "rate")
            Assert.Equal(7, await source.One<int>("SELECT 7"));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public async Task What_the_retrying_strategy_does(string name)
    {
        var limit = Given(name);
        var counting = new CountingInterceptor();
        await using var db = new Clinic(new DbContextOptionsBuilder<Clinic>().AddInterceptors(counting)
            .UseNpgsql(limit.Connection(Database, "retry"), o => o.EnableRetryOnFailure(2, TimeSpan.FromMilliseconds(10), null)).Options);
        await db.Database.OpenConnectionAsync(Stop);
        await using (await limit.Prepare(Database, "retry"))
        {
            var ask = () => db.Database.SqlQueryRaw<int>(limit.Sql).ToListAsync(Stop);
            var error = limit.Transient
                ? (await Assert.ThrowsAsync<RetryLimitExceededException>(ask)).InnerException
                : await Assert.ThrowsAnyAsync<Exception>(ask);
            while (error is not PostgresException and not null)
                error = error.InnerException;
            Assert.Equal(limit.State, Assert.IsType<PostgresException>(error).SqlState);
        }
        Assert.Equal(limit.Transient ? 3 : 1, counting.Count);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public async Task A_transaction_that_meets_it(string name)
    {
        var limit = Given(name);
        foreach (var commit in new[] { false, true })
        {
            var tenant = "block" + commit;
            await using var source = NpgsqlDataSource.Create(limit.Connection(Database, tenant));
            await using var c = await source.OpenConnectionAsync(Stop);
            await using var transaction = await c.BeginTransactionAsync(Stop);
            if (!limit.AtTheGate && name != "rate")
                Assert.Equal(1, await c.Run("INSERT INTO written VALUES (1)"));
            await using (await limit.Prepare(Database, tenant))
                await Short.Fails(limit.State, () => c.Run(limit.AtTheGate ? "INSERT INTO written VALUES (1)" : limit.Sql));
            await Short.Fails("25P02", () => c.Run("INSERT INTO written VALUES (2)"));
            if (commit)
                await transaction.CommitAsync(Stop);  // the server rolls it back, and Npgsql does not tell
            else
                await transaction.RollbackAsync(Stop);
            Assert.Equal(System.Data.ConnectionState.Open, c.State);
            Assert.Equal(0, await Database.Server.One<long>("SELECT count(*) FROM written"));
        }
    }

    [Fact]
    public async Task Who_is_tried_again_gets_in_when_the_rate_allows_it()
    {
        Facts.NeedsTheProgram();
        await using var source = NpgsqlDataSource.Create(Limit.Of("rate").Connection(Database, "swift").Replace("rate-", "swift-"));
        await source.Run("SELECT 1");
        var counting = new CountingInterceptor();
        await using var db = new Clinic(new DbContextOptionsBuilder<Clinic>().AddInterceptors(counting)
            .UseNpgsql(source, o => o.EnableRetryOnFailure(20, TimeSpan.FromMilliseconds(200), null)).Options);
        for (var i = 0; i < 30; i++)
            Assert.Equal([i], await db.Database.SqlQuery<int>($"SELECT {i}::int AS \"Value\"").ToListAsync(Stop));
        Assert.InRange(counting.Count, 31, 600);  // some were refused, and nobody noticed
    }

    [Fact]
    public async Task A_batch_of_which_one_statement_is_refused_leaves_nothing()
    {
        Facts.NeedsTheProgram();
        await using var source = NpgsqlDataSource.Create(Limit.Of("rows").Connection(Database, "batch"));
        await using var c = await source.OpenConnectionAsync(Stop);
        await using var batch = new NpgsqlBatch(c)
        {
            BatchCommands = { new("INSERT INTO written VALUES (1)"), new(Limit.Of("rows").Sql), new("INSERT INTO written VALUES (2)") },
        };
        await Short.Fails("54000", () => batch.ExecuteNonQueryAsync(Stop));
        Assert.Equal(0, await c.One<long>("SELECT count(*) FROM written"));
    }

    [Fact]
    public async Task What_is_only_warned_about_comes_as_a_notice()
    {
        Facts.NeedsTheProgram();
        await using var source = NpgsqlDataSource.Create(Limit.Of("rows").Connection(Database, "x").Replace("rows-", "warned-"));
        await using var c = await source.OpenConnectionAsync(Stop);
        var notices = new List<PostgresNotice>();
        c.Notice += (_, e) => notices.Add(e.Notice);
        Assert.Equal(3001, await c.One<long>("SELECT count(*) FROM generate_series(1, 3001)"));
        await c.Run(Limit.Of("rows").Sql);
        Assert.Contains(notices, n => n.MessageText.Contains("max_result_rows"));
    }

    [Fact]
    public async Task What_a_rule_cuts_ends_with_a_notice()
    {
        Facts.NeedsTheProgram();
        await using var source = NpgsqlDataSource.Create(Limit.Of("page").Connection(Database, "cut"));
        await using var c = await source.OpenConnectionAsync(Stop);
        var notices = new List<PostgresNotice>();
        c.Notice += (_, e) => notices.Add(e.Notice);
        for (var turn = 1; turn <= 3; turn++)
        {
            var rows = 0;
            await using (var reader = await c.Command("SELECT i FROM cut ORDER BY i").ExecuteReaderAsync(Stop))
                while (await reader.ReadAsync(Stop))
                    Assert.Equal(++rows, reader.GetInt32(0));
            Assert.Equal(100, rows);
            Assert.Equal(turn, notices.Count(n => n.MessageText.Contains("default_page_size")));
        }
    }
}
