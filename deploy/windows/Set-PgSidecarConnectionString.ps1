<#
.SYNOPSIS
Leads an application to pgsidecar, or back to PostgreSQL, by its connection string.

.DESCRIPTION
Runs "pgsidecar connection-string set" or "restore" on appsettings.json or web.config, and recycles the pools of IIS that
are named: requests under way end in the old process, new ones find a new one. No app_offline.htm is needed at any time.
The file is kept as it was before, and -Restore puts the very bytes back. With -WhatIf the program says what it would change.

Exit code 0: done, or there was nothing to do; 1: it failed, and the file is as before; 2: an option is not valid.

.PARAMETER File
The application's settings: appsettings.json, appsettings.Production.json or web.config.

.PARAMETER Name
Which connection string, as DefaultConnection. Default: the only one that is PostgreSQL's.

.PARAMETER HostName
Where pgsidecar listens.

.PARAMETER Port
And its port.

.PARAMETER Restore
Puts the file back as it was before the first change.

.PARAMETER AppPool
Pools of IIS to recycle afterwards.

.PARAMETER Program
The program. Default: pgsidecar.exe beside this script.

.EXAMPLE
.\Set-PgSidecarConnectionString.ps1 -File C:\inetpub\app\appsettings.json -Name Prescriptions -AppPool Prescriptions

.EXAMPLE
.\Set-PgSidecarConnectionString.ps1 -File C:\inetpub\app\appsettings.json -Restore -AppPool Prescriptions
#>
#Requires -Version 5.1
[CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'Set')]
param(
    [Parameter(Mandatory)][ValidateNotNullOrEmpty()][string] $File,
    [Parameter(ParameterSetName = 'Set')][string] $Name,
    [Parameter(ParameterSetName = 'Set')][ValidateNotNullOrEmpty()][string] $HostName = '127.0.0.1',
    [Parameter(ParameterSetName = 'Set')][ValidateRange(1, 65535)][int] $Port = 6432,
    [Parameter(Mandatory, ParameterSetName = 'Restore')][switch] $Restore,
    [string[]] $AppPool = @(),
    [string] $Program
)
. ([IO.Path]::Combine($PSScriptRoot, 'PgSidecar.Common.ps1'))

$path = Get-PgSidecarProgram $Program
$settings = Get-PgSidecarFile $File 'File'
if ($Restore) {
    $arguments = @('connection-string', 'restore', '--file', $settings)
    $action = 'Put the file back'
}
else {
    $arguments = @('connection-string', 'set', '--file', $settings, '--host', $HostName, '--port', "$Port")
    if ($Name) { $arguments += @('--name', $Name) }
    $action = "Lead the application to ${HostName}:$Port"
}
$before = [Convert]::ToBase64String([IO.File]::ReadAllBytes($settings))
if (-not $PSCmdlet.ShouldProcess($settings, $action)) { $arguments += '--dry-run' }
Invoke-PgSidecar $path $arguments
if ($WhatIfPreference -or $before -ne [Convert]::ToBase64String([IO.File]::ReadAllBytes($settings))) {
    Restart-PgSidecarAppPool $AppPool $PSCmdlet
}
else {
    Write-Verbose 'nothing was changed, so nothing is recycled'
}
exit 0
