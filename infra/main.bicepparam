using './main.bicep'

// azd sets the variable. Everything else has a default: infra/README.md has the list. To change one, add a line here, such as
//   param alertEmails = ['imaging@example.org']
param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', 'dicom')
