// Entity Framework Core: creating and dropping a database, reading, saving, concurrency, raw SQL.
using Microsoft.EntityFrameworkCore;
using static Harness;

internal sealed class Patient
{
    public int Id { get; set; }
    public string Name { get; set; } = "";
    public List<Prescription> Prescriptions { get; set; } = [];
}

internal sealed class Prescription
{
    public int Id { get; set; }
    public int PatientId { get; set; }
    public string Drug { get; set; } = "";
    public decimal Dose { get; set; }
    public DateTime Issued { get; set; }
    public string[] Tags { get; set; } = [];
}

internal sealed class Clinic(string connection) : DbContext
{
    public DbSet<Patient> Patients => Set<Patient>();
    public DbSet<Prescription> Prescriptions => Set<Prescription>();

    protected override void OnConfiguring(DbContextOptionsBuilder options) => options.UseNpgsql(connection);

    protected override void OnModelCreating(ModelBuilder model)
    {
        model.Entity<Patient>().Property<uint>("Version").IsRowVersion();
        model.Entity<Patient>().HasMany(p => p.Prescriptions).WithOne().HasForeignKey(r => r.PatientId);
    }
}

internal static class EfCases
{
    public static async Task Run(string connection)
    {
        await Test("EF: a database that does not exist is created", async () =>
        {
            await using var db = new Clinic(connection);
            Same(await db.Database.CanConnectAsync(), false);
            Same(await db.Database.EnsureCreatedAsync(), true);
            Same(await db.Database.EnsureCreatedAsync(), false);
        });
        await Test("EF: saved entities are read back at once, by another context", async () =>
        {
            for (var i = 1; i <= 30; i++)
            {
                await using (var db = new Clinic(connection))
                {
                    db.Patients.Add(new Patient
                    {
                        Name = "patient " + i,
                        Prescriptions = [.. Enumerable.Range(1, 4).Select(n => new Prescription
                            { Drug = "drug " + n, Dose = n * 1.5m, Issued = DateTime.UnixEpoch.AddDays(n), Tags = ["a", "b"] })],
                    });
                    Same(await db.SaveChangesAsync(), 5);
                }
                await using (var db = new Clinic(connection))
                {
                    Same(await db.Patients.CountAsync(), i);
                    Same(await db.Prescriptions.CountAsync(p => p.Drug == "drug 2"), i);
                }
            }
        });
        await Test("EF: repeated queries with includes, paging and split queries", async () =>
        {
            for (var turn = 0; turn < 6; turn++)
            {
                await using var db = new Clinic(connection);
                var some = await db.Patients.Include(p => p.Prescriptions).OrderBy(p => p.Id).Skip(5).Take(3).ToListAsync();
                Same(some.Count, 3);
                Same(some.Sum(p => p.Prescriptions.Count), 12);
                var split = await db.Patients.AsSplitQuery().Include(p => p.Prescriptions).OrderBy(p => p.Id).Take(3).ToListAsync();
                Same(split.Sum(p => p.Prescriptions.Count), 12);
                Same(await db.Prescriptions.Where(p => p.Tags.Contains("a")).SumAsync(p => p.Dose), 450m);
            }
        });
        await Test("EF: a stale row version is refused", async () =>
        {
            await using var first = new Clinic(connection);
            await using var second = new Clinic(connection);
            for (var turn = 0; turn < 3; turn++)
            {
                var mine = await first.Patients.OrderBy(p => p.Id).FirstAsync();
                var theirs = await second.Patients.OrderBy(p => p.Id).FirstAsync();
                mine.Name = "mine " + turn;
                theirs.Name = "theirs " + turn;
                await first.SaveChangesAsync();
                await Throws<DbUpdateConcurrencyException>(() => second.SaveChangesAsync(), _ => true);
                first.ChangeTracker.Clear();
                second.ChangeTracker.Clear();
                Same((await second.Patients.OrderBy(p => p.Id).FirstAsync()).Name, "mine " + turn);
                second.ChangeTracker.Clear();
            }
        });
        await Test("EF: bulk update and delete are seen at once", async () =>
        {
            await using var db = new Clinic(connection);
            for (var turn = 0; turn < 5; turn++)
            {
                await db.Prescriptions.Where(p => p.Drug == "drug 1").ExecuteUpdateAsync(s => s.SetProperty(p => p.Dose, turn));
                Same(await db.Prescriptions.Where(p => p.Drug == "drug 1").MaxAsync(p => p.Dose), (decimal)turn);
            }
            await db.Patients.Where(p => p.Id == 1).ExecuteDeleteAsync();  // cascades
            Same(await db.Prescriptions.CountAsync(p => p.PatientId == 1), 0);
        });
        await Test("EF: a rolled-back transaction leaves nothing behind", async () =>
        {
            await using var db = new Clinic(connection);
            var before = await db.Patients.CountAsync();
            await using (var t = await db.Database.BeginTransactionAsync())
            {
                db.Patients.Add(new Patient { Name = "never" });
                await db.SaveChangesAsync();
                Same(await db.Patients.CountAsync(), before + 1);
                await t.RollbackAsync();
            }
            Same(await db.Patients.CountAsync(), before);
        });
        await Test("EF: the database is dropped while its answers are cached", async () =>
        {
            await using (var db = new Clinic(connection))
                Same(await db.Database.EnsureDeletedAsync(), true);
            await using (var db = new Clinic(connection))
            {
                Same(await db.Database.EnsureCreatedAsync(), true);
                Same(await db.Patients.CountAsync(), 0);
                Same(await db.Database.EnsureDeletedAsync(), true);
            }
        });
    }
}
