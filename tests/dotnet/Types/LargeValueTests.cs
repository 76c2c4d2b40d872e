// Values and rows that no one holds in memory at once: written and read in portions, or left in the middle.
using System.Data;
using System.Security.Cryptography;
using Npgsql;
using Xunit;

namespace Behaviour;

public sealed class LargeValueTests(Database database) : Case(database)
{
    private const int Mega = 1 << 20;

    /// <summary>So many bytes that nobody can guess, the same ones each time.</summary>
    private sealed class Noise(long length) : Stream
    {
        private readonly Random random = new(7);

        public override bool CanRead => true;
        public override bool CanSeek => true;
        public override bool CanWrite => false;
        public override long Length => length;
        public override long Position { get; set; }

        public override int Read(byte[] buffer, int offset, int count)
        {
            count = (int)Math.Min(count, length - Position);
            random.NextBytes(buffer.AsSpan(offset, count));
            Position += count;
            return count;
        }

        public override void Flush() { }
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }

    [Fact]
    public async Task A_hundred_megabytes_of_bytea()
    {
        await Source.Run("CREATE TABLE scan (id int PRIMARY KEY, image bytea); ALTER TABLE scan ALTER image SET STORAGE EXTERNAL");
        var bytes = new byte[100 * Mega];
        new Random(7).NextBytes(bytes);
        var digest = SHA256.HashData(bytes);
        await using var c = await Source.OpenConnectionAsync(Stop);
        Assert.Equal(1, await c.Run("INSERT INTO scan VALUES ($1, $2)", 1, bytes));
        Assert.Equal(digest, await c.One<byte[]>("SELECT sha256(image) FROM scan"));
        await using (var reader = await c.Command("SELECT id, image FROM scan WHERE id = $1", 1).ExecuteReaderAsync(CommandBehavior.SequentialAccess, Stop))
        {
            Assert.True(await reader.ReadAsync(Stop));
            await using var stream = await reader.GetStreamAsync(1, Stop);
            Assert.Equal(digest, await SHA256.HashDataAsync(stream, Stop));
        }
        var whole = await c.One<byte[]>("SELECT image FROM scan WHERE id = $1", 1);
        Assert.True(whole.SequenceEqual(bytes));
    }

    [Fact]
    public async Task A_stream_as_a_parameter()
    {
        await Source.Run("CREATE TABLE streamed (id int PRIMARY KEY, image bytea)");
        await using var c = await Source.OpenConnectionAsync(Stop);
        Assert.Equal(1, await c.Run("INSERT INTO streamed VALUES ($1, $2)", 1, new Noise(20 * Mega)));
        Assert.Equal(await SHA256.HashDataAsync(new Noise(20 * Mega), Stop), await c.One<byte[]>("SELECT sha256(image) FROM streamed"));
    }

    private async Task<NpgsqlConnection> Rows()
    {
        await Source.Run("""
            CREATE TABLE IF NOT EXISTS wide AS SELECT i AS id, repeat(chr(64 + i), 3000000) AS a, decode(repeat('00ff', 2000000), 'hex') AS b,
                repeat('z', 5000000) AS c, 'end ' || i AS d FROM generate_series(1, 4) i
            """);
        return await Source.OpenConnectionAsync(Stop);
    }

    [Fact]
    public async Task Rows_that_are_read_one_column_after_the_other()
    {
        await using var c = await Rows();
        for (var turn = 0; turn < 2; turn++)
        {
            await using var reader = await c.Command("SELECT * FROM wide ORDER BY id").ExecuteReaderAsync(CommandBehavior.SequentialAccess, Stop);
            for (var i = 1; i <= 4; i++)
            {
                Assert.True(await reader.ReadAsync(Stop));
                Assert.Equal(i, reader.GetInt32(0));
                using (var text = await reader.GetTextReaderAsync(1, Stop))
                    Assert.Equal(new string((char)(64 + i), 3000000), await text.ReadToEndAsync(Stop));
                Assert.Equal(4000000, reader.GetBytes(2, 0, null, 0, 0));
                var some = new byte[6];
                Assert.Equal(6, reader.GetBytes(2, 2000000, some, 0, 6));
                Assert.Equal(new byte[] { 0, 255, 0, 255, 0, 255 }, some);
                Assert.Equal("end " + i, await reader.GetFieldValueAsync<string>(4, Stop));
                await Assert.ThrowsAsync<InvalidOperationException>(() => reader.GetFieldValueAsync<int>(0, Stop));
            }
            Assert.False(await reader.ReadAsync(Stop));
        }
    }

    [Fact]
    public async Task Rows_that_are_left_in_the_middle()
    {
        await using var c = await Rows();
        for (var turn = 0; turn < 3; turn++)
        {
            await using (var reader = await c.Command("SELECT * FROM wide ORDER BY id").ExecuteReaderAsync(CommandBehavior.SequentialAccess, Stop))
            {
                for (var row = 0; row <= turn; row++)
                    Assert.True(await reader.ReadAsync(Stop));
                await using var stream = await reader.GetStreamAsync(2, Stop);
                var some = new byte[1000];
                await stream.ReadExactlyAsync(some, Stop);
                Assert.Equal(255, some[1]);
            }
            Assert.Equal(turn, await c.One<int>("SELECT $1", turn));
        }
    }

    [Fact]
    public async Task Single_row_and_single_result_of_a_huge_answer()
    {
        await using var c = await Rows();
        await using (var reader = await c.Command("SELECT * FROM wide ORDER BY id; SELECT 2").ExecuteReaderAsync(CommandBehavior.SingleRow, Stop))
        {
            Assert.True(await reader.ReadAsync(Stop));
            Assert.Equal(1, reader.GetInt32(0));
            Assert.False(await reader.ReadAsync(Stop));
        }
        Assert.Equal(1, await c.One<int>("SELECT 1"));
    }

    [Fact]
    public async Task A_million_rows_are_streamed()
    {
        await using var c = await Source.OpenConnectionAsync(Stop);
        long sum = 0, rows = 0;
        await using (var reader = await c.Command("SELECT i FROM generate_series(1, $1) i", 1000000).ExecuteReaderAsync(CommandBehavior.SequentialAccess, Stop))
            for (; await reader.ReadAsync(Stop); rows++)
                sum += reader.GetInt32(0);
        Assert.Equal((1000000, 500000500000), (rows, sum));
    }
}
