// What the .NET application does with Npgsql and Entity Framework Core, through the program.
// Arguments: port, database; a user and a password of the admin console, if there is one. The exit code is the number of failures.
var connection = $"Host=127.0.0.1;Port={args[0]};Username=postgres;SSL Mode=Disable;Timeout=30";
await AdoCases.Run($"{connection};Database={args[1]}");
await EfCases.Run($"{connection};Database={args[1]}_ef");
if (args.Length > 3)
    await ConsoleCases.Run($"Host=127.0.0.1;Port={args[0]};SSL Mode=Disable;Timeout=30;Database=pgsidecar;Username={args[2]};Password={args[3]}");
return Harness.Failures;
