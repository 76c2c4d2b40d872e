// What the program says of statements, asked at its console: how often each was a hit, and if not, why.
using Npgsql;

namespace Behaviour;

public sealed class Observer(string database, string through) : IAsyncDisposable
{
    private readonly record struct Calls(string Text, long All, long Hits, string Reason);

    private readonly NpgsqlDataSource console = Console(through);
    private Dictionary<string, Calls> before = [];

    private static NpgsqlDataSource Console(string through)
    {
        var builder = new NpgsqlDataSourceBuilder(through);
        (builder.ConnectionStringBuilder.Database, builder.ConnectionStringBuilder.Username, builder.ConnectionStringBuilder.Password)
            = ("pgsidecar", "scram_user", "sesame");
        return builder.ConfigureTypeLoading(types => types.EnableTypeLoading(false)).Build();
    }

    private async Task<Dictionary<string, Calls>> Ask()
    {
        var all = new Dictionary<string, Calls>();
        await using var c = await console.OpenConnectionAsync();
        await using var reader = await c.Command("SHOW QUERIES LIMIT 100000").ExecuteReaderAsync();
        int text = reader.GetOrdinal("query"), hits = reader.GetOrdinal("hits"), calls = reader.GetOrdinal("calls"),
            reason = reader.GetOrdinal("last_reason"), name = reader.GetOrdinal("database"), id = reader.GetOrdinal("fingerprint");
        while (await reader.ReadAsync())
            if (reader.GetString(name) == database)
                all[reader.GetString(id)] = new(reader.GetString(text), reader.GetInt64(calls), reader.GetInt64(hits), reader.GetString(reason));
        return all;
    }

    /// <summary>From here on.</summary>
    public async Task Begin() => before = await Ask();

    /// <summary>The statements since Begin(), but for those that keep a connection in order: "hit", or why not.</summary>
    public async Task<List<string>> Outcomes()
    {
        var outcomes = new List<string>();
        foreach (var (id, now) in await Ask())
        {
            var was = before.GetValueOrDefault(id);
            if (now.All == was.All || IsHousekeeping(now.Text))
                continue;
            outcomes.Add(now.Hits - was.Hits == now.All - was.All ? "hit" : now.Reason == "hit" ? "miss" : now.Reason);
        }
        return outcomes;
    }

    /// <summary>set_config() of an interceptor is one of them, too.</summary>
    private static bool IsHousekeeping(string text) =>
        new[] { "discard", "begin", "commit", "rollback", "savepoint", "release", "set ", "reset", "select set_config" }
            .Any(word => text.StartsWith(word, StringComparison.OrdinalIgnoreCase));

    public ValueTask DisposeAsync() => console.DisposeAsync();
}
