# To be dot-sourced by the scripts beside it: how they run the program and how they end.
#
# Exit codes are the program's: 0 done or nothing to do, 1 it failed, 2 settings or usage are wrong.
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$PSNativeCommandUseErrorActionPreference = $false  # exit codes are looked at here, in 5.1 and in 7 alike

# The program that stands beside the scripts, unless another one was named.
function Get-PgSidecarProgram([string] $Given) {
    $path = $Given
    if (-not $path) { $path = Join-Path $PSScriptRoot 'pgsidecar.exe' }
    $path = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($path)
    if (-not (Test-Path -LiteralPath $path)) { Stop-PgSidecar "there is no program $path (-Program names one)" 2 }
    $path
}

# The full path of a file that has to exist: a service has another current folder than who installs it.
function Get-PgSidecarFile([string] $Given, [string] $Parameter) {
    $path = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($Given)
    if (-not (Test-Path -LiteralPath $path)) { Stop-PgSidecar "-${Parameter}: there is no file $path" 2 }
    $path
}

# Says what is wrong and ends the script with this exit code.
function Stop-PgSidecar([string] $Message, [int] $Code = 1) {
    Write-Error -Message $Message -ErrorAction Continue
    exit $Code
}

# Runs it, shows what it says, and ends the script with its exit code where that is not 0.
function Invoke-PgSidecar([string] $Program, [string[]] $Arguments) {
    & $Program @Arguments
    $code = $LASTEXITCODE
    if ($code -ne 0) { Stop-PgSidecar "pgsidecar $($Arguments[0]) ended with exit code $code" $code }
}

# Recycles pools of IIS: requests under way end in the old process, new ones go to a new one, which reads
# the settings anew. Nobody is turned away, so no app_offline.htm is needed.
function Restart-PgSidecarAppPool([string[]] $Name, $Cmdlet) {
    if (-not $Name) { return }
    Import-Module WebAdministration -ErrorAction Stop
    foreach ($pool in $Name) {
        if ((Get-WebAppPoolState -Name $pool).Value -ne 'Started') {
            Write-Verbose "application pool ${pool}: it is not started, and reads its settings when it is"
        }
        elseif ($Cmdlet.ShouldProcess($pool, 'Recycle the application pool')) {
            Restart-WebAppPool -Name $pool
        }
    }
}
