// How a connection begins: TLS and what of it is verified, passwords, refusals, time-outs.
using System.Diagnostics;
using System.Net.Sockets;
using System.Security.Authentication;
using Npgsql;
using Xunit;

namespace Behaviour;

public sealed class LoginTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static NpgsqlConnectionStringBuilder Login(string user = "scram_user", string? password = "sesame") => new()
    {
        Host = "localhost", Port = int.Parse(Facts.Need("LOGIN_PORT")), Database = "postgres", Username = user, Password = password,
        SslMode = SslMode.Disable, Timeout = 30, Pooling = false,
    };

    /// <summary>Logs in, asks something, and tells how often TLS was begun.</summary>
    private static async Task<int> Enter(NpgsqlConnectionStringBuilder login)
    {
        var handshakes = 0;
        var builder = new NpgsqlDataSourceBuilder(login.ConnectionString);
        builder.UseSslClientAuthenticationOptionsCallback(_ => handshakes++);
        await using var source = builder.Build();
        Assert.Equal(login.Username, await source.One<string>("SELECT current_user::text"));
        return handshakes;
    }

    [Theory]
    [InlineData(SslMode.Disable, 0)]
    [InlineData(SslMode.Allow, 0)]
    [InlineData(SslMode.Prefer, 1)]
    [InlineData(SslMode.Require, 1)]
    [InlineData(SslMode.VerifyCA, 1)]
    [InlineData(SslMode.VerifyFull, 1)]
    public async Task Each_ssl_mode(SslMode mode, int handshakes)
    {
        var login = Login();
        login.SslMode = mode;
        if (mode >= SslMode.VerifyCA)
            login.RootCertificate = Facts.Need("CA_FILE");
        Assert.Equal(handshakes, await Enter(login));
    }

    [Theory]
    [InlineData(SslMode.VerifyCA)]
    [InlineData(SslMode.VerifyFull)]
    public async Task A_certificate_of_another_authority_is_refused(SslMode mode)
    {
        var login = Login();
        (login.SslMode, login.RootCertificate) = (mode, Facts.Need("OTHER_CA_FILE"));
        var error = await Assert.ThrowsAsync<NpgsqlException>(() => Enter(login));
        Assert.IsType<AuthenticationException>(error.InnerException);
    }

    [Theory]
    [InlineData(ChannelBinding.Disable)]
    [InlineData(ChannelBinding.Prefer)]
    [InlineData(ChannelBinding.Require)]
    public async Task Scram_bound_to_the_channel(ChannelBinding binding)
    {
        var login = Login();
        (login.SslMode, login.ChannelBinding) = (SslMode.Require, binding);
        Assert.Equal(1, await Enter(login));
    }

    [Fact]
    public async Task Binding_that_is_required_needs_tls()
    {
        var login = Login();
        login.ChannelBinding = ChannelBinding.Require;
        await Assert.ThrowsAsync<NpgsqlException>(() => Enter(login));
    }

    [Theory]
    [InlineData("scram_user", SslMode.Disable)]
    [InlineData("scram_user", SslMode.Require)]
    [InlineData("md5_user", SslMode.Disable)]
    [InlineData("md5_user", SslMode.Require)]
    [InlineData("password_user", SslMode.Require)]
    public async Task Each_kind_of_password(string user, SslMode mode)
    {
        var login = Login(user);
        login.SslMode = mode;
        Assert.Equal(mode == SslMode.Require ? 1 : 0, await Enter(login));
        login.Password = "wrong";
        var error = await Short.Fails("28P01", () => Enter(login));
        Assert.Equal($"password authentication failed for user \"{user}\"", error.MessageText);
        Assert.False(error.IsTransient);
        login.Password = null;
        await Assert.ThrowsAsync<NpgsqlException>(() => Enter(login));
        login.Password = "sesame";
        await Enter(login);  // what was refused before is not remembered
    }

    [Fact]
    public async Task Scram_without_tls_on_the_way_to_the_server()
    {
        Assert.SkipWhen(Facts.Way == Way.Transaction, "session mode: elsewhere the program itself asks for the password, as in Each_ssl_mode");
        var login = Login();
        login.Port = int.Parse(Facts.Need("PORT"));
        Assert.Equal(0, await Enter(login));
    }

    [Theory]
    [InlineData("scram_late", "28P01")]  // its password is not valid any more
    [InlineData("rejected_user", "28000")]
    [InlineData("nobody_at_all", "28000")]
    public async Task Who_is_refused(string user, string state)
    {
        var login = Login(user);
        login.SslMode = SslMode.Require;
        for (var turn = 0; turn < 2; turn++)
            await Short.Fails(state, () => Enter(login));
    }

    /// <summary>A machine that is busy takes a second for nothing now and then, but not each time.</summary>
    private static async Task InTime(Func<Task> act)
    {
        for (var left = 20; ; left--)
            try
            {
                await act();
                return;
            }
            catch (Exception e) when (left > 0 && e is NpgsqlException { InnerException: TimeoutException })
            {
                // once more
            }
    }

    [Fact]
    public async Task A_refusal_does_not_take_the_whole_Timeout()
    {
        var login = Login();
        (login.SslMode, login.Timeout) = (SslMode.Require, 1);
        async Task Refused(string state)
        {
            var error = await Assert.ThrowsAnyAsync<NpgsqlException>(() => Enter(login));
            if (error.InnerException is TimeoutException)
                throw error;
            Assert.Equal(state, Assert.IsType<PostgresException>(error).SqlState);
        }
        login.Password = "wrong";
        await InTime(() => Refused("28P01"));
        (login.Password, login.Database) = ("sesame", "no_such_database");
        await InTime(() => Refused("3D000"));
        login.Database = "postgres";
        await InTime(() => Enter(login));
    }

    [Fact]
    public async Task A_server_that_says_nothing_is_given_up_after_Timeout()
    {
        await using var source = NpgsqlDataSource.Create($"{Facts.Local(Facts.Need("SILENT_PORT"))};Database=postgres;Timeout=1");
        for (var turn = 0; turn < 2; turn++)
        {
            var began = Stopwatch.StartNew();
            var error = await Assert.ThrowsAsync<NpgsqlException>(async () => await source.OpenConnectionAsync(Stop));
            Assert.IsType<TimeoutException>(error.InnerException);
            Assert.True(error.IsTransient);
            Assert.InRange(began.Elapsed.TotalSeconds, 0.9, 20);
        }
    }

    [Fact]
    public async Task A_server_that_is_not_there()
    {
        await using var source = NpgsqlDataSource.Create($"{Facts.Local(Facts.Need("NOWHERE_PORT"))};Database=postgres;Timeout=1");
        for (var turn = 0; turn < 2; turn++)
        {
            var began = Stopwatch.StartNew();
            var error = await Assert.ThrowsAnyAsync<NpgsqlException>(async () => await source.OpenConnectionAsync(Stop));
            if (Facts.Proxied)  // the program is there, and says so of the server
                Assert.Equal("08001", Assert.IsType<PostgresException>(error).SqlState);
            else
                Assert.IsType<SocketException>(error.InnerException);
            Assert.True(error.IsTransient);
            Assert.InRange(began.Elapsed.TotalSeconds, 0, 20);
        }
    }
}
