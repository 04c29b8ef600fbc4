"""`python -m bench`: all benchmarks of this project; `python -m bench --peer orthanc`: the service beside Orthanc.

Each is a module of this package and can be run alone.
"""

import argparse

from bench import dicom_json, feed, peers, service, wire

parser = argparse.ArgumentParser(prog="bench", description=__doc__)
parser.add_argument(
    "--peer", choices=["orthanc"], help="measure beside this server (Debian: orthanc, orthanc-dicomweb)"
)
if parser.parse_args().peer:
    peers.main()
else:
    print("The operations of the service, each per item")
    service.main()
    feed.main()
    print("\nThe lean storage client beside the SDKs, milliseconds an operation")
    wire.main()
    print("\nDICOM JSON beside pydicom, milliseconds of CPU a file")
    dicom_json.main()
