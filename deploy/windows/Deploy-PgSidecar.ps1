<#
.SYNOPSIS
Brings a new pgsidecar or a new configuration into service.

.DESCRIPTION
Checks the configuration with the new program, starts the new one beside the old one (green), and leads the clients over
(switch) once the new one has passed the checkpoint: the answers of a workload, compared with the server's. If it does not pass,
nothing is switched: the old one goes on. Rollback-PgSidecar.ps1 takes a step back afterwards. It may be run again, also after it
was broken off: it goes on from where things are.

Where the program cannot hand over ("pgsidecar deploy" says so; a service of Windows cannot), -Restart stops the service, puts the
new program in its place and starts it. Clients are without pgsidecar for as long as that takes, and connect anew. If the new one does
not start, the old one is put back and started.

Exit code 0: the new one serves; 1: it does not, and the old one goes on; 2: the configuration or an option is not
valid, and nothing was done.

.PARAMETER Config
The configuration that the new one is to run with.

.PARAMETER Program
The new program. Default: pgsidecar.exe beside this script.

.PARAMETER Workload
SQL file with what the new one is asked at the checkpoint.

.PARAMETER Database
Database of the workload.

.PARAMETER User
User that asks it.

.PARAMETER NoValidate
Leaves the checkpoint out.

.PARAMETER GreenOnly
Starts the new one beside the old one and leaves it to you to look at it. Run the script again without this to
switch.

.PARAMETER Restart
Stops the service, replaces its program and starts it, instead of a hand-over.

.PARAMETER Name
The service's name, for -Restart.

.PARAMETER Destination
The folder with the program that the service runs, for -Restart.

.PARAMETER Arguments
More options for "pgsidecar deploy switch", handed on as they are.

.EXAMPLE
.\Deploy-PgSidecar.ps1 -Config C:\ProgramData\pgsidecar\pgsidecar.yaml -Program .\new\pgsidecar.exe -Workload prescriptions.sql -Database clinic -User app

.EXAMPLE
.\Deploy-PgSidecar.ps1 -Config C:\ProgramData\pgsidecar\pgsidecar.yaml -GreenOnly -Verbose
#>
#Requires -Version 5.1
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)][ValidateNotNullOrEmpty()][string] $Config,
    [string] $Program,
    [string] $Workload,
    [string] $Database,
    [string] $User,
    [switch] $NoValidate,
    [switch] $GreenOnly,
    [switch] $Restart,
    [ValidatePattern('^[A-Za-z0-9._-]+$')][string] $Name = 'pgsidecar',
    [string] $Destination = [IO.Path]::Combine([Environment]::GetFolderPath('ProgramFiles'), 'pgsidecar'),
    [string[]] $Arguments = @()
)
. ([IO.Path]::Combine($PSScriptRoot, 'PgSidecar.Common.ps1'))

$new = Get-PgSidecarProgram $Program
$file = Get-PgSidecarFile $Config 'Config'
$switch = @('deploy', 'switch', '-c', $file)
if ($NoValidate) { $switch += '--no-validate' }
elseif ($Workload) { $switch += @('--workload', (Get-PgSidecarFile $Workload 'Workload')) }
elseif (-not $GreenOnly -and -not $Restart) { Stop-PgSidecar 'one of -Workload, -NoValidate, -GreenOnly and -Restart is needed' 2 }
if ($Database) { $switch += @('--database', $Database) }
if ($User) { $switch += @('--user', $User) }
Invoke-PgSidecar $new @('check', '-c', $file) | Out-Null  # all settings, if it is valid
if ($Restart) {
    $folder = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($Destination)
    $target = Get-PgSidecarFile (Join-Path $folder ([IO.Path]::GetFileName($new))) 'Destination'
    if ($PSCmdlet.ShouldProcess($Name, "Stop the service, replace $target, start it")) {
        Invoke-PgSidecar $new @('service', 'stop', '--name', $Name)
        if ($new -ne $target) {
            Copy-Item -LiteralPath $target -Destination "$target.old" -Force
            Copy-Item -LiteralPath $new -Destination $target -Force
        }
        & $target service start --name $Name
        if ($LASTEXITCODE -ne 0 -and $new -ne $target) {
            Copy-Item -LiteralPath "$target.old" -Destination $target -Force
            Invoke-PgSidecar $target @('service', 'start', '--name', $Name)
            Stop-PgSidecar "the new program does not start: the old one is back"
        }
        elseif ($LASTEXITCODE -ne 0) { Stop-PgSidecar "the service $Name does not start" }
        Invoke-PgSidecar $target @('service', 'status', '--name', $Name)
    }
    exit 0
}
if ($PSCmdlet.ShouldProcess($file, 'Start the new pgsidecar beside the old one')) {
    Invoke-PgSidecar $new @('deploy', 'green', '-c', $file)
}
if (-not $GreenOnly -and $PSCmdlet.ShouldProcess($file, 'Lead the clients over to the new pgsidecar')) {
    Invoke-PgSidecar $new ($switch + $Arguments)
}
if (-not $WhatIfPreference) { Invoke-PgSidecar $new @('deploy', 'status', '-c', $file) }
exit 0
