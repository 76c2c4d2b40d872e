// What stands in "Troubleshooting by exception" of deploy/dotnet.md and is not shown elsewhere.
using System.Net.Sockets;
using Npgsql;
using Xunit;

namespace Behaviour;

public sealed class TroubleTests(Database database) : Case(database)
{
    private string To(string port, string keywords) => $"{Facts.Local(Facts.Need(port))};Database={Database.Name};{keywords}";

    private static NpgsqlDataSource Console(string port) =>
        new NpgsqlDataSourceBuilder($"{Facts.Local(Facts.Need(port))};Username=scram_user;Password=sesame;Database=pgsidecar;Pooling=false")
            .ConfigureTypeLoading(types => types.EnableTypeLoading(false)).Build();

    [Fact]
    public async Task As_many_clients_as_there_may_be()
    {
        Facts.NeedsTheProgram();
        await using var source = NpgsqlDataSource.Create(To("FEW_PORT", "Maximum Pool Size=5"));
        await using var one = await source.OpenConnectionAsync(Stop);
        await using (var two = await source.OpenConnectionAsync(Stop))
        {
            for (var turn = 0; turn < 2; turn++)
            {
                var error = await Short.Fails("53300", async () => await source.OpenConnectionAsync(Stop));
                Assert.True(error.IsTransient);
            }
            Assert.Equal(2, await two.One<int>("SELECT 2"));
        }
        await using var again = await source.OpenConnectionAsync(Stop);  // the pool's own
        Assert.Equal(3, await again.One<int>("SELECT 3"));
    }

    [Fact]
    public async Task A_client_that_is_killed_at_the_console()
    {
        Facts.NeedsTheProgram();
        await using var console = Console("PORT");
        await using var source = With("Maximum Pool Size=1;Application Name=victim");
        for (var turn = 0; turn < 3; turn++)
        {
            await using var victim = await source.OpenConnectionAsync(Stop);
            await victim.Run("SELECT 1");
            string? pointer = null;
            await using (var c = await console.OpenConnectionAsync(Stop))
            {
                await using (var reader = await c.Command("SHOW CLIENTS").ExecuteReaderAsync(Stop))
                    while (await reader.ReadAsync(Stop))
                        if (reader["application_name"] is "victim")
                            pointer = (string)reader["ptr"];
                await c.Run("KILL_CLIENT " + pointer);
            }
            var error = await Short.Fails("57P01", () => victim.WaitAsync(Stop));
            Assert.True(error.IsTransient);
            Assert.NotEqual(System.Data.ConnectionState.Open, victim.State);
            await victim.CloseAsync();
            Assert.Equal(turn, await source.One<int>("SELECT $1", turn));
        }
    }

    [Fact]
    public async Task The_program_is_stopped()
    {
        Facts.NeedsTheProgram();
        await using var source = NpgsqlDataSource.Create(To("STOPPED_PORT", "Timeout=5"));
        await using var c = await source.OpenConnectionAsync(Stop);
        await c.Run("SELECT 1");
        await using var console = Console("STOPPED_PORT");
        try
        {
            await console.Run("SHUTDOWN");
        }
        catch (NpgsqlException)
        {
            // it may not have had the time to say that it does
        }
        var error = await Short.Fails("57P01", () => c.WaitAsync(Stop));
        Assert.True(error.IsTransient);
        await c.CloseAsync();
        await Short.Until("nobody to listen", async () =>
        {
            var refused = await Assert.ThrowsAnyAsync<NpgsqlException>(async () => await source.OpenConnectionAsync(Stop));
            return refused.InnerException is SocketException && refused.Message.Contains("Failed to connect to 127.0.0.1") && refused.IsTransient;
        });
    }

    [Theory]
    [InlineData("DEALLOCATE ALL")]
    [InlineData("DISCARD ALL")]
    public async Task A_prepared_statement_that_the_application_threw_away(string sql)
    {
        // A source of its own: its connections go on believing in what was thrown away.
        await using var source = With("Maximum Pool Size=1");
        await source.Run("CREATE TABLE IF NOT EXISTS thrown AS SELECT 7 AS i");
        await using var c = await source.OpenConnectionAsync(Stop);
        await using var command = c.Command("SELECT i FROM thrown");
        await command.PrepareAsync(Stop);
        Assert.Equal(7, await command.ExecuteScalarAsync(Stop));
        await c.Run(sql);
        var error = await Short.Fails("26000", () => command.ExecuteScalarAsync(Stop));
        Assert.Contains("prepared statement", error.MessageText);
        await c.CloseAsync();
        Assert.Equal(7, await source.One<int>("SELECT i FROM thrown"));
    }

    [Fact]
    public async Task Whose_time_was_over_is_told_by_the_detail()
    {
        await using var c = await Source.OpenConnectionAsync(Stop);
        await c.Run("SET statement_timeout = 50");
        Assert.Null((await Short.Fails("57014", () => c.Run("SELECT pg_sleep(60)"))).Detail);
        if (!Facts.Proxied)
            return;
        await using var limited = NpgsqlDataSource.Create(To("LIMITS_PORT", "Options=-c pgsidecar.tenant=timeout-told;Include Error Detail=true"));
        var error = await Short.Fails("57014", () => limited.Run("SELECT pg_sleep(60)"));
        Assert.Contains("timeout-told", error.MessageText);
        Assert.NotNull(error.Detail);
    }

    [Theory]
    [InlineData("57P05", false)]
    [InlineData("25P03", true)]
    public async Task A_client_that_says_nothing(string state, bool inTransaction)
    {
        await using var server = await Source.OpenConnectionAsync(Stop);
        Assert.SkipUnless(Facts.Proxied || server.PostgreSqlVersion.Major >= 14, "control: the server has no idle_session_timeout");
        await using var source = Facts.Proxied
            ? NpgsqlDataSource.Create(To("IDLE_PORT", "Maximum Pool Size=1"))
            : With("Maximum Pool Size=1;Options=-c idle_session_timeout=500 -c idle_in_transaction_session_timeout=500");
        for (var turn = 0; turn < 2; turn++)
        {
            await using var c = await source.OpenConnectionAsync(Stop);
            await c.Run("CREATE TABLE IF NOT EXISTS idle (i int)");
            if (inTransaction)
                await c.BeginTransactionAsync(Stop);
            if (inTransaction)
                await c.Run("INSERT INTO idle VALUES (1)");
            var error = await Short.Fails(state, () => c.WaitAsync(Stop));
            Assert.Equal(state == "57P05", error.IsTransient);
            Assert.NotEqual(System.Data.ConnectionState.Open, c.State);
            await c.CloseAsync();
            await Short.Until("the rollback", async () => await Source.One<long>("SELECT count(*) FROM idle") == 0);
        }
    }
}
