<#
.SYNOPSIS
Installs pgsidecar as a service of Windows and starts it.

.DESCRIPTION
Checks the configuration, copies the program to its folder, installs the service and starts it. What is done
already is left as it is, so the script may be run again. It does not replace a program that a service runs:
that is what Deploy-PgSidecar.ps1 is for.

Run it as an administrator. Exit code 0: it runs; 1: it failed, and what was done stays for another try;
2: the configuration or an option is not valid, and nothing was done.

.PARAMETER Config
The configuration, pgsidecar.yaml. The service reads it where it is.

.PARAMETER Name
The service's name.

.PARAMETER Destination
The folder that the program is copied to.

.PARAMETER Program
The program to install. Default: pgsidecar.exe beside this script.

.PARAMETER Account
The account that the service runs as: LocalService, NetworkService, DOMAIN\managed$. Default: the service's own
virtual account, NT SERVICE\NAME, which may do nothing but what it is given.

.PARAMETER StartType
When it starts: auto, delayed (after the others) or manual.

.PARAMETER NoStart
Installs it, and does not start it.

.EXAMPLE
.\Install-PgSidecar.ps1 -Config C:\ProgramData\pgsidecar\pgsidecar.yaml

.EXAMPLE
.\Install-PgSidecar.ps1 -Config C:\ProgramData\pgsidecar\pgsidecar.yaml -WhatIf

Checks the configuration, says what would be done, and does nothing.
#>
#Requires -Version 5.1
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)][ValidateNotNullOrEmpty()][string] $Config,
    [ValidatePattern('^[A-Za-z0-9._-]+$')][string] $Name = 'pgsidecar',
    [string] $Destination = [IO.Path]::Combine([Environment]::GetFolderPath('ProgramFiles'), 'pgsidecar'),
    [string] $Program,
    [string] $Account,
    [ValidateSet('auto', 'delayed', 'manual')][string] $StartType = 'auto',
    [switch] $NoStart
)
. ([IO.Path]::Combine($PSScriptRoot, 'PgSidecar.Common.ps1'))

$source = Get-PgSidecarProgram $Program
$file = Get-PgSidecarFile $Config 'Config'
Invoke-PgSidecar $source @('check', '-c', $file) | Out-Null  # all settings, if it is valid

$folder = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($Destination)
$target = Join-Path $folder ([IO.Path]::GetFileName($source))
$service = Get-Service -Name $Name -ErrorAction SilentlyContinue
if ($service) {
    Write-Verbose "the service $Name is there already"
    if (-not (Test-Path -LiteralPath $target)) { $target = $source }
}
else {
    if ($source -ne $target -and $PSCmdlet.ShouldProcess($target, "Copy $source")) {
        New-Item -ItemType Directory -Path $folder -Force | Out-Null
        Copy-Item -LiteralPath $source -Destination $target -Force
    }
    if ($PSCmdlet.ShouldProcess($Name, "Install the service, to run $target with $file")) {
        $arguments = @('service', 'install', '--name', $Name, '--config', $file, '--start', $StartType)
        if ($Account) { $arguments += @('--account', $Account) }
        Invoke-PgSidecar $target $arguments
    }
}
if ($NoStart) { exit 0 }
if ($service -and $service.Status -eq 'Running') {
    Write-Verbose "the service $Name runs already"
}
elseif ($PSCmdlet.ShouldProcess($Name, 'Start the service')) {
    Invoke-PgSidecar $target @('service', 'start', '--name', $Name)
}
if (-not $WhatIfPreference) { Invoke-PgSidecar $target @('service', 'status', '--name', $Name) }
exit 0
