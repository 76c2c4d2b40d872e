// What the application keeps. Every row says whose it is; row-level security holds it to that.
namespace PrescriptionApi.Data;

public enum PrescriptionStatus
{
    Active,
    OnHold,
    Dispensed,
    Cancelled,
}

public sealed class Patient
{
    public Guid Id { get; init; } = Guid.CreateVersion7();
    public required string TenantId { get; init; }
    public required string Name { get; set; }
    public DateOnly BirthDate { get; set; }
}

public sealed class Prescription
{
    public Guid Id { get; init; } = Guid.CreateVersion7();
    public required string TenantId { get; init; }
    public required Guid PatientId { get; init; }
    public Patient? Patient { get; init; }
    public required string Drug { get; set; }
    public required string Dosage { get; set; }
    public PrescriptionStatus Status { get; set; }
    public DateTime IssuedAt { get; init; }

    /// <summary>PostgreSQL's xmin: another one after each change of the row.</summary>
    public uint Version { get; init; }

    /// <summary>What a status may become. Cancelling has an endpoint of its own.</summary>
    public static bool MayBecome(PrescriptionStatus from, PrescriptionStatus to) => (from, to) switch
    {
        (PrescriptionStatus.Active, PrescriptionStatus.OnHold or PrescriptionStatus.Dispensed) => true,
        (PrescriptionStatus.OnHold, PrescriptionStatus.Active) => true,
        _ => false,
    };
}
