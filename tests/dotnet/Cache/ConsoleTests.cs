// The admin console, as a tool written in C# has it: simple and prepared, with the types of its columns.
using System.Text.RegularExpressions;
using Npgsql;
using Xunit;

namespace Behaviour;

public sealed class ConsoleTests(ObservedClinic clinic) : IClassFixture<ObservedClinic>
{
    private static readonly Type Text = typeof(string), Number = typeof(long), Ratio = typeof(double), Flag = typeof(bool);

    private ObservedClinic Filled { get; } = clinic;
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private const string Statement = "SELECT \"Name\" FROM \"Patients\" WHERE \"Id\" = 7";

    private string Explain(string sql) => $"SHOW EXPLAIN DATABASE {Filled.Database.Name} USER postgres {sql}";

    private static string Login(string keywords) => $"{Facts.Observed};Username=scram_user;Password=sesame;Database=pgsidecar;{keywords}";

    /// <summary>As deploy/dotnet.md says: the console has no types to be read.</summary>
    private static NpgsqlDataSource Console(string keywords = "") =>
        new NpgsqlDataSourceBuilder(Login(keywords)).ConfigureTypeLoading(types => types.EnableTypeLoading(false)).Build();

    private static async Task<List<Dictionary<string, object?>>> Rows(NpgsqlCommand command)
    {
        await using var reader = await command.ExecuteReaderAsync(Stop);
        var rows = new List<Dictionary<string, object?>>();
        while (await reader.ReadAsync(Stop))
            rows.Add(Enumerable.Range(0, reader.FieldCount).ToDictionary(reader.GetName, i => reader.IsDBNull(i) ? null : reader.GetValue(i)));
        return rows;
    }

    private static async Task<List<Dictionary<string, object?>>> Rows(NpgsqlDataSource console, string sql)
    {
        await using var c = await console.OpenConnectionAsync(Stop);
        await using var command = c.Command(sql);
        return await Rows(command);
    }

    public static TheoryData<string, bool> Ways => new() { { "", false }, { "", true }, { "Max Auto Prepare=10;Auto Prepare Min Usages=1", false }, { "Multiplexing=true", false } };

    [Theory]
    [MemberData(nameof(Ways))]
    public async Task Names_and_types_of_columns(string keywords, bool prepare)
    {
        Facts.NeedsTheProgram();
        await using var console = Console(keywords);
        await using var c = await console.OpenConnectionAsync(Stop);
        foreach (var (sql, columns) in new (string, (string, Type)[])[]
        {
            (Explain(Statement), [("cached", Flag), ("reason", Text), ("rule", Text), ("ttl", Text), ("tables", Text), ("culprit", Text), ("query", Text)]),
            ("SHOW CACHE", [("provider", Text), ("entries", Number), ("hits", Number), ("hit_ratio", Ratio), ("enabled", Flag), ("staleness_p99_us", Number)]),
            ("SHOW TENANTS", [("tenant", Text), ("tier", Text), ("calls", Number), ("hit_ratio", Ratio), ("rate_left", Number), ("waiting", Number)]),
            ("SHOW FLAGS", [("flag", Text), ("value", Text), ("changeable", Text), ("origin", Text), ("equal", Number), ("different", Number)]),
        })
            for (var turn = 0; turn < 3; turn++)
            {
                await using var command = c.Command(sql);
                if (prepare)
                    await command.PrepareAsync(Stop);
                Assert.Equal(prepare, command.IsPrepared);
                await using var reader = await command.ExecuteReaderAsync(Stop);
                foreach (var (name, type) in columns)
                    Assert.Equal((name, type), (name, reader.GetFieldType(reader.GetOrdinal(name))));
                while (await reader.ReadAsync(Stop))
                    for (var i = 0; i < reader.FieldCount; i++)
                        Assert.True(reader.IsDBNull(i) || reader.GetValue(i).GetType() == reader.GetFieldType(i), sql + ": " + reader.GetName(i));
            }
    }

    [Fact]
    public async Task Types_are_not_loaded_by_a_keyword_either()
    {
        Facts.NeedsTheProgram();
        await using var console = NpgsqlDataSource.Create(Login("Server Compatibility Mode=NoTypeLoading"));
        Assert.Single(await Rows(console, "SHOW CACHE"));
        await using var loading = NpgsqlDataSource.Create(Login(""));
        await Assert.ThrowsAsync<PostgresException>(async () => await loading.OpenConnectionAsync(Stop));
    }

