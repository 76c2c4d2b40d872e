// Transactions: ambient ones, savepoints, prepared ones, isolation, large objects.
using System.Data;
using System.Transactions;
using Npgsql;
using Xunit;
using IsolationLevel = System.Data.IsolationLevel;

namespace Behaviour;

public sealed class TransactionTests(Database database) : Case(database)
{
    private async Task<long> Count(string table) => await Source.One<long>($"SELECT count(*) FROM {table}");

    private async Task Table(string name)
    {
        await Source.Run($"CREATE TABLE {name} (i int PRIMARY KEY)");
        await Database.Settle();
        for (var turn = 0; turn < 3; turn++)
            Assert.Equal(0, await Count(name));
    }

    private static TransactionScope Scope() => new(TransactionScopeOption.Required,
        new TransactionOptions { IsolationLevel = System.Transactions.IsolationLevel.ReadCommitted },
        TransactionScopeAsyncFlowOption.Enabled);

    [Fact]
    public async Task A_scope_that_is_completed_and_one_that_is_not()
    {
        await Table("scoped");
        using (var scope = Scope())
        {
            await Source.Run("INSERT INTO scoped VALUES (1)");
            await Source.Run("INSERT INTO scoped VALUES (2)");  // opened again: the same connection
            Assert.Equal(2, await Count("scoped"));
            scope.Complete();
        }
        Assert.Equal(2, await Count("scoped"));
        using (Scope())
        {
            await Source.Run("INSERT INTO scoped VALUES (3)");
            Assert.Equal(3, await Count("scoped"));
        }
        Assert.Equal(2, await Count("scoped"));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_scope_over_two_connections_is_prepared_and_committed_in_both(bool complete)
    {
        var table = complete ? "both_committed" : "both_taken_back";
        await Table(table);
        using (var scope = Scope())
        {
            await using var one = await Source.OpenConnectionAsync(Stop);
            await one.Run($"INSERT INTO {table} VALUES (1)");
            await using var two = await Source.OpenConnectionAsync(Stop);
            await two.Run($"INSERT INTO {table} VALUES (2)");
            if (complete)
                scope.Complete();
        }
        await Short.Until("the outcome", async () => await Count(table) == (complete ? 2 : 0) && await Source.One<long>(
            "SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()") == 0);
    }

    [Fact]
    public async Task A_scope_of_which_one_part_fails_at_the_commit()
    {
        await Source.Run("CREATE TABLE late (i int UNIQUE DEFERRABLE INITIALLY DEFERRED)");
        Assert.Equal(0, await Count("late"));
        await Assert.ThrowsAsync<TransactionAbortedException>(async () =>
        {
            using var scope = Scope();
            await using var one = await Source.OpenConnectionAsync(Stop);
            await one.Run("INSERT INTO late VALUES (1)");
            await using var two = await Source.OpenConnectionAsync(Stop);
            await two.Run("INSERT INTO late VALUES (2), (2)");
            scope.Complete();
        });
        await Short.Until("the outcome", async () => await Count("late") == 0 && await Source.One<long>(
            "SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()") == 0);
    }

    [Fact]
    public async Task Savepoints()
    {
        await Table("saved");
        await using (var c = await Source.OpenConnectionAsync(Stop))
        await using (var transaction = await c.BeginTransactionAsync(Stop))
        {
            await c.Run("INSERT INTO saved VALUES (1)");
            await transaction.SaveAsync("first", Stop);
            await c.Run("INSERT INTO saved VALUES (2)");
            await transaction.SaveAsync("second", Stop);
            await Short.Fails("23505", () => c.Run("INSERT INTO saved VALUES (1)"));
            await Short.Fails("25P02", () => c.One<int>("SELECT 1"));
            await transaction.RollbackAsync("second", Stop);
            Assert.Equal(2, await c.One<long>("SELECT count(*) FROM saved"));
            await transaction.RollbackAsync("first", Stop);
            Assert.Equal(1, await c.One<long>("SELECT count(*) FROM saved"));
            await transaction.SaveAsync("third", Stop);
            await c.Run("INSERT INTO saved VALUES (3)");
            await transaction.ReleaseAsync("third", Stop);
            Assert.Equal(0, await Count("saved"));  // of another session
            await transaction.CommitAsync(Stop);
        }
        Assert.Equal("1,3", await Source.One<string>("SELECT string_agg(i::text, ',' ORDER BY i) FROM saved"));
    }

    [Fact]
    public async Task Settings_end_with_their_savepoint()
    {
        // At a server connection that knows the setting, nobody who does not is answered from the cache.
        await using var own = new Database();
        await own.InitializeAsync();
        await using var c = await own.Source.OpenConnectionAsync(Stop);
        await c.Run("SET app.tenant_id = 'before'");
        await using var transaction = await c.BeginTransactionAsync(Stop);
        await transaction.SaveAsync("here", Stop);
        await c.Run("SET app.tenant_id = 'after'");
        await transaction.RollbackAsync("here", Stop);
        Assert.Equal("before", await c.One<string>("SELECT current_setting('app.tenant_id')"));
        await c.Run("SET LOCAL app.tenant_id = 'within'");
        await transaction.CommitAsync(Stop);
        Assert.Equal("before", await c.One<string>("SELECT current_setting('app.tenant_id')"));
    }

    [Fact]
    public async Task Prepared_transactions()
    {
        await Table("two_phase");
        for (var i = 1; i <= 2; i++)
        {
            await using var c = await Source.OpenConnectionAsync(Stop);
            await c.Run("BEGIN");
            await c.Run("INSERT INTO two_phase VALUES ($1)", i);
            await c.Run($"PREPARE TRANSACTION '{Database.Name}-{i}'");
        }
        for (var turn = 0; turn < 3; turn++)
            Assert.Equal(0, await Count("two_phase"));
        await Source.Run($"ROLLBACK PREPARED '{Database.Name}-1'");
        Assert.Equal(0, await Count("two_phase"));
        await Source.Run($"COMMIT PREPARED '{Database.Name}-2'");
        Assert.Equal(2, await Source.One<int>("SELECT i FROM two_phase"));
        await Short.Fails("42704", () => Source.Run($"COMMIT PREPARED '{Database.Name}-2'"));
    }

    [Fact]
    public async Task A_serialization_failure_is_transient()
    {
        await Source.Run("CREATE TABLE skewed AS SELECT i, 0 AS n FROM generate_series(1, 2) i");
        await using var one = await Source.OpenConnectionAsync(Stop);
        await using var two = await Source.OpenConnectionAsync(Stop);
        await using var first = await one.BeginTransactionAsync(IsolationLevel.Serializable, Stop);
        await using var second = await two.BeginTransactionAsync(IsolationLevel.Serializable, Stop);
        foreach (var (c, i) in new[] { (one, 1), (two, 2) })
        {
            Assert.Equal(0, await c.One<long>("SELECT sum(n) FROM skewed"));
            await c.Run("UPDATE skewed SET n = 1 WHERE i = $1", i);
        }
        await first.CommitAsync(Stop);
        var error = await Short.Fails("40001", () => second.CommitAsync(Stop));
        Assert.True(error.IsTransient);
    }

    [Fact]
    public async Task A_repeatable_reader_keeps_its_snapshot()
    {
        await Source.Run("CREATE TABLE moving AS SELECT 1 AS i");
        await using var c = await Source.OpenConnectionAsync(Stop);
        await using (var transaction = await c.BeginTransactionAsync(IsolationLevel.RepeatableRead, Stop))
        {
            Assert.Equal(1, await c.One<int>("SELECT i FROM moving"));
            await Source.Run("UPDATE moving SET i = 2");
            Assert.Equal(2, await Source.One<int>("SELECT i FROM moving"));
            Assert.Equal(1, await c.One<int>("SELECT i FROM moving"));
            await Short.Fails("40001", () => c.Run("UPDATE moving SET i = 3"));
            await transaction.RollbackAsync(Stop);
        }
        Assert.Equal(2, await c.One<int>("SELECT i FROM moving"));
    }

    [Fact]
    public async Task A_constraint_that_is_checked_at_the_commit()
    {
        await Source.Run("""
            CREATE TABLE owner (i int PRIMARY KEY);
            CREATE TABLE owned (i int REFERENCES owner DEFERRABLE INITIALLY DEFERRED)
            """);
        Assert.Equal(0, await Count("owned"));
        await using var c = await Source.OpenConnectionAsync(Stop);
        await using var transaction = await c.BeginTransactionAsync(Stop);
        await c.Run("INSERT INTO owned VALUES (7)");
        await Short.Fails("23503", () => transaction.CommitAsync(Stop));
        Assert.Equal(0, await Count("owned"));
        Assert.Equal(1, await c.One<int>("SELECT 1"));
    }

    [Fact]
    public async Task Who_may_only_read_is_refused_by_the_server()
    {
        await Table("read_only");
        await using var c = await Source.OpenConnectionAsync(Stop);
        await c.Run("SET default_transaction_read_only = on");
        await Short.Fails("25006", () => c.Run("INSERT INTO read_only VALUES (1)"));
        await c.Run("SET default_transaction_read_only = off");
        Assert.Equal(1, await c.Run("INSERT INTO read_only VALUES (1)"));
        Assert.Equal(1, await Count("read_only"));
    }

    [Fact]
    public async Task A_deadlock_ends_one_of_both()
    {
        await Source.Run("CREATE TABLE crossed AS SELECT i, 0 AS n FROM generate_series(1, 2) i");
        var held = new[] { new TaskCompletionSource(), new TaskCompletionSource() };
        async Task<string?> Take(int mine)
        {
            await using var c = await Source.OpenConnectionAsync(Stop);
            await using var transaction = await c.BeginTransactionAsync(Stop);
            await c.Run("UPDATE crossed SET n = n + 1 WHERE i = $1", mine + 1);
            held[mine].SetResult();
            await held[1 - mine].Task.WaitAsync(Stop);
            try
            {
                await c.Run("UPDATE crossed SET n = n + 1 WHERE i = $1", 2 - mine);
                await transaction.CommitAsync(Stop);
                return null;
            }
            catch (PostgresException e)
            {
                Assert.True(e.IsTransient);
                return e.SqlState;
            }
        }
        Assert.Equal(["40P01", null], (await Task.WhenAll(Take(0), Take(1))).OrderByDescending(s => s));
        Assert.Equal(2, await Source.One<long>("SELECT sum(n) FROM crossed"));
    }

    [Fact]
    public async Task Large_objects()
    {
        await using var c = await Source.OpenConnectionAsync(Stop);
        uint oid;
        var bytes = new byte[300_000];
        new Random(7).NextBytes(bytes);
        await using (var transaction = await c.BeginTransactionAsync(Stop))
        {
            oid = await c.One<uint>("SELECT lo_create(0)");
            var descriptor = await c.One<int>($"SELECT lo_open({oid}, 393216)");  // to read and write
            for (var at = 0; at < bytes.Length; at += 100_000)
                Assert.Equal(100_000, await c.One<int>("SELECT lowrite($1, $2)", descriptor, bytes[at..(at + 100_000)]));
            Assert.Equal(100_000L, await c.One<long>("SELECT lo_lseek64($1, 100000, 0)", descriptor));
            Assert.Equal(bytes[100_000..100_010], await c.One<byte[]>("SELECT loread($1, 10)", descriptor));
            Assert.Equal(100_010L, await c.One<long>("SELECT lo_tell64($1)", descriptor));
            await transaction.CommitAsync(Stop);
        }
        Assert.Equal(bytes, await Source.One<byte[]>($"SELECT lo_get({oid})"));
        await Source.Run($"SELECT lo_put({oid}, 0, $1)", new byte[] { 1, 2, 3 });
        Assert.Equal(new byte[] { 1, 2, 3 }, await Source.One<byte[]>($"SELECT lo_get({oid}, 0, 3)"));
        Assert.Equal(1, await Source.One<int>($"SELECT lo_unlink({oid})"));
        await Short.Fails("42704", () => Source.One<byte[]>($"SELECT lo_get({oid})"));
    }
}
