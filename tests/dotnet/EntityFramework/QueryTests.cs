// What an application asks by Entity Framework Core: each often enough to come from the cache.
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Npgsql;
using Xunit;

namespace Behaviour;

/// <summary>A database with the clinic's tables and 20 patients.</summary>
public class FilledClinic : IAsyncLifetime
{
    public FilledClinic() : this(new Database()) { }

    protected FilledClinic(Database database) => Database = database;

    public Database Database { get; }
    public DbContextOptions<Clinic> Options { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        await Database.InitializeAsync();
        Options = Clinic.Options(Database.Connection);
        await using (var db = new Clinic(Options))
            await db.Database.EnsureCreatedAsync();
        await Clinic.Fill(Options, 20);
        await Database.Settle();
    }

    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        await Database.DisposeAsync();
    }
}

public abstract class ClinicCase(FilledClinic clinic) : IClassFixture<FilledClinic>
{
    protected const int Turns = 5;

    protected FilledClinic Filled { get; } = clinic;
    protected Clinic Open() => new(Filled.Options);
    protected static CancellationToken Stop => TestContext.Current.CancellationToken;
}

public sealed class QueryTests(FilledClinic clinic) : ClinicCase(clinic)
{
    private static readonly Func<Clinic, int, int, IAsyncEnumerable<Patient>> Page =
        EF.CompileAsyncQuery((Clinic db, int skip, int take) => db.Patients.OrderBy(p => p.Id).Skip(skip).Take(take));

    [Fact]
    public async Task Compiled_queries()
    {
        for (var turn = 0; turn < Turns; turn++)
        {
            await using var db = Open();
            var ids = new List<int>();
            await foreach (var patient in Page(db, 5, 3))
                ids.Add(patient.Id);
            Assert.Equal([6, 7, 8], ids);
        }
    }

    [Fact]
    public async Task Includes_in_one_query_and_in_several()
    {
        for (var turn = 0; turn < Turns; turn++)
        {
            await using var db = Open();
            var some = await db.Patients.AsNoTracking().Include(p => p.Prescriptions).OrderBy(p => p.Id).Skip(5).Take(3).ToListAsync(Stop);
            Assert.Equal([6, 7, 8], some.Select(p => p.Id));
            Assert.All(some, p => Assert.Equal(4, p.Prescriptions.Count));
            var split = await db.Patients.AsNoTracking().AsSplitQuery().Include(p => p.Prescriptions).OrderBy(p => p.Id).Skip(5).Take(3).ToListAsync(Stop);
            Assert.Equal(some.SelectMany(p => p.Prescriptions).Select(r => r.Id).Order(),
                split.SelectMany(p => p.Prescriptions).Select(r => r.Id).Order());
            Assert.Equal(10, await db.Prescriptions.CountAsync(r => r.Patient!.Contact.City == "Lyon" && r.Drug == "drug 2", Stop));
        }
    }

    [Fact]
    public async Task Tracking_and_no_tracking()
    {
        for (var turn = 0; turn < Turns; turn++)
        {
            await using var db = Open();
            var tracked = await db.Patients.SingleAsync(p => p.Id == 3, Stop);
            Assert.Same(tracked, await db.Patients.FindAsync([3], Stop));
            Assert.Same(tracked, await db.Patients.SingleAsync(p => p.Id == 3, Stop));
            Assert.NotSame(tracked, await db.Patients.AsNoTracking().SingleAsync(p => p.Id == 3, Stop));
            var both = await db.Prescriptions.AsNoTrackingWithIdentityResolution().Include(r => r.Patient).Where(r => r.PatientId == 3).ToListAsync(Stop);
            Assert.All(both, r => Assert.Same(both[0].Patient, r.Patient));
            Assert.Single(db.ChangeTracker.Entries());
        }
    }

