// What goes over HTTP.
using System.ComponentModel.DataAnnotations;
using System.Linq.Expressions;
using PrescriptionApi.Data;

namespace PrescriptionApi;

public sealed record NewPatient(
    [Required, StringLength(200, MinimumLength = 1)] string Name, DateOnly BirthDate);

public sealed record NewPrescription(
    Guid PatientId,
    [Required, StringLength(200, MinimumLength = 1)] string Drug,
    [Required, StringLength(200, MinimumLength = 1)] string Dosage);

/// <param name="Version">The version that the caller has seen; 409 if the row has changed since.</param>
public sealed record StatusChange(PrescriptionStatus Status, uint Version);

public sealed record PatientView(Guid Id, string Tenant, string Name, DateOnly BirthDate);

public sealed record PrescriptionView(
    Guid Id, string Tenant, Guid PatientId, string Patient, string Drug, string Dosage,
    PrescriptionStatus Status, DateTime IssuedAt, uint Version)
{
    public static readonly Expression<Func<Prescription, PrescriptionView>> FromRow = p => new PrescriptionView(
        p.Id, p.TenantId, p.PatientId, p.Patient!.Name, p.Drug, p.Dosage, p.Status, p.IssuedAt, p.Version);
}

public sealed record Page<T>(IReadOnlyList<T> Items, int Number, int Size, int Total);
