using Microsoft.AspNetCore.Diagnostics;
using Npgsql;

namespace PrescriptionApi;

/// <summary>What pgsidecar's limits, and the server's own, become for the caller once EF Core has given up.</summary>
public sealed class LimitHandler(IProblemDetailsService problems) : IExceptionHandler
{
    public async ValueTask<bool> TryHandleAsync(
        HttpContext context, Exception exception, CancellationToken cancellationToken)
    {
        (int Status, string Title)? answer = SqlState(exception) switch
        {
            PostgresErrorCodes.LockNotAvailable => (429, "Too many queries of this tenant; come again later."),
            PostgresErrorCodes.QueryCanceled => (504, "The query took too long."),
            PostgresErrorCodes.ProgramLimitExceeded => (422, "The answer would be too large; ask for less."),
            _ => null,
        };
        if (answer is not { } found)
            return false;
        context.Response.StatusCode = found.Status;
        return await problems.TryWriteAsync(new ProblemDetailsContext
        {
            HttpContext = context, ProblemDetails = { Status = found.Status, Title = found.Title },
        });
    }

    private static string? SqlState(Exception? e)
    {
        for (; e is not null; e = e.InnerException)
            if (e is PostgresException known)
                return known.SqlState;
        return null;
    }
}
