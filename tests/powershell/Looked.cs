// What the parser says of a script: errors, its help, and syntax that Windows PowerShell 5.1 does not have.
using System.Management.Automation.Language;

namespace PowerShellHost;

public sealed record Looked(string[] Errors, string[] Parameters, string[] Helped, string? Synopsis, int Examples,
    bool ShouldProcess, string[] Newer, string[] Commands, bool Ends)
{
    private static readonly HashSet<TokenKind> New = [TokenKind.QuestionQuestion, TokenKind.QuestionQuestionEquals,
        TokenKind.QuestionDot, TokenKind.QuestionLBracket, TokenKind.AndAnd, TokenKind.OrOr];

    private static readonly HashSet<string> NewVariables = new(StringComparer.OrdinalIgnoreCase)
        { "IsWindows", "IsLinux", "IsMacOS", "IsCoreCLR", "PSStyle", "EnabledExperimentalFeatures" };

    public static Looked At(string path)
    {
        var script = Parser.ParseFile(Path.GetFullPath(path), out var tokens, out var errors);
        var help = script.GetHelpContent();
        var parameters = script.ParamBlock?.Parameters.Select(p => p.Name.VariablePath.UserPath).ToArray() ?? [];
        var newer = tokens.Where(t => New.Contains(t.Kind)).Select(t => t.Text)
            .Concat(script.FindAll(a => a is TernaryExpressionAst or PipelineChainAst, true).Select(a => a.ToString()))
            .Concat(script.FindAll(a => a is VariableExpressionAst v && NewVariables.Contains(v.VariablePath.UserPath), true).Select(a => a.ToString()))
            .Concat(File.ReadAllText(path).Where(c => c > '~').Select(c => $"U+{(int)c:X4}"));  // read as ANSI there
        return new Looked([.. errors.Select(e => $"{e.Extent.StartLineNumber}: {e.Message}")], parameters,
            [.. help?.Parameters.Where(p => !string.IsNullOrWhiteSpace(p.Value)).Select(p => p.Key) ?? []],
            help?.Synopsis?.Trim(), help?.Examples.Count ?? 0,
            script.ParamBlock?.Attributes.OfType<AttributeAst>().Any(a => a.NamedArguments.Any(n => n.ArgumentName == "SupportsShouldProcess")) ?? false,
            [.. newer], [.. Called(script)],
            script.EndBlock?.Statements.LastOrDefault() is ExitStatementAst);
    }

    private static IEnumerable<string> Called(ScriptBlockAst script) => script
        .FindAll(a => a is CommandAst, true).Cast<CommandAst>().Select(c => c.GetCommandName()).OfType<string>().Distinct().Order();
}
