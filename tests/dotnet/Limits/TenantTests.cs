// Each way of deploy/dotnet.md to say who the tenant is: a limit of that tenant is met, and nobody else's.
using Microsoft.EntityFrameworkCore;
using Npgsql;
using Xunit;

namespace Behaviour;

public sealed class TenantTests(Database database) : Case(database)
{
    private const string Many = "SELECT i AS \"Value\" FROM generate_series(1, 3001) i";  // one more than a tenant rows-... may have

    public static TheoryData<string> Ways => ["interceptor", "options", "application name", "comment", "comment, multiplexed"];

    private string Connection => $"{Facts.Local(Facts.Proxied ? Facts.Need("TENANTS_PORT") : Facts.Need("PORT"))};Database={Database.Name}";

    /// <summary>A context as an application has it, whose statements are those of `tenant`.</summary>
    private Clinic Open(string way, string tenant) => new(way switch
    {
        "interceptor" => Clinic.Options(Connection, new TenantInterceptor(() => tenant)),
        "options" => Clinic.Options($"{Connection};Options=-c pgsidecar.tenant={tenant}"),
        "application name" => Clinic.Options($"{Connection};Application Name=rx-{tenant}"),
        "comment" => Clinic.Options(Connection, new TenantTag(() => tenant)),
        _ => Clinic.Options($"{Connection};Multiplexing=true;Maximum Pool Size=2", new TenantTag(() => tenant)),
    });

    private static async Task<int> Rows(Clinic db) => (await db.Database.SqlQueryRaw<int>(Many).ToListAsync(Stop)).Count;

    [Theory]
    [MemberData(nameof(Ways))]
    public async Task Each_way_to_say_it(string way)
    {
        for (var turn = 0; turn < 3; turn++)
            foreach (var tenant in new[] { "rows-" + way[..3], "large-" + way[..3] })
            {
                await using var db = Open(way, tenant);
                if (Facts.Proxied && tenant.StartsWith("rows"))
                    Assert.Contains($"\"{tenant}\"", (await Short.Fails("54000", () => Rows(db))).MessageText);
                else
                    Assert.Equal(3001, await Rows(db));
            }
    }

    [Fact]
    public async Task TagWith_names_it_for_one_query()
    {
        await using var db = new Clinic(Clinic.Options(Connection));
        Task<List<int>> Tagged(string tenant) => db.Database.SqlQueryRaw<int>(Many).TagWith($"tenant='{tenant}'").ToListAsync(Stop);
        Assert.Equal(3001, (await Tagged("large-tag")).Count);
        if (Facts.Proxied)
            Assert.Contains("\"rows-tag\"", (await Short.Fails("54000", () => Tagged("rows-tag"))).MessageText);
        Assert.Equal(3001, (await Tagged("large-tag")).Count);
    }

    [Fact]
    public async Task A_comment_names_it_in_a_transaction_too()
    {
        Facts.NeedsTheProgram();
        await using var db = Open("comment", "rows-inside");
        await using (await db.Database.BeginTransactionAsync(Stop))
            Assert.Contains("\"rows-inside\"", (await Short.Fails("54000", () => Rows(db))).MessageText);
    }

    [Fact]
    public async Task What_stands_in_Options_no_statement_can_change()
    {
        Facts.NeedsTheProgram();
        await using var source = NpgsqlDataSource.Create($"{Connection};Options=-c pgsidecar.tenant=rows-fixed");
        await using var c = await source.OpenConnectionAsync(Stop);
        foreach (var sql in new[] { "SELECT 1", "SET pgsidecar.tenant = 'large'", "SET app.tenant_id = 'large'", "SET application_name = 'rx-large'" })
        {
            await c.Run(sql);
            await Short.Fails("54000", () => c.Run("/*tenant='large'*/ " + Many));
        }
    }

    [Fact]
    public async Task A_connection_that_is_used_again_is_not_the_tenants_of_before()
    {
        Facts.NeedsTheProgram();
        var connection = Connection + ";Maximum Pool Size=1";
        for (var turn = 0; turn < 3; turn++)
        {
            await using (var db = new Clinic(Clinic.Options(connection, new TenantInterceptor(() => "rows-used"))))
                await Short.Fails("54000", () => Rows(db));
            await using (var db = new Clinic(Clinic.Options(connection)))
                Assert.Equal(3001, await Rows(db));
        }
    }

    [Fact]
    public async Task Many_tenants_at_once_over_few_connections()
    {
        Facts.NeedsTheProgram();
        await Task.WhenAll(Enumerable.Range(0, 24).Select(async i =>
        {
            var tenant = (i % 2 == 0 ? "rows-" : "large-") + i;
            await using var db = Open("comment, multiplexed", tenant);
            if (i % 2 == 0)
                Assert.Contains($"\"{tenant}\"", (await Short.Fails("54000", () => Rows(db))).MessageText);
            else
                Assert.Equal(3001, await Rows(db));
        }));
    }
}
