using System.Data.Common;
using Microsoft.EntityFrameworkCore.Diagnostics;

namespace PrescriptionApi.Data;

/// <summary>
/// Tells the server for whom a connection works, each time EF Core takes one from Npgsql's pool.
/// <para>
/// The setting is the session's, so it has to be said anew on every open: Npgsql resets a connection
/// that comes from its pool (DISCARD ALL, sent together with the first command), which forgets it, and
/// with "No Reset On Close" it would still be the tenant of the request before. In pgsidecar's
/// transaction mode the setting follows the client to whichever server connection it is given.
/// </para>
/// <para>
/// SET rather than SELECT set_config(...): pgsidecar counts the latter as a query, of whoever the session
/// belonged to before. SET takes no parameters; a Tenant has checked its name.
/// </para>
/// </summary>
public sealed class TenantInterceptor : DbConnectionInterceptor
{
    public override void ConnectionOpened(DbConnection connection, ConnectionEndEventData eventData)
    {
        using var command = Command(connection, eventData);
        command.ExecuteNonQuery();
    }

    public override async Task ConnectionOpenedAsync(
        DbConnection connection, ConnectionEndEventData eventData, CancellationToken cancellationToken = default)
    {
        await using var command = Command(connection, eventData);
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    private static DbCommand Command(DbConnection connection, ConnectionEndEventData eventData)
    {
        var tenant = ((ClinicContext)eventData.Context!).Tenant;
        var command = connection.CreateCommand();
        command.CommandText = $"SET app.tenant_id = '{tenant.Name}'";
        return command;
    }
}
