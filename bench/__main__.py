"""`python -m bench`: all benchmarks. Each is a module of this package and can be run alone."""

import asyncio

from bench import service

asyncio.run(service.main())
