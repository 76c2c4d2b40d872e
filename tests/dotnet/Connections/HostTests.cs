// Several hosts, one of them a standby; and backends that are ended from outside.
using Microsoft.EntityFrameworkCore;
using Npgsql;
using Xunit;

namespace Behaviour;

public sealed class HostTests(Database database) : Case(database)
{
    private static string Primary => Facts.Need("PORT");
    private static string Standby => Facts.Need("STANDBY_PORT");

    private NpgsqlMultiHostDataSource Hosts(string keywords, params string[] ports)
    {
        var connection = new NpgsqlConnectionStringBuilder(Database.Connection)
        {
            Host = string.Join(",", ports.Select(p => "127.0.0.1:" + p)), Timeout = 30,
        };
        return new NpgsqlDataSourceBuilder($"{connection.ConnectionString};{keywords}").BuildMultiHost();
    }

    /// <summary>The standby has this test's database, and what is in it.</summary>
    private async Task StandbyHasAll()
    {
        await Source.Run("CREATE TABLE IF NOT EXISTS here (i int)");
        await using var source = NpgsqlDataSource.Create($"{Facts.Local(Facts.Need("STANDBY_SERVER_PORT"))};Database={Database.Name};Pooling=false");
        await Short.Until("the standby", async () =>
        {
            try
            {
                return await source.One<bool>("SELECT to_regclass('here') IS NOT NULL");
            }
            catch (PostgresException e) when (e.SqlState == "3D000")
            {
                return false;
            }
        });
    }

    [Theory]
    [InlineData(TargetSessionAttributes.Any, null)]
    [InlineData(TargetSessionAttributes.Primary, false)]
    [InlineData(TargetSessionAttributes.Standby, true)]
    [InlineData(TargetSessionAttributes.PreferPrimary, false)]
    [InlineData(TargetSessionAttributes.PreferStandby, true)]
    [InlineData(TargetSessionAttributes.ReadWrite, false)]
    [InlineData(TargetSessionAttributes.ReadOnly, true)]
    public async Task Of_two_hosts_the_one_that_is_wanted(TargetSessionAttributes wanted, bool? standby)
    {
        await StandbyHasAll();
        foreach (var ports in new[] { new[] { Primary, Standby }, [Standby, Primary] })
        {
            await using var hosts = Hosts("Maximum Pool Size=3", ports);
            for (var turn = 0; turn < 3; turn++)
            {
                await using var c = await hosts.OpenConnectionAsync(wanted, Stop);
                var expected = standby ?? ports[0] == Standby;
                Assert.Equal(expected, await c.One<bool>("SELECT pg_is_in_recovery()"));
                if (expected)
                    await Short.Fails("25006", () => c.Run("INSERT INTO here VALUES (1)"));
                else
                    Assert.Equal(1, await c.Run("INSERT INTO here VALUES (1)"));
            }
        }
    }

    [Fact]
    public async Task A_host_that_is_not_there_is_passed_over()
    {
        await using var hosts = Hosts("Maximum Pool Size=3", Facts.Need("NOWHERE_PORT"), Primary);
        for (var turn = 0; turn < 3; turn++)
            Assert.False(await hosts.One<bool>("SELECT pg_is_in_recovery()"));
        await using var none = Hosts("Maximum Pool Size=3", Facts.Need("NOWHERE_PORT"), Facts.Need("NOWHERE_PORT"));
        await Assert.ThrowsAnyAsync<NpgsqlException>(async () => await none.OpenConnectionAsync(Stop));
    }

    [Fact]
    public async Task Reads_are_spread_over_the_hosts()
    {
        await StandbyHasAll();
        await using var hosts = Hosts("Load Balance Hosts=true", Primary, Standby);
        var seen = new HashSet<bool>();
        for (var turn = 0; turn < 8; turn++)
        {
            await using var c = await hosts.OpenConnectionAsync(Stop);
            seen.Add(await c.One<bool>("SELECT pg_is_in_recovery()"));
        }
        Assert.Equal(2, seen.Count);
    }

    [Fact]
    public async Task A_standby_answers_an_application_from_its_cache_too()
    {
        await Source.Run("CREATE TABLE read_there AS SELECT i FROM generate_series(1, 100) i");
        await StandbyHasAll();
        await using var hosts = Hosts("Maximum Pool Size=2", Primary, Standby);
        await Short.Until("the rows", async () =>
        {
            await using var c = await hosts.OpenConnectionAsync(TargetSessionAttributes.Standby, Stop);
            try
            {
                return await c.One<long>("SELECT count(*) FROM read_there") == 100;
            }
            catch (PostgresException e) when (e.SqlState == "42P01")
            {
                return false;
            }
        });
        for (var turn = 0; turn < 10; turn++)
        {
            await using var c = await hosts.OpenConnectionAsync(TargetSessionAttributes.Standby, Stop);
            Assert.Equal(100 - turn, await c.One<long>("SELECT count(*) FROM read_there WHERE i > $1", turn));
        }
    }

    [Fact]
    public async Task A_backend_is_ended_by_the_number_that_its_client_has()
    {
        Facts.NeedsOwnServerConnection("the number that a client is given there is the program's own");
        await using var source = With("Maximum Pool Size=1");
        for (var turn = 0; turn < 3; turn++)
        {
            await using var victim = await source.OpenConnectionAsync(Stop);
            var process = victim.ProcessID;
            Assert.Equal(process, await victim.One<int>("SELECT pg_backend_pid()"));
            Assert.True(await Source.One<bool>("SELECT pg_terminate_backend($1, 10000)", process));
            var error = await Short.Fails("57P01", () => victim.One<int>("SELECT 1"));
            Assert.True(error.IsTransient);
            Assert.NotEqual(System.Data.ConnectionState.Open, victim.State);
            await victim.CloseAsync();
            await victim.OpenAsync(Stop);
            Assert.NotEqual(process, victim.ProcessID);
            Assert.Equal(1, await victim.One<int>("SELECT 1"));
        }
    }

    [Fact]
    public async Task The_retrying_strategy_survives_a_backend_that_is_ended()
    {
        Facts.NeedsOwnServerConnection("the number that a client is given there is the program's own");
        var connection = $"{Database.Connection};Maximum Pool Size=1";
        await using var source = NpgsqlDataSource.Create(connection);
        await using var db = new Clinic(new DbContextOptionsBuilder<Clinic>().UseNpgsql(source,
            o => o.EnableRetryOnFailure(3, TimeSpan.FromMilliseconds(50), null)).Options);
        for (var turn = 0; turn < 3; turn++)
        {
            int process;
            await using (var c = await source.OpenConnectionAsync(Stop))
                process = c.ProcessID;
            Assert.True(await Source.One<bool>("SELECT pg_terminate_backend($1, 10000)", process));
            Assert.Equal([turn], await db.Database.SqlQuery<int>($"SELECT {turn}::int AS \"Value\"").ToListAsync(Stop));
        }
    }
}
