// The plan and the function app with its settings.

param name string
param planName string
param location string
param tags object

param identityId string
param identityClientId string

param instanceMemoryMB int
param httpConcurrency int
param maximumInstanceCount int
param alwaysReadyInstances int

param maxRequestBytes int
param corsOrigins array

param dataBlobEndpoint string
param dataTableEndpoint string
param hostBlobEndpoint string
param hostQueueEndpoint string
param hostTableEndpoint string
param deploymentContainer string

param insightsConnectionString string

@description('Subnet that the app joins, empty for none.')
param subnetId string

@description('For whom tokens must be meant; empty: callers need function keys.')
param authAudiences array
param authAuthority string

param otherSettings object

var others = [for setting in items(otherSettings): { name: setting.key, value: setting.value }]

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'api' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      runtime: { name: 'python', version: '3.13' }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: alwaysReadyInstances > 0 ? [{ name: 'http', instanceCount: alwaysReadyInstances }] : []
        triggers: { http: { perInstanceConcurrency: httpConcurrency } }
      }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${hostBlobEndpoint}${deploymentContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
    }
    siteConfig: {
      ftpsState: 'Disabled'
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      http20Enabled: true
      appSettings: concat([
        { name: 'AzureWebJobsStorage__credential', value: 'managedidentity' }
        { name: 'AzureWebJobsStorage__clientId', value: identityClientId }
        { name: 'AzureWebJobsStorage__blobServiceUri', value: hostBlobEndpoint }
        { name: 'AzureWebJobsStorage__queueServiceUri', value: hostQueueEndpoint }
        { name: 'AzureWebJobsStorage__tableServiceUri', value: hostTableEndpoint }
        { name: 'DICOM_STORAGE__clientId', value: identityClientId }
        { name: 'DICOM_STORAGE__blobServiceUri', value: dataBlobEndpoint }
        { name: 'DICOM_STORAGE__tableServiceUri', value: dataTableEndpoint }
        { name: 'DICOM_MAX_REQUEST_BYTES', value: string(maxRequestBytes) }
        { name: 'DICOM_MAX_PART_BYTES', value: string(maxRequestBytes) }
        { name: 'DICOM_CORS_ORIGINS', value: join(corsOrigins, ',') }
        { name: 'DICOM_AUTHENTICATION', value: empty(authAudiences) ? 'off' : 'entra' }
        { name: 'DICOM_AUTHORITY', value: authAuthority }
        { name: 'DICOM_AUDIENCES', value: join(authAudiences, ',') }
        { name: 'FUNCTIONS_REQUEST_BODY_SIZE_LIMIT', value: string(maxRequestBytes) }
        { name: 'APPLICATIONINSIGHTS_CONNECTION_STRING', value: insightsConnectionString }
        { name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING', value: 'ClientId=${identityClientId};Authorization=AAD' }
      ], others)
    }
  }
}

// Packages are deployed with tokens of Entra ID, not with passwords.
resource noScmPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'scm'
  properties: { allow: false }
}

resource noFtpPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'ftp'
  properties: { allow: false }
}

output name string = app.name
output url string = 'https://${app.properties.defaultHostName}'
