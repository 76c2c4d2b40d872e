// A small host for the scripts of deploy/windows, where there is no PowerShell: it has the engine, and not its
// cmdlets, so StandIns.ps1 has the few that the scripts use.
//
//   Host look SCRIPT...                 what each one is, as JSON: errors, parameters, help, what 5.1 lacks
//   Host run SCRIPT [-Name value] ...   runs it; the last line is JSON: its exit code, and what was called
//
// Driven by tests/integration/test_powershell.py.
using System.Globalization;
using System.Management.Automation;
using System.Management.Automation.Runspaces;
using System.Text.Json;

namespace PowerShellHost;

public static class Program
{
    public static int Main(string[] arguments)
    {
        if (arguments is ["look", .. var scripts] && scripts.Length > 0)
        {
            Console.WriteLine(JsonSerializer.Serialize(scripts.ToDictionary(s => Path.GetFileName(s), Looked.At)));
            return 0;
        }
        if (arguments is not ["run", var script, .. var rest])
        {
            Console.Error.WriteLine("usage: Host look SCRIPT... | Host run SCRIPT [-Name value] ...");
            return 2;
        }
        var calls = new List<string>();
        var code = Run(script, rest, calls);
        Console.WriteLine(JsonSerializer.Serialize(new { code, calls }));
        return 0;
    }

    private static int Run(string script, string[] arguments, List<string> calls)
    {
        var host = new ScriptHost();
        var state = InitialSessionState.CreateDefault2();
        state.Variables.Add(new SessionStateVariableEntry("StandInCalls", calls, "what was called"));
        state.StartupScripts.Add(Path.Combine(AppContext.BaseDirectory, "StandIns.ps1"));
        using var runspace = RunspaceFactory.CreateRunspace(host, state);
        runspace.Open();
        runspace.SessionStateProxy.Path.SetLocation(Environment.CurrentDirectory);
        using var shell = PowerShell.Create(runspace);
        var command = shell.AddCommand(Path.GetFullPath(script));
        Bind(command, arguments);
        shell.Streams.Error.DataAdded += (_, e) => Console.WriteLine("ERROR: " + shell.Streams.Error[e.Index]);
        shell.Streams.Verbose.DataAdded += (_, e) => Console.WriteLine("VERBOSE: " + shell.Streams.Verbose[e.Index]);
        var output = new PSDataCollection<PSObject>();
        output.DataAdded += (_, e) => Console.WriteLine(output[e.Index]);
        try
        {
            shell.Invoke(null, output);
        }
        catch (RuntimeException e)  // as `powershell -File` has it: told, and exit code 1
        {
            Console.WriteLine("ERROR: " + e.Message);
            return 1;
        }
        return Convert.ToInt32(runspace.SessionStateProxy.GetVariable("LASTEXITCODE") ?? 0, CultureInfo.InvariantCulture);
    }

    /// <summary>-Name value, -Name for a switch, and a value with commas for a list, as a command line has them.</summary>
    private static void Bind(PowerShell command, string[] arguments)
    {
        for (var i = 0; i < arguments.Length; i++)
        {
            var name = arguments[i].TrimStart('-');
            if (i + 1 == arguments.Length || (arguments[i + 1].StartsWith('-') && !arguments[i + 1].StartsWith("--")))
                command.AddParameter(name);
            else
                command.AddParameter(name, arguments[++i].Contains(',') ? arguments[i].Split(',') : arguments[i]);
        }
    }
}
