// Asks for prescriptions as an application does, by three libraries, of several targets in turn; a line of
// figures for each measurement goes to standard output. bench/dotnet.sh starts what it asks.
using System.Globalization;
using PgSidecar.Bench;

var options = Options.Read(args);
var cases = Cases.All(options.Rows);
var targets = options.Targets.Select(t => new Target(t, options)).ToArray();

foreach (var target in targets)
foreach (var one in cases)
    await target.Prepare(one);

for (var round = 1; round <= options.Rounds; round++)
{
    foreach (var one in cases)
    foreach (var atOnce in options.AtOnce)
    {
        // Who begins changes with the rounds.
        foreach (var target in round % 2 == 0 ? targets.Reverse() : targets)
        {
            Console.Error.Write($"\r\u001b[Kround {round} of {options.Rounds}: {one.Name}, {atOnce} at a time, {target.Name}");
            var figures = await target.Measure(one, atOnce, options.Length);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{round}\t{one.Name}\t{atOnce}\t{target.Name}\t{figures}"));
        }
    }
}
Console.Error.Write("\r\u001b[K");
