// Dapper's lists. With Npgsql's own connection a list is sent as an array, and IN @ids is no SQL; within a
// profiler's connection it is written out, so that each length is a text of its own.
using Dapper;
using Npgsql;
using Xunit;

namespace Behaviour;

public sealed class ListTests(ObservedClinic clinic) : IClassFixture<ObservedClinic>, IDisposable
{
    private const string Expanded = """SELECT "Id" FROM "Patients" WHERE "Id" IN @ids ORDER BY "Id" """;
    private const string Array = """SELECT "Id" FROM "Patients" WHERE "Id" = ANY(@ids) ORDER BY "Id" """;

    private ObservedClinic Filled { get; } = clinic;

    public void Dispose() => SqlMapper.Settings.PadListExpansions = false;

    private NpgsqlConnection Plain() => Filled.Database.Source.CreateConnection();

    /// <summary>The ids that were found, and what stood in the text for the list.</summary>
    private async Task<(int[] Found, string Text)> Ask(string sql, int[] ids, bool profiled = true)
    {
        if (!profiled)
        {
            await using var plain = Plain();
            return ((await plain.QueryAsync<int>(sql, new { ids })).ToArray(), sql);
        }
        await using var c = new Profiled(Plain());
        return ((await c.QueryAsync<int>(sql, new { ids })).ToArray(), c.Commands.Single().CommandText);
    }

    /// <summary>Asks twice, and tells what became of each in the cache; past the program that is not asked.</summary>
    private async Task Twice(string sql, int[] ids, bool profiled, string first, string second)
    {
        await using var observer = Facts.Proxied ? new Observer(Filled.Database.Name, Facts.Observed) : null;
        await Filled.Database.Source.Run("SELECT 1");  // the connection is there, the types are known
        foreach (var want in new[] { first, second })
        {
            if (observer != null)
                await observer.Begin();
            Assert.Equal(ids.Where(i => i is >= 1 and <= 20).Distinct().Order(), (await Ask(sql, ids, profiled)).Found);
            if (observer != null)
                Assert.Equal([want], await observer.Outcomes());
        }
    }

    [Fact]
    public async Task Npgsqls_own_connection_sends_an_array_and_IN_is_an_error()
    {
        foreach (var ids in new[] { new[] { 1, 2, 3 }, [] })
            for (var turn = 0; turn < 2; turn++)
                await Short.Fails("42601", () => Ask(Expanded, ids, profiled: false));
        await Filled.Database.Settle();  // what cannot be parsed may have defined something
        await Twice(Array, [3, 4], false, "miss", "hit");
    }

    [Fact]
    public async Task A_list_that_is_written_out()
    {
        await Filled.Database.Settle();
        var texts = new HashSet<string>();
        foreach (var ids in new[] { new[] { 1, 2, 3 }, [4, 5], [7], [20, 19, 18, 17, 99] })
        {
            var (found, text) = await Ask(Expanded, ids);
            Assert.Equal(ids.Where(i => i != 99).Order(), found);
            Assert.True(texts.Add(text), "each length has a text of its own: " + text);
            Assert.Equal(ids.Length, text.Count(c => c == '@'));
        }
    }

    [Fact]
    public async Task Each_length_is_filled_and_hit_by_itself()
    {
        await Filled.Database.Settle();
        await Twice(Expanded, [1, 3, 5], true, "miss", "hit");
        await Twice(Expanded, [1, 3], true, "miss", "hit");        // another text
        await Twice(Expanded, [1, 3, 6], true, "miss", "hit");     // the first text, other values
        await Twice(Expanded, [5, 3, 1], true, "miss", "hit");     // the same values in another order: another key
        await Twice(Expanded, [1, 3, 5], true, "hit", "hit");
        await Twice(Array, [1, 3, 5], false, "miss", "hit");
        await Twice(Array, [1, 3], false, "miss", "hit");           // one text, and a key for each list all the same
    }

    [Fact]
    public async Task Lists_that_are_padded_share_their_texts()
    {
        await Filled.Database.Settle();
        SqlMapper.Settings.PadListExpansions = true;
        var texts = new HashSet<string>();
        foreach (var length in new[] { 6, 7, 8, 9, 10 })
        {
            var (found, text) = await Ask(Expanded, Enumerable.Range(1, length).ToArray());
            Assert.Equal(Enumerable.Range(1, length), found);
            texts.Add(text);
        }
        Assert.Single(texts);
        await Twice(Expanded, [2, 4, 6, 8, 10, 12], true, "miss", "hit");
    }

    [Fact]
    public async Task A_list_of_nothing()
    {
        await Filled.Database.Settle();
        await Twice(Array, [], false, "miss", "hit");
        // Written out it is (SELECT @ids WHERE 1 = 0), a text to the server: an error beside a number.
        for (var turn = 0; turn < 2; turn++)
            await Short.Fails("42883", () => Ask(Expanded, []));
        await using var c = new Profiled(Plain());
        for (var turn = 0; turn < 3; turn++)
            Assert.Empty(await c.QueryAsync<string>("""SELECT "Name" FROM "Patients" WHERE "Name" IN @names""", new { names = System.Array.Empty<string>() }));
        Assert.All(c.Commands, command => Assert.Contains("1 = 0", command.CommandText));
        Assert.Equal(["patient 7"], await c.QueryAsync<string>("""SELECT "Name" FROM "Patients" WHERE "Name" IN @names""", new { names = new[] { "patient 7" } }));
    }

    [Fact]
    public async Task A_write_is_seen_by_every_length()
    {
        await Filled.Database.Settle();
        await Filled.Database.Source.Run("CREATE TABLE listed AS SELECT i, 0 AS n FROM generate_series(1, 5) i");
        await using var c = new Profiled(Plain());
        for (var n = 0; n < 4; n++)
        {
            foreach (var ids in new[] { new[] { 1, 2, 3 }, [2, 3], [3] })
                for (var turn = 0; turn < 3; turn++)
                    Assert.Equal(ids.Length * n, await c.QuerySingleAsync<long>(
                        "SELECT coalesce(sum(n), 0) FROM listed WHERE i IN @ids", new { ids }));
            Assert.Equal(3, await c.ExecuteAsync("UPDATE listed SET n = n + 1 WHERE i IN @ids", new { ids = new[] { 1, 2, 3 } }));
        }
    }
}
