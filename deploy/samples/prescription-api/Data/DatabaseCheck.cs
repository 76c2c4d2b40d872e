using Microsoft.Extensions.Diagnostics.HealthChecks;
using Npgsql;

namespace PrescriptionApi.Data;

/// <summary>Whether a connection can be had and answers. It works for no tenant, so it would see no row.</summary>
public sealed class DatabaseCheck(NpgsqlDataSource source) : IHealthCheck
{
    public async Task<HealthCheckResult> CheckHealthAsync(
        HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        await using var command = source.CreateCommand("SELECT 1");
        await command.ExecuteScalarAsync(cancellationToken);  // whoever called reports an exception as unhealthy
        return HealthCheckResult.Healthy();
    }
}
