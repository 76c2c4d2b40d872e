// LISTEN and waiting for what others say; keepalives of connections that are silent.
using Npgsql;
using Xunit;

namespace Behaviour;

public sealed class NotificationTests(Database database) : Case(database)
{
    private static async Task<(NpgsqlConnection, List<string>)> Listen(NpgsqlDataSource source, string channel)
    {
        var c = await source.OpenConnectionAsync(Stop);
        var heard = new List<string>();
        c.Notification += (_, e) => heard.Add($"{e.Channel}:{e.Payload}");
        await c.Run("LISTEN " + channel);
        return (c, heard);
    }

    [Fact]
    public async Task Who_waits_is_told()
    {
        var (c, heard) = await Listen(Source, "desk");
        await using var _ = c;
        for (var i = 0; i < 5; i++)
        {
            var waiting = c.WaitAsync(TimeSpan.FromSeconds(30), Stop);
            await Source.Run($"NOTIFY desk, '{i}'");
            Assert.True(await waiting);
            Assert.Equal("desk:" + i, heard[i]);
        }
    }

    [Fact]
    public async Task What_is_said_past_the_program_is_heard()
    {
        var (c, heard) = await Listen(Source, "outside");
        await using var _ = c;
        await Database.Server.Run("NOTIFY outside, 'hello'");
        Assert.True(await c.WaitAsync(TimeSpan.FromSeconds(30), Stop));
        Assert.Equal(["outside:hello"], heard);
    }

    [Fact]
    public async Task A_wait_that_is_over_in_vain_leaves_the_connection_listening()
    {
        var (c, heard) = await Listen(Source, "quiet");
        await using var _ = c;
        for (var turn = 1; turn <= 3; turn++)
        {
            Assert.False(await c.WaitAsync(TimeSpan.FromMilliseconds(100), Stop));
            Assert.Equal(turn, await c.One<int>("SELECT $1", turn));
            await Source.Run("NOTIFY quiet");
            if (heard.Count < turn)
                Assert.True(await c.WaitAsync(TimeSpan.FromSeconds(30), Stop));
            Assert.Equal(turn, heard.Count);
        }
    }

    [Fact]
    public async Task A_wait_that_is_cancelled_leaves_the_connection_listening()
    {
        var (c, heard) = await Listen(Source, "cancelled");
        await using var _ = c;
        using (var cancel = new CancellationTokenSource(TimeSpan.FromMilliseconds(100)))
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => c.WaitAsync(cancel.Token));
        await Source.Run("NOTIFY cancelled");
        Assert.True(await c.WaitAsync(TimeSpan.FromSeconds(30), Stop));
        Assert.Single(heard);
    }

    [Fact]
    public async Task Notifications_come_with_answers_too()
    {
        var (c, heard) = await Listen(Source, "beside");
        await using var _ = c;
        await c.Run("NOTIFY beside, 'own'");
        Assert.Equal(["beside:own"], heard);
        await using (var transaction = await c.BeginTransactionAsync(Stop))
        {
            await c.Run("NOTIFY beside, 'taken back'");
            await transaction.RollbackAsync(Stop);
        }
        await using (var transaction = await c.BeginTransactionAsync(Stop))
        {
            await c.Run("SELECT pg_notify('beside', 'committed')");
            Assert.Single(heard);
            await transaction.CommitAsync(Stop);
        }
        Assert.Equal(["beside:own", "beside:committed"], heard);
    }

    [Fact]
    public async Task The_pool_gives_no_one_a_connection_that_listens()
    {
        await using var one = With("Maximum Pool Size=1");
        var (c, heard) = await Listen(one, "pooled");
        await c.CloseAsync();
        await using var next = await one.OpenConnectionAsync(Stop);
        await Source.Run("NOTIFY pooled");
        Assert.Equal(0, await next.One<long>("SELECT count(*) FROM pg_listening_channels()"));
        Assert.Empty(heard);
        await next.Run("LISTEN pooled; UNLISTEN pooled");
        Assert.False(await next.WaitAsync(TimeSpan.FromMilliseconds(50), Stop));
    }

    [Theory]
    [InlineData("Keepalive=1")]
    [InlineData("Tcp Keepalive=true;Tcp Keepalive Time=1;Tcp Keepalive Interval=1")]
    public async Task Silent_connections_are_kept_alive(string keywords)
    {
        await using var probed = With(keywords);
        var (c, heard) = await Listen(probed, "kept");
        await using var _ = c;
        var process = c.ProcessID;
        Assert.False(await c.WaitAsync(TimeSpan.FromSeconds(2.5), Stop));  // longer than two probes
        await Source.Run("NOTIFY kept");
        Assert.True(await c.WaitAsync(TimeSpan.FromSeconds(30), Stop));
        Assert.Single(heard);
        Assert.Equal(process, c.ProcessID);
        Assert.Equal(System.Data.ConnectionState.Open, c.State);
    }
}
