// Replication connections: what an application learns from the server's write-ahead log.
using Npgsql;
using Npgsql.Replication;
using Npgsql.Replication.Internal;
using Npgsql.Replication.PgOutput;
using Npgsql.Replication.PgOutput.Messages;
using Xunit;

namespace Behaviour;

public sealed class ReplicationTests(Database database) : Case(database)
{
    private const string Refused = "replication connections are refused where server connections are shared";

    [Fact]
    public async Task Logical_by_pgoutput()
    {
        Facts.NeedsOwnServerConnection(Refused);
        await Source.Run("CREATE TABLE watched (id int PRIMARY KEY, name text); CREATE PUBLICATION watching FOR TABLE watched");
        await using var c = new LogicalReplicationConnection(Database.Connection);
        await c.Open(Stop);
        var slot = await c.CreatePgOutputReplicationSlot("slot_" + Database.Name, temporarySlot: true, cancellationToken: Stop);
        for (var i = 1; i <= 3; i++)
            await Source.Run("INSERT INTO watched VALUES ($1, $2)", i, "name " + i);
        await Source.Run("UPDATE watched SET name = 'other' WHERE id = 2; DELETE FROM watched WHERE id = 3");
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        var seen = new List<string>();
        var options = new PgOutputReplicationOptions("watching", PgOutputProtocolVersion.V1);
        await foreach (var message in c.StartReplication(slot, options, enough.Token))
        {
            if (message is InsertMessage insert)
            {
                var values = new List<string>();
                await foreach (var value in insert.NewRow)
                    values.Add(await value.Get<string>(Stop));
                seen.Add("insert " + string.Join(" ", values));
            }
            else if (message is UpdateMessage or KeyDeleteMessage)
                seen.Add(message is UpdateMessage ? "update" : "delete");
            c.SetReplicationStatus(message.WalEnd);
            if (message is KeyDeleteMessage)
                break;
        }
        Assert.Equal(["insert 1 name 1", "insert 2 name 2", "insert 3 name 3", "update", "delete"], seen);
    }

    [Fact]
    public async Task Physical()
    {
        Facts.NeedsOwnServerConnection(Refused);
        await Source.Run("CREATE TABLE filled (i int)");
        await using var c = new PhysicalReplicationConnection(Database.Connection);
        await c.Open(Stop);
        var system = await c.IdentifySystem(Stop);
        Assert.Equal(await Source.One<string>("SELECT system_identifier::text FROM pg_control_system()"), system.SystemId);
        var slot = await c.CreateReplicationSlot("physical_" + Database.Name, isTemporary: true, reserveWal: true, cancellationToken: Stop);
        await Source.Run("INSERT INTO filled SELECT generate_series(1, 1000)");
        long bytes = 0;
        await foreach (var data in c.StartReplication(slot, slot.RestartLsn ?? system.XLogPos, Stop, system.Timeline))
        {
            bytes += data.Data.Length;
            c.SetReplicationStatus(data.WalEnd);
            if (bytes > 50_000)
                break;
        }
        Assert.InRange(bytes, 50_001, long.MaxValue);
    }

    [Fact]
    public async Task Where_connections_are_shared_they_are_refused()
    {
        Assert.SkipUnless(Facts.Way == Way.Transaction, "transaction mode: elsewhere they work");
        await using var logical = new LogicalReplicationConnection(Database.Connection);
        await Short.Fails("0A000", () => logical.Open(Stop));
        await using var physical = new PhysicalReplicationConnection(Database.Connection);
        await Short.Fails("0A000", () => physical.Open(Stop));
    }
}
