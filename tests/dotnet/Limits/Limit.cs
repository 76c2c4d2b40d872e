// The limits of a tenant, and how each of them is met. The harness has given each a tier of its own; its
// numbers are those that stand here.
using Npgsql;
using Xunit;

namespace Behaviour;

/// <summary>`Sql` is a statement that meets the limit once `Prepare` is done.</summary>
public sealed record Limit(string Name, string State, bool Transient, string Message, string Sql)
{
    private const string Anything = "SELECT 1 AS \"Value\"";

    public static readonly Limit[] All =
    [
        new("rate", "55P03", true, "queries_per_minute", Anything),
        new("concurrent", "55P03", true, "max_concurrent", Anything),
        new("everybody", "55P03", true, "max_concurrent_requests", Anything),
        new("pool", "55P03", true, "query_wait_timeout", Anything),
        new("timeout", "57014", false, "query_timeout", "SELECT 1 AS \"Value\" FROM pg_sleep(60)"),
        new("rows", "54000", false, "max_result_rows", "SELECT i AS \"Value\" FROM generate_series(1, 3001) i"),
        new("bytes", "54000", false, "max_result_bytes", "SELECT length(repeat('x', i)) AS \"Value\", repeat('x', 100000) FROM generate_series(1, 30) i"),
        new("page", "54000", false, "max_page_size", "SELECT i AS \"Value\" FROM plain LIMIT 1001"),
        new("unlimited", "54000", false, "SELECT without LIMIT", "SELECT i AS \"Value\" FROM must_have_limit"),
    ];

    public static Limit Of(string name) => All.Single(l => l.Name == name);

    /// <summary>Met before a statement runs, so also by the first one of a transaction.</summary>
    public bool AtTheGate => Name is "concurrent" or "everybody" or "pool";

    public string Connection(Database database, string tenant) =>
        $"{Facts.Local(Facts.Need(Name == "pool" ? "NARROW_PORT" : "LIMITS_PORT"))};Database={database.Name};"
        + $"Options=-c pgsidecar.tenant={Name}-{tenant}-{Environment.ProcessId};Maximum Pool Size=3;Include Error Detail=true";

    /// <summary>Brings the tenant to its limit; what is returned lets others in again.</summary>
    public async Task<IAsyncDisposable> Prepare(Database database, string tenant)
    {
        switch (Name)
        {
            case "rate":
                await using (var source = NpgsqlDataSource.Create(Connection(database, tenant)))
                    for (var refused = false; !refused;)
                        try
                        {
                            await source.One<int>("SELECT 1");
                        }
                        catch (PostgresException e) when (e.SqlState == State)
                        {
                            refused = true;
                        }
                return new Held();
            case "concurrent":
            case "pool":
                return await Held.By(database, Connection(database, tenant));
            case "everybody":
                return await Held.By(database, Connection(database, "other1"), Connection(database, "other2"));
            default:
                return new Held();
        }
    }

    /// <summary>Requests that run until this is disposed of: they wait for a lock at the server.</summary>
    private sealed class Held : IAsyncDisposable
    {
        private readonly List<(NpgsqlDataSource Source, Task Running)> requests = [];
        private NpgsqlConnection? blocker;

        public static async Task<Held> By(Database database, params string[] connections)
        {
            var held = new Held { blocker = await database.Server.OpenConnectionAsync() };
            await held.blocker.Run("SELECT pg_advisory_lock(1)");
            foreach (var connection in connections)
            {
                var source = NpgsqlDataSource.Create(connection);
                held.requests.Add((source, source.Run("SELECT pg_advisory_lock_shared(1), pg_advisory_unlock_shared(1)")));
            }
            await Short.Until("the requests to run", async () => connections.Length == await held.blocker.One<long>(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"));
            return held;
        }

        public async ValueTask DisposeAsync()
        {
            if (blocker is null)
                return;
            await blocker.Run("SELECT pg_advisory_unlock(1)");
            foreach (var (source, running) in requests)
            {
                await running;
                await source.DisposeAsync();
            }
            await blocker.DisposeAsync();
        }
    }
}

public sealed class LimitedDatabase : IAsyncLifetime
{
    public Database Database { get; } = new();

    public async ValueTask InitializeAsync()
    {
        await Database.InitializeAsync();
        if (!Facts.Proxied)
            return;
        await Database.Server.Run("""
            CREATE TABLE plain AS SELECT i FROM generate_series(1, 2000) i; CREATE TABLE must_have_limit AS TABLE plain;
            CREATE TABLE cut AS TABLE plain; CREATE TABLE written (i int); CREATE TABLE short AS SELECT 1 AS i
            """);
        foreach (var port in Facts.Way == Way.Transaction ? new[] { "LIMITS_PORT", "NARROW_PORT" } : ["LIMITS_PORT"])
        {
            await using var source = NpgsqlDataSource.Create(
                $"{Facts.Local(Facts.Need(port))};Database={Database.Name};Options=-c pgsidecar.tenant=nobody");
            // Rules are known by the catalogs: they are there when something is cut.
            await Short.Until("the catalogs", async () => await Rows(source, "SELECT i FROM cut") == 100 || port == "NARROW_PORT");
        }
    }

    public static async Task<int> Rows(NpgsqlDataSource source, string sql)
    {
        await using var c = await source.OpenConnectionAsync();
        await using var reader = await c.Command(sql).ExecuteReaderAsync();
        var rows = 0;
        while (await reader.ReadAsync())
            rows++;
        return rows;
    }

    public ValueTask DisposeAsync() => Database.DisposeAsync();
}
