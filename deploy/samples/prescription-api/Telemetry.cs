using OpenTelemetry.Metrics;

namespace PrescriptionApi;

public static class Telemetry
{
    /// <summary>Meters of Kestrel, ASP.NET Core, EF Core and Npgsql: at /metrics, and by OTLP if configured.</summary>
    public static void AddTelemetry(this IServiceCollection services, IConfiguration configuration)
    {
        services.AddOpenTelemetry().WithMetrics(metrics =>
        {
            metrics.AddMeter("Microsoft.AspNetCore.Hosting", "Microsoft.AspNetCore.Server.Kestrel",
                "Microsoft.EntityFrameworkCore", "Npgsql").AddPrometheusExporter();
            if (configuration["OTEL_EXPORTER_OTLP_ENDPOINT"] is { Length: > 0 })
                metrics.AddOtlpExporter();
        });
    }
}
