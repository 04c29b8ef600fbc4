// The service in one resource group: a Flex Consumption app, a storage account for the data and one for the Functions
// host, an identity with the rights on them, monitoring with alerts, and on request a virtual network. See README.md.

targetScope = 'resourceGroup'

@description('Name of the environment. It goes into the names of all resources.')
@minLength(1)
@maxLength(20)
param environmentName string

@description('Region. It must offer Flex Consumption: az functionapp list-flexconsumption-locations.')
param location string = resourceGroup().location

@description('Memory of an instance in MB. 2048 comes with one core, 4096 with two, for the processes that decode and encode images.')
@allowed([2048, 4096])
param instanceMemoryMB int = 2048

@description('HTTP requests that an instance takes at once before another one is started.')
@minValue(1)
@maxValue(1000)
param httpConcurrency int = 16

@description('The most instances that may run at once.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Instances for HTTP requests that run all the time, so that no request waits for a start. They cost all the time.')
@minValue(0)
param alwaysReadyInstances int = 0

@description('The longest body of a request and the longest DICOM file, in bytes.')
@minValue(1)
param maxRequestBytes int = 4294967296

@description('Origins whose web pages may call the service, for example https://viewer.example.org; * stands for any.')
param corsOrigins array = []

@description('Redundancy of the account with the data. Standard_ZRS keeps copies in three zones; not every region has it.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
param dataSku string = 'Standard_ZRS'

@description('''
Days for which Azure keeps deleted files (soft delete of blobs), 0 for none. It is off because a delete must be final: with
it, a deleted file can be restored until the days are over, and is paid for. The index has no such net, so a restored file
has to be stored again. Versioning is not offered: it would keep nothing but what was deleted, and the service would not
delete the versions.
''')
@minValue(0)
@maxValue(365)
param deletedFilesRetentionDays int = 0

@description('Puts the app into a virtual network and closes both storage accounts to everything else.')
param privateNetwork bool = false

@description('Address range of the virtual network, at least a /25. Choose one that is free where networks are to be peered.')
param networkAddressPrefix string = '10.42.0.0/24'

@description('Where alerts are sent. Without any, they only show up in the portal.')
param alertEmails array = []

@description('Days for which logs are kept; the first 31 cost nothing.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('For whom tokens of callers must be meant: the application id of the service in Entra ID, or its URI. Without any, callers need a function key instead.')
param authAudiences array = []

@description('Who signs the tokens.')
param authAuthority string = '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'

@description('Other settings of the service by their names, such as DICOM_ROLES. A deployment removes those that are set by hand.')
param otherSettings object = {}

var token = uniqueString(resourceGroup().id, environmentName)
var tags = { 'azd-env-name': environmentName }
var deploymentContainer = 'deployments'

// Built-in roles of Azure, by their fixed ids.
var blobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
var blobDataContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
var queueDataContributor = '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
var tableDataContributor = '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'id-${environmentName}-${token}'
  location: location
  tags: tags
}

module data 'modules/storage.bicep' = {
  name: 'data-storage'
  params: {
    name: 'stdata${token}'
    location: location
    tags: tags
    sku: dataSku
    private: privateNetwork
    deletedBlobsRetentionDays: deletedFilesRetentionDays
    principalId: identity.properties.principalId
    roles: [blobDataContributor, tableDataContributor]
  }
}

// Blob Data Owner is what the Functions host asks for; queues and tables are those of Durable Functions.
module host 'modules/storage.bicep' = {
  name: 'host-storage'
  params: {
    name: 'sthost${token}'
    location: location
    tags: tags
    sku: 'Standard_LRS'
    private: privateNetwork
    containers: [deploymentContainer]
    principalId: identity.properties.principalId
    roles: [blobDataOwner, queueDataContributor, tableDataContributor]
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  params: {
    name: '${environmentName}-${token}'
    location: location
    tags: tags
    retentionDays: logRetentionDays
    principalId: identity.properties.principalId
  }
}

module network 'modules/network.bicep' = if (privateNetwork) {
  name: 'network'
  params: {
    name: 'vnet-${environmentName}-${token}'
    location: location
    tags: tags
    addressPrefix: networkAddressPrefix
  }
}

module dataEndpoints 'modules/private-endpoints.bicep' = if (privateNetwork) {
  name: 'data-endpoints'
  params: {
    location: location
    tags: tags
    storageAccountName: data.outputs.name
    services: ['blob', 'table']
    subnetId: network!.outputs.endpointsSubnetId
    zoneIds: network!.outputs.zoneIds
  }
}

module hostEndpoints 'modules/private-endpoints.bicep' = if (privateNetwork) {
  name: 'host-endpoints'
  params: {
    location: location
    tags: tags
    storageAccountName: host.outputs.name
    services: ['blob', 'queue', 'table']
    subnetId: network!.outputs.endpointsSubnetId
    zoneIds: network!.outputs.zoneIds
  }
}

module app 'modules/function-app.bicep' = {
  name: 'function-app'
  params: {
    name: 'func-${environmentName}-${token}'
    planName: 'plan-${environmentName}-${token}'
    location: location
    tags: tags
    identityId: identity.id
    identityClientId: identity.properties.clientId
    instanceMemoryMB: instanceMemoryMB
    httpConcurrency: httpConcurrency
    maximumInstanceCount: maximumInstanceCount
    alwaysReadyInstances: alwaysReadyInstances
    maxRequestBytes: maxRequestBytes
    corsOrigins: corsOrigins
    dataBlobEndpoint: data.outputs.blobEndpoint
    dataTableEndpoint: data.outputs.tableEndpoint
    hostBlobEndpoint: host.outputs.blobEndpoint
    hostQueueEndpoint: host.outputs.queueEndpoint
    hostTableEndpoint: host.outputs.tableEndpoint
    deploymentContainer: deploymentContainer
    insightsConnectionString: monitoring.outputs.connectionString
    subnetId: privateNetwork ? network!.outputs.appSubnetId : ''
    authAudiences: authAudiences
    authAuthority: authAuthority
    otherSettings: otherSettings
  }
  dependsOn: [dataEndpoints, hostEndpoints]
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  params: {
    name: environmentName
    location: location
    tags: tags
    insightsId: monitoring.outputs.insightsId
    emails: alertEmails
  }
}

output functionAppName string = app.outputs.name
output serviceUrl string = app.outputs.url
output dataAccountName string = data.outputs.name
