"""`python -m bench`: all benchmarks. Each is a module of this package and can be run alone."""

from bench import service, wire

print("The operations of the service, each per item")
service.main()
print("\nThe lean storage client beside the SDKs, milliseconds an operation")
wire.main()
