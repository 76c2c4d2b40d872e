// What an application writes by Entity Framework Core, and that the next one to read sees it.
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Diagnostics;
using Npgsql;
using Xunit;

namespace Behaviour;

public sealed class SaveTests(FilledClinic clinic) : ClinicCase(clinic)
{
    [Fact]
    public async Task What_is_saved_is_read_at_once_by_another_context()
    {
        for (var i = 1; i <= 20; i++)
        {
            await using (var db = Open())
            {
                db.Prescriptions.Add(new Prescription { PatientId = 1, Drug = "new", Issued = DateTime.UnixEpoch });
                Assert.Equal(1, await db.SaveChangesAsync(Stop));
            }
            await using (var db = Open())
                for (var turn = 0; turn < 3; turn++)
                    Assert.Equal(i, await db.Prescriptions.CountAsync(r => r.Drug == "new", Stop));
        }
    }

    [Fact]
    public async Task A_stale_row_version_is_refused()
    {
        await using var first = Open();
        await using var second = Open();
        for (var turn = 0; turn < Turns; turn++)
        {
            var mine = await first.Patients.SingleAsync(p => p.Id == 2, Stop);
            var theirs = await second.Patients.SingleAsync(p => p.Id == 2, Stop);
            Assert.Equal(mine.Version, theirs.Version);
            mine.Name = "mine " + turn;
            theirs.Name = "theirs " + turn;
            await first.SaveChangesAsync(Stop);
            var error = await Assert.ThrowsAsync<DbUpdateConcurrencyException>(() => second.SaveChangesAsync(Stop));
            await error.Entries.Single().ReloadAsync(Stop);
            Assert.Equal("mine " + turn, theirs.Name);
            theirs.Name = "theirs after all";
            Assert.Equal(1, await second.SaveChangesAsync(Stop));
            first.ChangeTracker.Clear();
            second.ChangeTracker.Clear();
        }
    }

    [Fact]
    public async Task ExecuteUpdate_and_ExecuteDelete_are_seen_at_once()
    {
        await using var db = Open();
        for (var turn = 0; turn < Turns; turn++)
        {
            Assert.Equal(20, await db.Prescriptions.Where(r => r.Drug == "drug 1")
                .ExecuteUpdateAsync(s => s.SetProperty(r => r.Dose, r => r.PatientId + turn), Stop));
            Assert.Equal(20 + turn, await db.Prescriptions.Where(r => r.Drug == "drug 1").MaxAsync(r => r.Dose, Stop));
        }
        Assert.Equal(1, await db.Patients.Where(p => p.Id == 20).ExecuteUpdateAsync(s => s.SetProperty(p => p.Contact.City, "Bergen"), Stop));
        Assert.Equal("Bergen", (await db.Patients.SingleAsync(p => p.Id == 20, Stop)).Contact.City);
        await db.Patients.Where(p => p.Id == 19).ExecuteDeleteAsync(Stop);  // with what refers to it
        Assert.Equal(0, await db.Prescriptions.CountAsync(r => r.PatientId == 19, Stop));
    }

    [Fact]
    public async Task A_thousand_entities_in_one_SaveChanges()
    {
        await using var db = Open();
        Assert.Equal(0, await db.Prescriptions.CountAsync(r => r.TenantId == "bulk", Stop));
        db.Prescriptions.AddRange(Enumerable.Range(1, 1000).Select(i => new Prescription
            { PatientId = 5, TenantId = "bulk", Drug = "bulk " + i, Issued = DateTime.UnixEpoch, Dose = i }));
        Assert.Equal(1000, await db.SaveChangesAsync(Stop));
        Assert.Equal(1000, db.Prescriptions.Local.Select(r => r.Id).Distinct().Count());
        Assert.Equal(500500m, await db.Prescriptions.Where(r => r.TenantId == "bulk").SumAsync(r => r.Dose, Stop));
        foreach (var r in db.Prescriptions.Local)
            r.Dose += 1;
        db.Prescriptions.RemoveRange(db.Prescriptions.Local.Where(r => r.Dose > 900).ToList());
        Assert.Equal(1000, await db.SaveChangesAsync(Stop));
        Assert.Equal(899, await db.Prescriptions.CountAsync(r => r.TenantId == "bulk", Stop));
    }

    [Fact]
    public async Task An_error_in_the_middle_of_SaveChanges_takes_all_back()
    {
        await using var db = Open();
        db.Prescriptions.AddRange(Enumerable.Range(1, 100).Select(i => new Prescription
            { PatientId = i == 60 ? 4711 : 5, TenantId = "half", Drug = "drug", Issued = DateTime.UnixEpoch }));
        var error = await Assert.ThrowsAsync<DbUpdateException>(() => db.SaveChangesAsync(Stop));
        Assert.Equal("23503", Assert.IsType<PostgresException>(error.InnerException).SqlState);
        for (var turn = 0; turn < 3; turn++)
            Assert.Equal(0, await db.Prescriptions.CountAsync(r => r.TenantId == "half", Stop));
    }

