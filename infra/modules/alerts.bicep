// Alerts on what the service and the Functions host write to Application Insights. README.md says which line each looks for.

param name string
param location string
param tags object

@description('Id of the Application Insights component.')
param insightsId string

param emails array

// Each query gives rows when something is wrong. At least `rows` rows in 15 minutes raise the alert.
var rules = [
  {
    name: 'server-errors'
    title: 'More than 5 % of the requests failed'
    severity: 1
    rows: 1
    query: '''
      requests
      | where isnotempty(url)
      | summarize answered = sum(itemCount), failed = sumif(itemCount, toint(resultCode) >= 500)
      | where answered >= 20 and failed * 100 > answered * 5
    '''
  }
  {
    name: 'upkeep-silent'
    title: 'Upkeep has not run: dead requests stay unfinished'
    severity: 1
    rows: 1
    query: '''
      requests
      | where name == "upkeep" and success == true
      | summarize runs = count()
      | where runs == 0
    '''
  }
  {
    name: 'intents-old'
    title: 'Work of a request is open for more than 10 minutes, or could not be finished: the change feed may lag'
    severity: 2
    rows: 1
    query: '''
      traces
      | where message startswith "Upkeep could not finish" or message startswith "Open intents older than 10 minutes"
    '''
  }
  {
    name: 'jobs-failing'
    title: 'Activities of operations fail again and again'
    severity: 2
    rows: 4
    query: '''
      requests
      | where isempty(url) and name != "upkeep" and success == false
    '''
  }
  {
    name: 'operation-failed'
    title: 'An operation ended as failed'
    severity: 3
    rows: 1
    query: '''
      traces
      | where message startswith "Operation failed"
    '''
  }
]

resource receivers 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(emails)) {
  name: 'ag-${name}'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: take(name, 12)
    emailReceivers: [for email in emails: {
      name: email
      emailAddress: email
      useCommonAlertSchema: true
    }]
  }
}

resource alerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for rule in rules: {
  name: '${name}-${rule.name}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: rule.title
    severity: rule.severity
    enabled: true
    scopes: [insightsId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      allOf: [
        {
          query: rule.query
          timeAggregation: 'Count'
          operator: 'GreaterThanOrEqual'
          threshold: rule.rows
          failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
        }
      ]
    }
    autoMitigate: true
    // The tables are there only when the first telemetry has come.
    skipQueryValidation: true
    actions: { actionGroups: empty(emails) ? [] : [receivers.id] }
  }
}]
