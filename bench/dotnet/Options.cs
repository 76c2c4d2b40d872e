using System.Globalization;

namespace PgSidecar.Bench;

/// <summary>What is asked: its connection string, and the processes whose CPU time counts as outside of the
/// client. Each of a cached target's keys was asked for before; others get keys that nobody has asked for.</summary>
internal sealed record Place(string Name, bool Cached, int[] Processes, string ConnectionString);

internal sealed record Options(
    int Rounds, TimeSpan Length, int[] AtOnce, long Rows, int Keys, int Server, Place[] Targets)
{
    /// <summary>--target NAME fresh|cached PID[,PID] CONNECTION_STRING, once for each; the rest as NAME VALUE.</summary>
    public static Options Read(string[] arguments)
    {
        var targets = new List<Place>();
        var given = new Dictionary<string, string>
        {
            ["--rounds"] = "5", ["--seconds"] = "1", ["--at-once"] = "1 16", ["--rows"] = "400000",
            ["--keys"] = "1000", ["--server"] = "0",
        };
        for (var at = 0; at < arguments.Length; at += 2)
        {
            if (arguments[at] == "--target" && at + 4 < arguments.Length)
            {
                targets.Add(new Place(arguments[at + 1], arguments[at + 2] == "cached",
                    Numbers(arguments[at + 3], ','), arguments[at + 4]));
                at += 3;
            }
            else if (given.ContainsKey(arguments[at]) && at + 1 < arguments.Length)
            {
                given[arguments[at]] = arguments[at + 1];
            }
            else
            {
                throw new ArgumentException($"unknown option {arguments[at]}, or no value for it");
            }
        }
        var culture = CultureInfo.InvariantCulture;
        return new Options(
            int.Parse(given["--rounds"], culture),
            TimeSpan.FromSeconds(double.Parse(given["--seconds"], culture)),
            Numbers(given["--at-once"], ' '), long.Parse(given["--rows"], culture),
            int.Parse(given["--keys"], culture), int.Parse(given["--server"], culture), [.. targets]);
    }

    private static int[] Numbers(string text, char between) =>
        [.. text.Split(between, StringSplitOptions.RemoveEmptyEntries)
            .Select(n => int.Parse(n, CultureInfo.InvariantCulture))];
}
