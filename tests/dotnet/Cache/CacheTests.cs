// Which of the statements of an application come from the cache, in which mode, from which execution on.
using Microsoft.EntityFrameworkCore;
using Npgsql;
using Xunit;

namespace Behaviour;

public sealed class ObservedClinic() : FilledClinic(new Database { Through = Facts.Observed });

public sealed class CacheTests(ObservedClinic clinic) : IClassFixture<ObservedClinic>
{
    private ObservedClinic Filled { get; } = clinic;
    private static CancellationToken Stop => TestContext.Current.CancellationToken;
    private Observer Observe() => new(Filled.Database.Name, Facts.Observed);

    [Fact]
    public async Task The_table_of_statements()
    {
        Facts.NeedsTheProgram();
        const int Executions = 4;
        await Filled.Database.Source.Run(Shape.Schema);
        await using var observer = Observe();
        await using var lines = new StreamWriter(Facts.Need("TABLE"));
        foreach (var shape in Shape.All)
        {
            var options = Clinic.Options($"{Filled.Database.Connection};{shape.Keywords}");
            await using (var db = new Clinic(options))
                await db.Database.ExecuteSqlRawAsync("SELECT 1", Stop);  // the connection is there, the types are known
            await Filled.Database.Settle();
            var (first, last) = (0, "");
            for (var execution = 1; execution <= Executions; execution++)
            {
                await observer.Begin();
                await using (var db = new Clinic(options))  // a context for each request
                    await shape.Ask(db);
                var outcomes = await observer.Outcomes();
                Assert.NotEmpty(outcomes);
                last = outcomes.Find(o => o != "hit") ?? "hit";
                first = last == "hit" ? (first == 0 ? execution : first) : 0;
            }
            var cell = first > 0 ? $"hit, from execution {first} on" : last == "miss" ? "a miss each time" : $"no: `{last}`";
            await lines.WriteLineAsync($"{shape.Name}\t{shape.Code}\t{cell}");
        }
    }

    [Fact]
    public async Task A_tenants_list_hits_in_the_first_request_after_the_fill()
    {
        await Filled.Database.Source.Run("""
            ALTER TABLE "Prescriptions" ENABLE ROW LEVEL SECURITY;
            CREATE POLICY own ON "Prescriptions" USING ("TenantId" = current_setting('app.tenant_id', true));
            GRANT ALL ON ALL TABLES IN SCHEMA public TO alice; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO alice
            """);
        await using var observer = Facts.Proxied ? Observe() : null;
        if (observer != null)
            await Filled.Database.Settle();
        var connection = Filled.Database.Connection.Replace("Username=postgres", "Username=alice");
        foreach (var tenant in new[] { "odd", "even" })
        {
            var options = Clinic.Options(connection, new TenantInterceptor(() => tenant));
            await using (var db = new Clinic(options))
                await db.Database.ExecuteSqlRawAsync("SELECT 1", Stop);  // the connection is there, the types are known
            for (var request = 1; request <= 4; request++)
            {
                if (observer != null)
                    await observer.Begin();
                await using (var db = new Clinic(options))
                {
                    var (page, drug) = (1, "drug 2");
                    var rows = await db.Prescriptions.AsNoTracking().Where(r => r.Drug == drug).OrderBy(r => r.Id).Skip(page * 3).Take(3).ToListAsync(Stop);
                    Assert.Equal(3, rows.Count);
                    Assert.All(rows, r => Assert.Equal(tenant, r.TenantId));
                }
                if (observer != null)
                    Assert.Equal([request == 1 ? "miss" : "hit"], await observer.Outcomes());
            }
        }
        await A_write_is_seen_by_its_tenant_alone(connection);
    }

    private async Task A_write_is_seen_by_its_tenant_alone(string connection)
    {
        async Task<int> Count(string tenant)
        {
            await using var db = new Clinic(Clinic.Options(connection, new TenantInterceptor(() => tenant)));
            return await db.Prescriptions.CountAsync(r => r.Drug == "drug 1", Stop);
        }
        var before = (await Count("odd"), await Count("even"));
        for (var i = 1; i <= 5; i++)
        {
            await using (var db = new Clinic(Clinic.Options(connection, new TenantInterceptor(() => "odd"))))
            {
                db.Prescriptions.Add(new Prescription { PatientId = 1, TenantId = "odd", Drug = "drug 1", Issued = DateTime.UnixEpoch });
                await db.SaveChangesAsync(Stop);
            }
            for (var turn = 0; turn < 3; turn++)
                Assert.Equal((before.Item1 + i, before.Item2), (await Count("odd"), await Count("even")));
        }
        await using var stranger = new Clinic(Clinic.Options(connection, new TenantInterceptor(() => "even")));
        stranger.Prescriptions.Add(new Prescription { PatientId = 1, TenantId = "odd", Drug = "x", Issued = DateTime.UnixEpoch });
        var error = await Assert.ThrowsAsync<DbUpdateException>(() => stranger.SaveChangesAsync(Stop));
        Assert.Equal("42501", Assert.IsType<PostgresException>(error.InnerException).SqlState);
    }
}
