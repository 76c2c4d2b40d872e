// The admin console as Npgsql has it; what an application does through the program is in tests/dotnet.
// Arguments: port, database (which is not used), a user and a password of the console. The exit code is the number of failures.
await ConsoleCases.Run($"Host=127.0.0.1;Port={args[0]};SSL Mode=Disable;Timeout=30;Database=pgsidecar;Username={args[2]};Password={args[3]}");
return Harness.Failures;
