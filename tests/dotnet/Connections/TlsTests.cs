// TLS: whom a client believes to speak with, and TLS from the first byte on.
using System.Diagnostics;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using Npgsql;
using Xunit;

namespace Behaviour;

public sealed class TlsTests
{
    private static readonly SslApplicationProtocol Protocol = new("postgresql");

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    /// <summary>The certificate is for localhost and 127.0.0.1.</summary>
    private static NpgsqlConnectionStringBuilder To(string host, string port, SslMode mode) => new()
    {
        Host = host, Port = int.Parse(Facts.Need(port)), Database = "postgres", Username = "scram_user", Password = "sesame",
        SslMode = mode, RootCertificate = mode >= SslMode.VerifyCA ? Facts.Need("CA_FILE") : null, Timeout = 30, Pooling = false,
    };

    /// <summary>Logs in over TLS; `name`: what the certificate has to be for, if not the host.</summary>
    private static async Task Enter(NpgsqlConnectionStringBuilder login, string? name = null)
    {
        var handshakes = 0;
        var builder = new NpgsqlDataSourceBuilder(login.ConnectionString);
        builder.UseSslClientAuthenticationOptionsCallback(options =>
        {
            handshakes++;
            options.TargetHost = name ?? options.TargetHost;
        });
        await using var source = builder.Build();
        Assert.Equal("scram_user", await source.One<string>("SELECT current_user::text"));
        Assert.Equal(1, handshakes);
    }

    private static async Task Refused(NpgsqlConnectionStringBuilder login, string? name = null)
    {
        var error = await Assert.ThrowsAsync<NpgsqlException>(() => Enter(login, name));
        Assert.IsType<AuthenticationException>(error.InnerException);
        Assert.False(error.IsTransient);
    }

    [Theory]
    [InlineData("localhost")]
    [InlineData("127.0.0.1")]
    public async Task The_name_of_the_certificate(string host) => await Enter(To(host, "LOGIN_PORT", SslMode.VerifyFull));

    [Fact]
    public async Task A_host_that_the_certificate_does_not_name()
    {
        await Refused(To("127.0.0.2", "ELSEWHERE_PORT", SslMode.VerifyFull));
        await Enter(To("127.0.0.2", "ELSEWHERE_PORT", SslMode.VerifyCA));
        await Enter(To("127.0.0.2", "ELSEWHERE_PORT", SslMode.Require));
    }

    [Fact]
    public async Task Another_name_of_the_same_host()
    {
        await Refused(To("localhost", "LOGIN_PORT", SslMode.VerifyFull), "database.example");
        await Enter(To("localhost", "LOGIN_PORT", SslMode.VerifyCA), "database.example");
        await Enter(To("localhost", "LOGIN_PORT", SslMode.VerifyFull), "LOCALHOST");
    }

    private static async Task<bool> HasDirectTls()
    {
        await using var source = NpgsqlDataSource.Create($"{Facts.Server};Database=postgres");
        await using var c = await source.OpenConnectionAsync(Stop);
        return c.PostgreSqlVersion.Major >= 17;
    }

    private static async Task NeedsDirectTls() =>
        Assert.SkipUnless(Facts.Proxied || await HasDirectTls(), "control: the server has no direct TLS before PostgreSQL 17");

    [Theory]
    [InlineData(SslMode.Require)]
    [InlineData(SslMode.VerifyCA)]
    [InlineData(SslMode.VerifyFull)]
    public async Task From_the_first_byte_on(SslMode mode)
    {
        await NeedsDirectTls();
        var login = To("localhost", "LOGIN_PORT", mode);
        login.SslNegotiation = SslNegotiation.Direct;
        await Enter(login);
        login.ChannelBinding = ChannelBinding.Require;
        await Enter(login);
    }

    [Fact]
    public async Task From_the_first_byte_on_the_name_is_verified_too()
    {
        await NeedsDirectTls();
        var login = To("127.0.0.2", "ELSEWHERE_PORT", SslMode.VerifyFull);
        login.SslNegotiation = SslNegotiation.Direct;
        await Refused(login);
        login.SslMode = SslMode.VerifyCA;
        await Enter(login);
    }

    [Fact]
    public async Task From_the_first_byte_on_the_protocol_is_agreed_upon()
    {
        await NeedsDirectTls();
        async Task<SslApplicationProtocol> Agreed(params SslApplicationProtocol[] offered)
        {
            using var socket = new TcpClient();
            await socket.ConnectAsync("127.0.0.1", int.Parse(Facts.Need("LOGIN_PORT")), Stop);
            await using var tls = new SslStream(socket.GetStream(), false, (_, _, _, _) => true);
            await tls.AuthenticateAsClientAsync(
                new SslClientAuthenticationOptions { TargetHost = "localhost", ApplicationProtocols = [.. offered] }, Stop);
            var agreed = tls.NegotiatedApplicationProtocol;
            // Who has not said what is to be spoken is not listened to.
            if (agreed != Protocol)
                Assert.Equal(0, await tls.ReadAsync(new byte[1], Stop));
            return agreed;
        }
        Assert.Equal(Protocol, await Agreed(Protocol));
        Assert.Equal(Protocol, await Agreed(SslApplicationProtocol.Http2, Protocol));
        foreach (var offered in new[] { Array.Empty<SslApplicationProtocol>(), [SslApplicationProtocol.Http2] })
            try
            {
                Assert.NotEqual(Protocol, await Agreed(offered));
            }
            catch (Exception e) when (e is AuthenticationException or IOException)
            {
                // or by an alert, during the handshake or after it
            }
    }

    [Theory]
    [InlineData(SslMode.Disable)]
    [InlineData(SslMode.Allow)]
    [InlineData(SslMode.Prefer)]
    public async Task From_the_first_byte_on_needs_a_mode_that_wants_tls(SslMode mode)
    {
        var login = To("localhost", "LOGIN_PORT", mode);
        login.SslNegotiation = SslNegotiation.Direct;
        var error = await Assert.ThrowsAnyAsync<Exception>(() => Enter(login));
        Assert.Contains("SslNegotiation", error.Message.Replace(" ", ""), StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task From_the_first_byte_on_where_there_is_no_tls()
    {
        var login = To("localhost", Facts.Proxied ? "PORT" : "LOGIN_PORT", SslMode.Require);
        login.SslNegotiation = SslNegotiation.Direct;
        Assert.SkipWhen(!Facts.Proxied && await HasDirectTls(), "control: this server has direct TLS");
        for (var turn = 0; turn < 2; turn++)
        {
            var began = Stopwatch.StartNew();
            var error = await Assert.ThrowsAsync<NpgsqlException>(() => Enter(login));
            Assert.True(error.InnerException is IOException or AuthenticationException, error.ToString());
            Assert.InRange(began.Elapsed.TotalSeconds, 0, 20);
        }
        Assert.Equal(1, await Plain());
    }

    private static async Task<int> Plain()
    {
        await using var source = NpgsqlDataSource.Create($"{Facts.Through};Database=postgres");
        return await source.One<int>("SELECT 1");
    }
}