    [Fact]
    public async Task Lists_of_values_and_columns_that_are_lists()
    {
        int[] ids = [2, 4, 6];
        for (var turn = 0; turn < Turns; turn++)
        {
            await using var db = Open();
            Assert.Equal(3, await db.Patients.CountAsync(p => ids.Contains(p.Id), Stop));
            Assert.Equal(20, await db.Prescriptions.CountAsync(r => r.Tags.Contains("b3"), Stop));
            Assert.Equal(80, await db.Prescriptions.CountAsync(r => r.Tags.Length == 2, Stop));
            Assert.Equal(2, await db.Patients.CountAsync(p => EF.Functions.ILike(p.Name, "%T 1_") && p.Id < 12, Stop));
        }
    }

    [Fact]
    public async Task Json_columns()
    {
        for (var turn = 0; turn < Turns; turn++)
        {
            await using var db = Open();
            Assert.Equal(10, await db.Patients.CountAsync(p => p.Contact.City == "Oslo", Stop));
            Assert.Equal("2-7", await db.Patients.Where(p => p.Id == 7).Select(p => p.Contact.Phones[1]).SingleAsync(Stop));
            Assert.Equal(["1-7", "2-7"], (await db.Patients.AsNoTracking().SingleAsync(p => p.Id == 7, Stop)).Contact.Phones);
        }
    }

    [Fact]
    public async Task Groups_and_sums()
    {
        for (var turn = 0; turn < Turns; turn++)
        {
            await using var db = Open();
            var doses = await db.Prescriptions.GroupBy(r => r.Drug).OrderBy(g => g.Key)
                .Select(g => new { g.Key, Count = g.Count(), Sum = g.Sum(r => r.Dose), Last = g.Max(r => r.Issued) }).ToListAsync(Stop);
            Assert.Equal(("drug 2", 20, 60m, DateTime.UnixEpoch.AddDays(2)), (doses[1].Key, doses[1].Count, doses[1].Sum, doses[1].Last));
        }
    }

    [Fact]
    public async Task Raw_sql()
    {
        for (var turn = 0; turn < Turns; turn++)
        {
            await using var db = Open();
            Assert.Equal(["patient 7", "patient 8"], await db.Patients.FromSql($"""SELECT *, xmin FROM "Patients" WHERE "Id" > {6}""")
                .Where(p => p.Id < 9).OrderBy(p => p.Id).Select(p => p.Name).ToListAsync(Stop));
            Assert.Equal(20, await db.Database.SqlQuery<int>($"""SELECT count(*)::int AS "Value" FROM "Patients" """).SingleAsync(Stop));
            var error = await Assert.ThrowsAsync<PostgresException>(() => db.Database.ExecuteSqlAsync($"SELECT 1 / {0}", Stop));
            Assert.Equal("22012", error.SqlState);
        }
    }

    [Fact]
    public async Task Streams_of_rows_with_another_query_beside_them()
    {
        for (var turn = 0; turn < Turns; turn++)
        {
            await using var db = Open();
            var rows = 0;
            await foreach (var r in db.Prescriptions.AsNoTracking().OrderBy(r => r.Id).AsAsyncEnumerable().WithCancellation(Stop))
            {
                await using var other = Open();
                if (++rows % 20 == 0)
                    Assert.Equal(4, await other.Prescriptions.CountAsync(x => x.PatientId == r.PatientId, Stop));
            }
            Assert.Equal(80, rows);
        }
    }

    [Fact]
    public async Task Contexts_from_a_pool()
    {
        var factory = new PooledDbContextFactory<Clinic>(Filled.Options, poolSize: 4);
        await Task.WhenAll(Enumerable.Range(0, 100).Select(async i =>
        {
            await using var db = await factory.CreateDbContextAsync(Stop);
            Assert.Empty(db.ChangeTracker.Entries());
            Assert.Equal(i % 20 + 1, (await db.Patients.SingleAsync(p => p.Id == i % 20 + 1, Stop)).Id);
        }));
    }

    [Fact]
    public async Task Interceptors_see_every_statement()
    {
        var counting = new CountingInterceptor();
        var options = Clinic.Options(Filled.Database.Connection, counting);
        for (var turn = 1; turn <= Turns; turn++)
        {
            await using var db = new Clinic(options);
            Assert.Equal(20, await db.Patients.TagWith("the list page").CountAsync(Stop));
            Assert.Equal(turn, counting.Count);
            Assert.StartsWith("-- the list page", counting.Last);
        }
    }
}
