using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;
using Npgsql;
using PrescriptionApi.Data;

namespace PrescriptionApi;

using Found = Results<Ok<PrescriptionView>, NotFound>;
using Changed = Results<Ok<PrescriptionView>, NotFound, ProblemHttpResult>;

/// <summary>No query here names a tenant: the server's policies do.</summary>
public static class PrescriptionEndpoints
{
    private const string Escape = @"\";  // EF Core's ILike without one has none

    public static void MapPrescriptions(this IEndpointRouteBuilder app)
    {
        var all = app.MapGroup("/").AddEndpointFilter<TenantFilter>();
        all.MapPost("/patients", CreatePatient);
        all.MapGet("/prescriptions", List);
        all.MapGet("/prescriptions/{id:guid}", ById);
        all.MapGet("/prescriptions/search", Search);
        all.MapGet("/prescriptions/export", Export);
        all.MapPost("/prescriptions", Create);
        all.MapPut("/prescriptions/{id:guid}/status", ChangeStatus);
        all.MapPost("/prescriptions/{id:guid}/cancel", Cancel);
    }

    private static async Task<Created<PatientView>> CreatePatient(
        NewPatient given, ClinicContext db, CancellationToken ended)
    {
        var patient = new Patient { TenantId = db.Tenant.Name, Name = given.Name, BirthDate = given.BirthDate };
        db.Add(patient);
        await db.SaveChangesAsync(ended);
        return TypedResults.Created((string?)null,
            new PatientView(patient.Id, patient.TenantId, patient.Name, patient.BirthDate));
    }

    private static async Task<Results<Ok<Page<PrescriptionView>>, ProblemHttpResult>> List(
        ClinicContext db, PerformanceSettings settings, CancellationToken ended,
        PrescriptionStatus? status = null, int page = 1, int? size = null)
    {
        var rows = size ?? settings.DefaultPageSize;
        if (page < 1 || rows < 1 || rows > settings.MaxPageSize || (long)page * rows > int.MaxValue)
            return TypedResults.Problem(statusCode: 400, title: $"A page has 1 to {settings.MaxPageSize} rows.");
        var query = db.Prescriptions.AsNoTracking();
        if (status is not null)
            query = query.Where(p => p.Status == status);
        var total = await query.CountAsync(ended);
        var items = await query.OrderByDescending(p => p.IssuedAt).ThenBy(p => p.Id)
            .Skip((page - 1) * rows).Take(rows).Select(PrescriptionView.FromRow).ToListAsync(ended);
        return TypedResults.Ok(new Page<PrescriptionView>(items, page, rows, total));
    }

    private static async Task<Found> ById(Guid id, ClinicContext db, CancellationToken ended) =>
        await Read(db, id, ended) is { } found ? TypedResults.Ok(found) : TypedResults.NotFound();

    private static async Task<Ok<List<PrescriptionView>>> Search(
        string q, ClinicContext db, PerformanceSettings settings, CancellationToken ended)
    {
        var pattern = "%" + q.Replace(@"\", @"\\").Replace("%", @"\%").Replace("_", @"\_") + "%";
        return TypedResults.Ok(await db.Prescriptions
            .Where(p => EF.Functions.ILike(p.Drug, pattern, Escape)
                || EF.Functions.ILike(p.Patient!.Name, pattern, Escape))
            .OrderByDescending(p => p.IssuedAt).ThenBy(p => p.Id)
            .Take(settings.DefaultPageSize).Select(PrescriptionView.FromRow).ToListAsync(ended));
    }

    /// <summary>Rows go out as they come from the server; nobody holds them all.</summary>
    private static async Task<Ok<IAsyncEnumerable<PrescriptionView>>> Export(
        [FromKeyedServices(DatabaseSetup.Streaming)] ClinicContext db, PerformanceSettings settings,
        CancellationToken ended)
    {
        var rows = db.Prescriptions.OrderBy(p => p.IssuedAt).ThenBy(p => p.Id).Select(PrescriptionView.FromRow);
        return TypedResults.Ok(settings.EnableAsyncStreaming
            ? rows.AsAsyncEnumerable() : (await rows.ToListAsync(ended)).ToAsyncEnumerable());
    }

    private static async Task<Results<Created<PrescriptionView>, ProblemHttpResult>> Create(
        NewPrescription given, ClinicContext db, TimeProvider clock, CancellationToken ended)
    {
        var row = new Prescription
        {
            TenantId = db.Tenant.Name, PatientId = given.PatientId, Drug = given.Drug, Dosage = given.Dosage,
            IssuedAt = clock.GetUtcNow().UtcDateTime,
        };
        db.Add(row);
        try
        {
            await db.SaveChangesAsync(ended);
        }
        catch (DbUpdateException e) when (e.InnerException is PostgresException
            { SqlState: PostgresErrorCodes.ForeignKeyViolation })
        {
            return TypedResults.Problem(statusCode: 422, title: "There is no such patient.");
        }
        return TypedResults.Created($"/prescriptions/{row.Id}", await Read(db, row.Id, ended));
    }

    private static async Task<Changed> ChangeStatus(
        Guid id, StatusChange change, ClinicContext db, CancellationToken ended)
    {
        var row = await db.Prescriptions.SingleOrDefaultAsync(p => p.Id == id, ended);
        if (row is null)
            return TypedResults.NotFound();
        // What the caller saw, not what was read just now: the UPDATE finds its row only if they are the same.
        db.Entry(row).Property(p => p.Version).OriginalValue = change.Version;
        if (change.Version == row.Version && !Prescription.MayBecome(row.Status, change.Status))
            return TypedResults.Problem(statusCode: 422, title: $"{row.Status} cannot become {change.Status}.");
        row.Status = change.Status;
        db.Entry(row).Property(p => p.Status).IsModified = true;
        try
        {
            await db.SaveChangesAsync(ended);
        }
        catch (DbUpdateConcurrencyException)
        {
            return TypedResults.Problem(statusCode: 409, title: "The prescription has changed since it was read.");
        }
        return TypedResults.Ok(await Read(db, id, ended));
    }

    /// <summary>Without reading it first: one UPDATE decides.</summary>
    private static async Task<Changed> Cancel(Guid id, ClinicContext db, CancellationToken ended)
    {
        var changed = await db.Prescriptions
            .Where(p => p.Id == id && (p.Status == PrescriptionStatus.Active || p.Status == PrescriptionStatus.OnHold))
            .ExecuteUpdateAsync(row => row.SetProperty(p => p.Status, PrescriptionStatus.Cancelled), ended);
        var now = await Read(db, id, ended);
        if (now is null)
            return TypedResults.NotFound();
        return changed == 1 ? TypedResults.Ok(now)
            : TypedResults.Problem(statusCode: 409, title: $"{now.Status} cannot be cancelled.");
    }

    private static Task<PrescriptionView?> Read(ClinicContext db, Guid id, CancellationToken ended) =>
        db.Prescriptions.Where(p => p.Id == id).Select(PrescriptionView.FromRow).SingleOrDefaultAsync(ended);
}
