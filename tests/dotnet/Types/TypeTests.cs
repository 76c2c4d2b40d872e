// Every common type, sent as a parameter and read back: written to a table, then asked for often enough
// that the answer comes from the cache, in the binary format that Npgsql speaks.
using System.Collections;
using System.Net;
using System.Net.NetworkInformation;
using System.Numerics;
using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Xunit;

namespace Behaviour;

public sealed class TypeTests(Database database) : Case(database)
{
    private static readonly DateTime Moment = new(2024, 3, 31, 1, 59, 59, 123, DateTimeKind.Utc);

    /// <summary>The type's name at the server, and values of it.</summary>
    private static readonly Dictionary<string, object[]> Values = new()
    {
        ["boolean"] = [true, false],
        ["smallint"] = [short.MinValue, short.MaxValue],
        ["int"] = [int.MinValue, 0, int.MaxValue],
        ["bigint"] = [long.MinValue, long.MaxValue],
        ["real"] = [float.MinValue, 0.1f, float.NaN, float.PositiveInfinity],
        ["float8"] = [double.Epsilon, double.MaxValue, double.NegativeInfinity],
        ["numeric"] = [0m, 0.0000000000000000000000000001m, decimal.MinValue, decimal.MaxValue, 12.50m],
        ["text"] = ["", "a 'quoted' \\ text", "\u00e4\u6f22\U0001f48a", new string('x', 100_000)],
        ["varchar(20)"] = ["short"],
        ["char(5)"] = ["ab   "],
        ["uuid"] = [Guid.Empty, new Guid("00112233-4455-6677-8899-aabbccddeeff")],
        ["bytea"] = [Array.Empty<byte>(), new byte[] { 0, 255, 92, 39 }],
        ["date"] = [new DateOnly(2024, 2, 29), new DateOnly(1, 1, 1), DateOnly.MaxValue],
        ["time"] = [new TimeOnly(0, 0), new TimeOnly(23, 59, 59, 999)],
        ["timestamp"] = [DateTime.SpecifyKind(Moment, DateTimeKind.Unspecified)],
        ["timestamptz"] = [Moment, DateTime.MinValue.ToUniversalTime(), DateTime.UnixEpoch],
        ["interval"] = [TimeSpan.Zero, new TimeSpan(40, 3, 2, 1, 500), -TimeSpan.FromTicks(10)],
        ["inet"] = [IPAddress.Parse("192.168.1.1"), IPAddress.Parse("2001:db8::1")],
        ["int[]"] = [Array.Empty<int>(), new[] { 3, 1, 2 }],
        ["text[]"] = [new[] { "a", "b,{}\"", "" }],
        ["uuid[]"] = [new[] { Guid.Empty, new Guid("00112233-4455-6677-8899-aabbccddeeff") }],
        ["timestamptz[]"] = [new[] { Moment, DateTime.UnixEpoch }],
        ["int[][]"] = [new[,] { { 1, 2 }, { 3, 4 } }],
        ["bit(5)"] = [new BitArray(new[] { true, false, true, true, false })],
        ["point"] = [new NpgsqlPoint(1.5, -2)],
        ["int4range"] = [new NpgsqlRange<int>(1, true, 10, false), NpgsqlRange<int>.Empty, new NpgsqlRange<int>(5, true, false, 0, false, true)],
        ["tstzrange"] = [new NpgsqlRange<DateTime>(DateTime.UnixEpoch, true, Moment, false)],
        ["daterange"] = [new NpgsqlRange<DateOnly>(new(2024, 1, 1), true, new(2024, 2, 1), false)],
        ["numrange"] = [new NpgsqlRange<decimal>(1.5m, false, 2.5m, true)],
        ["int4multirange"] = [Array.Empty<NpgsqlRange<int>>(), new[] { new NpgsqlRange<int>(1, true, 5, false), new NpgsqlRange<int>(7, true, 9, false) }],
        ["jsonb"] = ["{}", "{\"a\": [1, null, \"x\"]}"],
        ["money"] = [12.34m, -92233720368547758.08m],
        ["oid"] = [0u, uint.MaxValue],
        ["cidr"] = [new IPNetwork(IPAddress.Parse("10.1.0.0"), 16)],
        ["macaddr"] = [PhysicalAddress.Parse("08-00-2B-01-02-03")],
        ["timetz"] = [new DateTimeOffset(1, 1, 2, 23, 59, 59, TimeSpan.FromHours(5.5))],
        ["varbit"] = [new BitArray(0), new BitArray(new[] { true, false, true })],
        ["xml"] = ["<a>1</a>"],
        ["box"] = [new NpgsqlBox(new NpgsqlPoint(3, 4), new NpgsqlPoint(1, 2))],
        ["lseg"] = [new NpgsqlLSeg(1, 2, 3, 4)],
        ["line"] = [new NpgsqlLine(1, 2, 3)],
        ["path"] = [new NpgsqlPath(new NpgsqlPoint(1, 2), new NpgsqlPoint(3, 4))],
        ["polygon"] = [new NpgsqlPolygon(new NpgsqlPoint(1, 2), new NpgsqlPoint(3, 4), new NpgsqlPoint(5, 0))],
        ["circle"] = [new NpgsqlCircle(1, 2, 0.5)],
        ["name"] = ["a_name"],
        ["boolean[]"] = [new[] { true, false }],
        ["numeric[]"] = [new[] { 0.5m, -1m }],
        ["bytea[]"] = [new[] { new byte[] { 0, 1 }, [] }],
        ["interval[]"] = [new[] { TimeSpan.FromHours(1), TimeSpan.Zero }],
        ["int8range"] = [new NpgsqlRange<long>(long.MinValue, true, 7, false)],
        ["tsrange"] = [new NpgsqlRange<DateTime>(DateTime.SpecifyKind(DateTime.UnixEpoch, DateTimeKind.Unspecified), true, DateTime.SpecifyKind(Moment, DateTimeKind.Unspecified), false)],
        ["int8multirange"] = [new[] { new NpgsqlRange<long>(1, true, 5, false) }],
        ["nummultirange"] = [new[] { new NpgsqlRange<decimal>(0.5m, true, 1.5m, true), new NpgsqlRange<decimal>(2m, false, 3m, false) }],
        ["tstzmultirange"] = [new[] { new NpgsqlRange<DateTime>(DateTime.UnixEpoch, true, Moment, false) }],
        ["datemultirange"] = [new[] { new NpgsqlRange<DateOnly>(new(2024, 1, 1), true, new(2024, 2, 1), false) }],
    };

