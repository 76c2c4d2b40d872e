// The connection strings of deploy/dotnet.md: each is read by Npgsql as it stands and leads where it says.
using Npgsql;
using Xunit;

namespace Behaviour;

public sealed class DocumentTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public static TheoryData<string> Strings =>
        [.. File.ReadLines(Facts.Need("PAGE")).SkipWhile(l => l != "## Connection strings").TakeWhile(l => !l.StartsWith("## W")).Where(l => l.StartsWith("Host="))];

    /// <summary>The same with the hosts, the password and the authority of these tests.</summary>
    private static NpgsqlConnectionStringBuilder Here(string text)
    {
        var here = new NpgsqlConnectionStringBuilder(text) { Database = "postgres", Username = "scram_user", Password = "sesame" };
        Assert.Equal("clinic", new NpgsqlConnectionStringBuilder(text).Database);
        if (here.Host!.Contains(','))
            (here.Host, here.Port) = ($"127.0.0.1:{Facts.Need("PORT")},127.0.0.1:{Facts.Need("STANDBY_PORT")}", 5432);
        else if (here.SslMode == SslMode.VerifyFull || here.Port != 5432)
            (here.Host, here.Port, here.RootCertificate) = ("localhost", int.Parse(Facts.Need("LOGIN_PORT")), Facts.Need("CA_FILE"));
        else
            here.Port = int.Parse(Facts.Need("SERVER_PORT"));
        if (here.Host.Contains(','))  // there nobody is asked for a password
            here.Username = "postgres";
        return here;
    }

    [Theory]
    [MemberData(nameof(Strings))]
    public async Task Each_connection_string(string text)
    {
        var here = Here(text);
        Assert.SkipWhen(!Facts.Proxied && here.SslNegotiation == SslNegotiation.Direct && await Version() < 17,
            "control: the server has no direct TLS before PostgreSQL 17");
        await using var source = NpgsqlDataSource.Create(here.ConnectionString);
        for (var turn = 0; turn < 3; turn++)
        {
            await using var c = await source.OpenConnectionAsync(Stop);
            Assert.Equal(here.TargetSessionAttributes == "prefer-standby", await c.One<bool>("SELECT pg_is_in_recovery()"));
            Assert.Equal(here.Username, await c.One<string>("SELECT current_user::text"));
        }
    }

    private static async Task<int> Version()
    {
        await using var source = NpgsqlDataSource.Create($"{Facts.Server};Database=postgres");
        await using var c = await source.OpenConnectionAsync(Stop);
        return c.PostgreSqlVersion.Major;
    }
}
