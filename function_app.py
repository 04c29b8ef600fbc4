"""The Azure DICOM service API v2 as a Functions app: everything that it serves and runs."""

import os

import azure.durable_functions as df

from shared import telemetry
from shared.api import routes
from shared.jobs import bulk_update, reindex, upkeep

telemetry.configure(os.environ)

app = df.DFApp()
app.register_functions(routes.blueprint)
app.register_functions(bulk_update.blueprint)
app.register_functions(reindex.blueprint)
app.register_functions(upkeep.blueprint)
