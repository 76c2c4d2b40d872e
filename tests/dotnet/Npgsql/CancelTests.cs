// What ends a statement before its time: tokens, time-outs, Cancel(), the server's own settings.
using System.Diagnostics;
using Npgsql;
using Xunit;

namespace Behaviour;

public sealed class CancelTests(Database database) : Case(database)
{
    private async Task RunsNoMore(int seconds) =>
        await Short.Until("the end of the statement at the server", async () => !await Database.Server.One<bool>(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE state = 'active' AND query = $1)", $"SELECT pg_sleep({seconds})"));

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_token_cancels_at_the_server(bool prepared)
    {
        await using var c = await Source.OpenConnectionAsync(Stop);
        var process = c.ProcessID;
        for (var turn = 0; turn < 3; turn++)
        {
            await using var command = c.Command("SELECT pg_sleep(61)");
            if (prepared)
                await command.PrepareAsync(Stop);
            using var cancel = new CancellationTokenSource(TimeSpan.FromMilliseconds(100));
            var error = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => command.ExecuteNonQueryAsync(cancel.Token));
            Assert.Equal("57014", Assert.IsType<PostgresException>(error.InnerException).SqlState);
            Assert.Equal(turn, await c.One<int>("SELECT $1", turn));
        }
        Assert.Equal(process, c.ProcessID);
        await RunsNoMore(61);
    }

    [Fact]
    public async Task Command_Timeout_cancels_softly()
    {
        await using var c = await Source.OpenConnectionAsync(Stop);
        var process = c.ProcessID;
        await using var command = c.Command("SELECT pg_sleep(62)");
        command.CommandTimeout = 1;
        var error = await Assert.ThrowsAsync<NpgsqlException>(() => command.ExecuteNonQueryAsync(Stop));
        Assert.IsType<TimeoutException>(error.InnerException);
        Assert.True(error.IsTransient);
        Assert.Null(error.SqlState);
        Assert.Equal(System.Data.ConnectionState.Open, c.State);
        Assert.Equal(process, c.ProcessID);
        Assert.Equal(5, await c.One<int>("SELECT 5"));
        await RunsNoMore(62);
    }

    [Fact]
    public async Task Without_a_soft_cancel_the_connection_is_broken()
    {
        await using var hard = With("Cancellation Timeout=-1;Command Timeout=1");
        await using var c = await hard.OpenConnectionAsync(Stop);
        var error = await Assert.ThrowsAsync<NpgsqlException>(() => c.Run("SELECT pg_sleep(63)"));
        Assert.IsType<TimeoutException>(error.InnerException);
        Assert.NotEqual(System.Data.ConnectionState.Open, c.State);
        Assert.Equal(5, await hard.One<int>("SELECT 5"));
    }

    [Fact]
    public async Task Cancel_from_another_thread()
    {
        await using var c = await Source.OpenConnectionAsync(Stop);
        await using var command = c.Command("SELECT pg_sleep(64)");
        var running = command.ExecuteNonQueryAsync(Stop);
        await Short.Until("the statement at the server", async () => await Database.Server.One<bool>(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(64)')"));
        command.Cancel();
        var error = await Assert.ThrowsAsync<OperationCanceledException>(() => running);
        Assert.Equal("57014", Assert.IsType<PostgresException>(error.InnerException).SqlState);
        Assert.Equal(5, await c.One<int>("SELECT 5"));
    }

    [Fact]
    public async Task In_the_middle_of_a_large_answer()
    {
        await using var c = await Source.OpenConnectionAsync(Stop);
        for (var turn = 0; turn < 3; turn++)
        {
            using var cancel = new CancellationTokenSource();
            await using (var reader = await c.Command("SELECT repeat('x', 1000) FROM generate_series(1, 3000000)").ExecuteReaderAsync(cancel.Token))
            {
                for (var i = 0; i < 1000; i++)
                    Assert.True(await reader.ReadAsync(cancel.Token));
                cancel.Cancel();
                await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
                {
                    while (await reader.ReadAsync(cancel.Token)) { }
                });
            }
            Assert.Equal(turn, await c.One<int>("SELECT $1", turn));
        }
    }

    [Fact]
    public async Task A_cancel_that_comes_late_hits_no_other_statement()
    {
        await using var c = await Source.OpenConnectionAsync(Stop);
        await c.Run("CREATE TABLE quick AS SELECT 1 AS i");
        for (var turn = 0; turn < 100; turn++)
        {
            await using var command = c.Command("SELECT i FROM quick");
            var running = command.ExecuteScalarAsync(Stop);
            command.Cancel();
            try
            {
                Assert.Equal(1, await running);
            }
            catch (OperationCanceledException e)
            {
                Assert.Equal("57014", Assert.IsType<PostgresException>(e.InnerException).SqlState);
            }
            Assert.Equal(turn, await c.One<int>("SELECT $1", turn));
        }
    }

    [Fact]
    public async Task In_a_transaction_a_cancel_aborts_it()
    {
        await using var c = await Source.OpenConnectionAsync(Stop);
        await using var transaction = await c.BeginTransactionAsync(Stop);
        using var cancel = new CancellationTokenSource(TimeSpan.FromMilliseconds(100));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => c.Command("SELECT pg_sleep(65)").ExecuteNonQueryAsync(cancel.Token));
        await Short.Fails("25P02", () => c.One<int>("SELECT 1"));
        await transaction.RollbackAsync(Stop);
        Assert.Equal(1, await c.One<int>("SELECT 1"));
    }

    [Fact]
    public async Task The_servers_own_time_outs()
    {
        await using var c = await Source.OpenConnectionAsync(Stop);
        await c.Run("CREATE TABLE contended (i int); SET statement_timeout = 200");
        var late = await Short.Fails("57014", () => c.Run("SELECT pg_sleep(66)"));
        Assert.False(late.IsTransient);
        await using var other = await Source.OpenConnectionAsync(Stop);
        await using var transaction = await other.BeginTransactionAsync(Stop);
        await other.Run("LOCK TABLE contended");
        await c.Run("SET lock_timeout = 100");
        var locked = await Short.Fails("55P03", () => c.Run("SELECT * FROM contended"));
        Assert.True(locked.IsTransient);
        Assert.Equal("200ms", await c.One<string>("SHOW statement_timeout"));
    }

    [Fact]
    public async Task A_token_that_was_cancelled_before()
    {
        await using var c = await Source.OpenConnectionAsync(Stop);
        using var cancel = new CancellationTokenSource();
        cancel.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => c.Command("SELECT 1").ExecuteScalarAsync(cancel.Token));
        Assert.Equal(1, await c.One<int>("SELECT 1"));
    }
}
