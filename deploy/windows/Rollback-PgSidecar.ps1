<#
.SYNOPSIS
Takes one step back: the switch, the configuration, the application or the database.

.DESCRIPTION
The smallest step that helps is the best one. In the order of what they touch:

Flag         the cache and the limits are turned off; pgsidecar passes everything on.
Config       the configuration that was in force before.
Application  the application talks to PostgreSQL again, past pgsidecar: its settings are -File, its pools -AppPool.
Database     what pgsidecar has made in the database is removed.

Exit code 0: done, or there was nothing to do; 1: it failed; 2: the configuration or an option is not valid.

.PARAMETER Step
What is taken back: Flag, Config, Application or Database.

.PARAMETER Config
The configuration that pgsidecar runs with.

.PARAMETER Program
The program. Default: pgsidecar.exe beside this script.

.PARAMETER File
The application's settings, appsettings.json or web.config. For the step Application, which needs it.

.PARAMETER AppPool
Pools of IIS to recycle afterwards, so that the application reads its settings anew. For the step Application.

.PARAMETER Arguments
More options for "pgsidecar deploy rollback", handed on as they are.

.EXAMPLE
.\Rollback-PgSidecar.ps1 -Step Flag -Config C:\ProgramData\pgsidecar\pgsidecar.yaml

.EXAMPLE
.\Rollback-PgSidecar.ps1 -Step Application -Config C:\ProgramData\pgsidecar\pgsidecar.yaml -File C:\inetpub\shop\appsettings.json -AppPool Prescriptions -WhatIf
#>
#Requires -Version 5.1
[CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'Medium')]
param(
    [Parameter(Mandatory)][ValidateSet('Flag', 'Config', 'Application', 'Database')][string] $Step,
    [Parameter(Mandatory)][ValidateNotNullOrEmpty()][string] $Config,
    [string] $Program,
    [string] $File,
    [string[]] $AppPool = @(),
    [string[]] $Arguments = @()
)
. ([IO.Path]::Combine($PSScriptRoot, 'PgSidecar.Common.ps1'))

if (($AppPool -or $File) -and $Step -ne 'Application') { Stop-PgSidecar '-File and -AppPool go with -Step Application' 2 }
if ($Step -eq 'Application' -and -not $File) { Stop-PgSidecar '-Step Application needs -File' 2 }
$path = Get-PgSidecarProgram $Program
$configuration = Get-PgSidecarFile $Config 'Config'
if ($File) { $Arguments = @('--file', (Get-PgSidecarFile $File 'File')) + $Arguments }
if ($PSCmdlet.ShouldProcess($configuration, "Take back: $Step")) {
    Invoke-PgSidecar $path (@('deploy', 'rollback', $Step.ToLowerInvariant(), '-c', $configuration) + $Arguments)
}
Restart-PgSidecarAppPool $AppPool $PSCmdlet
exit 0
