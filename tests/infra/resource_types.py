"""The resource types that may be used, with the API version and the properties that Microsoft documents for it.

From https://learn.microsoft.com/azure/templates/<type>. Only what is used; besides it everything may have name, parent, scope,
location, tags. A misspelt property would be ignored or refused by Azure, so whoever adds one looks it up.
"""

PROPERTIES = {
    "Microsoft.Authorization/roleAssignments@2022-04-01": """
        properties.principalId properties.principalType properties.roleDefinitionId
    """,
    "Microsoft.Insights/actionGroups@2023-01-01": """
        properties.enabled properties.groupShortName
        properties.emailReceivers.name properties.emailReceivers.emailAddress
        properties.emailReceivers.useCommonAlertSchema
    """,
    "Microsoft.Insights/components@2020-02-02": """
        kind properties.Application_Type properties.DisableLocalAuth properties.WorkspaceResourceId
    """,
    "Microsoft.Insights/scheduledQueryRules@2023-12-01": """
        kind properties.displayName properties.severity properties.enabled properties.scopes
        properties.evaluationFrequency properties.windowSize properties.autoMitigate properties.skipQueryValidation
        properties.actions.actionGroups
        properties.criteria.allOf.query properties.criteria.allOf.timeAggregation properties.criteria.allOf.operator
        properties.criteria.allOf.threshold properties.criteria.allOf.failingPeriods.numberOfEvaluationPeriods
        properties.criteria.allOf.failingPeriods.minFailingPeriodsToAlert
    """,
    "Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31": "",
    "Microsoft.Network/privateDnsZones@2020-06-01": "",
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01": """
        properties.registrationEnabled properties.virtualNetwork.id
    """,
    "Microsoft.Network/privateEndpoints@2024-05-01": """
        properties.subnet.id properties.privateLinkServiceConnections.name
        properties.privateLinkServiceConnections.properties.privateLinkServiceId
        properties.privateLinkServiceConnections.properties.groupIds
    """,
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01": """
        properties.privateDnsZoneConfigs.name properties.privateDnsZoneConfigs.properties.privateDnsZoneId
    """,
    "Microsoft.Network/virtualNetworks@2024-05-01": """
        properties.addressSpace.addressPrefixes properties.subnets.name properties.subnets.properties.addressPrefix
        properties.subnets.properties.delegations.name properties.subnets.properties.delegations.properties.serviceName
    """,
    "Microsoft.OperationalInsights/workspaces@2023-09-01": """
        properties.sku.name properties.retentionInDays properties.features.disableLocalAuth
    """,
    "Microsoft.Storage/storageAccounts@2024-01-01": """
        kind sku.name properties.accessTier properties.allowBlobPublicAccess properties.allowCrossTenantReplication
        properties.allowSharedKeyAccess properties.defaultToOAuthAuthentication properties.minimumTlsVersion
        properties.supportsHttpsTrafficOnly properties.publicNetworkAccess
        properties.networkAcls.bypass properties.networkAcls.defaultAction
    """,
    "Microsoft.Storage/storageAccounts/blobServices@2024-01-01": """
        properties.isVersioningEnabled properties.containerDeleteRetentionPolicy.enabled
        properties.deleteRetentionPolicy.enabled properties.deleteRetentionPolicy.days
    """,
    "Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01": "",
    "Microsoft.Web/serverfarms@2024-04-01": "kind sku.name sku.tier properties.reserved",
    "Microsoft.Web/sites@2024-04-01": """
        kind identity.type identity.userAssignedIdentities.${identityId}
        properties.serverFarmId properties.httpsOnly properties.virtualNetworkSubnetId
        properties.functionAppConfig.runtime.name properties.functionAppConfig.runtime.version
        properties.functionAppConfig.scaleAndConcurrency.instanceMemoryMB
        properties.functionAppConfig.scaleAndConcurrency.maximumInstanceCount
        properties.functionAppConfig.scaleAndConcurrency.alwaysReady.name
        properties.functionAppConfig.scaleAndConcurrency.alwaysReady.instanceCount
        properties.functionAppConfig.scaleAndConcurrency.triggers.http.perInstanceConcurrency
        properties.functionAppConfig.deployment.storage.type properties.functionAppConfig.deployment.storage.value
        properties.functionAppConfig.deployment.storage.authentication.type
        properties.functionAppConfig.deployment.storage.authentication.userAssignedIdentityResourceId
        properties.siteConfig.ftpsState properties.siteConfig.minTlsVersion properties.siteConfig.scmMinTlsVersion
        properties.siteConfig.http20Enabled properties.siteConfig.appSettings.name properties.siteConfig.appSettings.value
    """,
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01": "properties.allow",
}

RUNTIME = {
    "Microsoft.Insights/components": {"id", "properties.ConnectionString"},
    "Microsoft.Insights/actionGroups": {"id"},
    "Microsoft.ManagedIdentity/userAssignedIdentities": {"id", "properties.clientId", "properties.principalId"},
    "Microsoft.Network/virtualNetworks": {"id", "name"},
    "Microsoft.OperationalInsights/workspaces": {"id"},
    "Microsoft.Storage/storageAccounts": {
        "id",
        "name",
        "properties.primaryEndpoints.blob",
        "properties.primaryEndpoints.queue",
        "properties.primaryEndpoints.table",
    },
    "Microsoft.Web/serverfarms": {"id"},
    "Microsoft.Web/sites": {"name", "properties.defaultHostName"},
}
"""What Azure tells of a resource that it has created, as far as it is used."""

ROLES = {
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Queue Data Contributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
}
"""https://learn.microsoft.com/azure/role-based-access-control/built-in-roles"""
