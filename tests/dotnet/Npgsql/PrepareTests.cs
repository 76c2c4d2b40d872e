// Statements that are prepared by the driver or by hand, and definitions that change under them.
using System.Data;
using Npgsql;
using NpgsqlTypes;
using Xunit;

namespace Behaviour;

public sealed class PrepareTests(Database database) : Case(database)
{
    private const string Doses =
        "CREATE TABLE IF NOT EXISTS dose AS SELECT i AS id, 'dose ' || i AS name FROM generate_series(1, 600) i";

    [Fact]
    public async Task More_texts_than_are_prepared_automatically()
    {
        await Source.Run(Doses);
        await Database.Settle();
        await using var auto = With("Max Auto Prepare=10;Auto Prepare Min Usages=2");
        for (var turn = 1; turn <= 20; turn++)
        {
            await using var c = await auto.OpenConnectionAsync(Stop);
            for (var i = 0; i < 15; i++)  // evicted all the time
                Assert.Equal($"dose {turn}-{i}", await c.One<string>($"SELECT name || '-{i}' FROM dose WHERE id = $1", turn));
        }
    }

    [Fact]
    public async Task Automatically_prepared_by_many_connections_at_once()
    {
        await Source.Run(Doses);
        await Database.Settle();
        await using var auto = With("Max Auto Prepare=20;Auto Prepare Min Usages=1;Maximum Pool Size=6");
        await Task.WhenAll(Enumerable.Range(1, 300).Select(async i =>
            Assert.Equal("dose " + i, await auto.One<string>($"SELECT name FROM dose WHERE id = $1 AND {i % 7} < 7", i))));
    }

    [Fact]
    public async Task Prepared_by_hand_is_prepared_still_when_the_pool_gives_the_connection_again()
    {
        await Source.Run(Doses);
        await Database.Settle();
        await using var one = With("Maximum Pool Size=1");
        for (var turn = 1; turn <= 5; turn++)
        {
            await using var c = await one.OpenConnectionAsync(Stop);
            await using var command = new NpgsqlCommand("SELECT name FROM dose WHERE id = $1", c);
            var id = command.Parameters.Add(new NpgsqlParameter { NpgsqlDbType = NpgsqlDbType.Integer });
            Assert.Equal(turn > 1, command.IsPrepared || await PreparedAlready(c));
            await command.PrepareAsync(Stop);
            Assert.True(command.IsPrepared);
            for (var i = 1; i <= 7; i++)  // behind the fifth the server may take a generic plan
            {
                id.Value = i * turn;
                Assert.Equal("dose " + i * turn, (string?)await command.ExecuteScalarAsync(Stop));
            }
        }
    }

    /// <summary>At the server, by whatever name.</summary>
    private static Task<bool> PreparedAlready(NpgsqlConnection c) =>
        c.One<bool>("SELECT EXISTS (SELECT FROM pg_prepared_statements WHERE statement = 'SELECT name FROM dose WHERE id = $1')");

    [Fact]
    public async Task Unprepared_commands_go_on()
    {
        await Source.Run(Doses);
        await Database.Settle();
        await using var c = await Source.OpenConnectionAsync(Stop);
        await using var command = c.Command("SELECT count(*) FROM dose WHERE id <= $1", 10);
        for (var turn = 0; turn < 3; turn++)
        {
            await command.PrepareAsync(Stop);
            Assert.Equal(10L, await command.ExecuteScalarAsync(Stop));
            await command.UnprepareAsync(Stop);
            Assert.Equal(10L, await command.ExecuteScalarAsync(Stop));
        }
        await command.PrepareAsync(Stop);
        c.UnprepareAll();
        Assert.Equal(10L, await c.One<long>("SELECT count(*) FROM dose WHERE id <= $1", 10));
    }

    [Fact]
    public async Task A_text_that_cannot_be_prepared()
    {
        await using var c = await Source.OpenConnectionAsync(Stop);
        await Short.Fails("42601", () => c.Command("SELECT FROM WHERE").PrepareAsync(Stop));
        await Short.Fails("42P01", () => c.Command("SELECT 1 FROM nowhere").PrepareAsync(Stop));
        Assert.Equal(1, await c.One<int>("SELECT 1"));
    }

    [Fact]
    public async Task An_error_of_a_prepared_statement_leaves_it_prepared()
    {
        await using var c = await Source.OpenConnectionAsync(Stop);
        await using var command = c.Command("SELECT 10 / $1", 0);
        await command.PrepareAsync(Stop);
        for (var turn = 0; turn < 3; turn++)
        {
            command.Parameters[0].Value = 0;
            await Short.Fails("22012", () => command.ExecuteScalarAsync(Stop));
            command.Parameters[0].Value = 5;
            Assert.Equal(2, await command.ExecuteScalarAsync(Stop));
        }
    }

