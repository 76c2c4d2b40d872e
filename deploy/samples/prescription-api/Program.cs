// Prescriptions of many tenants over HTTP. "--migrate" applies the migrations and ends.
using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using PrescriptionApi;
using PrescriptionApi.Data;

const string Migrate = "--migrate";
var builder = WebApplication.CreateBuilder([.. args.Where(a => a != Migrate)]);
if (args.Contains(Migrate))
    return await DatabaseSetup.MigrateAsync(builder.Configuration);

builder.Services.AddSingleton(builder.Configuration.Performance());
builder.Services.AddSingleton(TimeProvider.System);
builder.Services.AddClinicDatabase(builder.Configuration);
builder.Services.AddTelemetry(builder.Configuration);
builder.Services.AddProblemDetails();
builder.Services.AddExceptionHandler<LimitHandler>();
builder.Services.AddValidation();
builder.Services.Configure<RouteHandlerOptions>(routes => routes.ThrowOnBadRequest = false);  // 400 in Development, too
builder.Services.ConfigureHttpJsonOptions(json =>
    json.SerializerOptions.Converters.Add(new JsonStringEnumConverter()));

var app = builder.Build();
app.UseExceptionHandler();
app.UseStatusCodePages();
app.MapHealthChecks("/healthz", new HealthCheckOptions { Predicate = _ => false });
app.MapHealthChecks("/readyz", new HealthCheckOptions { Predicate = check => check.Tags.Contains("ready") });
app.MapPrometheusScrapingEndpoint();
app.MapPrescriptions();
await app.RunAsync();
return 0;
