<#
.SYNOPSIS
Brings a new pgsidecar or a new configuration into service, without an interruption.

.DESCRIPTION
Checks the configuration with the new program, starts the new one beside the old one (green), and then leads the
clients over (switch). If the new one does not come to serve, nothing is switched: the old one goes on. Rollback-PgSidecar.ps1
takes a step back afterwards.

Exit code 0: the new one serves; 1: it does not, and the old one goes on; 2: the configuration or an option is not
valid, and nothing was done.

.PARAMETER Config
The configuration that the new one is to run with.

.PARAMETER Program
The new program. Default: pgsidecar.exe beside this script.

.PARAMETER GreenOnly
Starts the new one beside the old one and leaves it to you to look at it. Run the script again without this to
switch.

.PARAMETER Arguments
More options for "pgsidecar deploy", handed on as they are.

.EXAMPLE
.\Deploy-PgSidecar.ps1 -Config C:\ProgramData\pgsidecar\pgsidecar.yaml -Program .\new\pgsidecar.exe

.EXAMPLE
.\Deploy-PgSidecar.ps1 -Config C:\ProgramData\pgsidecar\pgsidecar.yaml -GreenOnly -Verbose
#>
#Requires -Version 5.1
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)][ValidateNotNullOrEmpty()][string] $Config,
    [string] $Program,
    [switch] $GreenOnly,
    [string[]] $Arguments = @()
)
. ([IO.Path]::Combine($PSScriptRoot, 'PgSidecar.Common.ps1'))

$new = Get-PgSidecarProgram $Program
$file = Get-PgSidecarFile $Config 'Config'
Invoke-PgSidecar $new @('check', '-c', $file) | Out-Null  # all settings, if it is valid
if ($PSCmdlet.ShouldProcess($file, 'Start the new pgsidecar beside the old one')) {
    Invoke-PgSidecar $new (@('deploy', 'green', '-c', $file) + $Arguments)
}
if (-not $GreenOnly -and $PSCmdlet.ShouldProcess($file, 'Lead the clients over to the new pgsidecar')) {
    Invoke-PgSidecar $new (@('deploy', 'switch', '-c', $file) + $Arguments)
}
if (-not $WhatIfPreference) { Invoke-PgSidecar $new @('deploy', 'status', '-c', $file) }
exit 0
