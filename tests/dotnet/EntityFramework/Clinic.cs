// The model that the tests of Entity Framework Core share: patients, their prescriptions, a JSON column,
// a row version, and tenants by row-level security.
using System.Data.Common;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Diagnostics;

namespace Behaviour;

public sealed class Contact
{
    public string City { get; set; } = "";
    public List<string> Phones { get; set; } = [];
}

public sealed class Patient
{
    public int Id { get; set; }
    public string Name { get; set; } = "";
    public uint Version { get; set; }  // xmin
    public Contact Contact { get; set; } = new();
    public List<Prescription> Prescriptions { get; set; } = [];
}

public sealed class Prescription
{
    public int Id { get; set; }
    public int PatientId { get; set; }
    public Patient? Patient { get; set; }
    public string TenantId { get; set; } = "";
    public string Drug { get; set; } = "";
    public decimal Dose { get; set; }
    public DateTime Issued { get; set; }
    public string[] Tags { get; set; } = [];
}

public class Clinic(DbContextOptions options) : DbContext(options)
{
    public DbSet<Patient> Patients => Set<Patient>();
    public DbSet<Prescription> Prescriptions => Set<Prescription>();

    protected override void OnModelCreating(ModelBuilder model)
    {
        model.Entity<Patient>(patient =>
        {
            patient.Property(p => p.Version).IsRowVersion();
            patient.ComplexProperty(p => p.Contact, contact => contact.ToJson());
            patient.HasMany(p => p.Prescriptions).WithOne(r => r.Patient).HasForeignKey(r => r.PatientId);
        });
        model.Entity<Prescription>().HasIndex(r => new { r.TenantId, r.Issued });
    }

    public static DbContextOptions<Clinic> Options(string connection, params IInterceptor[] interceptors) =>
        new DbContextOptionsBuilder<Clinic>().UseNpgsql(connection).AddInterceptors(interceptors).Options;

    /// <summary>`patients` of them with four prescriptions each, of two tenants in turn.</summary>
    public static async Task Fill(DbContextOptions options, int patients)
    {
        await using var db = new Clinic(options);
        for (var i = 1; i <= patients; i++)
            db.Patients.Add(new Patient
            {
                Name = "patient " + i,
                Contact = new Contact { City = i % 2 == 0 ? "Lyon" : "Oslo", Phones = ["1-" + i, "2-" + i] },
                Prescriptions = [.. Enumerable.Range(1, 4).Select(n => new Prescription
                {
                    TenantId = i % 2 == 0 ? "even" : "odd", Drug = "drug " + n, Dose = n * 1.5m,
                    Issued = DateTime.UnixEpoch.AddDays(n), Tags = ["a", "b" + n],
                })],
            });
        await db.SaveChangesAsync();
    }
}

/// <summary>Says whose connection it is, each time the context opens one.</summary>
public sealed class TenantInterceptor(Func<string> tenant) : DbConnectionInterceptor
{
    public override async Task ConnectionOpenedAsync(
        DbConnection connection, ConnectionEndEventData data, CancellationToken cancellationToken = default)
    {
        await using var command = connection.CreateCommand();
        command.CommandText = "SELECT set_config('app.tenant_id', @tenant, false)";
        var parameter = command.CreateParameter();
        parameter.ParameterName = "tenant";
        parameter.Value = tenant();
        command.Parameters.Add(parameter);
        await command.ExecuteNonQueryAsync(cancellationToken);
    }
}

/// <summary>Says in each statement whose it is, as sqlcommenter does.</summary>
public sealed class TenantTag(Func<string> tenant) : DbCommandInterceptor
{
    private void Tag(DbCommand command) => command.CommandText += $" /*tenant='{Uri.EscapeDataString(tenant())}'*/";

    public override ValueTask<InterceptionResult<DbDataReader>> ReaderExecutingAsync(
        DbCommand command, CommandEventData data, InterceptionResult<DbDataReader> result, CancellationToken token = default)
    {
        Tag(command);
        return ValueTask.FromResult(result);
    }

    public override ValueTask<InterceptionResult<int>> NonQueryExecutingAsync(
        DbCommand command, CommandEventData data, InterceptionResult<int> result, CancellationToken token = default)
    {
        Tag(command);
        return ValueTask.FromResult(result);
    }
}

/// <summary>Counts the statements of a context and remembers the last one.</summary>
public sealed class CountingInterceptor : DbCommandInterceptor
{
    public int Count { get; private set; }
    public string Last { get; private set; } = "";

    public override ValueTask<InterceptionResult<DbDataReader>> ReaderExecutingAsync(
        DbCommand command, CommandEventData data, InterceptionResult<DbDataReader> result, CancellationToken token = default)
    {
        (Count, Last) = (Count + 1, command.CommandText);
        return ValueTask.FromResult(result);
    }
}
