using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace PrescriptionApi.Data;

public static class DatabaseSetup
{
    /// <summary>The context whose answers are streamed; see <see cref="AddClinicDatabase"/>.</summary>
    public const string Streaming = "streaming";

    public static void AddClinicDatabase(this IServiceCollection services, IConfiguration configuration)
    {
        var path = configuration.ChosenPath().ToString();
        services.AddSingleton(new NpgsqlDataSourceBuilder(configuration.RequiredConnectionString(path))
        {
            Name = path,  // in the metrics, in place of the connection string
        }.Build());
        services.AddSingleton<TenantInterceptor>();
        services.AddScoped<Tenant>();
        services.AddDbContext<ClinicContext>((provider, options) => Configure(provider, options)
            // What a limit of pgsidecar refuses for the moment is 55P03, which Npgsql calls transient.
            .UseNpgsql(npgsql => npgsql.EnableRetryOnFailure(3, TimeSpan.FromSeconds(2), null)));
        // A context that retries reads the whole answer before it gives out the first row.
        services.AddKeyedSingleton(Streaming, (provider, _) => (DbContextOptions<ClinicContext>)
            Configure(provider, new DbContextOptionsBuilder<ClinicContext>()).Options);
        services.AddKeyedScoped(Streaming, (provider, key) => new ClinicContext(
            provider.GetRequiredKeyedService<DbContextOptions<ClinicContext>>(key),
            provider.GetRequiredService<Tenant>()));
        services.AddHealthChecks().AddCheck<DatabaseCheck>("database", tags: ["ready"]);
    }

    /// <summary>
    /// Applies the migrations as the owner of the tables. A switch of the command line rather than a step of
    /// every start: the application's own role may not define tables, and of several instances one is enough.
    /// </summary>
    public static async Task<int> MigrateAsync(IConfiguration configuration)
    {
        var options = new DbContextOptionsBuilder<ClinicContext>()
            .UseNpgsql(configuration.RequiredConnectionString("Owner")).Options;
        await using var db = new ClinicContext(options, new Tenant());
        var pending = (await db.Database.GetPendingMigrationsAsync()).ToList();
        await db.Database.MigrateAsync();
        Console.WriteLine(pending.Count == 0 ? "nothing to migrate" : "migrated: " + string.Join(", ", pending));
        return 0;
    }

    private static DbContextOptionsBuilder Configure(IServiceProvider provider, DbContextOptionsBuilder options)
    {
        // Longer than pgsidecar's own limit, so that its answer, which says what was exceeded, comes first.
        var timeout = provider.GetRequiredService<PerformanceSettings>().QueryTimeoutSeconds + 5;
        return options
            .UseNpgsql(provider.GetRequiredService<NpgsqlDataSource>(), npgsql => npgsql.CommandTimeout(timeout))
            .AddInterceptors(provider.GetRequiredService<TenantInterceptor>());
    }
}
