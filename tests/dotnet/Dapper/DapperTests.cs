// Dapper over Npgsql: several results, several objects of a row, lists as parameters.
using Dapper;
using Npgsql;
using Xunit;

namespace Behaviour;

public sealed class DapperTests(FilledClinic clinic) : ClinicCase(clinic)
{
    private sealed record Row(int Id, string Drug, decimal Dose);

    private sealed class Owner
    {
        public int Id { get; set; }
        public string Name { get; set; } = "";
        public List<Line> Lines { get; } = [];
    }

    private sealed class Line
    {
        public int Id { get; set; }
        public string Drug { get; set; } = "";
    }

    private NpgsqlConnection Connection() => Filled.Database.Source.CreateConnection();

    [Fact]
    public async Task Rows_as_records()
    {
        for (var turn = 0; turn < Turns; turn++)
        {
            await using var c = Connection();
            var rows = (await c.QueryAsync<Row>(
                """SELECT "Id", "Drug", "Dose" FROM "Prescriptions" WHERE "PatientId" = @patient ORDER BY "Id" """, new { patient = 3 })).AsList();
            Assert.Equal(["drug 1", "drug 2", "drug 3", "drug 4"], rows.Select(r => r.Drug));
            Assert.Equal(6m, rows[3].Dose);
            Assert.Null(await c.QuerySingleOrDefaultAsync<Row>("""SELECT "Id", "Drug", "Dose" FROM "Prescriptions" WHERE "Id" = @id""", new { id = -1 }));
        }
    }

    [Fact]
    public async Task Several_objects_of_one_row()
    {
        const string Sql = """
            SELECT p."Id", p."Name", r."Id", r."Drug" FROM "Patients" p JOIN "Prescriptions" r ON r."PatientId" = p."Id"
            WHERE p."Id" BETWEEN @first AND @last ORDER BY p."Id", r."Id"
            """;
        for (var turn = 0; turn < Turns; turn++)
        {
            await using var c = Connection();
            var owners = new Dictionary<int, Owner>();
            await c.QueryAsync<Owner, Line, Owner>(Sql, (owner, line) =>
            {
                owner = owners.TryGetValue(owner.Id, out var known) ? known : owners[owner.Id] = owner;
                owner.Lines.Add(line);
                return owner;
            }, new { first = 2, last = 4 });
            Assert.Equal(["patient 2", "patient 3", "patient 4"], owners.Values.Select(o => o.Name));
            Assert.All(owners.Values, o => Assert.Equal(4, o.Lines.Count));
        }
    }

    [Fact]
    public async Task Several_results_of_one_command()
    {
        for (var turn = 0; turn < Turns; turn++)
        {
            await using var c = Connection();
            await using var results = await c.QueryMultipleAsync("""
                SELECT count(*) FROM "Prescriptions" WHERE "PatientId" = @id;
                SELECT "Name" FROM "Patients" WHERE "Id" = @id;
                SELECT "Id", "Drug", "Dose" FROM "Prescriptions" WHERE "PatientId" = @id ORDER BY "Id"
                """, new { id = 5 });
            Assert.Equal(4, await results.ReadSingleAsync<long>());
            Assert.Equal("patient 5", await results.ReadSingleAsync<string>());
            Assert.Equal(4, (await results.ReadAsync<Row>()).Count());
            Assert.True(results.IsConsumed);
        }
    }

    [Fact]
    public async Task Lists_are_expanded_or_sent_as_arrays()
    {
        for (var turn = 0; turn < Turns; turn++)
            foreach (var ids in new[] { new[] { 1, 2, 3 }, [4, 5], [] })
            {
                await using var c = Connection();
                Assert.Equal(ids.Length, await c.ExecuteScalarAsync<long>("""SELECT count(*) FROM "Patients" WHERE "Id" = ANY(@ids)""", new { ids }));
                Assert.Equal(ids, await c.QueryAsync<int>(
                    """SELECT "Id" FROM "Patients" WHERE "Id" IN (SELECT unnest(@ids)) ORDER BY "Id" """, new { ids }));
            }
    }

    [Fact]
    public async Task A_list_of_parameters_in_the_text()
    {
        for (var turn = 0; turn < Turns; turn++)
            foreach (var names in new[] { new[] { "patient 1", "patient 2" }, ["patient 3"] })
            {
                await using var c = Connection();
                var parameters = new DynamicParameters();
                var places = names.Select((name, i) => { parameters.Add("p" + i, name); return "@p" + i; }).ToList();
                Assert.Equal(names, await c.QueryAsync<string>(
                    $"""SELECT "Name" FROM "Patients" WHERE "Name" IN ({string.Join(", ", places)}) ORDER BY "Name" """, parameters));
            }
    }

    [Fact]
    public async Task Writes_of_a_list_inside_a_transaction()
    {
        await using var c = Connection();
        await c.ExecuteAsync("CREATE TABLE noted (i int, t text)");
        Assert.Equal(0, await c.ExecuteScalarAsync<long>("SELECT count(*) FROM noted"));
        await c.OpenAsync(Stop);
        foreach (var commit in new[] { false, true })
        {
            await using var transaction = await c.BeginTransactionAsync(Stop);
            Assert.Equal(3, await c.ExecuteAsync("INSERT INTO noted VALUES (@i, @t)",
                Enumerable.Range(1, 3).Select(i => new { i, t = "note " + i }), transaction));
            await (commit ? transaction.CommitAsync(Stop) : transaction.RollbackAsync(Stop));
            await using var other = Connection();
            Assert.Equal(commit ? 3 : 0, await other.ExecuteScalarAsync<long>("SELECT count(*) FROM noted"));
        }
    }

    [Fact]
    public async Task Unbuffered_rows_and_errors()
    {
        await using var c = Connection();
        var rows = 0;
        await foreach (var i in c.QueryUnbufferedAsync<int>("SELECT i FROM generate_series(1, @n) i", new { n = 10000 }))
            Assert.Equal(++rows, i);
        Assert.Equal(10000, rows);
        await Short.Fails("42703", () => c.QueryAsync<int>("""SELECT nothing FROM "Patients" """));
        await Short.Fails("22012", () => c.ExecuteScalarAsync<int>("SELECT 1 / @n", new { n = 0 }));
        Assert.Equal(1, await c.ExecuteScalarAsync<int>("SELECT 1"));
    }
}
