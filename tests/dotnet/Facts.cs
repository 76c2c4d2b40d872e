// What the harness passes in environment variables: which way the tests take, and where everything is.
using Npgsql;
using Xunit;

namespace Behaviour;

public enum Way
{
    Direct,  // past the program: the control, which shows that a test is right
    Session,
    Transaction,
}

public static class Facts
{
    public static Way Way { get; } = Enum.Parse<Way>(Need("WAY"), ignoreCase: true);

    /// <summary>The server itself, whichever way the tests take.</summary>
    public static string Server { get; } = Local(Need("SERVER_PORT"));

    /// <summary>What a test connects to. No database is named.</summary>
    public static string Through { get; } = Local(Need("PORT"));

    /// <summary>The same with one worker, whose counts tell of one statement after the other.</summary>
    public static string Observed => Proxied ? Local(Need("OBSERVED_PORT")) : Through;

    public static bool Proxied => Way != Way.Direct;

    public static string Need(string name) =>
        Environment.GetEnvironmentVariable("PGSIDECAR_" + name)
        ?? throw new InvalidOperationException($"PGSIDECAR_{name} is not set: tests/integration/test_dotnet.py sets it");

    /// <summary>To a port of this machine, as a user who needs no password, without TLS.</summary>
    public static string Local(string port) =>
        $"Host=127.0.0.1;Port={port};Username=postgres;SSL Mode=Disable;Timeout=30;Command Timeout=60";

    public static void NeedsTheProgram() => Assert.SkipUnless(Proxied, "control: there is no program");

    public static void NeedsOwnServerConnection(string why) =>
        Assert.SkipWhen(Way == Way.Transaction, "session mode: " + why);
}

/// <summary>A database of its own for each test class, made and dropped past the program.</summary>
public sealed class Database : IAsyncLifetime
{
    private static int count;

    public string Name { get; } = $"dotnet_{Environment.ProcessId}_{Interlocked.Increment(ref count)}";

    public string Through { get; init; } = Facts.Through;

    public string Connection => $"{Through};Database={Name}";

    /// <summary>The way of this run.</summary>
    public NpgsqlDataSource Source { get; private set; } = null!;

    /// <summary>The server itself.</summary>
    public NpgsqlDataSource Server { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        await Administrate($"CREATE DATABASE {Name} STRATEGY file_copy");
        Source = NpgsqlDataSource.Create(Connection);
        Server = NpgsqlDataSource.Create($"{Facts.Server};Database={Name}");
    }

    public async ValueTask DisposeAsync()
    {
        await Source.DisposeAsync();
        await Server.DisposeAsync();
        await Administrate($"DROP DATABASE IF EXISTS {Name} WITH (FORCE)");
    }

    /// <summary>Waits until the program knows the definitions as they are now, and answers come from the cache.</summary>
    public async Task Settle()
    {
        if (!Facts.Proxied)
            return;
        await using var observer = new Observer(Name, Through);
        await using var fresh = NpgsqlDataSource.Create(Connection);  // whose connections have prepared nothing
        await fresh.Run("CREATE TABLE IF NOT EXISTS settled AS SELECT 1 AS i");
        List<string> outcomes = [];
        await Short.Until(() => "a hit, and not " + string.Join(", ", outcomes), async () =>
        {
            await observer.Begin();
            await fresh.One<int>("SELECT i FROM settled");
            outcomes = await observer.Outcomes();
            return outcomes.Contains("hit");
        });
    }

    public static async Task Administrate(string sql)
    {
        await using var source = NpgsqlDataSource.Create($"{Facts.Server};Database=postgres;Pooling=false");
        await source.Run(sql);
    }
}

/// <summary>The base of all tests: a database, and the token that ends a test which hangs.</summary>
public abstract class Case(Database database) : IClassFixture<Database>
{
    protected Database Database { get; } = database;
    protected NpgsqlDataSource Source => Database.Source;
    protected static CancellationToken Stop => TestContext.Current.CancellationToken;

    protected NpgsqlDataSource With(string keywords) =>
        NpgsqlDataSource.Create($"{Database.Connection};{keywords}");
}
