"""By what objects and files say that Pleura made them.

Listeners know results that come back by manufacturer and model name, also those of older versions:
neither may change. This file imports nothing, so that they need no highdicom.
"""

MANUFACTURER = "Pleura"
"""Manufacturer (0008,0070) of every object."""
MODEL_NAME = "Pleura pneumothorax detection"
"""Manufacturer's Model Name (0008,1090) of every object."""
IMPLEMENTATION_UID = "2.25.271850416629306571803452208613440128733"
"""Implementation Class UID (0002,0012): Pleura wrote the file (PS3.10 7.1)."""
