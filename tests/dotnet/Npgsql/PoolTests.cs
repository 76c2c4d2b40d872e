// Pooled connections: what a reset forgets, and what stays without one.
using Npgsql;
using Xunit;

namespace Behaviour;

public sealed class PoolTests(Database database) : Case(database)
{
    [Theory]
    [InlineData("")]
    [InlineData("Max Auto Prepare=10;Auto Prepare Min Usages=1")]  // reset by parts: what is prepared is kept
    public async Task A_reset_forgets_all_that_a_session_was_told(string keywords)
    {
        await using var one = With("Maximum Pool Size=1;" + keywords);
        for (var turn = 0; turn < 4; turn++)
        {
            int process;
            await using (var c = await one.OpenConnectionAsync(Stop))
            {
                process = c.ProcessID;
                foreach (var sql in new[]
                {
                    "SET TimeZone = 'Asia/Tokyo'", "SET search_path = pg_catalog", "SET app.tenant_id = 'clinic-1'",
                    "CREATE TEMP TABLE notes (i int)", "LISTEN desk", "SELECT pg_advisory_lock(7)", "SET ROLE alice",
                })
                    await c.Run(sql);
                Assert.Equal("2024-01-06 09:00:00+09", await c.One<string>("SELECT timestamptz '2024-01-06 00:00Z' :: text"));
            }
            await using (var c = await one.OpenConnectionAsync(Stop))
            {
                Assert.Equal(process, c.ProcessID);
                Assert.Equal("2024-01-06 00:00:00+00", await c.One<string>("SELECT timestamptz '2024-01-06 00:00Z' :: text"));
                Assert.Equal("\"$user\", public", await c.One<string>("SHOW search_path"));
                Assert.Equal("postgres", await c.One<string>("SELECT current_user::text"));
                Assert.Equal("", await c.One<string>("SELECT COALESCE(current_setting('app.tenant_id', true), '')"));
                Assert.Null(await c.One<string?>("SELECT to_regclass('pg_temp.notes')::text"));
                Assert.Equal(0, await c.One<long>("SELECT count(*) FROM pg_listening_channels()"));
                Assert.Equal(0, await c.One<long>(
                    "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE locktype = 'advisory' AND datname = current_database()"));
            }
        }
    }

    [Fact]
    public async Task Without_a_reset_settings_stay_on_the_connection()
    {
        await using var kept = With("Maximum Pool Size=1;No Reset On Close=true");
        await kept.Run("SET TimeZone = 'Asia/Tokyo'");
        for (var turn = 0; turn < 3; turn++)
            Assert.Equal("Asia/Tokyo", await kept.One<string>("SHOW TimeZone"));
        await using var other = With("Maximum Pool Size=1;No Reset On Close=true;Application Name=other");
        Assert.Equal("UTC", await other.One<string>("SHOW TimeZone"));
        Assert.Equal("Asia/Tokyo", await kept.One<string>("SHOW TimeZone"));
    }

    [Fact]
    public async Task A_transaction_that_is_left_open_is_rolled_back()
    {
        await using var one = With("Maximum Pool Size=1");
        await one.Run("CREATE TABLE left_open (i int)");
        var c = await one.OpenConnectionAsync(Stop);
        await c.BeginTransactionAsync(Stop);
        await c.Run("INSERT INTO left_open VALUES (1)");
        await c.CloseAsync();
        Assert.Equal(0, await one.One<long>("SELECT count(*) FROM left_open"));
    }

    [Fact]
    public async Task A_reader_that_is_left_in_the_middle_leaves_the_connection_usable()
    {
        await using var one = With("Maximum Pool Size=1");
        for (var turn = 0; turn < 3; turn++)
        {
            await using var c = await one.OpenConnectionAsync(Stop);
            await using (var reader = await c.Command("SELECT i, repeat('x', 100) FROM generate_series(1, 50000) i").ExecuteReaderAsync(Stop))
                Assert.True(await reader.ReadAsync(Stop));
            Assert.Equal(turn, await c.One<int>("SELECT $1", turn));
        }
    }

    [Fact]
    public async Task More_tasks_than_connections_take_turns()
    {
        await using var few = With("Maximum Pool Size=4");
        await few.Run("CREATE TABLE turns (i int PRIMARY KEY, n int NOT NULL); INSERT INTO turns VALUES (1, 0)");
        await Task.WhenAll(Enumerable.Range(0, 60).Select(async i =>
        {
            await few.Run("UPDATE turns SET n = n + 1 WHERE i = $1", 1);
            Assert.InRange(await few.One<int>("SELECT n FROM turns WHERE i = $1", 1), 1, 60);
        }));
        Assert.Equal(60, await few.One<int>("SELECT n FROM turns WHERE i = $1", 1));
    }

    [Fact]
    public async Task A_pool_that_is_full_is_told_by_the_client_itself()
    {
        await using var one = With("Maximum Pool Size=1;Timeout=1");
        await using var held = await one.OpenConnectionAsync(Stop);
        var error = await Assert.ThrowsAsync<NpgsqlException>(async () => await one.OpenConnectionAsync(Stop));
        Assert.IsType<TimeoutException>(error.InnerException);
        Assert.Equal(1, await held.One<int>("SELECT 1"));
    }

    [Fact]
    public async Task A_warm_pool_is_opened_anew_after_it_was_cleared()
    {
        await using var source = With("Minimum Pool Size=2;Maximum Pool Size=5");
        var first = await source.OpenConnectionAsync(Stop);
        var process = first.ProcessID;
        source.Clear();
        await first.CloseAsync();
        await using var second = await source.OpenConnectionAsync(Stop);
        Assert.NotEqual(process, second.ProcessID);
        Assert.Equal(1, await second.One<int>("SELECT 1"));
    }
}
