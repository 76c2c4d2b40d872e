using System.Globalization;

namespace PgSidecar.Bench;

/// <summary>The CPU time of processes, and of a PostgreSQL server with all its backends, as proc(5) has it in
/// /proc/PID/stat.</summary>
internal sealed class ProcessTimes(int[] processes, int server)
{
    private const double TicksPerSecond = 100; // USER_HZ, on every Linux that .NET runs on
    private const int Parent = 1, User = 11, System = 12, ChildrenUser = 13, ChildrenSystem = 14;

    public TimeSpan Read()
    {
        var ticks = processes.Sum(pid => Of(pid, User, System));
        if (server != 0)
        {
            ticks += Of(server, User, System, ChildrenUser, ChildrenSystem);
            ticks += Directory.EnumerateDirectories("/proc").Select(Path.GetFileName)
                .Where(name => int.TryParse(name, out _)).Select(name => int.Parse(name!, CultureInfo.InvariantCulture))
                .Where(pid => Fields(pid) is { } f && f[Parent] == server.ToString(CultureInfo.InvariantCulture))
                .Sum(pid => Of(pid, User, System));
        }
        return TimeSpan.FromSeconds(ticks / TicksPerSecond);
    }

    private static long Of(int pid, params int[] which) =>
        Fields(pid) is { } fields ? which.Sum(i => long.Parse(fields[i], CultureInfo.InvariantCulture)) : 0;

    /// <summary>Those behind the name, which may hold blanks; null: the process has ended.</summary>
    private static string[]? Fields(int pid)
    {
        try
        {
            var text = File.ReadAllText($"/proc/{pid}/stat");
            return text[(text.LastIndexOf(')') + 2)..].Split(' ');
        }
        catch (IOException)
        {
            return null;
        }
    }
}
