// What the .NET application does with Npgsql and Entity Framework Core, through the program.
// Arguments: port, database. The exit code is the number of failures.
var connection = $"Host=127.0.0.1;Port={args[0]};Username=postgres;SSL Mode=Disable;Timeout=30";
await AdoCases.Run($"{connection};Database={args[1]}");
await EfCases.Run($"{connection};Database={args[1]}_ef");
return Harness.Failures;