    [Fact]
    public async Task A_column_that_is_added_under_a_prepared_statement()
    {
        await using var c = await Source.OpenConnectionAsync(Stop);
        await c.Run("CREATE TABLE growing AS SELECT 1 AS i");
        await using var command = c.Command("SELECT * FROM growing WHERE i = $1", 1);
        await command.PrepareAsync(Stop);
        for (var turn = 0; turn < 3; turn++)
            Assert.Equal(1, await Fields(command));
        await c.Run("ALTER TABLE growing ADD COLUMN j int");
        await Short.Fails("0A000", () => Fields(command));
        Assert.Equal(2, await Fields(command));  // Npgsql has prepared it anew
    }

    [Fact]
    public async Task A_column_that_gets_another_type_under_an_automatically_prepared_statement()
    {
        await using var auto = With("Max Auto Prepare=10;Auto Prepare Min Usages=1;Maximum Pool Size=1");
        await using var c = await auto.OpenConnectionAsync(Stop);
        await c.Run("CREATE TABLE changing AS SELECT 1 AS i");
        for (var turn = 0; turn < 3; turn++)
            Assert.Equal(1, await c.One<int>("SELECT i FROM changing"));
        await c.Run("ALTER TABLE changing ALTER COLUMN i TYPE text");
        await Short.Fails("0A000", () => c.One<string>("SELECT i FROM changing"));
        Assert.Equal("1", await c.One<string>("SELECT i FROM changing"));
    }

    [Fact]
    public async Task Columns_that_changed_are_never_read_as_those_of_before()
    {
        await using var c = await Source.OpenConnectionAsync(Stop);
        await c.Run("CREATE TABLE misread AS SELECT 1 AS i");
        await using var command = c.Command("SELECT i FROM misread");
        await command.PrepareAsync(Stop);
        Assert.Equal(1, await command.ExecuteScalarAsync(Stop));
        await c.Run("ALTER TABLE misread ALTER COLUMN i TYPE real");
        await using var other = await Source.OpenConnectionAsync(Stop);
        await using var block = await other.BeginTransactionAsync(Stop);
        await other.Run("SELECT 1");  // where server connections are shared, it has the one that knows the statement
        await Short.Fails("0A000", () => command.ExecuteScalarAsync(Stop));
        Assert.Equal(1f, await command.ExecuteScalarAsync(Stop));
    }

    [Fact]
    public async Task A_table_that_is_made_anew_under_a_prepared_statement()
    {
        await using var c = await Source.OpenConnectionAsync(Stop);
        await c.Run("CREATE TABLE replaced AS SELECT 1 AS i");
        await using var command = c.Command("SELECT i FROM replaced");
        await command.PrepareAsync(Stop);
        for (var turn = 1; turn <= 3; turn++)
        {
            Assert.Equal(turn, await command.ExecuteScalarAsync(Stop));
            await Source.Run($"DROP TABLE replaced; CREATE TABLE replaced AS SELECT {turn + 1} AS i");
        }
        await Source.Run("DROP TABLE replaced");
        await Short.Fails("42P01", () => command.ExecuteScalarAsync(Stop));
    }

    [Fact]
    public async Task Columns_that_are_asked_for_without_their_rows()
    {
        await Source.Run("CREATE TABLE described (id int PRIMARY KEY, amount numeric(8,2)); INSERT INTO described VALUES (1, 2.5)");
        await Database.Settle();
        await using var c = await Source.OpenConnectionAsync(Stop);
        for (var turn = 0; turn < 3; turn++)
        {
            await using var command = c.Command("SELECT * FROM described WHERE id = 1");
            await using (var reader = await command.ExecuteReaderAsync(CommandBehavior.SchemaOnly, Stop))
                Assert.Equal("amount", reader.GetName(1));
            await using (var reader = await command.ExecuteReaderAsync(CommandBehavior.KeyInfo, Stop))
                Assert.True((await reader.GetColumnSchemaAsync(Stop))[0].IsKey);
        }
    }

    private static async Task<int> Fields(NpgsqlCommand command)
    {
        await using var reader = await command.ExecuteReaderAsync(Stop);
        Assert.True(await reader.ReadAsync(Stop));
        return reader.FieldCount;
    }
}
