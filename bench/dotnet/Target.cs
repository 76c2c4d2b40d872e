using System.Diagnostics;
using System.Globalization;

namespace PgSidecar.Bench;

/// <summary>What one measurement gave: operations a second, microseconds of latency and of CPU time.</summary>
internal sealed record Figures(double PerSecond, double P50, double P99, double Client, double Outside)
{
    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"{{\"qps\":{PerSecond:F0},\"p50_us\":{P50:F1},\"p99_us\":{P99:F1},\"client_cpu_us\":{Client:F2},\"outside_cpu_us\":{Outside:F2}}}");
}

internal sealed class Target(Place place, Options options)
{
    private readonly Connections _connections = new(place.ConnectionString);
    private readonly ProcessTimes _outside = new(place.Processes, options.Server);
    private long _next;

    public string Name => place.Name;

    /// <summary>The client's code is compiled and its connections are open when the clock starts; a cache has
    /// been asked for each of its keys.</summary>
    public async Task Prepare(Case one)
    {
        var most = place.Cached ? options.Keys : 300;
        await Parallel.ForAsync(0, most, new ParallelOptions { MaxDegreeOfParallelism = options.AtOnce.Max() },
            async (n, _) => await Ask(one, place.Cached ? n : Interlocked.Increment(ref _next)));
    }

    public async Task<Figures> Measure(Case one, int atOnce, TimeSpan length)
    {
        var latencies = Enumerable.Range(0, atOnce).Select(_ => new List<long>(1 << 14)).ToArray();
        GC.Collect();
        var own = Process.GetCurrentProcess();
        var (ownBefore, outsideBefore) = (own.TotalProcessorTime, _outside.Read());
        var began = Stopwatch.GetTimestamp();
        await Task.WhenAll(latencies.Select(l => Task.Run(() => Loop(one, began, length, l))));
        var elapsed = Stopwatch.GetElapsedTime(began);
        own.Refresh();
        var (ownAfter, outsideAfter) = (own.TotalProcessorTime, _outside.Read());

        var all = latencies.SelectMany(l => l).ToArray();
        Array.Sort(all);
        double Quantile(double q) => all[(int)((all.Length - 1) * q)] * 1e6 / Stopwatch.Frequency;
        return new Figures(all.Length / elapsed.TotalSeconds, Quantile(0.5), Quantile(0.99),
            (ownAfter - ownBefore).TotalMicroseconds / all.Length,
            (outsideAfter - outsideBefore).TotalMicroseconds / all.Length);
    }

    private async Task Loop(Case one, long began, TimeSpan length, List<long> latencies)
    {
        while (Stopwatch.GetElapsedTime(began) < length)
        {
            var n = Interlocked.Increment(ref _next);
            var asked = Stopwatch.GetTimestamp();
            await Ask(one, place.Cached ? n % options.Keys : n);
            latencies.Add(Stopwatch.GetTimestamp() - asked);
        }
    }

    private async Task Ask(Case one, long number)
    {
        var rows = await one.Ask(_connections, one.KeyOf(number));
        if (rows != one.Rows) throw new InvalidOperationException($"{Name}, {one.Name}: {rows} rows, not {one.Rows}");
    }
}
