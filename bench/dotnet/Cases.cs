using System.Data.Common;
using Dapper;
using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace PgSidecar.Bench;

internal sealed class Prescription
{
    public long Id { get; set; }
    public string TenantId { get; set; } = "";
    public long PatientId { get; set; }
    public string DrugName { get; set; } = "";
    public string Dosage { get; set; } = "";
    public int Quantity { get; set; }
    public short Refills { get; set; }
    public string Status { get; set; } = "";
    public DateTime PrescribedAt { get; set; }
    public DateOnly ExpiresOn { get; set; }
    public string? Notes { get; set; }
}

internal sealed class Clinic(DbContextOptions<Clinic> options) : DbContext(options)
{
    public DbSet<Prescription> Prescriptions => Set<Prescription>();

    protected override void OnModelCreating(ModelBuilder model)
    {
        var table = model.Entity<Prescription>().ToTable("prescriptions");
        foreach (var property in table.Metadata.GetProperties())
            property.SetColumnName(Columns.Of(property.Name));
    }
}

internal static class Columns
{
    public const string All =
        "id, tenant_id, patient_id, drug_name, dosage, quantity, refills, status, prescribed_at, expires_on, notes";

    /// <summary>PrescribedAt -> prescribed_at.</summary>
    public static string Of(string property) => string.Concat(property.Select((c, i) =>
        char.IsUpper(c) ? (i == 0 ? "" : "_") + char.ToLowerInvariant(c) : c.ToString()));
}

/// <summary>A key: the row of a point select, or where a tenant's page of 100 rows begins.</summary>
internal readonly record struct Key(string Tenant, long Id);

/// <summary>One way to ask. It gives the number of rows that came.</summary>
internal sealed record Case(
    string Name, int Rows, Func<long, Key> KeyOf, Func<Connections, Key, Task<int>> Ask);

/// <summary>How each library reaches one target.</summary>
internal sealed class Connections : IDisposable
{
    public Connections(string connectionString)
    {
        Source = NpgsqlDataSource.Create(connectionString);
        Contexts = new Microsoft.EntityFrameworkCore.Infrastructure.PooledDbContextFactory<Clinic>(
            new DbContextOptionsBuilder<Clinic>().UseNpgsql(Source)
                .UseQueryTrackingBehavior(QueryTrackingBehavior.NoTracking).Options);
    }

    public NpgsqlDataSource Source { get; }
    public IDbContextFactory<Clinic> Contexts { get; }

    public void Dispose() => Source.Dispose();
}

internal static class Cases
{
    private const string ById = $"SELECT {Columns.All} FROM prescriptions WHERE id = @id";
    private const string Page = $"SELECT {Columns.All} FROM prescriptions WHERE tenant_id = @tenant AND id <= @id" +
                                " ORDER BY id DESC LIMIT 100";
    private const long Stride = 7919; // prime: neighbouring keys are on different pages
    private const int Tenants = 50;

    public static Case[] All(long rows)
    {
        DefaultTypeMap.MatchNamesWithUnderscores = true;
        Key Point(long n) => new("", 1 + n * Stride % rows);
        // A page never begins in the lower half, so every page is full.
        Key List(long n) => new($"pharmacy-{n % Tenants + 1:00}", rows - n / Tenants * 3 % (rows / 2));
        return
        [
            new("Npgsql, by id", 1, Point, AskNpgsql), new("Npgsql, list", 100, List, AskNpgsql),
            new("Dapper, by id", 1, Point, AskDapper), new("Dapper, list", 100, List, AskDapper),
            new("EF Core, by id", 1, Point, AskEntityFramework), new("EF Core, list", 100, List, AskEntityFramework),
        ];
    }

    private static async Task<int> AskNpgsql(Connections to, Key key)
    {
        var list = key.Tenant.Length > 0;
        await using var connection = await to.Source.OpenConnectionAsync();
        await using var command = new NpgsqlCommand(list ? Page : ById, connection);
        if (list) command.Parameters.Add(new NpgsqlParameter<string>("tenant", key.Tenant));
        command.Parameters.Add(new NpgsqlParameter<long>("id", key.Id));
        await using var reader = await command.ExecuteReaderAsync();
        var rows = 0;
        for (; await reader.ReadAsync(); rows++) Read(reader);
        return rows;
    }

    private static Prescription Read(DbDataReader row) => new()
    {
        Id = row.GetInt64(0), TenantId = row.GetString(1), PatientId = row.GetInt64(2), DrugName = row.GetString(3),
        Dosage = row.GetString(4), Quantity = row.GetInt32(5), Refills = row.GetInt16(6), Status = row.GetString(7),
        PrescribedAt = row.GetDateTime(8), ExpiresOn = row.GetFieldValue<DateOnly>(9),
        Notes = row.IsDBNull(10) ? null : row.GetString(10),
    };

    private static async Task<int> AskDapper(Connections to, Key key)
    {
        await using var connection = await to.Source.OpenConnectionAsync();
        var found = key.Tenant.Length > 0
            ? await connection.QueryAsync<Prescription>(Page, new { tenant = key.Tenant, id = key.Id })
            : await connection.QueryAsync<Prescription>(ById, new { id = key.Id });
        return found.Count();
    }

    private static async Task<int> AskEntityFramework(Connections to, Key key)
    {
        await using var clinic = await to.Contexts.CreateDbContextAsync();
        var (tenant, id) = key;
        if (tenant.Length == 0)
            return await clinic.Prescriptions.FirstOrDefaultAsync(p => p.Id == id) is null ? 0 : 1;
        var page = await clinic.Prescriptions.Where(p => p.TenantId == tenant && p.Id <= id)
            .OrderByDescending(p => p.Id).Take(100).ToListAsync();
        return page.Count;
    }
}
