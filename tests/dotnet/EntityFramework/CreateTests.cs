// Databases that do not exist yet: migrations, EnsureCreated, EnsureDeleted.
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Diagnostics;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;
using Npgsql;
using Xunit;

namespace Behaviour;

public sealed class Migrated(DbContextOptions options) : Clinic(options)
{
    protected override void OnConfiguring(DbContextOptionsBuilder options) =>
        options.ConfigureWarnings(w => w.Ignore(RelationalEventId.PendingModelChangesWarning));
}

[DbContext(typeof(Migrated)), Migration("20240101000000_First")]
public sealed class First : Migration
{
    protected override void Up(MigrationBuilder builder)
    {
        builder.CreateTable("Patients", table => new
        {
            Id = table.Column<int>().Annotation("Npgsql:ValueGenerationStrategy",
                Npgsql.EntityFrameworkCore.PostgreSQL.Metadata.NpgsqlValueGenerationStrategy.IdentityByDefaultColumn),
            Name = table.Column<string>(),
        }, constraints: table => table.PrimaryKey("PK_Patients", p => p.Id));
        builder.InsertData("Patients", ["Id", "Name"], ["integer", "text"], new object[,] { { 1, "first" }, { 2, "second" } });
    }
}

[DbContext(typeof(Migrated)), Migration("20240102000000_Second")]
public sealed class Second : Migration
{
    protected override void Up(MigrationBuilder builder)
    {
        builder.AddColumn<string>("Contact", "Patients", "jsonb", nullable: false, defaultValueSql: "'{\"City\": \"Rome\", \"Phones\": []}'");
        builder.Sql("UPDATE \"Patients\" SET \"Name\" = upper(\"Name\")");
        builder.CreateIndex("IX_Name", "Patients", "Name", unique: true);
    }
}

public sealed class CreateTests(Database database) : Case(database)
{
    private DbContextOptions Options(string suffix) =>
        new DbContextOptionsBuilder<Migrated>().UseNpgsql($"{Facts.Through};Database={Database.Name}_{suffix}").Options;

    [Fact]
    public async Task Migrate_into_a_database_that_does_not_exist()
    {
        var options = Options("migrated");
        await using (var db = new Migrated(options))
        {
            Assert.False(await db.Database.CanConnectAsync(Stop));
            await db.Database.MigrateAsync(Stop);
            Assert.Equal(["20240101000000_First", "20240102000000_Second"], await db.Database.GetAppliedMigrationsAsync(Stop));
            await db.Database.MigrateAsync(Stop);  // nothing is left to do
        }
        for (var turn = 0; turn < 3; turn++)
        {
            await using var db = new Migrated(options);
            Assert.Equal(["FIRST", "SECOND"], await db.Patients.OrderBy(p => p.Id).Select(p => p.Name).ToListAsync(Stop));
            Assert.Equal("Rome", (await db.Patients.FirstAsync(Stop)).Contact.City);
        }
        await using (var db = new Migrated(options))
            Assert.True(await db.Database.EnsureDeletedAsync(Stop));
    }

    [Fact]
    public async Task One_migration_after_the_other_while_answers_are_cached()
    {
        var options = Options("stepwise");
        await using (var db = new Migrated(options))
            await db.Database.MigrateAsync("20240101000000_First", Stop);
        for (var turn = 0; turn < 4; turn++)
        {
            await using var db = new Migrated(options);
            Assert.Equal("first", await db.Database.SqlQueryRaw<string>("SELECT \"Name\" AS \"Value\" FROM \"Patients\" WHERE \"Id\" = 1").SingleAsync(Stop));
        }
        await using (var db = new Migrated(options))
        {
            Assert.Equal(["20240102000000_Second"], await db.Database.GetPendingMigrationsAsync(Stop));
            await db.Database.MigrateAsync(Stop);
            Assert.Equal("FIRST", await db.Database.SqlQueryRaw<string>("SELECT \"Name\" AS \"Value\" FROM \"Patients\" WHERE \"Id\" = 1").SingleAsync(Stop));
            Assert.True(await db.Database.EnsureDeletedAsync(Stop));
        }
    }

    [Fact]
    public async Task EnsureCreated_and_EnsureDeleted_again_and_again()
    {
        var options = Clinic.Options($"{Facts.Through};Database={Database.Name}_again");
        for (var turn = 0; turn < 3; turn++)
        {
            await using (var db = new Clinic(options))
            {
                Assert.False(await db.Database.CanConnectAsync(Stop));
                Assert.False(await db.Database.EnsureDeletedAsync(Stop));
                Assert.True(await db.Database.EnsureCreatedAsync(Stop));
                Assert.False(await db.Database.EnsureCreatedAsync(Stop));
            }
            await Clinic.Fill(options, turn + 1);
            for (var read = 0; read < 4; read++)
            {
                await using var db = new Clinic(options);
                Assert.Equal(turn + 1, await db.Patients.CountAsync(Stop));
                Assert.Equal(4, (await db.Patients.Include(p => p.Prescriptions).FirstAsync(Stop)).Prescriptions.Count);
            }
            await using (var db = new Clinic(options))
                Assert.True(await db.Database.EnsureDeletedAsync(Stop));
        }
    }

    [Fact]
    public async Task A_database_that_is_not_there_is_refused_in_the_servers_words()
    {
        for (var turn = 0; turn < 3; turn++)
        {
            await using var source = NpgsqlDataSource.Create($"{Facts.Through};Database={Database.Name}_never");
            var error = await Short.Fails("3D000", async () => await source.OpenConnectionAsync(Stop));
            Assert.Equal($"database \"{Database.Name}_never\" does not exist", error.MessageText);
            Assert.Equal("FATAL", error.InvariantSeverity);
            Assert.False(error.IsTransient);
        }
    }
}
