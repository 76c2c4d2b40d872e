<#
.SYNOPSIS
Packs what somebody needs to find a fault into one archive.

.DESCRIPTION
Runs "pgsidecar diagnose". No password, no literal of a statement and no row of a table is in the archive. It is
written anew each time; an archive of that name that is there already is not touched unless -Force is given.

Exit code 0: the archive is there, and its path is the script's output; 1: it failed; 2: the configuration or an
option is not valid.

.PARAMETER Config
The configuration that pgsidecar runs with.

.PARAMETER Out
The archive to write. Default: pgsidecar-diagnostics-DATE-TIME.zip in the current folder.

.PARAMETER Program
The program. Default: pgsidecar.exe beside this script.

.PARAMETER Force
Replaces an archive of that name.

.EXAMPLE
.\Get-PgSidecarDiagnostics.ps1 -Config C:\ProgramData\pgsidecar\pgsidecar.yaml -Out C:\Temp\case-7.zip
#>
#Requires -Version 5.1
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)][ValidateNotNullOrEmpty()][string] $Config,
    [string] $Out = "pgsidecar-diagnostics-$([DateTime]::Now.ToString('yyyyMMdd-HHmmss')).zip",
    [string] $Program,
    [switch] $Force
)
. ([IO.Path]::Combine($PSScriptRoot, 'PgSidecar.Common.ps1'))

$path = Get-PgSidecarProgram $Program
$file = Get-PgSidecarFile $Config 'Config'
$archive = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($Out)
if ((Test-Path -LiteralPath $archive) -and -not $Force) {
    Stop-PgSidecar "$archive is there already (-Force replaces it)" 2
}
if ($PSCmdlet.ShouldProcess($archive, 'Write the diagnostics')) {
    if (Test-Path -LiteralPath $archive) { Remove-Item -LiteralPath $archive }
    Invoke-PgSidecar $path @('diagnose', '--out', $archive, '-c', $file)
    if (-not (Test-Path -LiteralPath $archive)) { Stop-PgSidecar "$archive was not written" }
    $archive
}
exit 0