    [Fact]
    public async Task A_transaction_with_savepoints_that_is_rolled_back()
    {
        await using var db = Open();
        await using var other = Open();
        await using (var transaction = await db.Database.BeginTransactionAsync(Stop))
        {
            db.Prescriptions.Add(new Prescription { PatientId = 6, Drug = "kept?", Issued = DateTime.UnixEpoch });
            await db.SaveChangesAsync(Stop);
            db.Prescriptions.Add(new Prescription { PatientId = 4711, Drug = "kept?", Issued = DateTime.UnixEpoch });
            await Assert.ThrowsAsync<DbUpdateException>(() => db.SaveChangesAsync(Stop));  // to its own savepoint
            Assert.Equal(1, await db.Prescriptions.CountAsync(r => r.Drug == "kept?", Stop));
            Assert.Equal(0, await other.Prescriptions.CountAsync(r => r.Drug == "kept?", Stop));
            await transaction.RollbackAsync(Stop);
        }
        Assert.Equal(0, await db.Prescriptions.CountAsync(r => r.Drug == "kept?", Stop));
    }

    private sealed class Stamp : SaveChangesInterceptor
    {
        public override ValueTask<InterceptionResult<int>> SavingChangesAsync(
            DbContextEventData data, InterceptionResult<int> result, CancellationToken token = default)
        {
            foreach (var entry in data.Context!.ChangeTracker.Entries<Prescription>())
                entry.Entity.TenantId = "stamped";
            return ValueTask.FromResult(result);
        }
    }

    [Fact]
    public async Task An_interceptor_that_changes_what_is_saved()
    {
        var options = Clinic.Options(Filled.Database.Connection, new Stamp());
        for (var turn = 1; turn <= Turns; turn++)
        {
            await using var db = new Clinic(options);
            db.Prescriptions.Add(new Prescription { PatientId = 7, Drug = "x", Issued = DateTime.UnixEpoch });
            await db.SaveChangesAsync(Stop);
            Assert.Equal(turn, await db.Prescriptions.CountAsync(r => r.TenantId == "stamped", Stop));
        }
    }

    private Clinic Retrying() => new(new DbContextOptionsBuilder<Clinic>().UseNpgsql(Filled.Database.Connection,
        o => o.EnableRetryOnFailure(4, TimeSpan.FromMilliseconds(20), null)).Options);

    /// <summary>The first two inserts of such a drug fail with this SQLSTATE.</summary>
    private async Task Fragile(string drug, string state) => await Filled.Database.Source.Run($"""
        CREATE SEQUENCE {drug}_attempts;
        CREATE FUNCTION {drug}_fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('{drug}_attempts') < 3 THEN RAISE 'not yet' USING ERRCODE = '{state}'; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER {drug} BEFORE INSERT ON "Prescriptions" FOR EACH ROW
            WHEN (NEW."Drug" = '{drug}') EXECUTE FUNCTION {drug}_fails();
        """);

    private Task<long> Attempts(string drug) => Filled.Database.Source.One<long>($"SELECT last_value FROM {drug}_attempts");

    private static Prescription Of(string drug) => new() { PatientId = 8, Drug = drug, Issued = DateTime.UnixEpoch };

    [Theory]
    [InlineData("40001", true)]  // serialization_failure
    [InlineData("40P01", true)]  // deadlock_detected
    [InlineData("55P03", true)]  // lock_not_available: the program's own refusals are of this kind
    [InlineData("57014", false)]  // query_canceled
    [InlineData("54000", false)]  // program_limit_exceeded
    public async Task What_EnableRetryOnFailure_tries_again(string state, bool again)
    {
        var drug = "fragile_" + state.ToLowerInvariant();
        await Fragile(drug, state);
        await using var db = Retrying();
        db.Prescriptions.Add(Of(drug));
        if (again)
            Assert.Equal(1, await db.SaveChangesAsync(Stop));
        else
            Assert.Equal(state, ((PostgresException?)(await Assert.ThrowsAsync<DbUpdateException>(() => db.SaveChangesAsync(Stop))).InnerException)!.SqlState);
        Assert.Equal(again ? 1 : 0, await db.Prescriptions.CountAsync(r => r.Drug == drug, Stop));
        Assert.Equal(again ? 3 : 1, await Attempts(drug));
    }

    [Fact]
    public async Task A_transaction_that_is_tried_again_as_a_whole()
    {
        await Fragile("fragile_block", "40001");
        await using var db = Retrying();
        await using (await db.Database.BeginTransactionAsync(Stop))  // whose beginning EF could not repeat
            await Assert.ThrowsAsync<InvalidOperationException>(() => db.Prescriptions.CountAsync(Stop));
        var runs = 0;
        await db.Database.CreateExecutionStrategy().ExecuteAsync(async () =>
        {
            runs++;
            db.ChangeTracker.Clear();
            await using var transaction = await db.Database.BeginTransactionAsync(Stop);
            db.Prescriptions.Add(Of("fragile_block"));
            await db.SaveChangesAsync(Stop);
            await transaction.CommitAsync(Stop);
        });
        Assert.Equal(3, runs);
        Assert.Equal(1, await db.Prescriptions.CountAsync(r => r.Drug == "fragile_block", Stop));
    }
}
