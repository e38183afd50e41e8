"""A PACS that counts: takes results by C-STORE, and writes down each before it says so.

    python benchmarks/service_destination.py PORT RECORD

RECORD gets a JSON line for each object, also for one that came before: it may be killed and started
again.
"""

import json
import sys
from pathlib import Path
from typing import Any

from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity

from pleura.service.delivery.dicom import SOP_CLASSES


def main() -> None:
    port, record = int(sys.argv[1]), Path(sys.argv[2])
    with record.open("a", encoding="utf-8") as lines:

        def stored(event: Any) -> int:
            made = event.dataset
            line = {"uid": made.SOPInstanceUID, "study": made.StudyInstanceUID}
            lines.write(json.dumps(line) + "\n")
            lines.flush()
            return 0

        entity = ApplicationEntity("PACS")
        for sop_class in SOP_CLASSES.values():
            entity.add_supported_context(sop_class)
        entity.start_server(("127.0.0.1", port), evt_handlers=[(evt.EVT_C_STORE, stored)])


if __name__ == "__main__":
    main()
