// What the application reads of its own appsettings.json. pgsidecar reads the same two sections.
namespace PrescriptionApi;

public sealed class PerformanceSettings
{
    public int MaxPageSize { get; init; } = 1000;
    public int DefaultPageSize { get; init; } = 100;
    public int QueryTimeoutSeconds { get; init; } = 3;
    public bool EnableAsyncStreaming { get; init; } = true;
}

public enum DatabasePath
{
    Direct,
    Sidecar,
}

public static class SettingsExtensions
{
    public static PerformanceSettings Performance(this IConfiguration configuration) =>
        configuration.GetSection("Performance").Get<PerformanceSettings>() ?? new();

    /// <summary>The one setting that leads the application through pgsidecar, or past it.</summary>
    public static DatabasePath ChosenPath(this IConfiguration configuration) =>
        configuration.GetValue("Database:Use", DatabasePath.Direct);

    public static string RequiredConnectionString(this IConfiguration configuration, string name) =>
        configuration.GetConnectionString(name)
        ?? throw new InvalidOperationException($"ConnectionStrings:{name} is not set");
}
