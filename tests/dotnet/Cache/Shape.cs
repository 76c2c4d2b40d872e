// The statements of the table in deploy/dotnet.md, as an application writes them. A new one gets its line by
// PGSIDECAR_WRITE=1 tests/integration/run.py ... -k test_dotnet
using System.Runtime.CompilerServices;
using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace Behaviour;

/// <summary>`Code` is what stands in the table: the very text of the call.</summary>
public sealed record Shape(string Name, string Code, Func<Clinic, Task> Ask, string Keywords = "")
{
    private static readonly Func<Clinic, int, Task<Patient>> ById =
        EF.CompileAsyncQuery((Clinic db, int id) => db.Patients.Single(p => p.Id == id));

    private static readonly string tenant = "odd", name = "%1%", city = "Oslo";
    private static readonly int page = 1, id = 7;
    private static readonly int[] ids = [1, 2, 3];
    private static readonly DateTime since = DateTime.UnixEpoch;

    private static Shape Of(string name, Func<Clinic, Task> ask, string keywords = "",
        [CallerArgumentExpression(nameof(ask))] string code = "") =>
        new(name, System.Text.RegularExpressions.Regex.Replace(code[(code.IndexOf("=>", StringComparison.Ordinal) + 2)..].Trim(), @"\s*\n\s*", ""), ask, keywords);

    public static readonly Shape[] All =
    [
        Of("a page of a list", db => db.Prescriptions.Where(r => r.TenantId == tenant).OrderBy(r => r.Id).Skip(page * 10).Take(10).ToListAsync()),
        Of("another page, with `Max Auto Prepare=20`", db => Page(db, 2), "Max Auto Prepare=20;Auto Prepare Min Usages=2"),
        Of("another page, with `No Reset On Close=true`", db => Page(db, 3), "No Reset On Close=true"),
        Of("another page, with `Multiplexing=true`", db => Page(db, 4), "Multiplexing=true"),
        Of("by key, tracked", db => db.Patients.FindAsync(id).AsTask()),
        Of("by key, not tracked", db => db.Patients.AsNoTracking().SingleAsync(p => p.Id == id)),
        Of("compiled", db => ById(db, id)),
        Of("is there any", db => db.Prescriptions.AnyAsync(r => r.PatientId == id)),
        Of("how many", db => db.Prescriptions.CountAsync(r => r.TenantId == tenant)),
        Of("sums by group", db => db.Prescriptions.GroupBy(r => r.Drug).Select(g => new { g.Key, Sum = g.Sum(r => r.Dose) }).ToListAsync()),
        Of("with what belongs to it", db => db.Patients.Include(p => p.Prescriptions).Where(p => p.Id == id).ToListAsync()),
        Of("the same in two queries", db => db.Patients.Include(p => p.Prescriptions).AsSplitQuery().Where(p => p.Id == id).ToListAsync()),
        Of("a list of keys", db => db.Patients.Where(p => ids.Contains(p.Id)).ToListAsync()),
        Of("search", db => db.Patients.Where(p => EF.Functions.ILike(p.Name, name)).ToListAsync()),
        Of("in an array column", db => db.Prescriptions.Where(r => r.Tags.Contains("b2")).ToListAsync()),
        Of("in a JSON column", db => db.Patients.Where(p => p.Contact.City == city).ToListAsync()),
        Of("since a moment that stays the same", db => db.Prescriptions.Where(r => r.Issued >= since).CountAsync()),
        Of("since a moment that is another each time", db => db.Prescriptions.Where(r => r.Issued >= Moment()).CountAsync()),
        Of("until now, by the server's clock", db => db.Prescriptions.Where(r => r.Issued <= DateTime.UtcNow).CountAsync()),
        Of("with a tag", db => db.Patients.TagWith("the list page").Where(p => p.Id == id).ToListAsync()),
        Of("streamed", db => Stream(db.Prescriptions.OrderBy(r => r.Id).AsAsyncEnumerable())),
        Of("raw SQL", db => db.Prescriptions.FromSql($"SELECT * FROM \"Prescriptions\" WHERE \"PatientId\" = {id}").ToListAsync()),
        Of("a scalar by raw SQL", db => db.Database.SqlQuery<int>($"SELECT count(*)::int AS \"Value\" FROM \"Patients\"").SingleAsync()),
        Of("rows to be locked", db => db.Prescriptions.FromSql($"SELECT * FROM \"Prescriptions\" WHERE \"Id\" = {id} FOR UPDATE").ToListAsync()),
        Of("at random", db => db.Patients.OrderBy(p => EF.Functions.Random()).Take(3).ToListAsync()),
        Of("inside a transaction", db => InTransaction(db, () => db.Patients.CountAsync())),
        Of("a function of one's own, VOLATILE as it is unless declared otherwise", db => db.Database.SqlQuery<int>($"SELECT id AS \"Value\" FROM search({name}) AS id").ToListAsync()),
        Of("the same, declared STABLE", db => db.Database.SqlQuery<int>($"SELECT id AS \"Value\" FROM search_stable({name}) AS id").ToListAsync()),
        Of("a view", db => db.Database.SqlQuery<int>($"SELECT patients AS \"Value\" FROM cities WHERE city = {city}").ToListAsync()),
        Of("a new row", db => Save(db)),
        Of("a bulk update", db => db.Prescriptions.Where(r => r.PatientId == id).ExecuteUpdateAsync(s => s.SetProperty(r => r.Dose, 2))),
    ];

    /// <summary>What the shapes need beside the model's own tables.</summary>
    public const string Schema = """
        CREATE FUNCTION search(text) RETURNS SETOF int LANGUAGE sql AS 'SELECT "Id" FROM "Patients" WHERE "Name" LIKE $1';
        CREATE FUNCTION search_stable(text) RETURNS SETOF int LANGUAGE sql STABLE AS 'SELECT "Id" FROM "Patients" WHERE "Name" LIKE $1';
        CREATE VIEW cities AS SELECT "Contact" ->> 'City' AS city, count(*)::int AS patients FROM "Patients" GROUP BY 1
        """;

    private static int moments;

    private static DateTime Moment() => DateTime.UnixEpoch.AddTicks(10 * Interlocked.Increment(ref moments));

    private static Task Page(Clinic db, int page) =>
        db.Prescriptions.Where(r => r.TenantId == tenant).OrderBy(r => r.Id).Skip(page * 10).Take(10).ToListAsync();

    private static async Task Stream<T>(IAsyncEnumerable<T> rows)
    {
        await foreach (var _ in rows) { }
    }

    private static async Task InTransaction(Clinic db, Func<Task> ask)
    {
        await using var transaction = await db.Database.BeginTransactionAsync();
        await ask();
        await transaction.CommitAsync();
    }

    private static async Task Save(Clinic db)
    {
        db.Prescriptions.Add(new Prescription { PatientId = 7, Drug = "new", Issued = DateTime.UnixEpoch });
        await db.SaveChangesAsync();
    }
}