    /// <summary>Those that Npgsql does not choose by itself for such a value.</summary>
    private static readonly Dictionary<string, string> Typed = new() { ["oid"] = "oid", ["timetz"] = "time with time zone" };

    public static TheoryData<string> Names => [.. Values.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Written_and_read_back(string type)
    {
        var values = Values[type];
        var table = "\"of " + type + "\"";
        await Source.Run($"CREATE TABLE {table} (id int PRIMARY KEY, v {type})");
        await Database.Settle();
        for (var i = 0; i < values.Length; i++)
            await Source.Run($"INSERT INTO {table} VALUES ($1, $2::{type})", i, Typed.TryGetValue(type, out var name)
                ? new NpgsqlParameter { Value = values[i], DataTypeName = name } : values[i]);
        await Source.Run($"INSERT INTO {table} VALUES ($1, NULL)", values.Length);
        await using var auto = With("Max Auto Prepare=5;Auto Prepare Min Usages=2");
        for (var turn = 0; turn < 4; turn++)
        {
            for (var i = 0; i < values.Length; i++)
                Equal(values[i], await Value((turn % 2 == 0) ? Source : auto, table, i, values[i].GetType()));
            await using var c = await Source.OpenConnectionAsync(Stop);
            Assert.Equal(DBNull.Value, await c.Command($"SELECT v FROM {table} WHERE id = $1", values.Length).ExecuteScalarAsync(Stop));
        }
        await Source.Run($"UPDATE {table} SET v = NULL");
        await using var after = await Source.OpenConnectionAsync(Stop);
        Assert.Equal(DBNull.Value, await after.Command($"SELECT v FROM {table} WHERE id = $1", 0).ExecuteScalarAsync(Stop));
    }

    private static async Task<object> Value(NpgsqlDataSource source, string table, int id, Type kind)
    {
        await using var c = await source.OpenConnectionAsync(Stop);
        await using var reader = await c.Command($"SELECT v FROM {table} WHERE id = $1", id).ExecuteReaderAsync(Stop);
        Assert.True(await reader.ReadAsync(Stop));
        var read = typeof(NpgsqlDataReader).GetMethod(nameof(NpgsqlDataReader.GetFieldValue))!.MakeGenericMethod(kind);
        return read.Invoke(reader, [0])!;
    }

    private static void Equal(object want, object got)
    {
        if (want is IEnumerable and not string)
            Assert.Equal(((IEnumerable)want).Cast<object>(), ((IEnumerable)got).Cast<object>());
        else
            Assert.Equal(want, got);
    }

    [Fact]
    public async Task Numbers_that_dotnet_has_no_decimal_for()
    {
        await Source.Run("CREATE TABLE large AS SELECT repeat('9', 200)::numeric AS v");
        for (var turn = 0; turn < 3; turn++)
        {
            Assert.Equal(BigInteger.Pow(10, 200) - 1, await Source.One<BigInteger>("SELECT v FROM large"));
            var error = await Assert.ThrowsAnyAsync<Exception>(() => Source.One<decimal>("SELECT v FROM large"));
            Assert.True(error is OverflowException or InvalidCastException, error.ToString());
        }
    }

    [Fact]
    public async Task Intervals_with_months()
    {
        await Source.Run("CREATE TABLE period AS SELECT interval '1 year 2 months 3 days 4 hours' AS v");
        for (var turn = 0; turn < 3; turn++)
        {
            Assert.Equal(new NpgsqlInterval(14, 3, 4L * 3_600_000_000), await Source.One<NpgsqlInterval>("SELECT v FROM period"));
            await Assert.ThrowsAsync<InvalidCastException>(() => Source.One<TimeSpan>("SELECT v FROM period"));
        }
    }

    [Fact]
    public async Task Timestamps_under_each_time_zone()
    {
        await Source.Run("CREATE TABLE instant AS SELECT timestamptz '2024-03-31 00:30:00+00' AS at");
        await Database.Settle();
        (string Zone, string Text, int Hour)[] zones =
        [
            ("UTC", "2024-03-31 00:30:00+00", 0), ("Asia/Tokyo", "2024-03-31 09:30:00+09", 9),
            ("America/New_York", "2024-03-30 20:30:00-04", 20), ("Europe/Berlin", "2024-03-31 01:30:00+01", 1),
            ("Asia/Kathmandu", "2024-03-31 06:15:00+05:45", 6), ("Pacific/Kiritimati", "2024-03-31 14:30:00+14", 14),
        ];
        for (var turn = 0; turn < 4; turn++)
            foreach (var (zone, text, hour) in zones)
            {
                await using var named = With($"Timezone={zone}");  // a start-up parameter
                await using var c = turn % 2 == 0 ? await named.OpenConnectionAsync(Stop) : await Source.OpenConnectionAsync(Stop);
                if (turn % 2 != 0)
                    await c.Run($"SET TimeZone = '{zone}'");
                Assert.Equal(zone, await c.One<string>("SHOW TimeZone"));
                Assert.Equal(new DateTime(2024, 3, 31, 0, 30, 0, DateTimeKind.Utc), await c.One<DateTime>("SELECT at FROM instant"));
                Assert.Equal(text, await c.One<string>("SELECT at::text FROM instant"));
                Assert.Equal(hour, await c.One<int>("SELECT extract(hour FROM at)::int FROM instant"));
                Assert.Equal(DateTimeKind.Unspecified, (await c.One<DateTime>("SELECT at::timestamp FROM instant")).Kind);
                Assert.Equal(hour, (await c.One<DateTime>("SELECT at::timestamp FROM instant")).Hour);
                Assert.Equal(1, await c.One<long>("SELECT count(*) FROM instant WHERE at = $1", new DateTimeOffset(2024, 3, 31, 0, 30, 0, TimeSpan.Zero)));
            }
    }

    [Fact]
    public async Task Timestamps_under_every_time_zone_that_the_server_knows()
    {
        await Source.Run("CREATE TABLE moment AS SELECT timestamptz '2024-03-31 00:30:00+00' AS at");
        await Database.Settle();
        var zones = new Dictionary<string, string>();
        await using (var server = await Database.Server.OpenConnectionAsync(Stop))
        await using (var reader = await server.Command("""
            SELECT name, (SELECT at FROM moment) AT TIME ZONE name FROM pg_timezone_names WHERE name !~ '^(posix|right)/' ORDER BY name
            """).ExecuteReaderAsync(Stop))
            while (await reader.ReadAsync(Stop))
                zones[reader.GetString(0)] = reader.GetDateTime(1).ToString("yyyy-MM-dd HH:mm:ss");
        Assert.InRange(zones.Count, 300, 2000);
        await using var c = await Source.OpenConnectionAsync(Stop);
        for (var turn = 0; turn < 2; turn++)
            foreach (var (zone, text) in zones)
            {
                await c.Run($"SET TimeZone = '{zone}'");
                Assert.StartsWith(text, await c.One<string>("SELECT at::text FROM moment"));
                Assert.Equal(new DateTime(2024, 3, 31, 0, 30, 0, DateTimeKind.Utc), await c.One<DateTime>("SELECT at FROM moment"));
            }
    }

    [Fact]
    public async Task Words_for_text_search()
    {
        await Source.Run("CREATE TABLE words AS SELECT to_tsvector('simple', 'the drug and the rest') AS v, to_tsquery('simple', 'drug & !none') AS q");
        var (vector, query) = (await Database.Server.One<NpgsqlTsVector>("SELECT v FROM words"), await Database.Server.One<NpgsqlTsQuery>("SELECT q FROM words"));
        for (var turn = 0; turn < 3; turn++)
        {
            Assert.Equal(vector, await Source.One<NpgsqlTsVector>("SELECT v FROM words"));
            Assert.Equal(query, await Source.One<NpgsqlTsQuery>("SELECT q FROM words"));
            Assert.Equal(1, await Source.One<long>("SELECT count(*) FROM words WHERE v @@ $1 AND v @@ q", query));
        }
    }

    [Fact]
    public async Task Json_as_text_document_and_object()
    {
        await Source.Run("CREATE TABLE doc (id int, plain json, b jsonb)");
        await Database.Settle();
        await using var c = await Source.OpenConnectionAsync(Stop);
        await using (var insert = new NpgsqlCommand("INSERT INTO doc VALUES (1, $1, $2)", c))
        {
            insert.Parameters.Add(new NpgsqlParameter { Value = "{\"drug\": \"x\"}", NpgsqlDbType = NpgsqlDbType.Json });
            insert.Parameters.Add(new NpgsqlParameter { Value = "{\"drug\": \"x\", \"doses\": [1, 2.5]}", NpgsqlDbType = NpgsqlDbType.Jsonb });
            Assert.Equal(1, await insert.ExecuteNonQueryAsync(Stop));
        }
        for (var turn = 0; turn < 3; turn++)
        {
            Assert.Equal("{\"drug\": \"x\"}", await c.One<string>("SELECT plain FROM doc"));
            Assert.Equal("{\"drug\": \"x\", \"doses\": [1, 2.5]}", await c.One<string>("SELECT b FROM doc"));
            using var document = await c.One<JsonDocument>("SELECT b FROM doc");
            Assert.Equal(2.5, document.RootElement.GetProperty("doses")[1].GetDouble());
            Assert.Equal("x", await c.One<string>("SELECT b ->> 'drug' FROM doc WHERE b @> '{\"doses\": [1]}'"));
        }
    }

    public enum Status { Active, OnHold, Cancelled }

    public sealed record Dose(decimal Amount, string Unit, Status Status);

    [Fact]
    public async Task Enums_and_composites()
    {
        await Source.Run("""
            CREATE TYPE status AS ENUM ('active', 'on_hold', 'cancelled');
            CREATE TYPE dose AS (amount numeric, unit text, status status);
            CREATE TABLE course (id int PRIMARY KEY, status status, dose dose, steps dose[])
            """);
        var builder = new NpgsqlDataSourceBuilder(Database.Connection);
        builder.MapEnum<Status>("status");
        builder.MapComposite<Dose>("dose");
        await using var mapped = builder.Build();
        await Database.Settle();
        var dose = new Dose(2.5m, "mg", Status.OnHold);
        await mapped.Run("INSERT INTO course VALUES ($1, $2, $3, $4)", 1, Status.Cancelled, dose, new[] { dose, dose with { Amount = 3 } });
        for (var turn = 0; turn < 3; turn++)
        {
            Assert.Equal(Status.Cancelled, await mapped.One<Status>("SELECT status FROM course WHERE id = $1", 1));
            Assert.Equal(dose, await mapped.One<Dose>("SELECT dose FROM course WHERE id = $1", 1));
            Assert.Equal([dose, dose with { Amount = 3 }], await mapped.One<Dose[]>("SELECT steps FROM course WHERE id = $1", 1));
            Assert.Equal(1, await mapped.One<int>("SELECT id FROM course WHERE status = $1", Status.Cancelled));
        }
        await mapped.Run("ALTER TYPE status ADD VALUE 'done'");
        Assert.Equal("cancelled", await Source.One<string>("SELECT status::text FROM course"));
        await Short.Fails("22P02", () => Source.One<string>("SELECT 'nothing'::status::text"));
    }

    [Fact]
    public async Task Domains_and_types_of_another_schema()
    {
        await Source.Run("""
            CREATE SCHEMA clinic; CREATE TYPE clinic.route AS ENUM ('oral', 'nasal');
            CREATE DOMAIN clinic.positive AS int CHECK (VALUE > 0);
            CREATE TABLE clinic.given (r clinic.route, n clinic.positive);
            INSERT INTO clinic.given VALUES ('nasal', 3)
            """);
        await using var c = await Source.OpenConnectionAsync(Stop);
        await c.ReloadTypesAsync(Stop);
        for (var turn = 0; turn < 3; turn++)
        {
            Assert.Equal("nasal", await c.One<string>("SELECT r FROM clinic.given"));
            Assert.Equal(3, await c.One<int>("SELECT n FROM clinic.given"));
        }
        await Short.Fails("23514", () => c.Run("INSERT INTO clinic.given VALUES ('oral', -1)"));
    }
}
