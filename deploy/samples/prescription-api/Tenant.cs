using System.Text.RegularExpressions;

namespace PrescriptionApi;

/// <summary>For whom a request works. One for each request; whoever asks before it is known gets an exception.</summary>
public sealed partial class Tenant
{
    public const int MaxLength = 63;
    private string? name;

    /// <summary>Letters, digits, '-' and '_' only, so it can stand in a literal.</summary>
    public string Name => name ?? throw new InvalidOperationException("no tenant is known");

    public bool TrySet(string? value)
    {
        if (value is null || !Allowed().IsMatch(value))
            return false;
        name = value;
        return true;
    }

    [GeneratedRegex(@"\A[A-Za-z0-9][A-Za-z0-9_-]{0,62}\z")]
    private static partial Regex Allowed();
}

/// <summary>
/// Takes the tenant from the header X-Tenant; without a usable one the answer is 400. A header is only as
/// trustworthy as whoever sets it: behind a gateway that authenticates, or replace it by a claim.
/// </summary>
public sealed class TenantFilter : IEndpointFilter
{
    public const string Header = "X-Tenant";

    public async ValueTask<object?> InvokeAsync(EndpointFilterInvocationContext context, EndpointFilterDelegate next)
    {
        var http = context.HttpContext;
        var values = http.Request.Headers[Header];
        var tenant = http.RequestServices.GetRequiredService<Tenant>();
        if (values.Count != 1 || !tenant.TrySet(values[0]))
            return TypedResults.Problem(statusCode: 400, title: $"The header {Header} has to name one tenant.");
        return await next(context);
    }
}
