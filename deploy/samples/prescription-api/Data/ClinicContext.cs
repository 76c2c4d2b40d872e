using System.Text.RegularExpressions;
using Microsoft.EntityFrameworkCore;

namespace PrescriptionApi.Data;

/// <summary>
/// One unit of work for one tenant. It is not pooled by AddDbContextPool: a pooled context would outlive
/// the request whose tenant it was given.
/// </summary>
public sealed partial class ClinicContext(DbContextOptions<ClinicContext> options, Tenant tenant) : DbContext(options)
{
    public Tenant Tenant => tenant;
    public DbSet<Patient> Patients => Set<Patient>();
    public DbSet<Prescription> Prescriptions => Set<Prescription>();

    protected override void OnModelCreating(ModelBuilder model)
    {
        model.Entity<Patient>(patient =>
        {
            patient.ToTable("patients");
            patient.Property(p => p.TenantId).HasMaxLength(Tenant.MaxLength);
            patient.Property(p => p.Name).HasMaxLength(200);
            patient.HasAlternateKey(p => new { p.TenantId, p.Id });
        });
        model.Entity<Prescription>(prescription =>
        {
            prescription.ToTable("prescriptions");
            prescription.Property(p => p.TenantId).HasMaxLength(Tenant.MaxLength);
            prescription.Property(p => p.Drug).HasMaxLength(200);
            prescription.Property(p => p.Dosage).HasMaxLength(200);
            prescription.Property(p => p.Status).HasConversion<string>().HasMaxLength(20);
            prescription.Property(p => p.Version).IsRowVersion();
            // Foreign keys are checked past row-level security. With the tenant in the key no row can
            // point at another tenant's patient.
            prescription.HasOne(p => p.Patient).WithMany().HasForeignKey(p => new { p.TenantId, p.PatientId })
                .HasPrincipalKey(p => new { p.TenantId, p.Id }).OnDelete(DeleteBehavior.Restrict);
            prescription.HasIndex(p => new { p.TenantId, p.IssuedAt, p.Id }).IsDescending(false, true, false);
            prescription.HasIndex(p => new { p.TenantId, p.Status });
        });
        foreach (var property in model.Model.GetEntityTypes().SelectMany(e => e.GetProperties()))
            if (!property.IsConcurrencyToken)  // that one is the system column xmin
                property.SetColumnName(WordStart().Replace(property.Name, "_$0").ToLowerInvariant());
    }

    [GeneratedRegex("(?<!^)[A-Z]")]
    private static partial Regex WordStart();
}