    [Fact]
    public async Task Explain_says_whether_and_why()
    {
        Facts.NeedsTheProgram();
        await Filled.Database.Settle();
        await using var console = Console();
        var row = Assert.Single(await Rows(console, Explain(Statement)));
        Assert.Equal((true, Filled.Database.Name, "postgres"), (row["cached"], row["database"], row["user"]));
        Assert.Contains("Patients", (string)row["tables"]!);
        Assert.DoesNotContain("7", (string)row["query"]!);  // the normal form
        row = Assert.Single(await Rows(console, Explain(Statement.Replace("\"Name\"", "random()"))));
        Assert.Equal((false, "bypass:volatile_function"), (row["cached"], "bypass:" + Regex.Replace((string)row["reason"]!, "^bypass:", "")));
        Assert.Contains("random", (string)row["culprit"]!);
        row = Assert.Single(await Rows(console, Explain("SELECT \"Name\" FROM \"Patients\" WHERE \"Id\" = $1")));
        Assert.Equal(true, row["cached"]);
        row = Assert.Single(await Rows(console, Explain("SELEC 1")));
        Assert.Equal(false, row["cached"]);
        await Short.Fails("42601", () => Rows(console, "SHOW EXPLAIN"));
    }

    [Fact]
    public async Task Counters_move_with_what_an_application_does()
    {
        Facts.NeedsTheProgram();
        await Filled.Database.Settle();
        await using var console = Console();
        async Task<long> Of(string sql, string column, string? tenant = null) =>
            (long)(await Rows(console, sql)).Single(r => tenant == null || tenant.Equals(r["tenant"]))[column]!;
        await using var source = NpgsqlDataSource.Create($"{Filled.Database.Connection};Options=-c pgsidecar.tenant=counted");
        await using var c = await source.OpenConnectionAsync(Stop);
        await c.One<string>(Statement);  // a miss, of this tenant
        var (hits, calls) = (await Of("SHOW CACHE", "hits"), await Of("SHOW TENANTS", "calls", "counted"));
        for (var turn = 0; turn < 5; turn++)
            Assert.Equal("patient 7", await c.One<string>(Statement));
        Assert.Equal((hits + 5, calls + 5), (await Of("SHOW CACHE", "hits"), await Of("SHOW TENANTS", "calls", "counted")));
        Assert.InRange(await Of("SHOW TENANTS", "hits", "counted"), 5, 6);
    }

    [Fact]
    public async Task A_flag_is_set_and_a_reload_takes_it_back()
    {
        Facts.NeedsTheProgram();
        await Filled.Database.Settle();
        await using var console = Console("Maximum Pool Size=1");
        async Task<string> Flag() =>
            (string)(await Rows(console, "SHOW FLAGS")).Single(r => ((string)r["flag"]!).EndsWith("enable_optimizations"))["value"]!;
        var on = await Flag();
        await using var c = await console.OpenConnectionAsync(Stop);
        try
        {
            await c.Run("SET enable_optimizations = false");
        }
        finally
        {
            await c.CloseAsync();
        }
        Assert.NotEqual(on, await Flag());
        await console.Run("SET enable_optimizations = true");
        Assert.Equal(on, await Flag());
        await console.Run("RELOAD");
        await c.OpenAsync(Stop);
        await using var reload = c.Command("RELOAD");
        await reload.PrepareAsync(Stop);
        for (var turn = 0; turn < 2; turn++)
            await reload.ExecuteNonQueryAsync(Stop);
        Assert.Equal(1, await c.One<int>("SELECT 1"));
    }

    [Fact]
    public async Task What_the_console_does_not_know()
    {
        Facts.NeedsTheProgram();
        await using var console = Console();
        await using var c = await console.OpenConnectionAsync(Stop);
        foreach (var (state, sql) in new[] { ("42601", "SHOW NOTHING"), ("42601", "SELECT * FROM \"Patients\""), ("0A000", "SUSPEND") })
            for (var turn = 0; turn < 2; turn++)
                await Short.Fails(state, () => c.Run(sql));
        await using (var command = c.Command("SHOW CACHE"))  // and the connection is as good as before
            Assert.Single(await Rows(command));
        await using var stranger = NpgsqlDataSource.Create(Login("Username=alice"));
        var error = await Assert.ThrowsAsync<PostgresException>(async () => await stranger.OpenConnectionAsync(Stop));
        Assert.StartsWith("28", error.SqlState);
    }
}
