// One-line statements, so that a test shows what it is about.
using System.Diagnostics;
using Npgsql;
using Xunit;

namespace Behaviour;

public static class Short
{
    public static NpgsqlCommand Command(this NpgsqlConnection connection, string sql, params object[] values)
    {
        var command = new NpgsqlCommand(sql, connection);
        foreach (var value in values)
            command.Parameters.Add(value as NpgsqlParameter ?? new NpgsqlParameter { Value = value });
        return command;
    }

    public static async Task<int> Run(this NpgsqlConnection connection, string sql, params object[] values)
    {
        await using var command = connection.Command(sql, values);
        return await command.ExecuteNonQueryAsync();
    }

    public static async Task<int> Run(this NpgsqlDataSource source, string sql, params object[] values)
    {
        await using var connection = await source.OpenConnectionAsync();
        return await connection.Run(sql, values);
    }

    public static async Task<T> One<T>(this NpgsqlConnection connection, string sql, params object[] values)
    {
        await using var command = connection.Command(sql, values);
        await using var reader = await command.ExecuteReaderAsync();
        Assert.True(await reader.ReadAsync(), "no row: " + sql);
        return await reader.IsDBNullAsync(0) ? default! : await reader.GetFieldValueAsync<T>(0);
    }

    public static async Task<T> One<T>(this NpgsqlDataSource source, string sql, params object[] values)
    {
        await using var connection = await source.OpenConnectionAsync();
        return await connection.One<T>(sql, values);
    }

    /// <summary>Fails with this SQLSTATE, as an error of the statement and not of the connection.</summary>
    public static async Task<PostgresException> Fails(string state, Func<Task> act)
    {
        var error = await Assert.ThrowsAsync<PostgresException>(act);
        Assert.Equal(state, error.SqlState);
        return error;
    }

    /// <summary>Asks until it is so: for states of which nobody is told.</summary>
    public static Task Until(string what, Func<Task<bool>> condition) => Until(() => what, condition);

    public static async Task Until(Func<string> what, Func<Task<bool>> condition)
    {
        var began = Stopwatch.StartNew();
        while (!await condition())
        {
            Assert.True(began.Elapsed < TimeSpan.FromSeconds(60), "timed out waiting for " + what());
            await Task.Delay(5);
        }
    }
}
