# In place of cmdlets that the engine comes without. Those of files do what their namesakes do; those of
# services and of IIS, which this system has not, note that they were called. STAND_INS is their folder: a service
# is a file service-NAME with its state, a pool of IIS a file pool-NAME.
function Write-Verbose([string] $Message) { $PSCmdlet.WriteVerbose($Message) }

function Write-Error {
    [CmdletBinding()] param([string] $Message)
    $record = New-StandInError $Message
    $PSCmdlet.WriteError($record)
}

function New-StandInError([string] $Message) {
    [Management.Automation.ErrorRecord]::new([Exception]::new($Message), 'StandIn', 'NotSpecified', $null)
}

function Join-Path([string] $Path, [string] $ChildPath) { [IO.Path]::Combine($Path, $ChildPath) }

function Test-Path([string] $LiteralPath) { [IO.File]::Exists($LiteralPath) -or [IO.Directory]::Exists($LiteralPath) }

function New-Item([string] $ItemType, [string] $Path, [switch] $Force) {
    $StandInCalls.Add("New-Item $Path")
    [IO.Directory]::CreateDirectory($Path)
}

function Copy-Item([string] $LiteralPath, [string] $Destination, [switch] $Force) {
    $StandInCalls.Add("Copy-Item $Destination")
    [IO.File]::Copy($LiteralPath, $Destination, $Force)
}

function Remove-Item([string] $LiteralPath) {
    $StandInCalls.Add("Remove-Item $LiteralPath")
    [IO.File]::Delete($LiteralPath)
}

function Get-StandInState([string] $Kind, [string] $Name) {
    $file = [IO.Path]::Combine($env:STAND_INS, "$Kind-$Name")
    if ([IO.File]::Exists($file)) { [IO.File]::ReadAllLines($file)[0] }
}

function Get-Service {
    [CmdletBinding()] param([string] $Name)
    $state = Get-StandInState 'service' $Name
    if ($state) { [pscustomobject]@{ Name = $Name; Status = $state } }
    else { $PSCmdlet.WriteError((New-StandInError "Cannot find any service with service name '$Name'.")) }
}

function Import-Module([string] $Name) {
    if ($Name -ne 'WebAdministration') { throw "no stand-in for the module $Name" }
}

function Get-WebAppPoolState([string] $Name) {
    $state = Get-StandInState 'pool' $Name
    if (-not $state) { throw "Cannot find the application pool $Name" }
    [pscustomobject]@{ Value = $state }
}

function Restart-WebAppPool([string] $Name) {
    if ((Get-StandInState 'pool' $Name) -ne 'Started') { throw "The application pool $Name is not started" }
    $StandInCalls.Add("Restart-WebAppPool $Name")
}
